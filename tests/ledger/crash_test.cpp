#include "books.h"
#include "support/crash_database.h"
#include "support/temp_dir.h"

using namespace nutgate;
using namespace nutgate::test;

namespace {

// A request and a refund, each step with the id that its caller stored, stopping at the first
// failure: what a process does that dies on the way, and again what the next one does.
bool run(store::Database& database, Ledger& ledger) {
    const auto step = [&](auto body) {
        return database
            .transact([&](store::Tx& tx) -> Result<bool, BooksError> {
                TRY_VOID(body(tx));
                return true;
            })
            .has_value();
    };
    const auto hold = id_of<HoldId>(7);
    const auto deadline = from_unix_seconds(2'000'000'000);
    return step([&](store::Tx& tx) -> Result<void, LedgerError> {
               const auto held = ledger.hold(tx, {hold, kAlice, 400_msat, deadline});
               // After the crash it may have been posted already: then there is no more to hold.
               if (!held && held.error() != LedgerError::HoldClosed) return fail(held.error());
               return {};
           }) &&
           step([&](store::Tx& tx) { return ledger.post(tx, hold, kRevenue, 150_msat); }) &&
           step([&](store::Tx& tx) {
               return ledger.transfer(tx, {id_of<TransferId>(2), kAlice, kInFlight, 850_msat});
           }) &&
           step([&](store::Tx& tx) -> Result<void, LedgerError> {
               ledger.seal_checkpoint(tx);
               return {};
           }) &&
           step([&](store::Tx& tx) {
               return ledger.transfer(tx, {id_of<TransferId>(3), kInFlight, kMint, 850_msat});
           });
}

}  // namespace

TEST_CASE("ledger: a process that dies at any statement is finished by the next, to the msat") {
    std::int64_t n = 1;
    for (;; ++n) {
        const TempDir folder;
        {
            Books books{folder.database_url()};
            CrashDatabase crash{*books.database};
            crash.crash_at(n);
            const bool finished = run(crash, books.ledger);
            if (!crash.crashed()) {
                CHECK(finished);
                break;
            }
        }
        Books books{folder.database_url()};
        CHECK(run(*books.database, books.ledger));
        CHECK_EQ(books.alice().posted, 0_msat);
        CHECK_EQ(books.alice().held, 0_msat);
        CHECK_EQ(books.balance(kRevenue).posted, 150_msat);
        CHECK_EQ(books.balance(kMint).posted, 150_msat);
        CHECK_EQ(books.balance(kInFlight).posted, 0_msat);
    }
    CHECK_GT(n, 25);
}
