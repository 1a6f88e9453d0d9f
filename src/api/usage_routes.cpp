// GET /v1/balance/usage: what each charge of a key was for.
#include <algorithm>
#include <optional>

#include "context.h"
#include "nutgate/proxy/usage_rows.h"

namespace nutgate::api {
namespace {

using http::Method;
using http::Request;

constexpr std::size_t kPreviewDigits = 8;  // As in the list of children.
constexpr int kChildrenMax = 10'000;

std::string preview(const KeyId& key) {
    return "sk-" + key.hex().substr(0, kPreviewDigits) + "...";
}

// The children of `parent` that `text` names: by its id, the beginning of it, or its preview.
Result<KeyId, CashierError> find_child(Context& context, store::Reader& reader, const KeyId& parent,
                                       std::string text) {
    if (const auto key = context.services.keyring.authenticate(text)) text = key->hex();
    if (text.starts_with("sk-")) text.erase(0, 3);
    while (text.ends_with('.')) text.pop_back();
    std::optional<KeyId> found;
    if (text.size() >= kPreviewDigits) {
        for (const KeyRecord& child :
             context.services.keyring.children(reader, parent, kChildrenMax)) {
            if (!child.id.hex().starts_with(text)) continue;
            // Of two that begin alike neither is meant.
            if (found) return fail(CashierError{CashierError::Code::ChildUnknown});
            found = child.id;
        }
    }
    if (!found) return fail(CashierError{CashierError::Code::ChildUnknown});
    return *found;
}

Json row_of(const proxy::UsageEntry& entry) {
    Json items = Json::array();
    for (const proxy::UsageItem& item : entry.items) {
        items.push_back({{"kind", item.kind},
                         {"count", item.count},
                         {"msats_per_million", item.msat_per_million}});
    }
    return {{"id", std::to_string(entry.id)},
            {"time", to_unix_seconds(entry.at)},
            {"key", preview(entry.child.value_or(entry.payer))},
            {"is_child", entry.child.has_value()},
            {"model", entry.model},
            {"endpoint", entry.endpoint},
            {"input_tokens", entry.input},
            {"output_tokens", entry.output},
            {"items", std::move(items)},
            {"usage_source", proxy::to_text(entry.source)},
            {"cost_msats", entry.charged.raw()}};
}

// A key sees what it used itself; one that pays for children sees theirs, too, never their secrets.
Answer usage(Context& context, const Request& request) {
    constexpr std::int64_t kRowsUsual = 100;
    constexpr std::int64_t kSinceMax =
        1'000'000'000'000;  // Unix seconds: beyond, they were milliseconds.
    TRY(const auto key, identify(context, request, FreshToken::Refuse));
    const Fields fields = Fields::of_query(request);
    TRY(const auto limit, fields.integer("limit"));
    TRY(const auto cursor, fields.integer("cursor"));
    TRY(const auto since, fields.integer("since"));
    TRY(const auto model, fields.text("model"));
    TRY(const auto child, fields.text("key"));
    if (since && (*since < 0 || *since > kSinceMax)) {
        return fail(invalid_field("since", "since is in unix seconds."));
    }
    proxy::UsageQuery query;
    query.limit = static_cast<int>(
        std::clamp<std::int64_t>(limit.value_or(kRowsUsual), 1, context.options.usage_rows_max));
    query.before = cursor;
    query.model = model;
    if (since) query.since = from_unix_seconds(*since);
    const auto found = context.services.database.read(
        [&](store::Reader& reader) -> Result<proxy::UsagePage, CashierError> {
            const auto record = context.services.keyring.find(reader, key);
            if (!record) return fail(CashierError{CashierError::Code::KeyUnknown});
            if (record->parent) {
                if (child) return fail(CashierError{CashierError::Code::ChildKey});
                query.child = key;
            } else if (child) {
                TRY(query.child, find_child(context, reader, key, *child));
            } else {
                query.payer = key;
            }
            return proxy::list_usage(reader, query);
        });
    TRY(const auto page, of_cashier(found));
    Json rows = Json::array();
    for (const proxy::UsageEntry& entry : page.entries) rows.push_back(row_of(entry));
    return Json{{"usage", std::move(rows)},
                {"next_cursor", page.next ? Json(std::to_string(*page.next)) : Json()}};
}

}  // namespace

void add_usage_routes(http::Server& server, Context& context, const std::string& prefix) {
    add(server, context, Method::Get, prefix + "/usage", usage);
}

}  // namespace nutgate::api
