// Keysets, info and swaps. The numbers are the conformance cases of the reference, D.6.
#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "cashu/mint_world.h"

using namespace nutgate;
using namespace nutgate::test;

namespace {

std::vector<Amount> ones(std::size_t count) { return std::vector<Amount>(count, 1); }

}  // namespace

TEST_CASE("mint 1-5: active keysets have keys, every keyset is listed, its id is its keys'") {
    MintWorld world;
    const auto old = world.active();
    CHECK(keyset_id_matches(old));
    CHECK(old.id.version() == 1);
    const auto rotated = world.mint->rotate(Unit::Sat, 100);
    REQUIRE(rotated);
    const auto fresh = world.active();
    CHECK(fresh.id == *rotated);
    CHECK(fresh.id != old.id);
    CHECK(fresh.unit == old.unit);
    CHECK(fresh.input_fee_ppk == 100);
    CHECK(keyset_id_matches(fresh));
    CHECK(wire::parse_keys(world.get("/v1/keys").body)->size() == 1);

    const auto listed = world.keysets();
    REQUIRE(listed.size() == 2);
    CHECK_FALSE(listed[0].active);
    CHECK(listed[1].active);
    const auto inactive = wire::parse_keys(world.get("/v1/keys/" + old.id.text()).body);
    REQUIRE(inactive);
    CHECK(keyset_id_matches(inactive->front()));
    CHECK_FALSE(inactive->front().active);
    CHECK(code(world.get("/v1/keys/009a1f293253e41e")) == 12001);
    CHECK(code(world.get("/v1/keys/x")) == 12001);
}

TEST_CASE("mint 8: keys are the same after a restart, and others with another database") {
    MintWorld world;
    REQUIRE(world.mint->rotate(Unit::Sat, 0));
    const auto before = world.active();
    const auto proofs = world.buy({8});
    world.reopen();
    CHECK(world.active().id == before.id);
    CHECK(world.active().keys == before.keys);
    CHECK(world.keysets().size() == 2);
    world.swapped(proofs, {8});

    MintWorld other;
    other.random.bytes<1>();
    REQUIRE(other.mint->rotate(Unit::Sat, 0));
    CHECK(other.active().id != before.id);
}

TEST_CASE("mint: another seed than the database was made with does not start") {
    MintWorld world;
    world.secret = Secret{Bytes(64, std::byte{8})};
    CHECK_FALSE(world.try_start(*world.database));
}

TEST_CASE("mint: another fee in the options is another keyset at the next start") {
    MintWorld world;
    const auto proofs = world.buy({8});
    world.options.input_fee_ppk = 100;
    world.reopen();
    CHECK(world.active().input_fee_ppk == 100);
    CHECK(world.keysets().size() == 2);
    // The old keyset keeps its own fee.
    world.swapped(proofs, {8});
    world.reopen();
    CHECK(world.keysets().size() == 2);
}

TEST_CASE("mint 9: the info lists what is true, and nothing else") {
    MintWorld world{{.name = "n", .url = "http://127.0.0.1/mint", .mint_amount_max = 500}};
    const auto answer = world.get("/v1/info");
    const auto info = wire::parse_info(answer.body).value();
    CHECK(info.name == "n");
    CHECK(info.version.starts_with("Nutgate/"));
    CHECK(info.urls == std::vector<std::string>{"http://127.0.0.1/mint"});
    CHECK(info.supported == std::vector{7, 8, 9, 12, 20});
    CHECK(info.cached_endpoints.size() == 3);
    CHECK_FALSE(info.cache_ttl);
    CHECK(info.max_array_length == 1000);
    REQUIRE(info.mint_methods.size() == 1);
    CHECK(info.mint_methods[0].max_amount == 500);
    CHECK(info.mint_methods[0].option == true);
    CHECK(info.melt_methods[0].option == false);
    for (const char* absent : {"10", "11", "14", "15", "17", "29"}) {
        CHECK_FALSE(Json::parse(answer.body)["nuts"].contains(absent));
    }
    CHECK(answer.body.find("null") == answer.body.rfind("null"));  // The ttl, and no other.
}

