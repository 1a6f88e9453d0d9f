#include "nutgate/cashu/proof.h"

#include <limits>

#include "cashu/vectors.h"
#include "nutgate/cashu/wire.h"

namespace nutgate::cashu {
namespace {

using test::Json;
using test::vectors;

constexpr Amount kMost = std::numeric_limits<Amount>::max();

crypto::Point any_point() {
    return crypto::Point::from_hex(
               "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2")
        .value();
}

Proof proof_of(Amount amount, const char* id = "009a1f293253e41e") {
    return {amount, KeysetId::parse(id).value(), "s", any_point(), {}, {}, {}};
}

TEST_CASE("keysets: the sets of NUT-01 are read or refused as they say") {
    for (const Json all = vectors("nut01"); const Json& vector : all["keysets"]) {
        CAPTURE(vector["reason"].get<std::string>());
        const Json answer{{"keysets", Json::array({{{"id", "009a1f293253e41e"},
                                                    {"unit", "sat"},
                                                    {"keys", vector["keys"]}}})}};
        const auto parsed = wire::parse_keys(answer.dump());
        CHECK(parsed.has_value() == vector["valid"].get<bool>());
        if (parsed) CHECK(parsed->front().keys.size() == vector["keys"].size());
    }
}

TEST_CASE("keysets: the ids of NUT-02 come out of their keys, v1 and v2") {
    const Json file = vectors("nut02");
    for (const Json& vector : file["v1"]) {
        CAPTURE(vector["keyset_id"].get<std::string>());
        const auto keys = test::keys(vector["keys"]).value();
        CHECK(derive_keyset_id_v1(keys).text() == test::text(vector["keyset_id"]));
        Keyset keyset{test::keyset_id(vector["keyset_id"]), "sat", true, 0, {}, keys};
        CHECK(keyset_id_matches(keyset));
        keyset.keys.erase(keyset.keys.begin());
        CHECK_FALSE(keyset_id_matches(keyset));
    }
    for (const Json& vector : file["v2"]) {
        CAPTURE(vector["keyset_id"].get<std::string>());
        const auto keys = test::keys(vector["keys"]).value();
        const auto fee =
            vector["input_fee_ppk"].is_null() ? 0 : vector["input_fee_ppk"].get<std::uint64_t>();
        std::optional<std::int64_t> expiry;
        if (!vector["final_expiry"].is_null()) expiry = vector["final_expiry"].get<std::int64_t>();
        const std::string unit = vector["unit"];
        const KeysetId id = derive_keyset_id_v2(keys, unit, fee, expiry);
        CHECK(id.text() == test::text(vector["keyset_id"]));
        CHECK(id.shortened().text() == test::text(vector["short_id"]));
        CHECK(id.shortened().is_short());
        // Fee and expiry are inside the id, so a mint can't change them behind its wallets' backs.
        CHECK(keyset_id_matches({id, unit, true, fee, expiry, keys}));
        CHECK_FALSE(keyset_id_matches({id, unit, true, fee + 1, expiry, keys}));
        CHECK_FALSE(keyset_id_matches({id, unit, true, fee, expiry.value_or(0) + 1, keys}));
    }
}

TEST_CASE("interop: the keyset ids of cashu-ts come out of its keys") {
    const Json file = vectors("interop_cashu_ts");
    const auto keys = test::keys(file["keys"]).value();
    for (const Json& vector : file["keysets"]) {
        CAPTURE(vector.dump());
        Keyset keyset{
            test::keyset_id(vector["id"]), vector["unit"], true, vector["input_fee_ppk"], {}, keys};
        if (!vector["final_expiry"].is_null()) keyset.final_expiry = vector["final_expiry"];
        CHECK(keyset_id_matches(keyset));
    }
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

}  // namespace
}  // namespace nutgate::cashu
