// Outside money into balances and back: the one place that credits, and it credits exactly once.
//
// Every operation is a row before anything outside is asked: a deposit under its token's identity,
// an invoice under its label, a refund under its key and number. After a crash, a lost answer or a
// second caller at the same moment, the row says what there is to finish; the credit is posted in
// the transaction that ends the outside operation, under a unique settlement key.
//
// Blocking: its calls ask mints and Lightning backends. Not for a data-plane thread, nor for a
// transaction. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/base/secret.h"
#include "nutgate/cashier/books.h"
#include "nutgate/cashier/error.h"
#include "nutgate/cashier/spending.h"
#include "nutgate/cashier/views.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/crypto/random.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/payment/methods.h"
#include "nutgate/store/store.h"

namespace nutgate {

class Cashier {
public:
    struct Options {
        Seconds invoice_expiry{3600};
        Seconds invoice_grace{24 * 3600};  // Watched for this long after expiry; then by recover.
        Seconds ask_interval{1};           // Between two look-ups of one invoice for its status.
        int invoices_open_max = 10'000;    // Unpaid and not expired, of the whole node.
        int offers_max = 10'000;           // Open ones, of the whole node.
        int offers_per_key_max = 5;        // Of those.
        // An offer that nobody has paid by then is closed.
        Seconds offer_unpaid_max{30 * 24 * 3600};
        Sat invoice_amount_max = *Sat::from_raw(1'000'000);
        Seconds refusal_memory{60};  // How long a refused token is refused without asking.
        std::size_t refusals_max = 10'000;
        Seconds retry_after{2};           // What InProgress advises.
        int children_max = 50;            // In one call.
        Msat child_key_cost;              // Each; charged as revenue.
        std::string memo = "AI credits";  // On invoices.
        ForeignMints foreign_mints = ForeignMints::Refuse;
        // Lightning backends that may pay for fundings, as the books name them; the wallet's
        // payers.
        std::vector<std::string> payers;
        Msat reserve;  // Ecash that keep_reserve() keeps at each trusted mint. Zero: none.
        // Most that a funding by itself may cost: parts per million, and so much besides.
        std::uint64_t fund_fee_max_ppm = 5000;
        Msat fund_fee_max_base = *Msat::from_raw(10'000);
        Seconds automatic_pause{600};  // After one that came to nothing.
    };

    // `methods` outlives it; "lightning" among them makes the invoices.
    Cashier(store::Database& database, Ledger& ledger, Keyring& keyring, CashierBooks& books,
            Spending& spending, cashu::Wallet& wallet, payment::PaymentMethods& methods,
            const Secret& seed, const Clock& clock, crypto::Random& random, Options options,
            metrics::Registry& metrics);
    ~Cashier();
    Cashier(const Cashier&) = delete;
    Cashier& operator=(const Cashier&) = delete;

    // After Wallet::recover(), which finishes what a crash left, before the first request; and then
    // by the scheduler. Asks about invoices, forgets refused tokens, counts what is unfinished.
    Result<void, CashierError> recover();

    // The token's identity decides, not its text: what made a key finds that key again, also in
    // another encoding; what topped up a key is TokenUsed for anything else.
    Result<Deposit, CashierError> deposit_token(std::string_view text,
                                                const DepositPurpose& purpose);
    // The key that this token made, if it did. Deposits nothing, asks nobody.
    Result<KeyId, CashierError> key_of_token(std::string_view text);

    Result<OpenInvoice, CashierError> open_invoice(const InvoiceRequest& request);
    // Asks the backend first, unless it was asked within ask_interval.
    Result<InvoiceStatus, CashierError> invoice_status(std::string_view invoice_id);
    // As it is stored: nobody is asked.
    Result<InvoiceStatus, CashierError> invoice_seen(std::string_view invoice_id);
    // Its holder will not pay it: it is open no longer. Should it be paid all the same, that is
    // credited. Of one that is paid, or on its way to be, this changes nothing.
    Result<InvoiceStatus, CashierError> cancel_invoice(std::string_view invoice_id);
    // Called, from any thread, with the topic of an invoice whose state has changed: for whoever
    // waits for it. Set before the first call. What a recovery brings about is not told.
    void on_invoice(std::function<void(const std::string& topic)> told);
    std::string invoice_topic(std::string_view invoice_id) const;  // Gives nobody the key.
    // The state for who knows the invoice; the key only for who knows its preimage, which is who
    // paid it. Credits what is owed, however late.
    Result<InvoiceStatus, CashierError> recover_invoice(std::string_view bolt11,
                                                        const std::optional<Preimage>& preimage);
    // Asks about invoices whose turn it is; the younger, the oftener. Returns how many were paid.
    // The watcher's body.
    Result<int, CashierError> settle_invoices();
    // Expires as an invoice does, and counts as one among those that are open. Fails with
    // TokenMintForeign if it names a mint that is not trusted.
    Result<OpenRequest, CashierError> open_request(const TokenRequest& request);
    // The proofs of a payment, net of their mint's fee at least the amount. The same again is what
    // it was; of a single-use request others are RequestPaid.
    Result<Deposit, CashierError> pay_request(std::string_view request_id,
                                              const cashu::Token& token);
    Result<RequestStatus, CashierError> request_status(std::string_view request_id);

