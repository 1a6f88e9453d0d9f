// Melt quotes: NUT-05, NUT-23.
#include <algorithm>

#include "mint/melt.h"
#include "nutgate/base/log.h"

namespace nutgate::cashu {

namespace {

using Code = MintCode;

}  // namespace

Amount to_amount_ceil(nutgate::Msat msat, Unit unit) {
    const Amount floor = to_amount_floor(msat, unit);
    return msat_of(floor, unit) == msat ? floor : floor + 1;
}

std::optional<MeltRow> read_melt(store::Reader& reader, std::string_view id) {
    const auto row = reader.query_one(
        "SELECT id, payment_hash, request, unit, amount, amount_msat, fee_reserve, state, attempt, "
        "inputs, input_fee, preimage, request_key, expires_at FROM mint_melts WHERE id = $1",
        id);
    if (!row) return std::nullopt;
    const auto unit = parse_unit(row->text(3));
    VERIFY(unit.has_value());
    MeltRow melt{row->text(0),
                 row->id<PaymentHash>(1),
                 row->text(2),
                 *unit,
                 static_cast<Amount>(row->integer(4)),
                 row->msat(5),
                 static_cast<Amount>(row->integer(6)),
                 static_cast<StoredMelt>(row->integer(7)),
                 row->integer(8),
                 static_cast<Amount>(row->integer(9)),
                 static_cast<Amount>(row->integer(10)),
                 std::nullopt,
                 std::nullopt,
                 row->time(13)};
    if (!row->is_null(11)) melt.preimage = row->id<Preimage>(11);
    if (!row->is_null(12)) {
        const auto key = row->bytes(12);
        VERIFY(key.size() == RequestKey{}.size());
        std::ranges::copy(key, melt.request_key.emplace().begin());
    }
    return melt;
}

Result<MeltRow, MintError> load_melt(store::Database& database, std::string_view id) {
    using Maybe = Result<std::optional<MeltRow>, store::StoreFailure>;
    TRY(auto melt,
        database.read([&](store::Reader& reader) -> Maybe { return read_melt(reader, id); }));
    if (!melt) return fail(MintError{Code::QuoteUnknown, "unknown quote"});
    return *std::move(melt);
}

wire::MeltQuote describe(const MeltRow& row, std::vector<BlindSignature> change) {
    wire::MeltQuote quote;
    quote.quote = row.id;
    quote.request = row.request;
    quote.unit = to_text(row.unit);
    quote.amount = row.amount;
    quote.fee_reserve = row.fee_reserve;
    switch (row.state) {
        case StoredMelt::Unpaid:
            quote.state = wire::MeltState::Unpaid;
            break;
        case StoredMelt::Pending:
            quote.state = wire::MeltState::Pending;
            break;
        case StoredMelt::Paid:
            quote.state = wire::MeltState::Paid;
            break;
    }
    quote.expiry = to_unix_seconds(row.expires_at);
    if (row.preimage) quote.payment_preimage = row.preimage->hex();
    quote.change = std::move(change);
    return quote;
}

Result<wire::MeltQuote, MintError> Mint::Impl::describe_melt(const std::string& quote) {
    return database.read([&](store::Reader& reader) -> Result<wire::MeltQuote, MintError> {
        const auto row = read_melt(reader, quote);
        if (!row) return fail(MintError{Code::QuoteUnknown, "unknown quote"});
        std::vector<BlindSignature> change;
        for (const auto& signature :
             reader.query("SELECT amount, keyset, c, e, s FROM mint_signatures "
                          "WHERE quote = $1 AND c IS NOT NULL ORDER BY position",
                          quote)) {
            change.push_back(read_signature(signature, 0));
        }
        return describe(*row, std::move(change));
    });
}

namespace {

// What an invoice asks for and this mint can pay, or why not.
Result<Bolt11, MintError> payable(const wire::MeltQuoteRequest& request, Network network,
                                  Time now) {
    auto invoice = parse_bolt11(request.request);
    if (!invoice) return fail(MintError{Code::RequestMalformed, "not a valid invoice"});
    if (invoice->network != network) {
        return fail(MintError{Code::RequestMalformed, "an invoice of another network"});
    }
    if (request.mpp_msat) {
        return fail(MintError{Code::RequestMalformed, "partial payments are not supported"});
    }
    if (!invoice->amount) {
        return fail(MintError{Code::AmountlessUnsupported, "the invoice names no amount"});
    }
    if (request.amountless_msat &&
        *request.amountless_msat != static_cast<std::uint64_t>(invoice->amount->raw())) {
        return fail(MintError{Code::AmountConflict, "the invoice names another amount"});
    }
    if (now >= invoice->expires_at()) {
        return fail(MintError{Code::QuoteExpired, "the invoice has expired"});
    }
    return *std::move(invoice);
}

}  // namespace

Result<bool, MintError> Mint::Impl::is_own(const PaymentHash& payment, nutgate::Msat amount) {
    return database.read([&](store::Reader& reader) -> Result<bool, MintError> {
        const auto row = reader.query_one(
            "SELECT unit, amount FROM mint_quotes WHERE payment_hash = $1", payment);
        if (!row) return false;
        const auto unit = parse_unit(row->text(0));
        VERIFY(unit.has_value());
        if (msat_of(static_cast<Amount>(row->integer(1)), *unit) == amount) return true;
        // A payment hash is no secret: anybody can write an invoice of one msat under it, and a
        // quote that is once credited with that is never credited with what its payer sends.
        return fail(MintError{Code::RequestMalformed,
                              "not the invoice that this mint made for that payment hash"});
    });
}

Answered Mint::Impl::create_melt_quote(std::string_view body) {
    if (options.melt_disabled) return fail(MintError{Code::Disabled, "melting is disabled"});
    TRY(const auto request, taken(wire::parse_melt_quote_request(body)));
    const auto unit = parse_unit(request.unit);
    if (!unit || std::ranges::find(options.units, *unit) == options.units.end()) {
        return fail(MintError{Code::UnitUnsupported, "unit not supported"});
    }
    const Time now = clock.now();
    TRY(const auto invoice, payable(request, backend.network(), now));
    const nutgate::Msat amount_msat = *invoice.amount;
    const Amount amount = to_amount_ceil(amount_msat, *unit);
    if (amount == 0 || amount > options.melt_amount_max) {
        return fail(MintError{Code::AmountOutsideLimits,
                              "amount from 1 to " + std::to_string(options.melt_amount_max)});
    }

    // Our own invoice costs nothing to pay: the money does not leave.
    TRY(const bool own, is_own(invoice.payment_hash, amount_msat));
    nutgate::Msat reserve;
    if (!own) {
        const auto estimate = backend.estimate_fee(invoice, amount_msat);
        if (!estimate) return fail(MintError{503, "no route can be asked for at the moment"});
        reserve = *estimate;
    }

    const std::string id = new_quote_id(clock, random);
    const auto write_down = [&](store::Tx& tx) -> Result<void, MintError> {
        const auto open = tx.query_one(
            "SELECT COUNT(*) FROM (SELECT 1 FROM mint_melts WHERE state = 1 AND expires_at > $1 "
            "LIMIT $2) AS open_quotes",
            now, static_cast<std::int64_t>(options.quotes_open_max));
        if (static_cast<std::size_t>(open->integer(0)) >= options.quotes_open_max) {
            return fail(MintError{503, "too many open quotes; try again later"});
        }
        tx.execute(
            "INSERT INTO mint_melts (id, payment_hash, request, unit, amount, amount_msat, "
            "fee_reserve, state, expires_at, created_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            id, invoice.payment_hash, request.request, to_text(*unit), to_sql(amount), amount_msat,
            to_sql(to_amount_ceil(reserve, *unit)), static_cast<int>(StoredMelt::Unpaid),
            std::min(invoice.expires_at(), now + options.quote_expiry), now);
        return {};
    };
    TRY_VOID(database.transact(write_down));
    TRY(const auto quote, describe_melt(id));
    return wire::write_melt_quote(quote);
}

Answered Mint::Impl::melt_quote(std::string_view id) {
    TRY(const auto row, load_melt(database, id));
    if (row.state == StoredMelt::Pending && !frozen && may_ask(row.id)) {
        TRY_VOID(pursue_melt(row.id));
    }
    TRY(const auto quote, describe_melt(row.id));
    return wire::write_melt_quote(quote);
}

}  // namespace nutgate::cashu
