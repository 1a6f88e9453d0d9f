// Offers: lasting ways in. One is a row before a node is asked for it, and stays one for good:
// money that comes to it long after is somebody's, too.
//
// What came in is asked of each holder since a mark, and the mark is stored with the credits. Whose
// an offer is only its row says, so while one is being made the mark stays where it is: what looks
// like a stranger's may be its.
#include <algorithm>
#include <string>
#include <utility>

#include "error_name.h"
#include "impl.h"
#include "nutgate/base/log.h"
#include "posting.h"

namespace nutgate {

struct Cashier::Impl::StoredOffer {
    InvoiceLookup lookup;
    InvoicePurpose purpose;
    KeyId key;
    std::optional<Msat> amount;
    OfferState state;
    std::string text;
    std::string reference;
    std::string holder;
    Msat credited;
    std::int64_t payments;
    Time created_at;
    std::optional<Time> paid_at;
};

namespace {

using Code = CashierError::Code;
using payment::Arrivals;
using payment::Funds;
using payment::PaymentMethod;
using store::Reader;
using store::Row;
using store::Tx;

constexpr std::size_t kOfferIdBytes = 16;
constexpr std::size_t kOfferIdTextMax = 64;
constexpr int kBroughtInPerRound = 50;
constexpr int kAnswersPerRound = 20;  // Of one holder; what is left comes with the next round.
constexpr int kUnansweredOffersMax = 2;
constexpr int kRetiredPerRound = 20;
constexpr Time kNotAgain = from_unix_milliseconds(INT64_MAX);

// The longer ago something happened to it, the rarer; but never not at all.
Seconds pause_since(Seconds quiet) {
    if (quiet < Seconds{60}) return Seconds{10};
    if (quiet < Seconds{1800}) return Seconds{60};
    return Seconds{600};
}

std::string select_offer(std::string_view where) {
    return "SELECT lookup, purpose, key, amount, state, text, reference, holder, credited, "
           "payments, created_at, paid_at FROM offer " +
           std::string{where};
}

// False: somebody else has gone on from there meanwhile.
bool store_mark(Tx& tx, std::string_view holder, std::string_view before, std::string_view mark) {
    tx.execute(
        "INSERT INTO offer_mark (holder, mark) VALUES ($1, '') ON CONFLICT (holder) DO "
        "NOTHING",
        holder);
    return tx.execute("UPDATE offer_mark SET mark = $3 WHERE holder = $1 AND mark = $2", holder,
                      before, mark) == 1;
}

}  // namespace

void add_offer_payments(Reader& reader, const KeyId& key, int limit,
                        std::vector<HistoryEntry>& entries) {
    for (const Row& row : reader.query(
             "SELECT reference, amount, at FROM settlement WHERE key = $1 AND offer IS NOT "
             "NULL ORDER BY at DESC LIMIT $2",
             key, limit)) {
        entries.push_back({.id = "offer-" + row.text(0).substr(0, 16),
                           .source = HistoryEntry::Source::Lightning,
                           .incoming = true,
                           .amount = row.msat(1),
                           .mint = {},
                           .at = row.time(2),
                           .token = {}});
    }
}

std::string_view to_text(OfferState state) {
    switch (state) {
        case OfferState::Opening:
        case OfferState::Open:
            return "open";
        case OfferState::Closed:
        case OfferState::NeverMade:
            return "closed";
    }
    VERIFY(false);
    return "";
}

Result<std::optional<Cashier::Impl::StoredOffer>, CashierError> Cashier::Impl::find_offer(
    std::string_view offer_id) {
    if (offer_id.size() > kOfferIdTextMax) return std::optional<StoredOffer>{};
    const InvoiceLookup lookup = lookup_of(offer_id);
    return database.read([&](Reader& reader) -> Result<std::optional<StoredOffer>, CashierError> {
        const auto row =
            reader.query_one(select_offer("WHERE lookup = $1 AND text IS NOT NULL"), lookup);
        if (!row) return std::optional<StoredOffer>{};
        return std::optional{
            StoredOffer{.lookup = lookup,
                        .purpose = static_cast<InvoicePurpose>(row->integer(1)),
                        .key = row->id<KeyId>(2),
                        .amount = row->is_null(3) ? std::nullopt : std::optional{row->msat(3)},
                        .state = static_cast<OfferState>(row->integer(4)),
                        .text = row->text(5),
                        .reference = row->text(6),
                        .holder = row->text(7),
                        .credited = row->msat(8),
                        .payments = row->integer(9),
                        .created_at = row->time(10),
                        .paid_at = row->is_null(11) ? std::nullopt : std::optional{row->time(11)}}};
    });
}

Result<void, CashierError> Cashier::Impl::store_opening(const OfferRequest& request,
                                                        const KeyId& key,
                                                        const InvoiceLookup& lookup,
                                                        std::string_view label) {
    const auto amount = request.amount ? std::optional{to_msat(*request.amount)} : std::nullopt;
    return database.transact([&](Tx& tx) -> Result<void, CashierError> {
        const auto all = tx.query_one("SELECT COUNT(*) FROM offer WHERE state IN ($1, $2)",
                                      stored(OfferState::Opening), stored(OfferState::Open));
        if (all->integer(0) >= options.offers_max) return fail(make_error(Code::TooManyOffers));
        const auto of_key =
            tx.query_one("SELECT COUNT(*) FROM offer WHERE key = $1 AND state IN ($2, $3)", key,
                         stored(OfferState::Opening), stored(OfferState::Open));
        if (of_key->integer(0) >= options.offers_per_key_max) {
            return fail(make_error(Code::KeyHasOffers));
        }
        tx.execute(
            "INSERT INTO offer (lookup, label, purpose, key, balance_limit, limit_reset, "
            "valid_until, amount, state, created_at, next_ask_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            lookup, label, stored(request.purpose), key, request.limits.balance_limit,
            stored(request.limits.reset), request.limits.valid_until, amount,
            stored(OfferState::Opening), clock.now(), kNotAgain);
        return {};
    });
}

Result<void, CashierError> Cashier::Impl::store_opened(const InvoiceLookup& lookup,
                                                       const payment::OfferPresentation& offer) {
    return database.transact([&](Tx& tx) -> Result<void, CashierError> {
        // The same offer twice would be one key's money on two keys.
        if (tx.query_one("SELECT 1 FROM offer WHERE reference = $1",
                         std::string_view{offer.reference})) {
            return fail(make_error(Code::LightningRefused, "an offer that there is already"));
        }
        const auto opened = tx.execute(
            "UPDATE offer SET state = $2, text = $3, reference = $4, holder = $5, "
            "next_ask_at = $6 WHERE lookup = $1 AND state = $7",
            lookup, stored(OfferState::Open), std::string_view{offer.text},
            std::string_view{offer.reference}, std::string_view{offer.holder},
            clock.now() + pause_since(Seconds{0}), stored(OfferState::Opening));
        // It was given up while its node took its time.
        if (opened != 1) return fail(make_error(Code::LightningUnreachable, "too late"));
        return {};
    });
}

void Cashier::Impl::never_made(const InvoiceLookup& lookup) {
    // Nobody has seen it, so it does not matter if this is not stored: it is forgotten later.
    const auto done = database.transact([&](Tx& tx) -> Result<void, CashierError> {
        tx.execute("UPDATE offer SET state = $2 WHERE lookup = $1 AND state = $3", lookup,
                   stored(OfferState::NeverMade), stored(OfferState::Opening));
        return {};
    });
    if (!done) log::warn("cashier.offer_not_cancelled", {{"why", done.error().detail}});
}

Result<OpenOffer, CashierError> Cashier::open_offer(const OfferRequest& request) {
    Impl& my = *impl_;
    PaymentMethod* const lightning = my.methods.find(kMethodLightning);
    if (lightning == nullptr || !lightning->capabilities().offers) {
        return fail(make_error(Code::OffersOff));
    }
    if (request.amount &&
        (*request.amount < *Sat::from_raw(1) || *request.amount > my.options.invoice_amount_max)) {
        return fail(make_error(Code::AmountOutOfRange));
    }
    const std::string id = to_base64url(my.random.bytes<kOfferIdBytes>());
    KeyId key = my.keyring.id_of_invoice(id);
    if (request.purpose == InvoicePurpose::TopUp) {
        if (!request.key) return fail(make_error(Code::KeyUnknown));
        TRY(key, my.database.read([&](Reader& reader) -> Result<KeyId, CashierError> {
            return my.payee(reader, *request.key);
        }));
    } else {
        TRY_VOID(my.check_limits(request.limits));
    }
    const InvoiceLookup lookup = my.lookup_of(id);
    // As an invoice's: half the HMAC, which gives nobody the key.
    const std::string label = "nutgate-" + lookup.hex().substr(0, 32);
    TRY_VOID(my.store_opening(request, key, lookup, label));

    const auto opened = lightning->open_offer(
        {.label = label,
         .amount = request.amount ? std::optional{to_msat(*request.amount)} : std::nullopt,
         .memo = my.options.memo});
    if (!opened) {
        my.never_made(lookup);
        return fail(error_of(opened.error(), Code::OffersOff));
    }
    if (const auto done = my.store_opened(lookup, *opened); !done) {
        my.never_made(lookup);
        return fail(done.error());
    }
    return OpenOffer{.offer_id = id, .text = opened->text, .amount = request.amount};
}

Result<int, CashierError> Cashier::Impl::credit(std::string_view holder, std::string_view before,
                                                const Arrivals& came, bool& keeps_mark) {
    struct Credits {
        std::vector<KeyId> keys;
        std::vector<InvoiceLookup> offers;
        bool keeps_mark = false;
    };
    const auto account = lightning_account(holder);
    auto credits = database.transact([&](Tx& tx) -> Result<Credits, CashierError> {
        Credits done;
        done.keeps_mark = keeps_mark;
        bool strangers = false;
        for (const payment::Arrival& arrival : came.arrivals) {
            TRY(const auto credited,
                books.settle_offer(tx, {.name = arrival.offer, .holder = holder}, arrival.reference,
                                   account, arrival.amount));
            strangers = strangers || !credited;
            if (!credited || credited->applied == Applied::Before) continue;
            done.keys.push_back(credited->key);
            done.offers.push_back(credited->offer);
        }
        if (strangers && tx.query_one("SELECT 1 FROM offer WHERE state = $1 LIMIT 1",
                                      stored(OfferState::Opening))) {
            done.keeps_mark = true;
        }
        if (!done.keeps_mark && came.mark != before) {
            done.keeps_mark = !store_mark(tx, holder, before, came.mark);
        }
        return done;
    });
    if (!credits) return fail(credits.error());
    keeps_mark = credits->keeps_mark;
    for (const KeyId& key : credits->keys) spending.credited(key);
    for (const InvoiceLookup& offer : credits->offers) tell_invoice(offer);
    invoices_paid.add(credits->keys.size());
    return static_cast<int>(credits->keys.size());
}

Result<int, CashierError> Cashier::Impl::settle_holder(const std::string& holder) {
    PaymentMethod* const lightning = methods.find(kMethodLightning);
    if (lightning == nullptr) return fail(make_error(Code::OffersOff));
    TRY(std::string mark, database.read([&](Reader& reader) -> Result<std::string, CashierError> {
        const auto row = reader.query_one("SELECT mark FROM offer_mark WHERE holder = $1",
                                          std::string_view{holder});
        return row ? row->text(0) : std::string{};
    }));
    int credited = 0;
    bool keeps_mark = false;
    for (int i = 0; i < kAnswersPerRound; ++i) {
        const auto came = lightning->arrivals(holder, mark);
        if (!came) return fail(error_of(came.error(), Code::OffersOff));
        TRY(const int now, credit(holder, mark, *came, keeps_mark));
        credited += now;
        mark = came->mark;
        if (!came->is_more) break;
    }
    return credited;
}

Result<int, CashierError> Cashier::Impl::settle_holders() {
    PaymentMethod* const lightning = methods.find(kMethodLightning);
    if (lightning == nullptr) return 0;
    int credited = 0;
    for (const std::string& holder : lightning->offer_holders()) {
        TRY(const bool any, database.read([&](Reader& reader) -> Result<bool, CashierError> {
            return reader
                .query_one("SELECT 1 FROM offer WHERE holder = $1 LIMIT 1",
                           std::string_view{holder})
                .has_value();
        }));
        if (!any) continue;
        const auto settled = settle_holder(holder);
        if (!settled && settled.error().code == Code::StoreUnavailable) {
            return fail(settled.error());
        }
        if (settled) {
            credited += *settled;
            TRY_VOID(retire_closed(holder));
        } else {
            log::warn("cashier.offers_not_asked",
                      {{"holder", holder}, {"why", settled.error().detail}});
        }
    }
    return credited;
}

Result<void, CashierError> Cashier::Impl::retire_closed(const std::string& holder) {
    PaymentMethod* const lightning = methods.find(kMethodLightning);
    TRY(const auto closed,
        database.read([&](Reader& reader) -> Result<std::vector<std::string>, CashierError> {
            std::vector<std::string> references;
            for (const Row& row : reader.query("SELECT reference FROM offer WHERE state = $1 AND "
                                               "holder = $2 AND retired = 0 LIMIT $3",
                                               stored(OfferState::Closed), std::string_view{holder},
                                               kRetiredPerRound)) {
                references.push_back(row.text(0));
            }
            return references;
        }));
    for (const std::string& reference : closed) {
        const auto told = lightning->close_offer(holder, reference);
        if (!told && told.error() == payment::PaymentError::Unreachable) return {};
        // One that says no will say it again: what is paid is credited in any case.
        if (!told) log::warn("cashier.offer_not_retired", {{"offer", reference}});
        TRY_VOID(database.transact([&](Tx& tx) -> Result<void, CashierError> {
            tx.execute("UPDATE offer SET retired = 1 WHERE reference = $1",
                       std::string_view{reference});
            return {};
        }));
    }
    return {};
}

Result<void, CashierError> Cashier::Impl::bring_in(const std::string& reference) {
    PaymentMethod* const lightning = methods.find(kMethodLightning);
    if (lightning == nullptr) return fail(make_error(Code::OffersOff));
    const auto done = lightning->bring_in(reference);
    if (!done) return fail(error_of(done.error(), Code::OffersOff));
    return {};
}

Result<int, CashierError> Cashier::Impl::bring_in_due() {
    const Time now = clock.now();
    struct Due {
        InvoiceLookup lookup;
        KeyId key;
        std::string reference;
        std::int64_t payments;
    };
    // One that is closed is asked about once more, and again when its mint is ours and says so.
    const std::string whose_turn_it_is =
        "FROM offer WHERE state IN ($1, $2) AND next_ask_at <= $3 AND holder = '' ";
    TRY(const bool any, database.read([&](Reader& reader) -> Result<bool, CashierError> {
        return reader
            .query_one("SELECT 1 " + whose_turn_it_is + "LIMIT 1", stored(OfferState::Open),
                       stored(OfferState::Closed), now)
            .has_value();
    }));
    if (!any) return 0;
    // Taking the turn is the claim, as with invoices.
    TRY(const auto due, database.transact([&](Tx& tx) -> Result<std::vector<Due>, CashierError> {
        std::vector<Due> offers;
        for (const Row& row : tx.query(
                 "SELECT lookup, key, reference, payments, created_at, paid_at, state " +
                     whose_turn_it_is + "ORDER BY next_ask_at LIMIT $4",
                 stored(OfferState::Open), stored(OfferState::Closed), now, kBroughtInPerRound)) {
            offers.push_back({.lookup = row.id<InvoiceLookup>(0),
                              .key = row.id<KeyId>(1),
                              .reference = row.text(2),
                              .payments = row.integer(3)});
            const Time last = row.is_null(5) ? row.time(4) : row.time(5);
            const bool closed = row.integer(6) == stored(OfferState::Closed);
            tx.execute("UPDATE offer SET next_ask_at = $2 WHERE lookup = $1", offers.back().lookup,
                       closed ? kNotAgain
                              : now + pause_since(std::chrono::duration_cast<Seconds>(now - last)));
        }
        return offers;
    }));
    int paid = 0;
    int unanswered = 0;
    for (const Due& offer : due) {
        const auto brought = bring_in(offer.reference);
        if (!brought && brought.error().code == Code::LightningUnreachable &&
            ++unanswered >= kUnansweredOffersMax) {
            break;
        }
        TRY(const auto payments, payments_of(offer.lookup));
        if (payments == offer.payments) continue;
        paid += static_cast<int>(payments - offer.payments);
        invoices_paid.add(static_cast<std::uint64_t>(payments - offer.payments));
        spending.credited(offer.key);
        tell_invoice(offer.lookup);
    }
    return paid;
}

Result<std::int64_t, CashierError> Cashier::Impl::payments_of(const InvoiceLookup& offer) {
    return database.read([&](Reader& reader) -> Result<std::int64_t, CashierError> {
        return reader.query_one("SELECT payments FROM offer WHERE lookup = $1", offer)->integer(0);
    });
}

Result<int, CashierError> Cashier::settle_offers() {
    if (impl_->methods.find(kMethodLightning) == nullptr) return 0;
    // Whoever makes them by now: those that others made are paid all the same.
    TRY(const int arrived, impl_->settle_holders());
    TRY(const int brought, impl_->bring_in_due());
    return arrived + brought;
}

Result<void, CashierError> Cashier::Impl::ask(const StoredOffer& offer) {
    TRY(const bool asking, database.transact([&](Tx& tx) -> Result<bool, CashierError> {
        const auto now = clock.now();
        return tx.execute("UPDATE offer SET asked_at = $2 WHERE lookup = $1 AND asked_at <= $3",
                          offer.lookup, now, now - options.ask_interval) == 1;
    }));
    if (!asking) return {};
    if (!offer.holder.empty()) {
        TRY_VOID(settle_holder(offer.holder));
        return {};
    }
    TRY_VOID(bring_in(offer.reference));
    TRY(const auto payments, payments_of(offer.lookup));
    if (payments != offer.payments) spending.credited(offer.key);
    return {};
}

Result<OfferStatus, CashierError> Cashier::offer_status(std::string_view offer_id) {
    TRY(auto offer, impl_->find_offer(offer_id));
    if (!offer) return fail(make_error(Code::OfferUnknown));
    if (const auto asked = impl_->ask(*offer); !asked) {
        // What is stored is an answer, too. The watcher goes on asking.
        log::warn("cashier.offer_not_asked",
                  {{"offer", offer->reference}, {"why", asked.error().detail}});
    }
    TRY(offer, impl_->find_offer(offer_id));
    VERIFY(offer.has_value());
    const bool gives_key = offer->payments > 0 && offer->purpose == InvoicePurpose::Create;
    return OfferStatus{
        .state = offer->state,
        .purpose = offer->purpose,
        .key = gives_key ? std::optional{offer->key} : std::nullopt,
        .text = offer->text,
        .amount = offer->amount ? std::optional{to_sat_floor(*offer->amount)} : std::nullopt,
        .credited = offer->credited,
        .payments = offer->payments,
        .paid_at = offer->paid_at,
        .created_at = offer->created_at};
}

Result<OfferStatus, CashierError> Cashier::close_offer(std::string_view offer_id) {
    TRY(const auto offer, impl_->find_offer(offer_id));
    if (!offer) return fail(make_error(Code::OfferUnknown));
    TRY_VOID(impl_->database.transact([&](Tx& tx) -> Result<void, CashierError> {
        tx.execute("UPDATE offer SET state = $2 WHERE lookup = $1 AND state = $3", offer->lookup,
                   stored(OfferState::Closed), stored(OfferState::Open));
        return {};
    }));
    return offer_status(offer_id);
}

}  // namespace nutgate
