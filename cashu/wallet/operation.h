// Operations as rows: written down before they are acted on, moved on by compare-and-set. The SQL
// over wallet_operation, wallet_output and wallet_proof lies here and in balance.cpp, nowhere else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/cashu/wallet.h"
#include "nutgate/store/store.h"
#include "wallet/schema.h"

namespace nutgate::cashu::wallet {

// A blind message of ours. Its secret and blinding factor derive from keyset and counter.
struct PlannedOutput {
    BlindedMessage message;
    std::uint64_t counter = 0;
    Purpose purpose = Purpose::Keep;
    int version = 1;  // Of the plan that it belongs to; see replan().
};

// A proof that an operation spends. `counter` is empty for what somebody else made.
struct Input {
    ByteArray<33> y{};
    KeysetId keyset;
    Amount amount = 0;
    nutgate::Msat msat;
    std::optional<std::uint64_t> counter;
    ByteArray<33> signature{};
    std::optional<ByteArray<64>> dleq;                    // e || s
    std::optional<KeysetId> derived_from = std::nullopt;  // Its secret; empty: from `keyset`.
    bool foreign = false;  // Of a token, and not ours until it is swapped.
};

// What a melt, a swap or a funding pays.
struct Bill {
    PaymentHash payment;
    std::string melt_quote;          // At the operation's mint; a funding has none.
    std::optional<Time> expires_at;  // The mint does not begin to pay it after that.
    std::string payer;               // A funding's backend.
};

// An operation, ready to be written down.
struct Draft {
    OperationId id;
    OperationKind kind;
    MintUrl mint;
    Unit unit;
    nutgate::Msat amount;  // What will be credited, sent, issued or paid.
    nutgate::Msat fee;     // The mint's; of what pays an invoice, the most that it may cost.
    std::string path;      // Empty: nothing is asked of the mint.
    Bytes request;         // Sealed.
    Bytes token;           // Sealed; what a receive began with.
    std::vector<Input> inputs;
    std::vector<PlannedOutput> outputs;
    std::optional<Bill> bill;
};

struct Operation {
    OperationId id;
    OperationKind kind;
    OperationState state;
    std::string reference;
    MintUrl mint;
    Unit unit;
    nutgate::Msat amount;
    nutgate::Msat fee;
    std::string path;
    Bytes request;
    int attempts = 0;              // Runs; they set the back-off.
    int transmissions = 0;         // Of its request, that may have arrived.
    std::optional<Time> taken_at;  // When its inputs were first seen spent without our outputs.
    std::optional<int> error_code;
    std::string last_error;
    Time created_at;
    std::vector<Input> inputs;
    int version = 1;
    std::vector<PlannedOutput> outputs;  // Of all versions, oldest first.
    std::optional<Bill> bill;

    std::vector<PlannedOutput> outputs_of(int version) const;
};

// A proof that an operation made.
struct NewProof {
    ByteArray<33> y{};
    KeysetId keyset;
    Amount amount = 0;
    nutgate::Msat msat;
    std::uint64_t counter = 0;
    ByteArray<33> signature{};
    std::optional<ByteArray<64>> dleq;
    std::optional<KeysetId> derived_from = std::nullopt;
    ProofState state = ProofState::Unspent;
};

// Stored numbers of WalletError's codes: by meaning, so that the enum may be reordered.
std::int64_t to_stored(WalletError::Code code);
WalletError::Code failure_from_stored(std::int64_t number);

// The next `count` values of a counter: the first of them. Never given out again.
std::uint64_t take_counters(store::Tx&, std::string_view name, std::int64_t count);

// It gives out nothing below `next` from now on.
void raise_counter(store::Tx&, std::string_view name, std::uint64_t next);

// One that has this reference and did not fail.
std::optional<OperationId> find_joinable(store::Reader&, OperationKind, std::string_view reference);
void insert(store::Tx&, const Draft&, std::string_view reference, Time now);
std::optional<Operation> load(store::Reader&, const OperationId&);
// Unfinished ones whose time has come, the longest due first; and how many there are in all.
struct Due {
    OperationId id;
    MintUrl mint;
};
std::vector<Due> due(store::Reader&, Time now, int limit);
int unfinished(store::Reader&);

// Takes the proofs of somebody else's token for this operation. The error says why it can't.
Result<void, WalletError> claim_foreign(store::Tx&, const Draft&);
// Takes proofs of ours for this operation; false if another operation was faster with one.
bool reserve_own(store::Tx&, const Draft&);

// Before a run, and before each transmission.
void note_run(store::Tx&, const OperationId&, Time next_attempt_at);
// What note_run() said, if that is not later.
void note_no_later(store::Tx&, const OperationId&, Time next_attempt_at);
// Answers how often a request of this operation may have been sent, this time included.
int note_transmission(store::Tx&, const OperationId&);
// It certainly did not leave us, so it does not count.
void take_back_transmission(store::Tx&, const OperationId&);
void note_taken(store::Tx&, const OperationId&, Time now);
void replace_request(store::Tx&, const OperationId&, BytesView request);
// A new plan for inputs that the mint has not taken, because it refuses the old one (its keyset is
// no longer active). The outputs of the old plan stay: should the mint have acted on them after
// all, restore finds them, and the new request finds its inputs spent.
void replan(store::Tx&, const OperationId&, int version, const std::vector<PlannedOutput>& outputs,
            BytesView request);

// From Submitted or Blocked to an end, or to Blocked; false if it has ended before.
bool end(store::Tx&, const OperationId&, OperationState, const std::optional<WalletError>&,
         Time now);
void note_waiting(store::Tx&, const OperationId&, OperationState, std::string_view why);

void insert_proofs(store::Tx&, const Operation&, const std::vector<NewProof>&);
// False if it is known already, or an operation under way will bring it.
bool insert_restored(store::Tx&, const MintUrl&, Unit, const NewProof&);
// All inputs of the operation: from under way to `to`.
void move_inputs(store::Tx&, const OperationId&, ProofState to);
void move_input(store::Tx&, const OperationId&, const ByteArray<33>& y, ProofState to);
// Ours may be spent again, a token's may be received again.
void release_inputs(store::Tx&, const OperationId&);

// Of one mint and unit, the largest first; of each amount at most `of_each`.
std::vector<Input> unspent(store::Reader&, const MintUrl&, Unit, int of_each);
// Whether there is a proof of ours or an operation that has not ended.
bool has_business_at(store::Reader&, const MintUrl&);
// All that we hold at that mint, or will once the receives and issues under way have ended.
nutgate::Msat held_at(store::Reader&, const MintUrl&);
nutgate::Msat unspent_total(store::Reader&, const MintUrl&, Unit);
// What the operations under way at that mint will give us.
nutgate::Msat expected(store::Reader&, const MintUrl&, Unit);

}  // namespace nutgate::cashu::wallet
