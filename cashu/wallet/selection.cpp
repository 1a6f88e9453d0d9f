#include "wallet/selection.h"

#include <algorithm>
#include <numeric>

namespace nutgate::cashu::wallet {
namespace {

// In 128 bits: a sum of many large rates must not wrap.
__extension__ using Wide = unsigned __int128;

Amount fee_of(Wide ppk_sum) { return static_cast<Amount>((ppk_sum + 999) / 1000); }

std::vector<std::size_t> largest_first(const std::vector<Candidate>& candidates) {
    std::vector<std::size_t> order(candidates.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return candidates[a].amount > candidates[b].amount;
    });
    return order;
}

// Denominations that divide one another, as powers of two do, are found greedily if at all. For
// others a fit may be missed, and a swap is made that was not needed.
std::optional<Selection> exact_fit(const std::vector<Candidate>& candidates,
                                   const std::vector<std::size_t>& order, Amount target,
                                   std::size_t inputs_max) {
    Selection selection{.indices = {}, .total = 0, .fee = 0, .exact = true};
    for (const auto index : order) {
        if (selection.total == target) break;
        const Amount amount = candidates[index].amount;
        if (amount == 0 || amount > target - selection.total) continue;
        selection.indices.push_back(index);
        selection.total += amount;
    }
    if (selection.total != target || selection.indices.size() > inputs_max) return std::nullopt;
    return selection;
}

// Whether `total` at this sum of rates pays for itself and the target.
bool suffices(Wide total, Wide ppk_sum, Amount target) {
    return total >= Wide{target} + fee_of(ppk_sum);
}

}  // namespace

std::optional<Selection> select_proofs(const std::vector<Candidate>& candidates, Amount target,
                                       std::size_t inputs_max) {
    if (target == 0) return std::nullopt;
    const auto order = largest_first(candidates);
    auto exact = exact_fit(candidates, order, target, inputs_max);
    if (exact && exact->indices.size() <= kHandedOnMax) return exact;
    auto covering = select_covering(candidates, target, inputs_max);
    return covering ? covering : exact;
}

std::optional<Selection> select_covering(const std::vector<Candidate>& candidates, Amount target,
                                         std::size_t inputs_max) {
    if (target == 0) return std::nullopt;
    const auto order = largest_first(candidates);
    Selection selection;
    Wide total = 0;
    Wide ppk_sum = 0;
    std::optional<std::size_t> last;  // Position in `order` of the one that made it enough.
    for (std::size_t i = 0; i < order.size() && selection.indices.size() < inputs_max; ++i) {
        const auto& candidate = candidates[order[i]];
        if (Wide{candidate.amount} * 1000 <= candidate.ppk) continue;
        selection.indices.push_back(order[i]);
        total += candidate.amount;
        ppk_sum += candidate.ppk;
        if (suffices(total, ppk_sum, target)) {
            last = i;
            break;
        }
    }
    if (!last) return std::nullopt;

    // The last one in may be replaced by the smallest that is still enough: the change is then
    // small, and large proofs stay whole.
    const auto& first_choice = candidates[order[*last]];
    total -= first_choice.amount;
    ppk_sum -= first_choice.ppk;
    std::size_t best = *last;
    for (std::size_t i = *last + 1; i < order.size(); ++i) {
        const auto& candidate = candidates[order[i]];
        if (suffices(total + candidate.amount, ppk_sum + candidate.ppk, target)) best = i;
    }
    selection.indices.back() = order[best];
    total += candidates[order[best]].amount;
    ppk_sum += candidates[order[best]].ppk;
    if (total > UINT64_MAX) return std::nullopt;
    selection.total = static_cast<Amount>(total);
    selection.fee = fee_of(ppk_sum);
    return selection;
}

std::optional<std::vector<Amount>> split_by(const std::map<Amount, crypto::Point>& keys,
                                            Amount amount, std::size_t outputs_max) {
    std::vector<Amount> parts;
    for (auto key = keys.rbegin(); key != keys.rend() && amount > 0; ++key) {
        if (key->first == 0) continue;
        const Amount count = amount / key->first;
        if (count > outputs_max - parts.size()) return std::nullopt;
        parts.insert(parts.end(), static_cast<std::size_t>(count), key->first);
        amount %= key->first;
    }
    if (amount != 0) return std::nullopt;
    return parts;
}

}  // namespace nutgate::cashu::wallet
