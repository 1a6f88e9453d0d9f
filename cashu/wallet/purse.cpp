#include "wallet/purse.h"

#include <map>

namespace nutgate::cashu::wallet {
namespace {

using Code = WalletError::Code;

Choice choose(const std::vector<Input>& available, const KeysetMap& keysets, Amount target,
              Fit fit) {
    std::vector<Candidate> candidates;
    for (const auto& input : available) {
        const auto keyset = keysets.find(input.keyset);
        candidates.push_back({.amount = input.amount,
                              .ppk = keyset == keysets.end() ? 0 : keyset->second.input_fee_ppk});
    }
    const auto selection =
        fit == Fit::MayBeExact
            ? select_proofs(candidates, target, static_cast<std::size_t>(kInputsMax))
            : select_covering(candidates, target, static_cast<std::size_t>(kInputsMax));
    if (!selection) return {};
    Choice choice{.inputs = {}, .selection = *selection};
    for (const auto index : selection->indices) choice.inputs.push_back(available[index]);
    return choice;
}

// Whether there may be more of an amount than was read.
bool was_cut(const std::vector<Input>& available, int of_each) {
    std::map<Amount, int> counts;
    for (const auto& input : available) {
        if (++counts[input.amount] >= of_each) return true;
    }
    return false;
}

Result<WalletError, WalletError> why_not(Wallet::Impl& impl, const Wish& wish, bool alone) {
    struct Sums {
        nutgate::Msat total;
        nutgate::Msat expected;
    };
    TRY(const auto sums,
        impl.database.read([&](store::Reader& reader) -> Result<Sums, WalletError> {
            return Sums{unspent_total(reader, wish.mint.url, wish.unit),
                        expected(reader, wish.mint.url, wish.unit)};
        }));
    const auto there = std::to_string(sums.total.raw()) + " msat at " + wish.mint.url.text();
    const auto wanted = to_msat(wish.amount, wish.unit);
    if (!wanted) return WalletError{Code::InsufficientFunds, there};
    if (sums.total >= *wanted) {
        if (alone) return WalletError{Code::TokenPending, "other operations are being prepared"};
        return WalletError{Code::InsufficientFunds, there + " do not cover its fee"};
    }
    const auto soon = add(sums.total, sums.expected);
    if (soon && *soon >= *wanted) {
        return WalletError{Code::TokenPending, "change is still under way"};
    }
    return WalletError{Code::InsufficientFunds, there};
}

}  // namespace

Result<void, WalletError> check_not_empty(Wallet::Impl& impl, const Wish& wish) {
    TRY(const bool empty,
        impl.database.read([&](store::Reader& reader) -> Result<bool, WalletError> {
            return unspent(reader, wish.mint.url, wish.unit, 1).empty();
        }));
    if (!empty) return {};
    TRY(auto why, why_not(impl, wish, false));
    return fail(std::move(why));
}

Result<Choice, WalletError> pick_proofs(Wallet::Impl& impl, const Wish& wish, Fit fit,
                                        const KeysetMap& keysets) {
    bool alone = false;  // It would do, if nobody else had picked.
    for (const int of_each : {kCandidatesOfEach, kCandidatesAll}) {
        TRY(const auto available,
            impl.database.read(
                [&](store::Reader& reader) -> Result<std::vector<Input>, WalletError> {
                    return unspent(reader, wish.mint.url, wish.unit, of_each);
                }));
        auto choice = impl.picks.pick(available, [&](const std::vector<Input>& free) {
            return choose(free, keysets, wish.amount, fit);
        });
        if (!choice.inputs.empty()) return choice;
        alone = alone || !choose(available, keysets, wish.amount, fit).inputs.empty();
        if (!was_cut(available, of_each)) break;
    }
    TRY(auto why, why_not(impl, wish, alone));
    return fail(std::move(why));
}

}  // namespace nutgate::cashu::wallet
