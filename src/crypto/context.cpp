#include "context.h"

#include <cstring>

#include "nutgate/base/verify.h"
#include "nutgate/crypto/random.h"

namespace nutgate::crypto {
namespace {

secp256k1_context* new_context() {
    secp256k1_context* made = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    VERIFY(made != nullptr);
    SystemRandom random;
    auto seed = random.bytes<32>();
    VERIFY(secp256k1_context_randomize(made, raw_out(seed)) == 1);
    wipe(seed);
    return made;
}

}  // namespace

const secp256k1_context* context() {
    // Never destroyed: a thread that outlives main's statics may still be signing.
    static const secp256k1_context* const kContext = new_context();
    return kContext;
}

static_assert(sizeof(secp256k1_pubkey) == 64);

Point PointAccess::wrap(const secp256k1_pubkey& key) {
    ByteArray<64> opaque;
    std::memcpy(opaque.data(), &key, sizeof key);
    return Point{opaque};
}

secp256k1_pubkey PointAccess::unwrap(const Point& point) {
    secp256k1_pubkey key;
    std::memcpy(&key, point.opaque_.data(), sizeof key);
    return key;
}

}  // namespace nutgate::crypto
