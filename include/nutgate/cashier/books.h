// What outside events do to the books: the wallet's and the embedded mint's (design.md section 5).
//
// Made before the wallet and the mint, which it is handed to; the Cashier, which uses them, is made
// after. Everything here happens within a transaction of the wallet's or the mint's, so their
// tables and the books change together. Each ledger transfer's id is the SHA-256 of what it is for
// and of the event's own stable reference: an event told twice is booked once.
//
// Thread-safe: it has no state but the database.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/base/secret.h"
#include "nutgate/cashier/error.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/crypto/random.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/store/store.h"

namespace nutgate {

// The names of the income accounts: what the owner may take out is their sum.
inline constexpr std::string_view kRevenueRequests = "requests";  // Charges for answers.
inline constexpr std::string_view kRevenueMint = "mint";          // The embedded mint's fees.
Account ecash_account(const cashu::MintUrl& mint, cashu::Unit unit);
Account lightning_account(std::string_view backend);
Account outstanding_account(const cashu::KeysetId& keyset);
Account revenue_account(std::string_view what);

class CashierBooks final : public cashu::Settler, public cashu::MintBooks {
public:
    // `mint_backend`: the name() of the embedded mint's Lightning backend.
    CashierBooks(Ledger& ledger, Keyring& keyring, const Secret& seed, const Clock& clock,
                 crypto::Random& random, std::string mint_backend);

    // The cashier's tables: deposits, invoices, settlements, refunds.
    static Result<void, store::StoreFailure> migrate(store::Database& database);

    // Settler: deposits, refunds, payouts and what moves between our assets by their reference,
    // issues by their payment hash, those of an offer by their operation. A reference that no row
    // of ours has is a refusal.
    Result<void, cashu::SettlerRefusal> received(store::Tx&, const Received&) override;
    Result<void, cashu::SettlerRefusal> receive_failed(store::Tx&, std::string_view reference,
                                                       const cashu::WalletError& why) override;
    Result<void, cashu::SettlerRefusal> sent(store::Tx&, const Sent&) override;
    Result<void, cashu::SettlerRefusal> send_failed(store::Tx&, std::string_view reference,
                                                    const cashu::WalletError& why) override;
    Result<void, cashu::SettlerRefusal> issued(store::Tx&, const Issued&) override;
    Result<void, cashu::SettlerRefusal> offer_issued(store::Tx&, const OfferIssued&) override;
    Result<void, cashu::SettlerRefusal> melted(store::Tx&, const Melted&) override;
    Result<void, cashu::SettlerRefusal> melt_failed(store::Tx&, std::string_view reference,
                                                    const cashu::WalletError& why) override;
    Result<void, cashu::SettlerRefusal> funded(store::Tx&, const Funded&) override;
    Result<void, cashu::SettlerRefusal> fund_failed(store::Tx&, std::string_view reference,
                                                    const cashu::WalletError& why) override;
    Result<void, cashu::SettlerRefusal> consolidated(store::Tx&, const Consolidated&) override;
    // What a restore finds belongs to the owner: the books that said whose it was did not know it.
    Result<void, cashu::SettlerRefusal> restored(store::Tx&, const Restored&) override;
    Result<void, cashu::SettlerRefusal> lost(store::Tx&, const Lost&) override;

    // MintBooks. It has no way to refuse, so where the ledger does, the transaction is failed: the
    // mint then answers as if the store were away, and nothing was handed out.
    void quote_paid(store::Tx&, const PaymentHash&, Msat amount) override;
    // If it is one of ours, it is brought in with the next round.
    void offer_paid(store::Tx&, const OfferId&, const PaymentHash&, Msat amount) override;
    void issued(store::Tx&, std::string_view reference, const cashu::KeysetId&,
                Msat amount) override;
    void swapped(store::Tx&, std::string_view reference, const std::vector<SwapLine>&,
                 Msat fee) override;
    MayPay may_pay(store::Reader&, const PaymentHash& payment, Msat most) override;
    void melt_begun(store::Tx&, std::string_view reference, const std::vector<SwapLine>&) override;
    void melt_paid(store::Tx&, std::string_view reference, const MeltEnd&) override;
    void melt_failed(store::Tx&, std::string_view reference, const std::vector<SwapLine>&) override;

    // Money that a payment method reported: one row per money event, and its credit. What no
    // invoice, deposit or transit of ours waits for is kept as unclaimed until one claims it.
    // `asset` is the account that grew.
    Result<Applied, LedgerError> settle(store::Tx&, const PaymentHash& payment,
                                        const Account& asset, Msat amount);
    // Credits what arrived for `payment` before the row that waits for it did, if anything did.
    Result<void, LedgerError> claim(store::Tx&, const PaymentHash& payment);

    // Money that came to an offer of ours, under a name of its own that counts as a payment hash
    // does: booked once. Empty: no offer of ours.
    struct OfferName {
        std::string_view name;         // As its payment method calls it.
        std::string_view holder = {};  // As OfferPresentation::holder: the same offer may be seen
                                       // at the node that carries it for a mint, too.
    };
    struct OfferCredit {
        KeyId key;
        InvoiceLookup offer;
        Applied applied;
    };
    Result<std::optional<OfferCredit>, LedgerError> settle_offer(store::Tx&, const OfferName& offer,
                                                                 std::string_view reference,
                                                                 const Account& asset, Msat amount);

    // What was sent away over Lightning: paid with what `asset` had, or certainly not. Told twice,
    // it is booked once.
    struct Remitted {
        std::string_view reference;
        Account asset;
        Account fees;  // For what it cost beyond what was taken for it, which is the node's.
        Msat amount;
        Msat fee;
        std::optional<Preimage> preimage;
    };
    Told remitted(store::Tx&, const Remitted&);
    Told not_remitted(store::Tx&, std::string_view reference, CashierError::Code why);

    // The text of a refund's or payout's token, which only this node's seed opens.
    std::optional<std::string> open_token(std::string_view reference, BytesView sealed) const;

    // Of the embedded mint; empty without one. What it holds is the mint's before it is ours.
    const std::string& mint_backend() const { return mint_backend_; }

private:
    // The first leg of what moves between our assets.
    struct Departure {
        std::string_view reference;
        PaymentHash payment;
        Account asset;
        Account fees;
        Msat amount;
        Msat fee;
    };
    Msat left_at_node(store::Reader&) const;
    Told depart(store::Tx&, const Departure&);
    Told not_departed(store::Tx&, std::string_view reference, const cashu::WalletError& why);
    Told give_rest(store::Tx&, std::string_view reference, Msat rest);
    Told foreign_melted(store::Tx&, const Melted&);
    Told give_back(store::Tx&, std::string_view reference, const cashu::WalletError& why);

    Ledger& ledger_;
    Keyring& keyring_;
    const Clock& clock_;
    crypto::Random& random_;
    std::string mint_backend_;
    Secret sealing_key_;
};

// Books against what they are about. No fault: equal to the msat.
struct BooksAudit {
    AuditReport ledger;
    std::vector<std::string> faults;  // The ledger's own, and every sum that does not match.
    bool sound() const { return faults.empty(); }
};
// Everything in it is read from the database, so it works on a killed node's, too. A Lightning
// backend is asked only where it is in the database as well, which is the simulated one: it must
// hold what the books say, but may hold more.
BooksAudit audit_books(store::Reader&, const Ledger&, Ledger::Depth depth, Time now);

}  // namespace nutgate
