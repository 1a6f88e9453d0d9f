// NUT-20: signatures that unlock a mint quote, in the amended form (v1) and the one before.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/bytes.h"
#include "nutgate/cashu/proof.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/random.h"

namespace nutgate::cashu {

enum class QuoteMessage {
    V1,      // Domain tag, length-prefixed quote, amounts and points.
    Legacy,  // Quote id and hex points put one after another.
};

// What is hashed and signed. It covers the outputs in their order.
Bytes quote_message(QuoteMessage form, std::string_view quote,
                    const std::vector<BlindedMessage>& outputs);

// BIP-340, as 128 hex digits.
std::string sign_quote(QuoteMessage form, std::string_view quote,
                       const std::vector<BlindedMessage>& outputs, const crypto::Scalar& key,
                       crypto::Random& random);
bool verify_quote_signature(QuoteMessage form, std::string_view quote,
                            const std::vector<BlindedMessage>& outputs, const crypto::Point& key,
                            std::string_view signature_hex);

}  // namespace nutgate::cashu
