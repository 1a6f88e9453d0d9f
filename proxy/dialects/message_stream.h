// Anthropic's events as chunks of a chat completion.
//
//     message_start        the role, and with usage asked for a chunk without choices that tells
//                          the prompt's tokens: whoever meters has them even if the stream is cut
//     content_block_*      content, reasoning_content, tool_calls by their number
//     ping                 a comment
//     message_stop         the finish_reason, the usage, [DONE]: all of them only here, so that a
//                          stream that was cut has none of them; and thinking_blocks, whole, since
//                          clients put fields that they do not know together by taking the last
//     error                {"error":…}
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dialects/answer_translator.h"
#include "dialects/event_stream.h"
#include "dialects/raw_json.h"
#include "dialects/told_usage.h"

namespace nutgate::proxy {

class MessageStream final : public StreamTranslator {
public:
    explicit MessageStream(const ToChat& options)
        : options_{options}, reader_{options.event_bytes_max} {}

    void feed(std::string_view piece, std::string& out) override;
    void finish(std::string& out) override;
    State state() const override { return state_; }

private:
    // A block that has begun and not ended.
    struct Block {
        std::int64_t index = 0;
        bool is_thought = false;
        std::string thought = {};  // Its letters, raw, and those of its signature.
        std::string signature = {};
        bool is_call = false;
        std::int64_t call = 0;       // Its number among the calls.
        bool has_arguments = false;  // Some of them were passed on.
        std::string input = {};      // What the block began with.
    };

    void take(const StreamEvent& event, std::string& out);
    void take_start(const RawObject& event, std::string& out);
    void take_block_start(const RawObject& event, std::string& out);
    void begin_call(const RawObject& block, Block& opened, std::string& out);
    void take_block_delta(const RawObject& event, std::string& out);
    void take_thought(Block& block, const RawObject& piece, std::string& out);
    void take_block_stop(const RawObject& event, std::string& out);
    void take_message_delta(const RawObject& event);
    void take_error(const RawObject& event, std::string& out);
    void end(std::string& out);

    Block* open_block(const RawObject& event);
    void put_letters(std::string_view field, const RawJson* text, std::string& out);
    void keep_thought(std::string_view block);
    void put_arguments(const Block& block, std::string_view raw, std::string& out);
    void put_delta(std::string_view delta, std::string& out);
    void put_chunk(std::string_view choices, std::string_view usage, std::string& out);
    void nonsense() { state_ = State::Nonsense; }

    const ToChat options_;
    EventReader reader_;
    State state_ = State::Open;
    bool started_ = false;
    bool finishing_ = false;
    std::string head_;  // What every chunk begins with.
    std::vector<Block> open_;
    std::int64_t calls_ = 0;
    std::string thinking_blocks_;
    bool thoughts_lost_ = false;  // They were too long to be kept.
    std::string stop_reason_;
    MessageUsage usage_;
};

}  // namespace nutgate::proxy
