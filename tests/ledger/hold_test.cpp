#include "books.h"

using namespace nutgate;
using namespace nutgate::test;

TEST_CASE("ledger: a hold is not available twice, and a post frees the rest") {
    Books books;
    CHECK_EQ(*books.hold(7, 800_msat), Applied::Now);
    CHECK_EQ(books.alice().available(), 200_msat);
    CHECK_EQ(books.hold(8, 300_msat).error().ledger, LedgerError::InsufficientFunds);
    CHECK_EQ(books.post(7, 150_msat)->charged, 150_msat);
    CHECK_EQ(books.alice().posted, 850_msat);
    CHECK_EQ(books.alice().held, 0_msat);
    CHECK_EQ(books.balance(kRevenue).posted, 150_msat);
}

TEST_CASE("ledger: nobody pays more than was held") {
    Books books;
    CHECK(books.hold(7, 100_msat));
    CHECK_EQ(books.post(7, 101_msat).error().ledger, LedgerError::ExceedsHold);
    CHECK_EQ(books.alice().held, 100_msat);
    CHECK(books.post(7, 100_msat));
}

TEST_CASE("ledger: every call about a hold may come twice") {
    Books books;
    SUBCASE("hold") {
        CHECK_EQ(*books.hold(7, 800_msat), Applied::Now);
        CHECK_EQ(*books.hold(7, 800_msat, 900), Applied::Before);
        CHECK_EQ(books.hold(7, 1_msat).error().ledger, LedgerError::IdReused);
        CHECK_EQ(books.hold(7, 800_msat, 600, kBob).error().ledger, LedgerError::IdReused);
        CHECK_EQ(books.alice().held, 800_msat);
    }
    SUBCASE("post") {
        CHECK(books.hold(7, 800_msat));
        CHECK_EQ(books.post(7, 150_msat)->applied, Applied::Now);
        const auto again = books.post(7, 150_msat);
        CHECK_EQ(again->applied, Applied::Before);
        CHECK_EQ(again->charged, 150_msat);
        CHECK_EQ(books.post(7, 151_msat).error().ledger, LedgerError::HoldClosed);
        CHECK_EQ(books.post(7, 150_msat, {AccountKind::Revenue, "other"}).error().ledger,
                 LedgerError::HoldClosed);
        CHECK_EQ(books.release(7).error().ledger, LedgerError::HoldClosed);
        CHECK_EQ(books.hold(7, 800_msat).error().ledger, LedgerError::HoldClosed);
        CHECK_EQ(books.alice().posted, 850_msat);
    }
    SUBCASE("release") {
        CHECK(books.hold(7, 800_msat));
        CHECK_EQ(*books.release(7), Applied::Now);
        CHECK_EQ(*books.release(7), Applied::Before);
        CHECK_EQ(books.post(7, 1_msat).error().ledger, LedgerError::HoldClosed);
        CHECK_EQ(books.hold(7, 800_msat).error().ledger, LedgerError::HoldClosed);
        CHECK_EQ(books.alice().available(), 1000_msat);
    }
    SUBCASE("unknown") {
        CHECK_EQ(books.post(7, 1_msat).error().ledger, LedgerError::HoldUnknown);
        CHECK_EQ(books.release(7).error().ledger, LedgerError::HoldUnknown);
        CHECK_EQ(books.renew(7, 10), LedgerError::HoldUnknown);
    }
}

TEST_CASE("ledger: a post of nothing ends the hold, once") {
    Books books;
    CHECK(books.hold(7, 800_msat));
    CHECK_EQ(books.post(7, 0_msat)->applied, Applied::Now);
    CHECK_EQ(books.post(7, 0_msat)->applied, Applied::Before);
    CHECK_EQ(books.alice().available(), 1000_msat);
}

TEST_CASE("ledger: what is past its deadline is released, at most `limit` at a time") {
    Books books;
    for (int n = 10; n < 15; ++n) CHECK(books.hold(n, 100_msat, n));
    CHECK_EQ(books.expire(), 0);
    books.clock.advance(Seconds{14});
    CHECK_EQ(books.expire(3), 3);
    CHECK_EQ(books.alice().held, 200_msat);
    CHECK_EQ(books.post(13, 1_msat)->applied, Applied::Now);  // Late, but its hold is still open.
    books.clock.advance(Seconds{1});
    CHECK_EQ(books.expire(3), 1);
    CHECK_EQ(books.alice().held, 0_msat);
    CHECK_EQ(books.expire(3), 0);
}

