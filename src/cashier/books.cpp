// The wallet's side of the books: deposits, refunds and payouts, issues.
#include "nutgate/cashier/books.h"

#include <string>
#include <utility>

#include "error_name.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/seal.h"
#include "posting.h"
#include "schema.h"

namespace nutgate {
namespace {

using cashu::SettlerRefusal;
using store::Row;
using store::Tx;

SettlerRefusal refusal(std::string_view what, std::string_view reference) {
    return {std::string{what} + ": " + std::string{reference}};
}

SettlerRefusal refusal(LedgerError error, std::string_view reference) {
    return refusal(to_text(error), reference);
}

KeyLimits limits_of(const Row& row, std::size_t column) {
    return {.balance_limit = row.is_null(column) ? std::nullopt : std::optional{row.msat(column)},
            .reset = static_cast<LimitReset>(row.integer(column + 1)),
            .valid_until =
                row.is_null(column + 2) ? std::nullopt : std::optional{row.time(column + 2)}};
}

struct Settlement {
    std::string_view method;
    std::string reference;
    std::optional<KeyId> key;
    Account asset;
    Msat amount;
    Time at;
};

// False if this money event has its row already.
bool insert_settlement(Tx& tx, const Settlement& s) {
    return tx.execute(
               "INSERT INTO settlement (method, reference, key, amount, asset_kind, asset_name, "
               "at) "
               "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (method, reference) DO NOTHING",
               s.method, std::string_view{s.reference}, s.key, s.amount, stored(s.asset.kind),
               std::string_view{s.asset.name}, s.at) == 1;
}

struct StoredPayout {
    Msat amount;
    RowState state;
};

std::optional<StoredPayout> find_payout(Tx& tx, std::string_view reference) {
    const auto row =
        tx.query_one("SELECT amount, state FROM payout WHERE reference = $1", reference);
    if (!row) return std::nullopt;
    return StoredPayout{row->msat(0), static_cast<RowState>(row->integer(1))};
}

// The invoice of a payment, as far as crediting it needs.
struct PaidInvoice {
    InvoicePurpose purpose;
    KeyId key;
    KeyLimits limits;
};

std::optional<PaidInvoice> find_invoice(Tx& tx, const PaymentHash& payment) {
    const auto row = tx.query_one(
        "SELECT purpose, key, balance_limit, limit_reset, valid_until FROM invoice "
        "WHERE payment_hash = $1",
        payment);
    if (!row) return std::nullopt;
    return PaidInvoice{.purpose = static_cast<InvoicePurpose>(row->integer(0)),
                       .key = row->id<KeyId>(1),
                       .limits = limits_of(*row, 2)};
}

// Only a mint's ecash can be refunded from; other assets name no mint.
std::string mint_of(const Account& asset) {
    if (asset.kind != AccountKind::Ecash) return {};
    return asset.name.substr(0, asset.name.rfind(':'));
}

// The key of the invoice exists from here on, and the invoice is paid.
Result<void, LedgerError> mark_paid(Tx& tx, Keyring& keyring, const PaymentHash& payment,
                                    const PaidInvoice& invoice, const Settlement& settlement) {
    const std::string mint = mint_of(settlement.asset);
    if (invoice.purpose == InvoicePurpose::Create) {
        // Fails only for a parent, and it has none.
        VERIFY(keyring
                   .create(tx, {.id = invoice.key,
                                .parent = std::nullopt,
                                .limits = invoice.limits,
                                .refund_mint = mint})
                   .has_value());
    } else if (!mint.empty()) {
        keyring.set_refund_mint(tx, invoice.key, mint);
    }
    tx.execute("UPDATE invoice SET state = $2, credited = $3, paid_at = $4 WHERE payment_hash = $1",
               payment, stored(InvoiceState::Paid), settlement.amount, settlement.at);
    return {};
}

}  // namespace

CashierBooks::CashierBooks(Ledger& ledger, Keyring& keyring, const Secret& seed, const Clock& clock,
                           crypto::Random& random, std::string mint_backend)
    : ledger_{ledger},
      keyring_{keyring},
      clock_{clock},
      random_{random},
      mint_backend_{std::move(mint_backend)},
      sealing_key_{crypto::hkdf_sha256(seed.reveal(), {}, "nutgate/cashier/seal", 32)} {}

Result<void, store::StoreFailure> CashierBooks::migrate(store::Database& database) {
    return store::migrate(database, "cashier", cashier_migrations());
}

Result<void, SettlerRefusal> CashierBooks::received(Tx& tx, const Received& event) {
    const auto row = tx.query_one(
        "SELECT identity, kind, key, balance_limit, limit_reset, valid_until FROM deposit "
        "WHERE reference = $1",
        std::string_view{event.reference});
    if (!row) return fail(refusal("no such deposit", event.reference));
    const auto identity = row->id<TokenIdentity>(0);
    const auto key = row->id<KeyId>(2);
    const Account asset = ecash_account(event.mint, event.unit);
    if (!insert_settlement(tx, {.method = kMethodCashu,
                                .reference = identity.hex(),
                                .key = key,
                                .asset = asset,
                                .amount = event.credited,
                                .at = clock_.now()})) {
        return {};
    }
    if (static_cast<DepositKind>(row->integer(1)) == DepositKind::Create) {
        VERIFY(keyring_
                   .create(tx, {.id = key,
                                .parent = std::nullopt,
                                .limits = limits_of(*row, 3),
                                .refund_mint = event.mint.text()})
                   .has_value());
    } else {
        keyring_.set_refund_mint(tx, key, event.mint.text());
    }
    const auto moved =
        ledger_.transfer(tx, {.id = transfer_id("settlement", {kMethodCashu, identity.hex()}),
                              .debit = asset,
                              .credit = key_account(key),
                              .amount = event.credited,
                              .reason = "deposit"});
    if (!moved) return fail(refusal(moved.error(), event.reference));
    tx.execute(
        "UPDATE deposit SET state = $2, credited = $3, ended_at = $4, failure = NULL "
        "WHERE identity = $1",
        identity, stored(RowState::Done), event.credited, clock_.now());
    return {};
}

Result<void, SettlerRefusal> CashierBooks::receive_failed(Tx& tx, std::string_view reference,
                                                          const cashu::WalletError& why) {
    const auto changed = tx.execute(
        "UPDATE deposit SET state = $2, failure = $3, ended_at = $4 WHERE reference = $1 AND "
        "state <> $5",
        reference, stored(RowState::Failed), failure_name(CashierError{why}.code), clock_.now(),
        stored(RowState::Done));
    if (changed != 1) return fail(refusal("no such open deposit", reference));
    return {};
}

Result<void, SettlerRefusal> CashierBooks::sent(Tx& tx, const Sent& event) {
    const auto payout = find_payout(tx, event.reference);
    if (!payout) return fail(refusal("no such payout", event.reference));
    if (payout->state == RowState::Done) return {};
    // A token of another amount than was taken from the balance would make or lose money.
    if (payout->state != RowState::Submitted || payout->amount != event.amount) {
        return fail(refusal("not the payout that was begun", event.reference));
    }
    const Account asset = ecash_account(event.mint, event.unit);
    const auto moved = ledger_.transfer(tx, {.id = transfer_id("payout sent", {event.reference}),
                                             .debit = payouts_in_flight(),
                                             .credit = asset,
                                             .amount = event.amount,
                                             .reason = "payout"});
    if (!moved) return fail(refusal(moved.error(), event.reference));
    const auto fee = post_amount(ledger_, tx,
                                 {.id = transfer_id("payout fee", {event.reference}),
                                  .debit = {AccountKind::Fees, event.mint.text()},
                                  .credit = asset,
                                  .amount = event.fee,
                                  .reason = "mint_fee"});
    if (!fee) return fail(refusal(fee.error(), event.reference));
    const Bytes sealed =
        crypto::seal(sealing_key_, as_bytes(event.token), as_bytes(event.reference), random_);
    tx.execute(
        "UPDATE payout SET state = $2, sealed = $3, mint = $4, ended_at = $5 WHERE reference = $1",
        std::string_view{event.reference}, stored(RowState::Done), BytesView{sealed},
        std::string_view{event.mint.text()}, clock_.now());
    return {};
}

Result<void, SettlerRefusal> CashierBooks::send_failed(Tx& tx, std::string_view reference,
                                                       const cashu::WalletError& why) {
    const auto payout = find_payout(tx, reference);
    if (!payout) return fail(refusal("no such payout", reference));
    if (payout->state == RowState::Failed) return {};
    if (payout->state == RowState::Done) return fail(refusal("was sent", reference));
    for (const Row& part : tx.query("SELECT account_kind, account_name, amount FROM payout_part "
                                    "WHERE reference = $1",
                                    reference)) {
        const Account account{static_cast<AccountKind>(part.integer(0)), part.text(1)};
        const auto moved =
            ledger_.transfer(tx, {.id = transfer_id("payout given back", {reference, account.name}),
                                  .debit = payouts_in_flight(),
                                  .credit = account,
                                  .amount = part.msat(2),
                                  .reason = "payout_failed"});
        if (!moved) return fail(refusal(moved.error(), reference));
    }
    tx.execute("UPDATE payout SET state = $2, failure = $3, ended_at = $4 WHERE reference = $1",
               reference, stored(RowState::Failed), failure_name(CashierError{why}.code),
               clock_.now());
    return {};
}

Result<void, SettlerRefusal> CashierBooks::issued(Tx& tx, const Issued& event) {
    const auto settled =
        settle(tx, event.payment, ecash_account(event.mint, event.unit), event.amount);
    if (!settled) return fail(refusal(settled.error(), event.payment.hex()));
    return {};
}

Result<void, SettlerRefusal> CashierBooks::melted(Tx&, const Melted& event) {
    return fail(refusal("no such payment", event.reference));
}

Result<void, SettlerRefusal> CashierBooks::melt_failed(Tx&, std::string_view reference,
                                                       const cashu::WalletError&) {
    return fail(refusal("no such payment", reference));
}

Result<void, SettlerRefusal> CashierBooks::funded(Tx&, const Funded& event) {
    return fail(refusal("no such funding", event.reference));
}

Result<void, SettlerRefusal> CashierBooks::fund_failed(Tx&, std::string_view reference,
                                                       const cashu::WalletError&) {
    return fail(refusal("no such funding", reference));
}

Result<void, SettlerRefusal> CashierBooks::consolidated(Tx& tx, const Consolidated& event) {
    const std::string operation = event.operation.hex();
    const auto moved = post_amount(ledger_, tx,
                                   {.id = transfer_id("consolidated", {operation}),
                                    .debit = {AccountKind::Fees, event.mint.text()},
                                    .credit = ecash_account(event.mint, event.unit),
                                    .amount = event.fee,
                                    .reason = "mint_fee"});
    if (!moved) return fail(refusal(moved.error(), operation));
    return {};
}

Result<void, SettlerRefusal> CashierBooks::restored(Tx& tx, const Restored& event) {
    const auto moved = ledger_.transfer(tx, {.id = transfer_id("restored", {event.reference}),
                                             .debit = ecash_account(event.mint, event.unit),
                                             .credit = {AccountKind::Owner, "restored"},
                                             .amount = event.amount,
                                             .reason = "restored"});
    if (!moved) return fail(refusal(moved.error(), event.reference));
    return {};
}

Result<void, SettlerRefusal> CashierBooks::lost(Tx& tx, const Lost& event) {
    const std::string operation = event.operation.hex();
    const auto moved = post_amount(ledger_, tx,
                                   {.id = transfer_id("lost", {operation}),
                                    .debit = {AccountKind::Losses, "ecash"},
                                    .credit = ecash_account(event.mint, event.unit),
                                    .amount = event.amount,
                                    .reason = "lost"});
    if (!moved) return fail(refusal(moved.error(), operation));
    return {};
}

Result<Applied, LedgerError> CashierBooks::settle(Tx& tx, const PaymentHash& payment,
                                                  const Account& asset, Msat amount) {
    const auto invoice = find_invoice(tx, payment);
    const Settlement settlement{.method = kMethodLightning,
                                .reference = payment.hex(),
                                .key = invoice ? std::optional{invoice->key} : std::nullopt,
                                .asset = asset,
                                .amount = amount,
                                .at = clock_.now()};
    if (!insert_settlement(tx, settlement)) return Applied::Before;
    if (invoice) TRY_VOID(mark_paid(tx, keyring_, payment, *invoice, settlement));
    return ledger_.transfer(tx, {.id = transfer_id("settlement", {kMethodLightning, payment.hex()}),
                                 .debit = asset,
                                 .credit = invoice ? key_account(invoice->key) : unclaimed(),
                                 .amount = amount,
                                 .reason = "payment"});
}

Result<void, LedgerError> CashierBooks::claim(Tx& tx, const PaymentHash& payment) {
    const std::string reference = payment.hex();
    const auto row = tx.query_one(
        "SELECT amount, asset_kind, asset_name FROM settlement WHERE method = $1 AND "
        "reference = $2 AND key IS NULL",
        kMethodLightning, std::string_view{reference});
    if (!row) return {};
    const auto invoice = find_invoice(tx, payment);
    if (!invoice) return {};
    const Settlement settlement{.method = kMethodLightning,
                                .reference = reference,
                                .key = invoice->key,
                                .asset = {static_cast<AccountKind>(row->integer(1)), row->text(2)},
                                .amount = row->msat(0),
                                .at = clock_.now()};
    tx.execute("UPDATE settlement SET key = $3 WHERE method = $1 AND reference = $2",
               kMethodLightning, std::string_view{reference}, invoice->key);
    TRY_VOID(mark_paid(tx, keyring_, payment, *invoice, settlement));
    TRY_VOID(ledger_.transfer(tx, {.id = transfer_id("claim", {reference}),
                                   .debit = unclaimed(),
                                   .credit = key_account(invoice->key),
                                   .amount = settlement.amount,
                                   .reason = "payment"}));
    return {};
}

std::optional<std::string> CashierBooks::open_token(std::string_view reference,
                                                    BytesView sealed) const {
    const auto opened = crypto::open(sealing_key_, sealed, as_bytes(reference));
    if (!opened) return std::nullopt;
    return std::string{as_text(*opened)};
}

}  // namespace nutgate
