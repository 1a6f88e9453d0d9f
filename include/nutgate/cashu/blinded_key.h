// Pay to blinded key (NUT-28): a lock to somebody's key that the mint can't tell whose it is.
//
// The sender draws `e`, gives E = eG along with the proof (`p2pk_e`), and puts P' = P + rG in P's
// place. The r of each slot comes out of the secret that e and the receiver's key share. Slots are
// numbered as the secret has them: data, then pubkeys, then refund.
#pragma once

#include <cstddef>
#include <optional>

#include "nutgate/crypto/curve.h"

namespace nutgate::cashu {

inline constexpr std::size_t kBlindedSlotsMax = 11;

// r of a slot: of E and the receiver's private key, or of the receiver's key and e. Empty for a
// slot beyond the last, or with a probability that can be called zero.
std::optional<crypto::Scalar> slot_blinding(const crypto::Point& point, const crypto::Scalar& key,
                                            std::size_t slot);

// P'. Empty with a probability that can be called zero: draw another `ephemeral`.
std::optional<crypto::Point> blind_key(const crypto::Point& receiver,
                                       const crypto::Scalar& ephemeral, std::size_t slot);

// The private key of P', if it was made for `key`. Signatures are x-only, so a sender may have
// known our key with either parity; the right one of the two derivations is taken.
std::optional<crypto::Scalar> unblind_key(const crypto::Point& blinded, const crypto::Scalar& key,
                                          const crypto::Point& ephemeral, std::size_t slot);

}  // namespace nutgate::cashu
