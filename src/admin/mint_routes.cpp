// /admin/mints: which mints' tokens are taken, and what a mint says of itself. /admin/mint: our
// own.
#include <algorithm>
#include <charconv>

#include "answers.h"
#include "nutgate/base/json_depth.h"
#include "nutgate/cashu/wire.h"

namespace nutgate::admin {
namespace {

using http::Method;
using http::Request;

const char* to_text(cashu::MintRole role) {
    switch (role) {
        case cashu::MintRole::Trusted:
            return "trusted";
        case cashu::MintRole::Leaving:
            return "leaving";
        case cashu::MintRole::Guest:
            return "guest";
    }
    return "";
}

Json to_json(const cashu::MintView& mint) {
    return {{"mint", mint.url.text()},
            {"role", to_text(mint.role)},
            {"configured", mint.configured},
            {"held_msat", mint.held.raw()},
            {"exposure_max_msat", mint.exposure_max ? Json(mint.exposure_max->raw()) : Json()}};
}

Result<std::optional<cashu::MintView>, http::ApiError> find(const Services& services,
                                                            const cashu::MintUrl& url) {
    const auto views = services.wallet.mint_views();
    if (!views) return fail(of_wallet(views.error()));
    const auto found = std::ranges::find(*views, url, &cashu::MintView::url);
    return found == views->end() ? std::nullopt : std::optional{*found};
}

Answer add_mint(const Services& services, const Request& request) {
    TRY(const auto body, Body::of(request));
    TRY(const auto url, body.mint("url"));
    TRY(const auto exposure, body.optional_sats("exposure_sats"));
    const auto most = exposure ? std::optional{to_msat(*exposure)} : std::nullopt;
    if (const auto done = services.wallet.trust_mint(url, most); !done) {
        return fail(of_wallet(done.error()));
    }
    TRY(const auto view, find(services, url));
    if (!view) return fail(refusal(500, "internal_error", "it was added and is not there"));
    return to_json(*view);
}

Answer remove_mint(const Services& services, const Request& request) {
    TRY(const auto body, Body::of(request));
    TRY(const auto url, body.mint("url"));
    TRY(const auto known, find(services, url));
    // The file would bring it back at the next start.
    if (known && known->configured) {
        return fail(refusal(409, "mint_configured",
                            "the configuration names that mint: take it out of wallet.mints"));
    }
    if (const auto done = services.wallet.leave_mint(url); !done) {
        return fail(of_wallet(done.error()));
    }
    TRY(const auto view, find(services, url));
    return view ? Answer{to_json(*view)} : Answer{Json::object()};
}

// Bytes of a stranger's, as text that a terminal can be shown.
std::string printable(const Json& value, std::size_t most) {
    if (!value.is_string()) return {};
    std::string text = value.get<std::string>().substr(0, most);
    std::erase_if(text, [](char c) { return c < ' ' || c == '\x7f'; });
    return text;
}

void add_what_it_says(Json& body, cashu::MintClient& mint) {
    const auto answer = mint.call(cashu::MintMethod::Get, "/v1/info", {});
    const bool is_said = answer && answer->status == 200 && !nests_too_deep(answer->body);
    const Json info = is_said ? Json::parse(answer->body, nullptr, false) : Json{};
    if (!info.is_object()) {
        body["error"] = answer ? "its /v1/info can't be read" : "it does not answer";
        return;
    }
    body["name"] = printable(info.value("name", Json{}), 200);
    body["version"] = printable(info.value("version", Json{}), 100);
    std::vector<int> nuts;
    const Json listed = info.value("nuts", Json::object());
    for (const auto& item : listed.items()) {
        int number = 0;
        const auto& text = item.key();
        const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
        if (read.ec == std::errc{} && read.ptr == text.data() + text.size()) nuts.push_back(number);
    }
    std::ranges::sort(nuts);
    body["nuts"] = nuts;
}

void add_keysets(Json& body, cashu::MintClient& mint) {
    const auto answer = mint.call(cashu::MintMethod::Get, "/v1/keysets", {});
    const auto keysets = answer && answer->status == 200 ? cashu::wire::parse_keysets(answer->body)
                                                         : cashu::wire::parse_keysets("");
    if (!keysets) {
        body["error"] = "its keysets can't be read";
        return;
    }
    Json lines = Json::array();
    for (const auto& keyset : *keysets) {
        lines.push_back(
            {{"id", keyset.id.text()},
             {"unit", printable(keyset.unit, 16)},
             {"active", keyset.active},
             {"input_fee_ppk", keyset.input_fee_ppk},
             {"final_expiry", keyset.final_expiry ? Json(*keyset.final_expiry) : Json()}});
    }
    body["keysets"] = std::move(lines);
}

Answer info(const Services& services, const Request& request) {
    const auto asked = request.query_value("url");
    const auto url = asked ? cashu::MintUrl::parse(*asked) : std::nullopt;
    if (!url) return fail(refusal(400, "invalid_url", "url must be a mint's URL or \"embedded\""));
    const auto way = services.way_to(*url);
    if (!way) {
        return fail(refusal(400, "mint_out_of_reach",
                            "this node does not go there: without TLS only to this machine, and "
                            "with --dev to no other"));
    }
    TRY(const auto view, find(services, *url));
    Json body = view ? to_json(*view) : Json{{"mint", url->text()}, {"role", "unknown"}};
    add_what_it_says(body, *way);
    if (!body.contains("error")) add_keysets(body, *way);
    return body;
}

// After a backup was restored, when the operator knows that nothing was spent since it was made, or
// bears what was.
Answer unfreeze(const Services& services, const Request&) {
    if (services.mint == nullptr) {
        return fail(refusal(409, "mint_disabled", "this node has no mint of its own"));
    }
    const bool was_frozen = services.mint->frozen();
    if (const auto done = services.mint->unfreeze(); !done) {
        return fail(refusal(503, "store_unavailable", done.error().detail));
    }
    return Json{{"was_frozen", was_frozen}};
}

}  // namespace

void add_mint_routes(http::Server& server, const Services& services) {
    add(server, services, {.method = Method::Post, .pattern = "/admin/mints/add"}, Effect::Writes,
        add_mint);
    add(server, services, {.method = Method::Post, .pattern = "/admin/mints/remove"},
        Effect::Writes, remove_mint);
    add(server, services, {.method = Method::Get, .pattern = "/admin/mints/info"}, Effect::Reads,
        info);
    add(server, services, {.method = Method::Post, .pattern = "/admin/mint/unfreeze"},
        Effect::Writes, unfreeze);
}

}  // namespace nutgate::admin
