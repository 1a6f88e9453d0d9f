#include "nutgate/crypto/random.h"

#include <openssl/rand.h>

#include <algorithm>

#include "nutgate/base/verify.h"

namespace nutgate::crypto {

void SystemRandom::fill(std::span<std::byte> bytes) {
    constexpr std::size_t kPieceMax = 1 << 20;  // The library counts in int.
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(bytes.size(), kPieceMax));
        VERIFY(RAND_priv_bytes(reinterpret_cast<unsigned char*>(piece.data()),
                               static_cast<int>(piece.size())) == 1);
        bytes = bytes.subspan(piece.size());
    }
}

}  // namespace nutgate::crypto
