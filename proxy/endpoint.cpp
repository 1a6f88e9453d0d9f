#include "nutgate/proxy/endpoint.h"

namespace nutgate::proxy {

std::string_view path_of(Endpoint endpoint) {
    switch (endpoint) {
        case Endpoint::Chat:
            return "/chat/completions";
        case Endpoint::Completions:
            return "/completions";
        case Endpoint::Responses:
            return "/responses";
        case Endpoint::Messages:
            return "/messages";
        case Endpoint::CountTokens:
            return "/messages/count_tokens";
        case Endpoint::Embeddings:
            return "/embeddings";
        case Endpoint::ImageGenerations:
            return "/images/generations";
        case Endpoint::ImageEdits:
            return "/images/edits";
        case Endpoint::Speech:
            return "/audio/speech";
        case Endpoint::Transcriptions:
            return "/audio/transcriptions";
        case Endpoint::Translations:
            return "/audio/translations";
        case Endpoint::Moderations:
            return "/moderations";
    }
    return {};
}

std::string_view to_text(Endpoint endpoint) {
    switch (endpoint) {
        case Endpoint::Chat:
            return "chat";
        case Endpoint::Completions:
            return "completions";
        case Endpoint::Responses:
            return "responses";
        case Endpoint::Messages:
            return "messages";
        case Endpoint::CountTokens:
            return "";
        case Endpoint::Embeddings:
            return "embeddings";
        case Endpoint::ImageGenerations:
            return "image_generations";
        case Endpoint::ImageEdits:
            return "image_edits";
        case Endpoint::Speech:
            return "speech";
        case Endpoint::Transcriptions:
            return "transcriptions";
        case Endpoint::Translations:
            return "translations";
        case Endpoint::Moderations:
            return "moderations";
    }
    return {};
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
    for (const Endpoint endpoint : kAllEndpoints) {
        if (!text.empty() && to_text(endpoint) == text) return endpoint;
    }
    return std::nullopt;
}

}  // namespace nutgate::proxy
