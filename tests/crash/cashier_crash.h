// Runs one operation of a cashier again and again, interrupted in another place each time, ends
// what is left of it and lets a check see.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>

#include "cashier/world.h"
#include "support/crash_database.h"
#include "support/step_stride.h"
#include "support/temp_dir.h"

namespace nutgate::test {

// Whether there is another mint, and what it is to the node.
enum class Elsewhere { Nothing, Trusted, Guest };

// What all tries begin from: a node's database on disk, and the texts that are out in the world.
struct Beginning {
    TempDir folder;
    FixedClock clock;
    FakeLightning lightning{clock};
    Customer customer{clock};
    const Elsewhere elsewhere;
    // Of the nodes that the tries are made with.
    Receive receive = Receive::OverMint;
    Cashier::Options options = {};
    cashu::Wallet::Options wallet_options = {};
    // Whose calls fail.
    std::function<FaultyMint&(Node&)> way = [](Node& node) -> FaultyMint& { return node.client; };
    std::string token;
    std::string top_up;
    std::optional<KeyId> key;     // With 11 sat on it, and 2 of revenue.
    std::string token_elsewhere;  // Of the other mint, 21 sat. If it is trusted, the node has 40.
    std::optional<KeyId> key_elsewhere;
    std::unique_ptr<OutsideMint> mint_elsewhere;

