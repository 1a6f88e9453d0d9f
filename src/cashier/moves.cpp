// Our own money on its way to ecash at a mint of ours: from another mint (a swap), or from a
// Lightning backend (a funding). Its row is written with the operation that pays the quote; the
// books move it on as each of its two legs ends.
#include <string>
#include <utility>

#include "error_name.h"
#include "impl.h"
#include "posting.h"

namespace nutgate {
namespace {

using Code = CashierError::Code;
using store::Reader;
using store::Tx;

// One that is older has its mint away, and must not keep others from being tried.
constexpr Seconds kUnderWay{600};

std::optional<StoredTransit> read_transit(Reader& reader, std::string_view reference) {
    const auto row = reader.query_one(
        "SELECT operation, state, amount, fee, failure FROM transit WHERE reference = $1",
        reference);
    if (!row) return std::nullopt;
    return StoredTransit{
        .operation = row->id<OperationId>(0),
        .state = static_cast<TransitState>(row->integer(1)),
        .amount = row->msat(2),
        .fee = row->msat(3),
        .failure = row->is_null(4) ? std::nullopt : std::optional{failure_of_name(row->text(4))}};
}

CashierError in_progress(Seconds retry_after, std::string why) {
    auto error = make_error(Code::InProgress, std::move(why));
    error.retry_after = retry_after;
    return error;
}

}  // namespace

bool is_under_way(Reader& reader, const cashu::MintUrl& target, Time now) {
    return reader
        .query_one(
            "SELECT reference FROM transit WHERE target = $1 AND state IN ($2, $3) AND "
            "created_at > $4 LIMIT 1",
            std::string_view{target.text()}, stored(TransitState::Submitted),
            stored(TransitState::Left), now - kUnderWay)
        .has_value();
}

void Cashier::Impl::insert_transit(Tx& tx, const Route& route, const PaymentHash& payment,
                                   const StoredTransit& row) const {
    const auto source = route.source ? std::optional{route.source->text()} : std::nullopt;
    tx.execute(
        "INSERT INTO transit (payment_hash, reference, operation, backend, source, target, amount, "
        "fee, state, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        payment, std::string_view{route.reference}, row.operation, route.backend, source,
        std::string_view{route.target.text()}, row.amount, row.fee, stored(row.state), clock.now());
}

Result<std::optional<StoredTransit>, CashierError> Cashier::Impl::find_transit(
    std::string_view reference) {
    return database.read([&](Reader& reader) -> Result<std::optional<StoredTransit>, CashierError> {
        return read_transit(reader, reference);
    });
}

Msat Cashier::Impl::free_at(Reader& reader, std::string_view backend) const {
    Msat free = ledger.balance(reader, lightning_account(backend)).posted;
    const auto take = [&](Msat amount) { free = subtract(free, amount).value_or(Msat{}); };
    if (backend == books.mint_backend()) {
        take(ledger.total(reader, AccountKind::MintOutstanding));
        take(ledger.balance(reader, mint_quotes_in_flight()).posted);
        take(ledger.balance(reader, melts_in_flight()).posted);
    }
    take(under_way_at(reader, backend));
    return free;
}

std::optional<Cashier::Impl::Payer> Cashier::Impl::richest_payer(Reader& reader) const {
    std::optional<Payer> richest;
    for (const std::string& name : options.payers) {
        const Msat free = free_at(reader, name);
        if (!richest || free > richest->free) richest = Payer{.name = name, .free = free};
    }
    return richest;
}

Result<OperationId, CashierError> Cashier::Impl::begin_move(const Route& route, Msat amount) {
    const auto prepared = wallet.prepare_swap(amount, *route.source, route.target);
    if (!prepared) return fail(of_our_ecash(prepared.error()));
    return database.transact([&](Tx& tx) -> Result<OperationId, CashierError> {
        if (const auto row = read_transit(tx, route.reference)) return row->operation;
        if (route.automatic && is_under_way(tx, route.target, clock.now())) {
            return fail(in_progress(options.retry_after, "another move to it is under way"));
        }
        TRY(const auto operation, wallet.begin_melt(tx, **prepared, route.reference));
        insert_transit(tx, route, wallet.payment(**prepared),
                       {.operation = operation,
                        .state = TransitState::Submitted,
                        .amount = wallet.worth(**prepared),
                        .fee = wallet.fee_max(**prepared),
                        .failure = {}});
        return operation;
    });
}

Result<OperationId, CashierError> Cashier::Impl::begin_funding(const Route& route, Msat amount,
                                                               Msat fee_max) {
    const auto payment = wallet.request_funding(route.target, amount);
    if (!payment) return fail(payment.error());
    return database.transact([&](Tx& tx) -> Result<OperationId, CashierError> {
        if (const auto row = read_transit(tx, route.reference)) return row->operation;
        if (route.automatic && is_under_way(tx, route.target, clock.now())) {
            return fail(in_progress(options.retry_after, "another funding of it is under way"));
        }
        const auto needed = add(amount, fee_max);
        if (!needed || free_at(tx, *route.backend) < *needed) {
            return fail(make_error(Code::LightningInsufficient));
        }
        TRY(const auto operation,
            wallet.begin_fund(tx, *payment, *route.backend, fee_max, route.reference));
        insert_transit(tx, route, *payment,
                       {.operation = operation,
                        .state = TransitState::Submitted,
                        .amount = amount,
                        .fee = fee_max,
                        .failure = {}});
        return operation;
    });
}

Result<Moved, CashierError> Cashier::Impl::finish_transit(std::string_view reference,
                                                          const OperationId& operation,
                                                          bool again) {
    const auto ended = wallet.execute(operation);
    TRY(const auto row, find_transit(reference));
    // Gone: it failed so long ago that it was forgotten.
    if (!row) return fail(in_progress(options.retry_after, "forgotten"));
    switch (row->state) {
        case TransitState::Done:
            return Moved{.amount = row->amount, .fee = row->fee, .again = again};
        case TransitState::Failed:
            return fail(not_done(RowState::Failed, row->failure, ended));
        case TransitState::Submitted:
        case TransitState::Left:
            return fail(not_done(RowState::Submitted, std::nullopt, ended));
    }
    VERIFY(false);
    return Moved{};
}

Result<Moved, CashierError> Cashier::move_ecash(const OperationId& request, Sat amount,
                                                const cashu::MintUrl& from,
                                                const cashu::MintUrl& to) {
    Impl& my = *impl_;
    if (amount == Sat{}) return fail(make_error(Code::AmountOutOfRange));
    const Impl::Route route{
        .reference = "swap:" + request.hex(), .backend = {}, .source = from, .target = to};
    for (int tries = 0; tries < kTriesMax; ++tries) {
        TRY(const auto row, my.find_transit(route.reference));
        if (row) return my.finish_transit(route.reference, row->operation, true);
        const auto begun = my.begin_move(route, to_msat(amount));
        // Another operation was faster with one of the proofs.
        if (!begun && begun.error().code == Code::TokenPending) continue;
        if (!begun) return fail(begun.error());
        return my.finish_transit(route.reference, *begun, false);
    }
    return fail(in_progress(my.options.retry_after, "the wallet's proofs keep changing"));
}

Result<Moved, CashierError> Cashier::fund(const OperationId& request, const cashu::MintUrl& mint,
                                          Sat amount, const std::optional<Msat>& most) {
    Impl& my = *impl_;
    if (amount == Sat{}) return fail(make_error(Code::AmountOutOfRange));
    Impl::Route route{
        .reference = "fund:" + request.hex(), .backend = {}, .source = {}, .target = mint};
    TRY(const auto row, my.find_transit(route.reference));
    if (row) return my.finish_transit(route.reference, row->operation, true);
    TRY(const auto payer,
        my.database.read([&](Reader& reader) -> Result<std::optional<Impl::Payer>, CashierError> {
            return my.richest_payer(reader);
        }));
    const Msat fee_max = most.value_or(my.automatic_fee_max(to_msat(amount)));
    const auto needed = add(to_msat(amount), fee_max);
    if (!payer || !needed || payer->free < *needed) {
        return fail(make_error(Code::LightningInsufficient));
    }
    route.backend = payer->name;
    TRY(const auto begun, my.begin_funding(route, to_msat(amount), fee_max));
    return my.finish_transit(route.reference, begun, false);
}

}  // namespace nutgate
