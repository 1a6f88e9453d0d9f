// OpenRouter, below "https://openrouter.ai/api/v1".
//
// Its usage comes unasked in the last chunk; while it waits for a provider it sends comments. What
// would choose other models or add paid work (`models`, `route`, `plugins`, `preset`) is no field
// that a client may send: a model's operator would have to let it pass by name.
#include "upstreams/openai_dialects.h"

namespace nutgate::proxy {

void speak_to_openrouter(OpenAiOptions& options) {
    options.traits.endpoints = {Endpoint::Chat, Endpoint::Completions, Endpoint::Responses,
                                Endpoint::Messages, Endpoint::Embeddings};
    // It stops billing for some of its providers only, and of a whole answer for none.
    options.traits.client_gone = ClientGone::Drain;
}

}  // namespace nutgate::proxy
