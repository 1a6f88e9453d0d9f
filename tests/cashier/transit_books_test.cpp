// The books of our own money on its way, and of tokens of mints that are not trusted: whichever leg
// is told first, they end the same.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>

#include "nutgate/cashier/books.h"
#include "nutgate/cashier/error.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/store/open.h"
#include "support/fixed_clock.h"
#include "support/seeded_random.h"

using namespace nutgate;
using namespace nutgate::literals;
using cashu::MintUrl;
using cashu::Settler;
using cashu::Unit;

namespace {

const PaymentHash kPayment{ByteArray<32>{std::byte{1}}};
const PaymentHash kOther{ByteArray<32>{std::byte{2}}};
const MintUrl kFrom = *MintUrl::parse("https://from.example");
const MintUrl kTo = *MintUrl::parse("https://to.example");
const Account kFromEcash = ecash_account(kFrom, Unit::Sat);
const Account kToEcash = ecash_account(kTo, Unit::Sat);
const cashu::WalletError kUnpaid{cashu::WalletError::Code::PaymentFailed, "no route"};

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
    const KeyId key = keyring.id_of_invoice("i");

    // 100 sat of ecash at kFrom, and 100 at the node; all of them a customer's.
    Books() {
        REQUIRE(Ledger::migrate(*database));
        REQUIRE(Keyring::migrate(*database));
        REQUIRE(CashierBooks::migrate(*database));
        REQUIRE(cashu::Wallet::migrate(*database));
        REQUIRE(cashu::Mint::migrate(*database));
        REQUIRE(in_tx([&](store::Tx& tx) { return put_in(tx, 1, kFromEcash); }));
        REQUIRE(in_tx([&](store::Tx& tx) { return put_in(tx, 2, lightning_account("lnd")); }));
    }
    ~Books() { audit(); }

