#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/proxy/meter.h"
#include "proxy/answers.h"
#include "proxy/chunk.h"

// Whatever an upstream says of its work, what is charged by it is between nothing and the most that
// is believed; and what it says of a failure shows nothing of our account there.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::proxy;
    if (size < 2) return 0;
    const std::string_view answer{reinterpret_cast<const char*>(data) + 1, size - 1};
    if (const auto fields = find_usage(answer)) {
        const Usage usage = fields->usage();
        for (const auto count : {usage.in_uncached, usage.in_cached, usage.out_text,
                                 usage.out_reasoning, usage.cache_write_5m, usage.cache_write_1h}) {
            VERIFY(count >= 0 && count <= kTokensMax);
        }
        UsageFields twice = *fields;
        twice.overwrite_with(*fields);
        VERIFY(twice.usage() == usage && twice.complete() == fields->complete());
    }
    if (const auto chunk = read_chunk(answer)) {
        VERIFY(chunk->text_bytes <= answer.size());
        const auto estimate = estimate_tokens(
            {.text_bytes = chunk->text_bytes, .text_deltas = 0, .bytes = size}, 1 + data[0] % 8);
        VERIFY(estimate >= 0 && estimate <= kTokensMax);
        const auto is_within = [answer](const Span& span) {
            return span.begin < span.end && span.end <= answer.size();
        };
        for (const auto& span : {chunk->id, chunk->model, chunk->created}) {
            VERIFY(!span || is_within(*span));
        }
        for (const auto& value : {chunk->usage, chunk->metadata}) {
            VERIFY(!value || is_within(value->place));
        }
        VERIFY(answer[chunk->end] == '}');
    }

    const int status = 300 + data[0] % 100 + 100 * (data[0] % 3);
    const auto refused = upstream_refused(status, {}, answer);
    VERIFY(refused.status >= 400 && refused.status <= 599);
    VERIFY(refused.message.size() <= std::max<std::size_t>(size, 1000));
    return 0;
}
