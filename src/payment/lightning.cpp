// Lightning, over whichever backend the node has. All backends are one method: two of them may look
// at the same node, and one payment must have one name.
#include <algorithm>
#include <utility>

#include "nutgate/cashu/mint_offers.h"
#include "nutgate/lightning/offers.h"
#include "nutgate/payment/method.h"
#include "text.h"

namespace nutgate::payment {
namespace {

bool is_invoice(std::string_view text) {
    // lnbc mainnet, lntb testnet, lntbs signet, lnbcrt regtest, lnsb simnet. What follows the
    // prefix is an amount or the separator, so `lnbcx…` is none.
    for (const std::string_view prefix : {"lnbcrt", "lntbs", "lnbc", "lntb", "lnsb"}) {
        if (!begins_with(text, prefix) || text.size() == prefix.size()) continue;
        const char next = text[prefix.size()];
        if (next >= '0' && next <= '9') return true;
    }
    return false;
}

bool is_address(std::string_view text) {
    // LUD-16: a-z0-9-_.+ before the @; a host name after it.
    const auto at = text.find('@');
    if (at == 0 || at == std::string_view::npos || text.size() > 320) return false;
    const auto name_ok = [](char c) {
        c = lower(c);
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.' || c == '+';
    };
    const std::string_view host = text.substr(at + 1);
    return std::ranges::all_of(text.substr(0, at), name_ok) &&
           std::ranges::all_of(host,
                               [](char c) {
                                   c = lower(c);
                                   return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                                          c == '-' || c == '.' || c == ':';
                               }) &&
           host.find('.') != std::string_view::npos && host.front() != '.' && host.back() != '.';
}

class Lightning final : public PaymentMethod {
public:
    Lightning(LightningBackend& backend, const LightningMethodOptions& options)
        : backend_{backend}, options_{options} {}

    std::string_view id() const override { return "lightning"; }
    std::string_view title() const override { return "Lightning"; }
    std::string description() const override {
        return "A BOLT11 invoice, made on request, that creates a key or tops one up once paid.";
    }

    Capabilities capabilities() const override {
        return {
            .takes_text = false,
            .opens = true,
            .refunds = false,
            .reversible = false,
            .offers = makes_offers(),
            .amount_min = options_.amount_min,
            .amount_max = options_.amount_max,
            .funds = options_.funds,
            .holder = is_at_method() ? backend_.name() : "",
        };
    }

    std::optional<TextKind> detect(std::string_view text) const override {
        if (text.size() > kTextBytesMax) return std::nullopt;
        std::string_view bare = trimmed(text);
        for (const std::string_view scheme : {"lightning://", "lightning:"}) {
            if (!begins_with(bare, scheme)) continue;
            bare.remove_prefix(scheme.size());
            break;
        }
        if (is_invoice(bare)) return TextKind::Invoice;
        if (begins_with(bare, "lno1")) return TextKind::Offer;
        if (begins_with(bare, "lnurl1")) return TextKind::Lnurl;
        for (const std::string_view scheme : {"lnurlp://", "lnurlp:", "lnurlw://", "lnurl:"}) {
            if (begins_with(bare, scheme)) return TextKind::Lnurl;
        }
        if (is_address(bare)) return TextKind::LightningAddress;
        return std::nullopt;
    }

    Result<Presentation, PaymentError> open(const Plan& plan) override {
        if (plan.amount < options_.amount_min || plan.amount > options_.amount_max) {
            return fail(PaymentError::Rejected);
        }
        auto invoice = backend_.create_invoice(
            {.amount = plan.amount, .memo = plan.memo, .expiry = plan.expiry, .label = plan.label});
        if (!invoice) return fail(to_error(invoice.error()));
        return Presentation{.text = std::move(invoice->bolt11),
                            .reference = invoice->hash.hex(),
                            .expires_at = invoice->expires_at};
    }

    Result<Observation, PaymentError> poll(std::string_view reference) override {
        const auto hash = PaymentHash::parse(reference);
        if (!hash) return fail(PaymentError::Rejected);
        // Who made it knows it. The mint first: what carries its invoices may be a node of ours.
        for (const Funds funds : {Funds::InWallet, Funds::AtMethod}) {
            LightningBackend* const backend = backend_of(funds);
            if (backend == nullptr) continue;
            const auto payment = backend->incoming(*hash);
            if (!payment && payment.error() == BackendError::NotFound) continue;
            if (!payment) return fail(to_error(payment.error()));
            Observation seen{.phase = to_phase(payment->state),
                             .amount = payment->amount,
                             .preimage = payment->preimage,
                             .funds = funds};
            if (funds == Funds::AtMethod) {
                seen.holder = payment->backend.empty() ? backend->name() : payment->backend;
            }
            return seen;
        }
        return Observation{};  // Not found proves nothing: the payment may come yet.
    }

