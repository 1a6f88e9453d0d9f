// Azure's OpenAI service, below "https://NAME.openai.azure.com/openai/v1", or below one of its
// deployments with the version in the query:
// "https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT?api-version=2024-10-21".
//
// A stream begins with a chunk that has no choices (what its filter found in the prompt) and ends
// with another (the usage): the meter takes no chunk for the last one because it has none.
#include "upstreams/openai_dialects.h"

namespace nutgate::proxy {

void speak_to_azure(OpenAiOptions& options) {
    options.key_header = "api-key";
    options.key_scheme = "";
    // Models that think know no other name for it, and versions since 2024-09-01 know this one.
    options.traits.limit_field = LimitField::MaxCompletionTokens;
    options.traits.endpoints = {
        Endpoint::Chat,           Endpoint::Completions, Endpoint::Responses,
        Endpoint::Embeddings,     Endpoint::ImageEdits,  Endpoint::ImageGenerations,
        Endpoint::Transcriptions, Endpoint::Speech,      Endpoint::Translations};
}

}  // namespace nutgate::proxy
