// Gemini's OpenAI face, below "https://generativelanguage.googleapis.com/v1beta/openai".
//
// Its usage is repeated in every chunk, beside choices, and counts on: the last one is the sum.
#include "upstreams/openai_dialects.h"

namespace nutgate::proxy {

void speak_to_gemini(OpenAiOptions& options) {
    options.traits.endpoints = {Endpoint::Chat, Endpoint::Embeddings, Endpoint::ImageGenerations};
    // That it stops billing when a client leaves is said nowhere, so its own count is awaited.
    options.traits.client_gone = ClientGone::Drain;
}

}  // namespace nutgate::proxy
