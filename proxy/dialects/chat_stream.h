// Chunks of a chat completion as Anthropic's events.
//
// Blocks stand one after the other, as Anthropic's do: content, thoughts and each call are a block
// of their own. Where calls come interleaved, the first goes on until its arguments are a whole
// JSON value and the others wait. The end (message_delta with the usage, message_stop) comes only
// after a finish_reason and the end of the stream, or after [DONE], since the usage may stand on
// any chunk until there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "dialects/answer_translator.h"
#include "dialects/event_stream.h"
#include "dialects/raw_json.h"
#include "dialects/told_usage.h"

namespace nutgate::proxy {

// Whether text, as far as it came, is a whole JSON object or array.
class JsonBalance {
public:
    void take(std::string_view text);
    bool whole() const { return begun_ && depth_ == 0; }

private:
    std::int64_t depth_ = 0;
    bool begun_ = false;
    bool in_string_ = false;
    bool escaped_ = false;
};

class ChatStream final : public StreamTranslator {
public:
    explicit ChatStream(ToMessages options)
        : options_{std::move(options)}, reader_{options_.event_bytes_max} {}

    void feed(std::string_view piece, std::string& out) override;
    void finish(std::string& out) override;
    State state() const override { return state_; }

private:
    enum class Open { None, Text, Thinking, Call };
    // A call that has not ended. The first of them is told as it comes.
    struct Call {
        std::int64_t index = 0;  // The upstream's.
        std::string id = {};
        std::string name = {};
        std::string waiting = {};  // Letters of arguments, raw, not yet told.
        JsonBalance balance = {};
        bool begun = false;
    };

    void take(const StreamEvent& event, std::string& out);
    void take_error(const RawJson& error, std::string& out);
    void take_choice(const RawObject& choice, std::string& out);
    void take_text(const RawObject& delta, std::string_view field, Open kind, std::string& out);
    void take_call(const RawJson& item, std::string& out);
    Call* find_call(const RawObject& delta, bool begins);
    void tell_calls(std::string& out);
    void begin_call(Call& call, std::string& out);
    void tell_arguments(Call& call, std::string& out);
    void end_calls(std::string& out);

    void start(std::string& out);
    void open(Open kind, std::string& out);
    void close(std::string& out);
    void put_delta(std::string_view type, std::string_view field, std::string_view raw,
                   std::string& out);
    void end(std::string& out);
    void nonsense() { state_ = State::Nonsense; }

    const ToMessages options_;
    EventReader reader_;
    State state_ = State::Open;
    bool started_ = false;
    bool finishing_ = false;
    std::string id_;
    std::string model_;
    Open open_ = Open::None;
    std::int64_t next_block_ = 0;
    std::deque<Call> calls_;
    std::vector<std::string> call_ids_;  // Of all that were begun, at most kCallsMax.
    std::size_t waiting_bytes_ = 0;
    bool refused_ = false;
    std::string finish_reason_;
    ChatUsage usage_;
};

}  // namespace nutgate::proxy
