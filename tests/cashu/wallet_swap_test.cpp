// Swaps to another mint, fundings, and what is trusted.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "nutgate/lightning/invoice.h"
#include "support/wallet_world.h"
#include "wallet/schema.h"

using namespace nutgate;
using namespace nutgate::cashu;
using Code = WalletError::Code;
using Melt = test::FakeMint::Melt;
using test::code_of;
using test::FakeMint;
using test::Fault;
using test::sats;
using test::WalletWorld;

namespace {

MintUrl url(const char* text) { return *MintUrl::parse(text); }
MintUrl first() { return url(test::kFakeMintUrl); }
MintUrl second() { return url(test::kOtherMintUrl); }

Token others_token(WalletWorld& world, const std::vector<Amount>& amounts) {
    return world.other.token(amounts, test::kOtherMintUrl);
}

}  // namespace

TEST_CASE("wallet: a token of a mint that is not trusted arrives at the primary, less the fees") {
    WalletWorld world{{.input_fee_ppk = 100}};
    const auto token = others_token(world, {64, 32, 4});
    CHECK_EQ(code_of(world.wallet->read_token(write_token(token))), Code::MintForeign);
    CHECK(world.wallet->read_foreign_token(write_token(token)));
    REQUIRE(world.swap_in(token, "d"));
    // 100 less an input fee of 1 and a reserve of 2 was asked for; 1 of the reserve came back.
    CHECK_EQ(world.available(), sats(97));
    CHECK_EQ(world.balance(test::kOtherMintUrl).first, sats(1));
    const auto melted = world.told("token_melted");
    REQUIRE_EQ(melted.size(), 1);
    CHECK_EQ(melted[0].amount, sats(97));
    CHECK_EQ(melted[0].fee, sats(2));
    REQUIRE_EQ(world.told("issued").size(), 1);
    CHECK_EQ(world.told("issued")[0].amount, sats(97));
    world.audit();
}

TEST_CASE("wallet: a swap whose second leg waits is finished by recovery, and paid once") {
    WalletWorld world;
    const auto token = others_token(world, {64});
    world.mint.fault("/v1/mint/bolt11", Fault::LoseRequest, 3);
    world.mint.fault("/v1/mint/quote/bolt11/", Fault::NotSent, 2);
    CHECK_EQ(code_of(world.swap_in(token, "d")), Code::InProgress);
    world.reopen();  // The guest is found again, too.
    world.recover_all();
    CHECK(world.swap_in(token, "d"));
    CHECK_EQ(world.told("token_melted").size(), 1);
    CHECK_EQ(world.told("issued").size(), 1);
    CHECK_EQ(world.available(), sats(62));
    world.audit();
}

TEST_CASE("wallet: a swap that the other mint could not pay leaves the token whole") {
    WalletWorld world;
    const auto token = others_token(world, {64});
    world.other.next_melt(Melt::Failed);
    CHECK_EQ(code_of(world.swap_in(token, "d")), Code::PaymentFailed);
    CHECK_EQ(world.told("melt_failed").size(), 1);
    CHECK(world.told("issued").empty());
    world.audit(0, 64);
    REQUIRE(world.swap_in(token, "again"));
    CHECK_EQ(world.available(), sats(62));
    world.audit();
}

TEST_CASE("wallet: a token that its holder spent meanwhile is refused as spent") {
    WalletWorld world;
    const auto token = others_token(world, {64});
    world.other.spend(token.proofs, 1);
    CHECK_EQ(code_of(world.swap_in(token, "d")), Code::TokenSpent);
    CHECK(world.told("lost").empty());  // It never was ours.
    CHECK(world.told("issued").empty());
}

TEST_CASE("wallet: a token worth less than the fees of moving it is refused") {
    WalletWorld world;
    CHECK_EQ(code_of(world.wallet->prepare_swap(others_token(world, {2}), first())),
             Code::FeeExceedsAmount);
    CHECK_EQ(code_of(world.wallet->prepare_swap(others_token(world, {1, 1}), first())),
             Code::FeeExceedsAmount);
    world.audit(0, 4);
}

