// What the Cashier's files share: its parts, and the few reads that more than one of them does.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/sync.h"
#include "nutgate/cashier/cashier.h"
#include "schema.h"

namespace nutgate {

// Tokens that were refused for good a moment ago. Brief, so that a mint's mistake is not ours for
// long; bounded, so that nobody fills it. Thread-safe.
class RefusalMemory {
public:
    RefusalMemory(const Clock& clock, Seconds lifetime, std::size_t size_max)
        : clock_{clock}, lifetime_{lifetime}, size_max_{size_max} {}

    // By all that was presented, not by the secrets alone.
    std::optional<CashierError> find(const TokenIdentity& presented);
    void remember(const TokenIdentity& presented, const CashierError& why);

private:
    struct Entry {
        CashierError why;
        Time until;
    };

    const Clock& clock_;
    const Seconds lifetime_;
    const std::size_t size_max_;
    Mutex mutex_;
    std::map<TokenIdentity, Entry> entries_ GUARDED_BY(mutex_);
    std::deque<TokenIdentity> order_ GUARDED_BY(mutex_);  // As remembered: the oldest goes first.
};

struct StoredDeposit {
    TokenIdentity identity;
    DepositKind kind;
    KeyId key;
    OperationId operation;
    RowState state;
    std::optional<CashierError::Code> failure;
    Msat credited;

    // It ended without money, for a reason that may be gone by now. Only that they are spent lies
    // in the secrets, which are all that the identity knows: whatever else was wrong with a token
    // may be right in the next one with the same secrets.
    bool may_begin_again() const {
        return state == RowState::Failed && failure && *failure != CashierError::Code::TokenSpent &&
               *failure != CashierError::Code::TokenUsed;
    }
};

struct StoredInvoice {
    InvoiceLookup lookup;
    InvoicePurpose purpose;
    KeyId key;
    Msat amount;
    InvoiceState state;
    std::optional<PaymentHash> payment;
    Msat credited;
    Time created_at;
    Time expires_at;
    std::optional<Time> paid_at;
    bool cancelled = false;  // And not paid since.
};

struct StoredPayout {
    std::string reference;
    std::int64_t seq = 0;
    Msat amount;
    OperationId operation;
    RowState state;
    std::optional<CashierError::Code> failure;
    Bytes sealed;
    std::int64_t settlements = 0;
    std::string mint{};  // Once Done.
    Msat fee{};          // Once Done: what it cost. Before, the most that it may.
    std::optional<Preimage> preimage{};
};

// Our own money on its way to ecash at `target`: from `source`, a mint, or from `backend`.
struct StoredTransit {
    OperationId operation;
    TransitState state;
    Msat amount;
    Msat fee;
    std::optional<CashierError::Code> failure;
};

// Mints that nothing is moved to by itself for a while. Thread-safe.
class Pauses {
public:
    explicit Pauses(const Clock& clock) : clock_{clock} {}

    bool is_over(const cashu::MintUrl& mint);
    void begin(const cashu::MintUrl& mint, Seconds duration);

private:
    const Clock& clock_;
    Mutex mutex_;
    std::map<cashu::MintUrl, Time> until_ GUARDED_BY(mutex_);  // Trusted mints only: few.
};

struct Cashier::Impl {
    store::Database& database;
    Ledger& ledger;
    Keyring& keyring;
    CashierBooks& books;
    Spending& spending;
    cashu::Wallet& wallet;
    payment::PaymentMethods& methods;
    Secret lookup_secret;
    const Clock& clock;
    crypto::Random& random;
    const Options options;
    RefusalMemory refusals;
    Pauses pauses;
    metrics::Counter& deposits;
    metrics::Counter& invoices_paid;
    metrics::Counter& refunds;
    metrics::Gauge& unfinished;
    std::function<void(const std::string&)> invoice_told{};  // Constant after the first call.

    // Of a key that pays for itself: what it may spend, what requests under way have set aside of
    // its balance, and the charges that the books do not know yet.
    struct Spendable {
        Msat balance;
        Msat reserved;
        std::vector<Spending::Unposted> unposted;
    };
    // `spent` was taken before `reader` was opened.
    Spendable spendable(store::Reader& reader, const KeyId& payer,
                        const Spending::View& spent) const;
    // The key whose balance money for `key` goes to.
    Result<KeyId, CashierError> payee(store::Reader& reader, const KeyId& key) const;
    Result<void, CashierError> check_limits(const KeyLimits& limits) const;
    // What is told of a row, a deposit's or a payout's, that is not Done after its operation ran.
    CashierError not_done(RowState state, std::optional<CashierError::Code> failure,
                          const Result<void, cashu::WalletError>& ran) const;

