// A ledger in memory with 1000 msat of Alice's in it, audited when it goes.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "nutgate/ledger/ledger.h"
#include "nutgate/store/open.h"
#include "support/fixed_clock.h"

namespace nutgate::test {

using namespace nutgate::literals;  // NOLINT(google-build-using-namespace)

template <class Id>
Id id_of(int n) {
    ByteArray<Id::kSize> bytes{};
    bytes[0] = static_cast<std::byte>(n);
    bytes[1] = static_cast<std::byte>(n >> 8);
    bytes[2] = static_cast<std::byte>(n >> 16);
    return Id{bytes};
}

inline const Account kAlice{AccountKind::Key, "alice"};
inline const Account kBob{AccountKind::Key, "bob"};
inline const Account kMint{AccountKind::Ecash, "https://mint.example:sat"};
inline const Account kRevenue{AccountKind::Revenue, "requests"};
inline const Account kInFlight{AccountKind::PaymentInFlight, "payments"};

struct BooksError {
    BooksError(LedgerError e) : ledger{e} {}
    BooksError(store::StoreFailure f) : detail{std::move(f.detail)} {}
    std::optional<LedgerError> ledger;
    std::string detail;
};

struct Books {
    FixedClock clock;
    Ledger ledger{clock};
    std::unique_ptr<store::Database> database;
    bool tampered = false;  // The test has broken them, and looks for the faults itself.

    explicit Books(const std::string& url = "sqlite::memory:")
        : database{store::open(url, {.rehearses = true}).value()} {
        REQUIRE(Ledger::migrate(*database));
        REQUIRE(transfer(1, kMint, kAlice, 1000_msat, "deposit"));
    }
    ~Books() {
        if (tampered) return;
        CHECK(audit(Ledger::Depth::Full).faults == std::vector<std::string>{});
        CHECK(audit(Ledger::Depth::SinceCheckpoint).sound());
    }

    template <class Body>
    auto in_tx(Body body) {
        using Value = std::decay_t<decltype(*body(std::declval<store::Tx&>()))>;
        return database->transact([&](store::Tx& tx) -> Result<Value, BooksError> {
            TRY(auto value, body(tx));
            return value;
        });
    }
    template <class Body>
    auto look(Body body) {
        using Value = std::decay_t<decltype(body(std::declval<store::Reader&>()))>;
        return *database->read(
            [&](store::Reader& reader) -> Result<Value, BooksError> { return body(reader); });
    }

    Result<Applied, BooksError> transfer(int n, const Account& debit, const Account& credit,
                                         Msat amount, const std::string& reason = "test") {
        return in_tx([&](store::Tx& tx) {
            return ledger.transfer(tx, {id_of<TransferId>(n), debit, credit, amount, reason});
        });
    }
    Time later(int seconds) const { return clock.now() + Seconds{seconds}; }
    Result<Applied, BooksError> hold(int n, Msat amount, int seconds = 600,
                                     const Account& payer = kAlice) {
        return in_tx([&](store::Tx& tx) {
            return ledger.hold(tx, {id_of<HoldId>(n), payer, amount, later(seconds)});
        });
    }
    Result<Charge, BooksError> post(int n, Msat cost, const Account& payee = kRevenue) {
        return in_tx([&](store::Tx& tx) { return ledger.post(tx, id_of<HoldId>(n), payee, cost); });
    }
    Result<Captured, BooksError> capture(int n, std::int64_t sequence, Msat cost) {
        return in_tx([&](store::Tx& tx) {
            return ledger.capture(tx, {id_of<HoldId>(n), sequence, kRevenue, cost});
        });
    }
    Result<Msat, BooksError> grow(int n, Msat more, int seconds = 600) {
        return in_tx(
            [&](store::Tx& tx) { return ledger.grow(tx, id_of<HoldId>(n), more, later(seconds)); });
    }
    Result<Msat, BooksError> shrink(int n, Msat less) {
        return in_tx([&](store::Tx& tx) { return ledger.shrink(tx, id_of<HoldId>(n), less); });
    }
    Result<Applied, BooksError> release(int n) {
        return in_tx([&](store::Tx& tx) { return ledger.release(tx, id_of<HoldId>(n)); });
    }
    std::optional<LedgerError> renew(int n, int seconds) {
        const auto renewed = database->transact([&](store::Tx& tx) -> Result<void, BooksError> {
            TRY_VOID(ledger.renew(tx, id_of<HoldId>(n), later(seconds)));
            return {};
        });
        return renewed ? std::nullopt : renewed.error().ledger;
    }
    int expire(int limit = 100) {
        return *in_tx([&](store::Tx& tx) -> Result<int, LedgerError> {
            return ledger.expire_holds(tx, limit);
        });
    }
    void seal() {
        REQUIRE(in_tx([&](store::Tx& tx) -> Result<bool, LedgerError> {
            ledger.seal_checkpoint(tx);
            return true;
        }));
    }
    void tamper(const std::string& sql) {
        tampered = true;
        REQUIRE(in_tx([&](store::Tx& tx) -> Result<bool, LedgerError> {
            tx.execute("PRAGMA ignore_check_constraints = ON");
            CHECK_GE(tx.execute(sql), 1);
            return true;
        }));
    }

    Balance balance(const Account& account) {
        return look([&](store::Reader& reader) { return ledger.balance(reader, account); });
    }
    Balance alice() { return balance(kAlice); }
    AuditReport audit(Ledger::Depth depth) {
        return look([&](store::Reader& reader) { return ledger.audit(reader, depth); });
    }
};

}  // namespace nutgate::test
