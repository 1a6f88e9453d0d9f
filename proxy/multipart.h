// A form with files (multipart/form-data, RFC 7578), read strictly: what we find in it must be what
// an upstream finds, or it would be another request that is charged for.
//
// Every line ends with CRLF, nothing stands before the first boundary or behind the last, each part
// has one Content-Disposition with one plain name, and a boundary occurs nowhere but where a part
// ends. There is one reader of it, whether a form lies in memory or passes through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json_scan.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {

struct FormPart {
    std::string name;
    bool is_file = false;  // It has a file's name.
    Span place;            // Of its content.

    std::string_view content(std::string_view body) const { return place.of(body); }
};

struct Form {
    static constexpr std::size_t kPartsMax = 64;
    static constexpr std::size_t kPartHeadBytesMax = 4 * 1024;

    std::vector<FormPart> parts;
    std::string content_type;  // To be sent with the same body.
};

// Reads a form in whatever pieces it comes, and keeps of it no more than a part's head and what may
// be the beginning of a boundary.
class FormScanner {
public:
    // `boundary` as boundary_of() has it.
    explicit FormScanner(std::string_view boundary) : mark_{"\r\n--" + std::string{boundary}} {}

    enum class Event {
        More,     // All that was given is taken.
        Part,     // The head of a part has ended: its content follows.
        PartEnd,  // Its content has ended, and so has the boundary behind it.
        End,      // So has the form, but for the two hyphens and an empty line.
    };
    struct Step {
        Event event;
        std::size_t taken;
    };
    // Takes bytes up to the next event. After an error it is not asked again.
    Result<Step, http::ApiError> next(std::string_view bytes);
    // Where nothing follows any more: whether that was a form.
    Result<void, http::ApiError> finish() const;

    // From Part on, until the next one.
    const FormPart& part() const { return part_; }  // `place.end` from PartEnd on.
    std::size_t parts() const { return parts_; }
    // Of the content so far; what may be the beginning of a boundary is not counted yet.
    std::uint64_t content_bytes() const { return content_bytes_; }
    bool has_ended() const { return state_ == State::End; }

private:
    enum class State { Begin, Mark, Head, Content, End };
    using Taken = Result<Step, http::ApiError>;

    Taken take_begin(std::string_view bytes);
    Taken take_mark(std::string_view bytes);
    Taken take_head(std::string_view bytes);
    Taken take_content(std::string_view bytes);
    Taken take_end(std::string_view bytes);
    Step content_ended(std::size_t taken);

    const std::string mark_;  // What ends a part: a line end, and the boundary.
    State state_ = State::Begin;
    std::size_t at_ = 0;      // Bytes taken before.
    std::string held_;        // Of a head, of a line end, or what may begin a boundary.
    std::size_t unreal_ = 0;  // Bytes at its front that stand for the line end before a content.
    FormPart part_;
    std::size_t parts_ = 0;
    std::uint64_t content_bytes_ = 0;
};

// `content_type` as the client's head has it.
Result<std::string_view, http::ApiError> boundary_of(std::string_view content_type);
// With the same boundary, as it is sent on.
std::string form_type_of(std::string_view boundary);

Result<Form, http::ApiError> parse_form(std::string_view body, std::string_view content_type);
// Of a form that has not come whole: up to and with its first file, whose content is cut. Without a
// file that is an error.
Result<Form, http::ApiError> parse_form_beginning(std::string_view body,
                                                  std::string_view content_type);

http::ApiError bad_form(std::string_view why);

}  // namespace nutgate::proxy
