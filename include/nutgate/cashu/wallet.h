// Our ecash, at all mints, and the operations that turn tokens and paid quotes into it and back.
//
// An operation outlives a crash because it is written down before it is acted on:
//
//     prepare  what needs the network or the curve but binds nothing: keysets, fees, new secrets.
//     begin    in the caller's transaction: reserve the inputs, store the outputs with their
//              secrets and the exact bytes of the request. From here on it will be finished.
//     execute  ask the mint; then, in one transaction: store the new proofs, mark the inputs, tell
//              the Settler, end the operation.
//
// After a crash or a lost answer recover() executes again: the same bytes, then NUT-07, then
// NUT-09 (cashu.md C.5). Nothing is ever guessed: what can't be finished yet stays, visible, and is
// retried. An operation is undone only where the mint said a definite no to bytes sent once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/base/secret.h"
#include "nutgate/cashu/mint_client.h"
#include "nutgate/cashu/token.h"
#include "nutgate/crypto/random.h"
#include "nutgate/lightning/backend.h"
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
        AmountOverflow,
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

// Told of each operation that ended, within the transaction that ends it: the books and the wallet
// change together or not at all, in a first run and in a recovery alike. `reference` is what the
// caller of begin() gave it: the name of its own record.
class Settler {
public:
    virtual ~Settler() = default;

    struct Received {
        std::string reference;
        MintUrl mint;
        Unit unit;
        nutgate::Msat credited;  // After the mint's input fee.
        nutgate::Msat fee;
    };
    virtual Result<void, SettlerRefusal> received(store::Tx&, const Received&) = 0;
    // The token was somebody else's by then, or the mint refused it for good.
    virtual Result<void, SettlerRefusal> receive_failed(store::Tx&, std::string_view reference,
                                                        const WalletError& why) = 0;

    struct Sent {
        std::string reference;
        MintUrl mint;
        Unit unit;
        nutgate::Msat amount;  // The token's face value.
        nutgate::Msat fee;     // What making it cost us at the mint.
        std::string token;     // To be sealed and kept by whoever owns `reference`.
    };
    virtual Result<void, SettlerRefusal> sent(store::Tx&, const Sent&) = 0;
    virtual Result<void, SettlerRefusal> send_failed(store::Tx&, std::string_view reference,
                                                     const WalletError& why) = 0;

    struct Issued {
        PaymentHash payment;  // Of the quote's invoice: the one key of this money event.
        MintUrl mint;
        Unit unit;
        nutgate::Msat amount;
    };
    virtual Result<void, SettlerRefusal> issued(store::Tx&, const Issued&) = 0;

    // Proofs of ours that were spent, and not by us: the seed is in use elsewhere. The send that
    // found out fails in the same transaction. `operation` is that send: told once for each.
    struct Lost {
        OperationId operation;
        MintUrl mint;
        Unit unit;
        nutgate::Msat amount;
    };
    virtual Result<void, SettlerRefusal> lost(store::Tx&, const Lost&) = 0;
};

enum class OperationKind { Receive = 1, Send = 2, Issue = 3 };                   // Stored.
enum class OperationState { Submitted = 1, Done = 2, Failed = 3, Blocked = 4 };  // Stored.

struct OperationView {
    OperationId id;
    OperationKind kind;
    OperationState state;
    MintUrl mint;
    nutgate::Msat amount;
    int attempts = 0;
    std::string last_error;
    Time created_at;
    std::string reference;  // What the caller of begin() named it; an issue: its payment hash.
};

struct Recovery {
    int finished = 0;
    int failed = 0;
    int waiting = 0;  // Their mint did not answer, or not definitely. Tried again later.
};

struct MintBalance {
    MintUrl mint;
    Unit unit;
    nutgate::Msat available;
    nutgate::Msat reserved;  // In operations under way.
};

// A mint of ours and how to reach it.
struct WalletMint {
    MintUrl url;                         // In the books and in operations.
    std::vector<MintUrl> also_known_as;  // What tokens may call it: its public URLs.
    std::string token_url;               // What the tokens that we write call it.
    MintClient* client = nullptr;        // Never null; owned by main.
};

