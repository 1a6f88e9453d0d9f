// How far a JSON string goes without anything that needs a second look: most of every prompt and
// answer, so it is the one loop here that is worth its instructions.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace nutgate {

// ASCII, but for controls, quotes and backslashes.
inline bool is_plain(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

// The length of the plain run at the front, eight bytes at a time, on every machine.
inline std::size_t plain_run_portable(std::string_view text) {
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    constexpr std::uint64_t kTops = kOnes * 0x80;
    std::size_t run = 0;
    for (; text.size() - run >= sizeof(std::uint64_t); run += sizeof(std::uint64_t)) {
        std::uint64_t block = 0;
        std::memcpy(&block, text.data() + run, sizeof block);
        // A byte's top bit is set if the byte is not plain. What such a byte borrows may also set
        // that of a neighbour, so the place is looked for below.
        const std::uint64_t quotes = (block ^ (kOnes * '"')) - kOnes;
        const std::uint64_t backslashes = (block ^ (kOnes * '\\')) - kOnes;
        const std::uint64_t controls = block - kOnes * 0x20;
        if (((quotes | backslashes | controls | block) & kTops) != 0) break;
    }
    while (run < text.size() && is_plain(text[run])) ++run;
    return run;
}

inline std::size_t plain_run(std::string_view text) {
#ifdef __SSE2__
    std::size_t run = 0;
    for (; text.size() - run >= sizeof(__m128i); run += sizeof(__m128i)) {
        __m128i block;
        std::memcpy(&block, text.data() + run, sizeof block);
        const __m128i quotes = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
        const __m128i backslashes = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
        // Signed: what is beyond ASCII is below the space as well.
        const __m128i others = _mm_cmplt_epi8(block, _mm_set1_epi8(' '));
        const int odd = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), others));
        if (odd != 0) {
            return run + static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(odd)));
        }
    }
    return run + plain_run_portable(text.substr(run));
#else
    return plain_run_portable(text);
#endif
}

}  // namespace nutgate
