#include "nutgate/cashier/remittance.h"

#include <algorithm>
#include <string>
#include <utility>

#include "error_name.h"
#include "nutgate/base/log.h"
#include "posting.h"
#include "remittance_impl.h"

namespace nutgate {
namespace {

using Code = CashierError::Code;
using store::Reader;
using store::Row;
using store::Tx;

constexpr int kAskedPerRound = 100;
// As the watcher of invoices: a node that is away must not keep a round for minutes.
constexpr int kUnansweredMax = 2;

std::string reference_of(const Purse& purse, const OperationId& id) {
    return "remit:" + (purse ? purse->hex() : std::string{"owner"}) + ":" + id.hex();
}

RemittanceState shown_as(RowState state) {
    switch (state) {
        case RowState::Submitted:
            return RemittanceState::UnderWay;
        case RowState::Done:
            return RemittanceState::Paid;
        case RowState::Failed:
            return RemittanceState::Failed;
    }
    VERIFY(false);
    return RemittanceState::UnderWay;
}

std::string select(std::string_view where) {
    return "SELECT reference, id, key, target, asked, bolt11, payment_hash, amount, fee_max, fee, "
           "backend, operation, tellings, state, failure, preimage, created_at, ended_at "
           "FROM remittance " +
           std::string{where};
}

template <class Id>
std::optional<Id> optional_id(const Row& row, std::size_t column) {
    return row.is_null(column) ? std::nullopt : std::optional{row.id<Id>(column)};
}

}  // namespace

std::string_view to_text(RemittanceState state) {
    switch (state) {
        case RemittanceState::UnderWay:
            return "pending";
        case RemittanceState::Paid:
            return "paid";
        case RemittanceState::Failed:
            return "failed";
    }
    return "";
}

namespace {

template <class Stored>
Stored to_stored(const Row& row) {
    const auto state = shown_as(static_cast<RowState>(row.integer(13)));
    return {.shown = {.id = row.id<OperationId>(1),
                      .purse = optional_id<KeyId>(row, 2),
                      .state = state,
                      .target = row.text(3),
                      .amount = row.msat(7),
                      .fee_max = row.msat(8),
                      .fee = row.msat(9),
                      .payment = row.id<PaymentHash>(6),
                      .preimage = optional_id<Preimage>(row, 15),
                      .backend = row.is_null(10) ? std::string{} : row.text(10),
                      .failure = row.is_null(14) ? std::nullopt
                                                 : std::optional{failure_of_name(row.text(14))},
                      .created_at = row.time(16),
                      .ended_at = row.is_null(17) ? std::nullopt : std::optional{row.time(17)}},
            .reference = row.text(0),
            .asked = row.is_null(4) ? std::nullopt : std::optional{row.msat(4)},
            .bolt11 = row.text(5),
            .operation = optional_id<OperationId>(row, 11),
            .tellings = row.integer(12)};
}

}  // namespace

Remitter::Remitter(Cashier& cashier, Options options, metrics::Registry& metrics)
    : impl_{new Impl{.my = *cashier.impl_,
                     .options = options,
                     .paid = metrics.counter("nutgate_remittances_paid_total",
                                             "Refunds and payouts that were paid over Lightning."),
                     .failed = metrics.counter("nutgate_remittances_failed_total",
                                               "Refunds and payouts over Lightning that could "
                                               "not be paid: all was given back."),
                     .slots = PayingSlots{options.at_once_max}}} {}

Remitter::~Remitter() = default;

void Remitter::on_end(std::function<void(const Remittance&)> told) {
    impl_->told = std::move(told);
}

Result<std::optional<Remitter::Impl::Stored>, CashierError> Remitter::Impl::find(
    std::string_view reference) {
    return my.database.read([&](Reader& reader) -> Result<std::optional<Stored>, CashierError> {
        const auto row = reader.query_one(select("WHERE reference = $1"), reference);
        return row ? std::optional{to_stored<Stored>(*row)} : std::nullopt;
    });
}

Result<Remitter::Impl::PurseView, CashierError> Remitter::Impl::look_at_key(const KeyId& key) {
    const auto spent = my.spending.view(key);
    return my.database.read([&](Reader& reader) -> Result<PurseView, CashierError> {
        const auto record = my.keyring.find(reader, key);
        if (!record) return fail(make_error(Code::KeyUnknown));
        if (record->parent) return fail(make_error(Code::ChildKey));
        if (record->state == KeyState::Revoked) return fail(make_error(Code::KeyRevoked));
        const auto money = my.spendable(reader, key, spent);
        return PurseView{.available = money.balance, .reserved = money.reserved};
    });
}

Result<Remitter::Impl::PurseView, CashierError> Remitter::Impl::look_at_owner() {
    return my.database.read([&](Reader& reader) -> Result<PurseView, CashierError> {
        const auto audit =
            audit_books(reader, my.ledger, Ledger::Depth::SinceCheckpoint, my.clock.now());
        if (!audit.sound()) return fail(make_error(Code::BooksUnsound, audit.faults.front()));
        TRY(const auto earned, my.earned(reader));
        return PurseView{.available = earned, .reserved = {}};
    });
}

Result<Remitter::Impl::PurseView, CashierError> Remitter::Impl::look(const Purse& purse) {
    return purse ? look_at_key(*purse) : look_at_owner();
}

Result<void, CashierError> Remitter::Impl::check_none_open(Reader& reader,
                                                           const Purse& purse) const {
    if (!purse) return {};
    const auto row =
        reader.query_one("SELECT id FROM remittance WHERE key = $1 AND state = $2 LIMIT 1", *purse,
                         stored(RowState::Submitted));
    if (!row) return {};
    return fail(make_error(Code::RemittanceOpen, row->id<OperationId>(0).hex()));
}

Result<void, CashierError> Remitter::Impl::check_fit(const Purse& purse,
                                                     const std::optional<Bill>& bill) {
    return my.database.read([&](Reader& reader) -> Result<void, CashierError> {
        if (auto none = check_none_open(reader, purse); !none || !bill) return none;
        return check_payment(reader, bill->invoice.payment_hash);
    });
}

// A node of ours that has enough beside what it owes; else ecash. MintInsufficient where that would
// have to be brought together first.
Result<Remitter::Impl::Way, CashierError> Remitter::Impl::choose_way(const Bill& bill) {
    for (LightningBackend* const payer : options.payers) {
        const auto fee = payer->estimate_fee(bill.invoice, bill.amount);
        const auto needed = fee ? add(bill.amount, *fee) : std::nullopt;
        if (!needed) continue;
        TRY(const auto free, my.database.read([&](Reader& reader) -> Result<Msat, CashierError> {
            return my.free_at(reader, payer->name());
        }));
        if (free < *needed) continue;
        // One that was told at another node it can neither pay nor ever tell the end of.
        const auto known = payer->outgoing(bill.invoice.payment_hash);
        if (!known && known.error() != BackendError::NotFound) continue;
        if (known && known->state != PaymentState::Failed) {
            return fail(make_error(Code::InvoiceSeen));
        }
        return Way{.node = payer, .melt = {}, .fee_max = *fee};
    }
    auto prepared = my.wallet.prepare_melt(bill.bolt11, std::nullopt);
    if (!prepared) return fail(of_our_ecash(prepared.error()));
    VERIFY(my.wallet.worth(**prepared) == bill.amount);
    const Msat fee_max = my.wallet.fee_max(**prepared);
    return Way{.node = nullptr, .melt = *std::move(prepared), .fee_max = fee_max};
}

OperationId Remitter::name_for(std::string_view target) {
    const auto invoice = parse_bolt11(target);
    if (!invoice) return impl_->my.random.id<OperationId>();
    ByteArray<OperationId::kSize> name{};
    std::ranges::copy(BytesView{invoice->payment_hash.bytes()}.first(name.size()), name.begin());
    return OperationId{name};
}

namespace {

// Before anything is done to find out who would pay it: that is done with the node's own money.
Result<void, CashierError> check_covered(const auto& bill, Msat most) {
    if (!bill || bill->amount <= most) return {};
    return fail(balance_insufficient(bill->amount, Msat{}, most));
}

}  // namespace

Result<RemittanceEstimate, CashierError> Remitter::estimate(const Purse& purse,
                                                            const RemittanceOrder& order) {
    Impl& the = *impl_;
    const auto slot = the.slots.take();
    if (!slot) return fail(make_error(Code::PayingBusy));
    TRY(const auto bill, the.read_invoice(order));
    TRY(const auto view, the.look(purse));
    RemittanceEstimate estimate{.amount = {}, .fee_max = {}, .available = view.available};
    TRY_VOID(the.check_fit(purse, bill));
    TRY_VOID(check_covered(bill, view.available));
    if (bill) {
        // Ecash is brought together for who pays, at the node's cost: never for who asks. What it
        // will cost then is a rule's to say.
        const auto way = the.choose_way(*bill);
        if (!way && way.error().code != Code::MintInsufficient) return fail(way.error());
        estimate.amount = bill->amount;
        estimate.fee_max = way ? way->fee_max : the.reserve_of(bill->amount);
        estimate.is_exact = way.has_value();
    } else {
        TRY(const auto asked, the.ask_address(order, view));
        estimate.amount = asked.second;
        estimate.fee_max = the.reserve_of(asked.second);
    }
    const auto taken = add(estimate.amount, estimate.fee_max);
    if (!taken || *taken > view.available) {
        return fail(balance_insufficient(estimate.amount, estimate.fee_max, view.available));
    }
    return estimate;
}

Result<std::vector<Cashier::Impl::Part>, CashierError> Remitter::Impl::parts_of(Reader& reader,
                                                                                const Purse& purse,
                                                                                Msat taken) const {
    if (!purse) return my.owners_parts(reader, taken, Msat{});
    // While it is paused, the books say all there is to say of a balance.
    const Account account = key_account(*purse);
    const Balance balance = my.ledger.balance(reader, account);
    if (balance.available() < taken) {
        // Requests under way give most of what they hold back.
        const bool later = balance.posted >= taken;
        return fail(make_error(later ? Code::RequestsInFlight : Code::BalanceInsufficient));
    }
    return std::vector<Cashier::Impl::Part>{{account, taken}};
}

Result<Remitter::Impl::Stored, CashierError> Remitter::Impl::begin(Tx& tx, const Purse& purse,
                                                                   const RemittanceOrder& order,
                                                                   const Bill& bill,
                                                                   const Way& way) {
    const std::string reference = reference_of(purse, order.id);
    if (const auto row = tx.query_one(select("WHERE reference = $1"), std::string_view{reference}))
        return to_stored<Stored>(*row);
    TRY_VOID(check_none_open(tx, purse));
    TRY_VOID(check_payment(tx, bill.invoice.payment_hash));
    const auto taken = add(bill.amount, way.fee_max);
    if (!taken) return fail(make_error(Code::BalanceInsufficient));
    auto parts = parts_of(tx, purse, *taken);
    if (!parts && parts.error().code == Code::BalanceInsufficient) {
        return fail(balance_insufficient(bill.amount, way.fee_max,
                                         my.ledger.balance(tx, key_account(*purse)).available()));
    }
    if (!parts) return fail(parts.error());
    TRY_VOID(my.take_parts(tx, reference, *parts));
    std::optional<OperationId> operation;
    std::optional<std::string> backend;
    if (way.node != nullptr) {
        backend = way.node->name();
        if (my.free_at(tx, *backend) < *taken) return fail(make_error(Code::LightningInsufficient));
    } else {
        TRY(operation, my.wallet.begin_melt(tx, *way.melt, reference));
    }
    tx.execute(
        "INSERT INTO remittance (reference, id, key, target, asked, bolt11, payment_hash, amount, "
        "fee_max, backend, operation, state, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        std::string_view{reference}, order.id, purse, std::string_view{order.target}, order.amount,
        std::string_view{bill.bolt11}, bill.invoice.payment_hash, bill.amount, way.fee_max, backend,
        operation, stored(RowState::Submitted), my.clock.now());
    return to_stored<Stored>(
        *tx.query_one(select("WHERE reference = $1"), std::string_view{reference}));
}

Result<Remitter::Impl::Stored, CashierError> Remitter::Impl::begin(const Purse& purse,
                                                                   const RemittanceOrder& order,
                                                                   const Bill& bill,
                                                                   const Way& way) {
    const auto write_down = [&]() -> Result<Stored, CashierError> {
        return my.database.transact([&](Tx& tx) -> Result<Stored, CashierError> {
            return begin(tx, purse, order, bill, way);
        });
    };
    if (!purse) return write_down();
    TRY(const auto pause, my.spending.pause(*purse));
    return write_down();
}

Result<Remittance, CashierError> Remitter::remit(const Purse& purse, const RemittanceOrder& order) {
    Impl& the = *impl_;
    const auto slot = the.slots.take();
    TRY(const auto before, the.find(reference_of(purse, order.id)));
    if (before && !slot) return before->shown;
    if (before) return the.join(*before, order);
    if (!slot) return fail(make_error(Code::PayingBusy));
    // Whatever can be refused is, before anybody outside is asked for anything.
    TRY(auto bill, the.read_invoice(order));
    TRY(const auto view, the.look(purse));
    TRY_VOID(the.check_fit(purse, bill));
    // Most of what requests hold back may be there in a moment.
    TRY_VOID(check_covered(bill, add(view.available, view.reserved).value_or(view.available)));
    if (!bill) {
        TRY(auto asked, the.ask_invoice(order, view));
        bill = std::move(asked);
    }
    bool gathered = false;
    for (int tries = 0; tries < kTriesMax; ++tries) {
        const auto way = the.choose_way(*bill);
        if (!way && way.error().code == Code::MintInsufficient && !gathered) {
            TRY(gathered, the.my.gather(bill->amount));
            if (gathered) continue;
        }
        if (!way) {
            // The payment that it knows of may be this one: another call with the same name.
            TRY(const auto meanwhile, the.find(reference_of(purse, order.id)));
            if (meanwhile) return the.join(*meanwhile, order);
            return fail(way.error());
        }
        const auto begun = the.begin(purse, order, *bill, *way);
        // Another operation was faster with one of the proofs.
        if (!begun && begun.error().code == Code::TokenPending) continue;
        if (!begun) return fail(begun.error());
        if (begun->bolt11 != bill->bolt11) return the.join(*begun, order);
        return the.finish(*begun);
    }
    auto error = make_error(Code::InProgress, "the wallet's proofs keep changing");
    error.retry_after = the.options.retry_after;
    return fail(std::move(error));
}

Result<Remittance, CashierError> Remitter::Impl::join(const Stored& row,
                                                      const RemittanceOrder& order) {
    if (row.shown.target != order.target || row.asked != order.amount) {
        return fail(make_error(Code::RemittanceReused));
    }
    TRY(auto remittance, finish(row));
    remittance.again = true;
    return remittance;
}

Result<Remittance, CashierError> Remitter::Impl::finish(const Stored& row) {
    if (row.shown.state != RemittanceState::UnderWay) return row.shown;
    {
        const Lock lock{mutex};
        open.insert_or_assign(row.reference, row.shown.purse);
    }
    run(row);
    TRY(const auto now, find(row.reference));
    VERIFY(now.has_value());
    note(now->shown, row.reference);
    return now->shown;
}

void Remitter::Impl::note(const Remittance& remittance, const std::string& reference) {
    if (remittance.state == RemittanceState::UnderWay) return;
    {
        const Lock lock{mutex};
        if (open.erase(reference) == 0) return;
    }
    (remittance.state == RemittanceState::Paid ? paid : failed).add();
    // Something came back to it, as a rule.
    if (remittance.purse) my.spending.credited(*remittance.purse);
    if (told) told(remittance);
}

void Remitter::Impl::run(const Stored& row) {
    if (!row.operation) {
        (void)pay_at_node(row);
        return;
    }
    // How it ended is in the row.
    if (const auto ended = my.wallet.execute(*row.operation); !ended) {
        log::info("remittance.not_ended", {{"why", ended.error().detail}});
    }
}

bool Remitter::Impl::pay_at_node(const Stored& row) {
    const auto payer = std::ranges::find_if(options.payers, [&](const LightningBackend* node) {
        return node->name() == row.shown.backend;
    });
    if (payer == options.payers.end()) {
        log::warn("remittance.nobody_to_ask", {{"backend", row.shown.backend}});
        return true;
    }
    {
        const Lock lock{mutex};
        if (!being_told.insert(row.reference).second) return true;
    }
    const bool answered = tell_node(row, **payer);
    const Lock lock{mutex};
    being_told.erase(row.reference);
    return answered;
}

// Paying twice pays once, by the backend's contract: asking again is joining, and its error is
// certain.
bool Remitter::Impl::tell_node(const Stored& row, LightningBackend& payer) {
    const auto told_so_far =
        my.database.transact([&](Tx& tx) -> Result<std::int64_t, CashierError> {
            const auto counted = tx.query_one(
                "UPDATE remittance SET tellings = tellings + 1 WHERE reference = $1 AND state = $2 "
                "RETURNING tellings",
                std::string_view{row.reference}, stored(RowState::Submitted));
            return counted ? counted->integer(0) : 0;
        });
    if (!told_so_far || *told_so_far == 0) return true;
    auto payment = payer.pay({.hash = row.shown.payment,
                              .bolt11 = row.bolt11,
                              .amount = row.shown.amount,
                              .fee_max = row.shown.fee_max});
    // A second telling that is refused may be refused because of the first.
    if (!payment && payment.error() != BackendError::Unreachable && *told_so_far > 1) {
        payment = payer.outgoing(row.shown.payment);
    }
    if (payment) {
        end_at_node(row, *payment);
        return true;
    }
    const bool away = payment.error() == BackendError::Unreachable;
    // One that was never told of it never will be: its holder may try elsewhere.
    if (away && *told_so_far > 1) return false;
    give_up(row, away ? Code::LightningUnreachable : Code::PaymentFailed, told_so_far.value());
    return true;
}

void Remitter::Impl::end_at_node(const Stored& row, const Payment& payment) {
    switch (payment.state) {
        case PaymentState::Pending:
            return;
        case PaymentState::Failed:
            return give_up(row, Code::PaymentFailed, std::nullopt);
        case PaymentState::Settled:
            break;
    }
    const auto booked = my.database.transact([&](Tx& tx) -> Result<void, CashierError> {
        const auto told_books =
            my.books.remitted(tx, {.reference = row.reference,
                                   .asset = lightning_account(row.shown.backend),
                                   .fees = {AccountKind::Fees, row.shown.backend},
                                   .amount = row.shown.amount,
                                   .fee = payment.fee,
                                   .preimage = payment.preimage});
        if (!told_books) return fail(make_error(Code::BooksRefused, told_books.error().detail));
        return {};
    });
    if (!booked) log::error("remittance.not_booked", {{"why", booked.error().detail}});
}

void Remitter::Impl::give_up(const Stored& row, Code why, std::optional<std::int64_t> telling) {
    const auto booked = my.database.transact([&](Tx& tx) -> Result<void, CashierError> {
        const auto now = tx.query_one("SELECT tellings FROM remittance WHERE reference = $1",
                                      std::string_view{row.reference});
        if (telling && now->integer(0) != *telling) return {};
        const auto told_books = my.books.not_remitted(tx, row.reference, why);
        if (!told_books) return fail(make_error(Code::BooksRefused, told_books.error().detail));
        return {};
    });
    if (!booked) log::error("remittance.not_given_back", {{"why", booked.error().detail}});
}

Result<Remittance, CashierError> Remitter::find(const Purse& purse, const OperationId& id) {
    TRY(const auto row, impl_->find(reference_of(purse, id)));
    if (!row) return fail(make_error(Code::RemittanceUnknown));
    return row->shown;
}

Result<std::vector<Remittance>, CashierError> Remitter::list(const Purse& purse, int limit) {
    return impl_->my.database.read(
        [&](Reader& reader) -> Result<std::vector<Remittance>, CashierError> {
            std::vector<Remittance> found;
            const auto rows =
                purse ? reader.query(select("WHERE key = $1 ORDER BY created_at DESC LIMIT $2"),
                                     *purse, limit)
                      : reader.query(select("WHERE key IS NULL ORDER BY created_at DESC LIMIT $1"),
                                     limit);
            for (const Row& row : rows) found.push_back(to_stored<Impl::Stored>(row).shown);
            return found;
        });
}

Result<int, CashierError> Remitter::settle() {
    Impl& the = *impl_;
    // Whoever was asked least is asked first, so that none is forgotten behind others.
    TRY(const auto under_way,
        the.my.database.read(
            [&](Reader& reader) -> Result<std::vector<Impl::Stored>, CashierError> {
                std::vector<Impl::Stored> rows;
                for (const Row& row :
                     reader.query(select("WHERE state = $1 ORDER BY tellings, created_at LIMIT $2"),
                                  stored(RowState::Submitted), kAskedPerRound)) {
                    rows.push_back(to_stored<Impl::Stored>(row));
                }
                return rows;
            }));
    std::map<std::string, Purse> known;
    {
        const Lock lock{the.mutex};
        for (const auto& row : under_way) {
            the.open.try_emplace(row.reference, row.shown.purse);
        }
        known = the.open;
    }
    int unanswered = 0;
    for (const auto& row : under_way) {
        if (row.operation || unanswered >= kUnansweredMax)
            continue;  // The wallet recovers its own.
        if (!the.pay_at_node(row)) ++unanswered;
    }
    int ended = 0;
    for (const auto& [reference, purse] : known) {
        TRY(const auto now, the.find(reference));
        VERIFY(now.has_value());
        if (now->shown.state == RemittanceState::UnderWay) continue;
        ++ended;
        the.note(now->shown, reference);
    }
    return ended;
}

Result<bool, CashierError> Remitter::remit_revenue(const std::string& target, Msat threshold) {
    Impl& the = *impl_;
    TRY(const auto revenue, the.my.database.read([&](Reader& reader) -> Result<Msat, CashierError> {
        const auto open =
            reader.query_one("SELECT id FROM remittance WHERE key IS NULL AND state = $1 LIMIT 1",
                             stored(RowState::Submitted));
        return open ? Result<Msat, CashierError>{Msat{}} : the.my.earned(reader);
    }));
    if (revenue == Msat{} || revenue < threshold) return false;
    const auto sent = remit(
        std::nullopt, {.id = the.my.random.id<OperationId>(), .target = target, .amount = {}});
    if (!sent) return fail(sent.error());
    return true;
}

void Remitter::hint(const PaymentHash& payment) {
    const auto row = impl_->my.database.read(
        [&](Reader& reader) -> Result<std::optional<Impl::Stored>, CashierError> {
            const auto found = reader.query_one(select("WHERE payment_hash = $1 AND state = $2"),
                                                payment, stored(RowState::Submitted));
            return found ? std::optional{to_stored<Impl::Stored>(*found)} : std::nullopt;
        });
    if (!row || !*row) return;
    if (const auto done = impl_->finish(**row); !done) {
        log::info("remittance.hint_not_asked", {{"why", done.error().detail}});
    }
}

}  // namespace nutgate
