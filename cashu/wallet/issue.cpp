#include "wallet/issue.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/cashu/wire.h"
#include "nutgate/lightning/invoice.h"
#include "wallet/calls.h"
#include "wallet/offers.h"
#include "wallet/selection.h"

namespace nutgate::cashu {
namespace {

using Code = WalletError::Code;
using wallet::find_quote;
using wallet::Quote;
using wallet::QuoteState;

// A mint may see a payment late, and issues a paid quote whenever it is asked to: who paid on the
// last second, or a day after, is not forgotten.
constexpr Seconds kWatchPastExpiry{24 * 3600};

Result<std::optional<Quote>, WalletError> read_quote(Wallet::Impl& impl,
                                                     const PaymentHash& payment) {
    return impl.database.read(
        [&](store::Reader& reader) -> Result<std::optional<Quote>, WalletError> {
            return find_quote(reader, payment);
        });
}

Result<wire::MintQuote, WalletError> post_quote(const WalletMint& mint,
                                                wire::MintQuoteRequest request) {
    auto answer = mint.client->call(MintMethod::Post, "/v1/mint/quote/bolt11",
                                    wire::write_mint_quote_request(request));
    // Not every mint writes descriptions into its invoices; nothing is at stake in asking again.
    if (answer && answer->status == 400 && request.description) {
        request.description.reset();
        answer = mint.client->call(MintMethod::Post, "/v1/mint/quote/bolt11",
                                   wire::write_mint_quote_request(request));
    }
    if (!answer || answer->status != 200) return fail(wallet::error_of(answer, mint));
    auto quote = wire::parse_mint_quote(answer->body);
    const auto refuse = [&](const char* why) {
        return fail(WalletError{Code::MintRefused, mint.url.text() + ": " + why});
    };
    if (!quote) return refuse("its quote can't be read");
    if (!wallet::is_path_segment(quote->quote))
        return refuse("its quote's name can't be asked for");
    if (quote->amount != 0 && quote->amount != request.amount) {
        return refuse("its quote is of another amount");
    }
    if (quote->pubkey && quote->pubkey != request.pubkey) {
        return refuse("its quote is locked to another key");
    }
    return *std::move(quote);
}

}  // namespace

Result<Wallet::MintQuote, WalletError> Wallet::request_quote(const MintUrl& url,
                                                             nutgate::Msat amount,
                                                             std::string_view memo) {
    auto& impl = *impl_;
    const auto* mint = impl.mints.find_trusted(url);
    if (mint == nullptr) return fail(WalletError{Code::MintForeign, url.text() + " is not ours"});
    const Unit unit = wallet::unit_for(amount);
    if (amount == nutgate::Msat{}) {
        return fail(WalletError{Code::MintRefused, "an invoice is of more than nothing"});
    }
    const auto now = impl.clock.now();
    TRY(const auto index, impl.database.transact([&](store::Tx& tx)
                                                     -> Result<std::uint64_t, WalletError> {
        TRY_VOID(impl.check_exposure(tx, mint->url, amount));
        const auto next = wallet::take_counters(tx, wallet::kQuoteLockCounter, 1);
        tx.execute(
            "INSERT INTO wallet_quote (lock_index, mint, unit, amount, state, created_at) VALUES "
            "($1, $2, $3, $4, 1, $5)",
            static_cast<std::int64_t>(next), mint->url.text(), to_text(unit), amount, now);
        return next;
    }));
    const auto key = impl.deriver.quote_lock_key(static_cast<std::uint32_t>(index));
    if (!key) return fail(WalletError{Code::StoreUnavailable, "a counter gives no key"});
    TRY(const auto quote,
        post_quote(*mint,
                   {.amount = to_amount_floor(amount, unit),
                    .unit = std::string{to_text(unit)},
                    .description = memo.empty() ? std::nullopt : std::optional{std::string{memo}},
                    .pubkey = crypto::generator_times(*key)}));
    const auto invoice = parse_bolt11(quote.request);
    if (!invoice || invoice->amount != amount) {
        return fail(WalletError{Code::MintRefused, mint->url.text() + ": its invoice is wrong"});
    }
    auto expires_at = invoice->expires_at();
    if (quote.expiry) expires_at = std::min(expires_at, from_unix_seconds(*quote.expiry));
    TRY(const bool stored, impl.database.transact([&](store::Tx& tx) -> Result<bool, WalletError> {
        if (find_quote(tx, invoice->payment_hash)) return false;
        tx.execute(
            "UPDATE wallet_quote SET state = 2, quote = $2, bolt11 = $3, payment_hash = $4, "
            "expires_at = $5, watch_until = $6 WHERE lock_index = $1",
            static_cast<std::int64_t>(index), quote.quote, quote.request, invoice->payment_hash,
            expires_at, expires_at + kWatchPastExpiry);
        return true;
    }));
    if (!stored) {
        return fail(WalletError{Code::MintRefused,
                                mint->url.text() + ": its invoice was given out before"});
    }
    return MintQuote{
        .id = *QuoteId::parse(quote.quote), .bolt11 = quote.request, .expires_at = expires_at};
}

namespace {

// What to ask for of a paid quote: all that was paid, if that is more than its invoice is over. But
// not of one that our own money pays, since the books have no more than that on its way.
Result<Amount, WalletError> mintable(Wallet::Impl& impl, const Quote& quote,
                                     const PaymentHash& payment, const wire::MintQuote& told) {
    const Amount asked = to_amount_floor(quote.amount, quote.unit);
    // Something that was issued of it before is for the operation to find out about.
    if (told.amount_issued > 0 || told.amount_paid <= asked) return asked;
    TRY(const bool is_leg,
        impl.database.read([&](store::Reader& reader) -> Result<bool, WalletError> {
            return reader
                .query_one("SELECT 1 FROM wallet_operation WHERE payment = $1 LIMIT 1", payment)
                .has_value();
        }));
    if (is_leg) return asked;
    const Amount most = to_amount_floor(wallet::kIssueMax, quote.unit);
    return std::max(asked, std::min(told.amount_paid, most));
}

// The issue operation of a paid quote, written down: a new one, or the one that there is.
Result<OperationId, WalletError> begin_issue(Wallet::Impl& impl, const WalletMint& mint,
                                             const Quote& quote, const PaymentHash& payment,
                                             Amount wanted) {
    const auto reference = payment.hex();
    TRY(const auto keysets, impl.keysets.of(mint, wallet::Freshness::Recent));
    const auto* keyset = wallet::choose_active(keysets, quote.unit, impl.clock.now());
    if (keyset == nullptr) {
        return fail(WalletError{Code::KeysetUnknown, "the mint has no active keyset"});
    }
    const Amount asked = to_amount_floor(quote.amount, quote.unit);
    auto parts = wallet::split_by(keyset->keys, wanted, wallet::kOutputsMax);
    if (!parts && wanted > asked) {
        wanted = asked;
        parts = wallet::split_by(keyset->keys, wanted, wallet::kOutputsMax);
    }
    const auto amount = to_msat(wanted, quote.unit);
    if (!parts || !amount) {
        return fail(WalletError{Code::AmountOverflow, "the mint has no keys for such an amount"});
    }
    std::vector<std::pair<Amount, wallet::Purpose>> amounts;
    for (auto part = parts->rbegin(); part != parts->rend(); ++part) {
        amounts.emplace_back(*part, wallet::Purpose::Keep);
    }
    TRY(auto outputs, impl.plan(*keyset, amounts));
    const auto body =
        wallet::signed_issue(impl, {quote.lock_index, quote.id}, outputs, QuoteMessage::V1);
    VERIFY(body.has_value());  // The quote was locked with that key.
    const auto id = impl.random.id<OperationId>();
    const wallet::Draft draft{.id = id,
                              .kind = OperationKind::Issue,
                              .mint = mint.url,
                              .unit = quote.unit,
                              .amount = *amount,
                              .fee = {},
                              .path = "/v1/mint/bolt11",
                              .request = impl.seal(as_bytes(*body), id, wallet::Sealed::Request),
                              .token = {},
                              .inputs = {},
                              .outputs = std::move(outputs),
                              .bill = std::nullopt};
    const auto now = impl.clock.now();
    return impl.database.transact([&](store::Tx& tx) -> Result<OperationId, WalletError> {
        if (const auto running = wallet::find_joinable(tx, OperationKind::Issue, reference)) {
            return *running;
        }
        wallet::insert(tx, draft, reference, now);
        return draft.id;
    });
}

// As much as its operation issued.
Result<Payment, WalletError> settled(Wallet::Impl& impl, const Quote& quote,
                                     const PaymentHash& payment) {
    const auto reference = payment.hex();
    return impl.database.read([&](store::Reader& reader) -> Result<Payment, WalletError> {
        const auto row = reader.query_one(
            "SELECT amount FROM wallet_operation WHERE kind = $1 AND reference = $2 AND state <> 3",
            static_cast<std::int64_t>(OperationKind::Issue), reference);
        return Payment{.state = PaymentState::Settled,
                       .amount = row ? row->msat(0) : quote.amount,
                       .fee = {},
                       .preimage = std::nullopt};
    });
}

}  // namespace

Result<Payment, WalletError> Wallet::settle_quote(const PaymentHash& payment) {
    auto& impl = *impl_;
    TRY(const auto quote, read_quote(impl, payment));
    if (!quote) return fail(WalletError{Code::MintRefused, "no quote of ours has this invoice"});
    if (quote->state == QuoteState::Issued) return settled(impl, *quote, payment);
    const auto mint = impl.find(quote->mint);
    if (mint == nullptr) {
        return fail(WalletError{Code::MintUnreachable, "its mint is no longer configured"});
    }
    const auto reference = payment.hex();
    bool may_exceed = true;
    // Twice: an issue that the mint refused for its keyset is planned anew on what it has now. And
    // once more where it refused to issue more than its invoice is over: NUT-04 did not let it
    // before the amendment, so that the rest stays with the mint.
    for (int tries = 2; tries > 0; --tries) {
        TRY(auto id,
            impl.database.read(
                [&](store::Reader& reader) -> Result<std::optional<OperationId>, WalletError> {
                    return wallet::find_joinable(reader, OperationKind::Issue, reference);
                }));
        bool exceeds = id.has_value();  // One that was begun before may.
        if (!id) {
            TRY(const auto asked, impl.looks.of(*mint, *quote));
            const bool paid = asked.amount_issued > 0 ||
                              asked.amount_paid >= to_amount_floor(quote->amount, quote->unit);
            if (!paid) {
                const bool given_up = impl.clock.now() > quote->watch_until;
                return Payment{.state = given_up ? PaymentState::Failed : PaymentState::Pending,
                               .amount = {},
                               .fee = {},
                               .preimage = std::nullopt};
            }
            auto wanted = to_amount_floor(quote->amount, quote->unit);
            if (may_exceed) {
                TRY(wanted, mintable(impl, *quote, payment, asked));
                exceeds = wanted > to_amount_floor(quote->amount, quote->unit);
            }
            TRY(id, begin_issue(impl, *mint, *quote, payment, wanted));
        }
        const auto ended = execute(*id);
        if (ended) return settled(impl, *quote, payment);
        if (ended.error().code == Code::StoreUnavailable) return fail(ended.error());
        if (ended.error().code == Code::InProgress) break;
        log::warn("wallet_issue_refused",
                  {{"mint", mint->url.text()}, {"why", ended.error().detail}});
        if (may_exceed && exceeds && ended.error().code != Code::KeysetUnknown) {
            may_exceed = false;
            ++tries;
        }
    }
    return Payment{};
}

std::vector<PaymentHash> Wallet::open_quotes(store::Reader& reader, int limit) const {
    std::vector<PaymentHash> payments;
    for (const auto& row : reader.query(
             "SELECT payment_hash FROM wallet_quote WHERE state = 2 AND watch_until >= $1 ORDER BY "
             "created_at DESC, lock_index DESC LIMIT $2",
             impl_->clock.now(), limit)) {
        payments.push_back(row.id<PaymentHash>(0));
    }
    return payments;
}

namespace wallet {

bool has_open_quotes(store::Reader& reader, const MintUrl& mint) {
    return reader
        .query_one("SELECT 1 FROM wallet_quote WHERE state = 2 AND mint = $1 LIMIT 1", mint.text())
        .has_value();
}

std::optional<Quote> find_quote(store::Reader& reader, const PaymentHash& payment) {
    const auto row = reader.query_one(
        "SELECT lock_index, mint, unit, amount, state, quote, bolt11, watch_until FROM "
        "wallet_quote WHERE payment_hash = $1",
        payment);
    if (!row) return std::nullopt;
    const auto mint = MintUrl::parse(row->text(1));
    const auto unit = parse_unit(row->text(2));
    VERIFY(mint && unit);
    return Quote{.lock_index = static_cast<std::uint32_t>(row->integer(0)),
                 .mint = *mint,
                 .unit = *unit,
                 .amount = row->msat(3),
                 .state = static_cast<QuoteState>(row->integer(4)),
                 .id = row->text(5),
                 .bolt11 = row->text(6),
                 .watch_until = row->time(7)};
}

namespace {

// A leg of whose first one nothing is under way: it was paid, or someone may have been faster. From
// the quotes to the operations: SQLite keeps to the order of a CROSS JOIN, and would begin with all
// operations that have ended otherwise.
constexpr std::string_view kSecondLegs =
    "FROM wallet_quote q CROSS JOIN wallet_operation o WHERE o.payment = q.payment_hash AND "
    "q.leg = 1 AND q.state = 2 AND o.kind IN (5, 6) ";

constexpr std::int64_t kLegBackOffMaxS = 600;

}  // namespace

void mark_leg(store::Tx& tx, const PaymentHash& payment) {
    tx.execute("UPDATE wallet_quote SET leg = 1 WHERE payment_hash = $1", payment);
}

std::vector<PaymentHash> take_due_legs(store::Tx& tx, Time now, int limit) {
    std::vector<PaymentHash> due;
    const auto rows = tx.query("SELECT q.payment_hash, q.asks " + std::string{kSecondLegs} +
                                   "AND o.state IN (2, 3) AND q.watch_until >= $1 AND "
                                   "q.next_ask_at <= $1 ORDER BY q.next_ask_at LIMIT $2",
                               now, limit);
    for (const auto& row : rows) {
        due.push_back(row.id<PaymentHash>(0));
        const auto asks = std::min<std::int64_t>(row.integer(1), 10);
        const Seconds pause{std::min(kLegBackOffMaxS, std::int64_t{1} << asks)};
        tx.execute(
            "UPDATE wallet_quote SET asks = asks + 1, next_ask_at = $2 WHERE payment_hash = $1",
            due.back(), now + pause);
    }
    return due;
}

std::int64_t count_unarrived(store::Reader& reader) {
    return reader.query_one("SELECT COUNT(*) " + std::string{kSecondLegs} + "AND o.state = 2")
        ->integer(0);
}

Result<std::optional<QuoteStanding>, WalletError> ask_quote(Wallet::Impl& impl,
                                                            const WalletMint& mint,
                                                            std::string_view reference) {
    using Answer = std::optional<QuoteStanding>;
    const auto payment = PaymentHash::parse(reference);
    VERIFY(payment.has_value());
    TRY(const auto quote, read_quote(impl, *payment));
    if (!quote) return Answer{};
    const auto asked = get_mint_quote(mint, quote->id);
    if (!asked) return Answer{};
    return Answer{QuoteStanding{.paid = asked->amount_paid > 0,
                                .issued = asked->amount_issued > 0,
                                .amount = quote->amount}};
}

Unit unit_for(nutgate::Msat amount) {
    return to_msat(to_amount_floor(amount, Unit::Sat), Unit::Sat) == amount ? Unit::Sat
                                                                            : Unit::Msat;
}

std::optional<std::string> signed_issue(Wallet::Impl& impl, const LockedQuote& quote,
                                        const std::vector<PlannedOutput>& outputs,
                                        QuoteMessage form) {
    const auto key = impl.deriver.quote_lock_key(quote.lock_index);
    if (!key) return std::nullopt;
    wire::MintRequest request{.quote = quote.id, .outputs = {}, .signature = std::nullopt};
    for (const auto& output : outputs) request.outputs.push_back(output.message);
    request.signature = sign_quote(form, quote.id, request.outputs, *key, impl.random);
    return wire::write_mint_request(request);
}

Result<std::optional<std::string>, WalletError> issue_request(
    Wallet::Impl& impl, OperationKind kind, std::string_view reference,
    const std::vector<PlannedOutput>& outputs, QuoteMessage form) {
    TRY(const auto quote,
        impl.database.read(
            [&](store::Reader& reader) -> Result<std::optional<LockedQuote>, WalletError> {
                if (kind == OperationKind::OfferIssue) {
                    const auto offer = find_offer(reader, offer_of(reference));
                    if (!offer) return std::optional<LockedQuote>{};
                    return std::optional{LockedQuote{offer->lock_index, offer->quote}};
                }
                const auto payment = PaymentHash::parse(reference);
                VERIFY(kind == OperationKind::Issue && payment);
                const auto found = find_quote(reader, *payment);
                if (!found) return std::optional<LockedQuote>{};
                return std::optional{LockedQuote{found->lock_index, found->id}};
            }));
    if (!quote) return std::optional<std::string>{};
    return signed_issue(impl, *quote, outputs, form);
}

void mark_issued(store::Tx& tx, const PaymentHash& payment) {
    tx.execute("UPDATE wallet_quote SET state = 3 WHERE payment_hash = $1", payment);
}

}  // namespace wallet

}  // namespace nutgate::cashu
