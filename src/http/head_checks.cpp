#include "head_checks.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <charconv>

namespace nutgate::http {
namespace {

namespace beast_http = boost::beast::http;

std::string_view to_std(boost::beast::string_view text) { return {text.data(), text.size()}; }

std::optional<Method> to_method(beast_http::verb method) {
    using beast_http::verb;
    if (method == verb::get) return Method::Get;
    if (method == verb::head) return Method::Head;
    if (method == verb::post) return Method::Post;
    if (method == verb::put) return Method::Put;
    if (method == verb::patch) return Method::Patch;
    if (method == verb::delete_) return Method::Delete;
    if (method == verb::options) return Method::Options;
    return std::nullopt;
}

Refusal to_refusal(const boost::beast::error_code& why) {
    using beast_http::error;
    if (why == error::bad_version) {
        return {505, "http_version_not_supported", "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
    }
    if (why == error::header_limit) {
        return {431, "headers_too_large", "The request's head is too large."};
    }
    return {400, "malformed_request", "The request is not well-formed HTTP."};
}

// A line that continues the one before it. Beast joins them; another reader may take the second
// for a header of its own, and only the raw head still shows it.
bool has_continued_line(std::string_view raw) {
    for (auto end = raw.find('\n'); end != std::string_view::npos; end = raw.find('\n', end + 1)) {
        if (end + 1 < raw.size() && (raw[end + 1] == ' ' || raw[end + 1] == '\t')) return true;
    }
    return false;
}

constexpr Refusal kBadFraming{400, "bad_framing", "The request's length is not well-defined."};
constexpr Refusal kBadHost{400, "bad_host", "Exactly one Host header is needed."};
constexpr Refusal kBadTarget{400, "bad_target", "The request's target is not well-formed."};

bool is_authority(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool is_digit = c >= '0' && c <= '9';
        return is_letter || is_digit || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' ||
               c == ']';
    });
}

std::string_view without_port(std::string_view authority) {
    const auto colon = authority.rfind(':');
    const auto bracket = authority.rfind(']');
    if (colon == std::string_view::npos) return authority;
    if (bracket != std::string_view::npos && bracket > colon) return authority;
    return authority.substr(0, colon);
}

}  // namespace

HeadScan scan_head(std::string_view bytes, std::size_t scanned) {
    if (!bytes.empty() && !is_header_name(bytes.substr(0, 1))) {
        return {HeadScan::State::Malformed,
                0};  // No method begins so: TLS on a plain port, mostly.
    }
    for (auto end = bytes.find('\n', scanned); end != std::string_view::npos;
         end = bytes.find('\n', end + 1)) {
        if (end == 0 || bytes[end - 1] != '\r') return {HeadScan::State::Malformed, 0};
        if (end >= 3 && bytes[end - 2] == '\n') return {HeadScan::State::Complete, end + 1};
    }
    return {};
}

Result<void, Refusal> RequestParser::head(std::string_view raw) {
    if (has_continued_line(raw)) {
        return fail(Refusal{400, "malformed_request", "A header line may not be continued."});
    }
    header_limit(static_cast<std::uint32_t>(raw.size() + 1));
    body_limit(boost::none);  // Counted here, by the route's limit.
    Error error;
    put(boost::asio::buffer(raw.data(), raw.size()), error);
    if (refusal_) return fail(*refusal_);
    if (error) return fail(to_refusal(error));
    if (!is_header_done()) return fail(to_refusal(beast_http::error::bad_value));
    has_head_ = true;

    TRY_VOID(check_target());
    TRY_VOID(check_host());
    TRY_VOID(check_credentials());
    TRY_VOID(check_framing());
    TRY_VOID(check_body_headers());
    if (!has_known_method_) {
        return fail(Refusal{405, "method_not_allowed", "This method is not spoken here."});
    }
    eager(true);
    return {};
}

Result<void, Refusal> RequestParser::check_target() const {
    const std::string_view target = request_.target;
    if (target.size() > limits_.target_bytes_max) {
        return fail(Refusal{414, "target_too_long", "The request's target is too long."});
    }
    const bool is_visible = std::all_of(target.begin(), target.end(),
                                        [](char c) { return c > ' ' && c < '\x7f' && c != '#'; });
    if (target.empty() || !is_visible) return fail(kBadTarget);
    return {};
}

Result<void, Refusal> RequestParser::check_host() const {
    if (request_.headers.count("host") != 1) return fail(kBadHost);
    if (!is_authority(*request_.headers.find("host"))) return fail(kBadHost);
    return {};
}

Result<void, Refusal> RequestParser::check_framing() {
    const auto lengths = request_.headers.count("content-length");
    const auto codings = request_.headers.count("transfer-encoding");
    if (codings > 0) {
        // What another reader takes for chunked and we do not, or the other way round, is a second
        // request in this one's body.
        const bool is_plain =
            codings == 1 && lengths == 0 && version_ == 11 &&
            equal_without_case(*request_.headers.find("transfer-encoding"), "chunked");
        if (!is_plain) return fail(kBadFraming);
        is_chunked_ = true;
        return {};
    }
    if (lengths == 0) return {};
    if (lengths > 1) return fail(kBadFraming);
    const std::string_view text = *request_.headers.find("content-length");
    constexpr std::size_t kDigitsMax = 18;  // Far below the 64 bits where sums could wrap.
    const bool is_number =
        !text.empty() && text.size() <= kDigitsMax &&
        std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!is_number) return fail(kBadFraming);
    std::from_chars(text.data(), text.data() + text.size(), content_length_);
    return {};
}

