#include <algorithm>
#include <utility>

#include "chunk.h"
#include "nutgate/proxy/meter.h"
#include "report.h"
#include "typed_event.h"

namespace nutgate::proxy {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::size_t kBegunBytesMax = 16 * 1024;  // It repeats a request's tools.
constexpr std::size_t kOpenBlocksMax = 64;         // Anthropic has one at a time.

// The fields of one frame, as the HTML standard reads them.
struct Fields {
    std::string_view first_line;  // Of its data.
    std::string joined;           // All lines of it, where there are several.
    bool has_data = false;
    bool several = false;
    bool error_event = false;

    std::string_view data() const { return several ? std::string_view{joined} : first_line; }
    void add_data(std::string_view line) {
        if (!has_data) {
            first_line = line;
        } else {
            if (!several) joined = first_line;
            several = true;
            joined.append(1, '\n').append(line);
        }
        has_data = true;
    }
};

// Where the first line ends: at its LF, CR or CRLF.
std::size_t line_end(std::string_view text) {
    const std::size_t lf = text.find('\n');
    const std::size_t cr = text.substr(0, lf).find('\r');
    return cr != std::string_view::npos ? cr : lf;
}

std::string_view next_line(std::string_view& rest) {
    const std::size_t end = line_end(rest);
    const std::string_view line = rest.substr(0, end);
    if (end == std::string_view::npos) {
        rest = {};
    } else {
        rest.remove_prefix(end + (rest.substr(end).starts_with("\r\n") ? 2 : 1));
    }
    return line;
}

Fields parse_frame(std::string_view frame) {
    Fields fields;
    while (!frame.empty()) {
        const std::string_view line = next_line(frame);
        const std::size_t colon = line.find(':');
        const std::string_view name = line.substr(0, colon);
        std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
        if (value.starts_with(' ')) value.remove_prefix(1);
        if (name == "data") {
            fields.add_data(value);
        } else if (name == "event") {
            fields.error_event = value == "error";
        }
    }
    return fields;
}

// The frame with this data, which is one line, and all its other lines as they came.
std::string with_data(std::string_view frame, std::string_view data) {
    std::string text;
    bool told = false;
    while (!frame.empty()) {
        std::string_view rest = frame;
        const std::string_view line = next_line(rest);
        const std::size_t taken = frame.size() - rest.size();
        if (line.substr(0, line.find(':')) != "data") {
            text += frame.substr(0, taken);
        } else if (!std::exchange(told, true)) {
            const bool is_tight = line.starts_with("data:") && !line.starts_with("data: ");
            text.append(is_tight ? "data:" : "data: ").append(data);
            text += frame.substr(line.size(), taken - line.size());
        }
        frame = rest;
    }
    return text;
}

// Whether these are tokens that we guessed at ourselves, or another node did, for a client who
// wants a number at once: the word of nobody who counted.
bool is_guess(std::string_view message_start) {
    const auto find = [](JsonReader& reader, std::string_view name) {
        while (const auto member = reader.next_member()) {
            if (key_is(member->key, name)) return member->first;
            (void)reader.skip(member->first);
        }
        return JsonToken::Error;
    };
    JsonReader reader{message_start};
    if (reader.next() != JsonToken::BeginObject) return false;
    if (find(reader, "message") != JsonToken::BeginObject) return false;
    if (find(reader, "usage") != JsonToken::BeginObject) return false;
    return find(reader, "usage_source") == JsonToken::String && reader.raw() == "\"estimate\"";
}

std::string_view trim(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

void SseMeter::feed(std::string_view piece, std::string& out) {
    while (!piece.empty()) piece.remove_prefix(feed_frame(piece, out));
}

std::size_t SseMeter::feed_frame(std::string_view piece, std::string& out) {
    const std::size_t size = piece.size();
    bool ended = false;
    while (!piece.empty() && !ended) {
        if (after_cr_) {
            after_cr_ = false;
            if (piece.front() == '\n') {
                take_trailing_lf(out);
                piece.remove_prefix(1);
                continue;
            }
        }
        const std::size_t end = line_end(piece);
        if (end == std::string_view::npos) {
            line_bytes_ += piece.size();
            take(piece, out);
            piece = {};
            break;
        }
        const bool blank = end == 0 && line_bytes_ == 0;
        after_cr_ = piece[end] == '\r';
        take(piece.substr(0, end + 1), out);
        piece.remove_prefix(end + 1);
        line_bytes_ = 0;
        if (blank) end_frame(out);
        ended = blank;
    }
    delivered_.bytes += size - piece.size();
    return size - piece.size();
}

void SseMeter::take(std::string_view bytes, std::string& out) {
    frame_just_ended_ = false;
    if (unseen_bytes_ == 0 && frame_.size() + bytes.size() <= options_.frame_bytes_max) {
        frame_ += bytes;
        return;
    }
    // Too long to be looked at: it passes, and whatever is in it is taken for text.
    overrun_ = true;
    out += frame_;
    out += bytes;
    unseen_bytes_ += frame_.size() + bytes.size();
    delivered_.text_bytes += frame_.size() + bytes.size();
    frame_.clear();
    frame_.shrink_to_fit();
}

void SseMeter::take_trailing_lf(std::string& out) {
    if (!frame_just_ended_) {
        take("\n", out);
        return;
    }
    if (!dropped_last_) out += '\n';
}

void SseMeter::end_frame(std::string& out) {
    frame_just_ended_ = true;
    if (unseen_bytes_ > 0) {
        unseen_bytes_ = 0;
        dropped_last_ = false;
        return;
    }
    dropped_last_ = !passes();
    if (!dropped_last_) out += frame_;
    frame_.clear();
}

// Whether the frame passes; in other words, if it has to.
bool SseMeter::passes() {
    std::string_view frame = frame_;
    std::string_view mark;
    if (std::exchange(first_frame_, false) && frame.starts_with(kByteOrderMark)) {
        mark = kByteOrderMark;
        frame.remove_prefix(mark.size());
    }
    shown_.reset();
    const bool is_passed = look_at_frame(frame);
    if (is_passed && shown_) frame_ = std::string{mark} + with_data(frame, *shown_);
    return is_passed;
}

bool SseMeter::look_at_frame(std::string_view frame) {
    // The form of almost every frame: one line of data, which need not be copied to be looked at.
    constexpr std::string_view kData = "data: ";
    if (const std::size_t end = line_end(frame);
        frame.starts_with(kData) && end != std::string_view::npos && end + 3 >= frame.size()) {
        return look_at(frame.substr(kData.size(), end - kData.size()));
    }
    const Fields fields = parse_frame(frame);
    if (fields.error_event) take_error(fields.data());
    return !fields.has_data || look_at(fields.data());
}

void SseMeter::take_error(std::string_view data) {
    failed_ = true;
    shown_ = without_accounts(data);
}

// Whether the frame with this data passes.
bool SseMeter::look_at(std::string_view data) {
    if (trim(data) == "[DONE]") {
        done_ = true;
        return false;
    }
    if (options_.form != StreamForm::Chunks) return look_at_event(data);
    const auto chunk = read_chunk(data);
    if (!chunk) return !done_;
    if (chunk->has_error) take_error(data);
    finished_ = finished_ || chunk->finish_reason;
    finished_choices_ |= chunk->finished;
    thoughts_told_ = thoughts_told_ || chunk->tells_thoughts;
    const std::uint64_t told_before = thoughts_told_ ? chunk->thought_block_bytes : 0;
    if (chunk->text_bytes > told_before) {
        delivered_.text_bytes += chunk->text_bytes - told_before;
        ++delivered_.text_deltas;
    }
    const auto keep = [data](std::string& where, const std::optional<Span>& place) {
        if (where.empty() && place) where = place->of(data);
    };
    keep(id_json_, chunk->id);
    keep(model_json_, chunk->model);
    keep(created_json_, chunk->created);

    if (!chunk->fields || (!chunk->has_usage() && !chunk->other_usage)) return !done_;
    if (!usage_) usage_.emplace();
    usage_->overwrite_with(*chunk->fields);
    if (chunk->choices_empty && chunk->has_usage() && !chunk->has_error) {
        usage_chunk_ = data;
        return false;
    }
    return !done_;
}

bool SseMeter::look_at_event(std::string_view data) {
    const bool was_done = done_;
    const auto event = read_typed_event(data);
    if (!event) return !was_done;
    if (event->has_error) take_error(data);
    if (!failed_) piece_came_ = options_.sells_pieces;
    if (options_.may_end_early) keep_for_end(data, *event);
    if (event->text_bytes > 0) {
        delivered_.text_bytes += event->text_bytes;
        ++delivered_.text_deltas;
    }
    if (event->fields && (event->type != "message_start" || !is_guess(data))) {
        if (!usage_) usage_.emplace();
        usage_->overwrite_with(*event->fields);
    }
    switch (options_.form) {
        case StreamForm::Chunks:
            break;
        case StreamForm::LastEvent:
            if (was_done || !event->completes) return !was_done;
            done_ = finished_ = true;
            usage_chunk_ = shown_ ? *shown_ : std::string{data};
            return false;
        case StreamForm::Messages:
            if (event->completes) done_ = finished_ = true;
            break;
    }
    return !was_done;
}

void SseMeter::keep_for_end(std::string_view data, const TypedEvent& event) {
    if (event.sequence) sequence_ = event.sequence;
    const bool is_told = event.response && event.response->of(data).size() <= kBegunBytesMax;
    if (is_told && begun_json_.empty()) begun_json_ = event.response->of(data);
    if (!event.index) return;
    if (event.type == "content_block_stop") {
        std::erase(open_blocks_, *event.index);
    } else if (event.type == "content_block_start" && open_blocks_.size() < kOpenBlocksMax) {
        open_blocks_.push_back(*event.index);
    }
}

bool SseMeter::is_empty() const {
    if (delivered_.text_bytes > 0 || piece_came_) return false;
    if (!usage_) return true;
    // A message tells what it read before it says anything, in translation, too.
    return options_.form != StreamForm::LastEvent && !usage_->completion_tokens;
}

void SseMeter::finish(std::string& out) {
    if (unseen_bytes_ > 0) {
        end_frame(out);
        out += "\n\n";
        return;
    }
    if (frame_.empty()) return;
    // An event whose blank line never came is no event, unless all of it is there: some leave the
    // last line ends out.
    const Fields fields = parse_frame(frame_);
    const bool whole =
        fields.has_data && (trim(fields.data()) == "[DONE]" || read_chunk(fields.data()));
    if (whole && passes()) {
        out += frame_;
        out += "\n\n";
    }
    frame_.clear();
}

}  // namespace nutgate::proxy
