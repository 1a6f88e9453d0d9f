// What every file here needs of libsecp256k1: its one context, and the way into a Point.
#pragma once

#include <secp256k1.h>

#include "nutgate/crypto/curve.h"
#include "raw.h"

namespace nutgate::crypto {

// One per process, blinded with fresh randomness at first use. Read-only afterwards, so any number
// of threads may use it.
const secp256k1_context* context();

// The only maker of Points: from what the library itself has accepted or computed.
struct PointAccess {
    static Point wrap(const secp256k1_pubkey& key);
    static secp256k1_pubkey unwrap(const Point& point);
};

}  // namespace nutgate::crypto
