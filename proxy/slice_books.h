// Slices in the books: the transactions of the till, without its memory.
//
// A slice is a hold of the ledger that a key's requests draw from, counted by the keyring against
// the key's limit in the same transaction. Its charges are captures of it, in the order of their
// sequence.
//
// Bodies of transactions: they may run again, and change nothing but the database.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/proxy/till.h"
#include "nutgate/proxy/usage_rows.h"
#include "nutgate/store/store.h"

namespace nutgate::proxy {

// More than can be in any hold.
inline constexpr Msat kAll = *Msat::from_raw(Msat::kMax);

// A part of a slice that no request has drawn, on its way back to the balance.
struct GiveBack {
    HoldId hold;
    KeyId key;
    Msat amount;
    bool end = false;  // All of it: the hold is released.
};

struct Growth {
    KeyId key;
    HoldId hold;
    bool is_open;  // The hold is in the books.
    Msat least;    // Less than that helps nobody who waits, so nothing is taken then.
    Msat needed;   // What all who wait need.
    Msat target;   // What is taken where there is more than enough.
    Time deadline;
    std::vector<GiveBack> first;      // Of the same balance.
    std::optional<HoldId> lost = {};  // The hold before this one: it has expired.
};

struct Grown {
    std::optional<DrawRefusal::Why> refusal;  // The key may spend nothing at all.
    bool hold_lost = false;  // It had expired: the same growth again needs another hold.
    std::optional<KeyId> payer;
    std::optional<Msat> held;  // What the slice has now. Empty: there is none.
    Msat available;            // On the balance, beside all slices.
    std::optional<Msat> limit_left;
    std::optional<Time> valid_until;
    std::vector<Msat> given;  // What the slices of Growth::first have now.
};

struct SliceCharge {
    KeyId key;
    KeyId payer;
    HoldId hold;
    std::int64_t sequence;
    Msat cost;
    std::int64_t requests;
    std::vector<UsageRow> rows;  // One for each request, where they are kept.
};

struct Posted {
    Msat held;
    Msat available;
    Msat uncollected;  // What nobody could be charged any more.
    std::optional<LedgerError> refusal;
};

class SliceBooks {
public:
    SliceBooks(Ledger& ledger, Keyring& keyring) : ledger_{ledger}, keyring_{keyring} {}

    Grown grow(store::Tx& tx, const Growth& growth);
    Posted post(store::Tx& tx, const SliceCharge& charge);
    // What it has afterwards: nothing if its hold is no longer open.
    Msat give_back(store::Tx& tx, const GiveBack& part);
    // Empty if the hold is no longer open.
    std::optional<Msat> renew(store::Tx& tx, const HoldId& hold, Time deadline);

private:
    // True if there is such a hold, which is empty then.
    Result<bool, LedgerError> empty_unknown(store::Tx& tx, const Growth& growth);
    Result<Msat, LedgerError> take(store::Tx& tx, const Growth& growth, const Account& payer,
                                   bool exists, Msat amount);

    Ledger& ledger_;
    Keyring& keyring_;
};

}  // namespace nutgate::proxy
