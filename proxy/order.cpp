#include "order.h"

namespace nutgate::proxy {

Pieces Order::pieces_of(std::string_view) const { return {}; }

Pieces Order::pieces_of_stream(bool) const { return {}; }

Ordered read_order(Endpoint endpoint, const http::Request& request, const FormPassage* passage) {
    switch (endpoint) {
        case Endpoint::Chat:
            return read_chat(request.body);
        case Endpoint::Completions:
            return read_completion(request.body);
        case Endpoint::Responses:
            return read_response(request.body);
        case Endpoint::Messages:
        case Endpoint::CountTokens:
            return read_message(endpoint, request.body);
        case Endpoint::Embeddings:
            return read_embedding(request.body);
        case Endpoint::ImageGenerations:
        case Endpoint::ImageEdits:
            return read_image(endpoint, request, passage);
        case Endpoint::Speech:
            return read_speech(request.body);
        case Endpoint::Transcriptions:
        case Endpoint::Translations:
            return read_audio(endpoint, request, passage);
        case Endpoint::Moderations:
            return read_moderation(request.body);
    }
    return fail(bad_request("unsupported_endpoint", "This path is not sold here."));
}

const FormRules* form_rules(Endpoint endpoint) {
    switch (endpoint) {
        case Endpoint::ImageEdits:
            return &edit_form_rules();
        case Endpoint::Transcriptions:
        case Endpoint::Translations:
            return &audio_form_rules(endpoint);
        case Endpoint::Chat:
        case Endpoint::Completions:
        case Endpoint::Responses:
        case Endpoint::Messages:
        case Endpoint::CountTokens:
        case Endpoint::Embeddings:
        case Endpoint::ImageGenerations:
        case Endpoint::Speech:
        case Endpoint::Moderations:
            break;
    }
    return nullptr;
}

}  // namespace nutgate::proxy
