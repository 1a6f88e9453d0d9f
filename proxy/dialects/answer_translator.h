// The answer to a translated request, back into the dialect of the client who asked: whole, as a
// stream, or as an error. translated_answer.h puts one around an upstream's answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace nutgate::proxy {

// One stream, in pieces that are cut anywhere; what comes out is the same whatever the cuts.
class StreamTranslator {
public:
    enum class State {
        Open,      // More is to come. If none comes, the stream was cut: no end is made up.
        Whole,     // Its end came and was passed on. What follows is not read.
        Failed,    // An error came, and was passed on as the last event.
        Nonsense,  // What came is not of the dialect, or beyond a bound. Nothing more is said.
    };

    virtual ~StreamTranslator() = default;
    virtual void feed(std::string_view piece, std::string& out) = 0;
    // Nothing more comes. Appends what can still be said; of a stream that was cut, what it used.
    virtual void finish(std::string& out) = 0;
    virtual State state() const = 0;
};

struct TranslatedError {
    int status;
    std::string body;
};

// Immutable.
class AnswerTranslator {
public:
    virtual ~AnswerTranslator() = default;
    virtual std::unique_ptr<StreamTranslator> stream() const = 0;
    // Empty if it is not an answer of the dialect.
    virtual std::optional<std::string> whole(std::string_view body) const = 0;
    // Of an answer whose status is not 2xx, and what its body says, if it says anything.
    virtual TranslatedError error(int status, std::string_view body) const = 0;
};

// The largest event that a stream translator holds: lines of a megabyte occur.
constexpr std::size_t kStreamEventBytesMax = 8 * 1024 * 1024;

// An Anthropic upstream's answer for an OpenAI client.
struct ToChat {
    std::int64_t created = 0;  // Unix seconds: Anthropic does not tell.
    bool usage_asked = false;  // stream_options.include_usage
    std::size_t event_bytes_max = kStreamEventBytesMax;
};
std::unique_ptr<AnswerTranslator> make_to_chat(ToChat options);

// An OpenAI upstream's answer for an Anthropic client.
struct ToMessages {
    // For the first event of a stream, which tells the prompt's tokens before the upstream does: an
    // estimate. The last event has the upstream's number.
    std::int64_t input_tokens_estimate;
    // For upstreams that give their answers no id or model.
    std::string message_id = "msg_translated";
    std::string model = {};
    std::size_t event_bytes_max = kStreamEventBytesMax;
};
std::unique_ptr<AnswerTranslator> make_to_messages(ToMessages options);

}  // namespace nutgate::proxy
