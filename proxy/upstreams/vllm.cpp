// vLLM's server, below "http://HOST:8000/v1".
//
// It could tell a running usage in every chunk (continuous_usage_stats), which would make the
// charge of a cut stream exact. It is not asked to: clients that add up what they find, LangChain
// among them, would show their users sums of sums.
#include "upstreams/openai_dialects.h"

namespace nutgate::proxy {

void speak_to_vllm(OpenAiOptions& options) {
    options.traits.endpoints = {Endpoint::Chat,           Endpoint::Completions,
                                Endpoint::Responses,      Endpoint::Embeddings,
                                Endpoint::Transcriptions, Endpoint::Translations};
}

}  // namespace nutgate::proxy
