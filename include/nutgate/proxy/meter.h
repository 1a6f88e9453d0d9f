// Usage out of a passing answer. A meter sees every byte on its way from an upstream to a client
// and changes none but what the contract asks for: of chunks, the one that holds nothing but the
// usage, and [DONE], are withheld, because the last event of a stream is ours and tells both usage
// and cost; of events that have a type, the last, which is told again with the cost in it. A
// message of Anthropic's passes whole: the cost comes behind it. What an error says of the seller's
// account does not pass.
//
// What each dialect writes, and what it has to come to, is in tests/proxy/corpus.
//
// Bounded: a frame longer than Options::frame_bytes_max passes unseen, and is counted as text.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/proxy/usage.h"

namespace nutgate::proxy {

struct TypedEvent;

// What an upstream said of its work, field by field: the last value that was not null wins, and
// zero is a value (metering-and-gateways 3.4).
struct UsageFields {
    std::optional<std::int64_t> prompt_tokens;
    std::optional<std::int64_t> completion_tokens;
    std::optional<std::int64_t> total_tokens;
    std::optional<std::int64_t> cached_tokens;  // Read from a cache.
    std::optional<std::int64_t> reasoning_tokens;
    std::optional<std::int64_t> cache_write_tokens;     // For however long.
    std::optional<std::int64_t> cache_write_1h_tokens;  // Those of them that are for an hour.
    // Anthropic's way: what was read from a cache or written to it is not in prompt_tokens.
    bool cache_is_beside = false;
    // Parts of a prompt and of an answer.
    std::optional<std::int64_t> input_audio_tokens;
    std::optional<std::int64_t> input_image_tokens;
    std::optional<std::int64_t> output_audio_tokens;
    std::optional<std::int64_t> output_image_tokens;
    // What is no token.
    std::optional<std::int64_t> searches;
    std::optional<std::int64_t> audio_ms;

    // Enough to charge tokens by: both sides, or one side and the total.
    bool complete() const;
    // Parts that exceed their whole are cut to it: nothing is ever negative.
    Usage usage() const;
    void overwrite_with(const UsageFields& newer);
};

// "8.47" seconds in milliseconds, rounded up. Empty if it is no decimal, or more than eleven days.
std::optional<std::int64_t> milliseconds_of(std::string_view seconds);

// Looks at one JSON document (a whole answer, or a chunk) at .usage, .response.usage,
// .message.usage, .usageMetadata, .x_groq.usage and llama.cpp's .timings. Empty if none is there.
std::optional<UsageFields> find_usage(std::string_view json);

// What is counted by the piece; of each as much as is known to have been delivered.
struct Pieces {
    std::int64_t images = 0;
    std::int64_t characters = 0;
    std::int64_t audio_ms = 0;
    bool is_estimate = false;  // Some of it is our own.
    // What it is in tokens, by our own rule, where the upstream does not tell them.
    std::int64_t input_tokens = 0;
    std::int64_t output_tokens = 0;
};

// How much of an answer was passed on, for when nobody says what it cost.
struct Delivered {
    std::uint64_t text_bytes = 0;   // Of content, reasoning, refusals and tool arguments.
    std::uint64_t text_deltas = 0;  // Pieces that had any.
    std::uint64_t bytes = 0;
    Pieces pieces = {};
};

// The estimate of tokens in text. Servers send a delta per token, so a count of deltas is the
// better figure where it is the larger one.
std::int64_t estimate_tokens(const Delivered& delivered, std::int64_t bytes_per_token);

// How a stream of events tells what it was.
enum class StreamForm {
    Chunks,     // Of one shape, the usage in one near the end, and [DONE].
    LastEvent,  // Each with its type; the one that completes it has the usage.
    Messages,   // Each with its type; usage at the beginning, and cumulative near the end.
};
// By their index. No request has more of them.
inline constexpr std::size_t kChoicesMax = 128;
using Choices = std::bitset<kChoicesMax>;

class SseMeter {
public:
    struct Options {
        std::size_t frame_bytes_max = 8 * 1024 * 1024;
        StreamForm form = StreamForm::Chunks;
        // Keeps what an end of ours would repeat: see begun_json() and open_blocks().
        bool may_end_early = false;
        // Sound and images, which are no text: any event that is no error is something to owe for.
        bool sells_pieces = false;
    };

