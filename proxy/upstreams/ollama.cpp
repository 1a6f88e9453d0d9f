// Ollama's OpenAI face, below "http://HOST:11434/v1".
//
// It cuts a prompt to the context that it was started with (OLLAMA_CONTEXT_LENGTH) and says nothing
// of it: `context` of a model should be no more than that.
#include "upstreams/openai_dialects.h"

namespace nutgate::proxy {

void speak_to_ollama(OpenAiOptions& options) {
    // Messages and responses came late: who has them names them.
    options.traits.endpoints = {Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings};
}

}  // namespace nutgate::proxy