    // deposit.cpp
    struct Presented {
        cashu::Token token;
        bool foreign = false;  // Of a mint that is not trusted.
        TokenIdentity identity;
    };
    struct DepositTarget {
        DepositKind kind;
        KeyId key;
        KeyLimits limits;
        // Of a payment that was asked for.
        std::optional<InvoiceLookup> request{};
        Msat at_least{};
    };
    struct Begun {
        OperationId operation;
        bool by_us;
    };
    Result<std::optional<StoredDeposit>, CashierError> find_deposit(const TokenIdentity& token);
    Result<DepositTarget, CashierError> target(const TokenIdentity& token,
                                               const DepositPurpose& purpose);
    Result<Presented, CashierError> read_token(std::string_view text) const;
    Result<Begun, CashierError> begin_deposit(const Presented& presented,
                                              const DepositTarget& target);
    // The row that it is now: Done.
    struct Taken {
        StoredDeposit row;
        bool again = false;
    };
    Result<Taken, CashierError> finish_deposit(const TokenIdentity& identity,
                                               const OperationId& operation,
                                               const DepositTarget& target, bool again);
    Result<Taken, CashierError> take_in(const Presented& presented, const DepositTarget& target);
    Result<Deposit, CashierError> answer(const StoredDeposit& row, bool again);

    // foreign.cpp
    // Of a token that pays a quote of ours at a trusted mint.
    Result<cashu::Wallet::Owned<cashu::Wallet::PreparedMelt>, CashierError> prepare_foreign(
        const cashu::Token& token);

    // invoice.cpp
    InvoiceLookup lookup_of(std::string_view invoice_id) const;
    Result<void, CashierError> store_opening(const InvoiceRequest& request, const KeyId& key,
                                             const InvoiceLookup& lookup, std::string_view label);
    Result<void, CashierError> store_opened(const InvoiceLookup& lookup,
                                            const payment::Presentation& invoice,
                                            const PaymentHash& payment);
    void cancel(const InvoiceLookup& lookup);
    Result<std::optional<StoredInvoice>, CashierError> find_invoice(const InvoiceLookup& lookup);
    Result<std::optional<StoredInvoice>, CashierError> find_invoice(const PaymentHash& payment);
    // True for one caller within ask_interval.
    Result<bool, CashierError> may_ask(const StoredInvoice& invoice);
    // Asks, and books what arrived. True if the invoice is paid now.
    Result<bool, CashierError> ask(const StoredInvoice& invoice);
    Result<InvoiceStatus, CashierError> status_of(StoredInvoice invoice, bool may_have_key);
    InvoiceStatus shown(StoredInvoice invoice, bool may_have_key) const;
    void tell_invoice(const InvoiceLookup& lookup) const;

    // token_request.cpp
    struct StoredRequest;
    Result<std::optional<StoredRequest>, CashierError> find_request(const InvoiceLookup& lookup);
    // In the transaction that begins its payment by this token.
    Result<void, CashierError> claim_request(store::Tx& tx, const InvoiceLookup& lookup,
                                             const TokenIdentity& token) const;
    // Invoices and requests, neither paid nor expired.
    std::int64_t count_open(store::Reader& reader) const;

    // offer.cpp
    struct StoredOffer;
    // Of one that was made.
    Result<std::optional<StoredOffer>, CashierError> find_offer(std::string_view offer_id);
    Result<void, CashierError> store_opening(const OfferRequest& request, const KeyId& key,
                                             const InvoiceLookup& lookup, std::string_view label);
    Result<void, CashierError> store_opened(const InvoiceLookup& lookup,
                                            const payment::OfferPresentation& offer);
    void never_made(const InvoiceLookup& lookup);
    // What came in at a holder since `before`, and the mark with it, unless `keeps_mark` already or
    // from here on. Returns how many payments were credited.
    Result<int, CashierError> credit(std::string_view holder, std::string_view before,
                                     const payment::Arrivals& came, bool& keeps_mark);
    Result<int, CashierError> settle_holder(const std::string& holder);
    Result<int, CashierError> settle_holders();
    // Tells the holder which offers are closed.
    Result<void, CashierError> retire_closed(const std::string& holder);
    // Of offers whose money becomes ecash.
    Result<void, CashierError> bring_in(const std::string& reference);
    Result<int, CashierError> bring_in_due();
    Result<std::int64_t, CashierError> payments_of(const InvoiceLookup& offer);
    // At most once within ask_interval.
    Result<void, CashierError> ask(const StoredOffer& offer);

    // owner.cpp
    // Revenue, and what the owner put in or a restore found, less what it cost: mints' fees and
    // losses were paid out of the same ecash, and what is beyond is the customers'. What operations
    // under way may cost counts as spent.
    Result<Msat, CashierError> earned(store::Reader& reader) const;

