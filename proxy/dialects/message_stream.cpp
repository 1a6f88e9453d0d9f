#include "dialects/message_stream.h"

#include <utility>

#include "answers.h"
#include "dialects/error_shapes.h"
#include "dialects/stop_reasons.h"

namespace nutgate::proxy {
namespace {

constexpr std::size_t kOpenBlocksMax = 64;                 // Anthropic has one at a time.
constexpr std::size_t kThoughtBytesMax = 4 * 1024 * 1024;  // Beyond, they can't be sent back.

}  // namespace

void MessageStream::feed(std::string_view piece, std::string& out) {
    if (state_ != State::Open) return;
    std::vector<StreamEvent> events;
    reader_.feed(piece, events);
    for (const StreamEvent& event : events) {
        take(event, out);
        if (state_ != State::Open) return;
    }
    if (reader_.overrun()) nonsense();
}

void MessageStream::finish(std::string& out) {
    if (state_ == State::Open) {
        std::vector<StreamEvent> events;
        finishing_ = true;
        reader_.finish(events);
        for (const StreamEvent& event : events) {
            if (state_ == State::Open) take(event, out);
        }
    }
    // Cut: what was used until then is still told, to whoever asked.
    if ((state_ == State::Open || state_ == State::Nonsense) && started_ && options_.usage_asked) {
        const std::string counts = chat_usage_json(usage_.told());
        if (!counts.empty()) put_chunk("[]", counts, out);
    }
}

void MessageStream::take(const StreamEvent& event, std::string& out) {
    if (event.comment) {
        out += ":\n\n";
        return;
    }
    const auto data = RawObject::parse(event.data);
    if (!data) {
        // Of an event that the end of the stream cut short, nothing can be made.
        if (!finishing_) nonsense();
        return;
    }
    const std::string type = data->text("type");
    if (type == "ping") {
        out += ": ping\n\n";
    } else if (type == "error" || event.name == "error") {
        take_error(*data, out);
    } else if (type == "message_start") {
        take_start(*data, out);
    } else if (!started_) {
        nonsense();
    } else if (type == "content_block_start") {
        take_block_start(*data, out);
    } else if (type == "content_block_delta") {
        take_block_delta(*data, out);
    } else if (type == "content_block_stop") {
        take_block_stop(*data, out);
    } else if (type == "message_delta") {
        take_message_delta(*data);
    } else if (type == "message_stop") {
        end(out);
    }
    // Anthropic announces that other events may come.
}

void MessageStream::take_start(const RawObject& event, std::string& out) {
    const RawJson* given = event.given("message");
    const auto message = given != nullptr ? RawObject::make(*given) : std::nullopt;
    if (!message || started_) return nonsense();
    started_ = true;
    head_ = R"(data: {"id":)" + http::json_quote(message->text("id")) +
            R"(,"object":"chat.completion.chunk","created":)" + std::to_string(options_.created) +
            R"(,"model":)" + http::json_quote(message->text("model"));
    put_delta(R"({"role":"assistant","content":""})", out);
    if (const RawJson* usage = message->given("usage")) usage_.read_start(*usage);
    const std::string counts = chat_usage_json(usage_.told());
    if (options_.usage_asked && !counts.empty()) put_chunk("[]", counts, out);
}

MessageStream::Block* MessageStream::open_block(const RawObject& event) {
    const RawJson* index = event.given("index");
    const auto number = index != nullptr ? index->integer() : std::nullopt;
    for (Block& block : open_) {
        if (block.index == number) return &block;
    }
    return nullptr;
}

void MessageStream::take_block_start(const RawObject& event, std::string& out) {
    const RawJson* index = event.given("index");
    const auto number = index != nullptr ? index->integer() : std::nullopt;
    const RawJson* given = event.given("content_block");
    const auto block = given != nullptr ? RawObject::make(*given) : std::nullopt;
    if (!block || !number || open_block(event) != nullptr || open_.size() == kOpenBlocksMax) {
        return nonsense();
    }
    Block opened{.index = *number};
    const std::string type = block->text("type");
    if (type == "text") {
        put_letters("content", block->given("text"), out);
    } else if (type == "thinking") {
        opened.is_thought = true;
        take_thought(opened, *block, out);
    } else if (type == "redacted_thinking") {
        if (const RawJson* data = block->given("data")) {
            keep_thought(
                ObjectText{}.raw("type", R"("redacted_thinking")").raw("data", data->raw()).end());
        }
    } else if (type == "tool_use") {
        begin_call(*block, opened, out);
    }
    open_.push_back(std::move(opened));
}

void MessageStream::begin_call(const RawObject& block, Block& opened, std::string& out) {
    const RawJson* id = block.given("id");
    const RawJson* name = block.given("name");
    const RawJson* input = block.given("input");
    if (id == nullptr || name == nullptr || !id->is_string() || !name->is_string()) {
        return nonsense();
    }
    opened.is_call = true;
    opened.call = calls_++;
    opened.input = input != nullptr && input->is_object() ? input->raw() : "{}";
    put_delta(R"({"tool_calls":[)" +
                  ObjectText{}
                      .number("index", opened.call)
                      .raw("id", id->raw())
                      .raw("type", R"("function")")
                      .raw("function",
                           ObjectText{}.raw("name", name->raw()).raw("arguments", R"("")").end())
                      .end() +
                  "]}",
              out);
}

void MessageStream::take_block_delta(const RawObject& event, std::string& out) {
    const RawJson* given = event.given("delta");
    const auto delta = given != nullptr ? RawObject::make(*given) : std::nullopt;
    Block* block = open_block(event);
    if (!delta || block == nullptr) return nonsense();
    const std::string type = delta->text("type");
    if (type == "text_delta") {
        put_letters("content", delta->given("text"), out);
    } else if ((type == "thinking_delta" || type == "signature_delta") && block->is_thought) {
        take_thought(*block, *delta, out);
    } else if (type == "input_json_delta" && block->is_call) {
        const RawJson* json = delta->given("partial_json");
        if (json == nullptr || json->letters().empty()) return;
        block->has_arguments = true;
        put_arguments(*block, json->raw(), out);
    }
}

void MessageStream::take_thought(Block& block, const RawObject& piece, std::string& out) {
    put_letters("reasoning_content", piece.given("thinking"), out);
    const RawJson* thought = piece.given("thinking");
    const RawJson* signature = piece.given("signature");
    if (thought != nullptr && !thoughts_lost_) block.thought += thought->letters();
    if (signature != nullptr) block.signature += signature->letters();
    if (block.thought.size() + block.signature.size() > kThoughtBytesMax) keep_thought({});
}

// Empty: one that can't be kept, and then none is worth keeping.
void MessageStream::keep_thought(std::string_view block) {
    const std::size_t all = thinking_blocks_.size() + block.size();
    thoughts_lost_ = thoughts_lost_ || block.empty() || all > kThoughtBytesMax;
    if (thoughts_lost_) {
        thinking_blocks_.clear();
    } else {
        add_item(thinking_blocks_, block);
    }
}

// A call without arguments has no delta, and its reader expects JSON all the same.
void MessageStream::take_block_stop(const RawObject& event, std::string& out) {
    Block* block = open_block(event);
    if (block == nullptr) return nonsense();
    if (block->is_call && !block->has_arguments) {
        put_arguments(*block, http::json_quote(block->input), out);
    }
    if (block->is_thought && !block->signature.empty()) {
        keep_thought(ObjectText{}
                         .raw("type", R"("thinking")")
                         .raw("thinking", '"' + block->thought + '"')
                         .raw("signature", '"' + block->signature + '"')
                         .end());
    }
    open_.erase(open_.begin() + (block - open_.data()));
}

void MessageStream::take_message_delta(const RawObject& event) {
    if (const RawJson* usage = event.given("usage")) usage_.read(*usage);
    const RawJson* given = event.given("delta");
    const auto delta = given != nullptr ? RawObject::make(*given) : std::nullopt;
    if (delta && delta->given("stop_reason") != nullptr) stop_reason_ = delta->text("stop_reason");
}

void MessageStream::take_error(const RawObject& event, std::string& out) {
    const RawJson* given = event.given("error");
    ToldError error = given != nullptr ? read_error(*given) : ToldError{};
    // What a stranger says of itself is shown without the names of the seller's accounts.
    error.message = redacted(error.message);
    if (error.message.empty()) error.message = "The model's answer broke off.";
    if (started_ && options_.usage_asked) {
        const std::string counts = chat_usage_json(usage_.told());
        if (!counts.empty()) put_chunk("[]", counts, out);
    }
    out += "data: " + chat_error_json(error) + "\n\n";
    state_ = State::Failed;
}

void MessageStream::end(std::string& out) {
    const std::string thoughts =
        thinking_blocks_.empty() ? "" : R"("thinking_blocks":[)" + thinking_blocks_ + ']';
    put_chunk(R"([{"index":0,"delta":{)" + thoughts + R"(},"logprobs":null,"finish_reason":")" +
                  std::string{finish_reason_of(stop_reason_)} + "\"}]",
              options_.usage_asked ? "null" : "", out);
    const std::string counts = chat_usage_json(usage_.told());
    if (options_.usage_asked && !counts.empty()) put_chunk("[]", counts, out);
    out += "data: [DONE]\n\n";
    state_ = State::Whole;
}

void MessageStream::put_letters(std::string_view field, const RawJson* text, std::string& out) {
    if (text == nullptr || text->letters().empty()) return;
    put_delta(ObjectText{}.raw(field, text->raw()).end(), out);
}

void MessageStream::put_arguments(const Block& block, std::string_view raw, std::string& out) {
    put_delta(R"({"tool_calls":[)" +
                  ObjectText{}
                      .number("index", block.call)
                      .raw("function", ObjectText{}.raw("arguments", raw).end())
                      .end() +
                  "]}",
              out);
}

void MessageStream::put_delta(std::string_view delta, std::string& out) {
    put_chunk(R"([{"index":0,"delta":)" + std::string{delta} +
                  R"(,"logprobs":null,"finish_reason":null}])",
              options_.usage_asked ? "null" : "", out);
}

void MessageStream::put_chunk(std::string_view choices, std::string_view usage, std::string& out) {
    out.append(head_).append(",\"choices\":").append(choices);
    if (!usage.empty()) out.append(",\"usage\":").append(usage);
    out += "}\n\n";
}

}  // namespace nutgate::proxy