namespace {

constexpr Amount kStrangersHave = 64;

// Mints of which nothing is known, one more than there may be guests, each with a token.
struct StrangersWorld : WalletWorld {
    StrangersWorld() {
        for (std::size_t i = 0; i < mints.size(); ++i) add_stranger(url_of(i), mints[i]);
    }
    static std::string url_of(std::size_t i) {
        return "https://" + std::string(1, static_cast<char>('a' + i)) + ".example";
    }
    auto prepare(std::size_t i) {
        return wallet->prepare_swap(mints[i].token({kStrangersHave}, url_of(i)), first());
    }
    // The guests, as who looks at the wallet or at its database sees them.
    std::vector<std::string> guests() {
        const auto views = wallet->mint_views();
        const auto stored = database->read([](store::Reader& reader) {
            return Result<std::vector<MintView>, store::StoreFailure>{
                Wallet::mint_views(reader, {first()}, std::nullopt)};
        });
        REQUIRE(views);
        REQUIRE(stored);
        CHECK_EQ(guests_of(*views), guests_of(*stored));
        return guests_of(*views);
    }
    int keysets_of(const std::string& mint_url) {
        return *database->read([&](store::Reader& reader) -> Result<int, store::StoreFailure> {
            const auto row =
                reader.query_one("SELECT COUNT(*) FROM wallet_keyset WHERE mint = $1", mint_url);
            return static_cast<int>(row->integer(0));
        });
    }

    std::array<FakeMint, test::kGuestsMax + 1> mints{FakeMint{{.seed = 1}}, FakeMint{{.seed = 2}},
                                                     FakeMint{{.seed = 3}}};

private:
    static std::vector<std::string> guests_of(const std::vector<MintView>& views) {
        std::vector<std::string> urls;
        for (const auto& view : views) {
            if (view.role == MintRole::Guest) urls.push_back(view.url.text());
        }
        std::ranges::sort(urls);
        return urls;
    }
};

}  // namespace

TEST_CASE("wallet: there are only so many guests while each has something under way") {
    StrangersWorld world;
    {
        // What is prepared holds its mint, begun or not.
        const auto a = world.prepare(0);
        const auto b = world.prepare(1);
        REQUIRE(a);
        REQUIRE(b);
        CHECK_EQ(code_of(world.prepare(2)), Code::MintForeign);
        CHECK_EQ(world.guests(), std::vector{world.url_of(0), world.url_of(1)});
        CHECK_EQ(world.keysets_of(world.url_of(2)), 0);
        REQUIRE(world.prepare(0));  // One that is there is no further guest.
    }
    CHECK(world.prepare(2));
}

TEST_CASE("wallet: a mint that never answered takes no place") {
    StrangersWorld world;
    for (const auto fault : {Fault::NotSent, Fault::LoseRequest, Fault::Down, Fault::TooMany}) {
        for (auto& mint : world.mints) mint.fault("/v1/keysets", fault);
        for (std::size_t i = 0; i < world.mints.size(); ++i) {
            const auto code = code_of(world.prepare(i));
            CHECK_EQ(code, fault == Fault::TooMany ? Code::MintRateLimited : Code::MintUnreachable);
        }
        CHECK(world.guests().empty());
    }
    // Nor does one that has no keysets but those of a mint that is known.
    world.add_stranger("https://copy.example", world.mint);
    REQUIRE(world.wallet->prepare_receive(world.token({8})));
    CHECK_EQ(code_of(world.wallet->prepare_swap(world.mint.token({64}, "https://copy.example"),
                                                first())),
             Code::KeysetUnknown);
    CHECK(world.guests().empty());
    CHECK(world.prepare(0));
    CHECK_EQ(world.guests(), std::vector{world.url_of(0)});
}

