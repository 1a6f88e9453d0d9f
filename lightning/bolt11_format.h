// What reading and writing an invoice share: BOLT11's numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/base/bech32.h"
#include "nutgate/base/clock.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/lightning/invoice.h"

namespace nutgate::bolt11 {

inline constexpr std::string_view kPrefix = "ln";

struct NetworkName {
    std::string_view name;
    Network network;
};
inline constexpr std::array<NetworkName, 5> kNetworks{{{"bc", Network::Bitcoin},
                                                       {"tb", Network::Testnet},
                                                       {"tbs", Network::Signet},
                                                       {"bcrt", Network::Regtest},
                                                       {"sb", Network::Simnet}}};

inline constexpr Msat kOneMsat = 1_msat;
inline constexpr Msat kBitcoin = 100'000'000'000_msat;
struct Multiplier {
    char letter;
    Msat unit;
};
// From the largest down. Beside them there is `p`, a tenth of a millisatoshi.
inline constexpr std::array<Multiplier, 3> kMultipliers{
    {{'m', 100'000'000_msat}, {'u', 100'000_msat}, {'n', 100_msat}}};
inline constexpr char kPico = 'p';

enum class Tag : std::uint8_t {
    PaymentHash = 1,
    Route = 3,
    Features = 5,
    Expiry = 6,
    Fallback = 9,
    Description = 13,
    PaymentSecret = 16,
    Payee = 19,
    DescriptionHash = 23,
    MinFinalCltv = 24,
    Metadata = 27,
};

// By their even bit; the odd one above it says that a payer may do without.
enum class Feature : std::size_t {
    VariableOnion = 8,
    PaymentSecret = 14,
    MultiPart = 16,
    RouteBlinding = 24,
    PaymentMetadata = 48,
};
inline constexpr std::array<Feature, 5> kFeatures{Feature::VariableOnion, Feature::PaymentSecret,
                                                  Feature::MultiPart, Feature::RouteBlinding,
                                                  Feature::PaymentMetadata};

inline constexpr std::size_t kTimestampGroups = 7;
inline constexpr std::uint64_t kTimestampMax = (std::uint64_t{1} << 35) - 1;
inline constexpr std::size_t kSignatureGroups = 104;
inline constexpr std::size_t kHashGroups = 52;
inline constexpr std::size_t kPointGroups = 53;
inline constexpr std::size_t kFieldBytesMax = 639;
// About 31,000 years; beyond it an expiry would overflow our time.
inline constexpr Seconds kExpiryMax{1'000'000'000'000};

// Of the prefix and all groups before the signature.
inline ByteArray<32> signing_digest(std::string_view prefix, GroupsView groups) {
    return crypto::sha256({as_bytes(prefix), pack(groups)});
}

}  // namespace nutgate::bolt11
