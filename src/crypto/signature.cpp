#include "nutgate/crypto/signature.h"

#include <secp256k1_extrakeys.h>
#include <secp256k1_recovery.h>
#include <secp256k1_schnorrsig.h>

#include "context.h"
#include "nutgate/base/verify.h"

namespace nutgate::crypto {

ByteArray<64> schnorr_sign(const Scalar& key, const ByteArray<32>& digest, Random& random) {
    secp256k1_keypair pair;
    VERIFY(secp256k1_keypair_create(context(), &pair, raw(key.bytes())) == 1);
    const auto auxiliary = random.bytes<32>();
    ByteArray<64> signature;
    const auto done = secp256k1_schnorrsig_sign32(context(), raw_out(signature), raw(digest), &pair,
                                                  raw(auxiliary));
    wipe(std::as_writable_bytes(std::span{&pair, 1}));
    VERIFY(done == 1);
    return signature;
}

bool schnorr_verify(BytesView x_only_key, const ByteArray<32>& digest, BytesView signature64) {
    if (x_only_key.size() != 32 || signature64.size() != 64) return false;
    secp256k1_xonly_pubkey key;
    if (secp256k1_xonly_pubkey_parse(context(), &key, raw(x_only_key)) != 1) return false;
    return secp256k1_schnorrsig_verify(context(), raw(signature64), raw(digest), digest.size(),
                                       &key) == 1;
}

RecoverableSignature ecdsa_sign(const Scalar& key, const ByteArray<32>& digest) {
    secp256k1_ecdsa_recoverable_signature signature;
    VERIFY(secp256k1_ecdsa_sign_recoverable(context(), &signature, raw(digest), raw(key.bytes()),
                                            nullptr, nullptr) == 1);
    RecoverableSignature result{};
    VERIFY(secp256k1_ecdsa_recoverable_signature_serialize_compact(
               context(), raw_out(result.compact), &result.recovery_id, &signature) == 1);
    return result;
}

std::optional<Point> ecdsa_recover(const RecoverableSignature& signed_by,
                                   const ByteArray<32>& digest) {
    // Outside of this range the library ends the process.
    if (signed_by.recovery_id < 0 || signed_by.recovery_id > 3) return std::nullopt;
    secp256k1_ecdsa_recoverable_signature signature;
    if (secp256k1_ecdsa_recoverable_signature_parse_compact(
            context(), &signature, raw(signed_by.compact), signed_by.recovery_id) != 1) {
        return std::nullopt;
    }
    secp256k1_pubkey key;
    if (secp256k1_ecdsa_recover(context(), &key, &signature, raw(digest)) != 1) {
        return std::nullopt;
    }
    return PointAccess::wrap(key);
}

bool ecdsa_verify(const Point& key, const ByteArray<32>& digest, BytesView compact64) {
    if (compact64.size() != 64) return false;
    secp256k1_ecdsa_signature signature;
    if (secp256k1_ecdsa_signature_parse_compact(context(), &signature, raw(compact64)) != 1) {
        return false;
    }
    // Not normalised first: the library refuses a high S by itself, as we promise.
    const auto public_key = PointAccess::unwrap(key);
    return secp256k1_ecdsa_verify(context(), &signature, raw(digest), &public_key) == 1;
}

}  // namespace nutgate::crypto
