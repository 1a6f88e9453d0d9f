// Offers of Core Lightning. What is paid to one is an invoice of its own, which names it; invoices
// are listed in the order in which they changed (since 23.08), and one that is paid changes no
// more, unless somebody deletes its description: then it is told again.
#include <charconv>
#include <utility>

#include "cln.h"
#include "nutgate/base/log.h"
#include "nutgate/crypto/hash.h"
#include "offer_check.h"

namespace nutgate::lightning {
namespace {

// An invoice carries what its payer wrote, which fills an onion message at most.
constexpr std::int64_t kInvoicesAtOnce = 50;
constexpr std::size_t kListBytesMax = 32 * 1024 * 1024;
constexpr std::int64_t kAlreadyDisabled = 1001;
constexpr std::size_t kDistinctionDigits = 16;

// A node makes no second offer of what says the same, so each says something of its own.
std::string description_of(const OfferOrder& order) {
    return order.description + " #" +
           to_hex(crypto::sha256(as_bytes(order.label))).substr(0, kDistinctionDigits);
}

std::string amount_of(const OfferOrder& order) {
    return order.amount ? std::to_string(order.amount->raw()) + "msat" : "any";
}

// The node's own word: a rune that allows too little, offers that it was told not to make.
bool said_no(const NodeAnswer& answer) {
    return !answer.is_success() && integer_at(answer.json, "code").has_value();
}

// Counts from 1.
std::optional<std::int64_t> index_of(std::string_view mark) {
    if (mark.empty()) return 1;
    std::int64_t index = 0;
    const auto [end, error] = std::from_chars(mark.data(), mark.data() + mark.size(), index);
    if (error != std::errc{} || end != mark.data() + mark.size() || index < 1) return std::nullopt;
    return index;
}

bool pays_an_offer(const Json& invoice) {
    return text_at(invoice, "status") == "paid" && !member(invoice, "local_offer_id").is_null();
}

// Empty: it does not prove itself.
std::optional<OfferPayment> payment_in(const Json& invoice) {
    const auto offer = OfferId::parse(text_at(invoice, "local_offer_id").value_or(""));
    const auto hash = PaymentHash::parse(text_at(invoice, "payment_hash").value_or(""));
    const auto amount = msat_at(invoice, "amount_received_msat");
    const auto preimage = bytes32_at(invoice, "payment_preimage");
    if (!offer || !hash || !amount || *amount == Msat{} || !preimage) return std::nullopt;
    if (settled(*hash, *amount, Msat{}, preimage).state != PaymentState::Settled) {
        return std::nullopt;
    }
    return OfferPayment{.offer = *offer, .hash = *hash, .amount = *amount};
}

}  // namespace

Result<NodeOffer, BackendError> Cln::find_offer(const OfferOrder& order) const {
    NodeCall list =
        rpc("listoffers", Json::object({{"active_only", true}}), options().receive_credential);
    list.answer_bytes_max = kListBytesMax;
    const auto answer = call(list);
    if (!answer) return fail(BackendError::Unreachable);
    if (said_no(*answer)) return fail(BackendError::Refused);
    const Json& offers = member(answer->json, "offers");
    if (!answer->is_success() || !offers.is_array()) return fail(BackendError::Unreachable);
    std::optional<std::string> found;
    for (const Json& offer : offers) {
        auto bolt12 = text_at(offer, "bolt12");
        if (text_at(offer, "label") != order.label || !bolt12) continue;
        if (!found || *bolt12 < *found) found = std::move(bolt12);
    }
    if (!found) return fail(BackendError::NotFound);
    return checked_offer(name(), *found, options().network, order.amount);
}

Result<NodeOffer, BackendError> Cln::create_offer(const OfferOrder& order) {
    if (order.label.empty() || order.amount == Msat{}) return fail(BackendError::Refused);
    // A node that nobody can reach directly puts paths into its offers, each time others: asked
    // again it would make a second one.
    const auto known = find_offer(order);
    if (known || known.error() != BackendError::NotFound) return known;
    const auto made = call(rpc("offer",
                               {{"amount", amount_of(order)},
                                {"description", description_of(order)},
                                {"label", order.label}},
                               options().receive_credential));
    const auto now = find_offer(order);
    if (now || now.error() != BackendError::NotFound) return now;
    return fail(made && said_no(*made) ? BackendError::Refused : BackendError::Unreachable);
}

Result<void, BackendError> Cln::done(const NodeCall& to_make, std::int64_t before) const {
    const auto answer = call(to_make);
    if (!answer) return fail(BackendError::Unreachable);
    if (answer->is_success() || integer_at(answer->json, "code") == before) return {};
    return fail(said_no(*answer) ? BackendError::Refused : BackendError::Unreachable);
}

Result<void, BackendError> Cln::close_offer(const OfferId& offer) {
    return done(rpc("disableoffer", Json::object({{"offer_id", offer.hex()}}),
                    options().receive_credential),
                kAlreadyDisabled);
}

Result<void, BackendError> Cln::check_offers() {
    return done(rpc("listoffers", Json::object({{"offer_id", std::string(64, '0')}}),
                    options().receive_credential),
                0);
}

Result<OfferPayments, BackendError> Cln::payments(std::string_view mark) {
    const auto start = index_of(mark);
    if (!start) return fail(BackendError::Refused);
    NodeCall list =
        rpc("listinvoices", {{"index", "updated"}, {"start", *start}, {"limit", kInvoicesAtOnce}},
            options().receive_credential);
    list.answer_bytes_max = kListBytesMax;
    TRY(const auto answer, look(list));
    const Json& invoices = member(answer, "invoices");
    if (!invoices.is_array()) return fail(BackendError::Unreachable);
    OfferPayments found;
    found.is_more = invoices.size() == static_cast<std::size_t>(kInvoicesAtOnce);
    std::int64_t next = *start;
    for (const Json& invoice : invoices) {
        const auto index = integer_at(invoice, "updated_index");
        if (!index || *index < next) return fail(BackendError::Unreachable);
        if (pays_an_offer(invoice)) {
            const auto payment = payment_in(invoice);
            // It is not passed by: what it is worth may be seen the next time.
            if (!payment) {
                log::error("lightning_wrong_offer_payment", {{"backend", name()}});
                if (next == *start) return fail(BackendError::Unreachable);
                found.is_more = false;
                break;
            }
            found.payments.push_back(*payment);
        }
        next = *index + 1;
    }
    found.mark = std::to_string(next);
    return found;
}

}  // namespace nutgate::lightning
