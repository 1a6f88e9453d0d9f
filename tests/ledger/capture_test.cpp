// Holds that many requests share: charged, grown and shrunk in parts.
#include "books.h"

using namespace nutgate;
using namespace nutgate::test;

TEST_CASE("ledger: a hold is charged in parts, and shrinks by what is charged") {
    Books books;
    CHECK(books.hold(7, 800_msat));
    const auto first = books.capture(7, 1, 150_msat);
    CHECK_EQ(first->charged, 150_msat);
    CHECK_EQ(first->held, 650_msat);
    CHECK_EQ(first->available, 200_msat);
    CHECK_EQ(books.capture(7, 2, 650_msat)->held, 0_msat);
    CHECK_EQ(books.alice().posted, 200_msat);
    CHECK_EQ(books.alice().held, 0_msat);
    CHECK_EQ(books.balance(kRevenue).posted, 800_msat);
    CHECK_EQ(*books.release(7), Applied::Now);
}

TEST_CASE("ledger: a part is charged once, in its turn") {
    Books books;
    CHECK(books.hold(7, 800_msat));
    CHECK_EQ(books.capture(7, 2, 1_msat).error().ledger, LedgerError::IdReused);
    CHECK_EQ(books.capture(7, 1, 100_msat)->applied, Applied::Now);
    CHECK_EQ(books.capture(7, 2, 200_msat)->applied, Applied::Now);
    for (const std::int64_t told : {1, 2}) {
        const auto again = books.capture(7, told, 100_msat);
        CHECK_EQ(again->applied, Applied::Before);
        CHECK_EQ(again->charged, 0_msat);
        CHECK_EQ(again->held, 500_msat);
    }
    CHECK_EQ(books.alice().posted, 700_msat);
    CHECK_EQ(books.look([&](store::Reader& reader) {
        return books.ledger.captures(reader, id_of<HoldId>(7));
    }),
             2);
    CHECK_EQ(books.look([&](store::Reader& reader) {
        return books.ledger.captures(reader, id_of<HoldId>(8));
    }),
             0);
}

TEST_CASE("ledger: a part says which transfer it was, and charges are listed by their numbers") {
    Books books;
    CHECK(books.hold(7, 800_msat));
    const std::int64_t first = books.capture(7, 1, 100_msat)->transfer;
    const std::int64_t second = books.capture(7, 2, 50_msat)->transfer;
    CHECK(first > 0);
    CHECK_EQ(second, first + 1);
    CHECK_EQ(books.capture(7, 3, 0_msat)->transfer, 0);   // Nothing was moved.
    CHECK_EQ(books.capture(7, 2, 50_msat)->transfer, 0);  // Told again.
    const auto charges = [&](const Account& payee, std::int64_t from, std::int64_t until) {
        return books.look([&](store::Reader& reader) {
            return books.ledger.charges(reader, payee, from, until);
        });
    };
    CHECK_EQ(books.look([&](store::Reader& reader) { return books.ledger.newest(reader); }),
             second);
    const auto all = charges(kRevenue, 1, second + 1);
    REQUIRE_EQ(all.size(), 2);
    CHECK_EQ(all[0].number, first);
    CHECK_EQ(all[0].amount, 100_msat);
    CHECK_EQ(all[1].amount, 50_msat);
    CHECK_EQ(charges(kRevenue, second, second + 1).size(), 1);
    CHECK(charges({AccountKind::Revenue, "mint"}, 1, second + 1).empty());
}

TEST_CASE("ledger: a part beyond its hold takes what is available, and no more") {
    Books books;
    CHECK(books.hold(7, 300_msat));
    CHECK(books.hold(8, 600_msat));
    const auto charge = books.capture(7, 1, 500_msat);
    CHECK_EQ(charge->charged, 400_msat);
    CHECK_EQ(charge->held, 0_msat);
    CHECK_EQ(books.alice().posted, 600_msat);
    CHECK_EQ(books.alice().held, 600_msat);
}

