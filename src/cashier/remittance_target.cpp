// From what a person pasted to an invoice that may be paid.
#include <algorithm>
#include <string>
#include <utility>

#include "error_name.h"
#include "remittance_impl.h"

namespace nutgate {
namespace {

using Code = CashierError::Code;
using store::Reader;

constexpr std::size_t kTargetBytesMax = 8192;
constexpr std::uint64_t kMillion = 1'000'000;

std::string_view bare(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    text = text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
    constexpr std::string_view kScheme = "lightning:";
    const auto is_scheme = [&](std::string_view start) {
        return std::ranges::equal(start, kScheme, [](char a, char b) { return (a | 0x20) == b; });
    };
    if (text.size() > kScheme.size() && is_scheme(text.substr(0, kScheme.size()))) {
        text.remove_prefix(kScheme.size());
    }
    return text;
}

CashierError of_lnurl(const LnurlFault& fault) {
    switch (fault.code) {
        case LnurlError::NotLnurl:
        case LnurlError::NotForPaying:
        case LnurlError::UrlRefused:
            return make_error(Code::TargetInvalid);
        case LnurlError::Unreachable:
            return make_error(Code::LnurlUnreachable);
        case LnurlError::AmountRefused:
            return make_error(Code::LnurlAmount);
        case LnurlError::Declined:
            return make_error(Code::LnurlRefused, "it says: " + fault.detail);
        case LnurlError::Malformed:
            return make_error(Code::LnurlRefused, "its answer can't be read");
        case LnurlError::CommentTooLong:
            return make_error(Code::LnurlRefused, "it takes no such comment");
        case LnurlError::InvoiceMalformed:
            return make_error(Code::LnurlRefused, "its invoice can't be read");
        case LnurlError::InvoiceForeign:
            return make_error(Code::LnurlRefused, "its invoice is of another network");
        case LnurlError::InvoiceAmount:
            return make_error(Code::LnurlRefused, "its invoice is of another amount");
        case LnurlError::InvoiceDescription:
            return make_error(Code::LnurlRefused, "its invoice is for something else");
        case LnurlError::InvoiceExpired:
            return make_error(Code::LnurlRefused, "its invoice has expired, or is about to");
    }
    VERIFY(false);
    return make_error(Code::TargetInvalid);
}

}  // namespace

CashierError balance_insufficient(Msat amount, Msat fee_max, Msat available) {
    return make_error(Code::BalanceInsufficient,
                      std::to_string(amount.raw()) + " msat, and up to " +
                          std::to_string(fee_max.raw()) + " msat for paying them, are more than " +
                          std::to_string(available.raw()) + " msat");
}

// Empty: it is no invoice, but may be an address.
Result<std::optional<Remitter::Impl::Bill>, CashierError> Remitter::Impl::read_invoice(
    const RemittanceOrder& order) const {
    if (order.target.size() > kTargetBytesMax) return fail(make_error(Code::TargetInvalid));
    const auto text = bare(order.target);
    const auto url = lnurl_url(text);
    if (url || url.error().code != LnurlError::NotLnurl) return std::optional<Bill>{};
    auto invoice = parse_bolt11(text);
    if (!invoice) {
        const bool is_offer = text.starts_with("lno1") || text.starts_with("LNO1");
        const bool other = is_offer || invoice.error() == Bolt11Error::NotAnInvoice;
        return fail(make_error(other ? Code::TargetInvalid : Code::InvoiceMalformed));
    }
    if (invoice->network != options.network) return fail(make_error(Code::InvoiceForeign));
    if (!invoice->amount || *invoice->amount == Msat{}) {
        return fail(make_error(Code::InvoiceAmountless));
    }
    if (order.amount && *order.amount != *invoice->amount) {
        return fail(make_error(Code::InvoiceOtherAmount));
    }
    if (invoice->expires_at() < my.clock.now() + options.expiry_left_min) {
        return fail(make_error(Code::InvoiceExpired));
    }
    const Msat amount = *invoice->amount;
    return std::optional{
        Bill{.bolt11 = std::string{text}, .invoice = *std::move(invoice), .amount = amount}};
}

Msat Remitter::Impl::reserve_of(Msat amount) const {
    const auto part = multiply_ceil(amount, options.reserve_ppm, kMillion);
    return add(part.value_or(amount), options.reserve_base).value_or(amount);
}

// All that there is goes no further than what the address takes; what was named goes as it is.
Result<std::pair<LnurlPay, Msat>, CashierError> Remitter::Impl::ask_address(
    const RemittanceOrder& order, const PurseView& purse) {
    if (options.lnurl == nullptr) return fail(make_error(Code::TargetInvalid));
    if (!order.amount && purse.reserved > Msat{}) return fail(make_error(Code::RequestsInFlight));
    if (order.amount && *order.amount == Msat{}) return fail(make_error(Code::LnurlAmount));
    const Msat all = to_msat(
        to_sat_floor(subtract(purse.available, reserve_of(purse.available)).value_or(Msat{})));
    Msat amount = order.amount.value_or(all);
    if (amount == Msat{} || amount > purse.available) {
        return fail(balance_insufficient(amount, reserve_of(amount), purse.available));
    }
    auto pay = options.lnurl->ask(bare(order.target));
    if (!pay) return fail(of_lnurl(pay.error()));
    if (!order.amount) amount = std::min(amount, to_msat(to_sat_floor(pay->most)));
    if (amount < pay->least || amount > pay->most) {
        return fail(make_error(Code::LnurlAmount, "from " + std::to_string(pay->least.raw()) +
                                                      " to " + std::to_string(pay->most.raw()) +
                                                      " msat"));
    }
    return std::pair{*std::move(pay), amount};
}

Result<Remitter::Impl::Bill, CashierError> Remitter::Impl::ask_invoice(const RemittanceOrder& order,
                                                                       const PurseView& purse) {
    TRY(const auto asked, ask_address(order, purse));
    auto invoice = options.lnurl->invoice(asked.first, asked.second);
    if (!invoice) return fail(of_lnurl(invoice.error()));
    return Bill{.bolt11 = std::move(invoice->bolt11),
                .invoice = std::move(invoice->parsed),
                .amount = asked.second};
}

Result<void, CashierError> Remitter::Impl::check_payment(Reader& reader,
                                                         const PaymentHash& payment) const {
    for (const char* table : {"invoice", "deposit", "transit"}) {
        const auto waits = reader.query_one(
            "SELECT payment_hash FROM " + std::string{table} + " WHERE payment_hash = $1", payment);
        if (waits) return fail(make_error(Code::InvoiceOurs));
    }
    const std::string hex = payment.hex();
    const auto arrived =
        reader.query_one("SELECT reference FROM settlement WHERE method = $1 AND reference = $2",
                         kMethodLightning, std::string_view{hex});
    if (arrived) return fail(make_error(Code::InvoiceOurs));
    const auto sent =
        reader.query_one("SELECT reference FROM remittance WHERE payment_hash = $1 AND state <> $2",
                         payment, stored(RowState::Failed));
    // A melt of somebody's tokens pays from the same nodes: to pay it again would be to join that
    // payment, and to take for it what it has cost somebody else.
    if (sent || cashu::Mint::pays(reader, payment)) return fail(make_error(Code::InvoiceSeen));
    return {};
}

}  // namespace nutgate
