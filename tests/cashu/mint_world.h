// A mint with all that it stands on, a wallet that knows just enough to talk to it, and books that
// are checked when the world ends: whatever a test does, no money is made and none is lost.
#pragma once

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nutgate/cashu/dhke.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/quote_signature.h"
#include "nutgate/cashu/wire.h"
#include "nutgate/store/open.h"
#include "support/fake_lightning.h"
#include "support/fixed_clock.h"
#include "support/seeded_random.h"
#include "support/temp_dir.h"

namespace nutgate::test {

using Json = nlohmann::json;
using cashu::Amount;
using cashu::BlindedMessage;
using cashu::BlindSignature;
using cashu::KeysetId;
using cashu::Proof;
using cashu::Unit;
namespace wire = cashu::wire;

// Books in a table beside the mint's, so that they roll back with it. An event that is told twice,
// and a balance below zero, are faults.
class RecordingBooks final : public cashu::MintBooks {
public:
    static Result<void, store::StoreFailure> migrate(store::Database& database) {
        return database.transact([](store::Tx& tx) -> Result<void, store::StoreFailure> {
            tx.execute(
                "CREATE TABLE IF NOT EXISTS test_books (account TEXT PRIMARY KEY, "
                "balance BIGINT NOT NULL CHECK (balance >= 0))");
            tx.execute("CREATE TABLE IF NOT EXISTS test_events (reference TEXT PRIMARY KEY)");
            return {};
        });
    }

    void quote_paid(store::Tx& tx, const PaymentHash& hash, Msat amount) override {
        tell(tx, "paid " + hash.hex());
        post(tx, "lightning", amount.raw());
        post(tx, "in_flight", amount.raw());
    }
    void issued(store::Tx& tx, std::string_view reference, const KeysetId& keyset,
                Msat amount) override {
        tell(tx, "issued " + std::string{reference});
        post(tx, "in_flight", -amount.raw());
        post(tx, keyset.text(), amount.raw());
    }
    void swapped(store::Tx& tx, std::string_view reference, const std::vector<SwapLine>& lines,
                 Msat fee) override {
        tell(tx, "swapped " + std::string{reference});
        std::int64_t sum = fee.raw();
        for (const SwapLine& line : lines) {
            post(tx, line.keyset.text(), line.signed_.raw() - line.spent.raw());
            sum += line.signed_.raw() - line.spent.raw();
        }
        VERIFY(sum == 0);
        post(tx, "revenue", fee.raw());
    }
    MayPay may_pay(store::Reader&, const PaymentHash&, Msat most) override {
        asked = most.raw();
        return says;
    }
    void melt_begun(store::Tx& tx, std::string_view reference,
                    const std::vector<SwapLine>& lines) override {
        tell(tx, "begun " + std::string{reference});
        for (const SwapLine& line : lines) {
            VERIFY(line.signed_ == Msat{});
            post(tx, line.keyset.text(), -line.spent.raw());
            post(tx, "in_flight", line.spent.raw());
        }
    }
    void melt_paid(store::Tx& tx, std::string_view reference, const MeltEnd& end) override {
        tell(tx, "ended " + std::string{reference});
        post(tx, "lightning", -end.paid.raw() - end.routing_fee.raw() - end.beyond.raw());
        post(tx, "fees", end.beyond.raw());
        post(tx, "revenue", end.fee_kept.raw());
        std::int64_t sum = end.paid.raw() + end.routing_fee.raw() + end.fee_kept.raw();
        for (const SwapLine& line : end.change) {
            VERIFY(line.spent == Msat{});
            post(tx, line.keyset.text(), line.signed_.raw());
            sum += line.signed_.raw();
        }
        post(tx, "in_flight", -sum);
    }
    void melt_failed(store::Tx& tx, std::string_view reference,
                     const std::vector<SwapLine>& lines) override {
        tell(tx, "ended " + std::string{reference});
        for (const SwapLine& line : lines) {
            post(tx, line.keyset.text(), line.spent.raw());
            post(tx, "in_flight", -line.spent.raw());
        }
    }

    static std::int64_t balance(store::Reader& reader, std::string_view account) {
        const auto row =
            reader.query_one("SELECT balance FROM test_books WHERE account = $1", account);
        return row ? row->integer(0) : 0;
    }