    // Asks for a text that is paid again and again, to top up one key, or to make one with its
    // first payment.
    Result<OpenOffer, CashierError> open_offer(const OfferRequest& request);
    // Asks first, unless it was asked for within ask_interval.
    Result<OfferStatus, CashierError> offer_status(std::string_view offer_id);
    // Its holder needs it no longer, which makes room for another. A node of ours is told with the
    // next round, and gives nobody an invoice for it from then on. What is paid all the same is
    // credited: at once where a node of ours made it, else when its status is asked for.
    Result<OfferStatus, CashierError> close_offer(std::string_view offer_id);
    // Asks what has come in to offers, and credits it. Returns how many payments that were. The
    // watcher's body.
    Result<int, CashierError> settle_offers();

    // A push said that something happened to this payment: asks about it at once.
    void hint(const PaymentHash& payment);

    // All that is available, in whole sats, as a token; the rest stays. From the mint that was last
    // paid with, where it has as much. Asked again with nothing new on the key: the same token.
    // InProgress: it was taken from the balance and will be finished; or no mint of ours has so
    // much, and it is being brought together at the primary.
    Result<Refund, CashierError> refund(const KeyId& key);

    Result<KeyInfo, CashierError> info(const KeyId& key);
    // Newest first.
    Result<std::vector<HistoryEntry>, CashierError> history(const KeyId& key, int limit = 100);
    struct Children {
        std::vector<KeyId> keys;
        Msat cost;
        Msat balance;  // Of the parent, after it.
    };
    Result<Children, CashierError> create_children(const KeyId& parent, int count,
                                                   const KeyLimits& limits);
    Result<void, CashierError> reset_child(const KeyId& parent, const KeyId& child);

    // The owner takes from revenue, as a token; never from what is owed to customers, so mints'
    // fees, this payout's own included, and losses are taken from revenue first. `request` is
    // chosen by the caller and makes a retry the same payout; so it does below. What the owner put
    // in, and what a restore found, is revenue here. From `mint`, where it has as much.
    Result<Refund, CashierError> owner_send(const OperationId& request, Sat amount,
                                            const std::optional<cashu::MintUrl>& mint = {});
    // As a payment of an invoice, with ecash from `mint` or any. Refused where the amount and the
    // most that it may cost are more than what may be taken.
    Result<OwnerPayment, CashierError> owner_melt(const OperationId& request,
                                                  std::string_view bolt11,
                                                  const std::optional<cashu::MintUrl>& mint);
    // The owner puts a token in. It can be taken out again.
    Result<PaidIn, CashierError> owner_receive(const OperationId& request, std::string_view token);
    // What owner_send could give at most.
    Result<Msat, CashierError> revenue();

    // Ecash of ours at one mint becomes ecash at another; what that costs is the node's, and not
    // limited to revenue, so that a mint can be left in any case.
    Result<Moved, CashierError> move_ecash(const OperationId& request, Sat amount,
                                           const cashu::MintUrl& from, const cashu::MintUrl& to);
    // A Lightning backend of ours pays for ecash at a mint: with what it holds beyond what the
    // embedded mint owes. No `fee_max`: as the options say.
    Result<Moved, CashierError> fund(const OperationId& request, const cashu::MintUrl& mint,
                                     Sat amount, const std::optional<Msat>& fee_max);
    // Funds each trusted mint whose ecash is below the reserve. Returns how many were begun. The
    // watcher's body.
    Result<int, CashierError> keep_reserve();

    Result<BooksAudit, CashierError> audit_report(Ledger::Depth depth);
    // Audits what came since the last checkpoint, and seals that, and nothing newer, if it is
    // sound: what does not prove itself is looked at again, by each audit, until it does. Seals in
    // steps that others' transactions go between; told to stop, it leaves the rest to the next
    // call.
    Result<BooksAudit, CashierError> audit_and_seal(const std::stop_token& stop = {});

private:
    friend class Remitter;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate
