// llama.cpp's server, below "http://HOST:8080/v1".
//
// Builds from before October 2025 tell no usage in a stream: the meter reads their `timings`
// instead, whose prompt_n leaves out what came from the cache (cache_n).
#include "upstreams/openai_dialects.h"

namespace nutgate::proxy {

void speak_to_llama_cpp(OpenAiOptions& options) {
    // Messages and responses came late: who has them names them.
    options.traits.endpoints = {Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings};
}

}  // namespace nutgate::proxy
