// What comes in: deposits, issues, payments, and what a restore finds. Each money event has one row
// in `settlement`, which makes booking it twice impossible.
#include "nutgate/cashier/books.h"

#include <string>
#include <utility>

#include "error_name.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/crypto/hash.h"
#include "posting.h"
#include "schema.h"

namespace nutgate {
namespace {

using cashu::SettlerRefusal;
using store::Row;
using store::Tx;

KeyLimits limits_of(const Row& row, std::size_t column) {
    return {.balance_limit = row.is_null(column) ? std::nullopt : std::optional{row.msat(column)},
            .reset = static_cast<LimitReset>(row.integer(column + 1)),
            .valid_until =
                row.is_null(column + 2) ? std::nullopt : std::optional{row.time(column + 2)}};
}

// Whom money is for that came in.
struct Payee {
    enum class Row { Invoice, Deposit, Transit, Offer };

    Row row;
    Account account;           // What it is booked to, against the asset that grew.
    std::optional<KeyId> key;  // Of a customer's.
    bool makes_key = false;
    KeyLimits limits;
    std::optional<InvoiceLookup> offer{};
};

Payee payee_of_deposit(const Row& row) {
    const auto kind = static_cast<DepositKind>(row.integer(0));
    if (kind == DepositKind::Owner) {
        return {.row = Payee::Row::Deposit, .account = paid_in(), .key = {}, .limits = {}};
    }
    const auto key = row.id<KeyId>(1);
    return {.row = Payee::Row::Deposit,
            .account = key_account(key),
            .key = key,
            .makes_key = kind == DepositKind::Create,
            .limits = limits_of(row, 2)};
}

// Whom a payment is for: an invoice; the quote that a foreign token pays; our own money, if it is
// on its way already. Else it is nobody's, for now.
std::optional<Payee> find_payee(Tx& tx, const PaymentHash& payment) {
    const auto invoice = tx.query_one(
        "SELECT purpose, key, balance_limit, limit_reset, valid_until FROM invoice "
        "WHERE payment_hash = $1",
        payment);
    if (invoice) {
        const auto key = invoice->id<KeyId>(1);
        return Payee{
            .row = Payee::Row::Invoice,
            .account = key_account(key),
            .key = key,
            .makes_key = static_cast<InvoicePurpose>(invoice->integer(0)) == InvoicePurpose::Create,
            .limits = limits_of(*invoice, 2)};
    }
    const auto deposit = tx.query_one(
        "SELECT kind, key, balance_limit, limit_reset, valid_until FROM deposit "
        "WHERE payment_hash = $1 AND state = $2",
        payment, stored(RowState::Submitted));
    if (deposit) return payee_of_deposit(*deposit);
    const auto left =
        tx.query_one("SELECT reference FROM transit WHERE payment_hash = $1 AND state = $2",
                     payment, stored(TransitState::Left));
    if (left) {
        return Payee{.row = Payee::Row::Transit, .account = transit(), .key = {}, .limits = {}};
    }
    return std::nullopt;
}

std::optional<Payee> find_offer_payee(Tx& tx, const CashierBooks::OfferName& offer) {
    const auto row = tx.query_one(
        "SELECT purpose, key, balance_limit, limit_reset, valid_until, lookup FROM offer "
        "WHERE reference = $1 AND holder = $2",
        offer.name, offer.holder);
    if (!row) return std::nullopt;
    const auto key = row->id<KeyId>(1);
    return Payee{
        .row = Payee::Row::Offer,
        .account = key_account(key),
        .key = key,
        .makes_key = static_cast<InvoicePurpose>(row->integer(0)) == InvoicePurpose::Create,
        .limits = limits_of(*row, 2),
        .offer = row->id<InvoiceLookup>(5)};
}

struct Settlement {
    std::string_view method;
    std::string reference;
    std::optional<Payee> payee;
    Account asset;
    Msat amount;
    Time at;

