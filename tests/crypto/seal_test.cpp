#include "nutgate/crypto/seal.h"

#include <doctest/doctest.h>

using namespace nutgate;
using namespace nutgate::crypto;

namespace {

Secret key_of(int value) { return Secret{Bytes(32, static_cast<std::byte>(value))}; }

class Zeros final : public Random {
public:
    void fill(std::span<std::byte> bytes) override {
        for (auto& byte : bytes) byte = std::byte{0};
    }
};

}  // namespace

TEST_CASE("seal: the GCM specification's cases 13 and 14 come out") {
    Zeros random;
    CHECK_EQ(to_hex(seal(key_of(0), {}, {}, random)),
             "000000000000000000000000530f8afbc74536b9a963b4f1c4cb738b");
    CHECK_EQ(
        to_hex(seal(key_of(0), ByteArray<16>{}, {}, random)),
        "000000000000000000000000cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

TEST_CASE("seal: what was sealed opens, for every length and context") {
    SystemRandom random;
    for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 1000U}) {
        Bytes plain(size);
        random.fill(plain);
        for (const std::string_view context : {"", "refund|7"}) {
            const auto sealed = seal(key_of(1), plain, as_bytes(context), random);
            CHECK_EQ(sealed.size(), 12 + size + 16);
            CHECK_EQ(open(key_of(1), sealed, as_bytes(context)), plain);
        }
    }
}

TEST_CASE("seal: one changed bit anywhere, a cut or an addition, and it does not open") {
    SystemRandom random;
    const auto context = as_bytes("row 1");
    const auto sealed = seal(key_of(1), as_bytes("cashuA..."), context, random);
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        auto changed = sealed;
        changed[i] ^= std::byte{1};
        CHECK_FALSE(open(key_of(1), changed, context).has_value());
        CHECK_FALSE(open(key_of(1), BytesView{sealed}.first(i), context).has_value());
    }
    auto longer = sealed;
    longer.push_back(std::byte{0});
    CHECK_FALSE(open(key_of(1), longer, context).has_value());
}

TEST_CASE("seal: another key or another context does not open it") {
    SystemRandom random;
    const auto sealed = seal(key_of(1), as_bytes("secret"), as_bytes("row 1"), random);
    CHECK_FALSE(open(key_of(2), sealed, as_bytes("row 1")).has_value());
    CHECK_FALSE(open(key_of(1), sealed, as_bytes("row 2")).has_value());
    CHECK_FALSE(open(key_of(1), sealed, {}).has_value());
}

TEST_CASE("seal: sealing the same twice looks different") {
    SystemRandom random;
    CHECK_NE(seal(key_of(1), as_bytes("same"), {}, random),
             seal(key_of(1), as_bytes("same"), {}, random));
}
