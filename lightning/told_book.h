// Payments that somebody may have been told of, and until when they may begin or be under way
// without being known there: written before anybody is told.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/store/store.h"

namespace nutgate::lightning {

class ToldBook {
public:
    // `owner` keeps the books of two backends apart.
    ToldBook(store::Database& database, std::string owner)
        : database_{database}, owner_{std::move(owner)} {}

    Result<std::optional<Time>, store::StoreFailure> until(const PaymentHash& hash) const;
    Result<void, store::StoreFailure> note(const PaymentHash& hash, Time until);
    // Certainly nobody was told.
    Result<void, store::StoreFailure> forget(const PaymentHash& hash);

private:
    store::Database& database_;
    const std::string owner_;
};

}  // namespace nutgate::lightning
