// Bytes and how they are written: hex, base64url. Comparing secrets and wiping them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nutgate {

using Bytes = std::vector<std::byte>;
using BytesView = std::span<const std::byte>;
template <std::size_t N>
using ByteArray = std::array<std::byte, N>;

// The same memory seen as bytes or as text; nothing is copied.
BytesView as_bytes(std::string_view text);
std::string_view as_text(BytesView bytes);
Bytes to_bytes(std::string_view text);

std::string to_hex(BytesView bytes);  // Lower case.
// Empty unless `hex` is an even number of hex digits, of either case.
std::optional<Bytes> from_hex(std::string_view hex);
template <std::size_t N>
std::optional<ByteArray<N>> array_from_hex(std::string_view hex) {
    if (hex.size() != 2 * N) return std::nullopt;
    const auto bytes = from_hex(hex);
    if (!bytes) return std::nullopt;
    ByteArray<N> array;
    for (std::size_t i = 0; i < N; ++i) array[i] = (*bytes)[i];
    return array;
}

std::string to_base64(BytesView bytes);     // RFC 4648 section 4, padded.
std::string to_base64url(BytesView bytes);  // RFC 4648 section 5, without padding.
// Takes either alphabet, padded or not, as wallets write both. Empty if malformed.
std::optional<Bytes> from_base64(std::string_view text);

// Takes the same time whatever the contents. False at once if the sizes differ: sizes are public.
bool equal_in_constant_time(BytesView a, BytesView b);

// Overwrites; the compiler may not leave it out.
void wipe(std::span<std::byte> bytes);

}  // namespace nutgate
