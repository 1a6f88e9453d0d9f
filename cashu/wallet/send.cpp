#include <algorithm>

#include "nutgate/cashu/wire.h"
#include "wallet/impl.h"
#include "wallet/purse.h"

namespace nutgate::cashu {
namespace {

using Code = WalletError::Code;
using wallet::Choice;
using wallet::Fit;
using wallet::Freshness;
using wallet::KeysetMap;
using wallet::Purpose;
using wallet::Wish;

// The outputs of a swap for change: what is sent and what stays, in one ascending row.
std::optional<std::vector<std::pair<Amount, Purpose>>> split_swap(const Keyset& keyset, Amount send,
                                                                  Amount keep) {
    const auto sent = wallet::split_by(keyset.keys, send, wallet::kOutputsMax);
    const auto kept = wallet::split_by(keyset.keys, keep, wallet::kOutputsMax);
    if (!sent || !kept) return std::nullopt;
    std::vector<std::pair<Amount, Purpose>> amounts;
    for (const auto part : *sent) amounts.emplace_back(part, Purpose::Send);
    for (const auto part : *kept) amounts.emplace_back(part, Purpose::Keep);
    std::stable_sort(amounts.begin(), amounts.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    return amounts;
}

// Makes the chosen proofs a request to swap them.
Result<void, WalletError> plan_swap(Wallet::Impl& impl, const Wish& wish, const KeysetMap& keysets,
                                    const Choice& choice, wallet::Draft& draft) {
    const auto* keyset = wallet::choose_active(keysets, wish.unit, impl.clock.now());
    if (keyset == nullptr) {
        return fail(WalletError{Code::KeysetUnknown, "the mint has no active keyset"});
    }
    const Amount keep = choice.selection.total - choice.selection.fee - wish.amount;
    const auto amounts = split_swap(*keyset, wish.amount, keep);
    if (!amounts) {
        return fail(WalletError{Code::AmountOverflow, "the mint has no keys for such an amount"});
    }
    TRY(draft.outputs, impl.plan(*keyset, *amounts));
    wire::SwapRequest request;
    for (const auto& input : choice.inputs) request.inputs.push_back(impl.proof_of(input));
    for (const auto& output : draft.outputs) request.outputs.push_back(output.message);
    draft.path = "/v1/swap";
    draft.fee = to_msat(choice.selection.fee, wish.unit).value_or(nutgate::Msat{});
    draft.request =
        impl.seal(as_bytes(wire::write_swap_request(request)), draft.id, wallet::Sealed::Request);
    return {};
}

using Prepared = Wallet::Owned<Wallet::PreparedSend>;

Prepared draft_of(Wallet::Impl& impl, const Wish& wish, const Choice& choice) {
    return Prepared{new Wallet::PreparedSend{.draft = {.id = impl.random.id<OperationId>(),
                                                       .kind = OperationKind::Send,
                                                       .mint = wish.mint.url,
                                                       .unit = wish.unit,
                                                       .amount = *to_msat(wish.amount, wish.unit),
                                                       .fee = {},
                                                       .path = {},
                                                       .request = {},
                                                       .token = {},
                                                       .inputs = choice.inputs,
                                                       .outputs = {},
                                                       .bill = std::nullopt},
                                             .picks = &impl.picks}};
}

// From one mint and unit.
Result<Prepared, WalletError> prepare_from(Wallet::Impl& impl, const Wish& wish) {
    TRY_VOID(wallet::check_not_empty(impl, wish));
    // Proofs that fit need no mint, so its keysets need not be recent until a swap is.
    for (const auto freshness : {Freshness::Known, Freshness::Recent}) {
        TRY(const auto keysets, impl.keysets.of(wish.mint, freshness));
        TRY(const auto choice, wallet::pick_proofs(impl, wish, Fit::MayBeExact, keysets));
        auto prepared = draft_of(impl, wish, choice);  // From here on it owns the picks.
        if (choice.selection.exact) return prepared;
        if (freshness == Freshness::Known) continue;
        TRY_VOID(plan_swap(impl, wish, keysets, choice, prepared->draft));
        return prepared;
    }
    VERIFY(false);
    return fail(WalletError{Code::InsufficientFunds, ""});
}

// Which of two reasons says more to the one who asked.
int weight(const WalletError& error) {
    if (error.code == Code::TokenPending) return 3;  // It will do soon.
    if (error.code == Code::InsufficientFunds) return 1;
    return 2;
}

}  // namespace

Result<Wallet::Owned<Wallet::PreparedSend>, WalletError> Wallet::prepare_send(
    nutgate::Msat amount, const std::optional<MintUrl>& mint) {
    auto& impl = *impl_;
    std::vector<const WalletMint*> order;
    const auto wanted = mint ? impl.find(*mint) : wallet::Mints::Held{};
    if (wanted) order.push_back(wanted.get());
    for (const auto* other : impl.mints.spendable()) {
        if (std::find(order.begin(), order.end(), other) == order.end()) order.push_back(other);
    }
    WalletError reason{Code::InsufficientFunds, "the wallet is empty"};
    int heaviest = 0;
    for (const auto* candidate : order) {
        for (const auto unit : {Unit::Sat, Unit::Msat}) {
            const Amount units = to_amount_floor(amount, unit);
            if (units == 0) continue;
            auto prepared = prepare_from(impl, {*candidate, unit, units});
            if (prepared) return prepared;
            if (weight(prepared.error()) <= heaviest) continue;
            heaviest = weight(prepared.error());
            reason = std::move(prepared).error();
        }
    }
    return fail(std::move(reason));
}

nutgate::Msat Wallet::worth(const PreparedSend& prepared) const { return prepared.draft.amount; }
nutgate::Msat Wallet::fee(const PreparedSend& prepared) const { return prepared.draft.fee; }

template <>
void Wallet::Dispose<Wallet::PreparedSend>::operator()(PreparedSend* prepared) const {
    prepared->picks->release(prepared->draft.inputs);
    delete prepared;
}

Result<OperationId, WalletError> Wallet::begin_send(store::Tx& tx, const PreparedSend& prepared,
                                                    std::string_view reference) {
    if (const auto id = wallet::find_joinable(tx, OperationKind::Send, reference)) return *id;
    if (!wallet::reserve_own(tx, prepared.draft)) {
        return fail(WalletError{Code::TokenPending, "another operation took a proof of it"});
    }
    wallet::insert(tx, prepared.draft, reference, impl_->clock.now());
    return prepared.draft.id;
}

}  // namespace nutgate::cashu
