// The embedded mint: NUT-00…09, 12, 13, 19 (cached responses that survive a restart), 20, and 25
// (quotes that are paid by an offer) where its backend makes offers.
//
// Everything that it verifies or signs happens before a transaction; one transaction then checks
// uniqueness, stores signatures, marks inputs spent, posts to the books and stores the response.
// Nothing is handed out before that commit. So after any crash either inputs are spent and their
// signatures stored, or neither.
//
// Its keysets are derived from the node's seed and a random id stored in the database: the same
// words with another database never sign with the same keys.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/secret.h"
#include "nutgate/cashu/mint_client.h"
#include "nutgate/crypto/random.h"
#include "nutgate/lightning/backend.h"
#include "nutgate/store/store.h"

namespace nutgate::cashu {

// The mint's side of the books; implemented by the cashier. Called within the transaction that
// makes it so. `reference` is unique per event and the same when that event is told again.
//
// It has no way to refuse. Where the books can't follow, it throws StoreFailure: the transaction is
// undone, and the mint answers as if the store were away.
class MintBooks {
public:
    virtual ~MintBooks() = default;
    // An invoice of a mint quote was paid: lightning + ‖ payment in flight +.
    virtual void quote_paid(store::Tx&, const PaymentHash&, nutgate::Msat amount) = 0;
    // The same of an offer, under a hash that no invoice has.
    virtual void offer_paid(store::Tx& tx, const OfferId&, const PaymentHash& payment,
                            nutgate::Msat amount) {
        quote_paid(tx, payment, amount);
    }
    // Tokens were signed for a paid quote: payment in flight - ‖ outstanding +.
    virtual void issued(store::Tx&, std::string_view reference, const KeysetId&,
                        nutgate::Msat amount) = 0;
    // A swap: outstanding moves from the inputs' keysets to the outputs', the fee to revenue.
    struct SwapLine {
        KeysetId keyset;
        nutgate::Msat spent;
        nutgate::Msat signed_;
    };
    virtual void swapped(store::Tx&, std::string_view reference, const std::vector<SwapLine>&,
                         nutgate::Msat fee) = 0;
    // Whether a melt may pay that invoice and `most` in all from Lightning. Asked in the
    // transaction that takes its tokens, before they are taken: a refusal by the books later would
    // come after the payment has left.
    enum class MayPay {
        Yes,
        Elsewhere,  // This node pays it for somebody else, or has.
        Short,      // There is not so much at the mint's backend.
    };
    virtual MayPay may_pay(store::Reader&, const PaymentHash&, nutgate::Msat /*most*/) {
        return MayPay::Yes;
    }
    // A melt took tokens in (to in flight), and ended: paid with its fee, or given back.
    // `reference` names the attempt: a quote whose payment failed may be melted again.
    virtual void melt_begun(store::Tx&, std::string_view reference,
                            const std::vector<SwapLine>&) = 0;
    struct MeltEnd {
        nutgate::Msat paid;         // Delivered over Lightning.
        nutgate::Msat routing_fee;  // What that cost.
        nutgate::Msat fee_kept;     // Input fee and unclaimed overpayment: revenue.
        std::vector<SwapLine> change;
        // paid + routing_fee + fee_kept + change is what melt_begun took in.
        nutgate::Msat beyond = {};  // What it cost besides: the mint's own loss.
    };
    virtual void melt_paid(store::Tx&, std::string_view reference, const MeltEnd&) = 0;
    // The lines of melt_begun, given back.
    virtual void melt_failed(store::Tx&, std::string_view reference,
                             const std::vector<SwapLine>&) = 0;
};

class Mint {
public:
    struct Options {
        std::string name = "Nutgate mint";
        std::string description = "";
        std::string url = "";  // As outside wallets know it: "http://127.0.0.1:8402/mint".
        std::uint64_t input_fee_ppk = 0;
        std::vector<Unit> units{Unit::Sat};
        int key_count = 32;  // Powers of two from 1; at most 62.
        Amount mint_amount_max = 1'000'000;
        Amount melt_amount_max = 1'000'000;
        std::size_t inputs_max = 1000;
        std::size_t outputs_max = 1000;
        Seconds quote_expiry{3600};
        // Unpaid, of each kind; beyond it new quotes are refused. Of offers: those of a day.
        std::size_t quotes_open_max = 10'000;
        bool mint_disabled = false;  // No new mint quotes and nothing issued (20003).
        bool melt_disabled = false;  // No new melt quotes and nothing paid.
    };

    Mint(store::Database& database, LightningBackend& backend, MintBooks& books,
         const Secret& mint_secret, const Clock& clock, crypto::Random& random, Options options,
         metrics::Registry& metrics);
    ~Mint();
    Mint(const Mint&) = delete;
    Mint& operator=(const Mint&) = delete;

    static Result<void, store::StoreFailure> migrate(store::Database& database);

    // Loads or makes the keysets, resumes melts that a crash left pending. Before the first
    // handle().
    Result<void, store::StoreFailure> start();

    // Answers one request of the protocol. Thread-safe; may ask the Lightning backend. What goes
    // wrong is an answer too: 400 with {"detail","code"} (NUT-00), 503 while the store is away.
    MintAnswer handle(MintMethod method, std::string_view path, std::string_view body);

    // Asks the backend about unpaid quotes, pending melts, and what came in to offers; a hint or a
    // timer calls it.
    void poll();
    void poll(const PaymentHash& payment);

    // A new active keyset for `unit`; the old one stays redeemable.
    Result<KeysetId, store::StoreFailure> rotate(Unit unit, std::uint64_t input_fee_ppk);
    // True until an operator confirms, after a backup was restored: it then signs nothing, since
    // the backup may not know what was spent after it was made. So each backup is made frozen.
    static Result<void, store::StoreFailure> freeze(store::Database& database);
    static bool is_frozen(store::Reader& reader);
    // Whether a melt pays that invoice, or has paid it.
    static bool pays(store::Reader& reader, const PaymentHash& payment);
    bool frozen() const;
    Result<void, store::StoreFailure> unfreeze();

    // Per keyset: signed minus spent, recomputed from its tables; must equal the books.
    struct Outstanding {
        KeysetId keyset;
        nutgate::Msat amount;
    };
    static std::vector<Outstanding> outstanding(store::Reader&);
    // Paid for and not issued yet, and taken in by melts under way: what the mint's part of
    // "payment in flight" must be in the books.
    static nutgate::Msat in_flight(store::Reader&);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate::cashu
