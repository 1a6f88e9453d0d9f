// The rows of `hold`, and what their ends do to the payer's account.
#pragma once

#include <cstdint>
#include <optional>

#include "account.h"

namespace nutgate {

// Stored: append only. The numbers are in the indexes of schema.cpp and in the SQL, too.
enum class HoldState : std::int16_t { Open = 1, Posted = 2, Released = 3, Expired = 4 };

struct StoredHold {
    AccountNumber payer;
    Msat amount;
    HoldState state;
    std::optional<AccountNumber> payee;
    Msat cost;
    Msat charged;
    std::int64_t sequence;
};
std::optional<StoredHold> find_hold(store::Reader& reader, const HoldId& id);

// Empty if there is not as much available.
std::optional<AccountNumber> take_held(store::Tx& tx, const Account& payer, Msat amount);
void free_held(store::Tx& tx, AccountNumber payer, Msat amount);

// What the account has beside all holds.
Msat available(store::Reader& reader, AccountNumber payer);

// Takes the charge off the payer, and what was held for it: what it has then beside all holds.
// Empty if its side can't count it.
std::optional<Msat> debit_payer(store::Tx& tx, AccountNumber payer, Msat charged, Msat freed);

}  // namespace nutgate
