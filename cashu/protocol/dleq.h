#pragma once

#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::cashu {

// NUT-12's hash: of the four points as ASCII hex of their uncompressed form.
crypto::Hash256 dleq_challenge(const crypto::Point& r1, const crypto::Point& r2,
                               const crypto::Point& key, const crypto::Point& signature);

}  // namespace nutgate::cashu
