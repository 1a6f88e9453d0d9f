// Randomness as a dependency, so that a test can replay it.
#pragma once

#include "nutgate/base/bytes.h"

namespace nutgate::crypto {

// Thread-safe.
class Random {
public:
    virtual ~Random() = default;
    virtual void fill(std::span<std::byte> bytes) = 0;

    template <std::size_t N>
    ByteArray<N> bytes() {
        ByteArray<N> array;
        fill(array);
        return array;
    }
    template <class Id>
    Id id() {
        return Id{bytes<Id::kSize>()};
    }
};

// The system's. A system that has none ends the process: there is no way to go on safely.
class SystemRandom final : public Random {
public:
    void fill(std::span<std::byte> bytes) override;
};

}  // namespace nutgate::crypto
