// A wallet with a fake mint and recording books, on a database that outlives it. A second mint is
// there to be found: nobody told the wallet of it. What either pays, the other receives.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nutgate/cashu/wallet.h"
#include "nutgate/store/open.h"
#include "support/fake_lightning.h"
#include "support/fake_mint.h"
#include "support/fixed_clock.h"
#include "support/recording_settler.h"
#include "support/seeded_random.h"

namespace nutgate::test {

inline constexpr const char* kFakeMintUrl = "https://mint.example";
inline constexpr const char* kOtherMintUrl = "https://other.example";
inline constexpr int kGuestsMax = 2;

inline Msat sats(std::int64_t n) { return to_msat(Sat::from_raw(n).value()); }

// Why it failed, as it must have.
template <class T>
cashu::WalletError::Code code_of(const Result<T, cashu::WalletError>& result) {
    REQUIRE_FALSE(result.has_value());
    return result.error().code;
}

// The way to a mint that outlives its client.
class BorrowedMint final : public cashu::MintClient {
public:
    explicit BorrowedMint(FakeMint& mint) : mint_{mint} {}
    Result<cashu::MintAnswer, cashu::MintFailure> call(cashu::MintMethod method,
                                                       std::string_view path,
                                                       std::string_view body) override {
        return mint_.call(method, path, body);
    }

private:
    FakeMint& mint_;
};

class WalletWorld {
public:
    explicit WalletWorld(FakeMint::Options options = {}) : mint{options}, other{as_other(options)} {
        mint.connect([this](const PaymentHash& hash) { other.pay(hash); });
        other.connect([this](const PaymentHash& hash) { mint.pay(hash); });
        database = store::open("sqlite::memory:", {.rehearses = true}).value();
        VERIFY(cashu::Wallet::migrate(*database).has_value());
        RecordingSettler::migrate(*database);
        reopen(*database);
    }

    // As a process that starts: nothing but the database is left of the one before. Every process
    // has randomness of its own.
    void reopen(store::Database& through) {
        wallet.reset();
        random = std::make_unique<SeededRandom>(++starts_);
        wallet = std::make_unique<cashu::Wallet>(
            through,
            std::vector{cashu::WalletMint{.url = *cashu::MintUrl::parse(kFakeMintUrl),
                                          .also_known_as = {},
                                          .token_url = kFakeMintUrl,
                                          .client = &mint}},
            Secret{to_bytes(seed)}, settler, clock, *random, metrics,
            cashu::Wallet::Options{.connector = &connector_,
                                   .guests_max = kGuestsMax,
                                   .exposure_max = exposure_max,
                                   .payers = {&lightning}});
        db_ = &through;
    }
    void reopen() { reopen(*database); }
    // The one that the wallet was made over.
    store::Database& db() { return *db_; }

    // One more mint is there to be found, and can pay the first one's invoices.
    void add_stranger(const std::string& url, FakeMint& stranger) {
        stranger.connect([this](const PaymentHash& hash) { mint.pay(hash); });
        connector_.found[url] = &stranger;
    }

    using Id = Result<OperationId, cashu::WalletError>;
    Id begin_receive(const cashu::Token& token, const std::string& reference) {
        TRY(const auto prepared, wallet->prepare_receive(token));
        return db_->transact(
            [&](store::Tx& tx) -> Id { return wallet->begin_receive(tx, *prepared, reference); });
    }
    Result<void, cashu::WalletError> receive(const cashu::Token& token,
                                             const std::string& reference) {
        TRY(const auto id, begin_receive(token, reference));
        return wallet->execute(id);
    }
    Id begin_send(Msat amount, const std::string& reference) {
        TRY(const auto prepared, wallet->prepare_send(amount, std::nullopt));
        return db_->transact(
            [&](store::Tx& tx) -> Id { return wallet->begin_send(tx, *prepared, reference); });
    }
    Result<void, cashu::WalletError> send(Msat amount, const std::string& reference) {
        TRY(const auto id, begin_send(amount, reference));
        return wallet->execute(id);
    }
    Id begin_melt(const Result<cashu::Wallet::Owned<cashu::Wallet::PreparedMelt>,
                               cashu::WalletError>& prepared,
                  const std::string& reference) {
        if (!prepared) return fail(prepared.error());
        return db_->transact(
            [&](store::Tx& tx) -> Id { return wallet->begin_melt(tx, **prepared, reference); });
    }
    Result<void, cashu::WalletError> melt(const std::string& bolt11, const std::string& reference) {
        TRY(const auto id, begin_melt(wallet->prepare_melt(bolt11, std::nullopt), reference));
        return wallet->execute(id);
    }
    // From the other mint's token to ecash of ours.
    Result<void, cashu::WalletError> swap_in(const cashu::Token& token,
                                             const std::string& reference) {
        TRY(const auto id, begin_melt(wallet->prepare_swap(token, wallet->primary()), reference));
        return wallet->execute(id);
    }
    Result<void, cashu::WalletError> fund_by(const PaymentHash& quote,
                                             const std::string& reference) {
        TRY(const auto id, db_->transact([&](store::Tx& tx) -> Id {
            return wallet->begin_fund(tx, quote, "fake", sats(3), reference);
        }));
        return wallet->execute(id);
    }
    // Runs what is left, with time passing, until nothing is or nothing helps.
    void recover_all() {
        mint.clear_faults();
        other.clear_faults();
        for (int i = 0; i < 20; ++i) {
            const auto recovery = wallet->recover();
            REQUIRE(recovery);
            if (recovery->waiting == 0) return;
            clock.advance(Seconds{601});
        }
    }

