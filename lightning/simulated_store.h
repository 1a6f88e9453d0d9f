// What the simulated network's files share: how its database fails, and what has come in to offers.
#pragma once

#include <utility>
#include <vector>

#include "nutgate/base/log.h"
#include "nutgate/lightning/backend.h"
#include "nutgate/store/store.h"

namespace nutgate::lightning {

// A backend's error, or that the database failed, which to our callers is a node out of reach.
struct Trouble {
    explicit Trouble(BackendError error) : why{error} {}
    explicit Trouble(const store::StoreFailure& failure)
        : why{BackendError::Unreachable}, store{true} {
        log::warn("simulated_lightning_store", {{"detail", failure.detail}});
    }
    BackendError why;
    bool store = false;
};

template <class T>
Result<T, BackendError> without_detail(Result<T, Trouble> result) {
    if (!result) return fail(result.error().why);
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return *std::move(result);
    }
}

// Gives what is due its number. Numbers follow one another as payments were noted, and a payment
// keeps its own, so what is asked for after one of them is never left out.
std::vector<PaymentHash> number_arrivals(store::Tx& tx, Time now);
// When the next one is due that has none yet.
std::optional<Time> next_arrival(store::Reader& reader);
// In msat, of all offers.
std::int64_t received_by_offers(store::Reader& reader, Time now);

}  // namespace nutgate::lightning
