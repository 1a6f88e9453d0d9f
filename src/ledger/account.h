// The rows of `account`: the only SQL in the program that changes a balance.
#pragma once

#include <cstdint>
#include <optional>

#include "nutgate/ledger/ledger.h"

namespace nutgate {

using AccountNumber = std::int64_t;

// Of a column: empty if there is no such kind.
std::optional<AccountKind> kind_from_raw(std::int64_t value);

enum class Side { Debit, Credit };

// Adds `amount` to one side. Empty, and nothing has changed, if that would take more than is
// available or more than an account's side can count: refusal() says which.
std::optional<AccountNumber> apply(store::Tx& tx, Side side, const Account& account, Msat amount);
LedgerError refusal(store::Reader& reader, Side side, const Account& account, Msat amount);

// Takes an apply() of this transaction back.
void undo(store::Tx& tx, Side side, AccountNumber account, Msat amount);

std::optional<AccountNumber> find_account(store::Reader& reader, const Account& account);

struct TransferRow {
    std::optional<TransferId> id;  // None: a hold makes it happen once.
    AccountNumber debit;
    AccountNumber credit;
    Msat amount;
    Time at;
    std::string_view reason;
};
// Returns its number.
std::int64_t insert(store::Tx& tx, const TransferRow& row);

}  // namespace nutgate
