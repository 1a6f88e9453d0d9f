// Names for things. Two ids of different kinds do not compare, convert or bind to one another, so
// a key's id can't be passed where a quote's id is meant.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "nutgate/base/bytes.h"

namespace nutgate {

// An id made of N bytes, written as lower-case hex.
template <class Tag, std::size_t N>
class ByteId {
public:
    static constexpr std::size_t kSize = N;

    explicit constexpr ByteId(const ByteArray<N>& bytes) : bytes_{bytes} {}
    // Empty unless `hex` is exactly 2 * N hex digits.
    [[nodiscard]] static std::optional<ByteId> parse(std::string_view hex) {
        const auto bytes = array_from_hex<N>(hex);
        if (!bytes) return std::nullopt;
        return ByteId{*bytes};
    }
    // Empty unless there are exactly N bytes: a database column, a wire field.
    [[nodiscard]] static std::optional<ByteId> from_bytes(BytesView bytes) {
        if (bytes.size() != N) return std::nullopt;
        ByteArray<N> array;
        for (std::size_t i = 0; i < N; ++i) array[i] = bytes[i];
        return ByteId{array};
    }

    constexpr const ByteArray<N>& bytes() const { return bytes_; }
    std::string hex() const { return to_hex(bytes_); }

    friend constexpr auto operator<=>(const ByteId&, const ByteId&) = default;

private:
    ByteArray<N> bytes_;
};

// True for 1 to 256 printable ASCII characters without space.
bool is_text_id(std::string_view text);

// An id that some other system chose: text, bounded, never interpreted.
template <class Tag>
class TextId {
public:
    static constexpr std::size_t kSizeMax = 256;

    [[nodiscard]] static std::optional<TextId> parse(std::string_view text) {
        if (!is_text_id(text)) return std::nullopt;
        return TextId{std::string{text}};
    }

    const std::string& text() const { return text_; }

    friend auto operator<=>(const TextId&, const TextId&) = default;

private:
    explicit TextId(std::string text) : text_{std::move(text)} {}

    std::string text_;
};

using KeyId = ByteId<struct KeyIdTag, 16>;              // The public half of an sk- key.
using PaymentHash = ByteId<struct PaymentHashTag, 32>;  // Names a Lightning payment, both ways.
using Preimage = ByteId<struct PreimageTag, 32>;        // Proves that payment. A secret until paid.
using OfferId = ByteId<struct OfferIdTag, 32>;          // SHA-256 of a BOLT12 offer's records.
using TransferId = ByteId<struct TransferTag, 32>;      // Idempotency key of a ledger transfer.
using HoldId = ByteId<struct HoldTag, 16>;
using OperationId = ByteId<struct OperationTag, 16>;        // One wallet operation, across crashes.
using TokenIdentity = ByteId<struct TokenIdentityTag, 32>;  // SHA-256 of a token's sorted Ys.
using InvoiceLookup = ByteId<struct InvoiceLookupTag, 32>;  // HMAC of an invoice id: never the id.
using QuoteId = TextId<struct QuoteTag>;                    // A mint's quote; the mint chose it.
using ModelId = TextId<struct ModelTag>;

}  // namespace nutgate
