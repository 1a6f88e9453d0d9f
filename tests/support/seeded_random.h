// Randomness that is the same in every run.
#pragma once

#include <cstdint>
#include <mutex>
#include <random>

#include "nutgate/crypto/random.h"

namespace nutgate::test {

// Thread-safe.
class SeededRandom final : public crypto::Random {
public:
    explicit SeededRandom(std::uint64_t seed = 1) : engine_{seed} {}

    void fill(std::span<std::byte> bytes) override {
        const std::lock_guard lock{mutex_};
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(engine_() & 0xff);
    }

private:
    std::mutex mutex_;
    std::mt19937_64 engine_;
};

}  // namespace nutgate::test
