// The nine scenarios that a public fault laboratory for Cashu plays against wallets (cashu.md E.5),
// by their names there.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "nutgate/base/log.h"
#include "nutgate/lightning/invoice.h"
#include "support/crash_database.h"
#include "support/temp_dir.h"
#include "support/wallet_world.h"

using namespace nutgate;
using namespace nutgate::cashu;
using Code = WalletError::Code;
using Melt = test::FakeMint::Melt;
using test::code_of;
using test::Fault;
using test::sats;
using test::WalletWorld;

namespace {

PaymentHash paid_quote(WalletWorld& world, Msat amount) {
    const auto quote = world.wallet->request_quote(world.wallet->primary(), amount, "");
    REQUIRE(quote);
    const auto hash = parse_bolt11(quote->bolt11)->payment_hash;
    world.mint.pay(hash);
    return hash;
}

}  // namespace

TEST_CASE("scenario mint-response-lost: the ecash is there, once") {
    WalletWorld world;
    const auto hash = paid_quote(world, sats(21));
    world.mint.fault("/v1/mint/bolt11", Fault::LoseAnswer, 2);
    const auto first = world.wallet->settle_quote(hash);
    REQUIRE(first);
    world.recover_all();
    CHECK_EQ(world.wallet->settle_quote(hash)->state, PaymentState::Settled);
    CHECK_EQ(world.told("issued").size(), 1);
    CHECK_EQ(world.available(), sats(21));
    world.audit();
}

TEST_CASE("scenario swap-response-lost: the token is credited, once") {
    WalletWorld world;
    const auto token = world.token({16, 4});
    world.mint.fault("/v1/swap", Fault::LoseAnswer, 2);
    (void)world.receive(token, "r").has_value();
    world.recover_all();
    REQUIRE(world.receive(token, "r"));
    CHECK_EQ(world.told("received").size(), 1);
    CHECK_EQ(world.available(), sats(20));
    world.audit();
}

TEST_CASE("scenario melt-response-lost: the invoice is paid once, and its change is ours") {
    WalletWorld world;
    world.fund({64});
    const auto bolt11 = world.mint.outside_invoice(20);
    world.mint.fault("/v1/melt/bolt11", Fault::LoseAnswer, 2);
    (void)world.melt(bolt11, "m").has_value();
    world.recover_all();
    REQUIRE(world.melt(bolt11, "m"));
    CHECK_EQ(world.mint.times_paid(parse_bolt11(bolt11)->payment_hash), 1);
    CHECK_EQ(world.available(), sats(43));
    world.audit();
}

TEST_CASE("scenario receive-crash-before-save: what the mint swapped is found after the restart") {
    int swapped = 0;  // Times it died with the swap done and nothing of it stored.
    for (std::int64_t n = 1;; ++n) {
        WalletWorld world;
        const auto token = world.token({16, 4});
        const auto id = world.begin_receive(token, "r");
        REQUIRE(id);
        test::CrashDatabase crash{*world.database};
        world.reopen(crash);
        crash.crash_at(n);
        (void)world.wallet->execute(*id).has_value();
        const bool crashed = crash.crashed();
        if (crashed && world.mint.calls("/v1/swap") > 0 && world.told("received").empty()) {
            ++swapped;
        }
        world.reopen();
        world.recover_all();
        CHECK_EQ(world.told("received").size(), 1);
        CHECK_EQ(world.available(), sats(20));
        world.audit();
        if (!crashed) break;
    }
    CHECK(swapped > 0);
}

TEST_CASE("scenario concurrent-resume: eight at once finish one operation once") {
    WalletWorld world;
    const auto token = world.token({16, 4});
    world.mint.fault("/v1/swap", Fault::LoseAnswer, 2);
    const auto id = world.begin_receive(token, "r");
    REQUIRE(id);
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&] {
                (void)world.wallet->execute(*id).has_value();
                (void)world.wallet->recover().has_value();
            });
        }
    }
    world.recover_all();
    CHECK_EQ(world.told("received").size(), 1);
    CHECK_EQ(world.available(), sats(20));
    world.audit();
}

