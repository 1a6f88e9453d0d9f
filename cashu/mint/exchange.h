// What swap, issue and melt have in common: checking inputs and outputs, signing, and the rows of
// both. Checking and signing are curve work and happen before a transaction; the rows are what
// makes a proof spendable once and an output signed once.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mint/errors.h"
#include "mint/keysets.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/store/store.h"

namespace nutgate::cashu {

struct CheckedInputs {
    struct Input {
        ByteArray<33> y;
        KeysetId keyset;
        Amount amount;
        std::optional<std::string> witness;
    };
    std::vector<Input> inputs;  // Sorted by y: two requests lock rows in one order.
    Unit unit;
    Amount sum;
    Amount fee;
};

struct CheckedOutputs {
    Unit unit;
    Amount sum;  // Of blanks: 0.
};

enum class OutputKind {
    Valued,  // Each has an amount that its keyset has a key for.
    Blank,   // For change: the mint will say the amount, whatever this one says (NUT-08).
};

enum class StoredProof { Pending = 1, Spent = 2 };  // Stored.

class Exchange {
public:
    Exchange(const Keysets& keysets, const Mint::Options& options)
        : keysets_{keysets}, options_{options} {}

    Result<CheckedInputs, MintError> check(const std::vector<Proof>& inputs) const;
    Result<CheckedOutputs, MintError> check(const std::vector<BlindedMessage>& outputs,
                                            OutputKind kind) const;

    // `output` was checked; the keyset has a key for `amount`.
    BlindSignature sign(const BlindedMessage& output, Amount amount) const;
    // In the order of the outputs.
    std::vector<BlindSignature> sign(const std::vector<BlindedMessage>& outputs) const;
    // As many of the first blanks as `change` has powers of two, or all, the largest amounts first
    // where there are too few.
    std::vector<BlindSignature> sign_change(const std::vector<BlindedMessage>& blanks,
                                            Amount change) const;

    // In msat, per keyset. VERIFYs that it fits: what was checked does.
    static std::vector<MintBooks::SwapLine> lines(const CheckedInputs& inputs,
                                                  const std::vector<BlindSignature>& signatures,
                                                  Unit unit);

    // Fails with InputsSpent or InputsPending if another request had one of them first.
    static Result<void, MintError> store_inputs(store::Tx& tx, const CheckedInputs& inputs,
                                                StoredProof state,
                                                std::optional<std::string_view> quote, Time now);
    // Fails with OutputsSigned or OutputsPending.
    static Result<void, MintError> store_signatures(store::Tx& tx,
                                                    const std::vector<BlindedMessage>& outputs,
                                                    const std::vector<BlindSignature>& signatures,
                                                    std::optional<std::string_view> quote,
                                                    Time now);
    static Result<void, MintError> store_blanks(store::Tx& tx,
                                                const std::vector<BlindedMessage>& blanks,
                                                std::string_view quote, Time now);

private:
    const Keysets& keysets_;
    const Mint::Options& options_;
};

// Money of the house; VERIFYs that it fits, as everything that a keyset of ours signed does.
nutgate::Msat msat_of(Amount amount, Unit unit);

}  // namespace nutgate::cashu