    MayPay says = MayPay::Yes;
    std::atomic<std::int64_t> asked = 0;  // How much a melt may take, lastly.

private:
    static void tell(store::Tx& tx, const std::string& reference) {
        tx.execute("INSERT INTO test_events (reference) VALUES ($1)", reference);
    }
    static void post(store::Tx& tx, std::string_view account, std::int64_t difference) {
        if (difference == 0) return;
        tx.execute(
            "INSERT INTO test_books (account, balance) VALUES ($1, 0) "
            "ON CONFLICT (account) DO NOTHING",
            account);
        tx.execute("UPDATE test_books SET balance = balance + $1 WHERE account = $2", difference,
                   account);
    }
};

// The liability equation: the mint's tables and its books say the same of every keyset, and what is
// owed is what is there. Answers the sum that is outstanding.
inline Msat audit(store::Database& database) {
    const auto outstanding =
        database.read([](store::Reader& reader) -> Result<Msat, store::StoreFailure> {
            Msat owed;
            for (const auto& keyset : cashu::Mint::outstanding(reader)) {
                CHECK(RecordingBooks::balance(reader, keyset.keyset.text()) == keyset.amount.raw());
                owed = add(owed, keyset.amount).value();
            }
            const Msat in_flight = cashu::Mint::in_flight(reader);
            CHECK(RecordingBooks::balance(reader, "in_flight") == in_flight.raw());
            CHECK(RecordingBooks::balance(reader, "lightning") +
                      RecordingBooks::balance(reader, "fees") ==
                  owed.raw() + in_flight.raw() + RecordingBooks::balance(reader, "revenue"));
            return owed;
        });
    REQUIRE(outstanding);
    return *outstanding;
}

// Outputs on their way to be signed.
struct Blinded {
    std::vector<BlindedMessage> outputs;
    std::vector<std::string> secrets;
    std::vector<crypto::Scalar> factors;
};

struct MintWorld {
    using Options = cashu::Mint::Options;

    explicit MintWorld(Options mint_options = {}) : options{std::move(mint_options)} {
        database = store::open(folder.database_url()).value();
        REQUIRE(cashu::Mint::migrate(*database));
        REQUIRE(RecordingBooks::migrate(*database));
        start(*database);
    }
    ~MintWorld() {
        mint.reset();
        if (database) audit(*database);
    }

    // A mint of this world over `through`: the database, or one that crashes.
    Result<void, store::StoreFailure> try_start(store::Database& through) {
        mint = std::make_unique<cashu::Mint>(through, lightning, books, secret, clock, random,
                                             options, metrics);
        return mint->start();
    }
    void start(store::Database& through) { REQUIRE(try_start(through)); }
    // The process ends, and begins anew.
    void reopen() {
        mint.reset();
        database.reset();
        database = store::open(folder.database_url()).value();
        start(*database);
    }

    cashu::MintAnswer get(const std::string& path) {
        return mint->handle(cashu::MintMethod::Get, path, "");
    }
    cashu::MintAnswer post(const std::string& path, const std::string& body) {
        return mint->handle(cashu::MintMethod::Post, path, body);
    }

    std::vector<cashu::Keyset> keysets() {
        return wire::parse_keysets(get("/v1/keysets").body).value();
    }
    cashu::Keyset active(Unit unit = Unit::Sat) {
        const auto keys = wire::parse_keys(get("/v1/keys").body);
        for (const auto& keyset : *keys) {
            if (keyset.unit == to_text(unit)) return keyset;
        }
        VERIFY(false);
        return keysets().front();
    }

    Blinded blind(const std::vector<Amount>& amounts, const KeysetId& id) {
        Blinded result;
        for (const Amount amount : amounts) {
            result.secrets.push_back(to_hex(random.bytes<32>()));
            result.factors.push_back(crypto::Scalar::random(random));
            const auto y = cashu::hash_to_curve(result.secrets.back()).value();
            result.outputs.push_back({amount, id, cashu::blind(y, result.factors.back()).value()});
        }
        return result;
    }
    Blinded blind(const std::vector<Amount>& amounts, Unit unit = Unit::Sat) {
        return blind(amounts, active(unit).id);
    }

    // Each signature is the output's, in order, and proves that it was made with the mint's key.
    std::vector<Proof> unblind(const Blinded& blinded,
                               const std::vector<BlindSignature>& signatures) {
        std::vector<Proof> proofs;
        REQUIRE(signatures.size() <= blinded.outputs.size());
        for (std::size_t i = 0; i < signatures.size(); ++i) {
            const BlindSignature& signature = signatures[i];
            const auto keyset =
                wire::parse_keys(get("/v1/keys/" + signature.id.text()).body).value().front();
            const auto& key = keyset.keys.at(signature.amount);
            REQUIRE(signature.id == blinded.outputs[i].id);
            REQUIRE(signature.dleq);
            REQUIRE(cashu::verify_dleq(*signature.dleq, key, blinded.outputs[i].B_, signature.C_));
            const auto c = cashu::unblind(signature.C_, blinded.factors[i], key).value();
            proofs.push_back({signature.amount, signature.id, blinded.secrets[i], c, {}, {}, {}});
        }
        return proofs;
    }

