#include "nutgate/cashu/quote_signature.h"

#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/signature.h"

namespace nutgate::cashu {

namespace {

constexpr std::string_view kTag = "Cashu_MintQuoteSig_v1";

void append(Bytes& message, BytesView bytes) {
    message.insert(message.end(), bytes.begin(), bytes.end());
}

void append_prefixed(Bytes& message, BytesView bytes) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        message.push_back(static_cast<std::byte>(bytes.size() >> shift));
    }
    append(message, bytes);
}

// Without leading zeros; zero is no bytes at all.
Bytes minimal_big_endian(Amount amount) {
    Bytes bytes;
    for (int shift = 56; shift >= 0; shift -= 8) {
        const auto byte = static_cast<std::byte>(amount >> shift);
        if (!bytes.empty() || byte != std::byte{0}) bytes.push_back(byte);
    }
    return bytes;
}

}  // namespace

Bytes quote_message(QuoteMessage form, std::string_view quote,
                    const std::vector<BlindedMessage>& outputs) {
    Bytes message;
    switch (form) {
        case QuoteMessage::V1:
            append(message, as_bytes(kTag));
            append_prefixed(message, as_bytes(quote));
            for (const BlindedMessage& output : outputs) {
                append_prefixed(message, minimal_big_endian(output.amount));
                append_prefixed(message, output.B_.compressed());
            }
            break;
        case QuoteMessage::Legacy:
            append(message, as_bytes(quote));
            for (const BlindedMessage& output : outputs) {
                append(message, as_bytes(output.B_.hex()));
            }
            break;
    }
    return message;
}

std::string sign_quote(QuoteMessage form, std::string_view quote,
                       const std::vector<BlindedMessage>& outputs, const crypto::Scalar& key,
                       crypto::Random& random) {
    const auto digest = crypto::sha256(quote_message(form, quote, outputs));
    return to_hex(crypto::schnorr_sign(key, digest, random));
}

bool verify_quote_signature(QuoteMessage form, std::string_view quote,
                            const std::vector<BlindedMessage>& outputs, const crypto::Point& key,
                            std::string_view signature_hex) {
    const auto signature = array_from_hex<64>(signature_hex);
    if (!signature) return false;
    const auto digest = crypto::sha256(quote_message(form, quote, outputs));
    return crypto::schnorr_verify(key.x_only(), digest, *signature);
}

}  // namespace nutgate::cashu
