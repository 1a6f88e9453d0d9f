// A mint's offers (NUT-25): asked for once, paid by anybody and again and again, and each time
// issued for what is paid by then and not issued.
#include "wallet/offers.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/cashu/wire_offers.h"
#include "nutgate/lightning/bolt12.h"
#include "wallet/calls.h"
#include "wallet/issue.h"
#include "wallet/selection.h"

namespace nutgate::cashu {
namespace {

using Code = WalletError::Code;
using wallet::find_offer;
using wallet::MintOfferRow;

// More than one only where an amount does not fit one request.
constexpr int kIssuesAtOnce = 8;

WalletError refused(const MintUrl& mint, std::string_view why) {
    return {Code::MintRefused, mint.text() + ": " + std::string{why}};
}

Result<wire::OfferQuote, WalletError> post_offer(const WalletMint& mint,
                                                 wire::OfferQuoteRequest request) {
    constexpr std::string_view kPath = "/v1/mint/quote/bolt12";
    auto answer =
        mint.client->call(MintMethod::Post, kPath, wire::write_offer_quote_request(request));
    // As with quotes of invoices: not every mint takes descriptions.
    if (answer && answer->status == 400 && request.description) {
        request.description.reset();
        answer =
            mint.client->call(MintMethod::Post, kPath, wire::write_offer_quote_request(request));
    }
    if (!answer || answer->status != 200) return fail(wallet::error_of(answer, mint));
    auto quote = wire::parse_offer_quote(answer->body);
    if (!quote) return fail(refused(mint.url, "its quote can't be read"));
    if (!wallet::is_path_segment(quote->quote)) {
        return fail(refused(mint.url, "its quote's name can't be asked for"));
    }
    if (quote->amount != request.amount || quote->unit != request.unit) {
        return fail(refused(mint.url, "its quote is of another amount"));
    }
    if (quote->pubkey != request.pubkey) {
        return fail(refused(mint.url, "its quote is locked to another key"));
    }
    return *std::move(quote);
}

// Of that amount, and for ever: what ends is no lasting way in.
bool is_as_asked(const wire::OfferQuote& quote, const Offer& offer,
                 const std::optional<nutgate::Msat>& amount) {
    if (quote.expiry || offer.expires_at || offer.currency) return false;
    if (!amount) return !offer.amount;
    return offer.amount == static_cast<std::uint64_t>(amount->raw());
}

Result<MintOfferRow, WalletError> read_offer(Wallet::Impl& impl, const OfferId& id) {
    TRY(auto offer,
        impl.database.read(
            [&](store::Reader& reader) -> Result<std::optional<MintOfferRow>, WalletError> {
                return find_offer(reader, id);
            }));
    if (!offer) return fail(WalletError{Code::MintRefused, "it is no offer of ours"});
    return *std::move(offer);
}

Result<wire::OfferQuote, WalletError> get_offer(const WalletMint& mint, const std::string& id) {
    const auto answer = mint.client->call(MintMethod::Get, "/v1/mint/quote/bolt12/" + id, "");
    if (!answer || answer->status != 200) return fail(wallet::error_of(answer, mint));
    auto quote = wire::parse_offer_quote(answer->body);
    if (!quote || quote->quote != id) {
        return fail(
            WalletError{Code::MintUnreachable, mint.url.text() + ": its quote can't be read"});
    }
    return *std::move(quote);
}

// What may be issued, by the mint's numbers and our own: it may not have counted yet what we were
// given, and we don't know what it gave for this quote before our database was restored.
Amount room(const wire::OfferQuote& told, const MintOfferRow& ours) {
    const auto counted = add(ours.issued, ours.pending);
    const Amount known = counted ? to_amount_floor(*counted, ours.unit) : told.amount_paid;
    const Amount issued = std::max(told.amount_issued, known);
    return told.amount_paid > issued ? told.amount_paid - issued : 0;
}

struct Parts {
    Amount amount = 0;
    std::vector<std::pair<Amount, wallet::Purpose>> each;
};

// As much of `wanted` as one request can ask for.
Parts parts_of(const Keyset& keyset, Amount wanted, Unit unit) {
    for (wanted = std::min(wanted, to_amount_floor(wallet::kIssueMax, unit)); wanted > 0;
         wanted /= 2) {
        const auto parts = wallet::split_by(keyset.keys, wanted, wallet::kOutputsMax);
        if (!parts) continue;
        Parts found{.amount = wanted, .each = {}};
        for (auto part = parts->rbegin(); part != parts->rend(); ++part) {
            found.each.emplace_back(*part, wallet::Purpose::Keep);
        }
        return found;
    }
    return {};
}

struct Begun {
    OperationId operation;
    nutgate::Msat amount;
    bool is_all = false;  // Of what there was to issue.
};

// Empty if there is nothing to issue.
Result<std::optional<Begun>, WalletError> begin_issue_of(Wallet::Impl& impl, const WalletMint& mint,
                                                         const OfferId& offer,
                                                         const MintOfferRow& ours,
                                                         const wire::OfferQuote& told) {
    using Answer = std::optional<Begun>;
    const Amount wanted = room(told, ours);
    if (wanted == 0) return Answer{};
    TRY(const auto keysets, impl.keysets.of(mint, wallet::Freshness::Recent));
    const auto* keyset = wallet::choose_active(keysets, ours.unit, impl.clock.now());
    if (keyset == nullptr) {
        return fail(WalletError{Code::KeysetUnknown, "the mint has no active keyset"});
    }
    const auto parts = parts_of(*keyset, wanted, ours.unit);
    if (parts.amount == 0) {
        return fail(WalletError{Code::AmountOverflow, "the mint has no keys for such an amount"});
    }
    TRY(auto outputs, impl.plan(*keyset, parts.each));
    const auto body =
        wallet::signed_issue(impl, {ours.lock_index, ours.quote}, outputs, QuoteMessage::V1);
    if (!body) return fail(WalletError{Code::StoreUnavailable, "a counter gives no key"});
    const auto id = impl.random.id<OperationId>();
    const auto amount = to_msat(parts.amount, ours.unit).value_or(nutgate::Msat{});
    const wallet::Draft draft{.id = id,
                              .kind = OperationKind::OfferIssue,
                              .mint = mint.url,
                              .unit = ours.unit,
                              .amount = amount,
                              .fee = {},
                              .path = "/v1/mint/bolt12",
                              .request = impl.seal(as_bytes(*body), id, wallet::Sealed::Request),
                              .token = {},
                              .inputs = {},
                              .outputs = std::move(outputs),
                              .bill = std::nullopt};
    const auto now = impl.clock.now();
    return impl.database.transact([&](store::Tx& tx) -> Result<Answer, WalletError> {
        // Another thread may have begun with the same meanwhile.
        const auto latest = find_offer(tx, offer);
        VERIFY(latest.has_value());  // Offers are never deleted.
        if (room(told, *latest) < parts.amount) return Answer{};
        wallet::insert(tx, draft, wallet::issue_name(offer, latest->issues), now);
        wallet::count_begun(tx, offer, amount);
        return Answer{Begun{.operation = id, .amount = amount, .is_all = parts.amount == wanted}};
    });
}

}  // namespace

Result<Wallet::MintOffer, WalletError> Wallet::request_offer(
    const MintUrl& url, const std::optional<nutgate::Msat>& amount, std::string_view memo) {
    auto& impl = *impl_;
    const auto* mint = impl.mints.find_trusted(url);
    if (mint == nullptr) return fail(WalletError{Code::MintForeign, url.text() + " is not ours"});
    const Unit unit = amount ? wallet::unit_for(*amount) : Unit::Sat;
    if (amount == nutgate::Msat{}) {
        return fail(WalletError{Code::MintRefused, "an offer is of more than nothing"});
    }
    const auto now = impl.clock.now();
    TRY(const auto index,
        impl.database.transact([&](store::Tx& tx) -> Result<std::uint64_t, WalletError> {
            TRY_VOID(impl.check_exposure(tx, mint->url, amount.value_or(nutgate::Msat{})));
            const auto next = wallet::take_counters(tx, wallet::kQuoteLockCounter, 1);
            tx.execute(
                "INSERT INTO wallet_offer (lock_index, mint, unit, amount, created_at) VALUES "
                "($1, $2, $3, $4, $5)",
                static_cast<std::int64_t>(next), mint->url.text(), to_text(unit), amount, now);
            return next;
        }));
    const auto key = impl.deriver.quote_lock_key(static_cast<std::uint32_t>(index));
    if (!key) return fail(WalletError{Code::StoreUnavailable, "a counter gives no key"});
    std::optional<Amount> units;
    if (amount) units = to_amount_floor(*amount, unit);
    TRY(const auto quote,
        post_offer(*mint,
                   {.amount = units,
                    .unit = std::string{to_text(unit)},
                    .description = memo.empty() ? std::nullopt : std::optional{std::string{memo}},
                    .pubkey = crypto::generator_times(*key)}));
    const auto offer = parse_offer(quote.request);
    if (!offer || !is_as_asked(quote, *offer, amount)) {
        return fail(refused(mint->url, "its offer is wrong"));
    }
    const OfferId id{offer->id};
    TRY(const bool stored, impl.database.transact([&](store::Tx& tx) -> Result<bool, WalletError> {
        if (find_offer(tx, id)) return false;
        tx.execute(
            "UPDATE wallet_offer SET quote = $2, bolt12 = $3, offer = $4 WHERE lock_index = $1",
            static_cast<std::int64_t>(index), quote.quote, quote.request, id);
        return true;
    }));
    if (!stored) return fail(refused(mint->url, "its offer was given out before"));
    return MintOffer{.id = id, .bolt12 = quote.request};
}

Result<nutgate::Msat, WalletError> Wallet::settle_offer(const OfferId& id) {
    auto& impl = *impl_;
    nutgate::Msat brought;
    for (int i = 0; i < kIssuesAtOnce; ++i) {
        TRY(const auto offer, read_offer(impl, id));
        if (impl.clock.now() < offer.next_issue_at) break;
        const auto mint = impl.find(offer.mint);
        if (mint == nullptr) {
            return fail(WalletError{Code::MintUnreachable, "its mint is no longer configured"});
        }
        TRY(const auto told, get_offer(*mint, offer.quote));
        TRY(const auto begun, begin_issue_of(impl, *mint, id, offer, told));
        if (!begun) break;
        const auto ended = execute(begun->operation);
        if (!ended) {
            if (ended.error().code == Code::StoreUnavailable) return fail(ended.error());
            // Under way, and recover() goes on with it; or refused, and worked out anew later.
            log::warn("wallet_issue_not_done",
                      {{"mint", mint->url.text()}, {"why", ended.error().detail}});
            break;
        }
        brought = add(brought, begun->amount).value_or(brought);
        if (begun->is_all) break;
    }
    return brought;
}

Result<bool, WalletError> Wallet::makes_offers(const MintUrl& url) {
    const auto mint = impl_->find(url);
    if (mint == nullptr) {
        return fail(WalletError{Code::MintForeign, url.text() + " is no mint of ours"});
    }
    const auto answer = mint->client->call(MintMethod::Get, "/v1/info", "");
    if (!answer || answer->status != 200) return fail(wallet::error_of(answer, *mint));
    const auto info = wire::parse_info(answer->body);
    if (!info) {
        return fail(WalletError{Code::MintUnreachable, url.text() + ": its info can't be read"});
    }
    return info->mints_by("bolt12", to_text(Unit::Sat)) != nullptr;
}

namespace wallet {

std::optional<MintOfferRow> find_offer(store::Reader& reader, const OfferId& id) {
    const auto row = reader.query_one(
        "SELECT lock_index, mint, unit, quote, bolt12, issued, pending, issues, next_issue_at FROM "
        "wallet_offer WHERE offer = $1",
        id);
    if (!row) return std::nullopt;
    const auto mint = MintUrl::parse(row->text(1));
    const auto unit = parse_unit(row->text(2));
    VERIFY(mint && unit);
    return MintOfferRow{.lock_index = static_cast<std::uint32_t>(row->integer(0)),
                        .mint = *mint,
                        .unit = *unit,
                        .quote = row->text(3),
                        .bolt12 = row->text(4),
                        .issued = row->msat(5),
                        .pending = row->msat(6),
                        .issues = row->integer(7),
                        .next_issue_at = row->time(8)};
}

std::string issue_name(const OfferId& offer, std::int64_t number) {
    return offer.hex() + ":" + std::to_string(number);
}

OfferId offer_of(std::string_view issue) {
    const auto offer = OfferId::parse(issue.substr(0, issue.find(':')));
    VERIFY(offer.has_value());
    return *offer;
}

void count_begun(store::Tx& tx, const OfferId& offer, nutgate::Msat amount) {
    tx.execute(
        "UPDATE wallet_offer SET pending = pending + $2, issues = issues + 1 WHERE offer = $1",
        offer, amount);
}

void count_issued(store::Tx& tx, const OfferId& offer, nutgate::Msat amount) {
    tx.execute(
        "UPDATE wallet_offer SET pending = pending - $2, issued = issued + $2, refusals = 0, "
        "next_issue_at = 0 WHERE offer = $1",
        offer, amount);
}

void count_refused(store::Tx& tx, const OfferId& offer, nutgate::Msat amount, Time now) {
    constexpr std::int64_t kPauseMaxS = 600;
    const auto row = tx.query_one(
        "UPDATE wallet_offer SET pending = pending - $2, refusals = refusals + 1 WHERE offer = $1 "
        "RETURNING refusals",
        offer, amount);
    VERIFY(row.has_value());
    const auto doublings = std::min<std::int64_t>(row->integer(0), 10);
    const Seconds pause{std::min(kPauseMaxS, std::int64_t{1} << doublings)};
    tx.execute("UPDATE wallet_offer SET next_issue_at = $2 WHERE offer = $1", offer, now + pause);
}

}  // namespace wallet

}  // namespace nutgate::cashu
