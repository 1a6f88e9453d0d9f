#include <algorithm>

#include "nutgate/cashu/wire.h"
#include "wallet/impl.h"
#include "wallet/incoming.h"
#include "wallet/selection.h"

namespace nutgate::cashu {
namespace {

using Code = WalletError::Code;
using wallet::Purpose;

}  // namespace

Result<Wallet::Owned<Wallet::PreparedReceive>, WalletError> Wallet::prepare_receive(
    const Token& token) {
    auto& impl = *impl_;
    TRY(const auto* mint, impl.mint_of(token));
    TRY(auto incoming, wallet::look_at(impl, *mint, token));
    const Amount net = incoming.total - incoming.fee;
    const auto credited = to_msat(net, incoming.unit);
    VERIFY(credited.has_value());  // The total is money.

    const auto* keyset = wallet::choose_active(incoming.keysets, incoming.unit, impl.clock.now());
    if (keyset == nullptr) {
        return fail(WalletError{Code::KeysetUnknown, "the mint has no active keyset"});
    }
    auto parts = wallet::split_by(keyset->keys, net, wallet::kOutputsMax);
    if (!parts) {
        return fail(WalletError{Code::AmountOverflow, "the mint has no keys for such an amount"});
    }
    std::vector<std::pair<Amount, Purpose>> amounts;
    for (auto part = parts->rbegin(); part != parts->rend(); ++part) {
        amounts.emplace_back(*part, Purpose::Keep);  // Ascending: the order tells nothing.
    }
    TRY(auto outputs, impl.plan(*keyset, amounts));

    wire::SwapRequest request{.inputs = incoming.token.proofs, .outputs = {}};
    for (const auto& output : outputs) request.outputs.push_back(output.message);
    const auto unlocked = unlock(std::move(request), {&impl.receive_secret, 1},
                                 to_unix_seconds(impl.clock.now()), impl.random);
    if (!unlocked) return fail(wallet::locked(unlocked.error()));
    const auto id = impl.random.id<OperationId>();
    return Owned<PreparedReceive>{new PreparedReceive{wallet::Draft{
        .id = id,
        .kind = OperationKind::Receive,
        .mint = mint->url,
        .unit = incoming.unit,
        .amount = *credited,
        .fee = *to_msat(incoming.fee, incoming.unit),
        .path = "/v1/swap",
        .request =
            impl.seal(as_bytes(wire::write_swap_request(*unlocked)), id, wallet::Sealed::Request),
        .token = impl.seal(as_bytes(write_token(incoming.token)), id, wallet::Sealed::Token),
        .inputs = std::move(incoming.inputs),
        .outputs = std::move(outputs),
        .bill = std::nullopt}}};
}

nutgate::Msat Wallet::worth(const PreparedReceive& prepared) const { return prepared.draft.amount; }

template <>
void Wallet::Dispose<Wallet::PreparedReceive>::operator()(PreparedReceive* prepared) const {
    delete prepared;
}

Result<OperationId, WalletError> Wallet::begin_receive(store::Tx& tx,
                                                       const PreparedReceive& prepared,
                                                       std::string_view reference) {
    if (const auto id = wallet::find_joinable(tx, OperationKind::Receive, reference)) return *id;
    TRY_VOID(impl_->check_exposure(tx, prepared.draft.mint, prepared.draft.amount));
    TRY_VOID(wallet::claim_foreign(tx, prepared.draft));
    wallet::insert(tx, prepared.draft, reference, impl_->clock.now());
    return prepared.draft.id;
}

Result<nutgate::Msat, WalletError> Wallet::redeem_fee(const Token& token) {
    auto& impl = *impl_;
    const auto held = impl.find(token.mint);
    const auto* mint = held.get();
    if (mint == nullptr) {
        TRY(mint, impl.mint_of(token));
    }
    TRY(const auto keysets, impl.keysets.of(*mint, wallet::Freshness::Known));
    std::vector<KeysetId> ids;
    std::map<KeysetId, std::uint64_t> rates;
    for (const auto& [id, keyset] : keysets) {
        ids.push_back(id);
        rates.emplace(id, keyset.input_fee_ppk);
    }
    const auto resolved = resolve_keysets(token, ids);
    const auto unit = parse_unit(token.unit);
    const bool known = resolved && std::ranges::all_of(resolved->proofs, [&](const Proof& proof) {
                           return rates.contains(proof.id);
                       });
    if (!known || !unit) {
        return fail(WalletError{Code::KeysetUnknown, "the token is of a keyset that is not known"});
    }
    const auto fee = to_msat(input_fee(resolved->proofs, rates), *unit);
    if (!fee) return fail(WalletError{Code::AmountOverflow, "its fee is too large"});
    return *fee;
}

}  // namespace nutgate::cashu
