// What is owed, sent away over Lightning: the balance of a key to its holder, revenue to the owner.
// To a BOLT11 invoice, a Lightning address or an LNURL.
//
// A remittance is a row under a name that its caller chose, and its money is taken, amount and the
// most that it may cost, in the transaction that writes the row: before anybody is told to pay. It
// ends in one of two ways, each one transaction: paid, and what the fee left over is back; or
// certainly not paid, and all is back. As long as neither is certain the money stays taken, however
// long that is. The same name is the same remittance for ever: nothing is paid by it twice.
//
// An address is asked for an invoice once, and that invoice is in the row: a second one would have
// another hash, and could be paid beside the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/cashier/error.h"
#include "nutgate/lightning/backend.h"
#include "nutgate/lightning/lnurl.h"

namespace nutgate {

// Whose money it is: a key's, or, empty, the owner's, which is never more than what was earned.
using Purse = std::optional<KeyId>;

struct RemittanceOrder {
    OperationId id;      // Its caller's name for it, beside the key's: two keys share no names.
    std::string target;  // An invoice, an address, an LNURL; as it was pasted.
    // An invoice names its own, and no other may be asked for. Of an address: empty is all there
    // is, in whole sats, less what paying may cost.
    std::optional<Msat> amount = std::nullopt;
};

enum class RemittanceState { UnderWay, Paid, Failed };
std::string_view to_text(RemittanceState state);  // As clients know it: "pending".

struct Remittance {
    OperationId id;
    Purse purse;
    RemittanceState state = RemittanceState::UnderWay;
    std::string target;
    Msat amount;   // That arrives.
    Msat fee_max;  // Taken beside it.
    Msat fee;      // Paid: what it cost the purse.
    PaymentHash payment;
    std::optional<Preimage> preimage = std::nullopt;  // Paid, where the payer told one.
    std::string backend;                              // Who pays; empty: a mint, with ecash.
    std::optional<CashierError::Code> failure = std::nullopt;  // Failed.
    Time created_at;
    std::optional<Time> ended_at = std::nullopt;
    bool again = false;  // It was there before this call.
};

struct RemittanceEstimate {
    Msat amount;
    Msat fee_max;    // By rule of an address, whose invoice is asked for once, to be paid, and
                     // where ecash is to be brought together first.
    Msat available;  // Covers both, or it could not be begun.
    bool is_exact = false;  // Of an invoice: whoever would pay it said so.
};

// Blocking, as the Cashier is. Thread-safe.
class Remitter {
public:
    struct Options {
        std::vector<LightningBackend*> payers;  // The wallet's; asked before ecash is spent.
        LnurlClient* lnurl = nullptr;           // Null: only invoices are paid.
        Network network = Network::Bitcoin;
        Seconds expiry_left_min{60};  // Of an invoice: for its payment to be begun in.
        // Calls that ask or pay somebody, at a time: each may hold its thread for a minute.
        std::size_t at_once_max = 4;
        // What is left for the fee where all is sent to an address.
        std::uint64_t reserve_ppm = 10'000;
        Msat reserve_base = *Msat::from_raw(3'000);
        Seconds retry_after{2};
    };

    // After the cashier, which outlives it. `spending`, `books` and the rest are the cashier's.
    Remitter(Cashier& cashier, Options options, metrics::Registry& metrics);
    ~Remitter();
    Remitter(const Remitter&) = delete;
    Remitter& operator=(const Remitter&) = delete;

    // Promises nothing and takes nothing. What remit() would refuse is refused here.
    Result<RemittanceEstimate, CashierError> estimate(const Purse& purse,
                                                      const RemittanceOrder& order);

    // For who brings none: an invoice's is always the same, an address's never.
    OperationId name_for(std::string_view target);

    // Begins it, or finds what the name stands for already, and tries to end it. One that is under
    // way is an answer: find() tells what became of it. Of a key one at a time: RemittanceOpen
    // names the other. The owner's is refused while the books do not add up.
    Result<Remittance, CashierError> remit(const Purse& purse, const RemittanceOrder& order);

    // As it is stored; nobody is asked.
    Result<Remittance, CashierError> find(const Purse& purse, const OperationId& id);
    // Newest first.
    Result<std::vector<Remittance>, CashierError> list(const Purse& purse, int limit);

    // Asks about what is under way at nodes of ours, and notes what the wallet has ended meanwhile.
    // Returns how many ended. The watcher's body; run at start after Wallet::recover().
    Result<int, CashierError> settle();
    // All of the revenue to an address, once it has come to `threshold` and no payout is under way.
    // True if one was begun. The schedule's body.
    Result<bool, CashierError> remit_revenue(const std::string& target, Msat threshold);
    // A push said that something happened to this payment: asks about it at once.
    void hint(const PaymentHash& payment);

    // Called, from any thread, with a remittance that has ended: for whoever waits for it. Set
    // before the first call.
    void on_end(std::function<void(const Remittance&)> told);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate
