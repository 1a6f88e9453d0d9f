// The frames of NUT-17 (subscription.h), as one who subscribes to quotes needs them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nutgate::cashu {

// For quotes of Lightning payments to us ("bolt11_mint_quote"). `number` names the subscription,
// and `request` the message.
std::string write_subscribe(std::uint64_t request, std::uint64_t number,
                            const std::vector<std::string>& quotes);
std::string write_unsubscribe(std::uint64_t request, std::uint64_t number);

struct MintMessage {
    enum class Kind {
        Taken,         // A request of ours.
        Refused,       // A request of ours.
        Notification,  // `quote` and `payload` are set.
    };
    Kind kind;
    std::string quote;
    std::string payload;  // As text, to tell whether it is another than before.
};
// None if it is not of this protocol, or of something else than a quote.
std::optional<MintMessage> parse_mint_message(std::string_view text);

}  // namespace nutgate::cashu