TEST_CASE("mint 10: a swap gives new tokens for old, to the unit") {
    MintWorld world;
    const auto proofs = world.buy({8, 2});
    const auto fresh = world.swapped(proofs, {1, 1, 8});
    CHECK(world.state(proofs[0]) == wire::ProofState::Spent);
    CHECK(world.state(fresh[2]) == wire::ProofState::Unspent);
    CHECK(audit(*world.database) == 10'000_msat);
    world.swapped(fresh, {2, 8});
}

TEST_CASE(
    "mint 11-12, 32: outputs that are not inputs less fee are refused, and nothing happened") {
    MintWorld world;
    const auto proofs = world.buy({8});
    const auto more = world.blind({8, 1});
    CHECK(code(world.swap(proofs, more)) == 11005);
    const auto less = world.blind({4, 2, 1});
    CHECK(code(world.swap(proofs, less)) == 11005);
    CHECK(world.state(proofs[0]) == wire::ProofState::Unspent);
    // The same outputs are good for a swap that is right.
    Blinded right = less;
    right.outputs.push_back(more.outputs[1]);
    CHECK(code(world.swap(proofs, right)) == 0);
}

TEST_CASE("mint 13-14: sums beyond u64 are refused") {
    MintWorld world{{.key_count = 62}};
    const auto proofs = world.buy({1});
    const Amount huge = Amount{1} << 61;
    CHECK(code(world.swap(proofs, world.blind(std::vector<Amount>(8, huge)))) == 11005);
    auto forged = world.buy({1});
    forged[0].amount = huge;
    std::vector<Proof> many;
    for (int i = 0; i < 8; ++i) {
        many.push_back(forged[0]);
        many.back().secret += std::to_string(i);
    }
    CHECK(code(world.swap(many, world.blind({1}))) == 11005);
    CHECK(code(world.swap(proofs, world.blind({Amount{1} << 62, Amount{1} << 62}))) == 11006);
}

TEST_CASE("mint 15: a swap without inputs, without outputs, without both") {
    MintWorld world;
    const auto proofs = world.buy({1});
    CHECK(code(world.swap({}, world.blind({1}))) == 11005);
    CHECK(code(world.swap(proofs, {})) == 11005);
    CHECK(code(world.swap({}, {})) == 11005);
    CHECK(world.state(proofs[0]) == wire::ProofState::Unspent);
}

TEST_CASE("mint 16-17: the same input or output twice in one request") {
    MintWorld world;
    const auto proofs = world.buy({1});
    CHECK(code(world.swap({proofs[0], proofs[0]}, world.blind({2}))) == 11007);
    auto blinded = world.blind({1});
    blinded.outputs.push_back(blinded.outputs[0]);
    CHECK(code(world.swap(world.buy({2}), blinded)) == 11008);
    world.swapped(proofs, {1});
}

TEST_CASE(
    "mint 18-19, 31: an output signed before, an input spent before; what failed leaks nothing") {
    MintWorld world;
    const auto first = world.buy({4});
    const auto second = world.buy({4});
    const auto blinded = world.blind({4});
    REQUIRE(code(world.swap(first, blinded)) == 0);
    CHECK(code(world.swap(second, blinded)) == 11003);
    CHECK(world.state(second[0]) == wire::ProofState::Unspent);
    const auto other = world.blind({4});
    CHECK(code(world.swap(first, other)) == 11001);
    CHECK(code(world.swap(second, other)) == 0);
}

TEST_CASE("mint 20: of many swaps of one proof at once, exactly one wins") {
    MintWorld world;
    const auto proofs = world.buy({4});
    constexpr int kThreads = 8;
    std::vector<std::string> bodies;
    for (int i = 0; i < kThreads; ++i) {
        bodies.push_back(wire::write_swap_request({proofs, world.blind({4}).outputs}));
    }
    std::vector<int> codes(kThreads);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] { codes[i] = code(world.post("/v1/swap", bodies[i])); });
        }
    }
    CHECK(std::ranges::count(codes, 0) == 1);
    CHECK(std::ranges::count(codes, 11001) == kThreads - 1);
    CHECK(audit(*world.database) == 4'000_msat);
}

TEST_CASE("mint 21: swaps of different proofs at once all win") {
    MintWorld world;
    constexpr std::size_t kThreads = 8;
    std::vector<std::string> bodies;
    for (std::size_t i = 0; i < kThreads; ++i) {
        bodies.push_back(wire::write_swap_request({world.buy({4}), world.blind({4}).outputs}));
    }
    std::vector<int> codes(kThreads);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < kThreads; ++i) {
            threads.emplace_back([&, i] { codes[i] = code(world.post("/v1/swap", bodies[i])); });
        }
    }
    CHECK(std::ranges::count(codes, 0) == kThreads);
}

