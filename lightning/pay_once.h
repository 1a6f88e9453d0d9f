// The order in which a payment is looked for, told of and looked for again: what all backends with
// somebody else behind them have in common, whatever they speak.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "nutgate/lightning/backend.h"

namespace nutgate::lightning {

inline Payment pending() {
    return {.state = PaymentState::Pending, .amount = {}, .fee = {}, .preimage = {}};
}
inline Payment failed() {
    return {.state = PaymentState::Failed, .amount = {}, .fee = {}, .preimage = {}};
}
// Pending if the preimage is there and proves nothing: what says so does not know what it says.
Payment settled(const PaymentHash& hash, Msat amount, Msat fee,
                const std::optional<ByteArray<32>>& preimage);

// What telling of a payment came to. Whether it was paid is not read from it.
enum class Told {
    NotSent,  // Nobody has heard of it.
    Refused,  // It was heard, and no was said to this telling. An earlier one may have gone well.
    Unclear,  // Everything else, success included.
};
// `look` asks what became of the payment; `tell` tells of it.
Result<Payment, BackendError> pay_once(const std::function<Result<Payment, BackendError>()>& look,
                                       const std::function<Told()>& tell);

// Empty: the order does not fit its invoice, or that is not of this network.
std::optional<Bolt11> fitting_invoice(const PaymentOrder& order, Network network);
// Refused unless it is an invoice of that network over that amount, and of that hash if one is
// expected. `backend` is for the log.
Result<Invoice, BackendError> checked_invoice(std::string_view backend, std::string_view bolt11,
                                              Network network, Msat amount,
                                              const std::optional<PaymentHash>& hash);
// A part of the amount, rounded up, and so much more.
Result<Msat, BackendError> fee_reserve(Msat amount, Msat base, std::uint64_t ppm);

}  // namespace nutgate::lightning
