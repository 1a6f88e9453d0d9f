// What goes between a client and a relay (NIP-01, NIP-42): JSON arrays, one to a frame.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "nostr_event.h"

namespace nutgate::lightning {

// Of a reason, a notice or a challenge; what is longer is no message.
inline constexpr std::size_t kRelayTextMax = 4096;
inline constexpr std::size_t kRelayMessageMax = 512 * 1024;

struct RelayEvent {
    std::string subscription;
    NostrEvent event;  // Not verified.
};
struct RelayAnswer {  // OK
    NostrId event{};
    bool accepted = false;
    std::string reason;  // "auth-required: …"
};
struct RelayStored {  // EOSE: what comes now is new.
    std::string subscription;
};
struct RelayClosed {
    std::string subscription;
    std::string reason;
};
struct RelayNotice {
    std::string text;
};
struct RelayChallenge {  // AUTH
    std::string challenge;
};
using RelayMessage =
    std::variant<RelayEvent, RelayAnswer, RelayStored, RelayClosed, RelayNotice, RelayChallenge>;

// Empty for what is no such message.
std::optional<RelayMessage> parse_relay_message(std::string_view text);

bool asks_for_authentication(std::string_view reason);

std::string write_subscribe(std::string_view subscription, const Json& filter);
std::string write_close(std::string_view subscription);
std::string write_event(const NostrEvent& event);
std::string write_authentication(const NostrEvent& event);

}  // namespace nutgate::lightning
