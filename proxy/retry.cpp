#include "retry.h"

#include <algorithm>

#include "answers.h"

namespace nutgate::proxy {

std::optional<Milliseconds> worth_repeating(int status, const http::Headers& headers,
                                            Milliseconds retry_after_max) {
    constexpr int kTooManyRequests = 429;
    constexpr int kOverloaded = 529;  // Anthropic's.
    const bool is_passing =
        status == 502 || status == 503 || status == 504 || status == kOverloaded;
    const auto asked = retry_after_of(headers);
    // How long 429 lasts only it knows.
    if (!is_passing && (status != kTooManyRequests || !asked)) return std::nullopt;
    const Milliseconds wait = asked.value_or(Seconds{0});
    if (wait > retry_after_max) return std::nullopt;
    return wait;
}

Milliseconds retry_wait(int n, Milliseconds first, Milliseconds asked) {
    constexpr int kDoublingsMax = 10;
    return std::max(first * (1 << std::min(n, kDoublingsMax)), asked);
}

}  // namespace nutgate::proxy
