#include "nutgate/crypto/mnemonic.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <set>
#include <vector>

using namespace nutgate;
using namespace nutgate::crypto;

namespace {

nlohmann::json vectors(const std::string& file) {
    std::ifstream in{std::string{NUTGATE_VECTORS} + "/" + file};
    return nlohmann::json::parse(in);
}

// Plays back the bytes it was given.
class Replay final : public Random {
public:
    explicit Replay(Bytes bytes) : bytes_{std::move(bytes)} {}
    void fill(std::span<std::byte> bytes) override {
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = i < bytes_.size() ? bytes_[i] : std::byte{0};
    }

private:
    Bytes bytes_;
};

std::string hex_of(const Secret& secret) { return to_hex(secret.reveal()); }

}  // namespace

TEST_CASE("mnemonic: BIP-39's published vectors") {
    const auto published = vectors("bip39.json")["vectors"];
    CHECK_EQ(published.size(), 24);
    for (const auto& vector : published) {
        const auto words = vector["words"].get<std::string>();
        CHECK(mnemonic_valid(words));
        CHECK_EQ(hex_of(mnemonic_seed(words, "TREZOR")), vector["seed"].get<std::string>());
        const auto entropy = *from_hex(vector["entropy"].get<std::string>());
        if (entropy.size() == 16) {
            Replay random{entropy};
            CHECK_EQ(new_mnemonic(random), words);
        }
    }
}

TEST_CASE("mnemonic: NUT-13's words give NUT-13's seed") {
    const auto vector = vectors("nut13.json");
    CHECK_EQ(hex_of(mnemonic_seed(vector["mnemonic"].get<std::string>())),
             vector["bip39_seed_hex"].get<std::string>());
}

TEST_CASE("mnemonic: new words are valid and never the same") {
    SystemRandom random;
    std::set<std::string> seen;
    for (int i = 0; i < 50; ++i) {
        const auto words = new_mnemonic(random);
        CHECK(mnemonic_valid(words));
        seen.insert(words);
    }
    CHECK_EQ(seen.size(), 50);
}

TEST_CASE("mnemonic: a wrong word, count, checksum, case or spacing is refused") {
    const std::string good =
        "half depart obvious quality work element tank gorilla view sugar picture humble";
    CHECK(mnemonic_valid(good));
    CHECK_FALSE(mnemonic_valid(""));
    CHECK_FALSE(mnemonic_valid(good + " humble"));
    CHECK_FALSE(mnemonic_valid(good.substr(0, good.rfind(' '))));
    CHECK_FALSE(mnemonic_valid("half depart obvious"));
    CHECK_FALSE(mnemonic_valid(good.substr(0, good.rfind(' ')) + " human"));
    CHECK_FALSE(mnemonic_valid(good.substr(0, good.rfind(' ')) + " humblee"));
    CHECK_FALSE(mnemonic_valid("H" + good.substr(1)));
    CHECK_FALSE(mnemonic_valid(good + " "));
    CHECK_FALSE(mnemonic_valid(" " + good));
    CHECK_FALSE(mnemonic_valid("half  depart" + good.substr(11)));
    CHECK_FALSE(passphrase_valid("\xc3\xa9"));
    CHECK(passphrase_valid("plain ASCII"));
}

TEST_CASE("mnemonic: BIP-32's first and third vectors, hardened and not") {
    const auto master = master_key(*from_hex("000102030405060708090a0b0c0d0e0f"));
    REQUIRE(master.has_value());
    CHECK_EQ(to_hex(master->key.bytes()),
             "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35");
    CHECK_EQ(to_hex(master->chain_code),
             "873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508");

    struct Step {
        std::vector<std::uint32_t> path;
        std::string_view key;
        std::string_view chain_code;
    };
    const std::vector<Step> steps{
        {{kHardened},
         "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea",
         "47fdacbd0f1097043b78c63c20c34ef4ed9a111d980047ad16282c7ae6236141"},
        {{kHardened, 1},
         "3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368",
         "2a7857631386ba23dacac34180dd1983734e444fdbf774041578e9b6adb37c19"},
        {{kHardened, 1, kHardened | 2},
         "cbce0d719ecf7431d88e6a89fa1483e02e35092af60c042b1df2ff59fa424dca",
         "04466b9cc8e161e966409ca52986c584f07e9dc81f735db683c3ff6ec7b1503f"},
        {{kHardened, 1, kHardened | 2, 2},
         "0f479245fb19a38a1954c5c7c0ebab2f9bdfd96a17563ef28a6a4b1a2a764ef4",
         "cfb71883f01676f587d023cc53a35bc7f88f724b1f8c2892ac1275ac822a3edd"},
        {{kHardened, 1, kHardened | 2, 2, 1'000'000'000},
         "471b76e389e528d6de6d816857e012c5455051cad6660850e58372a6c3e6e7c8",
         "c783e67b921d2beb8f6b389cc646d7263b4145701dadd2161548a8b078e65e9e"},
    };
    for (const auto& step : steps) {
        const auto key = derive(*master, step.path);
        REQUIRE(key.has_value());
        CHECK_EQ(to_hex(key->key.bytes()), step.key);
        CHECK_EQ(to_hex(key->chain_code), step.chain_code);
    }
    CHECK_EQ(derive(*master, {})->chain_code, master->chain_code);
}

TEST_CASE("mnemonic: NUT-13's first version derives along BIP-32") {
    const auto vector = vectors("nut13.json");
    const auto seed = mnemonic_seed(vector["mnemonic"].get<std::string>());
    const auto master = master_key(seed.reveal());
    REQUIRE(master.has_value());
    const auto keyset = vector["v1"]["keyset_id_int"].get<std::uint32_t>();
    for (const auto& entry : vector["v1"]["entries"]) {
        const auto counter = entry["counter"].get<std::uint32_t>();
        std::vector<std::uint32_t> path{kHardened | 129372U, kHardened, kHardened | keyset,
                                        kHardened | counter, 0};
        CHECK_EQ(to_hex(derive(*master, path)->key.bytes()), entry["secret"].get<std::string>());
        path.back() = 1;
        CHECK_EQ(to_hex(derive(*master, path)->key.bytes()), entry["r"].get<std::string>());
    }
}
