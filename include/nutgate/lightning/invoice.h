// BOLT11 invoices: parse, check, write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/crypto/curve.h"

namespace nutgate {

enum class Network { Bitcoin, Testnet, Signet, Regtest, Simnet };

// What a valid invoice says. Each value was checked; the signature verified or the key recovered.
struct Bolt11 {
    Network network = Network::Bitcoin;
    std::optional<Msat> amount;
    Time created_at;
    Seconds expiry{3600};
    PaymentHash payment_hash;
    ByteArray<32> payment_secret{};
    std::optional<std::string> description;
    std::optional<ByteArray<32>> description_hash;
    std::uint32_t min_final_cltv = 18;
    std::optional<Bytes> metadata;
    Bytes features;  // Big-endian bits.
    struct Hop {
        ByteArray<33> node;
        std::uint64_t short_channel_id;
        std::uint32_t fee_base_msat;
        std::uint32_t fee_per_millionth;
        std::uint16_t cltv_delta;
    };
    std::vector<std::vector<Hop>> routes;
    struct Fallback {
        std::uint8_t version;
        Bytes program;
    };
    std::vector<Fallback> fallbacks;
    ByteArray<33> payee{};

    Time expires_at() const { return created_at + expiry; }
};

enum class Bolt11Error {
    NotAnInvoice,  // No bech32 text with an invoice's prefix.
    Checksum,
    Prefix,  // Unknown network, or an amount that is malformed or not a whole msat.
    Truncated,
    FieldMalformed,
    FieldMissing,    // No payment hash, secret, or neither or both kinds of description.
    FeatureUnknown,  // An even bit that we do not know.
    Signature,
};

// Takes "lightning:" before it, either case. BOLT11.
Result<Bolt11, Bolt11Error> parse_bolt11(std::string_view text);

struct Bolt11Order {
    Network network = Network::Regtest;
    std::optional<Msat> amount;  // Not zero.
    Time created_at;             // Whole seconds since 1970 are written.
    Seconds expiry{3600};
    PaymentHash payment_hash;
    ByteArray<32> payment_secret{};
    // Of UTF-8 at most 639 bytes: longer is cut at a character, and '?' stands for what is no
    // UTF-8.
    std::string description;
    std::uint32_t min_final_cltv = 18;
};
std::string write_bolt11(const Bolt11Order& order, const crypto::Scalar& node_key);

}  // namespace nutgate
