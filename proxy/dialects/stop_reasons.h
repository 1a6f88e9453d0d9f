// Why an answer ended, in either dialect's words.
#pragma once

#include <string_view>

namespace nutgate::proxy {

// Anthropic's stop_reason as OpenAI's finish_reason.
inline std::string_view finish_reason_of(std::string_view stop_reason) {
    if (stop_reason == "max_tokens" || stop_reason == "model_context_window_exceeded") {
        return "length";
    }
    if (stop_reason == "tool_use") return "tool_calls";
    if (stop_reason == "refusal") return "content_filter";
    return "stop";  // end_turn, stop_sequence, pause_turn.
}

struct ChatEnd {
    std::string_view finish_reason;
    bool called_tools = false;
    bool refused = false;  // By a `refusal`, which OpenAI ends with "stop".
};
// The other way round. Some servers say "stop" behind calls.
inline std::string_view stop_reason_of(const ChatEnd& end) {
    if (end.finish_reason == "length") return "max_tokens";
    if (end.finish_reason == "content_filter" || end.refused) return "refusal";
    return end.called_tools ? "tool_use" : "end_turn";
}

}  // namespace nutgate::proxy
