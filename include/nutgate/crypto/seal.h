// Sealing what must be kept but not be readable by who steals the database: AES-256-GCM under a
// random 96-bit nonce, written as nonce || ciphertext || tag. `context` is authenticated with it,
// so a sealed text moved to another row does not open.
#pragma once

#include <optional>

#include "nutgate/base/bytes.h"
#include "nutgate/base/secret.h"
#include "nutgate/crypto/random.h"

namespace nutgate::crypto {

Bytes seal(const Secret& key, BytesView plain, BytesView context, Random& random);
// Empty if it was not sealed under this key and context, or was changed.
std::optional<Bytes> open(const Secret& key, BytesView sealed, BytesView context);

}  // namespace nutgate::crypto
