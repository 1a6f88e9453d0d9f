#include "books.h"
#include "support/temp_dir.h"

using namespace nutgate;
using namespace nutgate::test;

TEST_CASE("ledger: a transfer moves money from one account to another") {
    Books books;
    CHECK_EQ(*books.transfer(2, kAlice, kRevenue, 300_msat), Applied::Now);
    CHECK_EQ(books.alice().posted, 700_msat);
    CHECK_EQ(books.balance(kRevenue).posted, 300_msat);
    CHECK_EQ(books.balance(kMint).posted, 1000_msat);
    CHECK_EQ(books.balance({AccountKind::Key, "nobody"}).posted, 0_msat);
}

TEST_CASE("ledger: a transfer twice is applied once, and another under its id is refused") {
    Books books;
    CHECK_EQ(*books.transfer(2, kAlice, kRevenue, 300_msat), Applied::Now);
    CHECK_EQ(*books.transfer(2, kAlice, kRevenue, 300_msat), Applied::Before);
    CHECK_EQ(*books.transfer(2, kAlice, kRevenue, 300_msat, "other_word"), Applied::Before);
    CHECK_EQ(books.transfer(2, kAlice, kRevenue, 301_msat).error().ledger, LedgerError::IdReused);
    CHECK_EQ(books.transfer(2, kMint, kRevenue, 300_msat).error().ledger, LedgerError::IdReused);
    CHECK_EQ(books.transfer(2, kAlice, kBob, 300_msat).error().ledger, LedgerError::IdReused);
    // Also when there is nothing left to do it with.
    CHECK(books.transfer(3, kAlice, kRevenue, 700_msat));
    CHECK_EQ(*books.transfer(2, kAlice, kRevenue, 300_msat), Applied::Before);
    CHECK_EQ(books.alice().posted, 0_msat);
}

TEST_CASE("ledger: no account of any kind goes below zero, or below what is held") {
    Books books;
    CHECK(books.transfer(2, kAlice, kRevenue, 100_msat));
    CHECK(books.transfer(3, {AccountKind::Fees, "mint"}, {AccountKind::Owner, ""}, 50_msat));
    CHECK(books.transfer(4, {AccountKind::Losses, "x"}, {AccountKind::MintOutstanding, "k"},
                         50_msat));
    CHECK(books.transfer(5, {AccountKind::Lightning, "lnd"}, kInFlight, 50_msat));
    const auto refused = [&](const Account& debit, const Account& credit, Msat amount) {
        return books.transfer(6, debit, credit, amount).error().ledger ==
               LedgerError::InsufficientFunds;
    };
    CHECK(refused(kAlice, kRevenue, 901_msat));
    CHECK(refused(kRevenue, kAlice, 101_msat));
    CHECK(refused({AccountKind::Owner, ""}, kAlice, 51_msat));
    CHECK(refused({AccountKind::MintOutstanding, "k"}, kAlice, 51_msat));
    CHECK(refused(kInFlight, kAlice, 51_msat));
    CHECK(refused(kMint, {AccountKind::Fees, "mint"}, 51_msat));
    CHECK(refused(kMint, {AccountKind::Losses, "x"}, 51_msat));
    CHECK(refused(kMint, {AccountKind::Lightning, "lnd"}, 51_msat));
    CHECK(refused({AccountKind::Fees, "mint"}, kMint, 1001_msat));
    CHECK(refused(kBob, kRevenue, 1_msat));
    CHECK(books.hold(7, 850_msat));
    CHECK(refused(kAlice, kRevenue, 51_msat));
    CHECK_EQ(*books.transfer(6, kAlice, kRevenue, 50_msat), Applied::Now);
}

TEST_CASE("ledger: a refused transfer changes nothing, even if its transaction goes on") {
    Books books;
    CHECK(books.transfer(2, kMint, kBob, 10_msat));
    // Alice has the money; the account it would be taken from has not.
    const Account empty{AccountKind::Lightning, "lnd"};
    std::optional<LedgerError> first;
    CHECK(books.in_tx([&](store::Tx& tx) -> Result<bool, LedgerError> {
        const auto refused =
            books.ledger.transfer(tx, {id_of<TransferId>(3), kAlice, empty, 500_msat});
        first = refused.error();
        return true;  // Commits.
    }));
    CHECK_EQ(first, LedgerError::InsufficientFunds);
    CHECK_EQ(books.alice().posted, 1000_msat);
    CHECK_EQ(books.balance(empty).posted, 0_msat);
    CHECK_EQ(*books.transfer(3, kMint, kAlice, 1_msat), Applied::Now);  // Its id is free.
}