// Thread-safe: two operations never share a proof, because reserving one is a conditional UPDATE.
class Wallet {
public:
    // The first of `mints` is primary.
    Wallet(store::Database& database, std::vector<WalletMint> mints, const Secret& seed64,
           Settler& settler, const Clock& clock, crypto::Random& random,
           metrics::Registry& metrics);
    ~Wallet();
    Wallet(const Wallet&) = delete;
    Wallet& operator=(const Wallet&) = delete;

    static Result<void, store::StoreFailure> migrate(store::Database& database);

    // What prepare_…() worked out. Opaque; dropping it costs nothing but a few counter values.
    struct PreparedReceive;
    struct PreparedSend;
    template <class T>
    struct Dispose {
        void operator()(T*) const;
    };
    template <class T>
    using Owned = std::unique_ptr<T, Dispose<T>>;

    // What a token is before anything was asked of its mint. Its mint is named as in the books.
    Result<Token, WalletError> read_token(std::string_view text) const;

    // Receive: swap the token's proofs for our own, so that nobody else can spend them.
    Result<Owned<PreparedReceive>, WalletError> prepare_receive(const Token& token);
    nutgate::Msat worth(const PreparedReceive&) const;  // What would be credited.
    // The same proofs under the same reference join the operation that has them, done or not. Fails
    // with TokenPending if one of its proofs is in another operation of ours that has not ended,
    // with TokenSpent if in one that has.
    Result<OperationId, WalletError> begin_receive(store::Tx&, const PreparedReceive&,
                                                   std::string_view reference);

    // Send: `amount` out of the wallet as a token, from `mint` or, where that has too little, the
    // primary, or any. InsufficientFunds names what there is; TokenPending means that it would
    // suffice once operations under way have ended. Proofs that fit exactly need no mint.
    Result<Owned<PreparedSend>, WalletError> prepare_send(nutgate::Msat amount,
                                                          const std::optional<MintUrl>& mint);
    // The token's face value: `amount` in whole units of the mint, rounded down.
    nutgate::Msat worth(const PreparedSend&) const;
    // What making it takes from the wallet beyond that: its mint's fee.
    nutgate::Msat fee(const PreparedSend&) const;
    // Fails with TokenPending if another operation took one of its proofs first: prepare again. A
    // reference that has an operation which did not fail joins that one.
    Result<OperationId, WalletError> begin_send(store::Tx&, const PreparedSend&,
                                                std::string_view reference);

    // Runs the operation to its end, or answers InProgress. Safe to call again, at any time, from
    // any thread: an operation that has ended says how. One that failed with KeysetUnknown or
    // MintRefused may be prepared again, under the same reference: the keysets were fetched anew.
    Result<void, WalletError> execute(const OperationId& id);

    // Issue, in two halves, for the backend that works through a mint's quotes: a locked quote
    // (NUT-20) for an invoice; and, once paid, ecash for it.
    struct MintQuote {
        QuoteId id;
        std::string bolt11;
        Time expires_at;
    };
    Result<MintQuote, WalletError> request_quote(const MintUrl& mint, nutgate::Msat amount,
                                                 std::string_view memo);
    // Asks the mint; if paid, issues. Settled only once the issue operation is done.
    Result<Payment, WalletError> settle_quote(const PaymentHash& payment);
    // Payments whose quotes are neither issued nor given up, newest first: what a watcher asks for.
    std::vector<PaymentHash> open_quotes(store::Reader&, int limit) const;

    // Finishes what a crash or an unreachable mint left behind. At start before the first request,
    // and then by the scheduler. Operations are isolated: one that fails stops no other.
    Result<Recovery, WalletError> recover();

    static std::vector<MintBalance> balances(store::Reader&);
    static std::vector<OperationView> operations(store::Reader&, int limit);

    const MintUrl& primary() const;
    std::vector<MintUrl> mints() const;
    const std::string& token_url(const MintUrl& mint) const;

    struct Impl;  // Opaque.

private:
    std::unique_ptr<Impl> impl_;
};

// A LightningBackend for receiving over a mint's quotes (NUT-04, NUT-23). pay() answers Refused, as
// does create_invoice() where the mint's invoice is not of `network`.
std::unique_ptr<LightningBackend> make_mint_lightning(Wallet& wallet, MintUrl mint, Network network,
                                                      store::Database& database);

}  // namespace nutgate::cashu