    std::vector<RecordingSettler::Told> told(const std::string& event) {
        return RecordingSettler::told(*database, event);
    }
    Msat available() { return balance().first; }
    Msat reserved() { return balance().second; }
    cashu::Token token(const std::vector<cashu::Amount>& amounts) {
        return mint.token(amounts, kFakeMintUrl);
    }
    void fund(const std::vector<cashu::Amount>& amounts) {
        REQUIRE(receive(token(amounts), "fund" + std::to_string(++funded_)));
    }

    // Every proof that the wallet calls its own is unspent at its mint, and together with the
    // tokens handed out they are all that the mint still owes: nothing was lost and nothing made.
    // `outside`: what others still hold besides, at the first mint and at the second.
    void audit(cashu::Amount outside = 0, cashu::Amount outside_other = 0) {
        audit_one(mint, kFakeMintUrl, outside);
        audit_one(other, kOtherMintUrl, outside_other);
    }
    void audit_one(FakeMint& at, const std::string& url, cashu::Amount outside) {
        CAPTURE(url);
        const auto proofs =
            database->read([&](store::Reader& reader)
                               -> Result<std::vector<std::pair<ByteArray<33>, std::int64_t>>,
                                         store::StoreFailure> {
                std::vector<std::pair<ByteArray<33>, std::int64_t>> found;
                for (const auto& row : reader.query(
                         "SELECT y, amount FROM wallet_proof WHERE state IN (1, 2) AND mint = $1",
                         url)) {
                    ByteArray<33> y;
                    std::copy(row.bytes(0).begin(), row.bytes(0).end(), y.begin());
                    found.emplace_back(y, row.integer(1));
                }
                return found;
            });
        REQUIRE(proofs);
        std::uint64_t held = 0;
        for (const auto& [y, amount] : *proofs) {
            CHECK_FALSE(at.is_spent(y));
            held += static_cast<std::uint64_t>(amount);
        }
        std::uint64_t handed_out = 0;
        for (const auto& event : told("sent")) {
            const auto token = cashu::parse_token(event.token);
            REQUIRE(token);
            CHECK_EQ(cashu::to_msat(*cashu::sum(token->proofs), cashu::Unit::Sat), event.amount);
            if (token->mint.text() != url) continue;
            for (const auto& proof : token->proofs) {
                if (!at.is_spent(cashu::hash_to_curve(proof.secret)->compressed())) {
                    handed_out += proof.amount;
                }
            }
        }
        CHECK_EQ(held + handed_out + outside, at.outstanding());
    }

    std::string seed = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    FakeMint mint;
    FakeMint other;
    FixedClock clock;
    FakeLightning lightning{clock};
    std::optional<Msat> exposure_max;
    RecordingSettler settler;
    metrics::Registry metrics;
    std::unique_ptr<SeededRandom> random;
    std::unique_ptr<store::Database> database;
    std::unique_ptr<cashu::Wallet> wallet;

    std::pair<Msat, Msat> balance(const std::string& url = kFakeMintUrl) {
        const auto balances =
            database->read([](store::Reader& reader)
                               -> Result<std::vector<cashu::MintBalance>, store::StoreFailure> {
                return cashu::Wallet::balances(reader);
            });
        VERIFY(balances.has_value());
        for (const auto& balance : *balances) {
            if (balance.mint.text() == url) return {balance.available, balance.reserved};
        }
        return {};
    }

private:
    class Connector final : public cashu::MintConnector {
    public:
        explicit Connector(FakeMint& other) : found{{kOtherMintUrl, &other}} {}
        std::unique_ptr<cashu::MintClient> connect(const cashu::MintUrl& url,
                                                   cashu::MintRole) override {
            const auto guest = found.find(url.text());
            if (guest == found.end()) return nullptr;
            return std::make_unique<BorrowedMint>(*guest->second);
        }

        std::map<std::string, FakeMint*> found;
    };
    static FakeMint::Options as_other(FakeMint::Options options) {
        options.seed += 1000;
        return options;
    }

    Connector connector_{other};
    store::Database* db_ = nullptr;
    std::uint64_t starts_ = 0;
    int funded_ = 0;
};

}  // namespace nutgate::test
