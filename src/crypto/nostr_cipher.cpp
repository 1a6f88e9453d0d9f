#include "nutgate/crypto/nostr_cipher.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>

#include "nutgate/base/verify.h"
#include "nutgate/crypto/hash.h"
#include "raw.h"

namespace nutgate::crypto {
namespace {

constexpr std::byte kVersion{2};
constexpr std::size_t kNonceSize = 32;
constexpr std::size_t kMacSize = 32;
constexpr std::size_t kPayloadTextMin = 132;
constexpr std::size_t kPayloadMin = 99;
constexpr std::size_t kPayloadTextMax = 4 * 1024 * 1024;
constexpr std::size_t kIvSize = 16;

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

CipherContext new_context() {
    CipherContext context{EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free};
    VERIFY(context != nullptr);
    return context;
}

struct MessageKeys {
    ByteArray<32> chacha_key{};
    ByteArray<12> chacha_nonce{};
    ByteArray<32> mac_key{};

    MessageKeys() = default;
    MessageKeys(const MessageKeys&) = delete;
    MessageKeys& operator=(const MessageKeys&) = delete;
    ~MessageKeys() {
        wipe(chacha_key);
        wipe(mac_key);
    }
};

// HKDF's second half: the first was done for the conversation.
void expand(const Secret& conversation_key, BytesView nonce, MessageKeys& keys) {
    Bytes stream;
    Hash256 block{};
    for (std::uint8_t i = 1; i <= 3; ++i) {
        const std::array counter{std::byte{i}};
        const auto before = i == 1 ? BytesView{} : BytesView{block};
        block = hmac_sha256(conversation_key.reveal(), {before, nonce, counter});
        stream.insert(stream.end(), block.begin(), block.end());
    }
    std::copy_n(stream.begin(), 32, keys.chacha_key.begin());
    std::copy_n(stream.begin() + 32, 12, keys.chacha_nonce.begin());
    std::copy_n(stream.begin() + 44, 32, keys.mac_key.begin());
    wipe(stream);
    wipe(block);
}

// There and back.
Bytes chacha20(const MessageKeys& keys, BytesView text) {
    ByteArray<16> iv{};  // A counter of 32 bits, from zero, and the nonce.
    std::ranges::copy(keys.chacha_nonce, iv.begin() + 4);
    Bytes result(text.size());
    const auto cipher = new_context();
    int size = 0;
    VERIFY(EVP_EncryptInit_ex(cipher.get(), EVP_chacha20(), nullptr, raw(keys.chacha_key),
                              raw(iv)) == 1);
    VERIFY(EVP_EncryptUpdate(cipher.get(), raw_out(result), &size, raw(text),
                             static_cast<int>(text.size())) == 1);
    VERIFY(static_cast<std::size_t>(size) == text.size());
    return result;
}

std::size_t number_of(BytesView bytes) {
    std::size_t value = 0;
    for (const std::byte byte : bytes) value = value << 8U | std::to_integer<std::size_t>(byte);
    return value;
}

Bytes padded(std::string_view plain) {
    Bytes bytes;
    bytes.push_back(static_cast<std::byte>(plain.size() >> 8U));
    bytes.push_back(static_cast<std::byte>(plain.size() & 0xff));
    const auto text = as_bytes(plain);
    bytes.insert(bytes.end(), text.begin(), text.end());
    bytes.resize(2 + nip44_padded_size(plain.size()));
    return bytes;
}

std::optional<std::string> unpadded(BytesView bytes) {
    if (bytes.size() < 2) return std::nullopt;
    std::size_t size = number_of(bytes.first(2));
    bytes = bytes.subspan(2);
    if (size == 0) {
        if (bytes.size() < 4) return std::nullopt;
        size = number_of(bytes.first(4));
        if (size <= kNip44PlainMax) return std::nullopt;
        bytes = bytes.subspan(4);
    }
    if (size > bytes.size() || bytes.size() != nip44_padded_size(size)) return std::nullopt;
    const auto rest = bytes.subspan(size);
    if (std::ranges::any_of(rest, [](std::byte b) { return b != std::byte{0}; })) {
        return std::nullopt;
    }
    return std::string{as_text(bytes.first(size))};
}

Secret shared_x(const Scalar& ours, const Point& theirs) {
    auto x = multiply(theirs, ours).x_only();
    Secret secret{Bytes{x.begin(), x.end()}};
    wipe(x);
    return secret;
}

}  // namespace

std::optional<Point> point_of_x(BytesView x32) {
    if (x32.size() != 32) return std::nullopt;
    ByteArray<33> bytes{std::byte{2}};
    std::ranges::copy(x32, bytes.begin() + 1);
    return Point::from_bytes(bytes);
}

Secret nip44_conversation_key(const Scalar& ours, const Point& theirs) {
    const auto secret = shared_x(ours, theirs);
    auto key = hmac_sha256(as_bytes("nip44-v2"), {secret.reveal()});
    Secret conversation{Bytes{key.begin(), key.end()}};
    wipe(key);
    return conversation;
}

std::size_t nip44_padded_size(std::size_t size) {
    constexpr std::size_t kLeast = 32;
    if (size <= kLeast) return kLeast;
    const std::size_t power = std::bit_ceil(size);
    const std::size_t chunk = power <= 256 ? kLeast : power / 8;
    return (size + chunk - 1) / chunk * chunk;
}

std::string nip44_encrypt(const Secret& conversation_key, std::string_view plain, Random& random) {
    VERIFY(!plain.empty() && plain.size() <= kNip44PlainMax);
    const auto nonce = random.bytes<kNonceSize>();
    MessageKeys keys;
    expand(conversation_key, nonce, keys);
    auto text = padded(plain);
    const auto ciphertext = chacha20(keys, text);
    wipe(text);
    Bytes payload{kVersion};
    payload.insert(payload.end(), nonce.begin(), nonce.end());
    payload.insert(payload.end(), ciphertext.begin(), ciphertext.end());
    const auto mac = hmac_sha256(keys.mac_key, {nonce, ciphertext});
    payload.insert(payload.end(), mac.begin(), mac.end());
    return to_base64(payload);
}

std::optional<std::string> nip44_decrypt(const Secret& conversation_key, std::string_view text) {
    if (text.size() < kPayloadTextMin || text.size() > kPayloadTextMax || text.front() == '#') {
        return std::nullopt;
    }
    const auto payload = from_base64(text);
    if (!payload || payload->size() < kPayloadMin || payload->front() != kVersion) {
        return std::nullopt;
    }
    const BytesView bytes{*payload};
    const auto nonce = bytes.subspan(1, kNonceSize);
    const auto mac = bytes.last(kMacSize);
    const auto ciphertext = bytes.subspan(1 + kNonceSize, bytes.size() - 1 - kNonceSize - kMacSize);
    MessageKeys keys;
    expand(conversation_key, nonce, keys);
    if (!equal_in_constant_time(hmac_sha256(keys.mac_key, {nonce, ciphertext}), mac)) {
        return std::nullopt;
    }
    return unpadded(chacha20(keys, ciphertext));
}

std::string nip04_encrypt(const Scalar& ours, const Point& theirs, std::string_view plain,
                          Random& random) {
    const auto key = shared_x(ours, theirs);
    const auto iv = random.bytes<kIvSize>();
    Bytes ciphertext(plain.size() + kIvSize);
    const auto cipher = new_context();
    int size = 0;
    int last = 0;
    VERIFY(EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_cbc(), nullptr, raw(key.reveal()),
                              raw(iv)) == 1);
    VERIFY(EVP_EncryptUpdate(cipher.get(), raw_out(ciphertext), &size, raw(as_bytes(plain)),
                             static_cast<int>(plain.size())) == 1);
    VERIFY(EVP_EncryptFinal_ex(
               cipher.get(), raw_out(std::span{ciphertext}.subspan(static_cast<std::size_t>(size))),
               &last) == 1);
    ciphertext.resize(static_cast<std::size_t>(size + last));
    return to_base64(ciphertext) + "?iv=" + to_base64(iv);
}

