#include "nutgate/cashu/proof.h"

#include <doctest/doctest.h>

#include <limits>

namespace nutgate::cashu {
namespace {

constexpr Amount kMost = std::numeric_limits<Amount>::max();

crypto::Point any_point() {
    return crypto::Point::from_hex(
               "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2")
        .value();
}

Proof proof_of(Amount amount, const char* id = "009a1f293253e41e") {
    return {amount, KeysetId::parse(id).value(), "s", any_point(), {}, {}, {}};
}

TEST_CASE("keyset ids: only whole ids of known versions and short v2 ids parse") {
    CHECK(KeysetId::parse("00456a94ab4e1c46")->version() == 0);
    CHECK(KeysetId::parse("00456A94AB4E1C46")->text() == "00456a94ab4e1c46");
    CHECK(KeysetId::parse("01456a94ab4e1c46")->is_short());
    const std::string v2 = "01" + std::string(64, 'a');
    CHECK(KeysetId::parse(v2)->version() == 1);
    CHECK_FALSE(KeysetId::parse(v2)->is_short());
    CHECK(KeysetId::from_bytes(KeysetId::parse(v2)->bytes())->text() == v2);
    CHECK_FALSE(KeysetId::parse("02456a94ab4e1c46"));
    CHECK_FALSE(KeysetId::parse("00" + std::string(64, 'a')));
    CHECK_FALSE(KeysetId::parse("I2yN+iRYfkzT"));
    CHECK_FALSE(KeysetId::parse("00456a94ab4e1c4"));
    CHECK_FALSE(KeysetId::parse("00456a94ab4e1cg6"));
    CHECK_FALSE(KeysetId::parse(""));
}

TEST_CASE("mint urls: one mint has one text") {
    const auto normal = [](const char* text) {
        const auto url = MintUrl::parse(text);
        return url ? url->text() : "refused";
    };
    CHECK(normal("https://Mint.Example.com/") == "https://mint.example.com");
    CHECK(normal("HTTPS://mint.example.com:443/Bitcoin/") == "https://mint.example.com/Bitcoin");
    CHECK(normal("http://127.0.0.1:3338") == "http://127.0.0.1:3338");
    CHECK(normal("http://[::1]:80/mint") == "http://[::1]/mint");
    CHECK(normal("ftp://mint.example.com") == "refused");
    CHECK(normal("mint.example.com") == "refused");
    CHECK(normal("https://") == "refused");
    CHECK(normal("https://:443") == "refused");
    CHECK(normal("https://mint.example@evil.example") == "refused");
    CHECK(normal("https://mint.example/?a=b") == "refused");
    CHECK(normal("https://mint.example/#x") == "refused");
    CHECK(normal("https://mint example") == "refused");
    CHECK(normal("https://mint.example\\@evil.example") == "refused");
    CHECK(MintUrl::embedded().is_embedded());
    CHECK(MintUrl::parse(MintUrl::embedded().text()) == MintUrl::embedded());
}

TEST_CASE("amounts: sums that do not fit are no sums") {
    CHECK(add(1, 2) == 3);
    CHECK_FALSE(add(kMost, 1));
    CHECK(sum(std::vector{proof_of(1ULL << 63), proof_of((1ULL << 63) - 1)}) == kMost);
    CHECK_FALSE(sum(std::vector{proof_of(1ULL << 63), proof_of(1ULL << 63)}));
}

TEST_CASE("amounts: money of the house is what fits it") {
    CHECK(to_msat(21, Unit::Sat) == 21'000_msat);
    CHECK(to_msat(21, Unit::Msat) == 21_msat);
    CHECK_FALSE(to_msat(static_cast<Amount>(Sat::kMax) + 1, Unit::Sat));
    CHECK_FALSE(to_msat(kMost, Unit::Msat));
    CHECK(to_amount_floor(1'999_msat, Unit::Sat) == 1);
    CHECK(to_amount_floor(1'999_msat, Unit::Msat) == 1'999);
    CHECK(parse_unit("sat") == Unit::Sat);
    CHECK_FALSE(parse_unit("usd"));
}

TEST_CASE("fees: rounded up once, over all inputs") {
    const auto id = KeysetId::parse("009a1f293253e41e").value();
    const auto other = KeysetId::parse("00456a94ab4e1c46").value();
    const std::map<KeysetId, std::uint64_t> ppk{{id, 100}, {other, 1000}};
    CHECK(input_fee({}, ppk) == 0);
    CHECK(input_fee({proof_of(1)}, ppk) == 1);
    CHECK(input_fee(std::vector<Proof>(10, proof_of(1)), ppk) == 1);
    CHECK(input_fee(std::vector<Proof>(11, proof_of(1)), ppk) == 2);
    CHECK(input_fee({proof_of(1), proof_of(1, "00456a94ab4e1c46")}, ppk) == 2);
    CHECK(input_fee(std::vector<Proof>(3, proof_of(1)), {{id, kMost}}) == 55'340'232'221'128'655);
}

TEST_CASE("amounts: split is powers of two, descending, and their sum") {
    CHECK(split(0).empty());
    CHECK(split(13) == std::vector<Amount>{8, 4, 1});
    CHECK(split(kMost).size() == 64);
}

TEST_CASE("blanks: as many as the largest change can need, and none for no change") {
    CHECK(blank_outputs(0) == 0);
    CHECK(blank_outputs(1) == 1);
    CHECK(blank_outputs(2) == 1);
    CHECK(blank_outputs(3) == 2);
    CHECK(blank_outputs(1000) == 10);
    CHECK(blank_outputs(1024) == 10);
    CHECK(blank_outputs(1025) == 11);
    CHECK(blank_outputs(kMost) == 64);
    for (Amount most = 1; most <= 300; ++most) {
        for (Amount change = 0; change <= most; ++change) {
            CHECK(split(change).size() <= blank_outputs(most));
        }
    }
}

}  // namespace
}  // namespace nutgate::cashu
