// What the cashier is asked for, and what it answers with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/cashu/proof.h"
#include "nutgate/keyring/keyring.h"

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

// Asks for a token (NUT-18), to create a key or to top one up.
struct TokenRequest {
    std::optional<Sat> amount{};  // Empty: whatever is paid.
    cashu::Unit unit = cashu::Unit::Sat;
    std::vector<cashu::MintUrl> mints{};  // Empty: all that are trusted.
    bool single_use = true;
    InvoicePurpose purpose = InvoicePurpose::Create;
    std::optional<KeyId> key{};  // For TopUp.
    KeyLimits limits{};          // For Create.
};

struct OpenRequest {
    std::string request_id;  // As an invoice's: a secret.
    std::vector<cashu::MintUrl> mints;
    Time expires_at;
};

enum class RequestState : std::int16_t { Pending = 1, Paid = 2 };  // Stored.

struct RequestStatus {
    bool paid = false;
    bool expired = false;      // And not paid.
    std::optional<KeyId> key;  // Paid, and to create.
    Msat credited;
    std::optional<Time> paid_at;
    Time created_at;
    Time expires_at;
};

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

// Asks for an offer (BOLT12), to create a key with its first payment or to top one up.
struct OfferRequest {
    std::optional<Sat> amount{};  // Of each payment. Empty: the payer says.
    InvoicePurpose purpose = InvoicePurpose::Create;
    std::optional<KeyId> key{};  // For TopUp.
    KeyLimits limits{};          // For Create.
};

struct OpenOffer {
    std::string offer_id;  // As an invoice's: a secret.
    std::string text;      // "lno1…"
    std::optional<Sat> amount;
};

// Stored: append only.
enum class OfferState : std::int16_t {
    Opening = 1,  // Its node has not answered yet; shown to nobody.
    Open = 2,
    Closed = 3,
    NeverMade = 4,
};
std::string_view to_text(OfferState state);  // As clients know it: "open", "closed".

struct OfferStatus {
    OfferState state = OfferState::Open;
    InvoicePurpose purpose = InvoicePurpose::Create;
    std::optional<KeyId> key;  // Paid, and to create.
    std::string text;
    std::optional<Sat> amount;
    Msat credited;  // By all its payments.
    std::int64_t payments = 0;
    std::optional<Time> paid_at;  // The last time.
    Time created_at;
};

struct Refund {
    std::string token;
    Sat amount;
    bool again = false;  // The one of an earlier call: nothing came in since.
    std::string mint;    // As its token calls it.
    Msat fee;            // What making it cost the node.
    // What its holder pays its mint for swapping it; empty where the mint is none of ours any more.
    std::optional<Msat> redeem_fee;
};

// What the owner did with money of the node's own. `again`: by an earlier call.
struct OwnerPayment {
    Msat amount;
    Msat fee;                          // Beyond the amount.
    std::optional<Preimage> preimage;  // Where the mint told one.
    cashu::MintUrl mint;               // Whose ecash it was.
    bool again = false;
};
struct PaidIn {
    Msat credited;
    Msat withdrawable;
    bool again = false;
};
// Money that went from one of our assets to ecash at a mint.
struct Moved {
    Msat amount;  // That arrived.
    Msat fee;     // Beyond it.
    bool again = false;
};

// What to do with a token of a mint that is not trusted.
enum class ForeignMints {
    Refuse,
    Swap,  // It pays a quote of ours at a trusted mint; what arrives is credited.
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

}  // namespace nutgate
