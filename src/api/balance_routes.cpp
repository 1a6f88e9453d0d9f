// /v1/balance and its alias /v1/wallet (routstr-contract 1.2).
#include <algorithm>

#include "context.h"
#include "nutgate/proxy/gateway.h"
#include "refund_routes.h"

namespace nutgate::api {
namespace {

using http::Method;
using http::Request;

constexpr std::size_t kPreviewDigits = 8;  // Of a key's id: enough to tell one's own apart.

Json optional_msat(const std::optional<Msat>& amount) {
    return amount ? Json(amount->raw()) : Json();
}

void add_limits(Json& body, const KeyLimits& limits) {
    body["balance_limit"] = optional_msat(limits.balance_limit);
    body["balance_limit_reset"] =
        limits.reset == LimitReset::Never ? Json() : Json(to_text(limits.reset));
    body["validity_date"] =
        limits.valid_until ? Json(to_unix_seconds(*limits.valid_until)) : Json();
}

std::string preview(const KeyId& key) { return key.hex().substr(0, kPreviewDigits) + "..."; }

Answer info(Context& context, const Request& request) {
    TRY(const auto key, identify(context, request, FreshToken::Deposit));
    TRY(const auto info, of_cashier(context.services.cashier.info(key)));
    const KeyRecord& record = info.record;
    Json body{{"api_key", context.services.keyring.text_of(key)},
              {"balance", info.balance.raw()},
              {"reserved", info.reserved.raw()},
              {"is_child", record.parent.has_value()},
              {"total_requests", record.total_requests},
              {"total_spent", record.total_spent.raw()}};
    add_limits(body, record.limits);
    if (record.parent) body["parent_key_preview"] = preview(*record.parent);
    if (info.children.empty()) return body;
    // Children by prefix, never their secrets: the parent got those once (S11).
    Json children = Json::array();
    for (const KeyRecord& child : info.children) {
        Json line{{"api_key", "sk-" + preview(child.id)},
                  {"id", child.id.hex()},
                  {"total_requests", child.total_requests},
                  {"total_spent", child.total_spent.raw()}};
        add_limits(line, child.limits);
        children.push_back(std::move(line));
    }
    body["child_keys"] = std::move(children);
    return body;
}

// The same for GET with a query and POST with a body. An sk- key in place of a token finds itself,
// and its limits stay what they are (S4).
Answer create(Context& context, const Request& request, const Fields& fields) {
    TRY(const auto token, fields.required_text("initial_balance_token"));
    TRY(const auto limits, fields.limits());
    TRY(const auto admitted, admit(context.creates, request));
    VERIFY(admitted);
    auto& services = context.services;
    if (const auto key = services.keyring.authenticate(token)) {
        TRY(const auto info, of_cashier(services.cashier.info(*key)));
        return Json{{"api_key", services.keyring.text_of(*key)}, {"balance", info.balance.raw()}};
    }
    TRY(const auto deposit, of_cashier(services.cashier.deposit_token(token, CreateKey{limits})));
    return Json{{"api_key", services.keyring.text_of(deposit.key)},
                {"balance", deposit.balance.raw()}};
}

Answer top_up(Context& context, const Request& request) {
    TRY(const auto key, identify(context, request, FreshToken::Deposit));
    TRY(const auto fields, Fields::of_body(request));
    TRY(auto token, fields.text("cashu_token"));
    if (!token) token = request.query_value("cashu_token");
    if (!token || token->empty()) {
        return fail(invalid_field("cashu_token", "A cashu_token is required."));
    }
    if (token->size() < 10 || token->find("cashu") == std::string::npos) {
        return fail(invalid_field("cashu_token", "Invalid token format"));
    }
    TRY(const auto admitted, admit(context.creates, request));
    VERIFY(admitted);
    TRY(const auto deposit, of_cashier(context.services.cashier.deposit_token(*token, TopUp{key})));
    return Json{{"msats", deposit.credited.raw()}};
}

std::int64_t whole_sats_ceil(Msat amount) {
    std::int64_t sats = to_sat_floor(amount).raw();
    if (to_msat(to_sat_floor(amount)) < amount) ++sats;
    return sats;
}

Json to_json(const Refund& refund) {
    return {{"token", refund.token},
            {"sats", std::to_string(refund.amount.raw())},
            {"mint", refund.mint},
            {"fee_msats", refund.fee.raw()},
            {"redeem_fee_sats",
             refund.redeem_fee ? Json(whole_sats_ceil(*refund.redeem_fee)) : Json()}};
}

http::ApiError no_change(std::string code, std::string message) {
    return {.status = 404,
            .type = "invalid_request_error",
            .code = std::move(code),
            .message = std::move(message)};
}

// Of a request that was paid for with this token alone: whatever its answer did not bring.
Answer change(Context& context, const Request& request, std::string_view token) {
    using Code = CashierError::Code;
    TRY(const auto admitted, admit(context.statuses, request));
    VERIFY(admitted);
    const auto pending = [](const CashierError& why) {
        http::ApiError error = to_api_error(why);
        error.status = 425;
        error.message = "Refund is pending; retry shortly.";
        error.headers.set("Retry-After", "2");
        return error;
    };
    const auto key = context.services.cashier.key_of_token(token);
    if (!key && key.error().code == Code::KeyUnknown) {
        return fail(no_change("refund_not_found", "Refund not found"));
    }
    if (!key && key.error().code == Code::InProgress) return fail(pending(key.error()));
    if (!key) return fail(to_api_error(key.error()));
    const auto refund = context.services.cashier.refund(*key);
    if (refund) return to_json(*refund);
    const Code why = refund.error().code;
    if (why == Code::RequestsInFlight || why == Code::InProgress) {
        return fail(pending(refund.error()));
    }
    if (why == Code::NoBalance || why == Code::BalanceTooSmall) {
        return fail(no_change("nothing_due", "Nothing is due: less than a sat is left."));
    }
    return fail(to_api_error(refund.error()));
}

Answer refund(Context& context, const Request& request) {
    TRY(const auto key, identify(context, request, FreshToken::Refuse));
    TRY(const auto sent, refund_over_lightning(context, key, request));
    if (sent) return *sent;
    const auto refund = context.services.cashier.refund(key);
    if (!refund && refund.error().code == CashierError::Code::KeyUnknown) {
        return fail(unknown_bearer());
    }
    if (!refund) return fail(to_api_error(refund.error()));
    return to_json(*refund);
}

http::Response refund_or_change(Context& context, const Request& request) {
    const auto paid_with = request.headers.find(proxy::kPaymentHeader);
    if (!paid_with || bearer_of(request)) return to_response(refund(context, request), request);
    const Answer answer = change(context, request, *paid_with);
    http::Response response = to_response(answer, request);
    if (!answer) return response;
    const auto token = (*answer)["token"].get<std::string>();
    if (token.size() <= proxy::kPaymentHeaderBytesMax) {
        response.headers.set(proxy::kPaymentHeader, token);
    }
    return response;
}

std::string_view source_text(HistoryEntry::Source source) {
    switch (source) {
        case HistoryEntry::Source::Cashu:
            return "cashu";
        case HistoryEntry::Source::Lightning:
            return "lightning";
        case HistoryEntry::Source::Refund:
            return "refund";
    }
    return "";
}

// The mint in this process is known to others by its URL.
Json mint_url(const Context& context, const std::string& mint) {
    if (mint.empty()) return nullptr;
    if (mint == cashu::MintUrl::embedded().text()) return context.options.http_url + "/mint";
    return mint;
}

Answer history(Context& context, const Request& request) {
    constexpr std::int64_t kLinesMax = 1000;
    TRY(const auto key, identify(context, request, FreshToken::Deposit));
    TRY(const auto asked, Fields::of_query(request).integer("limit"));
    const auto limit = std::clamp<std::int64_t>(asked.value_or(100), 1, kLinesMax);
    TRY(const auto entries,
        of_cashier(context.services.cashier.history(key, static_cast<int>(limit))));
    Json lines = Json::array();
    for (const HistoryEntry& entry : entries) {
        Json line{{"id", entry.id},
                  {"type", entry.incoming ? "in" : "out"},
                  {"source", source_text(entry.source)},
                  {"amount", entry.amount.raw()},
                  {"unit", "msat"},
                  {"mint_url", mint_url(context, entry.mint)},
                  {"created_at", to_unix_seconds(entry.at)},
                  // A refund is handed out in its answer, and never taken back.
                  {"collected", true},
                  {"swept", false}};
        if (!entry.token.empty()) line["token"] = entry.token;
        lines.push_back(std::move(line));
    }
    return Json{{"transactions", lines}};
}

Answer create_children(Context& context, const Request& request) {
    constexpr std::int64_t kCountMax = 50;
    TRY(const auto key, identify(context, request, FreshToken::Deposit));
    TRY(const auto fields, Fields::of_body(request));
    TRY(const auto asked, fields.integer("count"));
    TRY(const auto limits, fields.limits());
    const auto count = asked.value_or(1);
    if (count < 1 || count > kCountMax) {
        return fail(invalid_field("count", "Count must be between 1 and 50."));
    }
    TRY(const auto made,
        of_cashier(context.services.cashier.create_children(key, static_cast<int>(count), limits)));
    Json keys = Json::array();
    for (const KeyId& child : made.keys) keys.push_back(context.services.keyring.text_of(child));
    return Json{{"api_keys", keys},
                {"count", made.keys.size()},
                {"cost_msats", made.cost.raw()},
                {"cost_sats", to_sat_floor(made.cost).raw()},
                {"parent_balance", made.balance.raw()},
                {"parent_balance_sats", to_sat_floor(made.balance).raw()}};
}

Answer reset_child(Context& context, const Request& request) {
    TRY(const auto key, identify(context, request, FreshToken::Refuse));
    TRY(const auto fields, Fields::of_body(request));
    TRY(const auto text, fields.required_text("child_key"));
    auto child = context.services.keyring.authenticate(text);
    if (!child) child = KeyId::parse(text);
    if (!child) {
        return fail(to_api_error(CashierError{CashierError::Code::ChildUnknown}));
    }
    if (const auto done = context.services.cashier.reset_child(key, *child); !done) {
        return fail(to_api_error(done.error()));
    }
    return Json{{"success", true}, {"message", "Child key balance reset successfully."}};
}

}  // namespace

void add_balance_routes(http::Server& server, Context& context, const std::string& prefix) {
    for (const auto* path : {"", "/", "/info"})
        add(server, context, Method::Get, prefix + path, info);
    add(server, context, Method::Get, prefix + "/create",
        [](Context& c, const Request& r) { return create(c, r, Fields::of_query(r)); });
    add(server, context, Method::Post, prefix + "/create",
        [](Context& c, const Request& r) -> Answer {
            TRY(const auto fields, Fields::of_body(r));
            return create(c, r, fields);
        });
    add(server, context, Method::Post, prefix + "/topup", top_up);
    server.route_blocking(
        {.method = Method::Post, .pattern = prefix + "/refund"},
        [&context](const Request& request) { return refund_or_change(context, request); });
    add_refund_routes(server, context, prefix);
    add(server, context, Method::Get, prefix + "/history", history);
    add(server, context, Method::Post, prefix + "/child-key", create_children);
    add(server, context, Method::Post, prefix + "/child-key/reset", reset_child);
}

}  // namespace nutgate::api
