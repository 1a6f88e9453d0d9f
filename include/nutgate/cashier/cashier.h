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
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
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
#include "nutgate/cashu/wallet.h"
#include "nutgate/crypto/random.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/payment/methods.h"
#include "nutgate/store/store.h"

namespace nutgate {

// What a token is deposited for.
struct CreateKey {
    KeyLimits limits;
};
struct TopUp {
    KeyId key;  // A child's money goes to its parent.
};
struct Bearer {};  // It was presented in the place of a key: finds its key, or makes one.
using DepositPurpose = std::variant<CreateKey, TopUp, Bearer>;

struct Deposit {
    KeyId key;
    Msat credited;  // By this token, whenever that was.
    Msat balance;
    bool again = false;  // It was deposited before: nothing was credited by this call.
};

enum class InvoicePurpose : std::int16_t { Create = 1, TopUp = 2 };  // Stored.

struct InvoiceRequest {
    Sat amount;
    InvoicePurpose purpose = InvoicePurpose::Create;
    std::optional<KeyId> key;  // For TopUp.
    KeyLimits limits;          // For Create.
};

struct OpenInvoice {
    std::string invoice_id;  // A secret: whoever has it gets the key. 128 random bits, URL-safe.
    std::string bolt11;
    Sat amount;
    Time expires_at;
    PaymentHash payment_hash;
};

// Stored: append only.
enum class InvoiceState : std::int16_t {
    Opening = 1,  // Its backend has not answered yet; shown as pending.
    Pending = 2,
    SettlementPending = 3,  // Paid; the ecash for it is not ours yet.
    Paid = 4,
    Expired = 5,  // Still credited if it is paid late.
    Cancelled = 6,
};
std::string_view to_text(InvoiceState state);  // As clients know it: "settlement_pending".

struct InvoiceStatus {
    InvoiceState state = InvoiceState::Pending;
    InvoicePurpose purpose = InvoicePurpose::Create;
    std::optional<KeyId> key;  // Paid, Create, and asked for by who may have it. Else empty.
    Sat amount;                // Asked for.
    Msat credited;             // What arrived.
    std::optional<Time> paid_at;
    Time created_at;
    Time expires_at;
};

struct Refund {
    std::string token;
    Sat amount;
    bool again = false;  // The one of an earlier call: nothing came in since.
};

struct KeyInfo {
    KeyRecord record;
    Msat balance;   // Of the key that pays: what may be spent.
    Msat reserved;  // Set aside for requests under way.
    std::vector<KeyRecord> children;
};

struct HistoryEntry {
    enum class Source { Cashu, Lightning, Refund };
    std::string id;  // Stable, and no secret.
    Source source = Source::Cashu;
    bool incoming = true;
    Msat amount;
    std::string mint;  // Empty for Lightning.
    Time at;
    // Of a refund: what it handed out. Its answer may have been lost, and once new money has come
    // refund() gives another.
    std::string token;
};

class Cashier {
public:
    struct Options {
        Seconds invoice_expiry{3600};
        Seconds invoice_grace{24 * 3600};  // Watched for this long after expiry; then by recover.
        Seconds ask_interval{1};           // Between two look-ups of one invoice for its status.
        int invoices_open_max = 10'000;    // Unpaid and not expired, of the whole node.
        Sat invoice_amount_max = *Sat::from_raw(1'000'000);
        Seconds refusal_memory{60};  // How long a refused token is refused without asking.
        std::size_t refusals_max = 10'000;
        Seconds retry_after{2};           // What InProgress advises.
        int children_max = 50;            // In one call.
        Msat child_key_cost;              // Each; charged as revenue.
        std::string memo = "AI credits";  // On invoices.
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
    // The state for who knows the invoice; the key only for who knows its preimage, which is who
    // paid it. Credits what is owed, however late.
    Result<InvoiceStatus, CashierError> recover_invoice(std::string_view bolt11,
                                                        const std::optional<Preimage>& preimage);
    // Asks about invoices whose turn it is; the younger, the oftener. Returns how many were paid.
    // The watcher's body.
    Result<int, CashierError> settle_invoices();
    // A push said that something happened to this payment: asks about it at once.
    void hint(const PaymentHash& payment);

    // All that is available, in whole sats, as a token; the rest stays. Asked again with nothing
    // new on the key: the same token. InProgress: it was taken from the balance and will be
    // finished.
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
    // chosen by the caller and makes a retry the same payout.
    Result<Refund, CashierError> owner_send(const OperationId& request, Sat amount);
    // What owner_send could give at most.
    Result<Msat, CashierError> revenue();

    Result<BooksAudit, CashierError> audit_report(Ledger::Depth depth);
    // Audits what came since the last checkpoint, and seals that, and nothing newer, if it is
    // sound: what does not prove itself is looked at again, by each audit, until it does. Seals in
    // steps that others' transactions go between; told to stop, it leaves the rest to the next
    // call.
    Result<BooksAudit, CashierError> audit_and_seal(const std::stop_token& stop = {});

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate
