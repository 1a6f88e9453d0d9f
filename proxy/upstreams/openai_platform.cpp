// OpenAI itself, below "https://api.openai.com/v1", and everybody who copied it and has no file of
// their own here.
#include "upstreams/openai_dialects.h"

namespace nutgate::proxy {

void speak_to_openai(OpenAiOptions& options) {
    options.traits.endpoints = kOpenAiEndpoints;
    // The author's models that think refuse max_tokens. Those who copied it may not know its
    // successor, and would obey no limit at all.
    const std::string& host = options.url.host;
    if (host == "api.openai.com" || host.ends_with(".api.openai.com")) {
        options.traits.limit_field = LimitField::MaxCompletionTokens;
    }
}

}  // namespace nutgate::proxy