TEST_CASE("ledger: what a side of an account can't count is refused") {
    Books books;
    const Msat max = *Msat::from_raw(Msat::kMax);
    CHECK_EQ(books.transfer(2, kMint, kBob, max).error().ledger, LedgerError::AmountOverflow);
    CHECK_EQ(books.balance(kBob).posted, 0_msat);
    CHECK(books.transfer(3, {AccountKind::Lightning, "lnd"}, kBob, max));
    CHECK_EQ(books.transfer(4, {AccountKind::Ecash, "other"}, kBob, 1_msat).error().ledger,
             LedgerError::AmountOverflow);
    CHECK_EQ(books.balance({AccountKind::Ecash, "other"}).posted, 0_msat);
}

TEST_CASE("ledger: nothing can be moved, and an account to itself") {
    Books books;
    CHECK_EQ(*books.transfer(2, kBob, kRevenue, 0_msat), Applied::Now);
    CHECK_EQ(*books.transfer(2, kBob, kRevenue, 0_msat), Applied::Before);
    CHECK_EQ(*books.transfer(3, kAlice, kAlice, 1000_msat), Applied::Now);
    CHECK_EQ(books.alice().posted, 1000_msat);
}

TEST_CASE("ledger: a kind's total is the sum of its accounts") {
    Books books;
    CHECK(books.transfer(2, kMint, kBob, 500_msat));
    CHECK(books.transfer(3, kAlice, kRevenue, 300_msat));
    const auto total = [&](AccountKind kind) {
        return books.look([&](store::Reader& r) { return books.ledger.total(r, kind); });
    };
    CHECK_EQ(total(AccountKind::Key), 1200_msat);
    CHECK_EQ(total(AccountKind::Ecash), 1500_msat);
    CHECK_EQ(total(AccountKind::Revenue), 300_msat);
    CHECK_EQ(total(AccountKind::Owner), 0_msat);
}

TEST_CASE("ledger: an account's history tells each transfer, the newest first, page by page") {
    Books books;
    books.clock.advance(Seconds{5});
    CHECK(books.hold(7, 500_msat));
    CHECK(books.post(7, 150_msat));
    CHECK(books.hold(8, 500_msat));
    CHECK(books.post(8, 0_msat));  // Nothing to tell.
    CHECK(books.transfer(2, kMint, kBob, 9_msat));
    CHECK(books.transfer(3, kAlice, kMint, 100_msat, "refund"));
    const auto history = [&](const Account& account, int limit,
                             std::optional<std::int64_t> before = {}) {
        return books.look(
            [&](store::Reader& r) { return books.ledger.history(r, account, limit, before); });
    };
    const auto all = history(kAlice, 10);
    REQUIRE_EQ(all.size(), 3U);
    CHECK_EQ(all[0].reason, "refund");
    CHECK_FALSE(all[0].incoming);
    CHECK(all[0].other == kMint);
    CHECK_EQ(all[1].reason, "charge");
    CHECK_EQ(all[1].amount, 150_msat);
    CHECK(all[1].at == books.clock.now());
    CHECK_EQ(all[2].reason, "deposit");
    CHECK(all[2].incoming);
    CHECK_EQ(all[2].number, 1);
    const auto first = history(kAlice, 2);
    REQUIRE_EQ(first.size(), 2U);
    const auto second = history(kAlice, 2, first.back().number);
    REQUIRE_EQ(second.size(), 1U);
    CHECK_EQ(second[0].number, 1);
    const auto mint = history(kMint, 10);
    REQUIRE_EQ(mint.size(), 3U);
    CHECK_FALSE(mint[0].incoming);  // An asset grows by a debit.
    CHECK(mint[2].incoming);
    CHECK(history({AccountKind::Key, "nobody"}, 10).empty());
}

TEST_CASE("ledger: the books survive a reopen") {
    const TempDir folder;
    { Books books{folder.database_url()}; }
    const Books books{folder.database_url()};  // Its deposit was applied before.
}
