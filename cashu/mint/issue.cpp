// Mint quotes and what is issued for them: NUT-04, NUT-20, NUT-23.
#include <algorithm>

#include "mint/impl.h"
#include "nutgate/base/log.h"
#include "nutgate/cashu/quote_signature.h"

namespace nutgate::cashu {

namespace {

constexpr std::size_t kDescriptionBytesMax = 639;  // What a BOLT11 invoice can hold.
constexpr int kPollBatch = 200;
// Of each kind: so no transaction is long, however many there are.
constexpr int kForgottenPerRound = 256;
// An invoice may be settled by a payment that was on its way when it expired.
constexpr Seconds kAskAfterExpiry{3600};
// Somebody may still look at a quote long after nobody can pay it any more.
constexpr Seconds kUnpaidKept{30 * 24 * 3600};

}  // namespace

struct MintQuoteRow {
    std::string id;
    PaymentHash payment;
    std::string request;
    Unit unit;
    Amount amount;
    std::optional<crypto::Point> pubkey;
    Amount paid;
    Amount issued;
    Time expires_at;
    std::int64_t updated_at;
};

namespace {

using MaybeQuote = Result<std::optional<MintQuoteRow>, store::StoreFailure>;

std::optional<MintQuoteRow> read_quote(store::Reader& reader, std::string_view id) {
    // One whose invoice is not made yet was never answered with, so nobody can know it.
    const auto row = reader.query_one(
        "SELECT id, payment_hash, request, unit, amount, pubkey, paid, issued, expires_at, "
        "updated_at FROM mint_quotes WHERE id = $1 AND payment_hash IS NOT NULL",
        id);
    if (!row) return std::nullopt;
    const auto unit = parse_unit(row->text(3));
    VERIFY(unit.has_value());
    std::optional<crypto::Point> pubkey;
    if (!row->is_null(5)) {
        pubkey = crypto::Point::from_bytes(row->bytes(5));
        VERIFY(pubkey.has_value());
    }
    return MintQuoteRow{row->text(0),
                        row->id<PaymentHash>(1),
                        row->text(2),
                        *unit,
                        static_cast<Amount>(row->integer(4)),
                        pubkey,
                        static_cast<Amount>(row->integer(6)),
                        static_cast<Amount>(row->integer(7)),
                        row->time(8),
                        row->integer(9)};
}

Result<MintQuoteRow, MintError> load_quote(store::Database& database, std::string_view id) {
    TRY(auto quote,
        database.read([&](store::Reader& reader) -> MaybeQuote { return read_quote(reader, id); }));
    if (!quote) return fail(MintError{MintCode::QuoteUnknown, "unknown quote"});
    return *std::move(quote);
}

std::string write(const MintQuoteRow& row) {
    wire::MintQuote quote;
    quote.quote = row.id;
    quote.request = row.request;
    quote.unit = to_text(row.unit);
    quote.amount = row.amount;
    quote.amount_paid = row.paid;
    quote.amount_issued = row.issued;
    quote.updated_at = static_cast<std::uint64_t>(row.updated_at);
    quote.expiry = to_unix_seconds(row.expires_at);
    quote.pubkey = row.pubkey;
    return wire::write_mint_quote(quote);
}

}  // namespace

MintError not_mintable(Amount paid, Amount issued, Amount wanted) {
    if (paid == 0) return {MintCode::QuoteNotPaid, "the quote is not paid"};
    if (issued == paid) return {MintCode::QuoteIssued, "the quote was issued before"};
    return {MintCode::Unbalanced,
            "outputs " + std::to_string(wanted) + ", mintable " + std::to_string(paid - issued)};
}

bool is_signed_by(const crypto::Point& owner, const wire::MintRequest& request) {
    if (!request.signature) return false;
    return std::ranges::any_of(
        std::array{QuoteMessage::V1, QuoteMessage::Legacy}, [&](QuoteMessage form) {
            return verify_quote_signature(form, request.quote, request.outputs, owner,
                                          *request.signature);
        });
}

Result<Unit, MintError> Mint::Impl::quotable(std::string_view text, std::optional<Amount> amount,
                                             const std::optional<std::string>& description) const {
    const auto unit = parse_unit(text);
    if (!unit || std::ranges::find(options.units, *unit) == options.units.end()) {
        return fail(MintError{MintCode::UnitUnsupported, "unit not supported"});
    }
    if (amount && (*amount == 0 || *amount > options.mint_amount_max)) {
        return fail(MintError{MintCode::AmountOutsideLimits,
                              "amount from 1 to " + std::to_string(options.mint_amount_max)});
    }
    if (description.value_or("").size() > kDescriptionBytesMax) {
        return fail(MintError{MintCode::RequestMalformed, "description too long"});
    }
    return *unit;
}

Answered Mint::Impl::create_mint_quote(std::string_view body) {
    if (options.mint_disabled) return fail(MintError{MintCode::Disabled, "minting is disabled"});
    TRY(const auto request, taken(wire::parse_mint_quote_request(body)));
    TRY(const Unit unit, quotable(request.unit, request.amount, request.description));

    // The quote is written down before its invoice is asked for, and its id is the invoice's label:
    // whatever happens now, no invoice that somebody could pay is without its quote.
    const std::string id = new_quote_id(clock, random);
    const Time now = clock.now();
    std::optional<ByteArray<33>> pubkey;
    if (request.pubkey) pubkey = request.pubkey->compressed();
    const auto write_down = [&](store::Tx& tx) -> Result<void, MintError> {
        const auto open = tx.query_one(
            "SELECT COUNT(*) FROM (SELECT 1 FROM mint_quotes WHERE paid_msat = 0 AND "
            "expires_at > $1 LIMIT $2) AS open_quotes",
            now, static_cast<std::int64_t>(options.quotes_open_max));
        if (static_cast<std::size_t>(open->integer(0)) >= options.quotes_open_max) {
            return fail(MintError{503, "too many open quotes; try again later"});
        }
        tx.execute(
            "INSERT INTO mint_quotes (id, unit, amount, pubkey, expires_at, created_at, "
            "updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            id, to_text(unit), to_sql(request.amount),
            pubkey ? std::optional{BytesView{*pubkey}} : std::nullopt, now + options.quote_expiry,
            now, to_unix_seconds(now));
        return {};
    };
    TRY_VOID(database.transact(write_down));

    const auto invoice = backend.create_invoice({.amount = msat_of(request.amount, unit),
                                                 .memo = request.description.value_or(""),
                                                 .expiry = options.quote_expiry,
                                                 .label = id});
    if (!invoice) {
        const auto forget = [&](store::Tx& tx) -> Result<void, MintError> {
            tx.execute("DELETE FROM mint_quotes WHERE id = $1 AND payment_hash IS NULL", id);
            return {};
        };
        TRY_VOID(database.transact(forget));
        log::warn("mint.invoice_failed", {{"backend", backend.name()}});
        return fail(MintError{503, "no invoice can be made at the moment"});
    }
    const auto add_invoice = [&](store::Tx& tx) -> Result<void, MintError> {
        tx.execute(
            "UPDATE mint_quotes SET payment_hash = $1, request = $2, expires_at = $3 "
            "WHERE id = $4",
            invoice->hash, invoice->bolt11, invoice->expires_at, id);
        return {};
    };
    TRY_VOID(database.transact(add_invoice));
    TRY(const auto quote, load_quote(database, id));
    return write(quote);
}

Answered Mint::Impl::mint_quote(std::string_view id) {
    TRY(auto quote, load_quote(database, id));
    if (quote.paid == 0 && may_ask(quote.id)) {
        TRY_VOID(ask_incoming(quote.payment));
        TRY(quote, load_quote(database, id));
    }
    return write(quote);
}

Result<void, MintError> Mint::Impl::ask_incoming(const PaymentHash& payment) {
    const auto answer = backend.incoming(payment);
    // Whatever it is that it can't say, the quote stays as it is and is asked about again.
    if (!answer || answer->state != PaymentState::Settled) return {};
    const Time now = clock.now();
    return database.transact([&](store::Tx& tx) -> Result<void, MintError> {
        credit_quote(tx, payment, answer->amount, now);
        return {};
    });
}

bool Mint::Impl::credit_quote(store::Tx& tx, const PaymentHash& payment, nutgate::Msat amount,
                              Time now) {
    const auto row = tx.query_one("SELECT unit FROM mint_quotes WHERE payment_hash = $1", payment);
    if (!row) return false;
    const auto unit = parse_unit(row->text(0));
    VERIFY(unit.has_value());
    // What was paid, more than was asked for included. What is less than a whole unit of it stays
    // in flight: there is no token for it.
    const Amount paid = to_amount_floor(amount, *unit);
    const auto credited = tx.execute(
        "UPDATE mint_quotes SET paid_msat = $1, paid = $2, "
        "updated_at = CASE WHEN $3 > updated_at THEN $3 ELSE updated_at + 1 END "
        "WHERE payment_hash = $4 AND paid_msat = 0 AND $1 > 0",
        amount, to_sql(paid), to_unix_seconds(now), payment);
    if (credited != 1) return false;
    books.quote_paid(tx, payment, amount);
    return true;
}

Answered Mint::Impl::issue(const RequestKey& key, std::string_view body) {
    if (options.mint_disabled) return fail(MintError{MintCode::Disabled, "minting is disabled"});
    TRY(const auto request, taken(wire::parse_mint_request(body)));
    TRY(const auto outputs, exchange.check(request.outputs, OutputKind::Valued));
    TRY(auto quote, load_quote(database, request.quote));
    if (quote.unit != outputs.unit) {
        return fail(MintError{MintCode::UnitsDiffer, "quote and outputs are of different units"});
    }
    if (quote.pubkey && !is_signed_by(*quote.pubkey, request)) {
        return fail(MintError{MintCode::SignatureInvalid, "the quote is locked to another key"});
    }
    // Whether it has expired does not matter: expiry ends paying it, not what was paid (#427).
    if (quote.paid == 0 && may_ask(quote.id)) {
        TRY_VOID(ask_incoming(quote.payment));
        TRY(quote, load_quote(database, request.quote));
    }
    if (outputs.sum > quote.paid - quote.issued) {
        return fail(not_mintable(quote.paid, quote.issued, outputs.sum));
    }
    const auto take = [&](store::Tx& tx, Time now) -> Result<void, MintError> {
        const auto issued = tx.execute(
            "UPDATE mint_quotes SET issued = issued + $1, "
            "updated_at = CASE WHEN $2 > updated_at THEN $2 ELSE updated_at + 1 END "
            "WHERE id = $3 AND issued + $1 <= paid",
            to_sql(outputs.sum), to_unix_seconds(now), quote.id);
        if (issued == 1) return {};
        const auto latest = read_quote(tx, quote.id).value_or(quote);
        return fail(not_mintable(latest.paid, latest.issued, outputs.sum));
    };
    return sign_off(key, request.outputs, outputs, take);
}

Answered Mint::Impl::sign_off(const RequestKey& key, const std::vector<BlindedMessage>& outputs,
                              const CheckedOutputs& checked, const Take& take) {
    const auto signatures = exchange.sign(outputs);
    const auto lines = Exchange::lines({{}, checked.unit, 0, 0}, signatures, checked.unit);
    const std::string answer = wire::write_signatures(signatures);
    const std::string reference = to_hex(key);
    const Time now = clock.now();
    const auto write_down = [&](store::Tx& tx) -> Result<void, MintError> {
        TRY_VOID(take(tx, now));
        TRY_VOID(Exchange::store_signatures(tx, outputs, signatures, std::nullopt, now));
        for (const auto& line : lines) {
            books.issued(tx, reference + ":" + line.keyset.text(), line.keyset, line.signed_);
        }
        keep_answer(tx, key, answer, now);
        return {};
    };
    TRY_VOID(database.transact(write_down));
    return answer;
}

void Mint::Impl::poll_quotes() {
    std::string cursor;
    {
        const Lock lock{mutex};
        cursor = poll_cursor;
    }
    const Time now = clock.now();
    struct Open {
        std::string id;
        PaymentHash payment;
    };
    const auto open =
        database.read([&](store::Reader& reader) -> Result<std::vector<Open>, store::StoreFailure> {
            std::vector<Open> result;
            for (const auto& row :
                 reader.query("SELECT id, payment_hash FROM mint_quotes WHERE paid_msat = 0 AND "
                              "payment_hash IS NOT NULL AND expires_at > $1 AND id > $2 "
                              "ORDER BY id LIMIT $3",
                              now - kAskAfterExpiry, cursor, kPollBatch)) {
                result.push_back({row.text(0), row.id<PaymentHash>(1)});
            }
            return result;
        });
    if (!open) return;
    for (const Open& quote : *open) {
        // One that fails stops no other, and is asked about again.
        static_cast<void>(ask_incoming(quote.payment));
    }
    const Lock lock{mutex};
    poll_cursor = static_cast<int>(open->size()) < kPollBatch ? "" : open->back().id;
}

Result<void, store::StoreFailure> Mint::Impl::forget_old_quotes() {
    const Time before = clock.now() - kUnpaidKept;
    return database.transact([&](store::Tx& tx) -> Result<void, store::StoreFailure> {
        tx.execute(
            "DELETE FROM mint_quotes WHERE id IN (SELECT id FROM mint_quotes "
            "WHERE paid_msat = 0 AND expires_at < $1 LIMIT $2)",
            before, kForgottenPerRound);
        tx.execute(
            "DELETE FROM mint_melts WHERE id IN (SELECT id FROM mint_melts "
            "WHERE state = 1 AND expires_at < $1 LIMIT $2)",
            before, kForgottenPerRound);
        return {};
    });
}

}  // namespace nutgate::cashu
