#include "form_passage.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "body_parser.h"

namespace nutgate::proxy {
namespace {

constexpr std::size_t kTextBytesMax = 64 * 1024;  // Of a field that is no file.
// Up to here a form is read whole, whatever the order of its fields: it is here in no time.
constexpr std::uint64_t kWholeBytesMax = 1024 * 1024;
// Of what stands before the first file. Beyond it the form is read whole, too.
constexpr std::size_t kFieldsBytesMax = 256 * 1024;
// So much is kept to be sent again.
constexpr std::size_t kKeptBytesMax = 256 * 1024;
// Of the first file, before it is decided what it may cost: its kind is told by its first letters.
constexpr std::size_t kFirstLetters = 16;

bool is_in(std::span<const std::string_view> names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

http::ApiError after_file(const std::string& name) {
    return bad_request("field_after_file",
                       "'" + name +
                           "' must stand before the file: what a request may cost is settled when "
                           "its file begins.",
                       name);
}

}  // namespace

Result<bool, http::ApiError> check_part(const FormRules& rules, std::span<const FormPart> before,
                                        const FormPart& part) {
    const std::string& name = part.name;
    for (const FormPart& other : before) {
        if (!name.ends_with("[]") && http::equal_without_case(other.name, name)) {
            return fail(bad_request("duplicate_field", "'" + name + "' is there twice.", name));
        }
    }
    const bool is_known = std::binary_search(rules.known.begin(), rules.known.end(), name);
    for (const auto exact : rules.known) {
        if (is_known || !http::equal_without_case(exact, name)) continue;
        return fail(
            unsupported(name, "Did you mean '" + std::string{exact} + "'? Names are exact."));
    }
    if (part.is_file != is_in(rules.files, name)) {
        return fail(bad_value(name, part.is_file ? "no file" : "a file"));
    }
    return is_known;
}

std::string_view FormPassage::start() {
    (void)rewind();
    handed_ = started_ = passable_;
    return body().substr(0, passable_);
}

std::optional<std::uint64_t> FormPassage::rest_bytes() const {
    const auto all = client_.body_bytes();
    if (!all) return std::nullopt;
    return *all - started_;
}

bool FormPassage::rewind() {
    if (is_spent_) return false;
    handed_ = started_;
    is_through_ = false;
    return true;
}

std::uint64_t FormPassage::file_bytes() const {
    return file_bytes_ + (is_file_open_ ? scanner_.content_bytes() : 0);
}

std::uint64_t FormPassage::file_bytes_most() const {
    const auto all = client_.body_bytes();
    const auto rest = all ? *all - file_at_.value_or(0) : rules_.file_bytes_max;
    return std::min(rest, rules_.file_bytes_max);
}

http::Task<std::optional<std::string_view>> FormPassage::read() {
    for (;;) {
        if (handed_ < passable_) {
            const auto begin = std::exchange(handed_, passable_);
            co_return body().substr(begin, passable_ - begin);
        }
        if (is_whole_) {
            const bool was_through = std::exchange(is_through_, true);
            if (was_through) co_return std::string_view{};
            if (reached_) reached_();
            co_return std::string_view{end_};
        }
        const bool goes_on = co_await read_more();
        if (!goes_on) co_return std::nullopt;
    }
}

http::Task<bool> FormPassage::read_more() {
    if (refusal_ || lost_) co_return false;
    // Where an earlier call was cut short there is more at hand than was looked at.
    if (scanned_ == body().size()) {
        // All of it was sent by now.
        if (is_spent_ || body().size() >= kKeptBytesMax) {
            is_spent_ = true;
            client_.shed_body();
            scanned_ = passable_ = handed_ = 0;
        }
        const auto got = co_await client_.read_body(body().size() + 1);
        if (!got) lost_ = got.error();
    }
    co_return !lost_ && scan();
}

// Looks at what has come since. False: it is refused.
bool FormPassage::scan() {
    while (!refusal_ && scanned_ < body().size()) {
        if (file_at_ && !has_needed_) return true;  // It is read whole, and by another reader.
        const auto step = scanner_.next(body().substr(scanned_));
        if (!step) {
            refusal_ = step.error();
            break;
        }
        const auto from = std::exchange(scanned_, scanned_ + step->taken);
        // Of the end it takes the last hyphen to be one.
        const bool is_end = step->event == FormScanner::Event::End;
        const auto kept_from = is_end ? scanned_ - 1 : from;
        has_end_ = has_end_ || is_end;
        if (has_end_) end_.append(body().substr(kept_from, scanned_ - kept_from));
        if (!has_end_ || is_end) passable_ = is_end ? kept_from : scanned_;
        if (const auto taken = take(*step); !taken) refusal_ = taken.error();
    }
    if (!refusal_ && client_.has_whole_body()) {
        const auto whole = scanner_.finish();
        is_whole_ = whole.has_value();
        if (!whole) refusal_ = whole.error();
    }
    return !refusal_;
}

Result<void, http::ApiError> FormPassage::take(const FormScanner::Step& step) {
    const FormPart& part = scanner_.part();
    if (step.event == FormScanner::Event::Part) {
        if (file_at_) {
            TRY(const bool is_known, check_part(rules_, parts_, part));
            if (!is_known || is_in(rules_.priced, part.name)) return fail(after_file(part.name));
        } else if (part.is_file) {
            file_at_ = scanned_;
            has_needed_ = std::all_of(
                rules_.needed.begin(), rules_.needed.end(), [this](std::string_view name) {
                    return std::any_of(parts_.begin(), parts_.end(),
                                       [name](const FormPart& one) { return one.name == name; });
                });
        }
        parts_.push_back(part);
        is_file_open_ = part.is_file;
    }
    if (parts_.empty()) return {};
    if (!part.is_file && scanner_.content_bytes() > kTextBytesMax) {
        return fail(bad_value(part.name, "at most " + std::to_string(kTextBytesMax) + " bytes"));
    }
    if (step.event == FormScanner::Event::PartEnd && std::exchange(is_file_open_, false)) {
        file_bytes_ += scanner_.content_bytes();
    }
    if (part.is_file && file_bytes() > rules_.file_bytes_max) {
        return fail(
            bad_value(part.name, "at most " + std::to_string(rules_.file_bytes_max) + " bytes"));
    }
    return {};
}

// Reads up to the first file.
class FormBeginner {
public:
    FormBeginner(http::Exchange& client, const FormRules& rules) : client_{client}, rules_{rules} {}

