#include "multipart.h"

#include <algorithm>
#include <optional>

#include "body_parser.h"
#include "nutgate/http/message.h"

namespace nutgate::proxy {
namespace {

constexpr std::size_t kBoundaryBytesMax = 70;
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kBoundaryOthers = "'()+_,-./:=?";

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

Result<void, http::ApiError> read_disposition(std::string_view value, FormPart& part) {
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

Result<void, http::ApiError> read_head(std::string_view head, FormPart& part) {
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

}  // namespace

http::ApiError bad_form(std::string_view why) {
    return bad_request("invalid_form", "The form can't be read: " + std::string{why} + '.');
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

std::string form_type_of(std::string_view boundary) {
    return "multipart/form-data; boundary=\"" + std::string{boundary} + '"';
}

Result<FormScanner::Step, http::ApiError> FormScanner::next(std::string_view bytes) {
    if (bytes.empty()) return Step{Event::More, 0};
    auto step = [&]() -> Taken {
        switch (state_) {
            case State::Begin:
                return take_begin(bytes);
            case State::Mark:
                return take_mark(bytes);
            case State::Head:
                return take_head(bytes);
            case State::Content:
                return take_content(bytes);
            case State::End:
                break;
        }
        return take_end(bytes);
    }();
    if (step) at_ += step->taken;
    return step;
}

Result<void, http::ApiError> FormScanner::finish() const {
    if (state_ != State::End) return fail(bad_form("it has no end"));
    if (!held_.empty() && held_ != kLineEnd) return fail(bad_form("something is behind its end"));
    return {};
}

// The first has no line before it.
FormScanner::Taken FormScanner::take_begin(std::string_view bytes) {
    const auto expected = std::string_view{mark_}.substr(kLineEnd.size() + held_.size());
    const auto n = std::min(expected.size(), bytes.size());
    if (bytes.substr(0, n) != expected.substr(0, n)) {
        return fail(bad_form("it does not begin with its boundary"));
    }
    held_.append(bytes.substr(0, n));
    if (n == expected.size()) {
        held_.clear();
        state_ = State::Mark;
    }
    return Step{Event::More, n};
}

// What follows a boundary: a line end and a part, or the end.
FormScanner::Taken FormScanner::take_mark(std::string_view bytes) {
    const auto n = std::min(kLineEnd.size() - held_.size(), bytes.size());
    held_.append(bytes.substr(0, n));
    if (held_.size() < kLineEnd.size()) return Step{Event::More, n};
    if (held_ == "--") {
        if (parts_ == 0) return fail(bad_form("it is empty"));
        held_.clear();
        state_ = State::End;
        return Step{Event::End, n};
    }
    if (parts_ == Form::kPartsMax) return fail(bad_form("it has too many parts"));
    if (held_ != kLineEnd) return fail(bad_form("a boundary is no line"));
    held_.clear();
    state_ = State::Head;
    return Step{Event::More, n};
}

FormScanner::Taken FormScanner::take_head(std::string_view bytes) {
    const auto before = held_.size();
    const auto n = std::min(Form::kPartHeadBytesMax - before, bytes.size());
    held_.append(bytes.substr(0, n));
    const auto from = before < kHeadEnd.size() ? 0 : before - kHeadEnd.size() + 1;
    const auto end = held_.find(kHeadEnd, from);
    if (end == std::string::npos) {
        if (held_.size() == Form::kPartHeadBytesMax) return fail(bad_form("the head of a part"));
        return Step{Event::More, n};
    }
    part_ = {};
    TRY_VOID(read_head(std::string_view{held_}.substr(0, end), part_));
    const auto taken = end + kHeadEnd.size() - before;
    part_.place = {at_ + taken, at_ + taken};
    ++parts_;
    content_bytes_ = 0;
    // Some find a boundary at once behind the head, where a part is empty. So is it looked for
    // here, and refused.
    held_ = kLineEnd;
    unreal_ = kLineEnd.size();
    state_ = State::Content;
    return Step{Event::Part, taken};
}

FormScanner::Step FormScanner::content_ended(std::size_t taken) {
    part_.place.end = at_ + taken - mark_.size();
    content_bytes_ = part_.place.end - part_.place.begin;
    held_.clear();
    unreal_ = 0;
    state_ = State::Mark;
    return {Event::PartEnd, taken};
}

// What was held of earlier bytes is looked at together with as many new ones as a boundary that
// begins there can have; then the new ones by themselves, where they lie.
FormScanner::Taken FormScanner::take_content(std::string_view bytes) {
    const auto before = held_.size();
    if (before > 0) {
        std::string joined = held_;
        joined.append(bytes.substr(0, mark_.size() - 1));
        const auto found = joined.find(mark_);
        if (found != std::string::npos && found < before) {
            if (found < unreal_) return fail(bad_form("a part without content"));
            return content_ended(found + mark_.size() - before);
        }
    }
    if (const auto found = bytes.find(mark_); found != std::string_view::npos) {
        return content_ended(found + mark_.size());
    }
    // The longest end that a boundary can begin with.
    const auto most = std::min(before + bytes.size(), mark_.size() - 1);
    std::string tail;
    if (bytes.size() < most) tail = held_.substr(before + bytes.size() - most);
    tail.append(bytes.substr(bytes.size() - std::min(bytes.size(), most)));
    std::size_t kept = most;
    while (!mark_.starts_with(std::string_view{tail}.substr(most - kept))) --kept;
    unreal_ -= std::min(unreal_, before + bytes.size() - kept);
    content_bytes_ = at_ + bytes.size() + unreal_ - kept - part_.place.begin;
    held_ = tail.substr(most - kept);
    return Step{Event::More, bytes.size()};
}

FormScanner::Taken FormScanner::take_end(std::string_view bytes) {
    held_.append(bytes.substr(0, kLineEnd.size() + 1));
    if (!kLineEnd.starts_with(held_)) return fail(bad_form("something is behind its end"));
    return Step{Event::More, bytes.size()};
}

namespace {

Result<Form, http::ApiError> parse(std::string_view body, std::string_view content_type,
                                   bool is_beginning) {
    TRY(const std::string_view boundary, boundary_of(content_type));
    Form form;
    form.content_type = form_type_of(boundary);
    FormScanner scanner{boundary};
    for (std::size_t at = 0; at < body.size();) {
        TRY(const auto step, scanner.next(body.substr(at)));
        at += step.taken;
        if (step.event == FormScanner::Event::Part) {
            form.parts.push_back(scanner.part());
            if (!is_beginning || !scanner.part().is_file) continue;
            form.parts.back().place.end = body.size();
            return form;
        }
        if (step.event == FormScanner::Event::PartEnd) form.parts.back() = scanner.part();
    }
    if (is_beginning) return fail(bad_form("it has no file"));
    TRY_VOID(scanner.finish());
    return form;
}

}  // namespace

Result<Form, http::ApiError> parse_form(std::string_view body, std::string_view content_type) {
    return parse(body, content_type, false);
}

Result<Form, http::ApiError> parse_form_beginning(std::string_view body,
                                                  std::string_view content_type) {
    return parse(body, content_type, true);
}

}  // namespace nutgate::proxy