TEST_CASE("wallet: an idle guest makes room for the next") {
    StrangersWorld world;
    for (const std::size_t i : std::array<std::size_t, 4>{0, 1, 2, 0}) {
        CAPTURE(i);
        REQUIRE(world.prepare(i));
    }
    CHECK_EQ(world.guests(), std::vector{world.url_of(0), world.url_of(2)});
    world.reopen();
    REQUIRE(world.wallet->recover());
    CHECK_EQ(world.guests(), std::vector{world.url_of(0), world.url_of(2)});
    REQUIRE(world.prepare(1));
    CHECK_EQ(world.guests(), std::vector{world.url_of(1), world.url_of(2)});
}

TEST_CASE("wallet: of a guest on whose keysets nothing was made, nothing stays") {
    StrangersWorld world;
    auto foreign = world.mints[0].token({64}, world.url_of(0));
    foreign.proofs[0].id = world.mints[1].token({64}, world.url_of(1)).proofs[0].id;
    CHECK_EQ(code_of(world.wallet->prepare_swap(foreign, first())), Code::KeysetUnknown);
    CHECK_EQ(world.guests(), std::vector{world.url_of(0)});
    CHECK_EQ(world.keysets_of(world.url_of(0)), 1);
    REQUIRE(world.prepare(1));
    REQUIRE(world.prepare(2));
    CHECK_EQ(world.keysets_of(world.url_of(0)), 0);
}

TEST_CASE("wallet: a guest keeps its place while a swap is under way there, or change lies there") {
    StrangersWorld world;
    // Mint a has a swap under way; the wallet is a new process that has heard of nothing else.
    world.mints[0].fault("/v1/melt/bolt11", Fault::LoseRequest);
    const auto token = world.mints[0].token({64}, world.url_of(0));
    CHECK_EQ(code_of(world.swap_in(token, "d")), Code::InProgress);
    world.reopen();
    REQUIRE(world.prepare(1));
    REQUIRE(world.prepare(2));
    CHECK_EQ(world.guests(), std::vector{world.url_of(0), world.url_of(2)});
    world.recover_all();
    CHECK(world.swap_in(token, "d"));
    CHECK_EQ(world.balance(world.url_of(0)).first, sats(1));
    REQUIRE(world.prepare(1));
    CHECK_EQ(world.guests(), std::vector{world.url_of(0), world.url_of(1)});
    world.audit();
    world.audit_one(world.mints[0], world.url_of(0), 0);
}

TEST_CASE("wallet: a guest that went comes back, and no counter of it is used twice") {
    StrangersWorld world;
    const auto token = world.mints[0].token({64}, world.url_of(0));
    world.mints[0].next_melt(Melt::Failed);
    CHECK_EQ(code_of(world.swap_in(token, "d")), Code::PaymentFailed);
    REQUIRE(world.prepare(1));
    REQUIRE(world.prepare(2));
    CHECK_EQ(world.guests(), std::vector{world.url_of(1), world.url_of(2)});
    CHECK_EQ(world.keysets_of(world.url_of(0)), 1);  // Outputs of ours were made on it.
    REQUIRE(world.swap_in(token, "again"));
    CHECK_EQ(world.available(), sats(62));
    world.audit();
    world.audit_one(world.mints[0], world.url_of(0), 0);
}

namespace {

constexpr const char* kCopyUrl = "https://copy.example";

// Somebody's mint that serves the keys of ours as its own. Made as ours is, it has the same.
struct CopiedWorld : StrangersWorld {
    CopiedWorld() { add_stranger(kCopyUrl, copy); }

    auto prepare_copy() { return wallet->prepare_swap(copy.token({64}, kCopyUrl), first()); }
    std::int64_t number(const std::string& sql, const std::string& name) {
        return *database->read([&](store::Reader& reader) -> Result<std::int64_t, WalletError> {
            return reader.query_one(sql, name)->integer(0);
        });
    }
    std::int64_t next_counter(const KeysetId& keyset) {
        return number("SELECT next FROM wallet_counter WHERE name = $1", keyset.text());
    }

