// What a client asks and a model answers in the tests of the gateway, at the fixture's prices.
#pragma once

#include <string>

namespace nutgate::test {

inline constexpr const char* kAsk =
    R"({"model":"small","messages":[{"role":"user","content":"Hi there"}],)"
    R"("max_tokens":100})";
inline constexpr const char* kAskStream =
    R"({"model":"small","messages":[{"role":"user","content":"Hi there"}],"stream":true})";

// 40 * 0.2 + 12 * 0.6 = 15.2, so 16 msat.
inline constexpr const char* kAnswer =
    R"({ "id":"chatcmpl-9", "choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},)"
    R"("finish_reason":"stop"}], "usage" : {"prompt_tokens":40,"completion_tokens":12,)"
    R"("total_tokens":52}, "system_fingerprint":"fp" })";

inline std::string delta(const std::string& text) {
    return R"(data: {"id":"c1","choices":[{"index":0,"delta":{"content":")" + text +
           R"("},"finish_reason":null}]})"
           "\n\n";
}
inline const std::string kFinish =
    R"(data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"
    "\n\n";
inline const std::string kUsage =
    R"(data: {"id":"c1","choices":[],"usage":{"prompt_tokens":40,"completion_tokens":12,)"
    R"("total_tokens":52}})"
    "\n\n";
inline const std::string kDone = "data: [DONE]\n\n";

}  // namespace nutgate::test
