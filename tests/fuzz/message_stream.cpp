#include "dialects/message_stream.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/proxy/meter.h"

// Wherever a stream is cut, the same comes of it: chunks that are JSON, and an end only if it had
// one. The first byte says where to cut, and whether usage is asked for.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::proxy;
    using State = StreamTranslator::State;
    if (size < 1) return 0;
    const std::string_view stream{reinterpret_cast<const char*>(data) + 1, size - 1};
    const std::size_t step = data[0] % 16 + 1;
    const ToChat options{.created = 1, .usage_asked = data[0] >= 128};

    MessageStream whole{options};
    std::string whole_out;
    whole.feed(stream, whole_out);
    whole.finish(whole_out);

    MessageStream cut{options};
    std::string cut_out;
    for (std::size_t at = 0; at < stream.size(); at += step) {
        cut.feed(stream.substr(at, step), cut_out);
    }
    cut.finish(cut_out);
    VERIFY(whole_out == cut_out);
    VERIFY(whole.state() == cut.state());

    SseMeter meter{SseMeter::Options{}};
    std::string passed;
    meter.feed(whole_out, passed);
    VERIFY(meter.done() == (whole.state() == State::Whole));
    VERIFY(meter.finished() == meter.done());
    VERIFY(meter.failed() == (whole.state() == State::Failed));
    if (!options.usage_asked) VERIFY(!meter.usage());
    for (std::size_t at = whole_out.find("data: {"); at != std::string::npos;
         at = whole_out.find("\ndata: {", at)) {
        at = whole_out.find('{', at);
        const std::size_t end = whole_out.find('\n', at);
        VERIFY(nlohmann::json::accept(whole_out.substr(at, end - at)));
    }
    return 0;
}