    // refund.cpp
    struct RefundView {
        KeyRecord record;
        Msat balance;   // What is not reserved.
        Msat reserved;  // For requests under way.
        std::optional<StoredPayout> last;
        std::int64_t settlements = 0;
    };
    struct Part {
        Account account;
        Msat amount;
    };
    Result<RefundView, CashierError> view_refund(store::Reader& reader, const KeyId& key,
                                                 const Spending::View& spent) const;
    // Pauses the key's requests for it. Empty if what the refund was prepared for is not so any
    // more.
    Result<std::optional<StoredPayout>, CashierError> begin_refund(
        const KeyId& key, const RefundView& seen, const cashu::Wallet::PreparedSend& prepared,
        Msat amount);
    Result<std::optional<StoredPayout>, CashierError> begin_refund(
        store::Tx& tx, const KeyId& key, const RefundView& seen,
        const cashu::Wallet::PreparedSend& prepared, Msat amount);
    // From its accounts to what is in flight.
    Result<void, CashierError> take_parts(store::Tx& tx, const std::string& reference,
                                          const std::vector<Part>& parts);
    // The owner's parts of `amount`, if that and `fee` are not more than what was earned.
    Result<std::vector<Part>, CashierError> owners_parts(store::Reader& reader, Msat amount,
                                                         Msat fee) const;
    void insert_owners_payout(store::Tx& tx, const std::string& reference, PayoutKind kind,
                              const StoredPayout& payout) const;
    Result<OwnerPayment, CashierError> finish_melt(const std::string& reference,
                                                   const OperationId& operation, bool again);
    Result<Refund, CashierError> finish_payout(const std::string& reference,
                                               const OperationId& operation, bool again);
    Result<Refund, CashierError> handed_out(const StoredPayout& payout, bool again) const;

    // moves.cpp
    // A way from one of our assets to a mint, as its row has it.
    struct Route {
        std::string reference;
        std::optional<std::string> backend;
        std::optional<cashu::MintUrl> source;
        cashu::MintUrl target;
        bool automatic = false;  // One at a time to each mint.
    };
    Result<std::optional<StoredTransit>, CashierError> find_transit(std::string_view reference);
    // `row.fee`: the most that it may cost.
    void insert_transit(store::Tx& tx, const Route& route, const PaymentHash& payment,
                        const StoredTransit& row) const;
    Result<OperationId, CashierError> begin_move(const Route& route, Msat amount);
    Result<OperationId, CashierError> begin_funding(const Route& route, Msat amount, Msat fee_max);
    Result<Moved, CashierError> finish_transit(std::string_view reference,
                                               const OperationId& operation, bool again);
    // What a backend holds that is ours: beyond what the embedded mint owes, if it is that mint's,
    // and what fundings under way may take.
    Msat free_at(store::Reader& reader, std::string_view backend) const;
    struct Payer {
        std::string name;
        Msat free;
    };
    std::optional<Payer> richest_payer(store::Reader& reader) const;

    // reserve.cpp
    Msat automatic_fee_max(Msat amount) const;
    // The most that can be funded out of so much.
    Msat fundable(Msat free) const;
    // Runs an automatic move or funding; false if it came to nothing, and then there is a pause.
    // InProgress: it was begun, or another is under way. MintInsufficient: its source has less.
    Result<bool, CashierError> run_automatic(const Route& route, Msat amount);
    struct Shortfall {
        cashu::MintUrl mint;
        Msat amount;
        std::string payer;
    };
    std::optional<Shortfall> shortfall(store::Reader& reader, const cashu::MintUrl& mint) const;
    struct Sources {
        bool under_way = false;
        Msat at_target;
        std::optional<cashu::MintUrl> richest;  // Of our other mints.
        Msat richest_has{};
        Msat in_all;
        std::optional<Payer> payer;
    };
    Result<Sources, CashierError> find_sources(const cashu::MintUrl& target) const;
    // Brings ecash together at the primary, for a refund of `amount` that no mint can give. True if
    // there is more of it now; false if there is no way to have as much.
    Result<bool, CashierError> gather(Msat amount);

    Result<std::int64_t, CashierError> count_unfinished();
    Result<void, CashierError> forget_what_came_to_nothing();
};

std::optional<StoredDeposit> read_deposit(store::Reader& reader, const TokenIdentity& token);
// Whether money of ours went on its way to that mint a while ago, and has not arrived.
bool is_under_way(store::Reader& reader, const cashu::MintUrl& target, Time now);
CashierError unreadable_token();
// Of our own ecash. Proofs that are in other operations will be there in a moment: that is no
// matter of a token.
CashierError of_our_ecash(const cashu::WalletError& error);
// How often an operation starts over because the wallet's proofs, or a balance, changed in between.
inline constexpr int kTriesMax = 8;
// offer.cpp. Newest first.
void add_offer_payments(store::Reader& reader, const KeyId& key, int limit,
                        std::vector<HistoryEntry>& entries);
std::optional<StoredPayout> read_payout(store::Reader& reader, std::string_view reference);

}  // namespace nutgate
