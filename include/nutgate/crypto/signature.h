// Signatures over 32-byte digests: BIP-340 Schnorr, and ECDSA with recovery as BOLT11 uses it.
#pragma once

#include <optional>

#include "nutgate/base/bytes.h"
#include "nutgate/crypto/curve.h"

namespace nutgate::crypto {

ByteArray<64> schnorr_sign(const Scalar& key, const ByteArray<32>& digest, Random& random);
bool schnorr_verify(BytesView x_only_key, const ByteArray<32>& digest, BytesView signature64);

struct RecoverableSignature {
    ByteArray<64> compact;  // R || S
    int recovery_id;        // 0…3
};
RecoverableSignature ecdsa_sign(const Scalar& key, const ByteArray<32>& digest);
// Takes high and low S alike. Empty if no key can have made it.
std::optional<Point> ecdsa_recover(const RecoverableSignature&, const ByteArray<32>& digest);
// Refuses high S.
bool ecdsa_verify(const Point& key, const ByteArray<32>& digest, BytesView compact64);

}  // namespace nutgate::crypto
