#include "told_book.h"

namespace nutgate::lightning {

using store::StoreFailure;

Result<std::optional<Time>, StoreFailure> ToldBook::until(const PaymentHash& hash) const {
    using Found = std::optional<Time>;
    return database_.read([&](store::Reader& reader) -> Result<Found, StoreFailure> {
        const auto row = reader.query_one(
            "SELECT until FROM lightning_told WHERE owner = $1 AND payment_hash = $2", owner_,
            hash);
        return row ? Found{row->time(0)} : Found{};
    });
}

Result<void, StoreFailure> ToldBook::note(const PaymentHash& hash, Time until) {
    const auto done = database_.transact([&](store::Tx& tx) -> Result<bool, StoreFailure> {
        tx.execute(
            "INSERT INTO lightning_told (owner, payment_hash, until) VALUES ($1, $2, $3) ON "
            "CONFLICT (owner, payment_hash) DO UPDATE SET until = excluded.until",
            owner_, hash, until);
        return true;
    });
    if (!done) return fail(done.error());
    return {};
}

Result<void, StoreFailure> ToldBook::forget(const PaymentHash& hash) {
    const auto done = database_.transact([&](store::Tx& tx) -> Result<bool, StoreFailure> {
        tx.execute("DELETE FROM lightning_told WHERE owner = $1 AND payment_hash = $2", owner_,
                   hash);
        return true;
    });
    if (!done) return fail(done.error());
    return {};
}

}  // namespace nutgate::lightning