    FakeMint copy;
};

}  // namespace

TEST_CASE("wallet: no guest takes a keyset away from a mint of ours by being seen first") {
    CopiedWorld world;
    const auto keyset = world.token({1}).proofs[0].id;
    REQUIRE(world.prepare_copy());
    CHECK_EQ(world.keysets_of(kCopyUrl), 1);
    const auto made_there = world.next_counter(keyset);  // Blanks for its change.
    CHECK(made_there > 0);
    REQUIRE(world.receive(world.token({8}), "r"));
    CHECK_EQ(world.keysets_of(kCopyUrl), 0);
    CHECK_EQ(world.keysets_of(test::kFakeMintUrl), 1);
    // No secret is made twice: the count goes on.
    CHECK_EQ(
        world.number("SELECT MIN(counter) FROM wallet_output WHERE keyset = $1", keyset.text()),
        made_there);
    CHECK_EQ(code_of(world.prepare_copy()), Code::KeysetUnknown);
    world.reopen();
    CHECK_EQ(code_of(world.prepare_copy()), Code::KeysetUnknown);
    const auto quote = world.wallet->request_quote(first(), sats(21), "");
    REQUIRE(quote);
    const auto payment = parse_bolt11(quote->bolt11)->payment_hash;
    world.mint.pay(payment);
    CHECK_EQ(world.wallet->settle_quote(payment)->state, PaymentState::Settled);
    CHECK_EQ(world.available(), sats(29));
}

TEST_CASE("wallet: what a guest pays arrives, though its keyset becomes that of a mint of ours") {
    CopiedWorld world;
    const auto token = world.copy.token({64}, kCopyUrl);
    SUBCASE("with the payment") { REQUIRE(world.swap_in(token, "d")); }
    SUBCASE("before it") {
        world.copy.fault("/v1/melt/bolt11", Fault::LoseAnswer);
        world.copy.fault("/v1/melt/quote/bolt11/", Fault::NotSent, 2);
        CHECK_EQ(code_of(world.swap_in(token, "d")), Code::InProgress);
        REQUIRE(world.receive(world.token({8}), "r"));
        world.copy.clear_faults();
        world.recover_all();
        REQUIRE(world.send(sats(8), "s"));
    }
    CHECK_EQ(world.told("token_melted").size(), 1);
    CHECK_EQ(world.told("issued").size(), 1);
    CHECK_EQ(world.available(), sats(62));
    CHECK_EQ(world.balance(kCopyUrl).first, sats(1));
}

TEST_CASE("wallet: no guest has a keyset that a mint of ours lists, even without its keys") {
    CopiedWorld world;
    world.mint.rotate();  // The copy has the one before, whose keys nobody asked for yet.
    REQUIRE(world.receive(world.token({8}), "r"));
    CHECK_EQ(world.keysets_of(test::kFakeMintUrl), 1);
    CHECK_EQ(code_of(world.prepare_copy()), Code::KeysetUnknown);
    CHECK_EQ(world.keysets_of(kCopyUrl), 0);
    CHECK(world.guests().empty());
}

TEST_CASE(
    "wallet: a guest's keyset whose secrets would be the same gives way, and none is made "
    "twice") {
    constexpr std::int64_t kMadeThere = 7;
    WalletWorld world{{.keyset_version = 0}};
    const auto keyset = world.token({1}).proofs[0].id;
    std::uint64_t number = 0;
    for (const auto byte : keyset.bytes())
        number = number << 8 | std::to_integer<std::uint64_t>(byte);
    // NUT-13 counts ids modulo this.
    number = number >= 0x7fffffff ? number - 0x7fffffff : number + 0x7fffffff;
    ByteArray<8> other{};
    for (int i = 0; i < 8; ++i) {
        other.at(7 - static_cast<std::size_t>(i)) = static_cast<std::byte>(number >> (8 * i));
    }
    REQUIRE(world.database->transact([&](store::Tx& tx) -> Result<void, WalletError> {
        tx.execute("INSERT INTO wallet_keyset (id, mint, body) VALUES ($1, $2, $3)", to_hex(other),
                   test::kOtherMintUrl, R"({"keysets":[]})");
        tx.execute("INSERT INTO wallet_counter (name, next) VALUES ($1, $2)", to_hex(other),
                   kMadeThere);
        return {};
    }));
    REQUIRE(world.receive(world.token({8}), "r"));
    const auto first_made =
        world.database->read([&](store::Reader& reader) -> Result<std::int64_t, WalletError> {
            return reader
                .query_one("SELECT MIN(counter) FROM wallet_output WHERE keyset = $1",
                           keyset.text())
                ->integer(0);
        });
    REQUIRE(first_made);
    CHECK_EQ(*first_made, kMadeThere);
    world.audit(1);
}

