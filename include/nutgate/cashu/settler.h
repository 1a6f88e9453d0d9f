// What the wallet tells the books, and how it says no. Implemented by the cashier: the wallet does
// not know the ledger.
//
// Each event is told within the transaction that ends an operation, or a leg of one: the books and
// the wallet change together or not at all, in a first run and in a recovery alike. `reference` is
// what the caller of begin_…() gave the operation: the name of its own record.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/cashu/proof.h"
#include "nutgate/store/store.h"

namespace nutgate::cashu {

struct WalletError {
    // Facts; the API's taxonomy is made of them in one place.
    enum class Code {
        TokenMalformed,
        TokenZeroValue,
        TokenSpent,    // The mint says that some of its proofs are spent, and not by us.
        TokenPending,  // Some of them are part of an operation elsewhere. Try again.
        MintForeign,   // Not one of our mints.
        UnitForeign,
        KeysetUnknown,
        ProofInvalid,   // A DLEQ that does not verify, or the mint refused the signature.
        LockedToOther,  // Spending conditions that we can't meet.
        FeeExceedsAmount,
        InsufficientFunds,  // Our wallet has not enough at that mint.
        ExposureExceeded,   // It would hold more at that mint than its owner wants to.
        AmountOverflow,
        InvoiceInvalid,   // Not an invoice, of another network, without an amount, expired.
        PaymentFailed,    // An invoice that could not be paid: nothing was spent.
        MintRefused,      // It said a definite no; `detail` has its words.
        MintUnreachable,  // Nothing was begun.
        MintRateLimited,  // Nothing was begun.
        InProgress,       // Begun and not finished: recover() will finish it. Ask again.
        StoreUnavailable,
    };

    WalletError(Code why, std::string what) : code{why}, detail{std::move(what)} {}
    WalletError(store::StoreFailure failure)  // NOLINT: implicit, for TRY.
        : WalletError{Code::StoreUnavailable, std::move(failure.detail)} {}

    Code code;
    std::string detail;
};

// What the books say no to; the operation is parked as BLOCKED and retried.
struct SettlerRefusal {
    std::string detail;
};

class Settler {
public:
    virtual ~Settler() = default;
    using Told = Result<void, SettlerRefusal>;

    struct Received {
        std::string reference;
        MintUrl mint;
        Unit unit;
        nutgate::Msat credited;  // After the mint's input fee.
        nutgate::Msat fee;
    };
    virtual Told received(store::Tx&, const Received&) = 0;
    // The token was somebody else's by then, or the mint refused it for good.
    virtual Told receive_failed(store::Tx&, std::string_view reference, const WalletError& why) = 0;

    struct Sent {
        std::string reference;
        MintUrl mint;
        Unit unit;
        nutgate::Msat amount;  // The token's face value.
        nutgate::Msat fee;     // What making it cost us at the mint.
        std::string token;     // To be sealed and kept by whoever owns `reference`.
    };
    virtual Told sent(store::Tx&, const Sent&) = 0;
    virtual Told send_failed(store::Tx&, std::string_view reference, const WalletError& why) = 0;

    // A quote of ours was paid and is ecash now: a customer's invoice, or the second leg of a swap
    // to another mint or of a funding.
    struct Issued {
        PaymentHash payment;  // Of the quote's invoice: the one key of this money event.
        MintUrl mint;
        Unit unit;
        nutgate::Msat amount;
    };
    virtual Told issued(store::Tx&, const Issued&) = 0;

    // A part of what was paid to an offer of ours at a mint is ecash now. `operation` names this
    // money event: told once.
    struct OfferIssued {
        OfferId offer;
        OperationId operation;
        MintUrl mint;
        Unit unit;
        nutgate::Msat amount;
    };
    virtual Told offer_issued(store::Tx&, const OfferIssued&) = 0;

    // An invoice was paid with ecash: somebody's (a melt), or, as the first leg of a swap to
    // another mint, that of our own quote there. What the inputs were worth is amount + fee +
    // change.
    enum class Inputs {
        Ours,
        Token,  // A token of a mint that we don't hold ecash of, spent as it was.
    };
    struct Melted {
        std::string reference;
        MintUrl mint;
        Unit unit;
        Inputs inputs;
        PaymentHash payment;
        nutgate::Msat amount;              // What the invoice asked for.
        nutgate::Msat fee;                 // The mint's input fee, and what routing cost.
        nutgate::Msat change;              // Came back as new proofs of ours at `mint`.
        std::optional<Preimage> preimage;  // Where the mint told one.
    };
    virtual Told melted(store::Tx&, const Melted&) = 0;
    // Nothing was paid; the inputs are what they were before.
    virtual Told melt_failed(store::Tx&, std::string_view reference, const WalletError& why) = 0;

    // A Lightning backend of ours paid a mint's quote: the first leg of a funding.
    struct Funded {
        std::string reference;
        std::string backend;  // Its name in the books.
        PaymentHash payment;
        nutgate::Msat amount;
        nutgate::Msat fee;
    };
    virtual Told funded(store::Tx&, const Funded&) = 0;
    virtual Told fund_failed(store::Tx&, std::string_view reference, const WalletError& why) = 0;

    // Proofs of ours became other proofs of ours at the same mint, which took a fee.
    struct Consolidated {
        OperationId operation;
        MintUrl mint;
        Unit unit;
        nutgate::Msat fee;
    };
    virtual Told consolidated(store::Tx&, const Consolidated&) = 0;

    // Proofs of our seed that the database did not know were found at a mint, unspent. `reference`
    // names this find: told once.
    struct Restored {
        std::string reference;
        MintUrl mint;
        Unit unit;
        nutgate::Msat amount;
    };
    virtual Told restored(store::Tx&, const Restored&) = 0;

    // Proofs of ours that were spent, and not by us: the seed is in use elsewhere. The operation
    // that found out fails in the same transaction. `operation` is that one: told once for each.
    struct Lost {
        OperationId operation;
        MintUrl mint;
        Unit unit;
        nutgate::Msat amount;
    };
    virtual Told lost(store::Tx&, const Lost&) = 0;
};

}  // namespace nutgate::cashu