    explicit Beginning(Elsewhere other = Elsewhere::Nothing) : elsewhere{other} {
        if (elsewhere == Elsewhere::Guest) options.foreign_mints = ForeignMints::Swap;
        open_elsewhere("base.db");
        const auto database = open("base.db");
        migrate_all(*database);
        const auto made = this->node(*database);
        Node& node = *made;
        REQUIRE(node.start());
        if (elsewhere != Elsewhere::Nothing) {
            Customer stranger{clock, 102};
            stranger.connect(*mint_elsewhere);
            stranger.fund(lightning, 70'000_msat);
            token_elsewhere = stranger.token(21'000_msat);
            // A guest is known from here on, and connected at every start.
            const Msat first = elsewhere == Elsewhere::Trusted ? 40'000_msat : 1000_msat;
            const auto deposit = node.cashier->deposit_token(stranger.token(first), Bearer{});
            REQUIRE(deposit.has_value());
            key_elsewhere = deposit->key;
        }
        customer.connect(node);
        customer.fund(lightning, 40'000_msat);
        token = customer.token(21'000_msat);
        top_up = customer.token(6000_msat);
        key = node.cashier->deposit_token(customer.token(13'000_msat), Bearer{})->key;
        REQUIRE(database->transact([&](store::Tx& tx) -> Result<bool, CashierError> {
            TRY_VOID(node.ledger.transfer(tx, {.id = TransferId{ByteArray<32>{}},
                                               .debit = key_account(*key),
                                               .credit = revenue_account(kRevenueRequests),
                                               .amount = 2000_msat}));
            return true;
        }));
        node.audit();
        mint_elsewhere.reset();
    }

    std::unique_ptr<Node> node(store::Database& database) {
        Outside mints;
        if (elsewhere == Elsewhere::Trusted) mints.trusted = {mint_elsewhere.get()};
        if (elsewhere == Elsewhere::Guest) mints.guests = {mint_elsewhere.get()};
        return std::make_unique<Node>(database, lightning, clock, receive, options, mints,
                                      wallet_options);
    }
    void open_elsewhere(const std::string& name) {
        if (elsewhere == Elsewhere::Nothing) return;
        mint_elsewhere = std::make_unique<OutsideMint>("https://second.example", lightning, clock,
                                                       50, 0, open("elsewhere-" + name));
    }
    std::unique_ptr<store::Database> open(const std::string& name) const {
        auto database = store::open("sqlite:" + folder.file(name));
        REQUIRE(database.has_value());
        return *std::move(database);
    }
    // A fresh copy of the beginning: of the other mint as well, which knows no other try.
    void copy() {
        mint_elsewhere.reset();
        for (const std::string prefix : {"", "elsewhere-"}) {
            for (const std::string end : {"", "-wal", "-shm"}) {
                std::filesystem::remove(folder.file(prefix + "try.db" + end));
            }
            if (!std::filesystem::exists(folder.file(prefix + "base.db"))) continue;
            std::filesystem::copy_file(folder.file(prefix + "base.db"),
                                       folder.file(prefix + "try.db"));
        }
        open_elsewhere("try.db");
    }
};

using Play = std::function<void(Node&)>;
using Driver = void (*)(Beginning& world, const Play& operation, const Play& check);

inline int unfinished(Node& node) {
    const auto operations =
        node.database.read([](store::Reader& reader)
                               -> Result<std::vector<cashu::OperationView>, store::StoreFailure> {
            return cashu::Wallet::operations(reader, 100);
        });
    REQUIRE(operations.has_value());
    return static_cast<int>(
        std::ranges::count_if(*operations, [](const cashu::OperationView& operation) {
            return operation.state == cashu::OperationState::Submitted ||
                   operation.state == cashu::OperationState::Blocked;
        }));
}

inline void finish(Beginning& world, Node& node, const Play& check) {
    node.audit();
    world.clock.advance(Seconds{60});
    REQUIRE(node.wallet.recover());
    REQUIRE(node.cashier->recover());
    node.audit();
    CHECK(unfinished(node) == 0);
    check(node);
    node.audit();
    CHECK(unfinished(node) == 0);
}

// Dies at the n-th step of `operation`, for every n; then starts again, and `check`s.
inline void at_every_step(Beginning& world, const Play& operation, const Play& check) {
    std::int64_t n = 1;
    for (;; n += step_stride()) {
        CAPTURE(n);
        world.copy();
        bool crashed = false;
        {
            const auto database = world.open("try.db");
            CrashDatabase dying{*database};
            const auto node = world.node(dying);
            REQUIRE(node->start());
            dying.crash_at(n);
            operation(*node);
            crashed = dying.crashed();
        }
        const auto database = world.open("try.db");
        const auto node = world.node(*database);
        REQUIRE(node->start());
        finish(world, *node, check);
        if (!crashed) break;
    }
    CHECK(n > 6);  // Or nothing was tried.
}

enum class Afterwards {
    GoesOn,
    StartsAnew,
    FailsAgain,  // So does the first call of the recovery, and then of the process after it.
};

// Returns whether there was a n-th call.
inline bool fails_at(Beginning& world, const Play& operation, const Play& check, int n,
                     FaultyMint::Fault fault, Afterwards afterwards) {
    world.copy();
    const auto database = world.open("try.db");
    auto node = world.node(*database);
    REQUIRE(node->start());
    world.way(*node).fault_at(n, fault);
    operation(*node);
    const bool came = world.way(*node).came_so_far();
    if (afterwards == Afterwards::FailsAgain) {
        world.way(*node).fault_at(1, fault);
        world.clock.advance(Seconds{60});
        REQUIRE(node->wallet.recover());
        REQUIRE(node->cashier->recover());
        node->audit();
    }
    if (afterwards != Afterwards::GoesOn) {
        auto straggler = world.way(*node).take_straggler();
        node.reset();
        node = world.node(*database);
        world.way(*node).bring(std::move(straggler));
        if (afterwards == Afterwards::FailsAgain) world.way(*node).fault_at(1, fault);
        REQUIRE(node->start());
        world.way(*node).fault_at(0, fault);
    }
    finish(world, *node, check);
    return came;
}

// The n-th call to the mint fails, for every n and in every way.
inline void at_every_call(Beginning& world, const Play& operation, const Play& check) {
    using Fault = FaultyMint::Fault;
    for (const Fault fault :
         {Fault::Away, Fault::RequestLost, Fault::AnswerLost, Fault::Twice, Fault::Late,
          Fault::Later, Fault::ServerError, Fault::ProxyError, Fault::TooMany, Fault::Cut}) {
        for (const auto afterwards :
             {Afterwards::GoesOn, Afterwards::StartsAnew, Afterwards::FailsAgain}) {
            CAPTURE(static_cast<int>(fault));
            CAPTURE(static_cast<int>(afterwards));
            int n = 1;
            for (;; n += step_stride()) {
                CAPTURE(n);
                if (!fails_at(world, operation, check, n, fault, afterwards)) break;
            }
            CHECK((n > 1 || world.receive == Receive::OverNode));  // Or nothing was tried.
        }
    }
}

}  // namespace nutgate::test
