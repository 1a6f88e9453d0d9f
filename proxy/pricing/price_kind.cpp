#include "nutgate/proxy/price_kind.h"

namespace nutgate::proxy {

std::string_view to_text(PriceKind kind) {
    switch (kind) {
        case PriceKind::Input:
            return "input";
        case PriceKind::InputCached:
            return "cached_input";
        case PriceKind::CacheWrite:
            return "cache_write";
        case PriceKind::CacheWrite1h:
            return "cache_write_1h";
        case PriceKind::InputAudio:
            return "audio_input";
        case PriceKind::InputImage:
            return "image_input";
        case PriceKind::Output:
            return "output";
        case PriceKind::Reasoning:
            return "reasoning";
        case PriceKind::OutputAudio:
            return "audio_output";
        case PriceKind::OutputImage:
            return "image_output";
        case PriceKind::Request:
            return "request";
        case PriceKind::Image:
            return "image";
        case PriceKind::Search:
            return "search";
        case PriceKind::Character:
            return "characters";
        case PriceKind::AudioSecond:
            return "audio_second";
    }
    return {};
}

PricePer per_of(PriceKind kind) {
    switch (kind) {
        case PriceKind::Input:
        case PriceKind::InputCached:
        case PriceKind::CacheWrite:
        case PriceKind::CacheWrite1h:
        case PriceKind::InputAudio:
        case PriceKind::InputImage:
        case PriceKind::Output:
        case PriceKind::Reasoning:
        case PriceKind::OutputAudio:
        case PriceKind::OutputImage:
            return PricePer::Token;
        case PriceKind::Request:
        case PriceKind::Image:
        case PriceKind::Search:
            return PricePer::Piece;
        case PriceKind::Character:
            return PricePer::Character;
        case PriceKind::AudioSecond:
            return PricePer::Second;
    }
    return PricePer::Piece;
}

}  // namespace nutgate::proxy