TEST_CASE("wallet: our ecash moves from one mint of ours to another") {
    WalletWorld world;
    REQUIRE(world.wallet->trust_mint(second(), std::nullopt));
    REQUIRE(world.receive(others_token(world, {64, 32}), "r"));
    const auto prepared = world.wallet->prepare_swap(sats(50), second(), first());
    REQUIRE(prepared);
    CHECK_EQ(world.wallet->worth(**prepared), sats(50));
    const auto id = world.begin_melt(prepared, "move");
    REQUIRE(id);
    REQUIRE(world.wallet->execute(*id));
    CHECK_EQ(world.available(), sats(50));
    CHECK_EQ(world.balance(test::kOtherMintUrl).first, sats(45));
    CHECK_EQ(world.told("melted").size(), 1);
    CHECK_EQ(world.told("issued").size(), 1);
    world.audit();
}

TEST_CASE("wallet: a Lightning backend of ours funds a mint, once") {
    WalletWorld world;
    const auto quote = world.wallet->request_funding(first(), sats(40));
    REQUIRE(quote);
    CHECK_EQ(code_of(world.fund_by(*quote, "f")), Code::InProgress);
    CHECK_EQ(world.lightning.times_paid(*quote), 1);
    world.mint.pay(*quote);  // As the network would.
    world.reopen();
    world.recover_all();
    REQUIRE(world.fund_by(*quote, "f"));
    CHECK_EQ(world.lightning.times_paid(*quote), 1);
    CHECK_EQ(world.told("funded").size(), 1);
    CHECK_EQ(world.told("issued").size(), 1);
    CHECK_EQ(world.available(), sats(40));
    world.audit();
}

TEST_CASE("wallet: a funding whose payment is unknown waits, and failed only if it says so") {
    WalletWorld world;
    const auto quote = world.wallet->request_funding(first(), sats(40));
    REQUIRE(quote);
    world.lightning.next_pay(test::FakeLightning::Outcome::Unknown);
    CHECK_EQ(code_of(world.fund_by(*quote, "f")), Code::InProgress);
    world.lightning.set_down(true);
    world.clock.advance(Seconds{601});
    REQUIRE(world.wallet->recover());
    CHECK(world.told("fund_failed").empty());
    world.lightning.set_down(false);
    world.lightning.conclude(*quote, PaymentState::Failed);
    world.clock.advance(Seconds{601});
    REQUIRE(world.wallet->recover());
    CHECK_EQ(world.told("fund_failed").size(), 1);
    CHECK_EQ(world.available(), Msat{});
    world.audit();
}

TEST_CASE("wallet: no more is held at a mint than its owner wants") {
    WalletWorld world;
    world.exposure_max = sats(50);
    world.reopen();
    world.fund({32});
    CHECK_EQ(code_of(world.receive(world.token({32}), "more")), Code::ExposureExceeded);
    CHECK_EQ(code_of(world.wallet->request_quote(first(), sats(19), "")), Code::ExposureExceeded);
    CHECK(world.wallet->request_quote(first(), sats(18), ""));
    REQUIRE(world.wallet->trust_mint(first(), sats(100)));
    CHECK(world.receive(world.token({32}), "more"));
    const auto views = world.wallet->mint_views();
    REQUIRE(views);
    REQUIRE_EQ(views->size(), 1);
    CHECK_EQ(views->front().held, sats(64));
    CHECK_EQ(views->front().exposure_max, sats(100));
    world.audit(32);
}

