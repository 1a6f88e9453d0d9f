// The books by themselves: what each event of the wallet and the mint does to them.
#include "nutgate/cashier/books.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "nutgate/cashier/error.h"
#include "nutgate/lightning/simulated.h"
#include "nutgate/store/open.h"
#include "support/fixed_clock.h"
#include "support/seeded_random.h"

using namespace nutgate;
using namespace nutgate::literals;
using cashu::KeysetId;
using cashu::MintUrl;
using cashu::Unit;

namespace {

const KeysetId kOld = *KeysetId::parse("00aaaaaaaaaaaaaa");
const KeysetId kNew = *KeysetId::parse("00bbbbbbbbbbbbbb");
const PaymentHash kPayment{ByteArray<32>{std::byte{1}}};
const Account kNode{AccountKind::Lightning, "lnd"};

struct Stop {
    Stop(store::StoreFailure failure) : detail{std::move(failure.detail)} {}
    Stop(cashu::SettlerRefusal refusal) : detail{std::move(refusal.detail)} {}
    Stop(LedgerError) : detail{"ledger"} {}
    std::string detail;
};

struct Books {
    test::FixedClock clock;
    test::SeededRandom random;
    Secret seed{Bytes(64, std::byte{5})};
    std::unique_ptr<store::Database> database = *store::open("sqlite::memory:");
    Ledger ledger{clock};
    Keyring keyring{seed, clock};
    CashierBooks books{ledger, keyring, seed, clock, random, "lnd"};

    Books() {
        REQUIRE(Ledger::migrate(*database));
        REQUIRE(Keyring::migrate(*database));
        REQUIRE(CashierBooks::migrate(*database));
    }
    ~Books() {
        const auto report = database->read([&](store::Reader& reader) -> Result<AuditReport, Stop> {
            return ledger.audit(reader, Ledger::Depth::Full);
        });
        CHECK(report->sound());
    }

    // True if it was committed.
    template <class Body>
    bool in_tx(Body body) {
        return database
            ->transact([&](store::Tx& tx) -> Result<bool, Stop> {
                if constexpr (std::is_void_v<decltype(body(tx))>) {
                    body(tx);
                } else {
                    TRY_VOID(body(tx));
                }
                return true;
            })
            .has_value();
    }
    Msat posted(const Account& account) {
        return *database->read([&](store::Reader& reader) -> Result<Msat, Stop> {
            return ledger.balance(reader, account).posted;
        });
    }
    Msat outstanding(const KeysetId& keyset) { return posted(outstanding_account(keyset)); }
    Msat in_flight(std::string name) {
        return posted({AccountKind::PaymentInFlight, std::move(name)});
    }
    std::optional<Applied> settle(const PaymentHash& payment, Msat amount) {
        const auto applied = database->transact([&](store::Tx& tx) -> Result<Applied, Stop> {
            TRY(const auto done, books.settle(tx, payment, kNode, amount));
            return done;
        });
        return applied ? std::optional{*applied} : std::nullopt;
    }
    bool issued_to_wallet(const PaymentHash& payment, Msat amount) {
        return in_tx([&](store::Tx& tx) {
            return books.issued(
                tx, cashu::Settler::Issued{payment, MintUrl::embedded(), Unit::Sat, amount});
        });
    }
    void issued_by_mint(Msat amount) {
        REQUIRE(in_tx([&](store::Tx& tx) {
            books.quote_paid(tx, kPayment, amount);
            books.issued(tx, "quote", kOld, amount);
        }));
    }
    // The row of an invoice, as open_invoice leaves it.
    void insert_invoice(const KeyId& key, const PaymentHash& payment) {
        REQUIRE(in_tx([&](store::Tx& tx) {
            tx.execute(
                "INSERT INTO invoice (lookup, label, purpose, key, limit_reset, amount, state, "
                "payment_hash, created_at, expires_at, next_ask_at) "
                "VALUES ($1, 'label', 1, $2, 0, 5000, 2, $3, 1, 2, 3)",
                InvoiceLookup{ByteArray<32>{}}, key, payment);
        }));
    }
};

}  // namespace

