#include "pay_once.h"

#include "nutgate/base/log.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::lightning {
namespace {

constexpr std::uint64_t kPpm = 1'000'000;

}  // namespace

Payment settled(const PaymentHash& hash, Msat amount, Msat fee,
                const std::optional<ByteArray<32>>& preimage) {
    Payment payment{.state = PaymentState::Settled, .amount = amount, .fee = fee, .preimage = {}};
    if (!preimage) return payment;
    if (PaymentHash{crypto::sha256(*preimage)} != hash) {
        log::error("lightning_wrong_preimage", {{"payment", hash.hex()}});
        return pending();
    }
    payment.preimage = Preimage{*preimage};
    return payment;
}

Result<Payment, BackendError> pay_once(const std::function<Result<Payment, BackendError>()>& look,
                                       const std::function<Told()>& tell) {
    const auto before = look();
    // Under way, or over: it is joined. One that failed stays so, whoever asks again.
    if (before) return *before;
    if (before.error() != BackendError::NotFound) return fail(BackendError::Unreachable);
    const Told said = tell();
    if (said == Told::NotSent) return fail(BackendError::Unreachable);
    const auto after = look();
    if (after) return *after;
    // It said no, and knows of nothing under that hash: there is nothing.
    if (said == Told::Refused && after.error() == BackendError::NotFound) {
        return fail(BackendError::Refused);
    }
    return pending();
}

std::optional<Bolt11> fitting_invoice(const PaymentOrder& order, Network network) {
    auto invoice = parse_bolt11(order.bolt11);
    if (!invoice || invoice->network != network || invoice->payment_hash != order.hash ||
        order.amount == Msat{} || invoice->amount.value_or(order.amount) != order.amount) {
        return std::nullopt;
    }
    return *std::move(invoice);
}

Result<Invoice, BackendError> checked_invoice(std::string_view backend, std::string_view bolt11,
                                              Network network, Msat amount,
                                              const std::optional<PaymentHash>& hash) {
    const auto invoice = parse_bolt11(bolt11);
    if (!invoice || invoice->network != network || invoice->amount != amount ||
        (hash && invoice->payment_hash != *hash)) {
        log::error("lightning_wrong_invoice", {{"backend", backend}});
        return fail(BackendError::Refused);
    }
    return Invoice{.hash = invoice->payment_hash,
                   .bolt11 = std::string{bolt11},
                   .expires_at = invoice->expires_at()};
}

Result<Msat, BackendError> fee_reserve(Msat amount, Msat base, std::uint64_t ppm) {
    const auto share = multiply_ceil(amount, ppm, kPpm);
    const auto fee = share ? add(*share, base) : std::nullopt;
    if (!fee) return fail(BackendError::Refused);
    return *fee;
}

}  // namespace nutgate::lightning
