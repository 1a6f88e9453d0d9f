// What the answers of a path look like.
#pragma once

#include <string_view>

#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/meter.h"

namespace nutgate::proxy {

// Under which names a usage is told, where it is ours to tell.
enum class UsageNames {
    Prompt,   // prompt_tokens and completion_tokens.
    Input,    // input_tokens and output_tokens, of which cached ones are a part.
    Image,    // The same, by text and images: clients read both and do without neither.
    Message,  // As Input, with what went through a cache beside them.
};

struct AnswerForm {
    StreamForm stream = StreamForm::Chunks;
    // The member of a whole answer that holds what the model made; empty: none that is text.
    std::string_view made_in = "choices";
    UsageNames names = UsageNames::Prompt;
    // What chunks call themselves.
    std::string_view chunk = "chat.completion.chunk";
};

constexpr AnswerForm form_of(Endpoint endpoint) {
    switch (endpoint) {
        case Endpoint::Chat:
            return {};
        case Endpoint::Completions:
            return {.chunk = "text_completion"};
        case Endpoint::Responses:
            return {
                .stream = StreamForm::LastEvent, .made_in = "output", .names = UsageNames::Input};
        case Endpoint::Messages:
        case Endpoint::CountTokens:
            return {
                .stream = StreamForm::Messages, .made_in = "content", .names = UsageNames::Message};
        case Endpoint::Embeddings:
        case Endpoint::Moderations:
            return {.stream = StreamForm::LastEvent, .made_in = "", .names = UsageNames::Prompt};
        case Endpoint::ImageGenerations:
        case Endpoint::ImageEdits:
            return {.stream = StreamForm::LastEvent, .made_in = "", .names = UsageNames::Image};
        case Endpoint::Speech:
            return {.stream = StreamForm::LastEvent, .made_in = "", .names = UsageNames::Input};
        case Endpoint::Transcriptions:
        case Endpoint::Translations:
            return {.stream = StreamForm::LastEvent, .made_in = "text", .names = UsageNames::Input};
    }
    return {};
}

}  // namespace nutgate::proxy