TEST_CASE("books: an issue of an offer is booked once, to its key, or to nobody's") {
    Books world;
    const KeyId key = world.keyring.id_of_invoice("i");
    const OfferId ours{ByteArray<32>{std::byte{7}}};
    REQUIRE(world.in_tx([&](store::Tx& tx) {
        tx.execute(
            "INSERT INTO offer (lookup, label, purpose, key, limit_reset, state, text, reference, "
            "holder, created_at, next_ask_at) VALUES ($1, 'label', 1, $2, 0, 2, 'lno1', $3, '', 1, "
            "2)",
            InvoiceLookup{ByteArray<32>{}}, key, ours.hex());
    }));
    const cashu::Settler::OfferIssued issued{.offer = ours,
                                             .operation = OperationId{ByteArray<16>{std::byte{1}}},
                                             .mint = MintUrl::embedded(),
                                             .unit = Unit::Sat,
                                             .amount = 5000_msat};
    auto next = issued;
    next.operation = OperationId{ByteArray<16>{std::byte{2}}};
    next.amount = 2000_msat;
    auto strange = issued;
    strange.offer = OfferId{ByteArray<32>{std::byte{8}}};
    strange.operation = OperationId{ByteArray<16>{std::byte{3}}};
    for (int i = 0; i < 2; ++i) {
        for (const auto& event : {issued, next, strange}) {
            CHECK(world.in_tx([&](store::Tx& tx) { return world.books.offer_issued(tx, event); }));
        }
    }
    CHECK(world.posted(ecash_account(issued.mint, issued.unit)) == 12'000_msat);
    CHECK(world.posted(key_account(key)) == 7000_msat);
    CHECK(world.in_flight("unclaimed") == 5000_msat);
}

TEST_CASE("books: a payment is credited once, whoever tells of it") {
    Books world;
    const KeyId key = world.keyring.id_of_invoice("i");
    world.insert_invoice(key, kPayment);
    CHECK(world.settle(kPayment, 5000_msat) == Applied::Now);
    CHECK(world.settle(kPayment, 5000_msat) == Applied::Before);
    // The wallet tells of the same payment as well: one money event, one key.
    CHECK(world.issued_to_wallet(kPayment, 5000_msat));
    CHECK(world.posted(key_account(key)) == 5000_msat);
    CHECK(world.posted(kNode) == 5000_msat);
    CHECK(world.posted(ecash_account(MintUrl::embedded(), Unit::Sat)) == 0_msat);
}

TEST_CASE("books: money that came before its invoice's row knew it waits, and is claimed once") {
    Books world;
    CHECK(world.settle(kPayment, 4000_msat) == Applied::Now);
    CHECK(world.in_flight("unclaimed") == 4000_msat);

    const KeyId key = world.keyring.id_of_invoice("i");
    world.insert_invoice(key, kPayment);
    for (int i = 0; i < 2; ++i) {
        CHECK(world.in_tx([&](store::Tx& tx) { return world.books.claim(tx, kPayment); }));
        CHECK(world.in_flight("unclaimed") == 0_msat);
        CHECK(world.posted(key_account(key)) == 4000_msat);
    }
    CHECK(world.settle(kPayment, 4000_msat) == Applied::Before);
}

TEST_CASE("books: an operation that no row of ours began is refused") {
    Books world;
    const cashu::WalletError why{cashu::WalletError::Code::TokenSpent, ""};
    CHECK_FALSE(world.in_tx([&](store::Tx& tx) {
        return world.books.received(
            tx, {"deposit:00", MintUrl::embedded(), Unit::Sat, 1000_msat, 0_msat});
    }));
    CHECK_FALSE(world.in_tx(
        [&](store::Tx& tx) { return world.books.receive_failed(tx, "deposit:00", why); }));
    CHECK_FALSE(world.in_tx([&](store::Tx& tx) {
        return world.books.sent(
            tx, {"refund:00:1", MintUrl::embedded(), Unit::Sat, 1000_msat, 0_msat, "cashuB"});
    }));
    CHECK_FALSE(world.in_tx(
        [&](store::Tx& tx) { return world.books.send_failed(tx, "refund:00:1", why); }));
}

TEST_CASE("books: the mint issues what was paid for, and not more") {
    Books world;
    REQUIRE(world.in_tx([&](store::Tx& tx) { world.books.quote_paid(tx, kPayment, 9000_msat); }));
    for (int i = 0; i < 2; ++i) {  // Told twice, booked once.
        REQUIRE(
            world.in_tx([&](store::Tx& tx) { world.books.issued(tx, "quote", kOld, 9000_msat); }));
    }
    CHECK(world.outstanding(kOld) == 9000_msat);
    CHECK(world.in_flight("mint_quotes") == 0_msat);
    CHECK(world.posted(kNode) == 9000_msat);
    CHECK_FALSE(world.in_tx([&](store::Tx& tx) { world.books.issued(tx, "other", kOld, 1_msat); }));
    CHECK(world.outstanding(kOld) == 9000_msat);
}

TEST_CASE("books: a swap moves between keysets, and its fee is revenue") {
    Books world;
    world.issued_by_mint(9000_msat);
    // 9 sat of the old keyset in, 8 of the new one out, 1 kept.
    const std::vector<cashu::MintBooks::SwapLine> lines{{kOld, 9000_msat, 0_msat},
                                                        {kNew, 0_msat, 8000_msat}};
    for (int i = 0; i < 2; ++i) {
        REQUIRE(
            world.in_tx([&](store::Tx& tx) { world.books.swapped(tx, "swap", lines, 1000_msat); }));
    }
    CHECK(world.outstanding(kOld) == 0_msat);
    CHECK(world.outstanding(kNew) == 8000_msat);
    CHECK(world.posted(revenue_account(kRevenueMint)) == 1000_msat);
    // Within one keyset and without a fee there is nothing to say.
    REQUIRE(world.in_tx([&](store::Tx& tx) {
        world.books.swapped(tx, "same", {{kNew, 8000_msat, 8000_msat}}, 0_msat);
    }));
    // One that does not add up, either way, fails its transaction.
    CHECK_FALSE(world.in_tx([&](store::Tx& tx) {
        world.books.swapped(tx, "more", {{kNew, 4000_msat, 5000_msat}}, 0_msat);
    }));
    CHECK_FALSE(world.in_tx([&](store::Tx& tx) {
        world.books.swapped(tx, "less", {{kNew, 4000_msat, 3000_msat}}, 0_msat);
    }));
    CHECK(world.outstanding(kNew) == 8000_msat);
}

TEST_CASE("books: a melt ends paid, with its change, or given back") {
    Books world;
    world.issued_by_mint(20'000_msat);
    const std::vector<cashu::MintBooks::SwapLine> lines{{kOld, 10'000_msat, 0_msat}};
    REQUIRE(world.in_tx([&](store::Tx& tx) { world.books.melt_begun(tx, "failing", lines); }));
    CHECK(world.in_flight("melts") == 10'000_msat);
    REQUIRE(world.in_tx([&](store::Tx& tx) { world.books.melt_failed(tx, "failing", lines); }));
    CHECK(world.outstanding(kOld) == 20'000_msat);

    REQUIRE(world.in_tx([&](store::Tx& tx) { world.books.melt_begun(tx, "paying", lines); }));
    const cashu::MintBooks::MeltEnd end{.paid = 8000_msat,
                                        .routing_fee = 300_msat,
                                        .fee_kept = 700_msat,
                                        .change = {{kNew, 0_msat, 1000_msat}}};
    for (int i = 0; i < 2; ++i) {
        REQUIRE(world.in_tx([&](store::Tx& tx) { world.books.melt_paid(tx, "paying", end); }));
    }
    CHECK(world.in_flight("melts") == 0_msat);
    CHECK(world.outstanding(kOld) == 10'000_msat);
    CHECK(world.outstanding(kNew) == 1000_msat);
    CHECK(world.posted(kNode) == 11'700_msat);
    CHECK(world.posted(revenue_account(kRevenueMint)) == 700_msat);
}

TEST_CASE("books: an audit finds a Lightning node that holds less than the books say") {
    Books world;
    REQUIRE(cashu::Wallet::migrate(*world.database));
    REQUIRE(cashu::Mint::migrate(*world.database));
    REQUIRE(SimulatedLightning::migrate(*world.database));
    const auto missing = [&](Time now) {
        const auto report =
            world.database->read([&](store::Reader& reader) -> Result<BooksAudit, Stop> {
                return audit_books(reader, world.ledger, Ledger::Depth::Full, now);
            });
        std::string found;
        for (const std::string& fault : report->faults) {
            if (fault.starts_with("lightning")) found += fault;
        }
        return found;
    };
    CHECK(missing(world.clock.now()).empty());
    CashierBooks books{world.ledger, world.keyring, world.seed,
                       world.clock,  world.random,  "simulated"};
    REQUIRE(world.in_tx([&](store::Tx& tx) {
        books.quote_paid(tx, kPayment, 9000_msat);
        books.issued(tx, "quote", kOld, 9000_msat);
        tx.execute(
            "INSERT INTO simulated_invoice (hash, label, preimage, bolt11, amount, expires_at, "
            "due_at) VALUES ($1, 'l', $1, '', 8000, $2, $2)",
            kPayment, world.clock.now() + Seconds{1});
    }));
    CHECK(missing(world.clock.now()).find("9000 msat more") != std::string::npos);
    CHECK(missing(world.clock.now() + Seconds{1}).find("1000 msat more") != std::string::npos);
    // A melt under way may have been paid already.
    REQUIRE(world.in_tx([&](store::Tx& tx) {
        books.melt_begun(tx, "paying", {{kOld, 1000_msat, 0_msat}});
    }));
    CHECK(missing(world.clock.now() + Seconds{1}).empty());
}

TEST_CASE("books: proofs that somebody else spent are a loss, once for each operation") {
    Books world;
    const KeyId key = world.keyring.id_of_invoice("i");
    world.insert_invoice(key, kPayment);
    REQUIRE(world.issued_to_wallet(kPayment, 5000_msat));
    for (int i = 0; i < 2; ++i) {
        REQUIRE(world.in_tx([&](store::Tx& tx) {
            return world.books.lost(
                tx, {OperationId{ByteArray<16>{}}, MintUrl::embedded(), Unit::Sat, 2000_msat});
        }));
    }
    CHECK(world.posted(ecash_account(MintUrl::embedded(), Unit::Sat)) == 3000_msat);
    CHECK(world.posted({AccountKind::Losses, "ecash"}) == 2000_msat);
    CHECK(world.posted(key_account(key)) == 5000_msat);
}