    Result<OfferPresentation, PaymentError> open_offer(const OfferPlan& plan) override {
        if (!makes_offers()) return fail(PaymentError::Unsupported);
        if (plan.amount &&
            (*plan.amount < options_.amount_min || *plan.amount > options_.amount_max)) {
            return fail(PaymentError::Rejected);
        }
        if (!is_at_method()) {
            auto offer = options_.mint_offers->create_offer(
                {.label = plan.label, .description = plan.memo, .amount = plan.amount});
            if (!offer) return fail(to_error(offer.error()));
            return OfferPresentation{
                .text = std::move(offer->bolt12), .reference = offer->id.hex(), .holder = {}};
        }
        PaymentError why = PaymentError::Unsupported;
        // By the first that makes one: a node that is away is passed over.
        for (OfferBackend* const node : backend_.offers()) {
            auto offer = node->create_offer(
                {.label = plan.label, .description = plan.memo, .amount = plan.amount});
            if (offer) {
                return OfferPresentation{.text = std::move(offer->bolt12),
                                         .reference = offer->id.hex(),
                                         .holder = node->name()};
            }
            if (why != PaymentError::Rejected) why = to_error(offer.error());
        }
        return fail(why);
    }

    std::vector<std::string> offer_holders() override {
        std::vector<std::string> holders;
        for (const OfferBackend* const node : nodes()) holders.push_back(node->name());
        return holders;
    }

    Result<Arrivals, PaymentError> arrivals(std::string_view holder,
                                            std::string_view mark) override {
        if (backend_of(Funds::AtMethod) == nullptr) return fail(PaymentError::Unsupported);
        OfferBackend* const node = find(holder);
        if (node == nullptr) return fail(PaymentError::Unreachable);  // No longer configured.
        auto came = node->payments(mark);
        if (!came) return fail(to_error(came.error()));
        Arrivals found{.arrivals = {}, .mark = std::move(came->mark), .is_more = came->is_more};
        for (const OfferPayment& payment : came->payments) {
            found.arrivals.push_back({.offer = payment.offer.hex(),
                                      .reference = payment.hash.hex(),
                                      .amount = payment.amount});
        }
        return found;
    }

    Result<void, PaymentError> close_offer(std::string_view holder,
                                           std::string_view reference) override {
        const auto offer = OfferId::parse(reference);
        if (!offer) return fail(PaymentError::Rejected);
        OfferBackend* const node = find(holder);
        if (node == nullptr) return fail(PaymentError::Unreachable);
        const auto closed = node->close_offer(*offer);
        if (!closed) return fail(to_error(closed.error()));
        return {};
    }

    Result<void, PaymentError> bring_in(std::string_view reference) override {
        if (options_.mint_offers == nullptr) return fail(PaymentError::Unsupported);
        const auto offer = OfferId::parse(reference);
        if (!offer) return fail(PaymentError::Rejected);
        const auto brought = options_.mint_offers->bring_in(*offer);
        if (!brought) return fail(to_error(brought.error()));
        return {};
    }

private:
    bool is_at_method() const { return options_.funds == Funds::AtMethod; }

    // Null: nobody has ever made anything of that kind.
    LightningBackend* backend_of(Funds funds) const {
        return funds == options_.funds ? &backend_ : options_.before;
    }

    std::vector<OfferBackend*> nodes() const {
        LightningBackend* const backend = backend_of(Funds::AtMethod);
        return backend == nullptr ? std::vector<OfferBackend*>{} : backend->offers();
    }

    OfferBackend* find(std::string_view holder) const {
        for (OfferBackend* const node : nodes()) {
            if (node->name() == holder) return node;
        }
        return nullptr;
    }

    bool makes_offers() const {
        switch (options_.funds) {
            case Funds::AtMethod:
                return !backend_.offers().empty();
            case Funds::InWallet:
                return options_.mint_offers != nullptr && options_.mint_offers->able();
        }
        VERIFY(false);
        return false;
    }

    static PaymentError to_error(BackendError error) {
        switch (error) {
            case BackendError::Unreachable:
                return PaymentError::Unreachable;
            case BackendError::Refused:
            case BackendError::NotFound:
                return PaymentError::Rejected;
        }
        VERIFY(false);
        return PaymentError::Rejected;
    }

    static Phase to_phase(PaymentState state) {
        switch (state) {
            case PaymentState::Pending:
                return Phase::Pending;
            case PaymentState::Settled:
                return Phase::Settled;
            case PaymentState::Failed:
                return Phase::Failed;
        }
        VERIFY(false);
        return Phase::Pending;
    }

    LightningBackend& backend_;
    const LightningMethodOptions options_;
};

}  // namespace

std::unique_ptr<PaymentMethod> make_lightning_method(LightningBackend& backend,
                                                     const LightningMethodOptions& options) {
    return std::make_unique<Lightning>(backend, options);
}

}  // namespace nutgate::payment
