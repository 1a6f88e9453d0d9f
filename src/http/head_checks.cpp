#include "head_checks.h"

#include <algorithm>
#include <array>

namespace nutgate::http {
namespace {

std::optional<Method> to_method(std::string_view text) {
    constexpr std::array<Method, 7> kAll{Method::Post,  Method::Get,    Method::Head,   Method::Put,
                                         Method::Patch, Method::Delete, Method::Options};
    for (const Method method : kAll) {
        if (to_text(method) == text) return method;
    }
    return std::nullopt;
}

constexpr Refusal kMalformed{400, "malformed_request", "The request is not well-formed HTTP."};
constexpr Refusal kBadVersion{505, "http_version_not_supported",
                              "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
constexpr Refusal kTooManyHeaders{431, "too_many_headers", "The request has too many headers."};
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
    HeadReader reader{raw};
    HeadFacts facts;
    Marks marks;
    TRY_VOID(read_start(reader));
    TRY_VOID(read_headers(reader, facts, marks));
    closes_ = facts.closes;

    TRY_VOID(check_target());
    TRY_VOID(check_host(marks.host));
    TRY_VOID(check_credentials(marks));
    TRY_VOID(take_framing(facts));
    TRY_VOID(check_body_headers(marks));
    if (!has_known_method_) {
        return fail(Refusal{405, "method_not_allowed", "This method is not spoken here."});
    }
    return {};
}

// Three words with one space between them.
Result<void, Refusal> RequestParser::read_start(HeadReader& reader) {
    std::string_view line;
    if (!reader.start_line(line)) return fail(kMalformed);
    const auto method_end = line.find(' ');
    const auto target_end = line.rfind(' ');
    if (method_end == std::string_view::npos || target_end == method_end) return fail(kMalformed);
    const auto method = line.substr(0, method_end);
    const auto target = line.substr(method_end + 1, target_end - method_end - 1);
    const int version = version_of(line.substr(target_end + 1));
    if (!is_header_name(method) || target.find(' ') != std::string_view::npos || version == 0) {
        return fail(kMalformed);
    }
    if (version != 10 && version != 11) return fail(kBadVersion);
    version_ = version;
    request_.target.assign(target);
    if (const auto known = to_method(method)) {
        request_.method = *known;
        has_known_method_ = true;
    }
    return {};
}

Result<void, Refusal> RequestParser::read_headers(HeadReader& reader, HeadFacts& facts,
                                                  Marks& marks) {
    std::size_t count = 0;
    const bool is_read = reader.headers(facts, [&](std::string_view name, std::string_view value) {
        if (++count > limits_.header_count_max) return false;
        note(marks, name, value);
        request_.headers.add(name, value);
        return true;
    });
    if (count > limits_.header_count_max) return fail(kTooManyHeaders);
    if (!is_read) return fail(kMalformed);
    return {};
}

void RequestParser::note(Marks& marks, std::string_view name, std::string_view value) {
    const auto is = [name](std::string_view known) {
        return known.size() == name.size() && equal_without_case(known, name);
    };
    Seen* const seen = is("host")               ? &marks.host
                       : is("expect")           ? &marks.expect
                       : is("x-cashu")          ? &marks.cashu
                       : is("authorization")    ? &marks.authorization
                       : is("content-encoding") ? &marks.encoding
                                                : nullptr;
    if (seen == nullptr) return;
    ++seen->count;
    seen->value = value;
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

Result<void, Refusal> RequestParser::check_host(const Seen& host) {
    if (host.count != 1 || !is_authority(host.value)) return fail(kBadHost);
    return {};
}

// Two readers could each take another one for the request's; no choice among them is ours to make.
Result<void, Refusal> RequestParser::check_credentials(const Marks& marks) {
    if (marks.authorization.count > 1 || marks.cashu.count > 1) {
        return fail(Refusal{400, "ambiguous_credentials", "Send one credential, once."});
    }
    return {};
}

// What another reader takes for chunked and we do not, or the other way round, is a second request
// in this one's body.
Result<void, Refusal> RequestParser::take_framing(const HeadFacts& facts) {
    if (!facts.is_plain()) return fail(kBadFraming);
    if (facts.codings > 0) {
        if (version_ != 11) return fail(kBadFraming);
        chunks_.emplace();
        return {};
    }
    if (facts.lengths > 0 && !facts.length_of_body(content_length_)) return fail(kBadFraming);
    return {};
}

Result<void, Refusal> RequestParser::check_body_headers(const Marks& marks) {
    if (marks.encoding.count > 0) {
        return fail(Refusal{415, "content_encoding_refused", "Send the body without encoding it."});
    }
    if (marks.expect.count == 0) return {};
    if (marks.expect.count > 1 || !equal_without_case(marks.expect.value, "100-continue")) {
        return fail(Refusal{417, "expectation_failed", "Only 100-continue can be expected."});
    }
    expects_continue_ = version_ == 11 && (is_chunked() || content_length_ > 0);
    return {};
}

Result<std::size_t, Refusal> RequestParser::chunks(std::string_view bytes,
                                                   std::size_t body_bytes_max) {
    const auto taken = chunks_->read(bytes, request_.body,
                                     {.extension_bytes_max = limits_.chunk_extension_bytes_max,
                                      .body_bytes_max = body_bytes_max});
    if (taken) return *taken;
    switch (chunks_->failure()) {
        case ChunkReader::Failure::ExtensionTooLong:
            return fail(Refusal{400, "chunk_extension_too_long", "A chunk extension is too long."});
        case ChunkReader::Failure::BodyTooLarge:
            return fail(Refusal{413, "body_too_large", "The request's body is too large."});
        case ChunkReader::Failure::Malformed:
            break;
    }
    return fail(kMalformed);
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