    std::optional<KeyId> key() const { return payee ? payee->key : std::nullopt; }
    bool own() const { return payee && !payee->key; }
    std::optional<InvoiceLookup> offer() const { return payee ? payee->offer : std::nullopt; }
};

// False if this money event has its row already.
bool insert_settlement(Tx& tx, const Settlement& s) {
    return tx.execute(
               "INSERT INTO settlement (method, reference, key, amount, asset_kind, asset_name, "
               "at, own, offer) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
               "ON CONFLICT (method, reference) DO NOTHING",
               s.method, std::string_view{s.reference}, s.key(), s.amount, stored(s.asset.kind),
               std::string_view{s.asset.name}, s.at, s.own() ? 1 : 0, s.offer()) == 1;
}

// Only a mint's ecash can be refunded from; other assets name no mint.
std::string mint_of(const Account& asset) {
    if (asset.kind != AccountKind::Ecash) return {};
    return asset.name.substr(0, asset.name.rfind(':'));
}

// A customer's key exists from here on, and knows which mint to be refunded from.
void prepare_key(Tx& tx, Keyring& keyring, const Payee& payee, const Account& asset) {
    if (!payee.key) return;
    const std::string mint = mint_of(asset);
    if (payee.makes_key) {
        // Fails only for a parent, and it has none.
        VERIFY(keyring
                   .create(tx, {.id = *payee.key,
                                .parent = std::nullopt,
                                .limits = payee.limits,
                                .refund_mint = mint})
                   .has_value());
    } else if (!mint.empty()) {
        keyring.set_refund_mint(tx, *payee.key, mint);
    }
}

// The row that waited for this payment has it.
void mark_paid(Tx& tx, const PaymentHash& payment, const Settlement& s) {
    switch (s.payee->row) {
        case Payee::Row::Invoice:
            tx.execute(
                "UPDATE invoice SET state = $2, credited = $3, paid_at = $4 WHERE payment_hash = "
                "$1",
                payment, stored(InvoiceState::Paid), s.amount, s.at);
            return;
        case Payee::Row::Deposit:
            tx.execute(
                "UPDATE deposit SET state = $2, credited = $3, ended_at = $4, failure = NULL "
                "WHERE payment_hash = $1",
                payment, stored(RowState::Done), s.amount, s.at);
            return;
        case Payee::Row::Transit:
            tx.execute("UPDATE transit SET state = $2, ended_at = $3 WHERE payment_hash = $1",
                       payment, stored(TransitState::Done), s.at);
            return;
        case Payee::Row::Offer:
            break;  // It waits for no payment in particular.
    }
    VERIFY(false);
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
        "SELECT kind, key, balance_limit, limit_reset, valid_until, identity, request FROM deposit "
        "WHERE reference = $1",
        std::string_view{event.reference});
    if (!row) return fail(refusal("no such deposit", event.reference));
    const auto identity = row->id<TokenIdentity>(5);
    const Settlement settlement{.method = kMethodCashu,
                                .reference = identity.hex(),
                                .payee = payee_of_deposit(*row),
                                .asset = ecash_account(event.mint, event.unit),
                                .amount = event.credited,
                                .at = clock_.now()};
    if (!insert_settlement(tx, settlement)) return {};
    prepare_key(tx, keyring_, *settlement.payee, settlement.asset);
    const auto moved =
        ledger_.transfer(tx, {.id = transfer_id("settlement", {kMethodCashu, identity.hex()}),
                              .debit = settlement.asset,
                              .credit = settlement.payee->account,
                              .amount = event.credited,
                              .reason = "deposit"});
    if (!moved) return fail(refusal(moved.error(), event.reference));
    tx.execute(
        "UPDATE deposit SET state = $2, credited = $3, ended_at = $4, failure = NULL "
        "WHERE identity = $1",
        identity, stored(RowState::Done), event.credited, clock_.now());
    if (row->is_null(6)) return {};
    tx.execute(
        "UPDATE token_request SET state = $2, credited = credited + $3, paid_at = $4 "
        "WHERE lookup = $1",
        row->id<InvoiceLookup>(6), stored(RequestState::Paid), event.credited, clock_.now());
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

Result<void, SettlerRefusal> CashierBooks::issued(Tx& tx, const Issued& event) {
    const auto settled =
        settle(tx, event.payment, ecash_account(event.mint, event.unit), event.amount);
    if (!settled) return fail(refusal(settled.error(), event.payment.hex()));
    return {};
}

Result<void, SettlerRefusal> CashierBooks::offer_issued(Tx& tx, const OfferIssued& event) {
    const std::string operation = event.operation.hex();
    const auto asset = ecash_account(event.mint, event.unit);
    const std::string offer = event.offer.hex();
    const auto credited = settle_offer(tx, {.name = offer}, operation, asset, event.amount);
    if (!credited) return fail(refusal(credited.error(), operation));
    if (*credited) return {};
    // No offer of ours has that name, but the ecash is there.
    const Settlement settlement{.method = kMethodLightning,
                                .reference = operation,
                                .payee = std::nullopt,
                                .asset = asset,
                                .amount = event.amount,
                                .at = clock_.now()};
    if (!insert_settlement(tx, settlement)) return {};
    const auto moved =
        ledger_.transfer(tx, {.id = transfer_id("settlement", {kMethodLightning, operation}),
                              .debit = asset,
                              .credit = unclaimed(),
                              .amount = event.amount,
                              .reason = "payment"});
    if (!moved) return fail(refusal(moved.error(), operation));
    return {};
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
                                             .credit = restored_to_owner(),
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
    const Settlement settlement{.method = kMethodLightning,
                                .reference = payment.hex(),
                                .payee = find_payee(tx, payment),
                                .asset = asset,
                                .amount = amount,
                                .at = clock_.now()};
    if (!insert_settlement(tx, settlement)) return Applied::Before;
    const auto& payee = settlement.payee;
    if (payee) {
        prepare_key(tx, keyring_, *payee, asset);
        mark_paid(tx, payment, settlement);
    }
    return ledger_.transfer(tx, {.id = transfer_id("settlement", {kMethodLightning, payment.hex()}),
                                 .debit = asset,
                                 .credit = payee ? payee->account : unclaimed(),
                                 .amount = amount,
                                 .reason = "payment"});
}

Result<void, LedgerError> CashierBooks::claim(Tx& tx, const PaymentHash& payment) {
    const std::string reference = payment.hex();
    const auto row = tx.query_one(
        "SELECT amount, asset_kind, asset_name FROM settlement WHERE method = $1 AND "
        "reference = $2 AND key IS NULL AND own = 0",
        kMethodLightning, std::string_view{reference});
    if (!row) return {};
    const Settlement settlement{.method = kMethodLightning,
                                .reference = reference,
                                .payee = find_payee(tx, payment),
                                .asset = {static_cast<AccountKind>(row->integer(1)), row->text(2)},
                                .amount = row->msat(0),
                                .at = clock_.now()};
    const auto& payee = settlement.payee;
    if (!payee) return {};
    tx.execute("UPDATE settlement SET key = $3, own = $4 WHERE method = $1 AND reference = $2",
               kMethodLightning, std::string_view{reference}, settlement.key(),
               settlement.own() ? 1 : 0);
    prepare_key(tx, keyring_, *payee, settlement.asset);
    mark_paid(tx, payment, settlement);
    TRY_VOID(ledger_.transfer(tx, {.id = transfer_id("claim", {reference}),
                                   .debit = unclaimed(),
                                   .credit = payee->account,
                                   .amount = settlement.amount,
                                   .reason = "payment"}));
    return {};
}

Result<std::optional<CashierBooks::OfferCredit>, LedgerError> CashierBooks::settle_offer(
    Tx& tx, const OfferName& offer, std::string_view reference, const Account& asset, Msat amount) {
    const Settlement settlement{.method = kMethodLightning,
                                .reference = std::string{reference},
                                .payee = find_offer_payee(tx, offer),
                                .asset = asset,
                                .amount = amount,
                                .at = clock_.now()};
    const auto& payee = settlement.payee;
    if (!payee || amount == Msat{}) return std::optional<OfferCredit>{};
    OfferCredit credit{.key = *payee->key, .offer = *payee->offer, .applied = Applied::Before};
    if (!insert_settlement(tx, settlement)) return std::optional{credit};
    prepare_key(tx, keyring_, *payee, asset);
    tx.execute(
        "UPDATE offer SET credited = credited + $2, payments = payments + 1, paid_at = $3 "
        "WHERE lookup = $1",
        credit.offer, amount, settlement.at);
    TRY(credit.applied,
        ledger_.transfer(tx, {.id = transfer_id("settlement", {kMethodLightning, reference}),
                              .debit = asset,
                              .credit = payee->account,
                              .amount = amount,
                              .reason = "payment"}));
    return std::optional{credit};
}

}  // namespace nutgate
