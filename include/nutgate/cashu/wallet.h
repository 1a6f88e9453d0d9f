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
// A swap to another mint and a funding have two legs: the payment of a quote of ours, which is the
// operation, and the issue of what it paid for, which is one of its own. Each is recovered alone,
// and between the two the money is the quote's.
//
// After a crash or a lost answer recover() executes again: the same bytes, then NUT-07, then
// NUT-09 (cashu.md C.5). Nothing is ever guessed: what can't be finished yet stays, visible, and is
// retried. An operation is undone only where the mint said a definite no to bytes sent once.
#pragma once

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
#include "nutgate/cashu/settler.h"
#include "nutgate/cashu/token.h"
#include "nutgate/cashu/wallet_views.h"
#include "nutgate/crypto/random.h"
#include "nutgate/lightning/backend.h"
#include "nutgate/store/store.h"

namespace nutgate::cashu {

// Thread-safe: two operations never share a proof, because reserving one is a conditional UPDATE.
class Wallet {
public:
    struct Options {
        MintConnector* connector = nullptr;  // Without one, no mints but the configured.
        int guests_max = 200;                // Mints whose tokens are swapped, at a time.
        // Most that is held at each outside mint, where nothing else was said of it.
        std::optional<nutgate::Msat> exposure_max;
        // Who may pay for fundings. Empty: nobody.
        std::vector<LightningBackend*> payers;
    };
    // The first of `mints` is primary.
    Wallet(store::Database& database, std::vector<WalletMint> mints, const Secret& seed64,
           Settler& settler, const Clock& clock, crypto::Random& random, metrics::Registry& metrics,
           Options options);
    Wallet(store::Database& database, std::vector<WalletMint> mints, const Secret& seed64,
           Settler& settler, const Clock& clock, crypto::Random& random, metrics::Registry& metrics)
        : Wallet{database, std::move(mints), seed64, settler, clock, random, metrics, Options{}} {}
    ~Wallet();
    Wallet(const Wallet&) = delete;
    Wallet& operator=(const Wallet&) = delete;

    static Result<void, store::StoreFailure> migrate(store::Database& database);

    // What prepare_…() worked out. Opaque; dropping it costs nothing but a few counter values.
    struct PreparedReceive;
    struct PreparedSend;
    struct PreparedMelt;
    template <class T>
    struct Dispose {
        void operator()(T*) const;
    };
    template <class T>
    using Owned = std::unique_ptr<T, Dispose<T>>;

    // What a token is before anything was asked of its mint. Its mint is named as in the books;
    // MintForeign if it is not a trusted one.
    Result<Token, WalletError> read_token(std::string_view text) const;
    // The same of any mint's: what prepare_swap() takes.
    Result<Token, WalletError> read_foreign_token(std::string_view text) const;

    // Receive: swap the token's proofs for our own, so that nobody else can spend them. Proofs that
    // are locked to receive_key() (NUT-11, NUT-14) are signed for.
    Result<Owned<PreparedReceive>, WalletError> prepare_receive(const Token& token);
    nutgate::Msat worth(const PreparedReceive&) const;  // What would be credited.
    // The same proofs under the same reference join the operation that has them, done or not. Fails
    // with TokenPending if one of its proofs is in another operation of ours that has not ended,
    // with TokenSpent if in one that has.
    Result<OperationId, WalletError> begin_receive(store::Tx&, const PreparedReceive&,
                                                   std::string_view reference);
    // Whom tokens for this node may be locked to.
    const crypto::Point& receive_key() const;

    // Send: `amount` out of the wallet as a token, from `mint` or, where that has too little, the
    // primary, or any. InsufficientFunds names what there is; TokenPending means that it would
    // suffice once operations under way have ended. Proofs that fit exactly need no mint.
    Result<Owned<PreparedSend>, WalletError> prepare_send(nutgate::Msat amount,
                                                          const std::optional<MintUrl>& mint);
    // The token's face value: `amount` in whole units of the mint, rounded down.
    nutgate::Msat worth(const PreparedSend&) const;
    // What making it takes from the wallet beyond that: its mint's fee.
    nutgate::Msat fee(const PreparedSend&) const;
    // What whoever is given a token of one of our mints pays for swapping it: the mint's input fee.
    // Of keysets as last seen.
    Result<nutgate::Msat, WalletError> redeem_fee(const Token& token);
    // Fails with TokenPending if another operation took one of its proofs first: prepare again. A
    // reference that has an operation which did not fail joins that one.
    Result<OperationId, WalletError> begin_send(store::Tx&, const PreparedSend&,
                                                std::string_view reference);

