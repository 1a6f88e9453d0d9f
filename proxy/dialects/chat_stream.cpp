#include "dialects/chat_stream.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "answers.h"
#include "dialects/error_shapes.h"
#include "dialects/stop_reasons.h"

namespace nutgate::proxy {
namespace {

constexpr std::size_t kCallsMax = 1024;                    // In one answer.
constexpr std::size_t kWaitingBytesMax = 8 * 1024 * 1024;  // Of calls that wait for their turn.

void put_event(std::string_view name, std::string_view data, std::string& out) {
    out.append("event: ").append(name).append("\ndata: ").append(data).append("\n\n");
}

std::string quoted(std::string_view letters) { return '"' + std::string{letters} + '"'; }

// OpenRouter and its like say a status where OpenAI says a word.
std::string_view error_type_of(const ToldError& error) {
    int status = 0;
    const char* end = error.code.data() + error.code.size();
    const bool is_status = std::from_chars(error.code.data(), end, status).ptr == end;
    if (is_status && status >= 400 && status < 600) return message_error_type(status);
    if (error.type == "rate_limit_error" || error.code == "rate_limit_exceeded") {
        return "rate_limit_error";
    }
    return error.type == "invalid_request_error" ? "invalid_request_error" : "api_error";
}

}  // namespace

void JsonBalance::take(std::string_view text) {
    for (const char c : text) {
        if (in_string_) {
            if (!std::exchange(escaped_, false)) {
                escaped_ = c == '\\';
                in_string_ = c != '"';
            }
        } else if (c == '"') {
            in_string_ = true;
        } else if (c == '{' || c == '[') {
            begun_ = true;
            ++depth_;
        } else if ((c == '}' || c == ']') && depth_ > 0) {
            --depth_;
        }
    }
}

void ChatStream::feed(std::string_view piece, std::string& out) {
    if (state_ != State::Open) return;
    std::vector<StreamEvent> events;
    reader_.feed(piece, events);
    for (const StreamEvent& event : events) {
        take(event, out);
        if (state_ != State::Open) return;
    }
    if (reader_.overrun()) nonsense();
}

void ChatStream::finish(std::string& out) {
    if (state_ == State::Open) {
        std::vector<StreamEvent> events;
        finishing_ = true;
        reader_.finish(events);
        for (const StreamEvent& event : events) {
            if (state_ == State::Open) take(event, out);
        }
        if (state_ == State::Open && !finish_reason_.empty()) end(out);
    }
    // Cut: what was used until then is still told; that nothing ended is told by its absence.
    const ToldUsage told = usage_.told();
    if ((state_ == State::Open || state_ == State::Nonsense) && started_ && !told.empty()) {
        put_event("message_delta",
                  R"({"type":"message_delta","delta":{"stop_reason":null,"stop_sequence":null},)"
                  R"("usage":)" +
                      message_usage_json(told) + '}',
                  out);
    }
}

void ChatStream::take(const StreamEvent& event, std::string& out) {
    if (event.comment) {
        if (started_) put_event("ping", R"({"type": "ping"})", out);
        return;
    }
    if (is_blank(event.data)) return;
    if (event.data.starts_with("[DONE]")) return end(out);
    const auto chunk = RawObject::parse(event.data);
    if (!chunk) {
        // Of an event that the end of the stream cut short, nothing can be made.
        if (!finishing_) nonsense();
        return;
    }
    if (const RawJson* error = chunk->given("error")) return take_error(*error, out);
    if (id_.empty()) id_ = chunk->text("id");
    if (model_.empty()) model_ = chunk->text("model");
    usage_.read(event.data);
    const RawJson* choices = chunk->given("choices");
    if (choices == nullptr) return;
    for (const RawJson& item : choices->items()) {
        const auto choice = RawObject::make(item);
        if (!choice) return nonsense();
        const RawJson* index = choice->given("index");
        // More than one was not asked for.
        if (index != nullptr && index->integer() != 0) continue;
        start(out);
        take_choice(*choice, out);
        if (state_ != State::Open) return;
    }
}

void ChatStream::take_error(const RawJson& given, std::string& out) {
    ToldError error = read_error(given);
    // What a stranger says of itself is shown without the names of the seller's accounts.
    error.message = redacted(error.message);
    if (error.message.empty()) error.message = "The model's answer broke off.";
    put_event("error", message_error_json(error_type_of(error), error.message, {}), out);
    state_ = State::Failed;
}

void ChatStream::take_choice(const RawObject& choice, std::string& out) {
    const RawJson* given = choice.given("delta");
    const auto delta = given != nullptr ? RawObject::make(*given) : std::nullopt;
    if (given != nullptr && !delta) return nonsense();
    if (delta) {
        // Two names for one thing: some servers say both.
        const RawJson* thoughts = delta->given("reasoning_content");
        const bool said = thoughts != nullptr && !thoughts->letters().empty();
        take_text(*delta, said ? "reasoning_content" : "reasoning", Open::Thinking, out);
        take_text(*delta, "content", Open::Text, out);
        const RawJson* refusal = delta->given("refusal");
        if (refusal != nullptr && !refusal->letters().empty()) {
            refused_ = true;
            take_text(*delta, "refusal", Open::Text, out);
        }
        const RawJson* calls = delta->given("tool_calls");
        if (calls != nullptr) {
            for (const RawJson& call : calls->items()) {
                take_call(call, out);
                if (state_ != State::Open) return;
            }
        }
    }
    if (choice.given("finish_reason") != nullptr) finish_reason_ = choice.text("finish_reason");
}

void ChatStream::take_text(const RawObject& delta, std::string_view field, Open kind,
                           std::string& out) {
    const RawJson* text = delta.given(field);
    if (text == nullptr || text->letters().empty()) return;
    end_calls(out);
    if (state_ != State::Open) return;
    open(kind, out);
    if (kind == Open::Thinking) {
        put_delta("thinking_delta", "thinking", text->raw(), out);
    } else {
        put_delta("text_delta", "text", text->raw(), out);
    }
}

// Which call a delta belongs to: the last of its number, unless it brings another id, as where all
// calls are said to be number 0. Null if it belongs to none and begins none.
ChatStream::Call* ChatStream::find_call(const RawObject& delta, bool begins) {
    const RawJson* given = delta.given("index");
    const auto index = given != nullptr ? given->integer() : std::nullopt;
    const std::string id = delta.text("id");
    for (auto call = calls_.rbegin(); call != calls_.rend(); ++call) {
        if (index && call->index != *index) continue;
        if (id.empty() || call->id.empty() || call->id == id) return &*call;
    }
    const bool has_ended =
        !id.empty() && std::find(call_ids_.begin(), call_ids_.end(), id) != call_ids_.end();
    const std::size_t all = call_ids_.size() + calls_.size();
    if (!begins || has_ended || all >= kCallsMax) return nullptr;
    calls_.push_back({.index = index.value_or(static_cast<std::int64_t>(all))});
    return &calls_.back();
}

void ChatStream::take_call(const RawJson& item, std::string& out) {
    const auto delta = RawObject::make(item);
    if (!delta) return nonsense();
    const RawJson* given = delta->given("function");
    const auto function = given != nullptr ? RawObject::make(*given) : std::nullopt;
    const std::string name = function ? function->text("name") : std::string{};
    const RawJson* arguments = function ? function->given("arguments") : nullptr;
    const std::string_view letters = arguments != nullptr ? arguments->letters() : "";
    Call* call = find_call(*delta, !name.empty() || !delta->text("id").empty());
    if (call == nullptr) {
        // Nothing may follow a call that has ended, but for blanks.
        if (arguments == nullptr || is_blank(arguments->text())) return;
        return nonsense();
    }
    if (call->id.empty()) call->id = delta->text("id");
    if (call->name.empty()) call->name = name;
    waiting_bytes_ += letters.size();
    if (waiting_bytes_ > kWaitingBytesMax) return nonsense();
    call->waiting += letters;
    tell_calls(out);
}

// What can be told now: of the first call all that is there, of the next one when that is whole.
void ChatStream::tell_calls(std::string& out) {
    while (!calls_.empty()) {
        Call& call = calls_.front();
        if (call.name.empty()) return;
        if (!call.begun) begin_call(call, out);
        tell_arguments(call, out);
        if (calls_.size() == 1 || !call.balance.whole()) return;
        close(out);
        calls_.pop_front();
    }
}

void ChatStream::begin_call(Call& call, std::string& out) {
    call.begun = true;
    if (call.id.empty()) {
        call.id = "call_" + (id_.empty() ? options_.message_id : id_) + '_' +
                  std::to_string(call_ids_.size());
    }
    call_ids_.push_back(call.id);
    close(out);
    open_ = Open::Call;
    put_event("content_block_start",
              ObjectText{}
                  .raw("type", R"("content_block_start")")
                  .number("index", next_block_)
                  .raw("content_block", ObjectText{}
                                            .raw("type", R"("tool_use")")
                                            .text("id", call.id)
                                            .text("name", call.name)
                                            .raw("input", "{}")
                                            .end())
                  .end(),
              out);
}

void ChatStream::tell_arguments(Call& call, std::string& out) {
    if (call.waiting.empty()) return;
    const std::string raw = quoted(std::exchange(call.waiting, {}));
    waiting_bytes_ -= raw.size() - 2;
    call.balance.take(json_text(raw));
    put_delta("input_json_delta", "partial_json", raw, out);
}

// All calls are over, whole or not: a limit may have cut the last one.
void ChatStream::end_calls(std::string& out) {
    for (; !calls_.empty(); calls_.pop_front()) {
        Call& call = calls_.front();
        if (call.name.empty()) return nonsense();
        if (!call.begun) begin_call(call, out);
        tell_arguments(call, out);
        close(out);
    }
}

void ChatStream::start(std::string& out) {
    if (std::exchange(started_, true)) return;
    ObjectText message;
    message.text("id", id_.empty() ? options_.message_id : id_)
        .raw("type", R"("message")")
        .raw("role", R"("assistant")")
        .text("model", model_.empty() ? options_.model : model_)
        .raw("content", "[]")
        .raw("stop_reason", "null")
        .raw("stop_sequence", "null")
        .raw("usage", ObjectText{}
                          .number("input_tokens", options_.input_tokens_estimate)
                          // Clients want a number, and nothing was made by now.
                          .number("output_tokens", 0)
                          // Whoever meters this has a better guess than ours, and no count.
                          .raw("usage_source", R"("estimate")")
                          .end());
    put_event("message_start",
              ObjectText{}.raw("type", R"("message_start")").raw("message", message.end()).end(),
              out);
}

void ChatStream::open(Open kind, std::string& out) {
    if (open_ == kind) return;
    close(out);
    open_ = kind;
    put_event("content_block_start",
              ObjectText{}
                  .raw("type", R"("content_block_start")")
                  .number("index", next_block_)
                  .raw("content_block", kind == Open::Thinking
                                            ? R"({"type":"thinking","thinking":"","signature":""})"
                                            : R"({"type":"text","text":""})")
                  .end(),
              out);
}

void ChatStream::close(std::string& out) {
    if (std::exchange(open_, Open::None) == Open::None) return;
    put_event(
        "content_block_stop",
        ObjectText{}.raw("type", R"("content_block_stop")").number("index", next_block_++).end(),
        out);
}

void ChatStream::put_delta(std::string_view type, std::string_view field, std::string_view raw,
                           std::string& out) {
    put_event("content_block_delta",
              ObjectText{}
                  .raw("type", R"("content_block_delta")")
                  .number("index", next_block_)
                  .raw("delta", ObjectText{}.text("type", type).raw(field, raw).end())
                  .end(),
              out);
}

void ChatStream::end(std::string& out) {
    start(out);
    end_calls(out);
    if (state_ != State::Open) return;
    close(out);
    const std::string_view stop = stop_reason_of(
        {.finish_reason = finish_reason_, .called_tools = !call_ids_.empty(), .refused = refused_});
    put_event(
        "message_delta",
        ObjectText{}
            .raw("type", R"("message_delta")")
            .raw("delta", ObjectText{}.text("stop_reason", stop).raw("stop_sequence", "null").end())
            .raw("usage", message_usage_json(usage_.told()))
            .end(),
        out);
    put_event("message_stop", R"({"type":"message_stop"})", out);
    state_ = State::Whole;
}

}  // namespace nutgate::proxy
