// What the files of the mint share. Each route is one function in the file of its topic: it takes
// the body, answers the JSON of a 200 or a MintError, and is called by handle.cpp alone.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "mint/errors.h"
#include "mint/exchange.h"
#include "mint/keysets.h"
#include "nutgate/base/sync.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/wire.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/lightning/offers.h"

namespace nutgate::cashu {

// SHA-256 of method, path and body: under it an answer is kept (NUT-19).
using RequestKey = crypto::Hash256;
using Answered = Result<std::string, MintError>;

struct MintQuoteRow;
struct MeltRow;

struct Mint::Impl {
    Impl(store::Database&, LightningBackend&, MintBooks&, const Secret&, const Clock&,
         crypto::Random&, Options, metrics::Registry&);

    // handle.cpp
    Answered answer(MintMethod method, std::string_view path, std::string_view body);
    Answered answer_get(std::string_view path);
    Answered answer_post(std::string_view path, std::string_view body);
    Answered cached(std::string_view path, std::string_view body,
                    Answered (Impl::*route)(const RequestKey&, std::string_view));
    void keep_answer(store::Tx& tx, const RequestKey& key, std::string_view body, Time now);

    // keysets.cpp, info.cpp
    Result<void, store::StoreFailure> load_keysets();
    Result<KeysetId, store::StoreFailure> make_keyset(Unit unit, std::uint64_t input_fee_ppk);
    Answered keys();
    Answered keys_of(std::string_view id);
    Answered list_keysets();
    Answered info();

    // swap.cpp
    Answered swap(const RequestKey& key, std::string_view body);

    // issue.cpp
    Answered create_mint_quote(std::string_view body);
    Answered mint_quote(std::string_view id);
    Answered issue(const RequestKey& key, std::string_view body);
    // Asks the backend whether that invoice was paid, and credits its quote if so.
    Result<void, MintError> ask_incoming(const PaymentHash& payment);
    // Once per payment hash: false if it was credited before, or is no quote of ours.
    bool credit_quote(store::Tx& tx, const PaymentHash& payment, nutgate::Msat amount, Time now);
    void poll_quotes();
    Result<void, store::StoreFailure> forget_old_quotes();
    // Whether a quote of that unit, amount and description may be made.
    Result<Unit, MintError> quotable(std::string_view unit, std::optional<Amount> amount,
                                     const std::optional<std::string>& description) const;
    // Signs for a quote, of either kind, and writes it down: `take` counts the sum on the quote, in
    // the same transaction, if there is so much left on it.
    using Take = std::function<Result<void, MintError>(store::Tx&, Time now)>;
    Answered sign_off(const RequestKey& key, const std::vector<BlindedMessage>& outputs,
                      const CheckedOutputs& checked, const Take& take);

    // offers.cpp
    // Of the node that this mint stands on; null if it can't.
    OfferBackend* offer_backend() const;
    Answered create_offer_quote(std::string_view body);
    Answered offer_quote(std::string_view id);
    Answered issue_offer(const RequestKey& key, std::string_view body);
    // Asks the node what came in to offers since it was asked last, and credits their quotes.
    Result<void, MintError> ask_offers();
    // Whether some of them are of no offer that is known.
    bool credit_offers(store::Tx& tx, const OfferPayments& told, Time now);
    struct Heard {
        const std::string& since;
        const std::string& until;
        bool strangers;
    };
    // False if the node has to be asked from there again.
    bool store_mark(store::Tx& tx, const Heard& heard, Time now);
    void poll_offers();
    void close_unpaid_offers();

    // melt.cpp, melt_quote.cpp
    class Pursuit;
    Answered create_melt_quote(std::string_view body);
    Answered melt_quote(std::string_view id);
    // Whether an invoice of that hash is one of ours. Refused if it only looks like one.
    Result<bool, MintError> is_own(const PaymentHash& payment, nutgate::Msat amount);
    Answered melt(const RequestKey& key, std::string_view body);
    Answered melt_internally(const RequestKey& key, const MeltRow& row, const CheckedInputs& inputs,
                             const std::vector<BlindedMessage>& blanks);
    // Refused if somebody else of this node pays that invoice, or has: to pay it would be to join
    // that payment, and to take tokens for what another has paid.
    Result<void, MintError> check_unpaid(const MeltRow& row);
    Result<void, MintError> check_books(store::Reader& reader, const MeltRow& row);
    Result<void, MintError> begin_melt(const RequestKey& key, MeltRow& row,
                                       const CheckedInputs& inputs,
                                       const std::vector<BlindedMessage>& blanks);
    // Asks or pays, as the state of the payment demands, and writes down what came of it.
    Result<void, MintError> pursue_melt(const std::string& quote);
    Result<void, MintError> finish_melt(const MeltRow& row, const Payment& payment);
    Result<void, MintError> release_melt(const MeltRow& row);
    Result<wire::MeltQuote, MintError> describe_melt(const std::string& quote);
    void poll_melts();

    // check.cpp
    Answered check_state(std::string_view body);
    Answered restore(std::string_view body);

    // True at most once per kAskPause for `id`: a quote that is polled in a loop costs the
    // Lightning node no more than that.
    bool may_ask(const std::string& id);

    store::Database& database;
    LightningBackend& backend;
    MintBooks& books;
    const Secret secret;
    const Clock& clock;
    crypto::Random& random;
    const Options options;
    metrics::Counter& answers_ok;
    metrics::Counter& answers_refused;
    metrics::Counter& answers_unavailable;
    metrics::Gauge& melts_pending;
    Keysets keysets;
    Exchange exchange;
    std::atomic<bool> frozen = false;

    Mutex mutex;
    std::map<std::string, Time> asked GUARDED_BY(mutex);
    std::set<std::string> melts_pursued GUARDED_BY(mutex);  // By a thread of this process.
    std::string poll_cursor GUARDED_BY(mutex);
};

// NUT-20, in either form.
bool is_signed_by(const crypto::Point& owner, const wire::MintRequest& request);
// Why not so much can be issued of a quote now.
MintError not_mintable(Amount paid, Amount issued, Amount wanted);

// An amount as a database holds it: no keyset has a key beyond 2^61, so each fits.
inline std::int64_t to_sql(Amount amount) {
    VERIFY(amount <= static_cast<Amount>(INT64_MAX));
    return static_cast<std::int64_t>(amount);
}

// 122 bits of randomness would do; a UUIDv7 is what wallets expect: time first, 74 random bits.
std::string new_quote_id(const Clock& clock, crypto::Random& random);

// The error for what a stranger sent and the codec did not take.
MintError to_error(const wire::WireError& error);

template <class T>
Result<T, MintError> taken(wire::Parsed<T> parsed) {
    if (!parsed) return fail(to_error(parsed.error()));
    return *std::move(parsed);
}

}  // namespace nutgate::cashu
