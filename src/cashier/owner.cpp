// The owner's money: what was earned, put in or found, and the ways to take it out. Never more than
// that: the rest of the ecash is the customers'.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "error_name.h"
#include "impl.h"
#include "nutgate/lightning/invoice.h"
#include "posting.h"

namespace nutgate {
namespace {

using Code = CashierError::Code;
using store::Reader;
using store::Tx;

// In the order in which they are taken from.
std::array<Account, 4> owners_accounts() {
    return {revenue_account(kRevenueRequests), revenue_account(kRevenueMint), paid_in(),
            restored_to_owner()};
}

// What operations under way may cost at most.
Msat open_fees(Reader& reader) {
    Msat total;
    for (const char* table : {"payout", "transit"}) {
        const auto row = reader.query_one("SELECT CAST(COALESCE(SUM(fee), 0) AS BIGINT) FROM " +
                                              std::string{table} + " WHERE state = $1",
                                          stored(RowState::Submitted));
        total = add(total, row->msat(0)).value_or(total);
    }
    return total;
}

}  // namespace

Result<Msat, CashierError> Cashier::Impl::earned(Reader& reader) const {
    static_assert(stored(RowState::Submitted) == stored(TransitState::Submitted));
    Msat total;
    for (const Account& account : owners_accounts()) {
        const auto sum = add(total, ledger.balance(reader, account).posted);
        if (!sum) return fail(make_error(Code::BooksRefused, "revenue overflows"));
        total = *sum;
    }
    for (const AccountKind cost : {AccountKind::Fees, AccountKind::Losses}) {
        total = subtract(total, ledger.total(reader, cost)).value_or(Msat{});
    }
    return subtract(total, open_fees(reader)).value_or(Msat{});
}

Result<Msat, CashierError> Cashier::revenue() {
    return impl_->database.read(
        [&](Reader& reader) -> Result<Msat, CashierError> { return impl_->earned(reader); });
}

Result<std::vector<Cashier::Impl::Part>, CashierError> Cashier::Impl::owners_parts(Reader& reader,
                                                                                   Msat amount,
                                                                                   Msat fee) const {
    TRY(const auto most, earned(reader));
    const auto taken = add(amount, fee);
    if (!taken || *taken > most) return fail(make_error(Code::RevenueInsufficient));
    std::vector<Part> parts;
    Msat left = amount;
    for (const Account& account : owners_accounts()) {
        const Msat part = std::min(left, ledger.balance(reader, account).posted);
        if (part > Msat{}) parts.push_back({account, part});
        left = subtract(left, part).value_or(Msat{});
    }
    if (left > Msat{}) return fail(make_error(Code::RevenueInsufficient));
    return parts;
}

void Cashier::Impl::insert_owners_payout(Tx& tx, const std::string& reference, PayoutKind kind,
                                         const StoredPayout& payout) const {
    tx.execute(
        "INSERT INTO payout (reference, kind, key, seq, amount, operation, state, settlements, "
        "created_at, fee) VALUES ($1, $2, NULL, 0, $3, $4, $5, 0, $6, $7)",
        std::string_view{reference}, stored(kind), payout.amount, payout.operation,
        stored(payout.state), clock.now(), payout.fee);
}

Result<Refund, CashierError> Cashier::owner_send(const OperationId& request, Sat sats,
                                                 const std::optional<cashu::MintUrl>& mint) {
    Impl& my = *impl_;
    if (sats == Sat{}) return fail(make_error(Code::AmountOutOfRange));
    const Msat amount = to_msat(sats);
    const std::string reference = "payout:" + request.hex();
    for (int tries = 0; tries < kTriesMax; ++tries) {
        TRY(const auto row,
            my.database.read(
                [&](Reader& reader) -> Result<std::optional<StoredPayout>, CashierError> {
                    return read_payout(reader, reference);
                }));
        if (row) return my.finish_payout(reference, row->operation, true);
        TRY(const auto revenue, this->revenue());
        if (revenue < amount) return fail(make_error(Code::RevenueInsufficient));
        const auto prepared = my.wallet.prepare_send(amount, mint);
        if (!prepared) return fail(of_our_ecash(prepared.error()));
        if (my.wallet.worth(**prepared) != amount) return fail(make_error(Code::MintInsufficient));
        const Msat fee = my.wallet.fee(**prepared);
        const auto begun = my.database.transact([&](Tx& tx) -> Result<OperationId, CashierError> {
            if (read_payout(tx, reference)) return fail(make_error(Code::TokenPending));
            TRY(const auto parts, my.owners_parts(tx, amount, fee));
            TRY_VOID(my.take_parts(tx, reference, parts));
            TRY(const auto operation, my.wallet.begin_send(tx, **prepared, reference));
            my.insert_owners_payout(tx, reference, PayoutKind::Owner,
                                    {.reference = reference,
                                     .amount = amount,
                                     .operation = operation,
                                     .state = RowState::Submitted,
                                     .failure = {},
                                     .sealed = {},
                                     .fee = fee});
            return operation;
        });
        if (!begun && begun.error().code == Code::TokenPending) continue;
        if (!begun) return fail(begun.error());
        return my.finish_payout(reference, *begun, false);
    }
    return fail(make_error(Code::InProgress, "the wallet's proofs keep changing"));
}

Result<OwnerPayment, CashierError> Cashier::Impl::finish_melt(const std::string& reference,
                                                              const OperationId& operation,
                                                              bool again) {
    const auto ended = wallet.execute(operation);
    TRY(const auto row,
        database.read([&](Reader& reader) -> Result<std::optional<StoredPayout>, CashierError> {
            return read_payout(reader, reference);
        }));
    VERIFY(row.has_value());
    if (row->state != RowState::Done) return fail(not_done(row->state, row->failure, ended));
    const auto mint = cashu::MintUrl::parse(row->mint);
    VERIFY(mint.has_value());  // The books wrote it.
    return OwnerPayment{.amount = row->amount,
                        .fee = row->fee,
                        .preimage = row->preimage,
                        .mint = *mint,
                        .again = again};
}

Result<OwnerPayment, CashierError> Cashier::owner_melt(const OperationId& request,
                                                       std::string_view bolt11,
                                                       const std::optional<cashu::MintUrl>& mint) {
    Impl& my = *impl_;
    const std::string reference = "melt:" + request.hex();
    for (int tries = 0; tries < kTriesMax; ++tries) {
        TRY(const auto row,
            my.database.read(
                [&](Reader& reader) -> Result<std::optional<StoredPayout>, CashierError> {
                    return read_payout(reader, reference);
                }));
        if (row) return my.finish_melt(reference, row->operation, true);
        // Before a mint is asked for what will be refused anyway.
        const auto invoice = parse_bolt11(bolt11);
        TRY(const auto revenue, this->revenue());
        if (invoice && invoice->amount && *invoice->amount > revenue) {
            return fail(make_error(Code::RevenueInsufficient));
        }
        const auto prepared = my.wallet.prepare_melt(bolt11, mint);
        if (!prepared) return fail(of_our_ecash(prepared.error()));
        const Msat amount = my.wallet.worth(**prepared);
        const Msat fee_max = my.wallet.fee_max(**prepared);
        const auto begun = my.database.transact([&](Tx& tx) -> Result<OperationId, CashierError> {
            if (read_payout(tx, reference)) return fail(make_error(Code::TokenPending));
            TRY(const auto parts, my.owners_parts(tx, amount, fee_max));
            TRY_VOID(my.take_parts(tx, reference, parts));
            TRY(const auto operation, my.wallet.begin_melt(tx, **prepared, reference));
            my.insert_owners_payout(tx, reference, PayoutKind::Melt,
                                    {.reference = reference,
                                     .amount = amount,
                                     .operation = operation,
                                     .state = RowState::Submitted,
                                     .failure = {},
                                     .sealed = {},
                                     .fee = fee_max});
            return operation;
        });
        if (!begun && begun.error().code == Code::TokenPending) continue;
        if (!begun) return fail(begun.error());
        return my.finish_melt(reference, *begun, false);
    }
    return fail(make_error(Code::InProgress, "the wallet's proofs keep changing"));
}

Result<PaidIn, CashierError> Cashier::owner_receive(const OperationId& request,
                                                    std::string_view token) {
    Impl& my = *impl_;
    const Impl::DepositTarget target{
        .kind = DepositKind::Owner, .key = KeyId{request.bytes()}, .limits = {}};
    TRY(const auto before,
        my.database.read([&](Reader& reader) -> Result<std::optional<StoredDeposit>, CashierError> {
            const auto row = reader.query_one(
                "SELECT identity FROM deposit WHERE key = $1 AND kind = $2 AND state <> $3",
                target.key, stored(DepositKind::Owner), stored(RowState::Failed));
            if (!row) return std::optional<StoredDeposit>{};
            return read_deposit(reader, row->id<TokenIdentity>(0));
        }));
    const auto take = [&]() -> Result<Impl::Taken, CashierError> {
        if (before) return my.finish_deposit(before->identity, before->operation, target, true);
        TRY(const auto presented, my.read_token(token));
        return my.take_in(presented, target);
    };
    TRY(const auto taken, take());
    TRY(const auto withdrawable, revenue());
    return PaidIn{
        .credited = taken.row.credited, .withdrawable = withdrawable, .again = taken.again};
}

}  // namespace nutgate