    http::Task<FormBeginning> run() {
        FormBeginning begun;
        const auto type = client_.request().headers.find("content-type").value_or("");
        const auto boundary = boundary_of(type);
        if (!boundary) {
            begun.refusal = boundary.error();
            co_return begun;
        }
        const auto declared = client_.body_bytes();
        if (!declared || *declared > kWholeBytesMax) {
            begun.passage = std::make_unique<FormPassage>(client_, rules_, *boundary);
            const bool passes = co_await reach_file(begun);
            if (begun.refusal || begun.is_lost || passes) co_return begun;
            begun.passage.reset();
        }
        const auto whole = co_await client_.read_body(std::numeric_limits<std::size_t>::max());
        begun.is_lost = !whole;
        co_return begun;
    }

private:
    // False: it is read whole, or the beginning says why not.
    http::Task<bool> reach_file(FormBeginning& begun) {
        FormPassage& passage = *begun.passage;
        for (;;) {
            const auto& file_at = passage.file_at_;
            if (file_at && !passage.has_needed_) co_return false;
            const auto size = client_.request().body.size();
            if (client_.has_whole_body() || (!file_at && size > kFieldsBytesMax)) co_return false;
            if (file_at && size >= *file_at + kFirstLetters) co_return true;
            const auto got = co_await client_.read_body(size + 1);
            begun.is_lost = !got;
            if (!got) co_return false;
            if (!passage.scan()) begun.refusal = passage.refusal_;
            if (begun.refusal) co_return false;
        }
    }

    http::Exchange& client_;
    const FormRules& rules_;
};

http::Task<FormBeginning> begin_form(http::Exchange& client, const FormRules& rules) {
    FormBeginner beginner{client, rules};
    co_return co_await beginner.run();
}

}  // namespace nutgate::proxy
