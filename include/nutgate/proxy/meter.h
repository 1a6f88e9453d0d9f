// Usage out of a passing answer. A meter sees every byte on its way from an upstream to a client
// and changes none but what the contract asks for: the chunk that holds nothing but the usage, and
// [DONE], are withheld, because the last event of a stream is ours and tells both usage and cost.
//
// Bounded: a frame longer than Options::frame_bytes_max passes unseen, and is counted as text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/proxy/usage.h"

namespace nutgate::proxy {

// What an upstream said of its work, field by field: the last value that was not null wins, and
// zero is a value (metering-and-gateways 3.4).
struct UsageFields {
    std::optional<std::int64_t> prompt_tokens;
    std::optional<std::int64_t> completion_tokens;
    std::optional<std::int64_t> total_tokens;
    std::optional<std::int64_t> cached_tokens;
    std::optional<std::int64_t> reasoning_tokens;

    // Enough to charge by: both sides, or one side and the total.
    bool complete() const;
    // Parts that exceed their whole are cut to it: nothing is ever negative.
    Usage usage() const;
    void overwrite_with(const UsageFields& newer);
};

// Looks at one JSON document (a whole answer, or a chunk) at .usage, .response.usage,
// .message.usage, .usageMetadata, .x_groq.usage and llama.cpp's .timings. Empty if none is there.
std::optional<UsageFields> find_usage(std::string_view json);

// How much of an answer was passed on, for when nobody says what it cost.
struct Delivered {
    std::uint64_t text_bytes = 0;   // Of content, reasoning, refusals and tool arguments.
    std::uint64_t text_deltas = 0;  // Pieces that had any.
    std::uint64_t bytes = 0;
};

// The estimate of tokens in text. Servers send a delta per token, so a count of deltas is the
// better figure where it is the larger one.
std::int64_t estimate_tokens(const Delivered& delivered, std::int64_t bytes_per_token);

class SseMeter {
public:
    struct Options {
        std::size_t frame_bytes_max = 8 * 1024 * 1024;
    };

    explicit SseMeter(Options options) : options_{options} {}

    // Takes the next bytes and appends to `out` what may go to the client now: whole frames, byte
    // for byte, whatever the pieces are cut into.
    void feed(std::string_view piece, std::string& out);
    // The upstream's stream ended: what is left of an unfinished frame.
    void finish(std::string& out);

    bool done() const { return done_; }          // [DONE] was seen.
    bool failed() const { return failed_; }      // An error event was seen, and passed on.
    bool finished() const { return finished_; }  // Some choice has its finish_reason.
    bool overrun() const { return overrun_; }    // Some frame passed unseen.
    const std::optional<UsageFields>& usage() const { return usage_; }
    const Delivered& delivered() const { return delivered_; }
    // The JSON of the last chunk that was withheld; empty if there was none.
    const std::string& usage_chunk() const { return usage_chunk_; }
    // What every chunk repeats, as JSON text, from the first that has it; empty if none has.
    const std::string& id_json() const { return id_json_; }
    const std::string& model_json() const { return model_json_; }
    const std::string& created_json() const { return created_json_; }

private:
    void take(std::string_view bytes, std::string& out);
    void take_trailing_lf(std::string& out);
    void end_frame(std::string& out);
    bool passes(std::string_view frame);
    bool look_at(std::string_view data);

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
    std::optional<UsageFields> usage_;
    Delivered delivered_;
    std::string usage_chunk_;
    std::string id_json_;
    std::string model_json_;
    std::string created_json_;
};

}  // namespace nutgate::proxy
