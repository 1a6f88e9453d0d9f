#include "dialects/chat_stream.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"

namespace {

// What an SDK that puts messages together relies on: a start, blocks one after the other, each with
// its own number, and one end, if there is an end.
struct Reader {
    bool started = false;
    bool stopped = false;
    bool open = false;
    int blocks = 0;

    void take(const std::string& name, const nlohmann::json& event) {
        const std::string type = event.at("type");
        VERIFY(type == name && !stopped);
        if (type == "ping" || type == "error") return;
        if (type == "message_start") {
            VERIFY(!started);
            started = true;
            return;
        }
        VERIFY(started);
        if (type == "content_block_start") {
            VERIFY(!open && event.at("index") == blocks);
            open = true;
        } else if (type == "content_block_delta") {
            VERIFY(open && event.at("index") == blocks);
        } else if (type == "content_block_stop") {
            VERIFY(open && event.at("index") == blocks);
            open = false;
            ++blocks;
        } else if (type == "message_stop") {
            VERIFY(!open);
            stopped = true;
        } else {
            VERIFY(type == "message_delta");
        }
    }
};

}  // namespace

// Wherever a stream is cut, the same comes of it: events that an SDK can put together, and an end
// only if it had one. The first byte says where to cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::proxy;
    using State = StreamTranslator::State;
    if (size < 1) return 0;
    const std::string_view stream{reinterpret_cast<const char*>(data) + 1, size - 1};
    const std::size_t step = data[0] % 17 + 1;
    const ToMessages options{.input_tokens_estimate = 1};

    ChatStream whole{options};
    std::string whole_out;
    whole.feed(stream, whole_out);
    whole.finish(whole_out);

    ChatStream cut{options};
    std::string cut_out;
    for (std::size_t at = 0; at < stream.size(); at += step) {
        cut.feed(stream.substr(at, step), cut_out);
    }
    cut.finish(cut_out);
    VERIFY(whole_out == cut_out);
    VERIFY(whole.state() == cut.state());

    Reader reader;
    for (std::size_t at = 0; at < whole_out.size();) {
        const std::size_t line = whole_out.find('\n', at);
        const std::size_t end = whole_out.find("\n\n", at);
        VERIFY(line != std::string::npos && end != std::string::npos);
        const std::string name = whole_out.substr(at + 7, line - at - 7);
        const std::string event = whole_out.substr(line + 7, end - line - 7);
        const auto parsed = nlohmann::json::parse(event, nullptr, false);
        VERIFY(parsed.is_object());
        reader.take(name, parsed);
        at = end + 2;
    }
    VERIFY(reader.stopped == (whole.state() == State::Whole));
    return 0;
}