    // Melt: an invoice, which names its amount, paid with our ecash from `mint` or any that can.
    Result<Owned<PreparedMelt>, WalletError> prepare_melt(std::string_view bolt11,
                                                          const std::optional<MintUrl>& mint);
    // Swap to another mint: our own ecash, so that `amount` arrives; or a token of a mint that we
    // don't trust, so that what it is worth less both mints' fees arrives.
    Result<Owned<PreparedMelt>, WalletError> prepare_swap(nutgate::Msat amount, const MintUrl& from,
                                                          const MintUrl& to);
    Result<Owned<PreparedMelt>, WalletError> prepare_swap(const Token& token, const MintUrl& to);
    nutgate::Msat worth(const PreparedMelt&) const;    // What is paid; of a swap: what arrives.
    nutgate::Msat fee_max(const PreparedMelt&) const;  // Most that it takes beyond that.
    PaymentHash payment(const PreparedMelt&) const;
    // As begin_send; of a token, as begin_receive.
    Result<OperationId, WalletError> begin_melt(store::Tx&, const PreparedMelt&,
                                                std::string_view reference);

    // Fund: a Lightning backend of ours, one of the payers, pays a quote at `mint` for `amount`,
    // for at most `fee_max`. Two steps, since the quote must be there before it can be written
    // down.
    Result<PaymentHash, WalletError> request_funding(const MintUrl& mint, nutgate::Msat amount);
    Result<OperationId, WalletError> begin_fund(store::Tx&, const PaymentHash& quote,
                                                std::string_view payer, nutgate::Msat fee_max,
                                                std::string_view reference);

    // Consolidate: proofs of keysets that are no longer active or end soon, and what is beyond a
    // few dozen of one denomination, become few proofs of a keyset that lives. One operation at
    // most for each mint and unit a call; answers how many were begun. Whoever runs recover() runs
    // this.
    Result<int, WalletError> consolidate();

    // Runs the operation to its end, or answers InProgress; of a swap or funding, both legs. Safe
    // to call again, at any time, from any thread: an operation that has ended says how. One that
    // failed with KeysetUnknown or MintRefused may be prepared again, under the same reference: the
    // keysets were fetched anew.
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
    // The same for an offer (NUT-25), which is paid by anybody, again and again, and has no end. No
    // amount: the payer says.
    struct MintOffer {
        OfferId id;
        std::string bolt12;
    };
    Result<MintOffer, WalletError> request_offer(const MintUrl& mint,
                                                 const std::optional<nutgate::Msat>& amount,
                                                 std::string_view memo);
    // Asks the mint; issues what is paid and not issued, and answers how much that was. What is
    // left under way recover() finishes. The Settler is told of each issue.
    Result<nutgate::Msat, WalletError> settle_offer(const OfferId& offer);
    // Asks the mint whether it makes offers.
    Result<bool, WalletError> makes_offers(const MintUrl& mint);
    // Payments whose quotes are neither issued nor given up, newest first: what a watcher asks for.
    std::vector<PaymentHash> open_quotes(store::Reader&, int limit) const;

    // Finishes what a crash or an unreachable mint left behind. At start before the first request,
    // and then by the scheduler. Operations are isolated: one that fails stops no other.
    Result<Recovery, WalletError> recover();

    // Asks every trusted mint, of every keyset it ever had, what it signed for our seed (NUT-13,
    // NUT-09), and takes in what is unspent and not known. Blocking, and long. Safe to repeat.
    struct Restored {
        MintUrl mint;
        nutgate::Msat found;
        int proofs = 0;
        int pending = 0;    // In an operation at the mint: try again later.
        std::string error;  // Why the mint could not be searched whole; empty if it was.
    };
    Result<std::vector<Restored>, WalletError> restore();

    static std::vector<MintBalance> balances(store::Reader&);
    static std::vector<OperationView> operations(store::Reader&, int limit);

    // As mint_views(), from the database alone: the configured mints are told.
    static std::vector<MintView> mint_views(store::Reader&, const std::vector<MintUrl>& configured,
                                            const std::optional<nutgate::Msat>& exposure_max);

    const MintUrl& primary() const;
    std::vector<MintUrl> mints() const;  // The trusted ones, the primary first.
    std::string token_url(const MintUrl& mint) const;
    Result<std::vector<MintView>, WalletError> mint_views() const;
    // From now on its tokens are taken; `exposure_max` empty: as the options say. What the file
    // names, or what was added before, gets the limit.
    Result<void, WalletError> trust_mint(const MintUrl& url,
                                         const std::optional<nutgate::Msat>& exposure_max);
    // No longer taken; what is held there stays spendable. Not of the primary.
    Result<void, WalletError> leave_mint(const MintUrl& url);

    struct Impl;  // Opaque.

private:
    std::unique_ptr<Impl> impl_;
};

// What the mint pushes, if it does; its on_hint() is taken. Both outlive who is given it.
class MintEvents;
struct MintHints {
    MintEvents& events;
    const Clock& clock;
};
// A LightningBackend for receiving over a mint's quotes (NUT-04, NUT-23). pay() answers Refused, as
// does create_invoice() where the mint's invoice is not of `network`. With `hints`, on_change()
// hints at invoices from their making to an hour past their expiry; without, never.
std::unique_ptr<LightningBackend> make_mint_lightning(Wallet& wallet, MintUrl mint, Network network,
                                                      store::Database& database,
                                                      std::optional<MintHints> hints = {});

}  // namespace nutgate::cashu
