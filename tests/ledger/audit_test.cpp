#include <algorithm>
#include <string>
#include <vector>

#include "books.h"

using namespace nutgate;
using namespace nutgate::test;

namespace {

using Depth = Ledger::Depth;

bool tells(const AuditReport& report, const std::string& fault) {
    return std::any_of(report.faults.begin(), report.faults.end(), [&](const std::string& found) {
        return found.find(fault) != std::string::npos;
    });
}

void some_business(Books& books, int from) {
    REQUIRE(books.transfer(from, kMint, kBob, 500_msat));
    REQUIRE(books.hold(from, 300_msat));
    REQUIRE(books.hold(from + 1, 200_msat));
    REQUIRE(books.post(from, 100_msat));
    REQUIRE(books.transfer(from + 1, kBob, kMint, 200_msat));
}

}  // namespace

TEST_CASE("audit: it counts, lists and finds nothing in honest books") {
    Books books;
    some_business(books, 10);
    const auto report = books.audit(Depth::Full);
    CHECK(report.sound());
    CHECK_EQ(report.transfers, 4);
    CHECK_EQ(report.transfers_checked, 4);
    CHECK_EQ(report.holds_open, 1);
    REQUIRE_EQ(report.accounts.size(), 2U);
    const auto mint = std::find_if(report.accounts.begin(), report.accounts.end(),
                                   [](const auto& line) { return line.account == kMint; });
    REQUIRE(mint != report.accounts.end());
    CHECK_EQ(mint->debits, 1500_msat);
    CHECK_EQ(mint->credits, 200_msat);
    CHECK_EQ(mint->held, 0_msat);
    // Alice and Bob.
    CHECK_EQ(report.keys.count, 2);
    CHECK_EQ(report.keys.debits, 300_msat);
    CHECK_EQ(report.keys.credits, 1500_msat);
    CHECK_EQ(report.keys.held, 200_msat);
}

TEST_CASE("audit: of a great many faults the first are told, and how many there are") {
    Books books;
    constexpr std::int64_t kAccounts = AuditReport::kAccountFaultsMax + 5;
    books.tamper(
        "WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 99 + " +
        std::to_string(kAccounts) +
        ") INSERT INTO account (id, kind, name, sign, debits, credits, held) "
        "SELECT i, 3, 'false' || i, -1, 0, 5, 0 FROM n");
    const auto report = books.audit(Depth::Full);
    CHECK_EQ(report.keys.count, 1 + kAccounts);
    CHECK_EQ(report.faults.size(), static_cast<std::size_t>(AuditReport::kAccountFaultsMax) + 2);
    CHECK(tells(report, "key:false100: its credits are 5, not 0"));
    CHECK(tells(report, "there are 1005 faults of accounts"));
    CHECK(tells(report, "the sum over all accounts is not zero"));
}

TEST_CASE("audit: a checkpoint goes its way in steps, and after each the books can be proved") {
    Books books;
    some_business(books, 10);
    some_business(books, 20);
    const auto transfers = books.audit(Depth::Full).transfers;
    const auto sealed = [&](const SealStep& step) {
        return *books.in_tx([&](store::Tx& tx) -> Result<std::int64_t, LedgerError> {
            return books.ledger.seal_checkpoint(tx, step);
        });
    };
    for (std::int64_t number = 2; number < transfers; number += 2) {
        CHECK_EQ(sealed({.to = transfers - 1, .most = 2}), number);
        CHECK(books.audit(Depth::Full).sound());
        const auto newer = books.audit(Depth::SinceCheckpoint);
        CHECK(newer.sound());
        CHECK_EQ(newer.transfers_checked, transfers - number);
    }
    CHECK_EQ(sealed({.to = transfers - 1, .most = 2}), transfers - 1);
    CHECK_EQ(sealed({.to = transfers - 1, .most = 2}), transfers - 1);
    CHECK_EQ(sealed({.to = 1}), transfers - 1);
    CHECK_EQ(sealed({}), transfers);
    CHECK_EQ(sealed({}), transfers);
}

TEST_CASE("audit: after a checkpoint only what came later is read, and the answer is the same") {
    Books books;
    some_business(books, 10);
    books.seal();
    CHECK_EQ(books.audit(Depth::SinceCheckpoint).transfers_checked, 0);
    some_business(books, 20);
    const auto short_audit = books.audit(Depth::SinceCheckpoint);
    CHECK_EQ(short_audit.transfers_checked, 3);
    CHECK(short_audit.sound());
    CHECK(books.audit(Depth::Full).sound());
    REQUIRE(books.transfer(5, kMint, kAlice, 1000_msat));
    books.seal();
    books.seal();
    some_business(books, 30);
    CHECK_EQ(books.audit(Depth::SinceCheckpoint).transfers_checked, 3);
}

TEST_CASE("audit: empty books are sound") {
    FixedClock clock;
    Ledger ledger{clock};
    const auto database = store::open("sqlite::memory:").value();
    REQUIRE(Ledger::migrate(*database));
    REQUIRE(Ledger::migrate(*database));
    const auto sealed = database->transact([&](store::Tx& tx) -> Result<bool, BooksError> {
        CHECK(ledger.audit(tx, Depth::SinceCheckpoint).sound());
        ledger.seal_checkpoint(tx);
        CHECK(ledger.audit(tx, Depth::Full).sound());
        return true;
    });
    CHECK(sealed);
}

