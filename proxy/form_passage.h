// A form whose file passes through: its fields were read, its first file has begun, and the rest is
// sent on while it comes. Of it no more is held than a beginning, for another upstream to be asked.
//
// What the rest may be was settled before any of it was sent, since money is held by then: more
// files, and fields that no price depends on. Whatever else comes ends the request, and so does
// what is no form. A form's end is kept back until it is known that nothing follows, so an upstream
// never has a whole request of what is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "multipart.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/server.h"
#include "nutgate/http/upstream_client.h"

namespace nutgate::proxy {

// The fields of a path's forms.
struct FormRules {
    std::span<const std::string_view> known;  // Sorted. One that ends with "[]" may come again.
    std::span<const std::string_view> files;  // Those that must be files; no other may be one.
    std::span<const std::string_view>
        needed;  // Where one is behind a file, the form is read whole.
    std::span<const std::string_view> priced;  // None of them may come behind a file that passes.
    std::uint64_t file_bytes_max;              // Of all files together.
};

// Whether a part may stand behind those before it, whatever the model: no name twice, none in other
// letters, files where files are wanted. False: nobody here knows its name.
Result<bool, http::ApiError> check_part(const FormRules& rules, std::span<const FormPart> before,
                                        const FormPart& part);

class FormPassage final : public http::BodySource {
public:
    // The client, whose body nobody else reads meanwhile, and the rules outlive it.
    FormPassage(http::Exchange& client, const FormRules& rules, std::string_view boundary)
        : client_{client}, rules_{rules}, scanner_{boundary} {}

    // Of the request's body, for a call: what there is of it from its front, and may be sent.
    // read() then gives what follows, and this is how much that is, if the client said.
    std::string_view start();
    std::optional<std::uint64_t> rest_bytes() const;
    // Called when the last of it is about to be sent, and the upstream can begin to work.
    void when_whole(std::function<void()> reached) { reached_ = std::move(reached); }

    http::Task<std::optional<std::string_view>> read() override;
    bool rewind() override;

    // Whether the upstream was given all of it.
    bool is_through() const { return is_through_; }
    // Some of it is there no more: no other upstream can be asked.
    bool is_spent() const { return is_spent_; }
    // Why it will not come to its end, where that is not the upstream's doing.
    const std::optional<http::ApiError>& refusal() const { return refusal_; }
    std::optional<http::BodyFailure> lost() const { return lost_; }

    // Of all files: those that have passed, and what they can have at most.
    std::uint64_t file_bytes() const;
    std::uint64_t file_bytes_most() const;

private:
    friend class FormBeginner;

    http::Task<bool> read_more();
    bool scan();
    Result<void, http::ApiError> take(const FormScanner::Step& step);
    std::string_view body() const { return client_.request().body; }

    http::Exchange& client_;
    const FormRules& rules_;
    FormScanner scanner_;
    std::vector<FormPart> parts_;
    std::optional<std::size_t> file_at_;  // Of the first file's content.
    bool has_needed_ = false;             // Before it.
    std::uint64_t file_bytes_ = 0;        // Of those that have ended.
    bool is_file_open_ = false;

    // In the request's body, which begins anew where it is shed.
    std::size_t scanned_ = 0;
    std::size_t passable_ = 0;
    std::size_t handed_ = 0;
    std::size_t started_ = 0;  // Where the rest of this call began.
    std::string end_;          // The form's last letters, kept back.
    bool has_end_ = false;
    bool is_whole_ = false;  // And so it is a form.
    bool is_through_ = false;
    bool is_spent_ = false;
    std::optional<http::ApiError> refusal_;
    std::optional<http::BodyFailure> lost_;
    std::function<void()> reached_;
};

// How a form begins that did not come whole with its head.
struct FormBeginning {
    std::unique_ptr<FormPassage> passage;   // Empty: all of it is in the request's body.
    std::optional<http::ApiError> refusal;  // What it is instead.
    bool is_lost = false;                   // It did not come; the server says so.
};
// Small ones are read whole, and so are those in which a file stands before what is needed to say
// what they may cost: up to the route's bound, as ever.
http::Task<FormBeginning> begin_form(http::Exchange& client, const FormRules& rules);

}  // namespace nutgate::proxy