    wire::MintQuote quote(Amount amount, Unit unit = Unit::Sat,
                          std::optional<crypto::Point> pubkey = {}) {
        const auto answer =
            post("/v1/mint/quote/bolt11",
                 wire::write_mint_quote_request({amount, std::string{to_text(unit)}, {}, pubkey}));
        CAPTURE(answer.body);
        REQUIRE(answer.status == 200);
        return wire::parse_mint_quote(answer.body).value();
    }
    wire::MintQuote quote_again(const std::string& id) {
        clock.advance(Milliseconds{200});
        return wire::parse_mint_quote(get("/v1/mint/quote/bolt11/" + id).body).value();
    }
    // Money was made out of nothing, as far as the mint is concerned.
    void pay(const wire::MintQuote& quote, std::optional<Msat> amount = {}) {
        const auto invoice = parse_bolt11(quote.request).value();
        lightning.mark_paid(invoice.payment_hash, amount.value_or(*invoice.amount));
    }
    std::string issue_body(const wire::MintQuote& quote, const Blinded& blinded) {
        return wire::write_mint_request({quote.quote, blinded.outputs, {}});
    }

    // Ecash, as a customer who paid for it has it.
    std::vector<Proof> buy(const std::vector<Amount>& amounts, Unit unit = Unit::Sat) {
        Amount total = 0;
        for (const Amount amount : amounts) total += amount;
        const auto bought = quote(total, unit);
        pay(bought);
        const auto blinded = blind(amounts, unit);
        const auto answer = post("/v1/mint/bolt11", issue_body(bought, blinded));
        CAPTURE(answer.body);
        REQUIRE(answer.status == 200);
        return unblind(blinded, wire::parse_signatures(answer.body).value());
    }

    cashu::MintAnswer swap(const std::vector<Proof>& inputs, const Blinded& blinded) {
        return post("/v1/swap", wire::write_swap_request({inputs, blinded.outputs}));
    }
    std::vector<Proof> swapped(const std::vector<Proof>& inputs, const std::vector<Amount>& amounts,
                               Unit unit = Unit::Sat) {
        const auto blinded = blind(amounts, unit);
        const auto answer = swap(inputs, blinded);
        CAPTURE(answer.body);
        REQUIRE(answer.status == 200);
        return unblind(blinded, wire::parse_signatures(answer.body).value());
    }

    wire::MeltQuote melt_quote(const std::string& invoice, Unit unit = Unit::Sat) {
        const auto answer =
            post("/v1/melt/quote/bolt11",
                 wire::write_melt_quote_request({invoice, std::string{to_text(unit)}, {}, {}}));
        CAPTURE(answer.body);
        REQUIRE(answer.status == 200);
        return wire::parse_melt_quote(answer.body).value();
    }
    wire::MeltQuote melt_quote_again(const std::string& id) {
        clock.advance(Milliseconds{200});
        return wire::parse_melt_quote(get("/v1/melt/quote/bolt11/" + id).body).value();
    }
    std::string melt_body(const wire::MeltQuote& quote, const std::vector<Proof>& inputs,
                          const Blinded& blanks = {}) {
        return wire::write_melt_request({quote.quote, inputs, blanks.outputs, false});
    }
    cashu::MintAnswer melt(const wire::MeltQuote& quote, const std::vector<Proof>& inputs,
                           const Blinded& blanks = {}) {
        return post("/v1/melt/bolt11", melt_body(quote, inputs, blanks));
    }

    wire::ProofState state(const Proof& proof) {
        const auto answer =
            post("/v1/checkstate",
                 wire::write_check_state_request({cashu::hash_to_curve(proof.secret).value()}));
        return wire::parse_check_state_response(answer.body).value().front().state;
    }

    FixedClock clock;
    SeededRandom random{42};
    FakeLightning lightning{clock};
    RecordingBooks books;
    metrics::Registry metrics;
    Secret secret{Bytes(64, std::byte{7})};
    Options options;
    TempDir folder;
    std::unique_ptr<store::Database> database;
    std::unique_ptr<cashu::Mint> mint;
};

inline int code(const cashu::MintAnswer& answer) {
    if (answer.status == 200) return 0;
    return wire::parse_error(answer.body).code.value_or(-answer.status);
}

inline PaymentHash hash_of(const std::string& invoice) {
    return parse_bolt11(invoice).value().payment_hash;
}

}  // namespace nutgate::test
