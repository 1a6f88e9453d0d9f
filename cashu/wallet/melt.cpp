// Paying invoices with ecash: somebody's (a melt), or that of a quote of ours at another mint (a
// swap). What may come back is asked for with blanks whose secrets are ours (NUT-08).
#include "wallet/melt.h"

#include <algorithm>
#include <bit>

#include "nutgate/cashu/wire.h"
#include "nutgate/lightning/invoice.h"
#include "wallet/calls.h"
#include "wallet/incoming.h"
#include "wallet/issue.h"
#include "wallet/purse.h"

namespace nutgate::cashu {
namespace {

using Code = WalletError::Code;
using wallet::Fit;
using wallet::Freshness;
using wallet::Input;
using wallet::Purpose;
using wallet::Wish;

// A swap's amount is found by asking: the reserve depends on it. Two quotes do, at an honest mint.
constexpr int kQuotesPerSwap = 4;

// A reserve may be as large as what is paid, and for small payments larger by this.
constexpr nutgate::Msat kReserveOfSmall = 10'000_msat;

using Prepared = Wallet::Owned<Wallet::PreparedMelt>;

// An invoice that can be paid, and what a mint wants for it.
struct Offer {
    PaymentHash payment;
    nutgate::Msat asked;  // By the invoice.
    std::string quote;
    std::optional<Time> expires_at;
    Amount amount = 0;  // What the mint takes for it, in its unit.
    Amount reserve = 0;
};

Result<Bolt11, WalletError> read_invoice(std::string_view text, Time now) {
    const auto refuse = [](const char* why) {
        return fail(WalletError{Code::InvoiceInvalid, why});
    };
    auto invoice = parse_bolt11(text);
    if (!invoice) return refuse("this is no Lightning invoice");
    if (!invoice->amount || *invoice->amount == nutgate::Msat{}) {
        return refuse("the invoice names no amount");
    }
    if (now >= invoice->expires_at()) return refuse("the invoice has expired");
    return *std::move(invoice);
}

Result<Offer, WalletError> ask_offer(const WalletMint& mint, const std::string& bolt11,
                                     const Bolt11& invoice, Unit unit) {
    const auto answer =
        mint.client->call(MintMethod::Post, "/v1/melt/quote/bolt11",
                          wire::write_melt_quote_request({.request = bolt11,
                                                          .unit = std::string{to_text(unit)},
                                                          .amountless_msat = std::nullopt,
                                                          .mpp_msat = std::nullopt}));
    if (!answer || answer->status != 200) return fail(wallet::error_of(answer, mint));
    const auto quote = wire::parse_melt_quote(answer->body);
    const auto refuse = [&](const char* why) {
        return fail(WalletError{Code::MintRefused, mint.url.text() + ": " + why});
    };
    if (!quote) return refuse("its melt quote can't be read");
    if (!wallet::is_path_segment(quote->quote)) {
        return refuse("its melt quote's name can't be asked for");
    }
    // In whole units, rounded up; a mint that asks for more keeps the rest.
    const auto floor = to_amount_floor(*invoice.amount, unit);
    const bool whole = to_msat(floor, unit) == *invoice.amount;
    if (quote->amount != (whole ? floor : floor + 1)) {
        return refuse("its melt quote is of another amount than the invoice");
    }
    const auto reserve = to_msat(quote->fee_reserve, unit);
    const auto most = add(*invoice.amount, kReserveOfSmall);
    if (!reserve || !most || *reserve > *most) {
        return refuse("it wants more for paying than what is paid");
    }
    Offer offer{.payment = invoice.payment_hash,
                .asked = *invoice.amount,
                .quote = quote->quote,
                .expires_at = std::nullopt,
                .amount = quote->amount,
                .reserve = quote->fee_reserve};
    if (quote->expiry) offer.expires_at = from_unix_seconds(*quote->expiry);
    return offer;
}

// What is spent for an offer, and its bytes.
struct Spending {
    const WalletMint& mint;
    Unit unit;
    std::vector<Proof> proofs;
    std::vector<Input> inputs;
    Amount total = 0;
    Amount input_fee = 0;
};

Result<void, WalletError> plan_melt(Wallet::Impl& impl, const wallet::KeysetMap& keysets,
                                    const Spending& spending, const Offer& offer,
                                    wallet::Draft& draft) {
    const auto* keyset = wallet::choose_active(keysets, spending.unit, impl.clock.now());
    if (keyset == nullptr) {
        return fail(WalletError{Code::KeysetUnknown, "the mint has no active keyset"});
    }
    const Amount most = spending.total - spending.input_fee - offer.amount;
    const std::vector<std::pair<Amount, Purpose>> blanks(wallet::blanks_for(most),
                                                         {0, Purpose::Change});
    TRY(draft.outputs, impl.plan(*keyset, blanks));
    wire::MeltRequest request{
        .quote = offer.quote, .inputs = spending.proofs, .outputs = {}, .prefer_async = false};
    for (const auto& output : draft.outputs) request.outputs.push_back(output.message);
    const auto unlocked = unlock(std::move(request), {&impl.receive_secret, 1},
                                 to_unix_seconds(impl.clock.now()), impl.random);
    if (!unlocked) return fail(wallet::locked(unlocked.error()));
    // All that is not paid and may not come back: the fee, the reserve, what rounding takes.
    const auto asked_units = to_msat(offer.amount, spending.unit);
    const auto reserve = to_msat(offer.reserve, spending.unit);
    const auto input_fee = to_msat(spending.input_fee, spending.unit);
    if (!asked_units || !reserve || !input_fee) {
        return fail(WalletError{Code::AmountOverflow, "the amount is too large"});
    }
    const auto rounding = subtract(*asked_units, offer.asked);
    VERIFY(rounding.has_value());
    const auto fees = add(*reserve, *input_fee);
    const auto most_fee = fees ? add(*fees, *rounding) : std::nullopt;
    if (!most_fee) return fail(WalletError{Code::AmountOverflow, "the amount is too large"});
    draft.mint = spending.mint.url;
    draft.unit = spending.unit;
    draft.amount = offer.asked;
    draft.fee = *most_fee;
    draft.path = "/v1/melt/bolt11";
    draft.request =
        impl.seal(as_bytes(wire::write_melt_request(*unlocked)), draft.id, wallet::Sealed::Request);
    draft.bill = wallet::Bill{.payment = offer.payment,
                              .melt_quote = offer.quote,
                              .expires_at = offer.expires_at,
                              .payer = {}};
    return {};
}

wallet::Draft empty_draft(Wallet::Impl& impl, OperationKind kind, const MintUrl& mint) {
    return {.id = impl.random.id<OperationId>(),
            .kind = kind,
            .mint = mint,
            .unit = Unit::Sat,
            .amount = {},
            .fee = {},
            .path = {},
            .request = {},
            .token = {},
            .inputs = {},
            .outputs = {},
            .bill = std::nullopt};
}

// From one mint and unit, with our own proofs.
Result<Prepared, WalletError> prepare_from(Wallet::Impl& impl, OperationKind kind,
                                           const std::string& bolt11, const Bolt11& invoice,
                                           const WalletMint& mint, Unit unit) {
    TRY_VOID(wallet::check_not_empty(impl, Wish{mint, unit, 1}));
    TRY(const auto offer, ask_offer(mint, bolt11, invoice, unit));
    TRY(const auto keysets, impl.keysets.of(mint, Freshness::Recent));
    const auto target = add(offer.amount, offer.reserve);
    if (!target) return fail(WalletError{Code::AmountOverflow, "the amount is too large"});
    TRY(const auto choice,
        wallet::pick_proofs(impl, Wish{mint, unit, *target}, Fit::Spent, keysets));
    Prepared prepared{
        new Wallet::PreparedMelt{.draft = empty_draft(impl, kind, mint.url), .picks = &impl.picks}};
    prepared->draft.inputs = choice.inputs;
    Spending spending{.mint = mint,
                      .unit = unit,
                      .proofs = {},
                      .inputs = choice.inputs,
                      .total = choice.selection.total,
                      .input_fee = choice.selection.fee};
    for (const auto& input : choice.inputs) spending.proofs.push_back(impl.proof_of(input));
    TRY_VOID(plan_melt(impl, keysets, spending, offer, prepared->draft));
    return prepared;
}

Result<Prepared, WalletError> prepare_at(Wallet::Impl& impl, OperationKind kind,
                                         const std::string& bolt11, const Bolt11& invoice,
                                         const std::vector<const WalletMint*>& order) {
    WalletError reason{Code::InsufficientFunds, "the wallet is empty"};
    for (const auto* mint : order) {
        for (const auto unit : {Unit::Sat, Unit::Msat}) {
            auto prepared = prepare_from(impl, kind, bolt11, invoice, *mint, unit);
            if (prepared) return prepared;
            // That there is nothing says less than why something would not do.
            if (prepared.error().code == Code::InsufficientFunds &&
                reason.code != Code::InsufficientFunds) {
                continue;
            }
            reason = std::move(prepared).error();
        }
    }
    return fail(std::move(reason));
}

}  // namespace

std::size_t wallet::blanks_for(Amount most) {
    return static_cast<std::size_t>(std::bit_width(most));
}

Result<Prepared, WalletError> Wallet::prepare_melt(std::string_view text,
                                                   const std::optional<MintUrl>& wanted) {
    auto& impl = *impl_;
    TRY(const auto invoice, read_invoice(text, impl.clock.now()));
    std::vector<const WalletMint*> order;
    const auto held = wanted ? impl.find(*wanted) : wallet::Mints::Held{};
    if (wanted) {
        if (held == nullptr) {
            return fail(WalletError{Code::MintForeign, wanted->text() + " is none of our mints"});
        }
        order.push_back(held.get());
    } else {
        order = impl.mints.spendable();
    }
    return prepare_at(impl, OperationKind::Melt, std::string{text}, invoice, order);
}

Result<Prepared, WalletError> Wallet::prepare_swap(nutgate::Msat amount, const MintUrl& from,
                                                   const MintUrl& to) {
    auto& impl = *impl_;
    const auto source = impl.find(from);
    if (source == nullptr) {
        return fail(WalletError{Code::MintForeign, from.text() + " is none of our mints"});
    }
    if (impl.find(to) == source) {
        return fail(WalletError{Code::MintRefused, "a swap is from one mint to another"});
    }
    TRY(const auto quote, request_quote(to, amount, ""));
    TRY(const auto invoice, read_invoice(quote.bolt11, impl.clock.now()));
    return prepare_at(impl, OperationKind::Swap, quote.bolt11, invoice, {source.get()});
}

Result<Prepared, WalletError> Wallet::prepare_swap(const Token& token, const MintUrl& to) {
    auto& impl = *impl_;
    TRY(auto mint, impl.guest(token.mint));
    TRY(auto incoming, wallet::look_at(impl, *mint, token));
    const Unit unit = incoming.unit;
    const Amount net = incoming.total - incoming.fee;
    Amount most_fee = incoming.fee;
    Amount amount = net;  // To arrive: what is left when the reserve, told for it, is set aside.
    for (int i = 0; i < kQuotesPerSwap; ++i) {
        const auto asked = to_msat(amount, unit);
        VERIFY(asked.has_value());  // The token's value is money.
        TRY(const auto quote, request_quote(to, *asked, ""));
        TRY(const auto invoice, read_invoice(quote.bolt11, impl.clock.now()));
        TRY(const auto offer, ask_offer(*mint, quote.bolt11, invoice, unit));
        if (offer.amount + offer.reserve <= net) {
            Prepared prepared{new PreparedMelt{
                .draft = empty_draft(impl, OperationKind::Swap, mint->url), .picks = nullptr}};
            prepared->guest = std::move(mint);
            const Spending spending{.mint = *prepared->guest,
                                    .unit = unit,
                                    .proofs = incoming.token.proofs,
                                    .inputs = {},
                                    .total = incoming.total,
                                    .input_fee = incoming.fee};
            TRY_VOID(plan_melt(impl, incoming.keysets, spending, offer, prepared->draft));
            auto& draft = prepared->draft;
            draft.token =
                impl.seal(as_bytes(write_token(incoming.token)), draft.id, wallet::Sealed::Token);
            draft.inputs = std::move(incoming.inputs);
            return prepared;
        }
        most_fee = incoming.fee + offer.reserve;
        if (offer.reserve >= net) break;
        amount = std::min(amount - 1, net - offer.reserve);
        if (amount == 0) break;
    }
    return fail(
        WalletError{Code::FeeExceedsAmount, "moving it from " + mint->url.text() + " may cost " +
                                                std::to_string(most_fee) + " of its " +
                                                std::to_string(incoming.total) + " " + token.unit});
}

nutgate::Msat Wallet::worth(const PreparedMelt& prepared) const { return prepared.draft.amount; }
nutgate::Msat Wallet::fee_max(const PreparedMelt& prepared) const { return prepared.draft.fee; }
PaymentHash Wallet::payment(const PreparedMelt& prepared) const {
    return prepared.draft.bill->payment;
}

template <>
void Wallet::Dispose<Wallet::PreparedMelt>::operator()(PreparedMelt* prepared) const {
    if (prepared->picks != nullptr) prepared->picks->release(prepared->draft.inputs);
    delete prepared;
}

Result<OperationId, WalletError> Wallet::begin_melt(store::Tx& tx, const PreparedMelt& prepared,
                                                    std::string_view reference) {
    const auto& draft = prepared.draft;
    if (const auto id = wallet::find_joinable(tx, draft.kind, reference)) return *id;
    if (prepared.picks == nullptr) {
        TRY_VOID(wallet::claim_foreign(tx, draft));
        const auto known = impl_->mints.known(draft.mint);
        const bool guest = !known || known->role == MintRole::Guest;
        if (guest) wallet::Mints::note_guest(tx, draft.mint, impl_->clock.now());
    } else if (!wallet::reserve_own(tx, draft)) {
        return fail(WalletError{Code::TokenPending, "another operation took a proof of it"});
    }
    wallet::insert(tx, draft, reference, impl_->clock.now());
    if (draft.kind == OperationKind::Swap) wallet::mark_leg(tx, draft.bill->payment);
    return draft.id;
}

}  // namespace nutgate::cashu
