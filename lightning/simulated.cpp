#include "nutgate/lightning/simulated.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/store/migration.h"
#include "simulated_outcome.h"
#include "simulated_store.h"

namespace nutgate {
namespace {

using lightning::Trouble;
using lightning::without_detail;
using store::Reader;
using store::Row;
using store::StoreFailure;
using store::Tx;

constexpr Milliseconds kRetryAfter{1000};
constexpr Seconds kOutsideExpiry{3600};
constexpr std::string_view kJobName = "simulated lightning";

// Of an invoice: `due_at` is when it is paid, by whomever; NULL if nobody means to. Of a payment:
// when it ends. `settled_at` and `final_at` note that the time came and was told of; what is true
// follows from the times alone. What is paid to an offer gets its number then.
constexpr store::Migration kMigrations[] = {{1, R"(CREATE TABLE simulated_invoice (
    hash BLOB PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,
    preimage BLOB NOT NULL,
    bolt11 TEXT NOT NULL,
    amount BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    due_at BIGINT,
    settled_at BIGINT
);
CREATE INDEX simulated_invoice_open ON simulated_invoice (due_at) WHERE settled_at IS NULL;
CREATE TABLE simulated_payment (
    hash BLOB PRIMARY KEY,
    amount BIGINT NOT NULL,
    fee BIGINT NOT NULL,
    fails BIGINT NOT NULL,
    quiet BIGINT NOT NULL,
    preimage BLOB,
    due_at BIGINT NOT NULL,
    final_at BIGINT
);
CREATE INDEX simulated_payment_open ON simulated_payment (due_at) WHERE final_at IS NULL)"},
                                            {2, R"(CREATE TABLE simulated_offer (
    id BLOB PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,
    bolt12 TEXT NOT NULL,
    amount BIGINT,
    closed BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE simulated_offer_payment (
    hash BLOB PRIMARY KEY,
    offer BLOB NOT NULL,
    preimage BLOB NOT NULL,
    amount BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    number BIGINT UNIQUE
);
CREATE INDEX simulated_offer_payment_open ON simulated_offer_payment (due_at)
    WHERE number IS NULL)"}};

// Columns: amount, preimage, due_at, settled_at.
Payment incoming_payment(const Row& row, Time now) {
    const bool settled = !row.is_null(3) || (!row.is_null(2) && row.time(2) <= now);
    Payment payment{.state = PaymentState::Pending, .amount = {}, .fee = {}, .preimage = {}};
    if (!settled) return payment;
    payment.state = PaymentState::Settled;
    payment.amount = row.msat(0);
    payment.preimage = row.id<Preimage>(1);
    return payment;
}

// Columns: amount, fee, fails, preimage, due_at, final_at.
Payment outgoing_payment(const Row& row, Time now) {
    const bool ended = !row.is_null(5) || row.time(4) <= now;
    Payment payment{.state = PaymentState::Pending, .amount = {}, .fee = {}, .preimage = {}};
    if (!ended) return payment;
    payment.state = row.integer(2) != 0 ? PaymentState::Failed : PaymentState::Settled;
    if (payment.state == PaymentState::Failed) return payment;
    payment.amount = row.msat(0);
    payment.fee = row.msat(1);
    if (!row.is_null(3)) payment.preimage = row.id<Preimage>(3);
    return payment;
}

std::optional<Row> find_outgoing(Reader& reader, const PaymentHash& hash) {
    return reader.query_one(
        "SELECT amount, fee, fails, preimage, due_at, final_at FROM simulated_payment "
        "WHERE hash = $1",
        hash);
}

std::optional<Row> find_incoming(Reader& reader, const PaymentHash& hash) {
    return reader.query_one(
        "SELECT amount, preimage, due_at, settled_at FROM simulated_invoice WHERE hash = $1", hash);
}

struct Holdings {
    std::int64_t held;       // Never below zero: nothing is sent that did not come in before.
    std::int64_t available;  // Without what is on its way out.
};

Holdings read_holdings(Reader& reader, Time now) {
    const auto sum = [&](std::string_view sql) { return reader.query_one(sql, now)->integer(0); };
    const std::int64_t received =
        sum("SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM simulated_invoice "
            "WHERE settled_at IS NOT NULL OR due_at <= $1");
    const std::int64_t sent =
        sum("SELECT CAST(COALESCE(SUM(amount + fee), 0) AS BIGINT) FROM simulated_payment "
            "WHERE fails = 0 AND (final_at IS NOT NULL OR due_at <= $1)");
    const std::int64_t on_its_way =
        sum("SELECT CAST(COALESCE(SUM(amount + fee), 0) AS BIGINT) FROM simulated_payment "
            "WHERE final_at IS NULL AND due_at > $1");
    const std::int64_t held = received + lightning::received_by_offers(reader, now) - sent;
    return {.held = held, .available = held - on_its_way};
}

}  // namespace

Result<Msat, StoreFailure> simulated_balance(store::Database& database, const Clock& clock) {
    const Time now = clock.now();
    return database.read([&](Reader& reader) -> Result<Msat, StoreFailure> {
        return simulated_balance(reader, now);
    });
}

Msat simulated_balance(Reader& reader, Time now) {
    const Holdings holdings = read_holdings(reader, now);
    // The clock may have been set back, so that a receipt which was spent is yet to come.
    return *Msat::from_raw(std::clamp(holdings.held, std::int64_t{0}, Msat::kMax));
}

Result<void, StoreFailure> SimulatedLightning::migrate(store::Database& database) {
    return store::migrate(database, "simulated_lightning", kMigrations);
}

SimulatedLightning::SimulatedLightning(store::Database& database, const Clock& clock,
                                       Scheduler& scheduler, crypto::Random& random,
                                       const Options& options)
    : database_{database},
      clock_{clock},
      scheduler_{scheduler},
      random_{random},
      node_key_{options.node_key},
      preimage_key_{crypto::hkdf_sha256(options.node_key.bytes(), {},
                                        "nutgate simulated lightning preimages", 32)},
      settle_after_{options.settle_after} {}

SimulatedLightning::~SimulatedLightning() {
    {
        const Lock lock{mutex_};
        closing_ = true;
        if (wake_) scheduler_.cancel(wake_->job);
    }
    // One that was cancelled too late may still be at it.
    scheduler_.wait_for_running();
}

// Never goes back, so that what was seen as settled stays so when the system's clock is set; and
// goes on, so that what is due comes.
Time SimulatedLightning::now() const {
    const Lock lock{time_mutex_};
    const Time now = clock_.now();
    if (now < last_) set_back_ += last_ - now;
    last_ = now;
    return now + set_back_;
}

Result<Invoice, BackendError> SimulatedLightning::create_invoice(const InvoiceOrder& order) {
    if (order.amount == Msat{} || order.amount > kAmountMax || order.expiry <= Seconds{0} ||
        order.expiry > kExpiryMax || order.label.empty()) {
        return fail(BackendError::Refused);
    }
    const Time created_at = now();
    const auto label = as_bytes(order.label);
    const Preimage preimage{
        crypto::hmac_sha256(preimage_key_.reveal(), {as_bytes("invoice|"), label})};
    const PaymentHash hash{crypto::sha256(preimage.bytes())};
    const auto bolt11 = write_bolt11({.network = network(),
                                      .amount = order.amount,
                                      .created_at = created_at,
                                      .expiry = order.expiry,
                                      .payment_hash = hash,
                                      .payment_secret = crypto::hmac_sha256(
                                          preimage_key_.reveal(), {as_bytes("secret|"), label}),
                                      .description = order.memo},
                                     node_key_);
    const Time expires_at = from_unix_seconds(to_unix_seconds(created_at)) + order.expiry;
    std::optional<Time> due = created_at + settle_after_;
    if (due >= expires_at || !simulated_outcome(order.memo).paid_by_itself) due.reset();

    auto invoice = database_.transact([&](Tx& tx) -> Result<Invoice, Trouble> {
        tx.execute(
            "INSERT INTO simulated_invoice "
            "(hash, label, preimage, bolt11, amount, expires_at, due_at, settled_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, NULL) ON CONFLICT (label) DO NOTHING",
            hash, order.label, preimage, bolt11, order.amount, expires_at, due);
        const auto row = tx.query_one(
            "SELECT hash, bolt11, amount, expires_at FROM simulated_invoice WHERE label = $1",
            order.label);
        VERIFY(row.has_value());
        if (row->msat(2) != order.amount) return fail(BackendError::Refused);
        return Invoice{
            .hash = row->id<PaymentHash>(0), .bolt11 = row->text(1), .expires_at = row->time(3)};
    });
    if (invoice && due) wake_at(*due);
    return without_detail(std::move(invoice));
}

Result<Payment, BackendError> SimulatedLightning::incoming(const PaymentHash& hash) {
    const Time at = now();
    return without_detail(database_.read([&](Reader& reader) -> Result<Payment, Trouble> {
        const auto row = find_incoming(reader, hash);
        if (!row) return fail(BackendError::NotFound);
        return incoming_payment(*row, at);
    }));
}

Result<Payment, BackendError> SimulatedLightning::pay(const PaymentOrder& order) {
    const auto invoice = parse_bolt11(order.bolt11);
    if (!invoice || invoice->network != network() || invoice->payment_hash != order.hash ||
        invoice->amount.value_or(order.amount) != order.amount || order.amount == Msat{} ||
        order.amount > kAmountMax) {
        return fail(BackendError::Refused);
    }
    const auto outcome = simulated_outcome(invoice->description.value_or(""));
    const auto outside = outside_preimage(*invoice);
    const Time at = now();
    const Time due = at + outcome.delay;
    const bool at_once = outcome.delay == Milliseconds{0};

    auto paid = database_.transact([&](Tx& tx) -> Result<Payment, Trouble> {
        if (const auto row = find_outgoing(tx, order.hash)) return outgoing_payment(*row, at);
        if (at >= invoice->expires_at()) return fail(BackendError::Refused);
        if (outcome.fee > order.fee_max) return fail(BackendError::Refused);
        const auto own = find_incoming(tx, order.hash);
        // Who wrote another invoice under our hash does not pay ours: it would be settled in full.
        if (own && own->msat(0) != order.amount) return fail(BackendError::Refused);
        // Nobody pays an invoice twice, and a node that is asked to says so.
        if (own && incoming_payment(*own, at).state == PaymentState::Settled) {
            return fail(BackendError::Refused);
        }
        const auto cost = add(order.amount, outcome.fee);
        if (!cost || cost->raw() > read_holdings(tx, at).available) {
            return fail(BackendError::Refused);
        }
        const auto preimage = own ? own->id<Preimage>(1) : outside;
        tx.execute(
            "INSERT INTO simulated_payment "
            "(hash, amount, fee, fails, quiet, preimage, due_at, final_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            order.hash, order.amount, outcome.fee, outcome.fails ? 1 : 0, outcome.quiet ? 1 : 0,
            preimage, due, at_once ? std::optional{due} : std::nullopt);
        if (own && !outcome.fails) {
            tx.execute("UPDATE simulated_invoice SET due_at = $1 WHERE hash = $2", due, order.hash);
        }
        return outgoing_payment(*find_outgoing(tx, order.hash), at);
    });
    // Whether the row is there is not known, so neither is whether it will be paid.
    if (!paid && paid.error().store) {
        return Payment{.state = PaymentState::Pending, .amount = {}, .fee = {}, .preimage = {}};
    }
    if (paid) wake_at(due);
    return without_detail(paid);
}

Result<Payment, BackendError> SimulatedLightning::outgoing(const PaymentHash& hash) {
    const Time at = now();
    return without_detail(database_.read([&](Reader& reader) -> Result<Payment, Trouble> {
        const auto row = find_outgoing(reader, hash);
        if (!row) return fail(BackendError::NotFound);
        return outgoing_payment(*row, at);
    }));
}

Result<Msat, BackendError> SimulatedLightning::estimate_fee(const Bolt11& invoice, Msat) {
    return simulated_outcome(invoice.description.value_or("")).fee;
}

void SimulatedLightning::on_change(std::function<void(const PaymentHash&)> hint) {
    {
        const Lock lock{mutex_};
        hint_ = std::move(hint);
    }
    // What was due while nobody ran is told of now, and the rest when it is due.
    wake_at(Time{});
}

std::string SimulatedLightning::outside_invoice(Msat amount, const std::string& description) const {
    VERIFY(amount > Msat{} && amount <= kAmountMax);
    // The secret names the invoice, and its preimage follows from it: whoever made it will know it.
    const auto secret = random_.bytes<32>();
    const auto preimage =
        crypto::hmac_sha256(preimage_key_.reveal(), {as_bytes("outside|"), secret});
    const auto key = crypto::Scalar::reduce(
        crypto::hmac_sha256(preimage_key_.reveal(), {as_bytes("outside node")}));
    VERIFY(key.has_value());
    return write_bolt11({.network = network(),
                         .amount = amount,
                         .created_at = now(),
                         .expiry = kOutsideExpiry,
                         .payment_hash = PaymentHash{crypto::sha256(preimage)},
                         .payment_secret = secret,
                         .description = description},
                        *key);
}

std::optional<Preimage> SimulatedLightning::outside_preimage(const Bolt11& invoice) const {
    const Preimage preimage{crypto::hmac_sha256(preimage_key_.reveal(),
                                                {as_bytes("outside|"), invoice.payment_secret})};
    if (PaymentHash{crypto::sha256(preimage.bytes())} != invoice.payment_hash) return std::nullopt;
    return preimage;
}

void SimulatedLightning::wake_at(Time due) {
    const auto delay = std::max(due - now(), Milliseconds{0});
    const Lock lock{mutex_};
    if (closing_ || (wake_ && wake_->due <= due)) return;
    if (wake_) scheduler_.cancel(wake_->job);
    const std::uint64_t generation = ++generation_;
    const auto job =
        scheduler_.after(delay, std::string{kJobName},
                         [this, generation](const std::stop_token&) { tick(generation); });
    wake_ = Wake{.job = job, .due = due, .generation = generation};
}

// Notes what has become due, tells of it, and sees to the next.
void SimulatedLightning::tick(std::uint64_t generation) {
    std::function<void(const PaymentHash&)> hint;
    {
        const Lock lock{mutex_};
        if (closing_) return;
        // A job that was cancelled too late must not forget the one that took its place.
        if (wake_ && wake_->generation == generation) wake_.reset();
        hint = hint_;
    }
    struct Due {
        std::vector<PaymentHash> changed;
        std::optional<Time> next;
    };
    const Time at = now();
    const auto due = database_.transact([&](Tx& tx) -> Result<Due, StoreFailure> {
        Due found{.changed = lightning::number_arrivals(tx, at),
                  .next = lightning::next_arrival(tx)};
        for (const auto& row : tx.query("UPDATE simulated_invoice SET settled_at = due_at "
                                        "WHERE settled_at IS NULL AND due_at <= $1 RETURNING hash",
                                        at)) {
            found.changed.push_back(row.id<PaymentHash>(0));
        }
        for (const auto& row :
             tx.query("UPDATE simulated_payment SET final_at = due_at "
                      "WHERE final_at IS NULL AND due_at <= $1 RETURNING hash, quiet",
                      at)) {
            if (row.integer(1) == 0) found.changed.push_back(row.id<PaymentHash>(0));
        }
        for (const std::string_view sql :
             {"SELECT MIN(due_at) FROM simulated_invoice WHERE settled_at IS NULL",
              "SELECT MIN(due_at) FROM simulated_payment WHERE final_at IS NULL"}) {
            const auto row = tx.query_one(sql);
            if (row->is_null(0)) continue;
            found.next = std::min(found.next.value_or(row->time(0)), row->time(0));
        }
        return found;
    });
    if (!due) {
        log::warn("simulated_lightning_store", {{"detail", due.error().detail}});
        wake_at(at + kRetryAfter);
        return;
    }
    if (due->next) wake_at(*due->next);
    if (!hint) return;
    for (const auto& hash : due->changed) hint(hash);
}

}  // namespace nutgate
