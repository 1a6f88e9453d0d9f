#include <algorithm>

#include "nutgate/cashu/wire.h"
#include "wallet/impl.h"
#include "wallet/selection.h"

namespace nutgate::cashu {
namespace {

using Code = WalletError::Code;
using wallet::Freshness;
using wallet::Input;
using wallet::KeysetMap;
using wallet::Purpose;

// The proofs chosen for a send; none if nothing suffices.
struct Choice {
    std::vector<Input> inputs;
    wallet::Selection selection;
};

Choice choose(const std::vector<Input>& available, const KeysetMap& keysets, Amount target) {
    std::vector<wallet::Candidate> candidates;
    for (const auto& input : available) {
        const auto keyset = keysets.find(input.keyset);
        candidates.push_back({.amount = input.amount,
                              .ppk = keyset == keysets.end() ? 0 : keyset->second.input_fee_ppk});
    }
    const auto selection = wallet::select_proofs(candidates, target, wallet::kInputsMax);
    if (!selection) return {};
    Choice choice{.inputs = {}, .selection = *selection};
    for (const auto index : selection->indices) choice.inputs.push_back(available[index]);
    return choice;
}

// What one mint has of one unit, as a send looks at it.
struct Purse {
    std::vector<Input> available;
    nutgate::Msat total;     // All of `available`, picked by others or not.
    nutgate::Msat expected;  // From operations under way.
};

Result<Purse, WalletError> look(Wallet::Impl& impl, const WalletMint& mint, Unit unit) {
    return impl.database.read([&](store::Reader& reader) -> Result<Purse, WalletError> {
        Purse purse{.available = wallet::unspent(reader, mint.url, unit, wallet::kCandidatesMax),
                    .total = {},
                    .expected = wallet::expected(reader, mint.url, unit)};
        for (const auto& input : purse.available) {
            purse.total = add(purse.total, input.msat).value_or(purse.total);
        }
        return purse;
    });
}

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

struct Wish {
    const WalletMint& mint;
    Unit unit;
    Amount amount;
};

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
                                                       .outputs = {}},
                                             .picks = &impl.picks}};
}

// From one mint and unit.
Result<Prepared, WalletError> prepare_from(Wallet::Impl& impl, const Wish& wish) {
    // Proofs that fit need no mint, so its keysets need not be recent until a swap is.
    for (const auto freshness : {Freshness::Known, Freshness::Recent}) {
        TRY(const auto purse, look(impl, wish.mint, wish.unit));
        const auto wanted = to_msat(wish.amount, wish.unit);
        if (!wanted || purse.total < *wanted) {
            const auto soon = add(purse.total, purse.expected);
            if (wanted && soon && *soon >= *wanted) {
                return fail(WalletError{Code::TokenPending, "change is still under way"});
            }
            return fail(WalletError{
                Code::InsufficientFunds,
                std::to_string(purse.total.raw()) + " msat at " + wish.mint.url.text()});
        }
        TRY(const auto keysets, impl.keysets.of(wish.mint, freshness));
        const auto choice = impl.picks.pick(purse.available, [&](const std::vector<Input>& free) {
            return choose(free, keysets, wish.amount);
        });
        if (choice.inputs.empty()) {
            const bool alone = !choose(purse.available, keysets, wish.amount).inputs.empty();
            return fail(alone ? WalletError{Code::TokenPending, "other sends are being prepared"}
                              : WalletError{Code::InsufficientFunds,
                                            std::to_string(purse.total.raw()) + " msat at " +
                                                wish.mint.url.text() + " do not cover its fee"});
        }
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
    if (const auto* wanted = mint ? impl.find(*mint) : nullptr) order.push_back(wanted);
    for (const auto& other : impl.mints) {
        if (std::find(order.begin(), order.end(), &other) == order.end()) order.push_back(&other);
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
