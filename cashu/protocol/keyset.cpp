#include <algorithm>

#include "nutgate/cashu/proof.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::cashu {

namespace {

constexpr std::size_t kShortDigits = 16;  // A whole v1 id, or a v2 id cut short.
constexpr std::size_t kLongDigits = 66;

}  // namespace

std::optional<KeysetId> KeysetId::parse(std::string_view hex) {
    if (hex.size() != kShortDigits && hex.size() != kLongDigits) return std::nullopt;
    const auto bytes = nutgate::from_hex(hex);
    if (!bytes) return std::nullopt;
    return from_bytes(*bytes);
}

std::optional<KeysetId> KeysetId::from_bytes(BytesView bytes) {
    if (bytes.empty()) return std::nullopt;
    const auto version = std::to_integer<int>(bytes[0]);
    const bool is_v1 = version == 0 && bytes.size() == kShortDigits / 2;
    const bool is_v2 =
        version == 1 && (bytes.size() == kShortDigits / 2 || bytes.size() == kLongDigits / 2);
    if (!is_v1 && !is_v2) return std::nullopt;
    return KeysetId{to_hex(bytes)};
}

Bytes KeysetId::bytes() const { return nutgate::from_hex(text_).value(); }
int KeysetId::version() const { return text_[1] - '0'; }
bool KeysetId::is_short() const { return version() == 1 && text_.size() == kShortDigits; }
KeysetId KeysetId::shortened() const { return KeysetId{text_.substr(0, kShortDigits)}; }

KeysetId derive_keyset_id_v1(const std::map<Amount, crypto::Point>& keys) {
    Bytes points;
    for (const auto& [amount, key] : keys) {
        const auto bytes = key.compressed();
        points.insert(points.end(), bytes.begin(), bytes.end());
    }
    const std::string digest = to_hex(crypto::sha256(points));
    return KeysetId::parse("00" + digest.substr(0, kShortDigits - 2)).value();
}

namespace {

KeysetId derive_v2(const std::map<Amount, crypto::Point>& keys, std::string_view unit,
                   std::uint64_t input_fee_ppk, const std::string& final_expiry) {
    std::string preimage;
    for (const auto& [amount, key] : keys) {
        if (!preimage.empty()) preimage += ',';
        preimage += std::to_string(amount) + ':' + key.hex();
    }
    std::string lower_unit{unit};
    std::ranges::transform(lower_unit, lower_unit.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    preimage += "|unit:" + lower_unit;
    if (input_fee_ppk != 0) preimage += "|input_fee_ppk:" + std::to_string(input_fee_ppk);
    if (!final_expiry.empty()) preimage += "|final_expiry:" + final_expiry;
    return KeysetId::parse("01" + to_hex(crypto::sha256(as_bytes(preimage)))).value();
}

}  // namespace

KeysetId derive_keyset_id_v2(const std::map<Amount, crypto::Point>& keys, std::string_view unit,
                             std::uint64_t input_fee_ppk,
                             std::optional<std::int64_t> final_expiry) {
    const auto seconds = final_expiry.value_or(0);
    return derive_v2(keys, unit, input_fee_ppk, seconds == 0 ? "" : std::to_string(seconds));
}

bool keyset_id_matches(const Keyset& keyset) {
    if (keyset.id.version() == 0) return derive_keyset_id_v1(keyset.keys) == keyset.id;
    if (derive_keyset_id_v2(keyset.keys, keyset.unit, keyset.input_fee_ppk, keyset.final_expiry) ==
        keyset.id) {
        return true;
    }
    // Nutshell's management command makes keysets that expire at zero, and writes that out.
    return keyset.final_expiry == 0 &&
           derive_v2(keyset.keys, keyset.unit, keyset.input_fee_ppk, "0") == keyset.id;
}

}  // namespace nutgate::cashu
