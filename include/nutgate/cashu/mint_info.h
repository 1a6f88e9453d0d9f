// What a mint says of itself (NUT-06).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/cashu/proof.h"

namespace nutgate::cashu::wire {

struct MethodSetting {
    std::string method;
    std::string unit;
    std::optional<Amount> min_amount;
    std::optional<Amount> max_amount;
    std::optional<bool> option;  // Mint: "description"; melt: "amountless".
};
struct CachedEndpoint {
    std::string method;
    std::string path;
};
// What may be subscribed to over a WebSocket (NUT-17).
struct SubscriptionSetting {
    std::string method;
    std::string unit;
    std::vector<std::string> commands;  // "bolt11_mint_quote", "proof_state", …
};
// Issuing for several quotes at once (NUT-29).
struct BatchSetting {
    std::optional<std::uint64_t> max_batch_size;
    std::vector<std::string> methods;  // Empty: every method that issues.
};

// Parsed forgivingly: a part that does not fit is as if it were not there.
struct Info {
    std::string name;
    std::string version;
    std::string description;
    std::vector<std::string> urls;
    std::optional<std::int64_t> time;
    std::vector<MethodSetting> mint_methods;
    std::vector<MethodSetting> melt_methods;
    bool mint_disabled = false;
    bool melt_disabled = false;
    std::vector<int> supported;  // The NUTs that say {"supported":true}.
    std::vector<SubscriptionSetting> subscriptions;
    std::optional<BatchSetting> batch;
    std::vector<CachedEndpoint> cached_endpoints;
    std::optional<std::uint64_t> cache_ttl;  // Empty: for ever.
    std::optional<std::uint64_t> max_array_length;

    // How it takes money by that method; null if it does not.
    const MethodSetting* mints_by(std::string_view method, std::string_view unit) const {
        const auto found = std::find_if(mint_methods.begin(), mint_methods.end(), [&](auto& each) {
            return each.method == method && each.unit == unit;
        });
        return found == mint_methods.end() || mint_disabled ? nullptr : &*found;
    }
    bool supports(int nut) const {
        return std::find(supported.begin(), supported.end(), nut) != supported.end();
    }
};

}  // namespace nutgate::cashu::wire