TEST_CASE("mint 22: units are not mixed") {
    MintWorld world{{.units = {Unit::Sat, Unit::Msat}}};
    const auto sats = world.buy({4});
    const auto msats = world.buy({4}, Unit::Msat);
    CHECK(code(world.swap({sats[0], msats[0]}, world.blind({8}))) == 11009);
    CHECK(code(world.swap(sats, world.blind({4}, Unit::Msat))) == 11010);
    auto mixed = world.blind({2});
    mixed.outputs.push_back(world.blind({2}, Unit::Msat).outputs[0]);
    CHECK(code(world.swap(sats, mixed)) == 11009);
    world.swapped(msats, {2, 2}, Unit::Msat);
    CHECK(audit(*world.database) == 4'004_msat);
}

TEST_CASE("mint 23: outputs on an inactive keyset, and on none") {
    MintWorld world;
    const auto proofs = world.buy({4});
    const auto old = world.active().id;
    REQUIRE(world.mint->rotate(Unit::Sat, 0));
    CHECK(code(world.swap(proofs, world.blind({4}, old))) == 12002);
    const auto unknown = KeysetId::parse("009a1f293253e41e").value();
    CHECK(code(world.swap(proofs, world.blind({4}, unknown))) == 12001);
    CHECK(code(world.swap(proofs, world.blind({4}, old.shortened()))) == 12001);
    auto foreign = proofs;
    foreign[0].id = unknown;
    CHECK(code(world.swap(foreign, world.blind({4}))) == 12001);
    std::string body = wire::write_swap_request({proofs, world.blind({4}).outputs});
    body.replace(body.find(world.active().id.text()), 66, "I2yN+iRYfkzT");
    CHECK(code(world.post("/v1/swap", body)) == 12001);
    world.swapped(proofs, {4});  // The old keyset stays redeemable.
}

TEST_CASE("mint 24: the fee is rounded up once, and neither more nor less is taken") {
    MintWorld world{{.input_fee_ppk = 100}};
    const auto check = [&](std::size_t inputs, Amount fee) {
        const auto proofs = world.buy(ones(inputs));
        const Amount net = inputs - fee;
        CHECK(code(world.swap(proofs, world.blind(ones(net + 1)))) == 11005);
        if (net > 1) CHECK(code(world.swap(proofs, world.blind(ones(net - 1)))) == 11005);
        CHECK(code(world.swap(proofs, world.blind(ones(net)))) == 0);
    };
    check(2, 1);
    check(10, 1);
    check(11, 2);
    check(20, 2);
    const auto one = world.buy({1});
    CHECK(code(world.swap(one, world.blind({1}))) == 11005);  // Its fee is all that it is worth.
}

TEST_CASE("mint 25: too many inputs, too many outputs") {
    MintWorld world{{.inputs_max = 3, .outputs_max = 4}};
    const auto proofs = world.buy(ones(4));
    CHECK(code(world.swap(proofs, world.blind({4}))) == 11014);
    CHECK(code(world.swap(world.buy({4}), world.blind(ones(5)))) == 11015);
    const auto quote = world.quote(8);
    world.pay(quote);
    CHECK(code(world.post("/v1/mint/bolt11", world.issue_body(quote, world.blind(ones(5))))) ==
          11015);
    const auto melt = world.melt_quote(world.lightning.outside_invoice(2'000_msat));
    CHECK(code(world.melt(melt, proofs)) == 11014);
    CHECK(code(world.melt(melt, world.buy({4}), world.blind(ones(5)))) == 11015);
    CHECK(code(world.post("/v1/checkstate", Json{{"Ys", Json(4, proofs[0].C.hex())}}.dump())) ==
          11014);
    CHECK(code(world.post("/v1/restore",
                          wire::write_restore_request(world.blind(ones(5)).outputs))) == 11015);
    const Json flood{{"inputs", Json(wire::kArrayMax + 1, Json::object())},
                     {"outputs", Json::array()}};
    CHECK(code(world.post("/v1/swap", flood.dump())) == 11014);
}

TEST_CASE("mint 26: amounts that are zero, negative, or no power of two") {
    MintWorld world;
    const auto proofs = world.buy({4});
    CHECK(code(world.swap(proofs, world.blind({4, 0}))) == 11006);
    CHECK(code(world.swap(proofs, world.blind({3, 1}))) == 11006);
    std::string body = wire::write_swap_request({proofs, world.blind({4}).outputs});
    body.replace(body.find("\"amount\":4"), 10, "\"amount\":-4");
    CHECK(code(world.post("/v1/swap", body)) == 10000);
    auto zero = proofs;
    zero[0].amount = 0;
    CHECK(code(world.swap(zero, world.blind({4}))) == 10001);
    zero[0].amount = 3;
    CHECK(code(world.swap(zero, world.blind({1, 2}))) == 10001);
    zero[0].amount = 8;
    CHECK(code(world.swap(zero, world.blind({8}))) == 10001);
    world.swapped(proofs, {4});
}

TEST_CASE("mint 27: a secret that is empty or too long, a witness that is too long") {
    MintWorld world;
    auto proofs = world.buy({4});
    const auto with = [&](const std::string& secret, std::optional<std::string> witness = {}) {
        auto changed = proofs;
        changed[0].secret = secret;
        changed[0].witness = std::move(witness);
        return code(world.swap(changed, world.blind({4})));
    };
    CHECK(with("") == 10001);
    CHECK(with(std::string(1025, 'a')) == 10000);
    CHECK(with(proofs[0].secret, std::string(8193, 'a')) == 10000);
    CHECK(with(proofs[0].secret, "{}") == 0);
}

TEST_CASE("mint 28-29: a forged signature, a point off the curve, an uncompressed one") {
    MintWorld world;
    const auto proofs = world.buy({4});
    auto forged = proofs;
    forged[0].C = crypto::generator_times(crypto::Scalar::random(world.random));
    CHECK(code(world.swap(forged, world.blind({4}))) == 10001);
    forged = proofs;
    forged[0].secret += "0";
    CHECK(code(world.swap(forged, world.blind({4}))) == 10001);

    const auto blinded = world.blind({4});
    const std::string body = wire::write_swap_request({proofs, blinded.outputs});
    const std::string b = blinded.outputs[0].B_.hex();
    const auto with = [&](const std::string& old, const std::string& point) {
        std::string changed = body;
        changed.replace(changed.find(old), old.size(), point);
        return code(world.post("/v1/swap", changed));
    };
    CHECK(with(b, "02" + std::string(64, 'f')) == 10000);
    CHECK(with(b, to_hex(blinded.outputs[0].B_.uncompressed())) == 10000);
    CHECK(with(proofs[0].C.hex(), "02" + std::string(64, 'f')) == 10001);
    CHECK(with(proofs[0].C.hex(), to_hex(proofs[0].C.uncompressed())) == 10001);
    CHECK(code(world.post("/v1/swap", body)) == 0);
}

TEST_CASE("mint 30: signatures come in the order of their outputs") {
    MintWorld world;
    const std::vector<Amount> amounts{1, 64, 2, 32, 4, 16, 8, 1};
    const auto proofs = world.buy({128});
    CHECK(world.swapped(proofs, amounts).size() == amounts.size());  // unblind() checks each.
}

TEST_CASE("mint 86: an input that is locked, or looks so, is not signed off") {
    MintWorld world;
    for (const char* secret :
         {R"(["P2PK",{"nonce":"a","data":"02"}])", R"(["HTLC",{}])", R"( [ "X" ])"}) {
        auto blinded = world.blind({4});
        blinded.secrets[0] = secret;
        const auto y = cashu::hash_to_curve(secret).value();
        blinded.outputs[0].B_ = cashu::blind(y, blinded.factors[0]).value();
        // Nothing shows on an output what it is locked to: it is issued as any other.
        const auto quote = world.quote(4);
        world.pay(quote);
        const auto answer = world.post("/v1/mint/bolt11", world.issue_body(quote, blinded));
        const auto proofs = world.unblind(blinded, wire::parse_signatures(answer.body).value());
        CHECK(code(world.swap(proofs, world.blind({4}))) == 10001);
    }
}

TEST_CASE("mint: what it does not know is 404, and a frozen one signs nothing until confirmed") {
    MintWorld world;
    CHECK(world.get("/v1/nothing").status == 404);
    CHECK(world.post("/v1/mint/onchain", "{}").status == 404);
    CHECK(world.post("/v1/keys", "{}").status == 404);
    CHECK(code(world.post("/v1/swap", "not json")) == 10000);
    CHECK(world.post("/v1/swap", std::string(9'000'000, ' ')).status == 413);

    const auto proofs = world.buy({4});
    const auto quote = world.quote(4);
    REQUIRE(cashu::Mint::freeze(*world.database));
    world.reopen();
    CHECK(world.mint->frozen());
    CHECK(world.swap(proofs, world.blind({4})).status == 503);
    CHECK(world.post("/v1/mint/quote/bolt11", R"({"amount":1,"unit":"sat"})").status == 503);
    CHECK(world.post("/v1/mint/bolt11", world.issue_body(quote, world.blind({4}))).status == 503);
    CHECK(world.get("/v1/keys").status == 200);
    CHECK(world.state(proofs[0]) == wire::ProofState::Unspent);
    REQUIRE(world.mint->unfreeze());
    CHECK_FALSE(world.mint->frozen());
    world.swapped(proofs, {4});
    world.reopen();
    CHECK_FALSE(world.mint->frozen());
}
