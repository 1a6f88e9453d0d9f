// Quotes that are paid through a BOLT12 offer, by anybody and again and again: NUT-25. What came in
// is asked of the node for all offers at once, since each payment has a hash of its own.
#include <algorithm>

#include "mint/impl.h"
#include "nutgate/base/log.h"
#include "nutgate/cashu/wire_offers.h"

namespace nutgate::cashu {

namespace {

// Of those that nobody paid as many are counted as were made in that time.
constexpr Seconds kCountedUnpaid{24 * 3600};
// All quotes share one question to the node, and its name for may_ask().
constexpr const char* kAllOffers = "offers";
constexpr int kAnswersPerRound = 20;
// Anybody can have an offer made. Of one that nobody pays the node need not know for ever: it gives
// nobody an invoice for it any more, and what is paid all the same is credited.
constexpr Seconds kUnpaidOpen{30 * 24 * 3600};
constexpr int kClosedPerRound = 20;
// A node takes no longer to make an offer.
constexpr Seconds kMakingMax{600};

struct OfferQuoteRow {
    std::string id;
    std::string request;
    Unit unit;
    std::optional<Amount> amount;
    crypto::Point pubkey;
    Amount paid;
    Amount issued;
    std::int64_t updated_at;
};
using MaybeOffer = Result<std::optional<OfferQuoteRow>, store::StoreFailure>;

std::optional<OfferQuoteRow> read_offer_quote(store::Reader& reader, std::string_view id) {
    // One whose offer is not made yet was never answered with, so nobody can know it.
    const auto row = reader.query_one(
        "SELECT id, request, unit, amount, pubkey, paid, issued, updated_at FROM mint_offer_quotes "
        "WHERE id = $1 AND offer IS NOT NULL",
        id);
    if (!row) return std::nullopt;
    const auto unit = parse_unit(row->text(2));
    const auto pubkey = crypto::Point::from_bytes(row->bytes(4));
    VERIFY(unit && pubkey);
    std::optional<Amount> amount;
    if (!row->is_null(3)) amount = static_cast<Amount>(row->integer(3));
    return OfferQuoteRow{row->text(0),
                         row->text(1),
                         *unit,
                         amount,
                         *pubkey,
                         static_cast<Amount>(row->integer(5)),
                         static_cast<Amount>(row->integer(6)),
                         row->integer(7)};
}

Result<OfferQuoteRow, MintError> load_offer_quote(store::Database& database, std::string_view id) {
    TRY(auto quote, database.read([&](store::Reader& reader) -> MaybeOffer {
        return read_offer_quote(reader, id);
    }));
    if (!quote) return fail(MintError{MintCode::QuoteUnknown, "unknown quote"});
    return *std::move(quote);
}

std::string write(const OfferQuoteRow& row) {
    wire::OfferQuote quote;
    quote.quote = row.id;
    quote.request = row.request;
    quote.unit = to_text(row.unit);
    quote.amount = row.amount;
    quote.amount_paid = row.paid;
    quote.amount_issued = row.issued;
    quote.updated_at = static_cast<std::uint64_t>(row.updated_at);
    quote.pubkey = row.pubkey;
    return wire::write_offer_quote(quote);
}

Result<wire::OfferQuoteRequest, MintError> read_request(std::string_view body) {
    auto request = wire::parse_offer_quote_request(body);
    if (!request && request.error().where == "pubkey") {
        return fail(MintError{MintCode::PubkeyRequired, "pubkey: a key that locks the quote"});
    }
    return taken(std::move(request));
}

}  // namespace

OfferBackend* Mint::Impl::offer_backend() const {
    // What a quote's payment is booked to is this mint's node, and no other that it may know.
    for (OfferBackend* const node : backend.offers()) {
        if (node->name() == backend.name()) return node;
    }
    return nullptr;
}

Answered Mint::Impl::create_offer_quote(std::string_view body) {
    OfferBackend* const node = offer_backend();
    if (node == nullptr) return fail(MintError{404, "not found"});
    if (options.mint_disabled) return fail(MintError{MintCode::Disabled, "minting is disabled"});
    TRY(const auto request, read_request(body));
    TRY(const Unit unit, quotable(request.unit, request.amount, request.description));

    // As with an invoice: written down before the offer is asked for, under the quote's own id.
    const std::string id = new_quote_id(clock, random);
    const Time now = clock.now();
    const auto pubkey = VERIFY_PTR(request.pubkey ? &*request.pubkey : nullptr)->compressed();
    const auto write_down = [&](store::Tx& tx) -> Result<void, MintError> {
        const auto open = tx.query_one(
            "SELECT COUNT(*) FROM (SELECT 1 FROM mint_offer_quotes WHERE paid_msat = 0 AND "
            "created_at > $1 LIMIT $2) AS open_quotes",
            now - kCountedUnpaid, static_cast<std::int64_t>(options.quotes_open_max));
        if (static_cast<std::size_t>(open->integer(0)) >= options.quotes_open_max) {
            return fail(MintError{503, "too many open quotes; try again later"});
        }
        tx.execute(
            "INSERT INTO mint_offer_quotes (id, unit, amount, pubkey, created_at, updated_at) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            id, to_text(unit),
            request.amount ? std::optional{to_sql(*request.amount)} : std::nullopt,
            BytesView{pubkey}, now, to_unix_seconds(now));
        return {};
    };
    TRY_VOID(database.transact(write_down));

    std::optional<nutgate::Msat> amount;
    if (request.amount) amount = msat_of(*request.amount, unit);
    const auto offer = node->create_offer(
        {.label = id, .description = request.description.value_or(""), .amount = amount});
    bool added = false;
    if (offer) {
        TRY(added, database.transact([&](store::Tx& tx) -> Result<bool, MintError> {
            // What is paid to one offer can't be told apart: it is one quote's.
            const auto other =
                tx.query_one("SELECT 1 FROM mint_offer_quotes WHERE offer = $1", offer->id);
            if (other) return false;
            tx.execute("UPDATE mint_offer_quotes SET offer = $1, request = $2 WHERE id = $3",
                       offer->id, offer->bolt12, id);
            return true;
        }));
    }
    if (!added) {
        TRY_VOID(database.transact([&](store::Tx& tx) -> Result<void, MintError> {
            tx.execute("DELETE FROM mint_offer_quotes WHERE id = $1 AND offer IS NULL", id);
            return {};
        }));
        log::warn("mint.offer_failed", {{"backend", backend.name()}, {"known", offer.has_value()}});
        return fail(MintError{503, "no offer can be made at the moment"});
    }
    TRY(const auto quote, load_offer_quote(database, id));
    return write(quote);
}

Answered Mint::Impl::offer_quote(std::string_view id) {
    TRY(auto quote, load_offer_quote(database, id));
    if (may_ask(kAllOffers)) {
        TRY_VOID(ask_offers());
        TRY(quote, load_offer_quote(database, id));
    }
    return write(quote);
}

Answered Mint::Impl::issue_offer(const RequestKey& key, std::string_view body) {
    if (options.mint_disabled) return fail(MintError{MintCode::Disabled, "minting is disabled"});
    TRY(const auto request, taken(wire::parse_mint_request(body)));
    TRY(const auto outputs, exchange.check(request.outputs, OutputKind::Valued));
    TRY(auto quote, load_offer_quote(database, request.quote));
    if (quote.unit != outputs.unit) {
        return fail(MintError{MintCode::UnitsDiffer, "quote and outputs are of different units"});
    }
    if (!is_signed_by(quote.pubkey, request)) {
        return fail(MintError{MintCode::SignatureInvalid, "the quote is locked to another key"});
    }
    if (outputs.sum > quote.paid - quote.issued && may_ask(kAllOffers)) {
        TRY_VOID(ask_offers());
        TRY(quote, load_offer_quote(database, request.quote));
    }
    if (outputs.sum > quote.paid - quote.issued) {
        return fail(not_mintable(quote.paid, quote.issued, outputs.sum));
    }
    const auto take = [&](store::Tx& tx, Time now) -> Result<void, MintError> {
        const auto issued = tx.execute(
            "UPDATE mint_offer_quotes SET issued = issued + $1, "
            "updated_at = CASE WHEN $2 > updated_at THEN $2 ELSE updated_at + 1 END "
            "WHERE id = $3 AND issued + $1 <= paid",
            to_sql(outputs.sum), to_unix_seconds(now), quote.id);
        if (issued == 1) return {};
        const auto latest = read_offer_quote(tx, quote.id).value_or(quote);
        return fail(not_mintable(latest.paid, latest.issued, outputs.sum));
    };
    return sign_off(key, request.outputs, outputs, take);
}

Result<void, MintError> Mint::Impl::ask_offers() {
    OfferBackend* const node = offer_backend();
    if (node == nullptr) return {};
    struct Standing {
        bool any = false;
        std::string mark;
    };
    TRY(auto standing,
        database.read([&](store::Reader& reader) -> Result<Standing, store::StoreFailure> {
            Standing now;
            now.any = reader.query_one("SELECT 1 FROM mint_offer_quotes LIMIT 1").has_value();
            const auto row = reader.query_one(
                "SELECT mark FROM mint_offer_marks WHERE backend = $1", node->name());
            if (row) now.mark = row->text(0);
            return now;
        }));
    if (!standing.any) return {};
    bool keeps_mark = false;
    for (int i = 0; i < kAnswersPerRound; ++i) {
        const auto told = node->payments(standing.mark);
        // It is asked again, and from the same mark.
        if (!told) return {};
        const Time now = clock.now();
        TRY(keeps_mark, database.transact([&](store::Tx& tx) -> Result<bool, MintError> {
            const bool strangers = credit_offers(tx, *told, now);
            return keeps_mark || !store_mark(tx, {standing.mark, told->mark, strangers}, now);
        }));
        if (!told->is_more) return {};
        standing.mark = told->mark;
    }
    return {};
}

bool Mint::Impl::credit_offers(store::Tx& tx, const OfferPayments& told, Time now) {
    bool strangers = false;
    for (const OfferPayment& payment : told.payments) {
        const auto quote = tx.query_one(
            "SELECT id, unit, paid_msat FROM mint_offer_quotes WHERE offer = $1", payment.offer);
        strangers = strangers || !quote;
        if (!quote || payment.amount == nutgate::Msat{}) continue;
        const auto unit = parse_unit(quote->text(1));
        VERIFY(unit.has_value());
        const auto total = add(quote->msat(2), payment.amount);
        // One hash is one money event in the books, and an invoice's of this mint is another.
        const auto invoice =
            tx.query_one("SELECT 1 FROM mint_quotes WHERE payment_hash = $1", payment.hash);
        if (!total || invoice) {
            log::error("mint.offer_payment_wrong", {{"payment", payment.hash.hex()}});
            continue;
        }
        const auto inserted = tx.execute(
            "INSERT INTO mint_offer_payments (payment_hash, quote, amount, created_at) "
            "VALUES ($1, $2, $3, $4) ON CONFLICT (payment_hash) DO NOTHING",
            payment.hash, quote->text(0), payment.amount, now);
        if (inserted != 1) continue;
        // Parts of a unit add up over payments; what is left of them stays in flight.
        tx.execute(
            "UPDATE mint_offer_quotes SET paid_msat = $1, paid = $2, "
            "updated_at = CASE WHEN $3 > updated_at THEN $3 ELSE updated_at + 1 END WHERE id = $4",
            *total, to_sql(to_amount_floor(*total, *unit)), to_unix_seconds(now), quote->text(0));
        books.offer_paid(tx, payment.offer, payment.hash, payment.amount);
    }
    return strangers;
}

bool Mint::Impl::store_mark(store::Tx& tx, const Heard& heard, Time now) {
    // Whose offer is being made at this moment only its quote will say: it may be a stranger's no
    // longer when it is told again.
    if (heard.strangers && tx.query_one("SELECT 1 FROM mint_offer_quotes WHERE offer IS NULL AND "
                                        "created_at > $1 LIMIT 1",
                                        now - kMakingMax)) {
        return false;
    }
    if (heard.until == heard.since) return true;
    // Two that ask at once are told the same, and whoever is later must not set the mark back.
    const auto stored = tx.execute(
        "INSERT INTO mint_offer_marks (backend, mark) VALUES ($1, $2) ON CONFLICT (backend) DO "
        "UPDATE SET mark = excluded.mark WHERE mint_offer_marks.mark = $3",
        backend.name(), heard.until, heard.since);
    return stored == 1;
}

void Mint::Impl::close_unpaid_offers() {
    OfferBackend* const node = offer_backend();
    if (node == nullptr) return;
    const Time before = clock.now() - kUnpaidOpen;
    const auto unpaid = database.read(
        [&](store::Reader& reader) -> Result<std::vector<OfferId>, store::StoreFailure> {
            std::vector<OfferId> offers;
            for (const auto& row :
                 reader.query("SELECT offer FROM mint_offer_quotes WHERE paid_msat = 0 AND "
                              "created_at < $1 AND closed = 0 AND offer IS NOT NULL LIMIT $2",
                              before, kClosedPerRound)) {
                offers.push_back(row.id<OfferId>(0));
            }
            return offers;
        });
    if (!unpaid) return;
    for (const OfferId& offer : *unpaid) {
        const auto closed = node->close_offer(offer);
        if (!closed && closed.error() == BackendError::Unreachable) return;
        const auto noted =
            database.transact([&](store::Tx& tx) -> Result<void, store::StoreFailure> {
                tx.execute("UPDATE mint_offer_quotes SET closed = 1 WHERE offer = $1", offer);
                return {};
            });
        if (!noted) return;
    }
}

void Mint::Impl::poll_offers() {
    // What fails now is asked again by the next poll().
    if (may_ask(kAllOffers)) static_cast<void>(ask_offers());
}

}  // namespace nutgate::cashu
