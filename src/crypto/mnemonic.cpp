#include "nutgate/crypto/mnemonic.h"

#include <algorithm>
#include <array>
#include <vector>

#include "nutgate/base/verify.h"
#include "nutgate/crypto/hash.h"
#include "word_list.h"

namespace nutgate::crypto {
namespace {

constexpr int kSeedIterations = 2048;
constexpr std::size_t kWordBits = 11;

bool bit_of(BytesView bytes, std::size_t index) {
    return (bytes[index / 8] & (std::byte{0x80} >> (index % 8))) != std::byte{0};
}

// The eleven-bit numbers of the words, or nothing if one is not in the list. Words are separated by
// exactly one space, since the seed is made of the text itself.
std::optional<std::vector<std::size_t>> word_numbers(std::string_view words) {
    std::vector<std::size_t> numbers;
    for (;;) {
        const auto end = words.find(' ');
        const auto word = words.substr(0, end);
        const auto* const found = std::ranges::lower_bound(kEnglishWords, word);
        if (found == kEnglishWords.end() || *found != word) return std::nullopt;
        numbers.push_back(static_cast<std::size_t>(found - kEnglishWords.begin()));
        if (end == std::string_view::npos) return numbers;
        words.remove_prefix(end + 1);
    }
}

bool is_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::optional<ExtendedKey> from_hmac(const std::optional<Scalar>& key, const Hash512& hash) {
    if (!key) return std::nullopt;
    ExtendedKey extended{.key = *key, .chain_code = {}};
    std::copy(hash.begin() + 32, hash.end(), extended.chain_code.begin());
    return extended;
}

std::optional<ExtendedKey> derive_child(const ExtendedKey& parent, std::uint32_t index) {
    ByteArray<4> number;
    for (std::size_t i = 0; i < 4; ++i) {
        number[i] = static_cast<std::byte>((index >> (24 - 8 * i)) & 255U);
    }
    Hash512 hash;
    if ((index & kHardened) != 0) {
        constexpr ByteArray<1> kZero{};
        hash = hmac_sha512(parent.chain_code, {kZero, parent.key.bytes(), number});
    } else {
        const auto point = generator_times(parent.key).compressed();
        hash = hmac_sha512(parent.chain_code, {point, number});
    }
    // The left half must be below the order; BIP-32 lets zero pass there, one chance in 2^256.
    const auto tweak = Scalar::from_bytes(BytesView{hash}.first(32));
    auto child = from_hmac(tweak ? add(parent.key, *tweak) : std::nullopt, hash);
    wipe(hash);
    return child;
}

}  // namespace

std::string new_mnemonic(Random& random) {
    constexpr std::size_t kEntropySize = 16;
    auto bytes = random.bytes<kEntropySize + 1>();
    const auto entropy = BytesView{bytes}.first(kEntropySize);
    bytes[kEntropySize] = sha256(entropy)[0];  // Of which the first four bits are the checksum.
    std::string words;
    for (std::size_t i = 0; i < 12; ++i) {
        std::size_t number = 0;
        for (std::size_t bit = 0; bit < kWordBits; ++bit) {
            number = number * 2 + (bit_of(bytes, i * kWordBits + bit) ? 1 : 0);
        }
        if (i > 0) words += ' ';
        words += kEnglishWords[number];
    }
    wipe(bytes);
    return words;
}

bool mnemonic_valid(std::string_view words) {
    const auto numbers = word_numbers(words);
    if (!numbers) return false;
    const std::size_t count = numbers->size();
    if (count < 12 || count > 24 || count % 3 != 0) return false;

    const std::size_t checksum_bits = count / 3;
    const std::size_t entropy_bits = count * kWordBits - checksum_bits;
    Bytes bytes((count * kWordBits + 7) / 8);
    for (std::size_t i = 0; i < count * kWordBits; ++i) {
        const bool bit = (((*numbers)[i / kWordBits] >> (kWordBits - 1 - i % kWordBits)) & 1) != 0;
        if (bit) bytes[i / 8] |= std::byte{0x80} >> (i % 8);
    }
    const auto hash = sha256(BytesView{bytes}.first(entropy_bits / 8));
    bool right = true;
    for (std::size_t i = 0; i < checksum_bits; ++i) {
        right &= bit_of(bytes, entropy_bits + i) == bit_of(hash, i);
    }
    wipe(bytes);
    return right;
}

bool passphrase_valid(std::string_view passphrase) { return is_ascii(passphrase); }

Secret mnemonic_seed(std::string_view words, std::string_view passphrase) {
    VERIFY(mnemonic_valid(words) && passphrase_valid(passphrase));
    const std::string salt = "mnemonic" + std::string{passphrase};
    auto seed = pbkdf2_hmac_sha512(as_bytes(words), as_bytes(salt), kSeedIterations);
    Secret secret{Bytes{seed.begin(), seed.end()}};
    wipe(seed);
    return secret;
}

std::optional<ExtendedKey> master_key(BytesView seed) {
    auto hash = hmac_sha512(as_bytes("Bitcoin seed"), {seed});
    auto key = from_hmac(Scalar::from_bytes(BytesView{hash}.first(32)), hash);
    wipe(hash);
    return key;
}

std::optional<ExtendedKey> derive(const ExtendedKey& parent, std::span<const std::uint32_t> path) {
    std::optional<ExtendedKey> key = parent;
    for (const std::uint32_t index : path) {
        key = derive_child(*key, index);
        if (!key) return std::nullopt;
    }
    return key;
}

}  // namespace nutgate::crypto
