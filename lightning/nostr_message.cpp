#include "nostr_message.h"

namespace nutgate::lightning {
namespace {

std::optional<std::string> text_of(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    auto text = value.get<std::string>();
    return text.size() <= kRelayTextMax ? std::optional{std::move(text)} : std::nullopt;
}

std::optional<RelayMessage> read_event_message(const Json& json) {
    if (json.size() < 3) return std::nullopt;
    auto subscription = text_of(json[1]);
    auto event = read_event(json[2]);
    if (!subscription || !event) return std::nullopt;
    return RelayEvent{*std::move(subscription), *std::move(event)};
}

std::optional<RelayMessage> read_answer(const Json& json) {
    if (json.size() < 3 || !json[1].is_string() || !json[2].is_boolean()) return std::nullopt;
    const auto id = array_from_hex<32>(json[1].get_ref<const std::string&>());
    auto reason = json.size() > 3 ? text_of(json[3]) : std::string{};  // Old relays give none.
    if (!id || !reason) return std::nullopt;
    return RelayAnswer{*id, json[2].get<bool>(), *std::move(reason)};
}

}  // namespace

std::optional<RelayMessage> parse_relay_message(std::string_view text) {
    if (text.size() > kRelayMessageMax) return std::nullopt;
    const Json json = parse_json(text);
    if (!json.is_array() || json.size() < 2 || !json[0].is_string()) return std::nullopt;
    const auto& kind = json[0].get_ref<const std::string&>();
    if (kind == "EVENT") return read_event_message(json);
    if (kind == "OK") return read_answer(json);
    auto first = text_of(json[1]);
    if (!first) return std::nullopt;
    if (kind == "EOSE") return RelayStored{*std::move(first)};
    if (kind == "NOTICE") return RelayNotice{*std::move(first)};
    if (kind == "AUTH") return RelayChallenge{*std::move(first)};
    if (kind != "CLOSED") return std::nullopt;
    auto reason = json.size() > 2 ? text_of(json[2]) : std::string{};
    if (!reason) return std::nullopt;
    return RelayClosed{*std::move(first), *std::move(reason)};
}

bool asks_for_authentication(std::string_view reason) {
    return reason.starts_with("auth-required:") || reason.starts_with("restricted:");
}

std::string write_subscribe(std::string_view subscription, const Json& filter) {
    return dump(Json::array({"REQ", subscription, filter}));
}
std::string write_close(std::string_view subscription) {
    return dump(Json::array({"CLOSE", subscription}));
}
std::string write_event(const NostrEvent& event) {
    return dump(Json::array({"EVENT", to_json(event)}));
}
std::string write_authentication(const NostrEvent& event) {
    return dump(Json::array({"AUTH", to_json(event)}));
}

}  // namespace nutgate::lightning
