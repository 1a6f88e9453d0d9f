// A key's balance to its holder, as a token.
//
// One transaction takes the amount from its account, writes the payout's row and begins the
// wallet's operation. From there it ends in one of two ways, each one transaction of the wallet's:
// the token is stored, sealed; or the amount is back.
#include <algorithm>
#include <string>
#include <utility>

#include "error_name.h"
#include "impl.h"
#include "posting.h"

namespace nutgate {
namespace {

using Code = CashierError::Code;
using store::Reader;
using store::Row;
using store::Tx;

constexpr std::string_view kPayoutColumns =
    "reference, seq, amount, operation, state, failure, sealed, settlements, mint, fee, preimage";

StoredPayout to_payout(const Row& row) {
    StoredPayout payout{
        .reference = row.text(0),
        .seq = row.integer(1),
        .amount = row.msat(2),
        .operation = row.id<OperationId>(3),
        .state = static_cast<RowState>(row.integer(4)),
        .failure = row.is_null(5) ? std::nullopt : std::optional{failure_of_name(row.text(5))},
        .sealed = {},
        .settlements = row.integer(7),
        .mint = row.text(8),
        .fee = row.msat(9),
        .preimage = row.is_null(10) ? std::nullopt : std::optional{row.id<Preimage>(10)}};
    if (!row.is_null(6)) payout.sealed.assign(row.bytes(6).begin(), row.bytes(6).end());
    return payout;
}

std::string refund_reference(const KeyId& key, std::int64_t seq) {
    return "refund:" + key.hex() + ":" + std::to_string(seq);
}

std::optional<cashu::MintUrl> mint_named(const std::string& text) {
    if (text == cashu::MintUrl::embedded().text()) return cashu::MintUrl::embedded();
    return cashu::MintUrl::parse(text);
}

}  // namespace

CashierError of_our_ecash(const cashu::WalletError& error) {
    CashierError mapped{error};
    if (mapped.code == Code::TokenPending) mapped.code = Code::InProgress;
    return mapped;
}

CashierError unreadable_token() {
    return make_error(Code::BooksRefused, "a sealed token that does not open");
}

std::optional<StoredPayout> read_payout(Reader& reader, std::string_view reference) {
    const auto row = reader.query_one(
        "SELECT " + std::string{kPayoutColumns} + " FROM payout WHERE reference = $1", reference);
    if (!row) return std::nullopt;
    return to_payout(*row);
}

Result<Cashier::Impl::RefundView, CashierError> Cashier::Impl::view_refund(
    Reader& reader, const KeyId& key, const Spending::View& spent) const {
    const auto record = keyring.find(reader, key);
    if (!record) return fail(make_error(Code::KeyUnknown));
    if (record->parent) return fail(make_error(Code::ChildKey));
    if (record->state == KeyState::Revoked) return fail(make_error(Code::KeyRevoked));
    const auto last = reader.query_one("SELECT " + std::string{kPayoutColumns} +
                                           " FROM payout WHERE key = $1 ORDER BY seq DESC LIMIT 1",
                                       key);
    const auto settlements =
        reader.query_one("SELECT COUNT(*) FROM settlement WHERE key = $1", key);
    const Spendable money = spendable(reader, key, spent);
    return RefundView{.record = *record,
                      .balance = money.balance,
                      .reserved = money.reserved,
                      .last = last ? std::optional{to_payout(*last)} : std::nullopt,
                      .settlements = settlements->integer(0)};
}

Result<Refund, CashierError> Cashier::Impl::handed_out(const StoredPayout& payout,
                                                       bool again) const {
    auto token = books.open_token(payout.reference, payout.sealed);
    if (!token) return fail(unreadable_token());
    Refund refund{.token = *std::move(token),
                  .amount = to_sat_floor(payout.amount),
                  .again = again,
                  .mint = {},
                  .fee = payout.fee,
                  .redeem_fee = std::nullopt};
    const auto parsed = cashu::parse_token(refund.token);
    if (!parsed) return fail(unreadable_token());
    refund.mint = parsed->mint.text();
    if (const auto fee = wallet.redeem_fee(*parsed)) refund.redeem_fee = *fee;
    return refund;
}

Result<Refund, CashierError> Cashier::Impl::finish_payout(const std::string& reference,
                                                          const OperationId& operation,
                                                          bool again) {
    const auto ended = wallet.execute(operation);
    TRY(const auto row,
        database.read([&](Reader& reader) -> Result<std::optional<StoredPayout>, CashierError> {
            return read_payout(reader, reference);
        }));
    VERIFY(row.has_value());
    if (row->state != RowState::Done) return fail(not_done(row->state, row->failure, ended));
    if (!again) refunds.add();
    return handed_out(*row, again);
}

Result<void, CashierError> Cashier::Impl::take_parts(Tx& tx, const std::string& reference,
                                                     const std::vector<Part>& parts) {
    for (const Part& part : parts) {
        tx.execute(
            "INSERT INTO payout_part (reference, account_kind, account_name, amount) "
            "VALUES ($1, $2, $3, $4)",
            std::string_view{reference}, stored(part.account.kind),
            std::string_view{part.account.name}, part.amount);
        TRY_VOID(
            ledger.transfer(tx, {.id = transfer_id("payout taken", {reference, part.account.name}),
                                 .debit = part.account,
                                 .credit = payouts_in_flight(),
                                 .amount = part.amount,
                                 .reason = "payout"}));
    }
    return {};
}

Result<std::optional<StoredPayout>, CashierError> Cashier::Impl::begin_refund(
    Tx& tx, const KeyId& key, const RefundView& seen, const cashu::Wallet::PreparedSend& prepared,
    Msat amount) {
    // While it is paused, the books say all there is to say of a balance.
    TRY(const auto now, view_refund(tx, key, {}));
    const Balance balance = ledger.balance(tx, key_account(key));
    const bool same_last =
        now.last.has_value() == seen.last.has_value() &&
        (!now.last || (now.last->seq == seen.last->seq && now.last->state == seen.last->state));
    if (!same_last || balance.held > Msat{} || to_msat(to_sat_floor(balance.posted)) != amount) {
        return std::optional<StoredPayout>{};
    }
    StoredPayout payout{.reference = {},
                        .seq = now.last ? now.last->seq + 1 : 1,
                        .amount = amount,
                        .operation = OperationId{ByteArray<OperationId::kSize>{}},
                        .state = RowState::Submitted,
                        .failure = std::nullopt,
                        .sealed = {},
                        .settlements = now.settlements};
    payout.reference = refund_reference(key, payout.seq);
    TRY_VOID(take_parts(tx, payout.reference, {{key_account(key), amount}}));
    TRY(payout.operation, wallet.begin_send(tx, prepared, payout.reference));
    tx.execute(
        "INSERT INTO payout (reference, kind, key, seq, amount, operation, state, settlements, "
        "created_at, fee) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        std::string_view{payout.reference}, stored(PayoutKind::Refund), key, payout.seq, amount,
        payout.operation, stored(payout.state), payout.settlements, clock.now(),
        wallet.fee(prepared));
    return std::optional{std::move(payout)};
}

Result<std::optional<StoredPayout>, CashierError> Cashier::Impl::begin_refund(
    const KeyId& key, const RefundView& seen, const cashu::Wallet::PreparedSend& prepared,
    Msat amount) {
    TRY(const auto pause, spending.pause(key));
    if (pause.open() > Msat{}) return fail(make_error(Code::RequestsInFlight));
    return database.transact([&](Tx& tx) -> Result<std::optional<StoredPayout>, CashierError> {
        return begin_refund(tx, key, seen, prepared, amount);
    });
}

Result<Refund, CashierError> Cashier::refund(const KeyId& key) {
    Impl& my = *impl_;
    for (int tries = 0; tries < kTriesMax; ++tries) {
        const auto spent = my.spending.view(key);
        TRY(const auto seen,
            my.database.read([&](Reader& reader) -> Result<Impl::RefundView, CashierError> {
                return my.view_refund(reader, key, spent);
            }));
        if (seen.last && seen.last->state == RowState::Submitted) {
            return my.finish_payout(seen.last->reference, seen.last->operation, true);
        }
        if (seen.reserved > Msat{}) return fail(make_error(Code::RequestsInFlight));
        const Sat sats = to_sat_floor(seen.balance);
        if (sats == Sat{}) {
            if (seen.last && seen.last->state == RowState::Done &&
                seen.last->settlements == seen.settlements) {
                return my.handed_out(*seen.last, true);
            }
            return fail(
                make_error(seen.balance == Msat{} ? Code::NoBalance : Code::BalanceTooSmall));
        }
        const Msat amount = to_msat(sats);
        const auto prepared = my.wallet.prepare_send(amount, mint_named(seen.record.refund_mint));
        if (!prepared && prepared.error().code == cashu::WalletError::Code::InsufficientFunds) {
            TRY(const bool gathered, my.gather(amount));
            if (gathered) continue;
        }
        if (!prepared) return fail(of_our_ecash(prepared.error()));
        if (my.wallet.worth(**prepared) != amount) return fail(make_error(Code::MintInsufficient));
        const auto begun = my.begin_refund(key, seen, **prepared, amount);
        // Somebody was faster: with this balance, or with these proofs.
        if (!begun && begun.error().code == Code::TokenPending) continue;
        if (!begun) return fail(begun.error());
        if (!*begun) continue;
        return my.finish_payout((*begun)->reference, (*begun)->operation, false);
    }
    auto error = make_error(Code::InProgress, "the balance keeps changing");
    error.retry_after = my.options.retry_after;
    return fail(std::move(error));
}

}  // namespace nutgate
