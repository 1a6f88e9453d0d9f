// Why the cashier did not do it. Facts: the API makes status and words of them in one switch.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "nutgate/base/clock.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/store/store.h"

namespace nutgate {

struct CashierError {
    enum class Code {
        // Of a token. The first nine are final: the same token will be refused again.
        TokenInvalid,  // No token, or one whose proofs are no signatures of its mint.
        TokenSpent,    // Also: part of it was deposited here before with other proofs.
        TokenUsed,     // It topped up a key, or made one: it can't do the other thing now.
        TokenZeroValue,
        TokenLocked,  // Under conditions that we can't meet.
        TokenFeesExceedAmount,
        TokenUnitForeign,  // Neither sat nor msat.
        TokenMintForeign,  // Not a mint that this node takes.
        TokenAmountOverflow,
        TokenKeysetUnknown,
        TokenPending,  // Another operation at its mint has it. Try again.
        MintRefused,   // For a reason of its own; detail has its words.
        MintUnreachable,
        MintRateLimited,
        MintFull,       // This node holds as much of that mint as it wants to.
        PaymentFailed,  // An invoice that could not be paid; nothing was taken.
        InProgress,     // Begun, and will be finished: ask again after retry_after.

        // Of a key.
        KeyUnknown,
        KeyRevoked,
        ChildKey,  // A child has no balance, history or children.
        ChildUnknown,
        NotTheParent,     // Of a key that there is.
        CountOutOfRange,  // create_children: 1 to 50.
        LimitInvalid,     // A validity that is over already.

        // Of an invoice.
        AmountOutOfRange,
        InvoiceUnknown,
        InvoiceMalformed,  // Not a BOLT11 text.
        TooManyInvoices,   // Open ones, of the whole node.
        LightningOff,      // No method that makes invoices is configured.
        LightningUnreachable,
        LightningRefused,

        // Of an offer.
        OffersOff,  // No node that makes offers is configured.
        OfferUnknown,
        TooManyOffers,  // Open ones, of the whole node.
        KeyHasOffers,   // As many as one key may have; one of them can be closed.

        // Of a request for a token.
        RequestUnknown,
        RequestExpired,
        RequestPaid,   // For single use, and by other proofs than these.
        PaymentUnfit,  // Of another mint or unit than asked for, or worth less; detail says which.

        // Of a refund or the owner's payout.
        NoBalance,
        BalanceTooSmall,  // Below one sat, which stays on the key.
        RequestsInFlight,
        MintInsufficient,  // The balance is there, the ecash is not: money is at Lightning.
        RevenueInsufficient,
        LightningInsufficient,  // No backend of ours holds so much that is ours.

        // Of what is sent away over Lightning. Nothing was taken.
        TargetInvalid,        // Neither an invoice nor an address nor an LNURL to pay to.
        InvoiceForeign,       // Of another network than the node's.
        InvoiceAmountless,    // It names no amount; one that does is wanted.
        InvoiceOtherAmount,   // It names another than was asked for.
        InvoiceExpired,       // Or is about to.
        InvoiceOurs,          // This node waits for that payment itself.
        InvoiceSeen,          // This node has paid it, or is paying it.
        LnurlUnreachable,     // No answer, or from nobody who may be asked.
        LnurlRefused,         // Its answer is none that can be paid; detail says why.
        LnurlAmount,          // Less than it takes, or more.
        BalanceInsufficient,  // With what paying may cost; detail has the numbers.
        RemittanceOpen,       // Another of the same key is under way; detail has its name.
        RemittanceReused,     // The name stands for one to another target, or of another amount.
        RemittanceUnknown,
        PayingBusy,    // So many are being paid that another must wait.
        BooksUnsound,  // The audit fails: the owner takes nothing out.

        BooksRefused,  // A bug or a damaged database: nothing was changed. Operators are told.
        StoreUnavailable,
    };

    explicit CashierError(Code why, std::string what = {}) : code{why}, detail{std::move(what)} {}
    CashierError(const cashu::WalletError& error);  // NOLINT: implicit, for TRY.
    CashierError(KeyringError error);               // NOLINT
    CashierError(LedgerError error);                // NOLINT
    CashierError(store::StoreFailure failure);      // NOLINT

    Code code;
    std::string detail;                  // For the log and the operator. No secret in it.
    std::optional<Seconds> retry_after;  // Set where asking again helps.
};

// The same token will be refused for the same reason again.
bool is_final(CashierError::Code code);

}  // namespace nutgate
