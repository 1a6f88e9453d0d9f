// A stream through a translator, cut anywhere.
#pragma once

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dialects/answer_translator.h"

namespace nutgate::test {

struct Translated {
    std::string text;
    proxy::StreamTranslator::State state;

    friend bool operator==(const Translated&, const Translated&) = default;
};

inline Translated run(proxy::StreamTranslator& translator,
                      const std::vector<std::string_view>& pieces) {
    Translated result;
    for (const auto piece : pieces) translator.feed(piece, result.text);
    translator.finish(result.text);
    result.state = translator.state();
    return result;
}

// What comes of it whole, which must be what comes of it cut in two at every byte, and byte by
// byte.
inline Translated translate_stream(const proxy::AnswerTranslator& translator,
                                   std::string_view stream) {
    const Translated whole = run(*translator.stream(), {stream});
    std::vector<std::string_view> bytes;
    for (std::size_t at = 0; at < stream.size(); ++at) {
        bytes.push_back(stream.substr(at, 1));
        const Translated cut = run(*translator.stream(), {stream.substr(0, at), stream.substr(at)});
        if (cut != whole) FAIL("cut at ", at, ":\n", cut.text, "\nnot:\n", whole.text);
    }
    CHECK(run(*translator.stream(), bytes) == whole);
    return whole;
}

// The events of a stream, each with its name (or "") and its data.
struct SeenEvent {
    std::string name;
    std::string data;
};
inline std::vector<SeenEvent> events_of(const std::string& text) {
    std::vector<SeenEvent> events;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find("\n\n", at);
        REQUIRE(end != std::string::npos);
        const std::string frame = text.substr(at, end - at);
        SeenEvent event;
        const std::size_t data = frame.find("data: ");
        if (frame.starts_with("event: ")) event.name = frame.substr(7, frame.find('\n') - 7);
        if (data != std::string::npos) event.data = frame.substr(data + 6);
        if (data == std::string::npos) event.name = frame;  // A comment.
        events.push_back(std::move(event));
        at = end + 2;
    }
    return events;
}

}  // namespace nutgate::test
