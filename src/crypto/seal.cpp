#include "nutgate/crypto/seal.h"

#include <openssl/evp.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "nutgate/base/verify.h"
#include "raw.h"

namespace nutgate::crypto {
namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
constexpr std::size_t kIntMax = std::numeric_limits<int>::max();

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

CipherContext new_context() {
    CipherContext context{EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free};
    VERIFY(context != nullptr);
    return context;
}

}  // namespace

Bytes seal(const Secret& key, BytesView plain, BytesView context, Random& random) {
    VERIFY(key.reveal().size() == kKeySize);
    VERIFY(plain.size() <= kIntMax && context.size() <= kIntMax);
    Bytes sealed(kNonceSize + plain.size() + kTagSize);
    const std::span out{sealed};
    const auto nonce = out.first(kNonceSize);
    const auto ciphertext = out.subspan(kNonceSize, plain.size());
    random.fill(nonce);

    const auto cipher = new_context();
    int size = 0;
    VERIFY(EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key.reveal()),
                              raw(nonce)) == 1);
    // Updates of nothing are left out: to the library a null pointer has a meaning of its own.
    if (!context.empty()) {
        VERIFY(EVP_EncryptUpdate(cipher.get(), nullptr, &size, raw(context),
                                 static_cast<int>(context.size())) == 1);
    }
    if (!plain.empty()) {
        VERIFY(EVP_EncryptUpdate(cipher.get(), raw_out(ciphertext), &size, raw(plain),
                                 static_cast<int>(plain.size())) == 1);
    }
    VERIFY(EVP_EncryptFinal_ex(cipher.get(), raw_out(out.last(kTagSize)), &size) == 1 && size == 0);
    VERIFY(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagSize,
                               raw_out(out.last(kTagSize))) == 1);
    return sealed;
}

std::optional<Bytes> open(const Secret& key, BytesView sealed, BytesView context) {
    VERIFY(key.reveal().size() == kKeySize);
    VERIFY(context.size() <= kIntMax);
    if (sealed.size() < kNonceSize + kTagSize || sealed.size() > kIntMax) return std::nullopt;
    const auto nonce = sealed.first(kNonceSize);
    const auto ciphertext = sealed.subspan(kNonceSize, sealed.size() - kNonceSize - kTagSize);
    ByteArray<kTagSize> tag;  // A copy: the library takes it through a pointer to non-const.
    std::copy(sealed.end() - kTagSize, sealed.end(), tag.begin());

    Bytes plain(ciphertext.size());
    const auto cipher = new_context();
    int size = 0;
    VERIFY(EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key.reveal()),
                              raw(nonce)) == 1);
    if (!context.empty()) {
        VERIFY(EVP_DecryptUpdate(cipher.get(), nullptr, &size, raw(context),
                                 static_cast<int>(context.size())) == 1);
    }
    if (!ciphertext.empty()) {
        VERIFY(EVP_DecryptUpdate(cipher.get(), raw_out(plain), &size, raw(ciphertext),
                                 static_cast<int>(ciphertext.size())) == 1);
    }
    VERIFY(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagSize, tag.data()) == 1);
    ByteArray<kTagSize> rest;
    if (EVP_DecryptFinal_ex(cipher.get(), raw_out(rest), &size) != 1) {
        wipe(plain);  // Unauthenticated: nobody may see it.
        return std::nullopt;
    }
    return plain;
}

}  // namespace nutgate::crypto
