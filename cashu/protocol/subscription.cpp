#include "nutgate/cashu/subscription.h"

#include <array>
#include <charconv>

#include "nutgate/base/json_depth.h"
#include "protocol/json_reader.h"
#include "protocol/wire_json.h"

namespace nutgate::cashu::wire {

namespace {

using Code = WireError::Code;

constexpr std::array kKinds{SubscriptionKind::MintQuote, SubscriptionKind::MeltQuote,
                            SubscriptionKind::ProofState};

// A number, or digits in a text: the specification's own examples have both.
std::optional<std::uint64_t> read_id(Reader& reader) {
    const Json* const value = reader.optional(reader.root(), "id");
    if (value == nullptr) return std::nullopt;
    if (value->is_number_unsigned()) return value->get<std::uint64_t>();
    if (value->is_string()) {
        const auto& text = value->get_ref<const std::string&>();
        std::uint64_t id = 0;
        const char* const end = text.data() + text.size();
        const auto [stop, failure] = std::from_chars(text.data(), end, id);
        if (failure == std::errc{} && stop == end) return id;
    }
    reader.fail_with(Code::WrongType, "id");
    return std::nullopt;
}

std::uint64_t required_id(Reader& reader) {
    const auto id = read_id(reader);
    if (!id) reader.fail_with(Code::Missing, "id");
    return id.value_or(0);
}

// "params": an object, or a text that holds one.
Json read_params(Reader& reader) {
    const Json* const params = reader.required(reader.root(), "params");
    if (params == nullptr) return Json::object();
    if (!params->is_string()) return *params;
    const auto& text = params->get_ref<const std::string&>();
    if (nests_too_deep(text)) return Json{};
    Json inner = Json::parse(text, nullptr, false);
    return inner.is_discarded() ? Json{} : inner;
}

std::string read_sub_id(Reader& reader, const Json& object) {
    return reader.text(object, "subId", kSubscriptionIdBytesMax);
}

Subscribe read_subscribe(Reader& reader, const Json& params) {
    Subscribe subscribe;
    const std::string kind = reader.text(params, "kind", kTextBytesMax);
    bool is_known = false;
    for (const SubscriptionKind known : kKinds) {
        if (kind != to_text(known)) continue;
        subscribe.kind = known;
        is_known = true;
    }
    if (!is_known) reader.fail_with(Code::OutOfRange, "kind");
    subscribe.sub_id = read_sub_id(reader, params);
    for (const Json& item : reader.items(params, "filters", kSubscriptionFiltersMax)) {
        const std::string where = "filters[" + std::to_string(subscribe.filters.size()) + "]";
        if (!item.is_string()) {
            reader.fail_with(Code::WrongType, where);
            break;
        }
        subscribe.filters.push_back(item.get<std::string>());
        if (subscribe.filters.back().size() > kFilterBytesMax) {
            reader.fail_with(Code::OutOfRange, where);
        }
    }
    return subscribe;
}

SocketMessage read_notification(Reader& reader) {
    const Json params = read_params(reader);
    SocketNotification notification;
    reader.within("params.", [&] {
        notification.sub_id = read_sub_id(reader, params);
        const Json* const payload = reader.required(params, "payload");
        if (payload == nullptr) return;
        if (!payload->is_object()) return reader.fail_with(Code::WrongType, "payload");
        notification.payload = dump(*payload);
    });
    return notification;
}

SocketMessage read_error(Reader& reader, const Json& fields) {
    SocketError error;
    error.id = read_id(reader);
    reader.within("error.", [&] {
        error.message = reader.maybe_text(fields, "message", kTextBytesMax).value_or("");
        const Json* const code = reader.optional(fields, "code");
        if (code == nullptr) return;
        // JSON-RPC's own codes are negative.
        const bool fits = code->is_number_integer() &&
                          (!code->is_number_unsigned() ||
                           code->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
        if (!fits) return reader.fail_with(Code::WrongType, "code");
        error.code = code->get<std::int64_t>();
    });
    return error;
}

SocketMessage read_result(Reader& reader, const Json& result) {
    const std::uint64_t id = required_id(reader);
    std::string status;
    std::string sub_id;
    reader.within("result.", [&] {
        status = reader.text(result, "status", kTextBytesMax);
        sub_id = reader.maybe_text(result, "subId", kSubscriptionIdBytesMax).value_or("");
    });
    if (status == "OK") return SocketAck{id, std::move(sub_id)};
    return SocketError{id, 0, std::move(status)};
}

Json envelope() { return {{"jsonrpc", "2.0"}}; }

std::string write_call(std::uint64_t id, const char* method, Json params) {
    Json json = envelope();
    json["id"] = id;
    json["method"] = method;
    json["params"] = std::move(params);
    return dump(json);
}

Json to_json(const SocketAck& ack) {
    Json json = envelope();
    json["id"] = ack.id;
    json["result"] = {{"status", "OK"}, {"subId", ack.sub_id}};
    return json;
}

Json to_json(const SocketNotification& notification) {
    Json json = envelope();
    json["method"] = "subscribe";
    Json payload = Json::parse(notification.payload, nullptr, false);
    VERIFY(!payload.is_discarded());
    json["params"] = {{"subId", notification.sub_id}, {"payload", std::move(payload)}};
    return json;
}

Json to_json(const SocketError& error) {
    Json json = envelope();
    if (error.id) json["id"] = *error.id;
    json["error"] = {{"code", error.code}, {"message", error.message}};
    return json;
}

}  // namespace

std::string_view to_text(SubscriptionKind kind) {
    switch (kind) {
        case SubscriptionKind::MintQuote:
            return "bolt11_mint_quote";
        case SubscriptionKind::MeltQuote:
            return "bolt11_melt_quote";
        case SubscriptionKind::ProofState:
            return "proof_state";
    }
    return "";
}

Parsed<SocketRequest> parse_socket_request(std::string_view json) {
    Reader reader{json};
    SocketRequest request;
    request.id = required_id(reader);
    const std::string method = reader.text(reader.root(), "method", kTextBytesMax);
    const Json params = read_params(reader);
    reader.within("params.", [&] {
        if (method == "subscribe") {
            request.call = read_subscribe(reader, params);
        } else {
            request.call = Unsubscribe{read_sub_id(reader, params)};
        }
    });
    if (method != "subscribe" && method != "unsubscribe") {
        reader.fail_with(Code::OutOfRange, "method");
    }
    return reader.finish(std::move(request));
}

std::string write_socket_request(std::uint64_t id, const Subscribe& subscribe) {
    return write_call(id, "subscribe",
                      {{"kind", to_text(subscribe.kind)},
                       {"subId", subscribe.sub_id},
                       {"filters", subscribe.filters}});
}

std::string write_socket_request(std::uint64_t id, const Unsubscribe& unsubscribe) {
    return write_call(id, "unsubscribe", {{"subId", unsubscribe.sub_id}});
}

Parsed<SocketMessage> parse_socket_message(std::string_view json) {
    Reader reader{json};
    if (reader.failed()) return fail(reader.fault());
    if (const Json* const error = reader.optional(reader.root(), "error"); error != nullptr) {
        return reader.finish(read_error(reader, *error));
    }
    if (const Json* const result = reader.optional(reader.root(), "result"); result != nullptr) {
        return reader.finish(read_result(reader, *result));
    }
    return reader.finish(read_notification(reader));
}

std::string write_socket_message(const SocketMessage& message) {
    return dump(std::visit([](const auto& kind) { return to_json(kind); }, message));
}

}  // namespace nutgate::cashu::wire