TEST_CASE("ledger: what is charged to an expired hold is taken from what is available") {
    Books books;
    CHECK(books.hold(7, 800_msat, 10));
    CHECK(books.capture(7, 1, 100_msat));
    books.clock.advance(Seconds{11});
    CHECK_EQ(books.expire(), 1);
    CHECK(books.hold(8, 700_msat));
    CHECK_EQ(books.capture(7, 2, 300_msat)->charged, 200_msat);
    CHECK_EQ(books.capture(7, 2, 300_msat)->applied, Applied::Before);
    CHECK_EQ(books.grow(7, 0_msat).error().ledger, LedgerError::HoldClosed);
    CHECK_EQ(books.shrink(7, 0_msat).error().ledger, LedgerError::HoldClosed);
    CHECK_EQ(*books.release(7), Applied::Before);
    CHECK_EQ(books.capture(7, 3, 1_msat).error().ledger, LedgerError::HoldClosed);
    CHECK_EQ(books.capture(9, 1, 1_msat).error().ledger, LedgerError::HoldUnknown);
}

TEST_CASE("ledger: a part that the payee can't count leaves its hold as it was") {
    Books books;
    CHECK(books.hold(7, 800_msat));
    CHECK(books.capture(7, 1, 100_msat));
    const Msat most = *subtract(*Msat::from_raw(Msat::kMax), 100_msat);
    CHECK(books.transfer(2, {AccountKind::Lightning, "lnd"}, kRevenue, most));
    std::optional<LedgerError> refused;
    REQUIRE(books.in_tx([&](store::Tx& tx) -> Result<bool, LedgerError> {
        const auto charge = books.ledger.capture(tx, {id_of<HoldId>(7), 2, kRevenue, 50_msat});
        if (!charge) refused = charge.error();
        return true;  // Commits, as it does for the others of a batch.
    }));
    CHECK_EQ(refused, LedgerError::AmountOverflow);
    CHECK_EQ(books.alice().posted, 900_msat);
    CHECK_EQ(books.alice().held, 700_msat);
    CHECK(books.transfer(3, kRevenue, {AccountKind::Lightning, "lnd"}, most));
    CHECK_EQ(books.capture(7, 2, 50_msat).error().ledger, LedgerError::AmountOverflow);
    CHECK_EQ(*books.shrink(7, 0_msat), 700_msat);
}

TEST_CASE("ledger: a hold grows by what is available, and shrinks by what it has") {
    Books books;
    CHECK(books.hold(7, 800_msat, 10));
    CHECK_EQ(books.grow(7, 201_msat).error().ledger, LedgerError::InsufficientFunds);
    CHECK_EQ(*books.grow(7, 200_msat, 600), 1000_msat);
    CHECK_EQ(books.alice().available(), 0_msat);
    books.clock.advance(Seconds{11});
    CHECK_EQ(books.expire(), 0);  // It was renewed as it grew.
    CHECK_EQ(books.shrink(7, 1001_msat).error().ledger, LedgerError::ExceedsHold);
    CHECK_EQ(*books.shrink(7, 400_msat), 600_msat);
    CHECK_EQ(books.alice().available(), 400_msat);
    CHECK_EQ(books.grow(9, 0_msat).error().ledger, LedgerError::HoldUnknown);
    CHECK_EQ(books.post(7, 600_msat)->charged, 600_msat);
    CHECK_EQ(books.grow(7, 0_msat).error().ledger, LedgerError::HoldClosed);
}

TEST_CASE("ledger: a hold that was charged in parts is freed by a restart to the msat") {
    Books books;
    CHECK(books.hold(7, 800_msat));
    CHECK(books.capture(7, 1, 150_msat));
    CHECK(books.grow(7, 100_msat));
    REQUIRE(books.in_tx([&](store::Tx& tx) -> Result<int, LedgerError> {
        return books.ledger.release_holds_of_requests(tx);
    }));
    CHECK_EQ(books.alice().held, 0_msat);
    CHECK_EQ(books.alice().posted, 850_msat);
}
