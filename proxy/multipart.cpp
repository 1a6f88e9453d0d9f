#include "multipart.h"

#include <algorithm>
#include <optional>

#include "body_parser.h"
#include "nutgate/http/message.h"

namespace nutgate::proxy {
namespace {

constexpr std::size_t kBoundaryBytesMax = 70;
constexpr std::string_view kBoundaryOthers = "'()+_,-./:=?";

http::ApiError bad_form(std::string_view why) {
    return bad_request("invalid_form", "The form can't be read: " + std::string{why} + '.');
}

std::string_view trim(std::string_view text) {
    while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
    while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
    return text;
}

// RFC 2046, without what would have to be written differently in some places.
bool is_boundary(std::string_view text) {
    return !text.empty() && text.size() <= kBoundaryBytesMax &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      kBoundaryOthers.find(c) != std::string_view::npos;
           });
}

struct Parameter {
    std::string_view name;
    std::string_view value;  // Without quotes. It has no escapes: see next_parameter().
};

// The next "; name=value" of a header; empty if what follows is none. A value that is quoted and
// has a quote or a backslash in it means different things to different readers, and is none.
std::optional<Parameter> next_parameter(std::string_view& rest) {
    rest = trim(rest);
    if (!rest.starts_with(';')) return std::nullopt;
    rest = trim(rest.substr(1));
    const std::size_t equal = rest.find('=');
    if (equal == std::string_view::npos) return std::nullopt;
    Parameter found{.name = trim(rest.substr(0, equal)), .value = {}};
    rest = trim(rest.substr(equal + 1));
    if (rest.starts_with('"')) {
        const std::size_t end = rest.find_first_of("\"\\", 1);
        if (end == std::string_view::npos || rest[end] == '\\') return std::nullopt;
        found.value = rest.substr(1, end - 1);
        rest = trim(rest.substr(end + 1));
        return found;
    }
    const std::size_t end = std::min(rest.find(';'), rest.size());
    found.value = trim(rest.substr(0, end));
    rest = rest.substr(end);
    return found;
}

Result<std::string_view, http::ApiError> boundary_of(std::string_view content_type) {
    constexpr std::string_view kType = "multipart/form-data";
    if (!http::equal_without_case(trim(content_type.substr(0, content_type.find(';'))), kType)) {
        return fail(http::ApiError{.status = 415,
                                   .type = "invalid_request_error",
                                   .code = "unsupported_media_type",
                                   .message = "This path takes multipart/form-data."});
    }
    std::string_view rest =
        content_type.substr(std::min(content_type.find(';'), content_type.size()));
    std::optional<std::string_view> boundary;
    while (!rest.empty()) {
        const auto parameter = next_parameter(rest);
        if (!parameter) return fail(bad_form("its Content-Type"));
        if (!http::equal_without_case(parameter->name, "boundary")) continue;
        if (boundary || !is_boundary(parameter->value)) return fail(bad_form("its boundary"));
        boundary = parameter->value;
    }
    if (!boundary) return fail(bad_form("its boundary is missing"));
    return *boundary;
}

class Reader {
public:
    Reader(std::string_view body, std::string_view boundary)
        : body_{body}, mark_{"\r\n--" + std::string{boundary}} {}

    Result<std::vector<FormPart>, http::ApiError> read() {
        // The first has no line before it.
        if (!body_.starts_with(std::string_view{mark_}.substr(2))) {
            return fail(bad_form("it does not begin with its boundary"));
        }
        at_ = mark_.size() - 2;
        std::vector<FormPart> parts;
        for (;;) {
            if (rest().starts_with("--")) break;
            if (parts.size() == Form::kPartsMax) return fail(bad_form("it has too many parts"));
            TRY(const FormPart part, read_part());
            parts.push_back(part);
        }
        const std::string_view end = rest().substr(2);
        if (!end.empty() && end != "\r\n") return fail(bad_form("something is behind its end"));
        if (parts.empty()) return fail(bad_form("it is empty"));
        return parts;
    }

private:
    std::string_view rest() const { return body_.substr(at_); }

    Result<FormPart, http::ApiError> read_part() {
        if (!rest().starts_with("\r\n")) return fail(bad_form("a boundary is no line"));
        at_ += 2;
        const std::size_t size = rest().substr(0, Form::kPartHeadBytesMax).find("\r\n\r\n");
        if (size == std::string_view::npos) return fail(bad_form("the head of a part"));
        FormPart part;
        TRY_VOID(read_head(rest().substr(0, size), part));
        at_ += size + 4;
        // Some find the boundary at once behind the head, where a part is empty.
        if (rest().starts_with(std::string_view{mark_}.substr(2))) {
            return fail(bad_form("a part without content"));
        }
        const std::size_t end = body_.find(mark_, at_);
        if (end == std::string_view::npos) return fail(bad_form("it has no end"));
        part.place = {at_, end};
        at_ = end + mark_.size();
        return part;
    }

    static Result<void, http::ApiError> read_head(std::string_view head, FormPart& part) {
        bool is_named = false;
        while (!head.empty()) {
            const std::size_t end = std::min(head.find("\r\n"), head.size());
            const std::string_view line = head.substr(0, end);
            head.remove_prefix(std::min(end + 2, head.size()));
            const std::size_t colon = line.find(':');
            if (colon == std::string_view::npos || !http::is_header_name(line.substr(0, colon)) ||
                !http::is_header_value(line.substr(colon + 1))) {
                return fail(bad_form("the head of a part"));
            }
            const std::string_view name = line.substr(0, colon);
            if (http::equal_without_case(name, "content-disposition")) {
                if (is_named) return fail(bad_form("a part with two names"));
                is_named = true;
                TRY_VOID(read_disposition(trim(line.substr(colon + 1)), part));
            } else if (!http::equal_without_case(name, "content-type") &&
                       !http::equal_without_case(name, "content-length")) {
                return fail(bad_form("a part with another header than it needs"));
            }
        }
        if (!is_named) return fail(bad_form("a part without a name"));
        return {};
    }

    static Result<void, http::ApiError> read_disposition(std::string_view value, FormPart& part) {
        constexpr std::string_view kFormData = "form-data";
        if (!http::equal_without_case(value.substr(0, kFormData.size()), kFormData)) {
            return fail(bad_form("a part that is no form-data"));
        }
        value.remove_prefix(kFormData.size());
        bool has_name = false;
        while (!value.empty()) {
            const auto parameter = next_parameter(value);
            if (!parameter) return fail(bad_form("the name of a part"));
            if (http::equal_without_case(parameter->name, "name")) {
                if (has_name) return fail(bad_form("a part with two names"));
                has_name = true;
                part.name = parameter->value;
            } else if (http::equal_without_case(parameter->name, "filename") ||
                       http::equal_without_case(parameter->name, "filename*")) {
                part.is_file = true;
            } else {
                return fail(bad_form("the name of a part"));
            }
        }
        if (part.name.empty()) return fail(bad_form("a part without a name"));
        return {};
    }

    std::string_view body_;
    const std::string mark_;  // What ends a part: a line end, and the boundary.
    std::size_t at_ = 0;
};

}  // namespace

Result<Form, http::ApiError> parse_form(std::string_view body, std::string_view content_type) {
    TRY(const std::string_view boundary, boundary_of(content_type));
    Form form;
    TRY(form.parts, (Reader{body, boundary}.read()));
    form.content_type = "multipart/form-data; boundary=\"" + std::string{boundary} + '"';
    return form;
}

}  // namespace nutgate::proxy
