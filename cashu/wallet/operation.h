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
    std::optional<ByteArray<64>> dleq;  // e || s
};

// An operation, ready to be written down.
struct Draft {
    OperationId id;
    OperationKind kind;
    MintUrl mint;
    Unit unit;
    nutgate::Msat amount;  // What will be credited, sent or issued.
    nutgate::Msat fee;     // The mint's.
    std::string path;      // Empty: nothing is asked of the mint.
    Bytes request;         // Sealed.
    Bytes token;           // Sealed; what a receive began with.
    std::vector<Input> inputs;
    std::vector<PlannedOutput> outputs;
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
    std::optional<Time> taken_at;  // When its inputs were first seen spent without our outputs.
    std::optional<int> error_code;
    std::string last_error;
    Time created_at;
    std::vector<Input> inputs;
    int version = 1;
    std::vector<PlannedOutput> outputs;  // Of all versions, oldest first.

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
    ProofState state = ProofState::Unspent;
};

// Stored numbers of WalletError's codes: by meaning, so that the enum may be reordered.
std::int64_t to_stored(WalletError::Code code);
WalletError::Code failure_from_stored(std::int64_t number);

// The next `count` values of a counter: the first of them. Never given out again.
std::uint64_t take_counters(store::Tx&, std::string_view name, std::int64_t count);

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

// Takes the proofs of somebody else's token for this receive. The error says why it can't.
Result<void, WalletError> claim_foreign(store::Tx&, const Draft&);
// Takes proofs of ours for this send; false if another operation was faster with one.
bool reserve_own(store::Tx&, const Draft&);

// Before a run, and before each transmission.
void note_run(store::Tx&, const OperationId&, Time next_attempt_at);
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
// All inputs of the operation: from under way to `to`.
void move_inputs(store::Tx&, const OperationId&, ProofState to);
void move_input(store::Tx&, const OperationId&, const ByteArray<33>& y, ProofState to);

// Of one mint and unit, the largest first.
std::vector<Input> unspent(store::Reader&, const MintUrl&, Unit, int limit);
// What the operations under way at that mint will give us.
nutgate::Msat expected(store::Reader&, const MintUrl&, Unit);

}  // namespace nutgate::cashu::wallet
