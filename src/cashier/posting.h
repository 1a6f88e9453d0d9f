// How the cashier moves money: the names of its accounts, and ids that a retry makes again.
#pragma once

#include <initializer_list>
#include <string_view>

#include "nutgate/cashu/settler.h"
#include "nutgate/ledger/ledger.h"

namespace nutgate {

// Taken from a balance for a token that is not made yet.
Account payouts_in_flight();
// Came in, and no invoice of ours is known for it (yet).
Account unclaimed();
// Ecash of mints that we don't trust, which came back as change of tokens that were swapped. It may
// be worth nothing, so it is owed to nobody and is not earned.
Account foreign_change();
// Left one of our assets and is on its way to become ecash at a mint of ours.
Account transit();
// The owner's: put in as a token, and found by a restore.
Account paid_in();
Account restored_to_owner();
// The embedded mint's: paid quotes whose tokens were not asked for, and melts that have not ended.
Account mint_quotes_in_flight();
Account melts_in_flight();

// SHA-256 over what the transfer is for and the event's own name. The same event, the same id.
TransferId transfer_id(std::string_view what, std::initializer_list<std::string_view> parts);

// A transfer, but nothing for an amount of zero.
Result<Applied, LedgerError> post_amount(Ledger& ledger, store::Tx& tx, const Transfer& transfer);

std::string_view to_text(LedgerError error);

// What the wallet is told of an event that can't be booked, and of what it was.
cashu::SettlerRefusal refusal(std::string_view what, std::string_view reference);
cashu::SettlerRefusal refusal(LedgerError error, std::string_view reference);

}  // namespace nutgate