    Result<void, Stop> put_in(store::Tx& tx, int n, const Account& asset) {
        TRY_VOID(ledger.transfer(tx, {.id = TransferId{ByteArray<32>{std::byte(n)}},
                                      .debit = asset,
                                      .credit = key_account(key),
                                      .amount = 100'000_msat}));
        return {};
    }
    // There are no proofs in these tests: all but those must match the rows, at every moment.
    void audit() {
        const auto report = database->read([&](store::Reader& reader) -> Result<BooksAudit, Stop> {
            return audit_books(reader, ledger, Ledger::Depth::Full, clock.now());
        });
        REQUIRE(report.has_value());
        CHECK(report->ledger.sound());
        for (const std::string& fault : report->faults) {
            if (!fault.starts_with("ecash ")) FAIL_CHECK(fault);
        }
    }
    // True if it was committed.
    bool in_tx(const std::function<Result<void, Stop>(store::Tx&)>& body) {
        return database
            ->transact([&](store::Tx& tx) -> Result<bool, Stop> {
                TRY_VOID(body(tx));
                return true;
            })
            .has_value();
    }
    template <class Body>
    bool told(Body body) {
        const bool done = in_tx([&](store::Tx& tx) -> Result<void, Stop> {
            TRY_VOID(body(tx));
            return {};
        });
        audit();
        return done;
    }
    Msat posted(const Account& account) {
        return *database->read([&](store::Reader& reader) -> Result<Msat, Stop> {
            return ledger.balance(reader, account).posted;
        });
    }
    Msat in_flight(std::string name) {
        return posted({AccountKind::PaymentInFlight, std::move(name)});
    }
    Msat transit() { return posted({AccountKind::Lightning, "transit"}); }

    void insert_transit(const std::string& reference, const std::string& backend = "") {
        REQUIRE(in_tx([&](store::Tx& tx) -> Result<void, Stop> {
            tx.execute(
                "INSERT INTO transit (payment_hash, reference, operation, backend, target, amount, "
                "fee, state, created_at) VALUES ($1, $2, $3, $4, $5, 60000, 2000, 1, $6)",
                kPayment, std::string_view{reference}, OperationId{ByteArray<16>{}},
                std::string_view{backend}, std::string_view{kTo.text()}, clock.now());
            return {};
        }));
    }
    void insert_deposit(const KeyId& whose, int kind) {
        REQUIRE(in_tx([&](store::Tx& tx) -> Result<void, Stop> {
            tx.execute(
                "INSERT INTO deposit (identity, reference, kind, key, limit_reset, mint, "
                "operation, "
                "state, created_at, payment_hash) VALUES ($1, 'deposit:1', $2, $3, 0, $4, $5, 1, "
                "$6, $7)",
                TokenIdentity{ByteArray<32>{}}, kind, whose, std::string_view{kFrom.text()},
                OperationId{ByteArray<16>{}}, clock.now(), kPayment);
            return {};
        }));
    }
    bool melted(Settler::Inputs inputs, const std::string& reference, Msat amount = 60'000_msat) {
        return told([&](store::Tx& tx) {
            return books.melted(tx, Settler::Melted{.reference = reference,
                                                    .mint = kFrom,
                                                    .unit = Unit::Sat,
                                                    .inputs = inputs,
                                                    .payment = kPayment,
                                                    .amount = amount,
                                                    .fee = 1500_msat,
                                                    .change = 7000_msat,
                                                    .preimage = std::nullopt});
        });
    }
    bool melt_failed(const std::string& reference) {
        return told([&](store::Tx& tx) { return books.melt_failed(tx, reference, kUnpaid); });
    }
    bool issued(const PaymentHash& payment = kPayment, Msat amount = 60'000_msat) {
        return told([&](store::Tx& tx) {
            return books.issued(tx, Settler::Issued{payment, kTo, Unit::Sat, amount});
        });
    }
};

}  // namespace

TEST_CASE("books: a swap of ours leaves, is on its way and arrives, each told twice") {
    Books world;
    world.insert_transit("swap:1");
    for (int i = 0; i < 2; ++i) {
        CHECK(world.melted(Settler::Inputs::Ours, "swap:1"));
        CHECK(world.posted(kFromEcash) == 38'500_msat);
        CHECK(world.posted({AccountKind::Fees, kFrom.text()}) == 1500_msat);
        CHECK(world.transit() == 60'000_msat);
    }
    for (int i = 0; i < 2; ++i) {
        CHECK(world.issued());
        CHECK(world.transit() == 0_msat);
        CHECK(world.posted(kToEcash) == 60'000_msat);
    }
    CHECK(world.melted(Settler::Inputs::Ours, "swap:1"));
    CHECK(world.in_flight("unclaimed") == 0_msat);
    CHECK(world.posted(key_account(world.key)) == 200'000_msat);
}

TEST_CASE("books: what arrives before it is known to have left is unclaimed until then") {
    Books world;
    world.insert_transit("swap:1");
    for (int i = 0; i < 2; ++i) {
        CHECK(world.issued());
        CHECK(world.in_flight("unclaimed") == 60'000_msat);
        CHECK(world.posted(kToEcash) == 60'000_msat);
    }
    for (int i = 0; i < 2; ++i) {
        CHECK(world.melted(Settler::Inputs::Ours, "swap:1"));
        CHECK(world.transit() == 0_msat);
        CHECK(world.in_flight("unclaimed") == 0_msat);
    }
    CHECK(world.issued());
    CHECK(world.posted(kFromEcash) == 38'500_msat);
    CHECK(world.posted(kToEcash) == 60'000_msat);
    CHECK(world.posted(key_account(world.key)) == 200'000_msat);
}

TEST_CASE("books: if our leg fails, what somebody else paid for stays unclaimed, and visible") {
    for (const bool issued_first : {true, false}) {
        CAPTURE(issued_first);
        Books world;
        world.insert_transit("swap:1");
        if (issued_first) CHECK(world.issued());
        for (int i = 0; i < 2; ++i) CHECK(world.melt_failed("swap:1"));
        if (!issued_first) CHECK(world.issued());
        CHECK(world.in_flight("unclaimed") == 60'000_msat);
        CHECK(world.transit() == 0_msat);
        CHECK(world.posted(kFromEcash) == 100'000_msat);
        // It failed for good.
        CHECK_FALSE(world.melted(Settler::Inputs::Ours, "swap:1"));
        CHECK(world.posted(kFromEcash) == 100'000_msat);
    }
}

TEST_CASE("books: a swap that is another than was begun is refused, and so is failing after it") {
    Books world;
    CHECK_FALSE(world.melted(Settler::Inputs::Ours, "swap:1"));
    CHECK_FALSE(world.melt_failed("swap:1"));
    world.insert_transit("swap:1");
    CHECK_FALSE(world.melted(Settler::Inputs::Ours, "swap:1", 59'000_msat));
    CHECK(world.melted(Settler::Inputs::Ours, "swap:1"));
    CHECK_FALSE(world.melt_failed("swap:1"));
    CHECK(world.transit() == 60'000_msat);
    CHECK(world.issued());
}

TEST_CASE("books: a funding leaves the node's Lightning and arrives as ecash, in either order") {
    for (const bool issued_first : {true, false}) {
        CAPTURE(issued_first);
        Books world;
        world.insert_transit("fund:1", "lnd");
        const auto funded = [&] {
            return world.told([&](store::Tx& tx) {
                return world.books.funded(tx, {"fund:1", "lnd", kPayment, 60'000_msat, 1200_msat});
            });
        };
        if (issued_first) CHECK(world.issued());
        for (int i = 0; i < 2; ++i) CHECK(funded());
        if (!issued_first) {
            CHECK(world.transit() == 60'000_msat);
            CHECK(world.issued());
        }
        CHECK(world.transit() == 0_msat);
        CHECK(world.posted(lightning_account("lnd")) == 38'800_msat);
        CHECK(world.posted({AccountKind::Fees, "lnd"}) == 1200_msat);
        CHECK(world.posted(kToEcash) == 60'000_msat);
        CHECK(world.in_flight("unclaimed") == 0_msat);
        CHECK_FALSE(world.told(
            [&](store::Tx& tx) { return world.books.fund_failed(tx, "fund:1", kUnpaid); }));
    }
}

TEST_CASE("books: a foreign token is credited by what arrives, once, and its change to nobody") {
    for (const bool issued_first : {true, false}) {
        CAPTURE(issued_first);
        Books world;
        const KeyId buyer = world.keyring.id_of_invoice("buyer");
        world.insert_deposit(buyer, 1);
        if (issued_first) CHECK(world.issued());
        for (int i = 0; i < 2; ++i) CHECK(world.melted(Settler::Inputs::Token, "deposit:1"));
        for (int i = 0; i < 2; ++i) CHECK(world.issued());
        CHECK(world.posted(key_account(buyer)) == 60'000_msat);
        CHECK(world.posted(kToEcash) == 60'000_msat);
        CHECK(world.in_flight("foreign_change") == 7000_msat);
        CHECK(world.posted(kFromEcash) == 107'000_msat);
        CHECK(world.posted({AccountKind::Fees, kFrom.text()}) == 0_msat);
    }
}

TEST_CASE("books: a foreign token that was not spent gives nothing, whoever pays its quote later") {
    Books world;
    const KeyId buyer = world.keyring.id_of_invoice("buyer");
    world.insert_deposit(buyer, 1);
    for (int i = 0; i < 2; ++i) CHECK(world.melt_failed("deposit:1"));
    CHECK(world.issued());
    CHECK(world.posted(key_account(buyer)) == 0_msat);
    CHECK(world.in_flight("unclaimed") == 60'000_msat);
}

TEST_CASE(
    "books: somebody else may pay a foreign token's quote: it arrived, and is credited once") {
    Books world;
    const KeyId buyer = world.keyring.id_of_invoice("buyer");
    world.insert_deposit(buyer, 1);
    CHECK(world.issued());
    CHECK(world.melt_failed("deposit:1"));
    CHECK(world.posted(key_account(buyer)) == 60'000_msat);
    CHECK(world.in_flight("unclaimed") == 0_msat);
}

TEST_CASE("books: a foreign token of the owner's is paid in, and makes no key") {
    Books world;
    world.insert_deposit(KeyId{ByteArray<16>{std::byte{9}}}, 3);
    CHECK(world.melted(Settler::Inputs::Token, "deposit:1"));
    CHECK(world.issued());
    CHECK(world.posted({AccountKind::Owner, "paid_in"}) == 60'000_msat);
    CHECK(world.posted(key_account(KeyId{ByteArray<16>{std::byte{9}}})) == 0_msat);
    CHECK(world.in_flight("unclaimed") == 0_msat);
}

TEST_CASE("books: a payment that nothing of ours waits for is unclaimed") {
    Books world;
    world.insert_transit("swap:1");
    CHECK(world.issued(kOther, 3000_msat));
    CHECK(world.in_flight("unclaimed") == 3000_msat);
    CHECK(world.melt_failed("swap:1"));
}