TEST_CASE("scenario restore-duplicate: what a mint tells twice is stored once") {
    WalletWorld world;
    const auto token = world.token({16, 4});
    world.mint.fault("/v1/swap", Fault::LoseAnswer, 2);
    world.mint.lie("/v1/restore", [](std::string_view, MintAnswer& answer) {
        auto restored = wire::parse_restore_response(answer.body);
        if (!restored || restored->outputs.empty()) return;
        const auto outputs = restored->outputs;
        const auto signatures = restored->signatures;
        restored->outputs.insert(restored->outputs.end(), outputs.begin(), outputs.end());
        restored->signatures.insert(restored->signatures.end(), signatures.begin(),
                                    signatures.end());
        answer.body = wire::write_restore_response(*restored);
    });
    (void)world.receive(token, "r").has_value();
    world.recover_all();
    CHECK_EQ(world.told("received").size(), 1);
    CHECK_EQ(world.available(), sats(20));
    REQUIRE(world.wallet->restore());
    CHECK_EQ(world.available(), sats(20));
    world.audit();
}

TEST_CASE("scenario stale-quote: an old answer does not undo what a newer one said") {
    WalletWorld world;
    const auto hash = paid_quote(world, sats(21));
    CHECK_EQ(world.wallet->settle_quote(hash)->state, PaymentState::Settled);
    world.mint.lie("/v1/mint/quote/bolt11/", [](std::string_view, MintAnswer& answer) {
        auto quote = wire::parse_mint_quote(answer.body);
        if (!quote) return;
        quote->amount_paid = quote->amount_issued = 0;
        answer.body = wire::write_mint_quote(*quote);
    });
    CHECK_EQ(world.wallet->settle_quote(hash)->state, PaymentState::Settled);
    // And one that is told to be unpaid although it was paid waits; it is not given up.
    const auto late = paid_quote(world, sats(7));
    CHECK_EQ(world.wallet->settle_quote(late)->state, PaymentState::Pending);
    world.mint.lie("/v1/mint/quote/bolt11/", [](std::string_view, MintAnswer&) {});
    CHECK_EQ(world.wallet->settle_quote(late)->state, PaymentState::Settled);
    CHECK_EQ(world.told("issued").size(), 2);
    world.audit();
}

TEST_CASE("scenario melt-pending-restart: a payment under way survives our restart and theirs") {
    WalletWorld world;
    world.fund({64});
    const auto bolt11 = world.mint.outside_invoice(20);
    world.mint.next_melt(Melt::Pending);
    CHECK_EQ(code_of(world.melt(bolt11, "m")), Code::InProgress);
    world.reopen();
    world.mint.set_away(true);
    REQUIRE(world.wallet->recover());
    CHECK_EQ(world.reserved(), sats(64));
    world.mint.set_away(false);
    world.mint.conclude_melts(Melt::Paid);
    world.reopen();
    world.recover_all();
    CHECK_EQ(world.told("melted").size(), 1);
    CHECK_EQ(world.mint.times_paid(parse_bolt11(bolt11)->payment_hash), 1);
    CHECK_EQ(world.available(), sats(43));
    world.audit();
}

TEST_CASE("scenario quote-redaction: no log line tells a quote's name, a token or a secret") {
    WalletWorld world;
    const test::TempDir folder;
    const auto path = folder.path() / "log";
    log::set_file(path.string());
    const auto token = world.token({16, 4});
    {
        const auto hash = paid_quote(world, sats(21));
        world.mint.fault("/v1/mint/bolt11", Fault::BadSignature);
        (void)world.wallet->settle_quote(hash).has_value();
        world.recover_all();
        world.mint.fault("/v1/swap", Fault::BadSignature);
        (void)world.receive(token, "r").has_value();
        world.recover_all();
    }
    log::set_file("");
    std::ifstream file{path};
    const std::string log{std::istreambuf_iterator<char>{file}, {}};
    for (const auto& proof : token.proofs) CHECK_EQ(log.find(proof.secret), std::string::npos);
    CHECK_NE(log.find("wallet_answer_wrong"), std::string::npos);  // It was listening.
    const auto names = world.database->read(
        [](store::Reader& reader) -> Result<std::vector<std::string>, store::StoreFailure> {
            std::vector<std::string> found;
            for (const auto& row : reader.query("SELECT quote, bolt11 FROM wallet_quote")) {
                found.push_back(row.text(0));
                found.push_back(row.text(1));
            }
            return found;
        });
    REQUIRE(names);
    for (const auto& name : *names) CHECK_EQ(log.find(name), std::string::npos);
    world.audit();
}