std::optional<std::string> nip04_decrypt(const Scalar& ours, const Point& theirs,
                                         std::string_view content) {
    constexpr std::string_view kSeparator = "?iv=";
    const auto at = content.find(kSeparator);
    if (at == std::string_view::npos || content.size() > kPayloadTextMax) return std::nullopt;
    const auto ciphertext = from_base64(content.substr(0, at));
    const auto iv = from_base64(content.substr(at + kSeparator.size()));
    if (!ciphertext || !iv || iv->size() != kIvSize || ciphertext->empty() ||
        ciphertext->size() % kIvSize != 0) {
        return std::nullopt;
    }
    const auto key = shared_x(ours, theirs);
    Bytes plain(ciphertext->size() + kIvSize);
    const auto cipher = new_context();
    int size = 0;
    int last = 0;
    VERIFY(EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_cbc(), nullptr, raw(key.reveal()),
                              raw(*iv)) == 1);
    VERIFY(EVP_DecryptUpdate(cipher.get(), raw_out(plain), &size, raw(*ciphertext),
                             static_cast<int>(ciphertext->size())) == 1);
    const auto rest = std::span{plain}.subspan(static_cast<std::size_t>(size));
    if (EVP_DecryptFinal_ex(cipher.get(), raw_out(rest), &last) != 1) return std::nullopt;
    return std::string{as_text(BytesView{plain}.first(static_cast<std::size_t>(size + last)))};
}

}  // namespace nutgate::crypto
