// Reading invoices. Writing them is in bolt11_write.cpp; what both know is in bolt11_format.h.
#include <algorithm>
#include <charconv>
#include <utility>

#include "bolt11_format.h"
#include "nutgate/base/bech32.h"
#include "nutgate/base/verify.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/signature.h"
#include "nutgate/lightning/invoice.h"
#include "utf8.h"

namespace nutgate {
namespace {

using namespace bolt11;

constexpr std::size_t kInvoiceSizeMax = 7089;  // As LND: the most that a QR code can carry.
constexpr std::string_view kScheme = "lightning:";
constexpr int kRecoveryIdMax = 3;

// What has been read so far. Of a field that may come once the first valid one counts.
struct Draft {
    std::optional<PaymentHash> payment_hash;
    std::optional<ByteArray<32>> payment_secret;
    std::optional<std::string> description;
    std::optional<ByteArray<32>> description_hash;
    std::optional<Seconds> expiry;
    std::optional<std::uint32_t> min_final_cltv;
    std::optional<Bytes> metadata;
    std::optional<Bytes> features;
    std::optional<crypto::Point> payee;
    std::vector<std::vector<Bolt11::Hop>> routes;
    std::vector<Bolt11::Fallback> fallbacks;
};

struct Prefix {
    Network network;
    std::optional<Msat> amount;
};

// `beginning` is in lower case; `text` may be in either.
bool begins_with(std::string_view text, std::string_view beginning) {
    const auto same = [](char a, char b) {
        return a == b || (a >= 'A' && a <= 'Z' && a + 32 == b);
    };
    return text.size() >= beginning.size() &&
           std::ranges::equal(text.substr(0, beginning.size()), beginning, same);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<Msat> parse_amount(std::string_view text) {
    if (text.empty() || text.front() < '1' || text.front() > '9') return std::nullopt;
    Msat unit = kBitcoin;
    std::string_view digits = text;
    if (!is_digit(text.back())) {
        digits.remove_suffix(1);
        const auto* const multiplier =
            std::ranges::find(kMultipliers, text.back(), &Multiplier::letter);
        if (multiplier != kMultipliers.end()) {
            unit = multiplier->unit;
        } else if (text.back() == kPico && digits.ends_with('0')) {
            digits.remove_suffix(1);  // Ten pico-bitcoin are one millisatoshi.
            unit = kOneMsat;
        } else {
            return std::nullopt;
        }
    }
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return multiply_floor(unit, count, 1);
}

std::optional<Prefix> parse_prefix(std::string_view text) {
    text.remove_prefix(kPrefix.size());
    // The currency is every letter before the first digit, so that "bcrt" is not taken for "bc".
    const auto digit = std::ranges::find_if(text, is_digit);
    const auto split = static_cast<std::size_t>(digit - text.begin());
    const auto network = std::ranges::find(kNetworks, text.substr(0, split), &NetworkName::name);
    if (network == kNetworks.end()) return std::nullopt;
    if (split == text.size()) return Prefix{.network = network->network, .amount = std::nullopt};
    const auto amount = parse_amount(text.substr(split));
    if (!amount) return std::nullopt;
    return Prefix{.network = network->network, .amount = amount};
}

// Empty if it is more than `max`; any number of leading zeros is allowed.
std::optional<std::uint64_t> parse_number(GroupsView groups, std::uint64_t max) {
    VERIFY(max < (std::uint64_t{1} << 59));
    std::uint64_t number = 0;
    for (const std::uint8_t group : groups) {
        number = number * 32 + group;
        if (number > max) return std::nullopt;
    }
    return number;
}

template <std::size_t N>
std::optional<ByteArray<N>> parse_array(GroupsView groups) {
    const auto bytes = to_bytes(groups);
    if (!bytes || bytes->size() != N) return std::nullopt;
    ByteArray<N> array;
    std::ranges::copy(*bytes, array.begin());
    return array;
}

template <class Integer>
Integer big_endian(BytesView bytes) {
    Integer number = 0;
    for (const std::byte byte : bytes) {
        number = static_cast<Integer>((number << 8) | std::to_integer<Integer>(byte));
    }
    return number;
}

std::optional<std::vector<Bolt11::Hop>> parse_route(GroupsView groups) {
    constexpr std::size_t kHopSize = 51;
    const auto bytes = to_bytes(groups);
    if (!bytes || bytes->empty() || bytes->size() % kHopSize != 0) return std::nullopt;
    std::vector<Bolt11::Hop> route;
    for (BytesView rest{*bytes}; !rest.empty(); rest = rest.subspan(kHopSize)) {
        Bolt11::Hop hop{};
        std::ranges::copy(rest.first(33), hop.node.begin());
        hop.short_channel_id = big_endian<std::uint64_t>(rest.subspan(33, 8));
        hop.fee_base_msat = big_endian<std::uint32_t>(rest.subspan(41, 4));
        hop.fee_per_millionth = big_endian<std::uint32_t>(rest.subspan(45, 4));
        hop.cltv_delta = big_endian<std::uint16_t>(rest.subspan(49, 2));
        route.push_back(hop);
    }
    return route;
}

// Empty for what we do not know: a reader skips it.
std::optional<Bolt11::Fallback> parse_fallback(GroupsView groups) {
    if (groups.empty()) return std::nullopt;
    const std::uint8_t version = groups.front();
    auto program = to_bytes(groups.subspan(1));
    if (!program) return std::nullopt;
    const std::size_t size = program->size();
    const bool base58 = (version == 17 || version == 18) && size == 20;
    const bool witness = version <= 16 && size >= 2 && size <= 40;
    if (!base58 && !witness) return std::nullopt;
    return Bolt11::Fallback{.version = version, .program = *std::move(program)};
}

// The bits right-aligned in bytes, without leading zero bytes.
Bytes parse_features(GroupsView groups) {
    Bytes bytes((groups.size() * 5 + 7) / 8);
    for (std::size_t bit = 0; bit < groups.size() * 5; ++bit) {
        const bool set = ((groups[groups.size() - 1 - bit / 5] >> (bit % 5)) & 1) != 0;
        if (set) bytes[bytes.size() - 1 - bit / 8] |= std::byte{1} << (bit % 8);
    }
    const auto first = std::ranges::find_if(bytes, [](std::byte b) { return b != std::byte{0}; });
    bytes.erase(bytes.begin(), first);
    return bytes;
}

bool has_feature(BytesView features, std::size_t bit) {
    if (bit / 8 >= features.size()) return false;
    const std::byte byte = features[features.size() - 1 - bit / 8];
    return ((byte >> (bit % 8)) & std::byte{1}) != std::byte{0};
}

// Whether we know every feature that a payer must know. Not asked is whether those that they stand
// on are there: BOLT9 takes these for granted by now, and there are writers that leave them out.
bool features_understood(BytesView features) {
    for (std::size_t bit = 0; bit < features.size() * 8; bit += 2) {
        if (has_feature(features, bit) &&
            std::ranges::find(kFeatures, static_cast<Feature>(bit)) == kFeatures.end()) {
            return false;
        }
    }
    return true;
}

Result<void, Bolt11Error> read_payee(GroupsView data, Draft& draft) {
    const auto bytes = parse_array<33>(data);
    const auto point = bytes ? crypto::Point::from_bytes(*bytes) : std::nullopt;
    if (!point) return fail(Bolt11Error::FieldMalformed);
    if (!draft.payee) draft.payee = point;
    return {};
}

Result<void, Bolt11Error> read_hash(GroupsView data, Tag tag, Draft& draft) {
    const auto bytes = parse_array<32>(data);
    if (!bytes) return fail(Bolt11Error::FieldMalformed);
    if (tag == Tag::PaymentHash && !draft.payment_hash) draft.payment_hash = PaymentHash{*bytes};
    if (tag == Tag::PaymentSecret && !draft.payment_secret) draft.payment_secret = bytes;
    if (tag == Tag::DescriptionHash && !draft.description_hash) draft.description_hash = bytes;
    return {};
}

Result<void, Bolt11Error> read_text(GroupsView data, Draft& draft) {
    const auto bytes = to_bytes(data);
    if (!bytes || !is_utf8(as_text(*bytes))) return fail(Bolt11Error::FieldMalformed);
    if (!draft.description) draft.description = std::string{as_text(*bytes)};
    return {};
}

Result<void, Bolt11Error> read_number(GroupsView data, Tag tag, Draft& draft) {
    const std::uint64_t max = tag == Tag::Expiry ? static_cast<std::uint64_t>(kExpiryMax.count())
                                                 : std::uint64_t{UINT32_MAX};
    const auto number = parse_number(data, max);
    if (!number) return fail(Bolt11Error::FieldMalformed);
    if (tag == Tag::Expiry && !draft.expiry) {
        draft.expiry = Seconds{static_cast<std::int64_t>(*number)};
    }
    if (tag == Tag::MinFinalCltv && !draft.min_final_cltv) {
        draft.min_final_cltv = static_cast<std::uint32_t>(*number);
    }
    return {};
}

Result<void, Bolt11Error> read_field(std::uint8_t type, GroupsView data, Draft& draft) {
    // A field of a fixed size that has another is one of a future version: skipped.
    switch (static_cast<Tag>(type)) {
        case Tag::PaymentHash:
        case Tag::PaymentSecret:
        case Tag::DescriptionHash:
            if (data.size() != kHashGroups) return {};
            return read_hash(data, static_cast<Tag>(type), draft);
        case Tag::Payee:
            if (data.size() != kPointGroups) return {};
            return read_payee(data, draft);
        case Tag::Description:
            return read_text(data, draft);
        case Tag::Expiry:
        case Tag::MinFinalCltv:
            return read_number(data, static_cast<Tag>(type), draft);
        case Tag::Features:
            if (!draft.features) draft.features = parse_features(data);
            return {};
        case Tag::Metadata: {
            auto bytes = to_bytes(data);
            if (!bytes) return fail(Bolt11Error::FieldMalformed);
            if (!draft.metadata) draft.metadata = std::move(bytes);
            return {};
        }
        case Tag::Route: {
            auto route = parse_route(data);
            if (!route) return fail(Bolt11Error::FieldMalformed);
            draft.routes.push_back(*std::move(route));
            return {};
        }
        case Tag::Fallback: {
            auto fallback = parse_fallback(data);
            if (fallback) draft.fallbacks.push_back(*std::move(fallback));
            return {};
        }
    }
    return {};  // A tag that we do not know.
}

Result<Draft, Bolt11Error> read_fields(GroupsView data) {
    constexpr std::size_t kHeadGroups = 3;
    Draft draft;
    while (!data.empty()) {
        if (data.size() < kHeadGroups) return fail(Bolt11Error::Truncated);
        const std::size_t size = data[1] * std::size_t{32} + data[2];
        if (data.size() - kHeadGroups < size) return fail(Bolt11Error::Truncated);
        TRY_VOID(read_field(data[0], data.subspan(kHeadGroups, size), draft));
        data = data.subspan(kHeadGroups + size);
    }
    if (!draft.payment_hash || !draft.payment_secret) return fail(Bolt11Error::FieldMissing);
    if (draft.description.has_value() == draft.description_hash.has_value()) {
        return fail(Bolt11Error::FieldMissing);
    }
    if (draft.features && !features_understood(*draft.features)) {
        return fail(Bolt11Error::FeatureUnknown);
    }
    return draft;
}

// The key that signed: the one the invoice names, or else the one that can be recovered.
std::optional<crypto::Point> verify_signature(const Bech32& text,
                                              const std::optional<crypto::Point>& payee) {
    const auto split = text.data.size() - kSignatureGroups;
    const auto bytes = pack(GroupsView{text.data}.subspan(split));
    crypto::RecoverableSignature signature{};
    std::ranges::copy(BytesView{bytes}.first(64), signature.compact.begin());
    signature.recovery_id = std::to_integer<int>(bytes.back());
    // A named payee needs none, but it is in the text: no other text may be this invoice.
    if (signature.recovery_id > kRecoveryIdMax) return std::nullopt;
    const auto digest = signing_digest(text.prefix, GroupsView{text.data}.first(split));
    if (!payee) return crypto::ecdsa_recover(signature, digest);
    if (!crypto::ecdsa_verify(*payee, digest, signature.compact)) return std::nullopt;
    return payee;
}

}  // namespace

Result<Bolt11, Bolt11Error> parse_bolt11(std::string_view text) {
    if (begins_with(text, kScheme)) text.remove_prefix(kScheme.size());
    if (text.size() > kInvoiceSizeMax || !begins_with(text, kPrefix)) {
        return fail(Bolt11Error::NotAnInvoice);
    }
    const auto decoded = decode_bech32(text);
    if (!decoded) {
        return fail(decoded.error() == Bech32Error::Checksum ? Bolt11Error::Checksum
                                                             : Bolt11Error::NotAnInvoice);
    }

    const auto prefix = parse_prefix(decoded->prefix);
    if (!prefix) return fail(Bolt11Error::Prefix);
    const GroupsView data{decoded->data};
    if (data.size() < kTimestampGroups + kSignatureGroups) return fail(Bolt11Error::Truncated);
    const auto created_at = parse_number(data.first(kTimestampGroups), kTimestampMax);
    VERIFY(created_at.has_value());  // Seven groups can't say more.
    TRY(Draft draft, read_fields(data.subspan(kTimestampGroups,
                                              data.size() - kTimestampGroups - kSignatureGroups)));
    const auto payee = verify_signature(*decoded, draft.payee);
    if (!payee) return fail(Bolt11Error::Signature);

    Bolt11 invoice{.network = prefix->network,
                   .amount = prefix->amount,
                   .created_at = from_unix_seconds(static_cast<std::int64_t>(*created_at)),
                   .payment_hash = *draft.payment_hash,
                   .payment_secret = *draft.payment_secret,
                   .description = std::move(draft.description),
                   .description_hash = draft.description_hash,
                   .metadata = std::move(draft.metadata),
                   .features = std::move(draft.features).value_or(Bytes{}),
                   .routes = std::move(draft.routes),
                   .fallbacks = std::move(draft.fallbacks),
                   .payee = payee->compressed()};
    if (draft.expiry) invoice.expiry = *draft.expiry;
    if (draft.min_final_cltv) invoice.min_final_cltv = *draft.min_final_cltv;
    return invoice;
}

}  // namespace nutgate