    explicit SseMeter(Options options) : options_{options} {}

    // Takes the next bytes and appends to `out` what may go to the client now: whole frames, byte
    // for byte, whatever the pieces are cut into.
    void feed(std::string_view piece, std::string& out);
    // The same up to the end of the first frame within it. Returns how many bytes that were.
    std::size_t feed_frame(std::string_view piece, std::string& out);
    // The upstream's stream ended: what is left of an unfinished frame.
    void finish(std::string& out);

    StreamForm form() const { return options_.form; }
    bool done() const { return done_; }      // [DONE], or the event that is the last, was seen.
    bool failed() const { return failed_; }  // An error event was seen, and passed on.
    // Some choice has its finish_reason, or the event was seen that ends an answer of its dialect.
    bool finished() const { return finished_; }
    bool overrun() const { return overrun_; }                 // Some frame passed unseen.
    bool passes_unseen() const { return unseen_bytes_ > 0; }  // This one does, and has not ended.
    const Choices& finished_choices() const { return finished_choices_; }
    const std::optional<UsageFields>& usage() const { return usage_; }
    const Delivered& delivered() const { return delivered_; }
    // Whether anything came that anybody could owe for.
    bool is_empty() const;
    // The JSON of the last chunk or event that was withheld; empty if there was none.
    const std::string& usage_chunk() const { return usage_chunk_; }
    // What every chunk repeats, as JSON text, from the first that has it; empty if none has.
    const std::string& id_json() const { return id_json_; }
    const std::string& model_json() const { return model_json_; }
    const std::string& created_json() const { return created_json_; }
    // Of a stream that may end early: the response as its first event told it, if it is no longer
    // than 16 KiB; the number of the last event that was looked at; the blocks that have begun and
    // not ended, at most 64 of them.
    const std::string& begun_json() const { return begun_json_; }
    const std::optional<std::int64_t>& sequence() const { return sequence_; }
    const std::vector<std::int64_t>& open_blocks() const { return open_blocks_; }

private:
    void take(std::string_view bytes, std::string& out);
    void take_trailing_lf(std::string& out);
    void end_frame(std::string& out);
    bool passes();
    bool look_at_frame(std::string_view frame);
    bool look_at(std::string_view data);
    bool look_at_event(std::string_view data);
    void take_error(std::string_view data);
    void keep_for_end(std::string_view data, const TypedEvent& event);

    Options options_;
    std::string frame_;              // Since the last blank line.
    std::size_t line_bytes_ = 0;     // Of the line that has not ended.
    std::size_t unseen_bytes_ = 0;   // Of a frame beyond the bound, which passes as it comes.
    bool after_cr_ = false;          // An LF now belongs to the line end before it …
    bool frame_just_ended_ = false;  // … and goes where that line went.
    bool dropped_last_ = false;
    bool first_frame_ = true;  // A byte order mark may stand before it.
    bool done_ = false;
    bool failed_ = false;
    bool finished_ = false;
    bool overrun_ = false;
    bool thoughts_told_ = false;        // By deltas: in blocks they come again.
    bool piece_came_ = false;           // Of those that are sold.
    std::optional<std::string> shown_;  // In place of this frame's data: an error's.
    Choices finished_choices_;
    std::optional<UsageFields> usage_;
    Delivered delivered_;
    std::string usage_chunk_;
    std::string id_json_;
    std::string model_json_;
    std::string created_json_;
    std::string begun_json_;
    std::optional<std::int64_t> sequence_;
    std::vector<std::int64_t> open_blocks_;
};

}  // namespace nutgate::proxy
