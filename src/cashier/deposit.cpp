// Tokens in. The row of a token is what all calls with that token meet at: the first begins it, the
// others, now or after a crash, finish it or find it done.
#include <string>
#include <utility>

#include "error_name.h"
#include "impl.h"
#include "nutgate/base/log.h"
#include "nutgate/crypto/hash.h"

namespace nutgate {
namespace {

using Code = CashierError::Code;
using store::Reader;
using store::Tx;

std::string reference_of(const TokenIdentity& token) { return "deposit:" + token.hex(); }

// Does what the token was deposited for serve what it is presented for now?
bool serves(const StoredDeposit& row, DepositKind kind, const KeyId& key) {
    return row.kind == kind && row.key == key;
}

std::string text_of(Msat amount) { return std::to_string(amount.raw()) + " msat"; }

// A token as it was presented, with its amounts and signatures: a damaged copy is refused, and the
// good one with the same secrets is not.
TokenIdentity presented_as(const cashu::Token& token) {
    std::string all = token.mint.text() + '\n' + token.unit;
    for (const cashu::Proof& proof : token.proofs) {
        const std::string witness = proof.witness.value_or("");
        all += '\n' + std::to_string(proof.amount) + ' ' + proof.id.text() + ' ' + proof.C.hex() +
               ' ' + std::to_string(proof.secret.size()) + ' ' + proof.secret + witness;
        if (proof.dleq) all += to_hex(proof.dleq->e) + to_hex(proof.dleq->s);
    }
    return TokenIdentity{crypto::sha256(as_bytes(all))};
}

}  // namespace

std::optional<CashierError> RefusalMemory::find(const TokenIdentity& token) {
    const Lock lock{mutex_};
    const auto entry = entries_.find(token);
    if (entry == entries_.end() || entry->second.until <= clock_.now()) return std::nullopt;
    return entry->second.why;
}

void RefusalMemory::remember(const TokenIdentity& token, const CashierError& why) {
    const Lock lock{mutex_};
    const Entry entry{why, clock_.now() + lifetime_};
    if (entries_.insert_or_assign(token, entry).second) order_.push_back(token);
    while (order_.size() > size_max_) {
        entries_.erase(order_.front());
        order_.pop_front();
    }
}

std::optional<StoredDeposit> read_deposit(Reader& reader, const TokenIdentity& token) {
    const auto row = reader.query_one(
        "SELECT kind, key, operation, state, failure, credited FROM deposit WHERE identity = $1",
        token);
    if (!row) return std::nullopt;
    return StoredDeposit{
        .identity = token,
        .kind = static_cast<DepositKind>(row->integer(0)),
        .key = row->id<KeyId>(1),
        .operation = row->id<OperationId>(2),
        .state = static_cast<RowState>(row->integer(3)),
        .failure = row->is_null(4) ? std::nullopt : std::optional{failure_of_name(row->text(4))},
        .credited = row->msat(5)};
}

Result<std::optional<StoredDeposit>, CashierError> Cashier::Impl::find_deposit(
    const TokenIdentity& token) {
    return database.read([&](Reader& reader) -> Result<std::optional<StoredDeposit>, CashierError> {
        return read_deposit(reader, token);
    });
}

Result<Cashier::Impl::DepositTarget, CashierError> Cashier::Impl::target(
    const TokenIdentity& token, const DepositPurpose& purpose) {
    if (const auto* top_up = std::get_if<TopUp>(&purpose)) {
        TRY(const auto key, database.read([&](Reader& reader) -> Result<KeyId, CashierError> {
            return payee(reader, top_up->key);
        }));
        return DepositTarget{DepositKind::TopUp, key, {}};
    }
    const auto* create = std::get_if<CreateKey>(&purpose);
    const KeyLimits limits = create != nullptr ? create->limits : KeyLimits{};
    return DepositTarget{DepositKind::Create, keyring.id_of_token(token), limits};
}

Result<Cashier::Impl::Presented, CashierError> Cashier::Impl::read_token(
    std::string_view text) const {
    auto token = wallet.read_token(text);
    const bool foreign = !token && token.error().code == cashu::WalletError::Code::MintForeign &&
                         options.foreign_mints == ForeignMints::Swap;
    if (foreign) token = wallet.read_foreign_token(text);
    if (!token) return fail(token.error());
    const auto identity = cashu::identity_of(token->proofs);
    if (!identity) return fail(make_error(Code::TokenInvalid, "a secret that is no point"));
    return Presented{.token = *std::move(token), .foreign = foreign, .identity = *identity};
}

Result<Cashier::Impl::Begun, CashierError> Cashier::Impl::begin_deposit(
    const Presented& presented, const DepositTarget& target) {
    const cashu::Token& token = presented.token;
    const TokenIdentity& identity = presented.identity;
    // Only who makes a new key is asked about its limits: finding a key again never depends on
    // them.
    TRY_VOID(check_limits(target.limits));
    cashu::Wallet::Owned<cashu::Wallet::PreparedReceive> receive;
    cashu::Wallet::Owned<cashu::Wallet::PreparedMelt> swap;
    std::optional<PaymentHash> payment;
    if (presented.foreign) {
        TRY(swap, prepare_foreign(token));
        payment = wallet.payment(*swap);
    } else {
        TRY(receive, wallet.prepare_receive(token));
        if (wallet.worth(*receive) < target.at_least) {
            return fail(make_error(Code::PaymentUnfit, "net of its mint's fee it is worth " +
                                                           text_of(wallet.worth(*receive)) +
                                                           " of " + text_of(target.at_least)));
        }
    }
    const std::string reference = reference_of(identity);
    return database.transact([&](Tx& tx) -> Result<Begun, CashierError> {
        const auto row = read_deposit(tx, identity);
        if (row && !row->may_begin_again()) return Begun{row->operation, false};
        if (target.request) TRY_VOID(claim_request(tx, *target.request, identity));
        TRY(const auto operation, presented.foreign
                                      ? wallet.begin_melt(tx, *swap, reference)
                                      : wallet.begin_receive(tx, *receive, reference));
        tx.execute(
            "INSERT INTO deposit (identity, reference, kind, key, balance_limit, limit_reset, "
            "valid_until, mint, operation, state, created_at, payment_hash, request) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) "
            "ON CONFLICT (identity) DO UPDATE SET kind = excluded.kind, key = excluded.key, "
            "balance_limit = excluded.balance_limit, limit_reset = excluded.limit_reset, "
            "valid_until = excluded.valid_until, operation = excluded.operation, "
            "state = excluded.state, payment_hash = excluded.payment_hash, request = "
            "excluded.request, failure = NULL, "
            "ended_at = NULL",
            identity, std::string_view{reference}, stored(target.kind), target.key,
            target.limits.balance_limit, stored(target.limits.reset), target.limits.valid_until,
            std::string_view{token.mint.text()}, operation, stored(RowState::Submitted),
            clock.now(), payment, target.request);
        // The mint that is to pay our quote has seen it already.
        if (payment) TRY_VOID(books.claim(tx, *payment));
        return Begun{operation, true};
    });
}

Result<Deposit, CashierError> Cashier::Impl::answer(const StoredDeposit& row, bool again) {
    const auto spent = spending.view(row.key);
    return database.read([&](Reader& reader) -> Result<Deposit, CashierError> {
        return Deposit{.key = row.key,
                       .credited = row.credited,
                       .balance = spendable(reader, row.key, spent).balance,
                       .again = again};
    });
}

Result<Cashier::Impl::Taken, CashierError> Cashier::Impl::finish_deposit(
    const TokenIdentity& identity, const OperationId& operation, const DepositTarget& target,
    bool again) {
    const auto ended = wallet.execute(operation);
    TRY(const auto row, find_deposit(identity));
    // Gone: it failed so long ago that it was forgotten.
    if (!row) return fail(make_error(Code::InProgress));
    if (!serves(*row, target.kind, target.key)) return fail(make_error(Code::TokenUsed));
    if (row->state != RowState::Done) return fail(not_done(row->state, row->failure, ended));
    if (!again) deposits.add();
    return Taken{.row = *row, .again = again};
}

Result<Cashier::Impl::Taken, CashierError> Cashier::Impl::take_in(const Presented& presented,
                                                                  const DepositTarget& target) {
    const TokenIdentity& identity = presented.identity;
    TRY(const auto row, find_deposit(identity));
    if (row && !row->may_begin_again()) {
        if (!serves(*row, target.kind, target.key)) {
            return fail(make_error(row->state == RowState::Failed
                                       ? row->failure.value_or(Code::MintRefused)
                                       : Code::TokenUsed));
        }
        if (row->state == RowState::Done) return Taken{.row = *row, .again = true};
        return finish_deposit(identity, row->operation, target, true);
    }
    const TokenIdentity shape = presented_as(presented.token);
    if (auto refused = refusals.find(shape)) return fail(*std::move(refused));

    const auto begun = begin_deposit(presented, target);
    if (!begun) {
        if (is_final(begun.error().code)) refusals.remember(shape, begun.error());
        return fail(begun.error());
    }
    auto done = finish_deposit(identity, begun->operation, target, !begun->by_us);
    // What another began may have been another copy.
    if (!done && begun->by_us && is_final(done.error().code)) {
        refusals.remember(shape, done.error());
    }
    return done;
}

Result<Deposit, CashierError> Cashier::deposit_token(std::string_view text,
                                                     const DepositPurpose& purpose) {
    TRY(const auto presented, impl_->read_token(text));
    TRY(const auto target, impl_->target(presented.identity, purpose));
    TRY(const auto taken, impl_->take_in(presented, target));
    if (!taken.again) impl_->spending.credited(taken.row.key);
    return impl_->answer(taken.row, taken.again);
}

Result<KeyId, CashierError> Cashier::key_of_token(std::string_view text) {
    TRY(const auto presented, impl_->read_token(text));
    TRY(const auto row, impl_->find_deposit(presented.identity));
    if (!row || row->kind != DepositKind::Create || row->state == RowState::Failed) {
        return fail(make_error(Code::KeyUnknown));
    }
    if (row->state == RowState::Submitted) return fail(make_error(Code::InProgress));
    return row->key;
}

}  // namespace nutgate
