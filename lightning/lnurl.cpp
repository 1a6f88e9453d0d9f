#include "nutgate/lightning/lnurl.h"

#include <algorithm>
#include <cctype>

#include "json_value.h"
#include "nutgate/base/bech32.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/http/url.h"
#include "utf8.h"

namespace nutgate {
namespace {

using lightning::integer_at;
using lightning::Json;
using lightning::msat_at;
using lightning::parse_json;
using lightning::text_at;
using Code = LnurlError;

constexpr std::size_t kTextBytesMax = 4 * 1024;
constexpr std::size_t kReasonBytesMax = 200;
constexpr std::size_t kCommentMax = 1'000;  // More than that nobody stores for us.

Failure<LnurlFault> no(Code code, std::string detail = {}) {
    return fail(LnurlFault{code, std::move(detail)});
}

std::string lower(std::string_view text) {
    std::string result{text};
    for (char& c : result) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return result;
}

// Anybody's words, so that they can be logged and shown.
std::string printable(std::string_view text) {
    std::string result;
    for (const char c : text.substr(0, kReasonBytesMax)) {
        result += c >= ' ' && c <= '~' ? c : '?';
    }
    return result;
}

// As it is to be called, or empty.
std::optional<std::string> allowed_url(std::string_view text) {
    const auto url = http::parse_url(text);
    if (!url) return std::nullopt;
    if (!url->tls && !url->host.ends_with(".onion")) return std::nullopt;
    return url->text();
}

std::string with_scheme(std::string_view host_and_path) {
    const std::string_view host = host_and_path.substr(0, host_and_path.find_first_of("/:?"));
    const bool onion = lower(host).ends_with(".onion");
    return (onion ? "http://" : "https://") + std::string{host_and_path};
}

Result<std::string, LnurlFault> url_or_refusal(const std::string& text) {
    auto url = allowed_url(text);
    if (!url) return no(Code::UrlRefused);
    // LUD-04 writes what it is for into the URL.
    if (text.find("tag=login") != std::string::npos) return no(Code::NotForPaying);
    return *std::move(url);
}

Result<std::string, LnurlFault> url_of_address(std::string_view text) {
    const auto at = text.find('@');
    const std::string name = lower(text.substr(0, at));
    const std::string host = lower(text.substr(at + 1));
    const auto may_be_in_name = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.' || c == '+';
    };
    const auto may_be_in_host = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':';
    };
    if (name.empty() || !std::ranges::all_of(name, may_be_in_name) || host.empty() ||
        !std::ranges::all_of(host, may_be_in_host) || name == "." || name == "..") {
        return no(Code::NotLnurl);
    }
    return url_or_refusal(with_scheme(host + "/.well-known/lnurlp/" + name));
}

Result<std::string, LnurlFault> url_of_bech32(std::string_view text) {
    const auto decoded = decode_bech32(text);
    const auto bytes =
        decoded && decoded->prefix == "lnurl" ? to_bytes(decoded->data) : std::nullopt;
    if (!bytes) return no(Code::NotLnurl);
    return url_or_refusal(std::string{as_text(*bytes)});
}

// [["text/plain", "…"], …]
std::optional<std::string> plain_text_of(const std::string& metadata) {
    const Json list = parse_json(metadata);
    if (!list.is_array()) return std::nullopt;
    for (const Json& entry : list) {
        if (!entry.is_array() || entry.size() < 2 || !entry[0].is_string()) continue;
        if (entry[0] != "text/plain") continue;
        if (!entry[1].is_string()) return std::nullopt;
        return entry[1].get<std::string>();
    }
    return std::nullopt;
}

// What every answer may be in place of what was asked for.
Result<Json, LnurlFault> read_answer(std::string_view body) {
    Json json = parse_json(body);
    if (!json.is_object()) return no(Code::Malformed);
    if (lower(text_at(json, "status").value_or("")) == "error") {
        return no(Code::Declined, printable(text_at(json, "reason").value_or("")));
    }
    return json;
}

// Of a URL and a Location: absolute, or a path of the same host. Never another scheme.
std::optional<std::string> redirected(const std::string& from, std::string_view location) {
    const auto before = http::parse_url(from);
    if (!before) return std::nullopt;
    const bool is_path = location.starts_with('/') && !location.starts_with("//");
    const auto after =
        http::parse_url(is_path ? before->origin() + std::string{location} : std::string{location});
    if (!after || after->tls != before->tls) return std::nullopt;
    return allowed_url(after->text());
}

}  // namespace

Result<std::string, LnurlFault> lnurl_url(std::string_view text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
        text.remove_prefix(1);
    }
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
        text.remove_suffix(1);
    }
    if (text.size() > kTextBytesMax) return no(Code::NotLnurl);
    const std::string small = lower(text);
    constexpr std::string_view kLightning = "lightning:";
    if (small.starts_with(kLightning)) text.remove_prefix(kLightning.size());
    const std::string bare = lower(text);
    if (bare.starts_with("lnurl1")) return url_of_bech32(text);
    for (const std::string_view scheme : {"lnurlp://", "lnurlp:"}) {
        if (!bare.starts_with(scheme)) continue;
        return url_or_refusal(with_scheme(text.substr(scheme.size())));
    }
    for (const std::string_view scheme : {"lnurlw:", "lnurlc:", "keyauth:"}) {
        if (bare.starts_with(scheme)) return no(Code::NotForPaying);
    }
    if (std::ranges::count(text, '@') == 1) return url_of_address(text);
    return no(Code::NotLnurl);
}

