// Blind Diffie-Hellman key exchange and its proof of equality (NUT-00, NUT-12), and the secrets
// that a seed gives (NUT-13). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/secret.h"
#include "nutgate/cashu/proof.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/mnemonic.h"
#include "nutgate/crypto/random.h"

namespace nutgate::cashu {

// Of the bytes of the secret's text. Empty only with a probability that can be called zero.
std::optional<crypto::Point> hash_to_curve(BytesView message);
std::optional<crypto::Point> hash_to_curve(std::string_view secret);

// B_ = Y + rG; empty if that is the identity.
std::optional<crypto::Point> blind(const crypto::Point& y, const crypto::Scalar& r);
// C_ = k B_
crypto::Point sign_blinded(const crypto::Point& blinded, const crypto::Scalar& key);
// C = C_ - r K
std::optional<crypto::Point> unblind(const crypto::Point& signature, const crypto::Scalar& r,
                                     const crypto::Point& key);
// k hash_to_curve(secret) == C
bool verify_proof(const crypto::Scalar& key, std::string_view secret, const crypto::Point& c);

// With the deterministic nonce of NUT-12. `public_key` is the key's own: a mint has it at hand.
Dleq prove_dleq(const crypto::Scalar& key, const crypto::Point& public_key,
                const crypto::Point& blinded, const crypto::Point& signature);
bool verify_dleq(const Dleq& dleq, const crypto::Point& key, const crypto::Point& blinded,
                 const crypto::Point& signature);
// Carol's check: of a proof with r, without having seen its blind signature.
bool verify_dleq(const Proof& proof, const crypto::Point& key);

struct BlindingSecret {
    std::string secret;
    crypto::Scalar r;
};

// One seed's secrets (NUT-13), both keyset id versions. A counter value is used once, ever.
class SecretDeriver {
public:
    explicit SecretDeriver(const Secret& seed64);
    // Empty with a probability that can be called zero: take the next counter.
    std::optional<BlindingSecret> derive(const KeysetId& id, std::uint64_t counter) const;
    // NUT-20 lock key number `index`: m/129373'/20'/0'/0'/index.
    std::optional<crypto::Scalar> quote_lock_key(std::uint32_t index) const;
    // The key that others may lock ecash to for us (P2PK), number `index`:
    // m/129373'/10'/0'/0'/index.
    std::optional<crypto::Scalar> receive_lock_key(std::uint32_t index) const;

private:
    Secret seed_;
    crypto::ExtendedKey master_;
};

}  // namespace nutgate::cashu
