// What the wallet's files have in common: its parts, and the work on secrets, outputs and sealed
// columns that every operation needs. Each public function lies in the file of its operation.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nutgate/cashu/dhke.h"
#include "nutgate/cashu/wallet.h"
#include "wallet/keysets.h"
#include "wallet/mints.h"
#include "wallet/operation.h"
#include "wallet/quote_looks.h"

namespace nutgate::cashu {

namespace wallet {
inline constexpr int kInputsMax = 500;  // Of one swap; mints take 500 to 1000.
inline constexpr std::size_t kOutputsMax = 500;
// Proofs of one denomination that are looked at for one send; more are consolidated.
inline constexpr int kCandidatesOfEach = 64;
inline constexpr int kCandidatesAll = 20'000;  // Where those don't suffice.

// Which of an operation's columns is sealed: a text moved to another column does not open.
enum class Sealed { Request, Token };

// Kept while a PreparedSend lives, so that sends which are prepared side by side choose different
// proofs. A courtesy: what decides is the conditional UPDATE that reserves.
class Picks {
public:
    // Those of `inputs` that nobody picked, then `choose`s among them and picks what it names.
    template <class Choose>
    auto pick(std::vector<Input> inputs, Choose choose) {
        const std::lock_guard lock{mutex_};
        std::erase_if(inputs, [this](const Input& input) { return picked_.contains(input.y); });
        auto chosen = choose(inputs);
        for (const auto& input : chosen.inputs) picked_.insert(input.y);
        return chosen;
    }
    void release(const std::vector<Input>& inputs);

private:
    std::mutex mutex_;
    std::set<ByteArray<33>> picked_;
};

// Operations that run now, in this process: one run each at a time.
class Running {
public:
    // True if this thread may run it now. False if another thread did, and has ended or takes
    // longer than `patience`.
    bool enter(const OperationId& id, Milliseconds patience);
    void leave(const OperationId& id);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::set<OperationId> ids_;
};
}  // namespace wallet

struct Wallet::PreparedReceive {
    wallet::Draft draft;
};

struct Wallet::PreparedSend {
    wallet::Draft draft;
    wallet::Picks* picks;
};

struct Wallet::PreparedMelt {
    wallet::Draft draft;
    wallet::Picks* picks;            // Null for a token's.
    wallet::Mints::Held guest = {};  // A token's mint, so that it stays until the swap is begun.
};

struct Wallet::Impl {
    Impl(store::Database& database, std::vector<WalletMint> mints, const Secret& seed64,
         Settler& settler, const Clock& clock, crypto::Random& random, metrics::Registry& metrics,
         Options options);

    // Null if it is none that the wallet knows.
    wallet::Mints::Held find(const MintUrl& url);
    // Whose tokens are to be swapped; one of which nothing was known becomes a guest when it has
    // told its keysets. MintForeign if this node does not go there, or there are too many guests.
    Result<wallet::Mints::Held, WalletError> guest(const MintUrl& url);
    // Of a token: by its address, or, for the mint in this process, by its keysets.
    Result<const WalletMint*, WalletError> mint_of(const Token& token);
    // ExposureExceeded if so much more at that mint is more than its owner wants.
    Result<void, WalletError> check_exposure(store::Reader& reader, const MintUrl& mint,
                                             nutgate::Msat more) const;

    Bytes seal(BytesView plain, const OperationId& id, wallet::Sealed what);
    // Empty if it was sealed under another seed.
    std::optional<std::string> open(BytesView sealed, const OperationId& id,
                                    wallet::Sealed what) const;

    BlindingSecret secret_of(const KeysetId& keyset, std::uint64_t counter) const;
    // Takes counters in a transaction of its own, then does the curve work.
    Result<std::vector<wallet::PlannedOutput>, WalletError> plan(
        const Keyset& keyset, const std::vector<std::pair<Amount, wallet::Purpose>>& amounts);
    // A proof of ours as a mint (without DLEQ) or a holder takes it.
    Proof proof_of(const wallet::Input& input) const;
    std::string token_text(const WalletMint& mint, Unit unit, std::vector<Proof> proofs) const;

    store::Database& database;
    wallet::Mints mints;
    const Options options;
    const SecretDeriver deriver;
    const crypto::Scalar receive_secret;
    const crypto::Point receive_key;
    const Secret sealing_key;
    Settler& settler;
    const Clock& clock;
    crypto::Random& random;
    wallet::KeysetBook keysets;
    wallet::QuoteLooks looks;
    wallet::Picks picks;
    wallet::Running running;
    std::once_flag started;  // The first recover() asks for everything, whatever its back-off.

    metrics::Counter& finished;
    metrics::Counter& failed;
    metrics::Counter& blocked;
    metrics::Counter& alarms;  // A mint that broke its promises, or a seed in use elsewhere.
    metrics::Gauge& waiting;
    metrics::Gauge& unarrived;
};

namespace wallet {

enum class Outcome {
    Done,
    Failed,
    Waiting,   // Not finished: the mint said nothing definite, or the books said no.
    MintAway,  // As Waiting, and the mint was not reached at all.
};

// One run of an unfinished operation, to its end if the mint lets it. The caller has entered it in
// `running`.
Result<Outcome, WalletError> run_operation(Wallet::Impl& wallet, const OperationId& id);

// Of a swap or a funding that was paid: the quote that is still to become ecash, or did.
Result<std::optional<PaymentHash>, WalletError> second_leg(Wallet::Impl& wallet,
                                                           const OperationId& id);

// How an operation that nobody runs stands, as execute() says it.
Result<void, WalletError> standing(Wallet::Impl& wallet, const OperationId& id);

}  // namespace wallet

}  // namespace nutgate::cashu
