#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/proxy/meter.h"

// Wherever a stream is cut, the same bytes pass and the same is counted; and no more passes than
// came, but for the blank line that a stream may owe at its end. The first byte says where to cut,
// the second how long a frame may be.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using nutgate::proxy::SseMeter;
    if (size < 2) return 0;
    const std::string_view stream{reinterpret_cast<const char*>(data) + 2, size - 2};
    const std::size_t step = data[0] % 17 + 1;
    // A bound that no frame reaches: where one passes unseen depends on the cuts.
    const SseMeter::Options options{.frame_bytes_max = size};

    SseMeter whole{options};
    std::string whole_out;
    whole.feed(stream, whole_out);
    whole.finish(whole_out);

    SseMeter cut{options};
    std::string cut_out;
    for (std::size_t at = 0; at < stream.size(); at += step) {
        cut.feed(stream.substr(at, step), cut_out);
    }
    cut.finish(cut_out);

    VERIFY(whole_out == cut_out);
    VERIFY(whole_out.size() <= stream.size() + 2);
    VERIFY(whole.done() == cut.done() && whole.finished() == cut.finished());
    VERIFY(whole.delivered().text_bytes == cut.delivered().text_bytes);
    VERIFY(whole.usage().has_value() == cut.usage().has_value());
    if (whole.usage()) {
        const auto usage = whole.usage()->usage();
        VERIFY(usage == cut.usage()->usage());
        VERIFY(usage.in_uncached >= 0 && usage.in_cached >= 0);
        VERIFY(usage.out_text >= 0 && usage.out_reasoning >= 0);
    }

    SseMeter bounded{SseMeter::Options{.frame_bytes_max = data[1]}};
    std::string bounded_out;
    for (std::size_t at = 0; at < stream.size(); at += step) {
        bounded.feed(stream.substr(at, step), bounded_out);
    }
    bounded.finish(bounded_out);
    return 0;
}
