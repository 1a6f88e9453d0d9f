// What a request does at the till, without the request.
#pragma once

#include "fixture.h"

namespace nutgate::test {

using Drawn = Result<proxy::Draw, proxy::DrawRefusal>;

inline Drawn draw(Node& node, const KeyId& key, Msat amount) {
    std::optional<Drawn> drawn;
    run_all({[&]() -> http::Task<void> {
        auto answer = co_await node.till->draw(key, amount);
        drawn.emplace(std::move(answer));
    }});
    REQUIRE(drawn.has_value());
    return *std::move(drawn);
}

// Draws and settles at once. Returns what may be spent afterwards.
inline Msat spend(Node& node, const KeyId& key, Msat amount, Msat cost) {
    auto drawn = draw(node, key, amount);
    REQUIRE(drawn.has_value());
    return drawn->settle(cost);
}

// Money comes in.
inline void credit(Node& node, const KeyId& key, Msat amount) {
    REQUIRE(node.database->transact([&](store::Tx& tx) -> Result<bool, Node::LedgerOrStore> {
        TRY_VOID(node.ledger.transfer(tx, {.id = TransferId{node.random.bytes<32>()},
                                           .debit = {AccountKind::Ecash, "test:sat"},
                                           .credit = key_account(key),
                                           .amount = amount}));
        return true;
    }));
}

}  // namespace nutgate::test