namespace {

// An edit behind the program's back, and what an audit says of it.
struct Edit {
    const char* name;
    std::vector<std::string> statements;
    std::vector<std::string> faults;
};

const std::vector<Edit> kEdits{
    {"a balance made larger",
     {"UPDATE account SET credits = credits + 1 WHERE name = 'bob'"},
     {"key:bob: its credits are 501, not 500", "the sum over all accounts is not zero"}},
    {"money moved between two balances",
     {"UPDATE account SET credits = credits + 1 WHERE name = 'bob'",
      "UPDATE account SET credits = credits - 1 WHERE name = 'alice'"},
     {"key:bob: its credits are", "key:alice: its credits are"}},
    {"a transfer's amount",
     {"UPDATE transfer SET amount = amount - 1 WHERE number = 2"},
     {"key:bob: its credits are 500, not 499"}},
    {"a transfer's account",
     {"UPDATE transfer SET credit = 77 WHERE number = 2"},
     {"account number 77, which does not exist"}},
    {"a transfer removed, with its traces in both accounts",
     {"DELETE FROM transfer WHERE number = 3",
      "UPDATE account SET debits = debits - 100 WHERE name = 'alice'",
      "UPDATE account SET credits = credits - 100 WHERE name = 'requests'"},
     {"transfers there are 3, not 4"}},
    {"what is held",
     {"UPDATE account SET held = held - 1 WHERE name = 'alice'"},
     {"key:alice: it has held 199, not 200"}},
    {"a hold",
     {"UPDATE hold SET amount = 7 WHERE state = 1"},
     {"key:alice: it has held 200, not 7"}},
    {"a hold of nobody's",
     {"UPDATE hold SET payer = 99 WHERE state = 1"},
     {"open holds name account number 99"}},
    {"a balance below zero",
     {"UPDATE account SET debits = 5000 WHERE name = 'alice'"},
     {"key:alice: its balance is below zero"}},
    {"more held than there is",
     {"UPDATE account SET held = 5000 WHERE name = 'alice'"},
     {"key:alice: it has more held than it has"}},
    {"an account's nature",
     {"UPDATE account SET sign = 1 WHERE name = 'bob'"},
     {"key:bob: its sign is 1, not -1"}},
    {"a kind that does not exist",
     {"UPDATE account SET kind = 99 WHERE name = 'bob'"},
     {"has no known kind"}},
    {"an account removed", {"DELETE FROM account WHERE name = 'bob'"}, {"which does not exist"}},
    {"numbers that no sum can hold",
     {"UPDATE account SET debits = 9223372036854775807"},
     {"its debits are 9223372036854775807"}},
};

}  // namespace

TEST_CASE("audit: whoever edits a row is found out, and nothing aborts") {
    for (const Edit& edit : kEdits) {
        CAPTURE(edit.name);
        Books books;
        some_business(books, 10);
        for (const auto& statement : edit.statements) books.tamper(statement);
        for (const auto depth : {Depth::Full, Depth::SinceCheckpoint}) {
            const auto report = books.audit(depth);
            for (const auto& fault : edit.faults) {
                CAPTURE(fault);
                CHECK(tells(report, fault));
            }
        }
    }
}

TEST_CASE("audit: an account that can't be is worth nothing to its owner") {
    Books books;
    some_business(books, 10);
    SUBCASE("its balance is below zero") {
        books.tamper("UPDATE account SET debits = 5000 WHERE name = 'alice'");
        CHECK_EQ(books.alice().posted, 0_msat);
    }
    SUBCASE("it has more held than it has") {
        books.tamper("UPDATE account SET held = 5000 WHERE name = 'alice'");
        CHECK_EQ(books.alice().available(), 0_msat);
    }
}

TEST_CASE("audit: the full one also proves the checkpoint") {
    Books books;
    some_business(books, 10);
    books.seal();
    SUBCASE("an edit of what lies before it") {
        books.tamper("UPDATE transfer SET amount = amount + 1 WHERE number = 2");
        CHECK(books.audit(Depth::SinceCheckpoint).sound());
        CHECK(tells(books.audit(Depth::Full), "the checkpoint is not the sum"));
        CHECK(tells(books.audit(Depth::Full), "key:bob: its credits are 500, not 501"));
    }
    SUBCASE("an edit of the checkpoint") {
        books.tamper("UPDATE sealed SET credits = credits + 1 WHERE credits > 0");
        CHECK_FALSE(books.audit(Depth::SinceCheckpoint).sound());
        CHECK(tells(books.audit(Depth::Full), "the checkpoint is not the sum"));
    }
    SUBCASE("transfers cut off behind it") {
        books.tamper("DELETE FROM transfer WHERE number > 2");
        CHECK(tells(books.audit(Depth::SinceCheckpoint), "the newest transfer is number 2"));
        CHECK(tells(books.audit(Depth::Full), "the newest transfer is number 2"));
    }
}

TEST_CASE("audit: a wrong balance is not sealed in") {
    Books books;
    some_business(books, 10);
    books.tamper("UPDATE account SET credits = credits + 1 WHERE name = 'bob'");
    books.seal();
    CHECK(tells(books.audit(Depth::SinceCheckpoint), "key:bob: its credits are 501, not 500"));
}

TEST_CASE("audit: a restart does not hide a wrong held amount") {
    Books books;
    some_business(books, 10);
    books.tamper("UPDATE account SET held = held + 5 WHERE name = 'alice'");
    CHECK(books.in_tx([&](store::Tx& tx) -> Result<int, LedgerError> {
        return books.ledger.release_holds_of_requests(tx);
    }));
    CHECK(tells(books.audit(Depth::SinceCheckpoint), "key:alice: it has held 5, not 0"));
}
