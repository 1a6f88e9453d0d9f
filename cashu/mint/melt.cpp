// Melting: tokens in, a Lightning payment out (NUT-05, NUT-08).
#include "mint/melt.h"

#include <algorithm>

#include "nutgate/base/log.h"

namespace nutgate::cashu {

namespace {

using Code = MintCode;

constexpr int kPendingBatch = 1000;

MintError not_paid(std::string why) { return {Code::PaymentFailed, std::move(why)}; }
MintError invoice_paid() { return {Code::InvoicePaid, "the invoice is paid, or being paid"}; }

// Why a quote that is not Unpaid can't be melted.
MintError not_meltable(const MeltRow& row) {
    if (row.state == StoredMelt::Paid) return invoice_paid();
    return {Code::QuotePending, "the quote is being paid"};
}

MeltRow attempt_at(const MeltRow& row, StoredMelt state, const CheckedInputs& inputs,
                   const RequestKey& key) {
    MeltRow attempt = row;
    attempt.state = state;
    ++attempt.attempt;
    attempt.inputs = inputs.sum;
    attempt.input_fee = inputs.fee;
    attempt.request_key = key;
    return attempt;
}

// Takes the quote for this attempt, and the invoice: each is paid once.
Result<void, MintError> claim(store::Tx& tx, const MeltRow& attempt) {
    const auto taken = tx.execute(
        "UPDATE mint_melts SET state = $1, attempt = $2, inputs = $3, input_fee = $4, "
        "request_key = $5 WHERE id = $6 AND state = $7 AND attempt = $8",
        static_cast<int>(attempt.state), attempt.attempt, to_sql(attempt.inputs),
        to_sql(attempt.input_fee), BytesView{*attempt.request_key}, attempt.id,
        static_cast<int>(StoredMelt::Unpaid), attempt.attempt - 1);
    if (taken != 1) return fail(not_meltable(read_melt(tx, attempt.id).value_or(attempt)));
    const auto guard = tx.execute(
        "INSERT INTO mint_payments (payment_hash, quote) VALUES ($1, $2) "
        "ON CONFLICT (payment_hash) DO NOTHING",
        attempt.payment, attempt.id);
    if (guard != 1) return fail(invoice_paid());
    return {};
}

Result<void, MintError> covers(const CheckedInputs& inputs, const MeltRow& row) {
    if (inputs.unit != row.unit) {
        return fail(MintError{Code::UnitsDiffer, "quote and inputs are of different units"});
    }
    const auto with_reserve = add(row.amount, row.fee_reserve);
    const auto due = with_reserve ? add(*with_reserve, inputs.fee) : std::nullopt;
    if (!due || inputs.sum < *due) {
        return fail(MintError{Code::Unbalanced, "inputs " + std::to_string(inputs.sum) +
                                                    ", needed amount " +
                                                    std::to_string(row.amount) + " + reserve " +
                                                    std::to_string(row.fee_reserve) + " + fee " +
                                                    std::to_string(inputs.fee)});
    }
    return {};
}

std::vector<MintBooks::SwapLine> lines_of(const std::vector<BlindSignature>& change, Unit unit) {
    return Exchange::lines({{}, unit, 0, 0}, change, unit);
}

// How the money that a melt took in was parted. Its four parts are all of it.
MintBooks::MeltEnd part(const MeltRow& row, nutgate::Msat routing_fee,
                        const std::vector<BlindSignature>& change) {
    auto rest = subtract(msat_of(row.inputs, row.unit), row.amount_msat);
    VERIFY(rest.has_value());
    auto lines = lines_of(change, row.unit);
    for (const auto& line : lines) {
        rest = subtract(*rest, line.signed_);
        VERIFY(rest.has_value());
    }
    const auto kept = subtract(*rest, routing_fee);
    VERIFY(kept.has_value());
    return {row.amount_msat, routing_fee, *kept, std::move(lines)};
}

}  // namespace

Mint::Impl::Pursuit::Pursuit(Impl& mint, std::string quote)
    : mint_{mint}, quote_{std::move(quote)} {
    const Lock lock{mint_.mutex};
    mine_ = mint_.melts_pursued.insert(quote_).second;
}

Mint::Impl::Pursuit::~Pursuit() {
    if (!mine_) return;
    const Lock lock{mint_.mutex};
    mint_.melts_pursued.erase(quote_);
}

Answered Mint::Impl::melt(const RequestKey& key, std::string_view body) {
    if (options.melt_disabled) return fail(MintError{Code::Disabled, "melting is disabled"});
    TRY(const auto request, taken(wire::parse_melt_request(body)));
    if (!request.outputs.empty()) {
        TRY(const auto blanks, exchange.check(request.outputs, OutputKind::Blank));
        TRY(const auto quote, load_melt(database, request.quote));
        if (blanks.unit != quote.unit) {
            return fail(MintError{Code::UnitsDiffer, "quote and outputs are of different units"});
        }
    }
    TRY(auto row, load_melt(database, request.quote));
    if (row.state != StoredMelt::Unpaid) return fail(not_meltable(row));
    if (clock.now() >= row.expires_at) {
        return fail(MintError{Code::QuoteExpired, "the quote has expired"});
    }
    TRY(const auto inputs, exchange.check(request.inputs));
    TRY_VOID(covers(inputs, row));
    TRY(const bool own, is_own(row.payment, row.amount_msat));
    if (own) {
        // Somebody may have paid it from outside, and nobody asked yet: who melts now would pay for
        // what is paid.
        TRY_VOID(ask_incoming(row.payment));
        return melt_internally(key, row, inputs, request.outputs);
    }

    const Pursuit pursuit{*this, row.id};
    if (!pursuit.mine()) return fail(MintError{Code::QuotePending, "the quote is being paid"});
    // Another request may have ended before this one came so far. From here on nobody else moves
    // the quote: what its backend knows of is not its own payment.
    TRY(row, load_melt(database, request.quote));
    if (row.state != StoredMelt::Unpaid) return fail(not_meltable(row));
    TRY_VOID(check_unpaid(row));
    TRY_VOID(begin_melt(key, row, inputs, request.outputs));
    // From here on the tokens are in flight. What fails now leaves them there, and poll() finds
    // out.
    const auto payment = backend.pay({.hash = row.payment,
                                      .bolt11 = row.request,
                                      .amount = row.amount_msat,
                                      .fee_max = msat_of(row.fee_reserve, row.unit)});
    if (!payment || payment->state == PaymentState::Failed) {
        TRY_VOID(release_melt(row));
        return fail(not_paid("the payment failed; nothing was spent"));
    }
    if (payment->state == PaymentState::Settled) TRY_VOID(finish_melt(row, *payment));
    TRY(const auto quote, describe_melt(row.id));
    return wire::write_melt_quote(quote);
}

Answered Mint::Impl::melt_internally(const RequestKey& key, const MeltRow& row,
                                     const CheckedInputs& inputs,
                                     const std::vector<BlindedMessage>& blanks) {
    const MeltRow paid = attempt_at(row, StoredMelt::Paid, inputs, key);
    const auto change = exchange.sign_change(blanks, inputs.sum - inputs.fee - row.amount);
    const auto end = part(paid, nutgate::Msat{}, change);
    const auto lines = Exchange::lines(inputs, {}, row.unit);
    const std::string answer = wire::write_melt_quote(describe(paid, change));
    const Time now = clock.now();
    const auto write_down = [&](store::Tx& tx) -> Result<void, MintError> {
        TRY_VOID(claim(tx, paid));
        TRY_VOID(Exchange::store_inputs(tx, inputs, StoredProof::Spent, row.id, now));
        // Both sides of the payment in one commit. In the order of the money: it arrives before it
        // leaves, so that no account of the books is ever short.
        if (!credit_quote(tx, row.payment, row.amount_msat, now)) return fail(invoice_paid());
        TRY_VOID(Exchange::store_signatures(tx, blanks, change, row.id, now));
        books.melt_begun(tx, paid.reference(), lines);
        books.melt_paid(tx, paid.reference(), end);
        keep_answer(tx, key, answer, now);
        return {};
    };
    TRY_VOID(database.transact(write_down));
    return answer;
}

Result<void, MintError> Mint::Impl::check_books(store::Reader& reader, const MeltRow& row) {
    using MayPay = MintBooks::MayPay;
    const auto most = add(row.amount_msat, msat_of(row.fee_reserve, row.unit));
    VERIFY(most.has_value());
    switch (books.may_pay(reader, row.payment, *most)) {
        case MayPay::Yes:
            return {};
        case MayPay::Elsewhere:
            return fail(invoice_paid());
        case MayPay::Short:
            log::warn("mint.lightning_short", {{"backend", backend.name()}, {"needed", *most}});
            return fail(not_paid("the mint has not so much at Lightning; nothing was spent"));
    }
    VERIFY(false);
    return {};
}

Result<void, MintError> Mint::Impl::check_unpaid(const MeltRow& row) {
    TRY_VOID(database.read([&](store::Reader& reader) { return check_books(reader, row); }));
    const auto known = backend.outgoing(row.payment);
    if (known) {
        // One that failed is told of again, and fails again.
        if (known->state == PaymentState::Failed) return {};
        return fail(invoice_paid());
    }
    if (known.error() == BackendError::NotFound) return {};
    return fail(not_paid("the Lightning node can't be asked; nothing was spent"));
}

Result<void, MintError> Mint::Impl::begin_melt(const RequestKey& key, MeltRow& row,
                                               const CheckedInputs& inputs,
                                               const std::vector<BlindedMessage>& blanks) {
    MeltRow begun = attempt_at(row, StoredMelt::Pending, inputs, key);
    const auto lines = Exchange::lines(inputs, {}, row.unit);
    const Time now = clock.now();
    const auto write_down = [&](store::Tx& tx) -> Result<void, MintError> {
        TRY_VOID(check_books(tx, begun));
        TRY_VOID(claim(tx, begun));
        TRY_VOID(Exchange::store_inputs(tx, inputs, StoredProof::Pending, row.id, now));
        TRY_VOID(Exchange::store_blanks(tx, blanks, row.id, now));
        books.melt_begun(tx, begun.reference(), lines);
        return {};
    };
    TRY_VOID(database.transact(write_down));
    row = std::move(begun);
    return {};
}

Result<void, MintError> Mint::Impl::pursue_melt(const std::string& quote) {
    const Pursuit pursuit{*this, quote};
    if (!pursuit.mine()) return {};
    TRY(const auto row, load_melt(database, quote));
    if (row.state != StoredMelt::Pending) return {};

    auto payment = backend.outgoing(row.payment);
    if (!payment && payment.error() == BackendError::NotFound) {
        // It was never told, or can't say. To tell it (again) is safe, since paying twice pays
        // once; and its answer is certain where this one was not.
        payment = backend.pay({.hash = row.payment,
                               .bolt11 = row.request,
                               .amount = row.amount_msat,
                               .fee_max = msat_of(row.fee_reserve, row.unit)});
        if (!payment) return release_melt(row);
    }
    if (!payment) return {};
    switch (payment->state) {
        case PaymentState::Pending:
            return {};
        case PaymentState::Settled:
            return finish_melt(row, *payment);
        case PaymentState::Failed:
            return release_melt(row);
    }
    return {};
}

Result<void, MintError> Mint::Impl::finish_melt(const MeltRow& row, const Payment& payment) {
    TRY(const auto blanks,
        database.read(
            [&](store::Reader& reader) -> Result<std::vector<BlindedMessage>, store::StoreFailure> {
                std::vector<BlindedMessage> result;
                for (const auto& blank :
                     reader.query("SELECT b, keyset FROM mint_signatures "
                                  "WHERE quote = $1 AND c IS NULL ORDER BY position",
                                  row.id)) {
                    const auto b = crypto::Point::from_bytes(blank.bytes(0));
                    const auto id = KeysetId::parse(blank.text(1));
                    VERIFY(b && id);
                    result.push_back({0, *id, *b});
                }
                return result;
            }));
    // A backend that took more than it was allowed to: the customer pays what was quoted.
    const nutgate::Msat reserve = msat_of(row.fee_reserve, row.unit);
    if (payment.fee > reserve) {
        log::error("mint.fee_exceeds_reserve", {{"fee", payment.fee}, {"reserve", reserve}});
    }
    const nutgate::Msat fee = std::min(payment.fee, reserve);
    const Amount change_amount =
        row.inputs - row.input_fee - row.amount - to_amount_ceil(fee, row.unit);
    const auto change = exchange.sign_change(blanks, change_amount);
    auto end = part(row, fee, change);
    end.beyond = subtract(payment.fee, fee).value_or(nutgate::Msat{});
    MeltRow paid = row;
    paid.state = StoredMelt::Paid;
    paid.preimage = payment.preimage;
    const std::string answer = wire::write_melt_quote(describe(paid, change));
    const Time now = clock.now();
    return database.transact([&](store::Tx& tx) -> Result<void, MintError> {
        const auto ended = tx.execute(
            "UPDATE mint_melts SET state = $1, preimage = $2 "
            "WHERE id = $3 AND state = $4 AND attempt = $5",
            static_cast<int>(StoredMelt::Paid), paid.preimage, row.id,
            static_cast<int>(StoredMelt::Pending), row.attempt);
        if (ended != 1) return {};  // Somebody else was faster.
        tx.execute("UPDATE mint_proofs SET state = $1 WHERE quote = $2",
                   static_cast<int>(StoredProof::Spent), row.id);
        for (std::size_t i = 0; i < change.size(); ++i) {
            const auto b = blanks[i].B_.compressed();
            const auto c = change[i].C_.compressed();
            tx.execute(
                "UPDATE mint_signatures SET amount = $1, c = $2, e = $3, s = $4 "
                "WHERE b = $5",
                to_sql(change[i].amount), BytesView{c}, BytesView{change[i].dleq->e},
                BytesView{change[i].dleq->s}, BytesView{b});
        }
        // What is left unsigned would stand in the way of a wallet that restores.
        tx.execute("DELETE FROM mint_signatures WHERE quote = $1 AND c IS NULL", row.id);
        books.melt_paid(tx, row.reference(), end);
        if (row.request_key) keep_answer(tx, *row.request_key, answer, now);
        return {};
    });
}

Result<void, MintError> Mint::Impl::release_melt(const MeltRow& row) {
    return database.transact([&](store::Tx& tx) -> Result<void, MintError> {
        const auto ended = tx.execute(
            "UPDATE mint_melts SET state = $1, inputs = 0, input_fee = 0, request_key = NULL "
            "WHERE id = $2 AND state = $3 AND attempt = $4",
            static_cast<int>(StoredMelt::Unpaid), row.id, static_cast<int>(StoredMelt::Pending),
            row.attempt);
        if (ended != 1) return {};
        std::vector<MintBooks::SwapLine> lines;
        for (const auto& spent :
             tx.query("SELECT keyset, CAST(SUM(amount) AS BIGINT) FROM mint_proofs "
                      "WHERE quote = $1 GROUP BY keyset ORDER BY keyset",
                      row.id)) {
            const auto id = KeysetId::parse(spent.text(0));
            VERIFY(id.has_value());
            lines.push_back({*id, msat_of(static_cast<Amount>(spent.integer(1)), row.unit), {}});
        }
        tx.execute("DELETE FROM mint_proofs WHERE quote = $1", row.id);
        tx.execute("DELETE FROM mint_signatures WHERE quote = $1 AND c IS NULL", row.id);
        tx.execute("DELETE FROM mint_payments WHERE payment_hash = $1 AND quote = $2", row.payment,
                   row.id);
        books.melt_failed(tx, row.reference(), lines);
        return {};
    });
}

void Mint::Impl::poll_melts() {
    const auto pending = database.read(
        [&](store::Reader& reader) -> Result<std::vector<std::string>, store::StoreFailure> {
            std::vector<std::string> result;
            for (const auto& row :
                 reader.query("SELECT id FROM mint_melts WHERE state = 2 ORDER BY id LIMIT $1",
                              kPendingBatch)) {
                result.push_back(row.text(0));
            }
            return result;
        });
    if (!pending) return;
    melts_pending.set(static_cast<std::int64_t>(pending->size()));
    for (const std::string& quote : *pending) {
        // One that fails stops no other: it stays pending and is asked about again.
        if (const auto ended = pursue_melt(quote); !ended) {
            log::warn("mint.melt_not_concluded", {{"detail", ended.error().detail}});
        }
    }
}

}  // namespace nutgate::cashu
