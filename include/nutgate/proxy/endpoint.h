// The paths that are sold, and sets of them. What is not in this list is refused: a path that
// nobody can meter would be given away, and some would show one buyer what another one stored.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

namespace nutgate::proxy {

enum class Endpoint : std::uint8_t {
    Chat,
    Completions,
    Responses,
    Messages,     // Anthropic's.
    CountTokens,  // Of a message: free, and sold wherever Messages are.
    Embeddings,
    ImageGenerations,
    ImageEdits,
    Speech,
    Transcriptions,
    Translations,
    Moderations,
};

constexpr std::size_t kEndpoints = 12;
constexpr std::array<Endpoint, kEndpoints> kAllEndpoints{
    Endpoint::Chat,        Endpoint::Completions,      Endpoint::Responses,
    Endpoint::Messages,    Endpoint::CountTokens,      Endpoint::Embeddings,
    Endpoint::ImageEdits,  Endpoint::ImageGenerations, Endpoint::Speech,
    Endpoint::Moderations, Endpoint::Transcriptions,   Endpoint::Translations};

// Below a base like "https://host/v1": "/chat/completions".
std::string_view path_of(Endpoint endpoint);
// As the configuration calls it: "chat", "image_edits". CountTokens has no name there.
std::string_view to_text(Endpoint endpoint);
std::optional<Endpoint> parse_endpoint(std::string_view text);

class EndpointSet {
public:
    constexpr EndpointSet() = default;
    constexpr EndpointSet(std::initializer_list<Endpoint> endpoints) {
        for (const Endpoint endpoint : endpoints) add(endpoint);
    }

    constexpr void add(Endpoint endpoint) { bits_ |= bit(endpoint); }
    constexpr bool contains(Endpoint endpoint) const { return (bits_ & bit(endpoint)) != 0; }
    constexpr bool empty() const { return bits_ == 0; }
    // What is in both, and what is in either.
    friend constexpr EndpointSet operator&(EndpointSet a, EndpointSet b) {
        a.bits_ &= b.bits_;
        return a;
    }
    friend constexpr EndpointSet operator|(EndpointSet a, EndpointSet b) {
        a.bits_ |= b.bits_;
        return a;
    }
    friend constexpr bool operator==(EndpointSet, EndpointSet) = default;

private:
    static constexpr std::uint16_t bit(Endpoint endpoint) {
        return static_cast<std::uint16_t>(1U << static_cast<unsigned>(endpoint));
    }
    std::uint16_t bits_ = 0;
};

// What a model sells where its configuration does not say: text, as far as its upstreams serve it.
constexpr EndpointSet kTextEndpoints{Endpoint::Chat, Endpoint::Completions, Endpoint::Responses,
                                     Endpoint::Messages, Endpoint::CountTokens};
// What OpenAI serves, and whoever copies it may serve.
constexpr EndpointSet kOpenAiEndpoints{
    Endpoint::Chat,       Endpoint::Completions,      Endpoint::Responses,
    Endpoint::Embeddings, Endpoint::ImageGenerations, Endpoint::ImageEdits,
    Endpoint::Speech,     Endpoint::Transcriptions,   Endpoint::Translations,
    Endpoint::Moderations};

// What an upstream of Anthropic's format serves: its own paths, and chats in translation.
constexpr EndpointSet kAnthropicEndpoints{Endpoint::Chat, Endpoint::Messages,
                                          Endpoint::CountTokens};

}  // namespace nutgate::proxy