Result<LnurlPay, LnurlFault> parse_lnurl_pay(std::string_view body) {
    TRY(const auto json, read_answer(body));
    const auto tag = text_at(json, "tag");
    if (!tag) return no(Code::Malformed);
    if (*tag != "payRequest") return no(Code::NotForPaying);
    const auto callback = text_at(json, "callback");
    const auto least = msat_at(json, "minSendable");
    const auto most = msat_at(json, "maxSendable");
    const auto metadata = text_at(json, "metadata");
    if (!callback || !least || !most || !metadata || *least == Msat{} || *most < *least) {
        return no(Code::Malformed);
    }
    auto url = allowed_url(*callback);
    if (!url) return no(Code::UrlRefused);
    const auto description = plain_text_of(*metadata);
    if (!description) return no(Code::Malformed);
    const auto comment_max = integer_at(json, "commentAllowed").value_or(0);
    return LnurlPay{.callback = *std::move(url),
                    .least = *least,
                    .most = *most,
                    .metadata = *metadata,
                    .description = cut_utf8(*description, description->size()),
                    .comment_max = static_cast<std::size_t>(std::clamp<std::int64_t>(
                        comment_max, 0, static_cast<std::int64_t>(kCommentMax)))};
}

Result<std::string, LnurlFault> lnurl_callback(const LnurlPay& pay, Msat amount,
                                               std::string_view comment) {
    if (amount < pay.least || amount > pay.most) return no(Code::AmountRefused);
    if (comment.size() > pay.comment_max || !is_utf8(comment)) return no(Code::CommentTooLong);
    const char joint = pay.callback.find('?') == std::string::npos ? '?' : '&';
    std::string url = pay.callback + joint + "amount=" + std::to_string(amount.raw());
    if (!comment.empty()) url += "&comment=" + http::percent_encode(comment);
    return url;
}

Result<LnurlInvoice, LnurlFault> parse_lnurl_invoice(std::string_view body, const LnurlPay& pay,
                                                     const LnurlCheck& check) {
    TRY(const auto json, read_answer(body));
    const auto text = text_at(json, "pr");
    if (!text) return no(Code::Malformed);
    auto invoice = parse_bolt11(*text);
    if (!invoice) return no(Code::InvoiceMalformed);
    if (invoice->network != check.network) return no(Code::InvoiceForeign);
    if (invoice->amount != check.amount) return no(Code::InvoiceAmount);
    const auto hash = crypto::sha256(as_bytes(pay.metadata));
    const bool lacks_hash = check.needs_hash && !invoice->description_hash;
    if (lacks_hash || invoice->description_hash.value_or(hash) != hash) {
        return no(Code::InvoiceDescription);
    }
    if (invoice->expires_at() < check.now + LnurlClient::kExpiryLeftMin) {
        return no(Code::InvoiceExpired);
    }
    return LnurlInvoice{.bolt11 = *text, .parsed = *std::move(invoice)};
}

Result<LnurlPay, LnurlFault> LnurlClient::ask(std::string_view text) {
    TRY(const auto url, lnurl_url(text));
    TRY(const auto body, fetch(url));
    return parse_lnurl_pay(body);
}

Result<LnurlInvoice, LnurlFault> LnurlClient::invoice(const LnurlPay& pay, Msat amount,
                                                      std::string_view comment) {
    TRY(const auto url, lnurl_callback(pay, amount, comment));
    TRY(const auto body, fetch(url));
    return parse_lnurl_invoice(body, pay,
                               {.amount = amount, .network = network_, .now = clock_.now()});
}

// Whatever its status, an answer's JSON says what it is.
Result<std::string, LnurlFault> LnurlClient::fetch(std::string url) {
    for (int redirects = 0;; ++redirects) {
        http::ClientRequest request;
        request.url = url;
        request.headers = {{"Accept", "application/json"}};
        request.timeout = kTimeout;
        request.response_bytes_max = kAnswerBytesMax;
        request.reach = http::Reach::PublicOnly;
        auto response = client_.call(request);
        if (!response) {
            const bool too_large = response.error().kind == http::ClientError::Kind::TooLarge;
            return no(too_large ? Code::Malformed : Code::Unreachable);
        }
        const auto location = response->headers.find("location");
        const bool moved = response->status >= 300 && response->status < 400 && location;
        if (!moved) return std::move(response->body);
        auto next = redirects < kRedirectsMax ? redirected(url, *location) : std::nullopt;
        if (!next) return no(Code::UrlRefused);
        url = *std::move(next);
    }
}

}  // namespace nutgate