TEST_CASE("ledger: a hold that is renewed lives as long as its request") {
    Books books;
    CHECK(books.hold(7, 500_msat, 10));
    for (int i = 0; i < 100; ++i) {
        books.clock.advance(Seconds{9});
        CHECK_EQ(books.renew(7, 10), std::nullopt);
        CHECK_EQ(books.expire(), 0);
    }
    CHECK_EQ(books.post(7, 500_msat)->charged, 500_msat);
    CHECK_EQ(books.renew(7, 10), LedgerError::HoldClosed);
}

TEST_CASE("ledger: a post after the hold expired charges what is available, and no more") {
    Books books;
    CHECK(books.hold(7, 600_msat, 10));
    books.clock.advance(Seconds{11});
    CHECK_EQ(books.expire(), 1);
    CHECK_EQ(books.renew(7, 10), LedgerError::HoldClosed);
    CHECK_EQ(books.hold(7, 600_msat).error().ledger, LedgerError::HoldClosed);
    SUBCASE("all of it is still there") {
        CHECK_EQ(books.post(7, 400_msat)->charged, 400_msat);
        CHECK_EQ(books.alice().posted, 600_msat);
    }
    SUBCASE("some of it was spent or is held by others") {
        CHECK(books.transfer(2, kAlice, kRevenue, 300_msat));
        CHECK(books.hold(8, 500_msat));
        CHECK_EQ(books.post(7, 400_msat)->charged, 200_msat);
        const auto again = books.post(7, 400_msat);
        CHECK_EQ(again->applied, Applied::Before);
        CHECK_EQ(again->charged, 200_msat);
        CHECK_EQ(books.alice().available(), 0_msat);
        CHECK_EQ(books.alice().held, 500_msat);
    }
    SUBCASE("nothing is left") {
        CHECK(books.transfer(2, kAlice, kRevenue, 1000_msat));
        CHECK_EQ(books.post(7, 400_msat)->charged, 0_msat);
        CHECK_EQ(books.balance(kRevenue).posted, 1000_msat);
    }
    SUBCASE("its caller gave up on it") {
        CHECK_EQ(*books.release(7), Applied::Before);
        CHECK_EQ(books.post(7, 400_msat).error().ledger, LedgerError::HoldClosed);
    }
    SUBCASE("never more than was held") {
        CHECK_EQ(books.post(7, 601_msat).error().ledger, LedgerError::ExceedsHold);
    }
}

TEST_CASE("ledger: what has ended is forgotten an hour past its deadline, what is open never") {
    Books books;
    CHECK(books.hold(7, 100_msat, 10));
    CHECK(books.hold(8, 100_msat, 7200));
    CHECK(books.post(7, 50_msat));
    books.clock.advance(Seconds{3600});
    books.expire();
    CHECK_EQ(books.post(7, 50_msat)->applied, Applied::Before);
    books.clock.advance(Seconds{20});
    books.expire();
    CHECK_EQ(books.post(7, 50_msat).error().ledger, LedgerError::HoldUnknown);
    CHECK_EQ(books.post(8, 50_msat)->applied, Applied::Now);
    CHECK_EQ(books.alice().posted, 900_msat);
}

TEST_CASE("ledger: a restart frees what the process before it held") {
    Books books;
    CHECK(books.transfer(2, kMint, kBob, 500_msat));
    CHECK(books.hold(7, 100_msat));
    CHECK(books.hold(8, 200_msat));
    CHECK(books.hold(9, 500_msat, 600, kBob));
    CHECK(books.post(7, 100_msat));
    const auto released = books.in_tx([&](store::Tx& tx) -> Result<int, LedgerError> {
        return books.ledger.release_holds_of_requests(tx);
    });
    CHECK_EQ(*released, 2);
    CHECK_EQ(books.alice().available(), 900_msat);
    CHECK_EQ(books.balance(kBob).available(), 500_msat);
    CHECK_EQ(books.post(8, 1_msat).error().ledger, LedgerError::HoldClosed);
}