TEST_CASE("wallet: a mint that was left takes nothing more, and what is there stays spendable") {
    WalletWorld world;
    CHECK_EQ(code_of(world.wallet->leave_mint(first())), Code::MintRefused);  // The primary.
    CHECK_EQ(code_of(world.wallet->leave_mint(second())), Code::MintForeign);
    REQUIRE(world.wallet->trust_mint(second(), std::nullopt));
    CHECK_EQ(world.wallet->mints(), std::vector{first(), second()});
    REQUIRE(world.receive(others_token(world, {16, 4}), "r"));
    REQUIRE(world.wallet->leave_mint(second()));
    world.reopen();
    REQUIRE(world.wallet->recover());
    CHECK_EQ(world.wallet->mints(), std::vector{first()});
    CHECK_EQ(code_of(world.receive(others_token(world, {8}), "r2")), Code::MintForeign);
    REQUIRE(world.send(sats(20), "s"));
    world.audit(0, 8);
}

TEST_CASE("wallet: what a swap or a funding pays is found without reading what nobody paid") {
    const auto database = store::open("sqlite::memory:", {.rehearses = true}).value();
    REQUIRE(store::migrate(*database, "wallet", wallet::migrations().first(3)));
    // By the version before: a quote that a funding pays, and one that is somebody's invoice.
    REQUIRE(database->transact([](store::Tx& tx) -> Result<void, WalletError> {
        for (const std::int64_t n : {1, 2}) {
            tx.execute(
                "INSERT INTO wallet_quote (lock_index, mint, unit, amount, state, payment_hash, "
                "watch_until, created_at) VALUES ($1, 'm', 'sat', 1000, 2, $2, 9, 1)",
                n, PaymentHash{ByteArray<32>{static_cast<std::byte>(n)}});
        }
        tx.execute(
            "INSERT INTO wallet_operation (id, kind, state, reference, mint, unit, amount, fee, "
            "path, attempts, transmissions, version, next_attempt_at, last_error, created_at, "
            "payment) VALUES ($1, 6, 2, 'f', 'm', 'sat', 1000, 0, '', 0, 0, 1, 0, '', 1, $2)",
            OperationId{ByteArray<16>{std::byte{7}}}, PaymentHash{ByteArray<32>{std::byte{1}}});
        return {};
    }));
    REQUIRE(Wallet::migrate(*database));
    const auto text = [&](const std::string& sql, std::size_t column) {
        return *database->read([&](store::Reader& reader) -> Result<std::string, WalletError> {
            return reader.query(sql).at(0).text(column);
        });
    };
    CHECK_EQ(text("SELECT CAST(SUM(lock_index) AS TEXT) FROM wallet_quote WHERE leg = 1", 0), "1");
    const auto plan = text(
        "EXPLAIN QUERY PLAN SELECT q.asks FROM wallet_quote q CROSS JOIN wallet_operation o WHERE "
        "o.payment = q.payment_hash AND q.leg = 1 AND q.state = 2 AND o.state IN (2, 3) AND "
        "q.watch_until >= 5",
        3);
    CAPTURE(plan);
    CHECK(plan.find("wallet_quote_legs (state=? AND watch_until>?)") != std::string::npos);

    WalletWorld world;
    REQUIRE(world.swap_in(others_token(world, {64}), "d"));
    REQUIRE(world.wallet->request_quote(first(), sats(5), ""));
    const auto legs =
        world.database->read([](store::Reader& reader) -> Result<std::int64_t, WalletError> {
            return reader.query_one("SELECT COUNT(*) FROM wallet_quote WHERE leg = 1")->integer(0);
        });
    REQUIRE(legs);
    CHECK_EQ(*legs, 1);
}
