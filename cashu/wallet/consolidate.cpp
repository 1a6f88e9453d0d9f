// Fewer proofs, and on keysets that live: what a wallet does for itself, so that the work of a
// refund does not grow with the number of customers, and no keyset ends with our ecash on it.
#include <algorithm>
#include <map>

#include "nutgate/base/log.h"
#include "nutgate/cashu/wire.h"
#include "wallet/impl.h"
#include "wallet/selection.h"

namespace nutgate::cashu {
namespace {

using Code = WalletError::Code;
using wallet::Input;
using wallet::KeysetMap;
using wallet::Purpose;

// Beyond so many of one denomination, the surplus is melted down: as many as a choice looks at.
constexpr std::size_t kKeptOfEach = wallet::kCandidatesOfEach;
// For fewer than this the fee and the call are not worth it.
constexpr std::size_t kSurplusMin = 128;

bool is_dying(const KeysetMap& keysets, const KeysetId& id, Time now) {
    const auto keyset = keysets.find(id);
    return keyset == keysets.end() || !wallet::is_usable(keyset->second, now);
}

struct Bundle {
    std::vector<Input> inputs;
    Amount total = 0;
    Amount fee = 0;
};

// Dying ones, all of them; otherwise the surplus, the smallest first. Proofs that cost more than
// they are worth stay where they are.
Bundle bundle_of(const std::vector<Input>& all, const KeysetMap& keysets, Time now) {
    std::vector<Input> dying;
    std::vector<Input> surplus;
    std::map<Amount, std::size_t> kept;
    for (const auto& input : all) {
        if (is_dying(keysets, input.keyset, now)) {
            dying.push_back(input);
        } else if (++kept[input.amount] > kKeptOfEach) {
            surplus.push_back(input);
        }
    }
    std::ranges::stable_sort(surplus, {}, &Input::amount);
    if (surplus.size() < kSurplusMin) surplus.clear();
    auto& chosen = dying.empty() ? surplus : dying;
    Bundle bundle;
    std::uint64_t ppk_sum = 0;
    for (const auto& input : chosen) {
        if (bundle.inputs.size() >= static_cast<std::size_t>(wallet::kInputsMax)) break;
        const auto keyset = keysets.find(input.keyset);
        const auto ppk = keyset == keysets.end() ? 0 : keyset->second.input_fee_ppk;
        if (ppk / 1000 >= input.amount) continue;
        bundle.inputs.push_back(input);
        bundle.total += input.amount;
        ppk_sum += ppk;
    }
    bundle.fee = (ppk_sum + 999) / 1000;
    if (bundle.fee >= bundle.total) return {};
    return bundle;
}

// One operation's worth of it, of one mint and unit; false if there is nothing to do.
Result<bool, WalletError> consolidate_at(Wallet::Impl& impl, const WalletMint& mint, Unit unit,
                                         std::vector<OperationId>& begun) {
    TRY(const auto all,
        impl.database.read([&](store::Reader& reader) -> Result<std::vector<Input>, WalletError> {
            return wallet::unspent(reader, mint.url, unit, wallet::kCandidatesAll);
        }));
    if (all.empty()) return false;
    TRY(const auto keysets, impl.keysets.of(mint, wallet::Freshness::Recent));
    const auto now = impl.clock.now();
    const auto* keyset = wallet::choose_active(keysets, unit, now);
    if (keyset == nullptr) return false;
    Bundle bundle;
    const auto picked = impl.picks.pick(all, [&](const std::vector<Input>& free) {
        bundle = bundle_of(free, keysets, now);
        return bundle;
    });
    if (picked.inputs.empty()) return false;
    const auto prepared = Wallet::Owned<Wallet::PreparedSend>{new Wallet::PreparedSend{
        .draft = {.id = impl.random.id<OperationId>(),
                  .kind = OperationKind::Consolidate,
                  .mint = mint.url,
                  .unit = unit,
                  .amount = to_msat(bundle.total - bundle.fee, unit).value_or(nutgate::Msat{}),
                  .fee = to_msat(bundle.fee, unit).value_or(nutgate::Msat{}),
                  .path = "/v1/swap",
                  .request = {},
                  .token = {},
                  .inputs = bundle.inputs,
                  .outputs = {},
                  .bill = std::nullopt},
        .picks = &impl.picks}};
    auto parts = wallet::split_by(keyset->keys, bundle.total - bundle.fee, wallet::kOutputsMax);
    if (!parts) return false;
    std::ranges::reverse(*parts);
    std::vector<std::pair<Amount, Purpose>> amounts;
    for (const auto part : *parts) amounts.emplace_back(part, Purpose::Keep);
    auto& draft = prepared->draft;
    TRY(draft.outputs, impl.plan(*keyset, amounts));
    wire::SwapRequest request;
    for (const auto& input : draft.inputs) request.inputs.push_back(impl.proof_of(input));
    for (const auto& output : draft.outputs) request.outputs.push_back(output.message);
    draft.request =
        impl.seal(as_bytes(wire::write_swap_request(request)), draft.id, wallet::Sealed::Request);
    TRY(const bool mine, impl.database.transact([&](store::Tx& tx) -> Result<bool, WalletError> {
        if (!wallet::reserve_own(tx, draft)) return false;
        wallet::insert(tx, draft, draft.id.hex(), now);
        return true;
    }));
    if (mine) begun.push_back(draft.id);
    return mine;
}

}  // namespace

Result<int, WalletError> Wallet::consolidate() {
    std::vector<OperationId> begun;
    for (const auto* mint : impl_->mints.spendable()) {
        for (const auto unit : {Unit::Sat, Unit::Msat}) {
            const auto done = consolidate_at(*impl_, *mint, unit, begun);
            if (done) continue;
            if (done.error().code == Code::StoreUnavailable) return fail(done.error());
            log::warn("wallet_consolidate",
                      {{"mint", mint->url.text()}, {"why", done.error().detail}});
        }
    }
    // What does not end now is recover()'s.
    for (const auto& id : begun) (void)execute(id).has_value();
    return static_cast<int>(begun.size());
}

}  // namespace nutgate::cashu
