// A wallet with a fake mint and recording books, on a database that outlives it.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nutgate/cashu/wallet.h"
#include "nutgate/store/open.h"
#include "support/fake_mint.h"
#include "support/fixed_clock.h"
#include "support/recording_settler.h"
#include "support/seeded_random.h"

namespace nutgate::test {

inline constexpr const char* kFakeMintUrl = "https://mint.example";

inline Msat sats(std::int64_t n) { return to_msat(Sat::from_raw(n).value()); }

// Why it failed, as it must have.
template <class T>
cashu::WalletError::Code code_of(const Result<T, cashu::WalletError>& result) {
    REQUIRE_FALSE(result.has_value());
    return result.error().code;
}

class WalletWorld {
public:
    explicit WalletWorld(FakeMint::Options options = {}) : mint{options} {
        database = store::open("sqlite::memory:").value();
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
            Secret{to_bytes(seed)}, settler, clock, *random, metrics);
        db_ = &through;
    }
    void reopen() { reopen(*database); }

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
    // Runs what is left, with time passing, until nothing is or nothing helps.
    void recover_all() {
        mint.clear_faults();
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

    // Every proof that the wallet calls its own is unspent at the mint, and together with the
    // tokens handed out they are all that the mint still owes: nothing was lost and nothing made.
    // `outside`: what others still hold besides.
    void audit(cashu::Amount outside = 0) {
        const auto proofs = database->read(
            [](store::Reader& reader) -> Result<std::vector<std::pair<ByteArray<33>, std::int64_t>>,
                                                store::StoreFailure> {
                std::vector<std::pair<ByteArray<33>, std::int64_t>> found;
                for (const auto& row :
                     reader.query("SELECT y, amount FROM wallet_proof WHERE state IN (1, 2)")) {
                    ByteArray<33> y;
                    std::copy(row.bytes(0).begin(), row.bytes(0).end(), y.begin());
                    found.emplace_back(y, row.integer(1));
                }
                return found;
            });
        REQUIRE(proofs);
        std::uint64_t held = 0;
        for (const auto& [y, amount] : *proofs) {
            CHECK_FALSE(mint.is_spent(y));
            held += static_cast<std::uint64_t>(amount);
        }
        std::uint64_t handed_out = 0;
        for (const auto& event : told("sent")) {
            const auto token = cashu::parse_token(event.token);
            REQUIRE(token);
            CHECK_EQ(cashu::to_msat(*cashu::sum(token->proofs), cashu::Unit::Sat), event.amount);
            for (const auto& proof : token->proofs) {
                if (!mint.is_spent(cashu::hash_to_curve(proof.secret)->compressed())) {
                    handed_out += proof.amount;
                }
            }
        }
        CHECK_EQ(held + handed_out + outside, mint.outstanding());
    }

    std::string seed = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    FakeMint mint;
    FixedClock clock;
    RecordingSettler settler;
    metrics::Registry metrics;
    std::unique_ptr<SeededRandom> random;
    std::unique_ptr<store::Database> database;
    std::unique_ptr<cashu::Wallet> wallet;

private:
    std::pair<Msat, Msat> balance() {
        const auto balances =
            database->read([](store::Reader& reader)
                               -> Result<std::vector<cashu::MintBalance>, store::StoreFailure> {
                return cashu::Wallet::balances(reader);
            });
        VERIFY(balances.has_value() && balances->size() <= 1);
        if (balances->empty()) return {};
        return {balances->front().available, balances->front().reserved};
    }

    store::Database* db_ = nullptr;
    std::uint64_t starts_ = 0;
    int funded_ = 0;
};

}  // namespace nutgate::test
