// How the cashier moves money: the names of its accounts, and ids that a retry makes again.
#pragma once

#include <initializer_list>
#include <string_view>

#include "nutgate/ledger/ledger.h"

namespace nutgate {

// Taken from a balance for a token that is not made yet.
Account payouts_in_flight();
// Came in, and no invoice of ours is known for it (yet).
Account unclaimed();
// The embedded mint's: paid quotes whose tokens were not asked for, and melts that have not ended.
Account mint_quotes_in_flight();
Account melts_in_flight();

// SHA-256 over what the transfer is for and the event's own name. The same event, the same id.
TransferId transfer_id(std::string_view what, std::initializer_list<std::string_view> parts);

// A transfer, but nothing for an amount of zero.
Result<Applied, LedgerError> post_amount(Ledger& ledger, store::Tx& tx, const Transfer& transfer);

std::string_view to_text(LedgerError error);

}  // namespace nutgate
