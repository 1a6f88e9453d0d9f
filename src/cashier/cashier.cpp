#include "nutgate/cashier/cashier.h"

#include <algorithm>
#include <string>
#include <utility>

#include "error_name.h"
#include "impl.h"
#include "nutgate/crypto/hash.h"
#include "posting.h"

namespace nutgate {
namespace {

using Code = CashierError::Code;
using store::Reader;
using store::Row;
using store::Tx;

// A row whose backend did not answer within this was never shown to anybody.
constexpr Seconds kOpeningForgotten{600};
constexpr Seconds kRefusedForgotten{24 * 3600};

// Transfers under one commit: what waits for it, charges among it, waits some milliseconds more.
constexpr std::int64_t kSealedAtOnceMax = 500;

}  // namespace

Cashier::Cashier(store::Database& database, Ledger& ledger, Keyring& keyring, CashierBooks& books,
                 Spending& spending, cashu::Wallet& wallet, payment::PaymentMethods& methods,
                 const Secret& seed, const Clock& clock, crypto::Random& random, Options options,
                 metrics::Registry& metrics)
    : impl_{new Impl{
          .database = database,
          .ledger = ledger,
          .keyring = keyring,
          .books = books,
          .spending = spending,
          .wallet = wallet,
          .methods = methods,
          .lookup_secret =
              Secret{crypto::hkdf_sha256(seed.reveal(), {}, "nutgate/cashier/lookup", 32)},
          .clock = clock,
          .random = random,
          .options = options,
          .refusals = {clock, options.refusal_memory, options.refusals_max},
          .pauses = Pauses{clock},
          .deposits = metrics.counter("nutgate_deposits_total", "Tokens credited to a key."),
          .invoices_paid = metrics.counter("nutgate_invoices_paid_total", "Invoices found paid."),
          .refunds = metrics.counter("nutgate_refunds_total", "Refund tokens made."),
          .unfinished =
              metrics.gauge("nutgate_cashier_unfinished",
                            "Deposits, payouts and moves of the node's own money that were "
                            "begun and have not ended."),
      }} {}

Cashier::~Cashier() = default;

Cashier::Impl::Spendable Cashier::Impl::spendable(Reader& reader, const KeyId& payer,
                                                  const Spending::View& spent) const {
    Spendable found{.balance = ledger.balance(reader, key_account(payer)).posted,
                    .reserved = spent.open,
                    .unposted = {}};
    for (const Spending::Unposted& charge : spent.unposted) {
        if (ledger.captures(reader, charge.hold) < charge.sequence)
            found.unposted.push_back(charge);
    }
    found.balance = subtract(found.balance, found.reserved).value_or(Msat{});
    for (const Spending::Unposted& charge : found.unposted) {
        found.balance = subtract(found.balance, charge.cost).value_or(Msat{});
    }
    return found;
}

Result<KeyId, CashierError> Cashier::Impl::payee(Reader& reader, const KeyId& key) const {
    const auto record = keyring.find(reader, key);
    if (!record) return fail(make_error(Code::KeyUnknown));
    if (record->state == KeyState::Revoked) return fail(make_error(Code::KeyRevoked));
    return record->billing();
}

Result<void, CashierError> Cashier::Impl::check_limits(const KeyLimits& limits) const {
    if (limits.valid_until && *limits.valid_until <= clock.now()) {
        return fail(make_error(Code::LimitInvalid, "its validity is over already"));
    }
    if (limits.reset != LimitReset::Never && !limits.balance_limit) {
        return fail(make_error(Code::LimitInvalid, "a reset without a limit"));
    }
    return {};
}

CashierError Cashier::Impl::not_done(RowState state, std::optional<Code> failure,
                                     const Result<void, cashu::WalletError>& ran) const {
    VERIFY(state != RowState::Done);
    if (state == RowState::Failed) {
        return make_error(failure.value_or(Code::MintRefused), ran ? "" : ran.error().detail);
    }
    auto error = make_error(Code::InProgress, ran ? "blocked" : ran.error().detail);
    error.retry_after = options.retry_after;
    return error;
}

Result<std::int64_t, CashierError> Cashier::Impl::count_unfinished() {
    return database.read([&](Reader& reader) -> Result<std::int64_t, CashierError> {
        const auto deposits_left = reader.query_one("SELECT COUNT(*) FROM deposit WHERE state = $1",
                                                    stored(RowState::Submitted));
        const auto payouts_left = reader.query_one("SELECT COUNT(*) FROM payout WHERE state = $1",
                                                   stored(RowState::Submitted));
        const auto transits_left =
            reader.query_one("SELECT COUNT(*) FROM transit WHERE state IN ($1, $2)",
                             stored(TransitState::Submitted), stored(TransitState::Left));
        const auto remittances_left = reader.query_one(
            "SELECT COUNT(*) FROM remittance WHERE state = $1", stored(RowState::Submitted));
        return deposits_left->integer(0) + payouts_left->integer(0) + transits_left->integer(0) +
               remittances_left->integer(0);
    });
}

Result<void, CashierError> Cashier::Impl::forget_what_came_to_nothing() {
    const Time now = clock.now();
    return database.transact([&](Tx& tx) -> Result<void, CashierError> {
        tx.execute("UPDATE invoice SET state = $1 WHERE state = $2 AND created_at < $3",
                   stored(InvoiceState::Cancelled), stored(InvoiceState::Opening),
                   now - kOpeningForgotten);
        // Nobody ever saw the invoice, and the token brought nothing: asked again, its mint says
        // why again. Anybody can make such rows, so they must not stay.
        tx.execute("DELETE FROM invoice WHERE state = $1 AND created_at < $2",
                   stored(InvoiceState::Cancelled), now - kRefusedForgotten);
        tx.execute("DELETE FROM deposit WHERE state = $1 AND ended_at < $2",
                   stored(RowState::Failed), now - kRefusedForgotten);
        tx.execute("UPDATE offer SET state = $1 WHERE state = $2 AND created_at < $3",
                   stored(OfferState::NeverMade), stored(OfferState::Opening),
                   now - kOpeningForgotten);
        tx.execute("DELETE FROM offer WHERE state = $1 AND created_at < $2",
                   stored(OfferState::NeverMade), now - kRefusedForgotten);
        tx.execute(
            "UPDATE offer SET state = $1 WHERE state = $2 AND payments = 0 AND "
            "created_at < $3",
            stored(OfferState::Closed), stored(OfferState::Open), now - options.offer_unpaid_max);
        tx.execute("DELETE FROM token_request WHERE state = $1 AND expires_at < $2",
                   stored(RequestState::Pending), now - kRefusedForgotten);
        tx.execute("DELETE FROM transit WHERE state = $1 AND ended_at < $2",
                   stored(TransitState::Failed), now - kRefusedForgotten);
        return {};
    });
}

// What a crash left unfinished is the wallet's to finish: its Settler writes the end into our rows.
Result<void, CashierError> Cashier::recover() {
    TRY_VOID(impl_->forget_what_came_to_nothing());
    TRY_VOID(settle_invoices());
    TRY(const auto left, impl_->count_unfinished());
    impl_->unfinished.set(left);
    return {};
}

namespace {

// What a key has spent includes what is on its way to the books.
void count_unposted(KeyRecord& record, const std::vector<Spending::Unposted>& unposted) {
    for (const Spending::Unposted& charge : unposted) {
        if (charge.key != record.id) continue;
        record.total_spent = add(record.total_spent, charge.cost).value_or(record.total_spent);
        record.limit_spent = add(record.limit_spent, charge.cost).value_or(record.limit_spent);
        record.total_requests += charge.requests;
    }
}

}  // namespace

Result<KeyInfo, CashierError> Cashier::info(const KeyId& key) {
    const Impl& my = *impl_;
    TRY(const auto payer, my.database.read([&](Reader& reader) -> Result<KeyId, CashierError> {
        const auto record = my.keyring.find(reader, key);
        if (!record) return fail(make_error(Code::KeyUnknown));
        return record->billing();
    }));
    const auto spent = my.spending.view(payer);
    return my.database.read([&](Reader& reader) -> Result<KeyInfo, CashierError> {
        const auto found = my.spendable(reader, payer, spent);
        KeyInfo info{
            .record = *my.keyring.find(reader, key),
            .balance = found.balance,
            .reserved = found.reserved,
            .children = payer == key ? my.keyring.children(reader, key) : std::vector<KeyRecord>{}};
        count_unposted(info.record, found.unposted);
        for (KeyRecord& child : info.children) count_unposted(child, found.unposted);
        return info;
    });
}

Result<std::vector<HistoryEntry>, CashierError> Cashier::history(const KeyId& key, int limit) {
    using Source = HistoryEntry::Source;
    return impl_->database.read(
        [&](Reader& reader) -> Result<std::vector<HistoryEntry>, CashierError> {
            const auto record = impl_->keyring.find(reader, key);
            if (!record) return fail(make_error(Code::KeyUnknown));
            if (record->parent) return fail(make_error(Code::ChildKey));
            std::vector<HistoryEntry> entries;
            for (const Row& row : reader.query(
                     "SELECT identity, credited, mint, ended_at FROM deposit WHERE key = $1 AND "
                     "state = $2 AND kind <> $4 ORDER BY ended_at DESC LIMIT $3",
                     key, stored(RowState::Done), limit, stored(DepositKind::Owner))) {
                entries.push_back({.id = "token-" + to_hex(row.bytes(0).first(8)),
                                   .source = Source::Cashu,
                                   .incoming = true,
                                   .amount = row.msat(1),
                                   .mint = row.text(2),
                                   .at = row.time(3),
                                   .token = {}});
            }
            for (const Row& row : reader.query(
                     "SELECT payment_hash, credited, paid_at FROM invoice WHERE key = $1 AND "
                     "state = $2 ORDER BY paid_at DESC LIMIT $3",
                     key, stored(InvoiceState::Paid), limit)) {
                entries.push_back({.id = "invoice-" + to_hex(row.bytes(0).first(8)),
                                   .source = Source::Lightning,
                                   .incoming = true,
                                   .amount = row.msat(1),
                                   .mint = {},
                                   .at = row.time(2),
                                   .token = {}});
            }
            add_offer_payments(reader, key, limit, entries);
            for (const Row& row : reader.query(
                     "SELECT seq, amount, mint, ended_at, reference, sealed FROM payout WHERE "
                     "key = $1 AND state = $2 ORDER BY seq DESC LIMIT $3",
                     key, stored(RowState::Done), limit)) {
                auto token = impl_->books.open_token(row.text(4), row.bytes(5));
                if (!token) return fail(unreadable_token());
                entries.push_back({.id = "refund-" + std::to_string(row.integer(0)),
                                   .source = Source::Refund,
                                   .incoming = false,
                                   .amount = row.msat(1),
                                   .mint = row.text(2),
                                   .at = row.time(3),
                                   .token = *std::move(token)});
            }
            for (const Row& row : reader.query(
                     "SELECT id, amount + fee, ended_at FROM remittance WHERE key = $1 AND "
                     "state = $2 ORDER BY ended_at DESC LIMIT $3",
                     key, stored(RowState::Done), limit)) {
                entries.push_back({.id = "refund-" + to_hex(row.bytes(0).first(8)),
                                   .source = Source::Refund,
                                   .incoming = false,
                                   .amount = row.msat(1),
                                   .mint = {},
                                   .at = row.time(2),
                                   .token = {}});
            }
            std::ranges::stable_sort(entries, std::ranges::greater{}, &HistoryEntry::at);
            if (entries.size() > static_cast<std::size_t>(limit)) {
                entries.erase(entries.begin() + limit, entries.end());
            }
            return entries;
        });
}

Result<Cashier::Children, CashierError> Cashier::create_children(const KeyId& parent, int count,
                                                                 const KeyLimits& limits) {
    if (count < 1 || count > impl_->options.children_max) {
        return fail(make_error(Code::CountOutOfRange));
    }
    TRY_VOID(impl_->check_limits(limits));
    const auto cost =
        multiply_ceil(impl_->options.child_key_cost, static_cast<std::uint64_t>(count), 1);
    if (!cost) return fail(make_error(Code::CountOutOfRange));
    std::vector<KeyId> keys;
    for (int i = 0; i < count; ++i) keys.push_back(Keyring::random_id(impl_->random));

    // With its slices given back, the books say what it has.
    TRY(const auto pause, impl_->spending.pause(parent));
    return impl_->database.transact([&](Tx& tx) -> Result<Children, CashierError> {
        const auto record = impl_->keyring.find(tx, parent);
        if (!record) return fail(make_error(Code::KeyUnknown));
        if (record->parent) return fail(make_error(Code::ChildKey));
        const Account payer = key_account(parent);
        if (impl_->ledger.balance(tx, payer).available() < *cost) {
            return fail(make_error(Code::BalanceTooSmall));
        }
        for (const KeyId& key : keys) {
            TRY_VOID(impl_->keyring.create(
                tx, {.id = key, .parent = parent, .limits = limits, .refund_mint = {}}));
        }
        TRY_VOID(post_amount(impl_->ledger, tx,
                             {.id = transfer_id("child keys", {keys.front().hex()}),
                              .debit = payer,
                              .credit = revenue_account(kRevenueRequests),
                              .amount = *cost,
                              .reason = "child_keys"}));
        return Children{
            .keys = keys, .cost = *cost, .balance = impl_->ledger.balance(tx, payer).available()};
    });
}

Result<void, CashierError> Cashier::reset_child(const KeyId& parent, const KeyId& child) {
    return impl_->database.transact([&](Tx& tx) -> Result<void, CashierError> {
        if (!impl_->keyring.find(tx, parent)) return fail(make_error(Code::KeyUnknown));
        const auto record = impl_->keyring.find(tx, child);
        if (!record) return fail(make_error(Code::ChildUnknown));
        if (record->parent != parent) return fail(make_error(Code::NotTheParent));
        TRY_VOID(impl_->keyring.reset_child(tx, parent, child));
        return {};
    });
}

Result<BooksAudit, CashierError> Cashier::audit_report(Ledger::Depth depth) {
    return impl_->database.read([&](Reader& reader) -> Result<BooksAudit, CashierError> {
        return audit_books(reader, impl_->ledger, depth, impl_->clock.now());
    });
}

Result<BooksAudit, CashierError> Cashier::audit_and_seal(const std::stop_token& stop) {
    TRY(auto report, audit_report(Ledger::Depth::SinceCheckpoint));
    if (!report.sound()) return report;
    const SealStep step{.to = report.ledger.transfers, .most = kSealedAtOnceMax};
    std::int64_t before = 0;
    std::int64_t sealed = report.ledger.transfers - report.ledger.transfers_checked;
    do {
        before = sealed;
        TRY(sealed, impl_->database.transact([&](Tx& tx) -> Result<std::int64_t, CashierError> {
            return impl_->ledger.seal_checkpoint(tx, step);
        }));
    } while (sealed > before && !stop.stop_requested());
    return report;
}

}  // namespace nutgate
