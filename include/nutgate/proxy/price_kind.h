// What has a price of its own. The order is that of every table of prices.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nutgate::proxy {

enum class PriceKind : std::uint8_t {
    Input,         // Tokens of a prompt that no line below counts.
    InputCached,   // … that were read from the upstream's cache.
    CacheWrite,    // … that were put there for five minutes.
    CacheWrite1h,  // … for an hour.
    InputAudio,
    InputImage,
    Output,  // Tokens of an answer that no line below counts.
    Reasoning,
    OutputAudio,
    OutputImage,
    Request,      // Each that got an answer.
    Image,        // Each that was made.
    Search,       // Each on the web.
    Character,    // Of text that was spoken.
    AudioSecond,  // Of audio that was listened to; counted by the millisecond.
};

constexpr std::size_t kPriceKinds = 15;
constexpr std::array<PriceKind, kPriceKinds> kAllPriceKinds{
    PriceKind::Input,       PriceKind::InputCached, PriceKind::CacheWrite, PriceKind::CacheWrite1h,
    PriceKind::InputAudio,  PriceKind::InputImage,  PriceKind::Output,     PriceKind::Reasoning,
    PriceKind::OutputAudio, PriceKind::OutputImage, PriceKind::Request,    PriceKind::Image,
    PriceKind::Search,      PriceKind::Character,   PriceKind::AudioSecond};

constexpr std::size_t index_of(PriceKind kind) { return static_cast<std::size_t>(kind); }

// As configuration keys begin: "input", "cached_input", …
std::string_view to_text(PriceKind kind);

// How a price is quoted.
enum class PricePer { Token, Piece, Character, Second };
PricePer per_of(PriceKind kind);

// One value for each kind.
template <class T>
using ByKind = std::array<T, kPriceKinds>;

}  // namespace nutgate::proxy
