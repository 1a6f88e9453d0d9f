// How far apart the moments are at which a crash suite lets something fail: it is each of them,
// unless TEST_STEP_STRIDE says otherwise. ThreadSanitizer, which makes a suite several times as
// long, looks for races and not for moments: its preset takes each third.
#pragma once

#include <algorithm>
#include <cstdlib>

namespace nutgate::test {

inline int step_stride() {
    const char* const text = std::getenv("TEST_STEP_STRIDE");
    return text == nullptr ? 1 : std::max(1, std::atoi(text));
}

}  // namespace nutgate::test