// Two readers could each take another one for the request's; no choice among them is ours to make.
Result<void, Refusal> RequestParser::check_credentials() const {
    for (const std::string_view name : {"authorization", "x-cashu"}) {
        if (request_.headers.count(name) > 1) {
            return fail(Refusal{400, "ambiguous_credentials", "Send one credential, once."});
        }
    }
    return {};
}

Result<void, Refusal> RequestParser::check_body_headers() {
    if (request_.headers.count("content-encoding") > 0) {
        return fail(Refusal{415, "content_encoding_refused", "Send the body without encoding it."});
    }
    if (request_.headers.count("expect") == 0) return {};
    if (request_.headers.count("expect") > 1 ||
        !equal_without_case(*request_.headers.find("expect"), "100-continue")) {
        return fail(Refusal{417, "expectation_failed", "Only 100-continue can be expected."});
    }
    expects_continue_ = version_ == 11 && (is_chunked_ || content_length_ > 0);
    return {};
}

Result<std::size_t, Refusal> RequestParser::chunks(std::string_view bytes,
                                                   std::size_t body_bytes_max) {
    body_bytes_max_ = body_bytes_max;
    Error error;
    const auto taken = put(boost::asio::buffer(bytes.data(), bytes.size()), error);
    if (refusal_) return fail(*refusal_);
    if (error && error != beast_http::error::need_more) return fail(to_refusal(error));
    return taken;
}

void RequestParser::on_request_impl(Verb method, Text, Text target, int version, Error&) {
    if (const auto known = to_method(method)) {
        request_.method = *known;
        has_known_method_ = true;
    }
    request_.target.assign(target.data(), target.size());
    version_ = version;
}

void RequestParser::on_field_impl(Field, Text name, Text value, Error& error) {
    if (has_head_) return;  // Trailers mean nothing here.
    if (++header_count_ > limits_.header_count_max) {
        refusal_ = Refusal{431, "too_many_headers", "The request has too many headers."};
        error = beast_http::error::header_limit;
        return;
    }
    request_.headers.add(to_std(name), to_std(value));
}

std::size_t RequestParser::on_body_impl(Text body, Error& error) {
    // Bodies with a length never come here: the connection reads them by itself.
    error = beast_http::error::unexpected_body;
    return body.size();
}

void RequestParser::on_chunk_header_impl(std::uint64_t size, Text extensions, Error& error) {
    if (extensions.size() > limits_.chunk_extension_bytes_max) {
        refusal_ = Refusal{400, "chunk_extension_too_long", "A chunk extension is too long."};
        error = beast_http::error::bad_chunk_extension;
        return;
    }
    if (size > body_bytes_max_ - request_.body.size()) {
        refusal_ = Refusal{413, "body_too_large", "The request's body is too large."};
        error = beast_http::error::body_limit;
    }
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, Text body, Error&) {
    request_.body.append(body.data(), body.size());
    return body.size();
}

bool is_host_of(std::string_view host, std::string_view allowed) {
    return equal_without_case(host, allowed) || equal_without_case(without_port(host), allowed);
}

Result<void, Refusal> split_target(Request& request, const std::vector<std::string>& own_hosts) {
    std::string_view target = request.target;
    if (target == "*" && request.method == Method::Options) {
        request.path = "*";
        return {};
    }
    if (!target.starts_with('/')) {
        constexpr std::string_view kScheme = "http://";
        if (!equal_without_case(target.substr(0, kScheme.size()), kScheme)) return fail(kBadTarget);
        target.remove_prefix(kScheme.size());
        const auto end = std::min(target.find_first_of("/?"), target.size());
        const auto authority = target.substr(0, end);
        const bool is_ours =
            equal_without_case(authority, request.headers.find("host").value_or("")) &&
            std::any_of(own_hosts.begin(), own_hosts.end(),
                        [authority](const auto& one) { return is_host_of(authority, one); });
        if (!is_ours) {
            return fail(Refusal{400, "bad_target", "This is not a proxy for other hosts."});
        }
        request.target = target.substr(end);
        if (!request.target.starts_with('/')) request.target.insert(0, 1, '/');
        target = request.target;
    }
    const auto question = target.find('?');
    request.query = question == std::string_view::npos ? "" : target.substr(question + 1);
    const auto raw_path = target.substr(0, question);

    auto path = percent_decode(raw_path, Encoding::Path);
    if (!path || !is_header_value(*path)) return fail(kBadTarget);
    request.path = std::move(*path);
    for (std::size_t begin = 1; begin <= request.path.size();) {
        const auto end = std::min(request.path.find('/', begin), request.path.size());
        const std::string_view segment{request.path.data() + begin, end - begin};
        if (segment == "." || segment == "..") return fail(kBadTarget);
        begin = end + 1;
    }
    return {};
}

}  // namespace nutgate::http
