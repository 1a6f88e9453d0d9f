// What the wallet relies on in a MintClient, whichever way it reaches the mint. The peer behind is
// a real mint; each implementation runs the same suite.
#pragma once

#include <doctest/doctest.h>

#include "cashu/mint_world.h"
#include "nutgate/cashu/mint_client.h"

namespace nutgate::test::contract {

inline void mint_client(cashu::MintClient& client, MintWorld& world) {
    using cashu::MintMethod;
    SUBCASE("it carries what the mint answers, byte for byte") {
        const auto answer = client.call(MintMethod::Get, "/v1/keysets", "");
        REQUIRE(answer);
        CHECK_EQ(answer->status, 200);
        CHECK_EQ(answer->body, world.get("/v1/keysets").body);
    }
    SUBCASE("it carries the body unchanged: the same bytes again get the same answer") {
        const auto proofs = world.buy({4, 4});
        const auto body = wire::write_swap_request({proofs, world.blind({8}).outputs});
        const auto first = client.call(MintMethod::Post, "/v1/swap", body);
        const auto again = client.call(MintMethod::Post, "/v1/swap", body);
        REQUIRE(first);
        REQUIRE(again);
        CHECK_EQ(first->status, 200);
        CHECK_EQ(first->body, again->body);
        // Not the same request, though it says the same.
        const auto other = client.call(MintMethod::Post, "/v1/swap", body + " ");
        REQUIRE(other);
        CHECK_EQ(other->status, 400);
    }
    SUBCASE("a no is an answer, with the mint's code") {
        const auto proofs = world.buy({4, 4});
        const auto body = wire::write_swap_request({proofs, world.blind({16}).outputs});
        const auto answer = client.call(MintMethod::Post, "/v1/swap", body);
        REQUIRE(answer);
        CHECK_EQ(answer->status, 400);
        CHECK_EQ(wire::parse_error(answer->body).code, 11005);
    }
    SUBCASE("what the mint can't read, and a path that it does not have, are answers") {
        const auto garbage = client.call(MintMethod::Post, "/v1/swap", "{");
        REQUIRE(garbage);
        CHECK_EQ(garbage->status, 400);
        const auto nowhere = client.call(MintMethod::Get, "/v1/nowhere", "");
        REQUIRE(nowhere);
        CHECK_EQ(nowhere->status, 404);
    }
}

}  // namespace nutgate::test::contract
