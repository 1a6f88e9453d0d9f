// The wallet as it is shown: its mints, what it holds, what is under way.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/cashu/mint_client.h"
#include "nutgate/cashu/proof.h"

namespace nutgate::cashu {

enum class OperationKind {  // Stored.
    Receive = 1,
    Send = 2,
    Issue = 3,
    Melt = 4,         // Our proofs pay an invoice.
    Swap = 5,         // To another mint: proofs at one pay a quote of ours at the other.
    Fund = 6,         // A Lightning backend of ours pays a quote of ours.
    Consolidate = 7,  // Our proofs become fewer, or of a keyset that lives.
    OfferIssue = 8,   // What was paid to an offer of ours.
};
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
    // What the caller of begin() named it; an issue: its payment hash, or its offer and a number.
    std::string reference;
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

// What a mint is to us.
enum class MintRole {  // Stored.
    Trusted = 1,       // Its tokens are taken, its quotes asked for.
    Leaving = 2,       // No more; what we hold there is still spent.
    Guest = 3,         // Never held: its tokens are only swapped to a trusted one.
};

// A mint and how to reach it.
struct WalletMint {
    MintUrl url;                         // In the books and in operations.
    std::vector<MintUrl> also_known_as;  // What tokens may call it: its public URLs.
    std::string token_url;               // What the tokens that we write call it.
    MintClient* client = nullptr;        // Never null; outlives the wallet.
};

// Makes the way to a mint that the configuration does not name: one that the operator added, or
// whose token somebody brought. A stranger chose the URL of a Guest, so it must not lead to a
// private address.
class MintConnector {
public:
    virtual ~MintConnector() = default;
    virtual std::unique_ptr<MintClient> connect(const MintUrl& url, MintRole role) = 0;
};

struct MintView {
    MintUrl url;
    MintRole role;
    bool configured;                            // By the file; else by the operator, or a guest.
    std::optional<nutgate::Msat> exposure_max;  // Most that we want to hold there.
    nutgate::Msat held;                         // In all units, reserved and expected included.
};

}  // namespace nutgate::cashu
