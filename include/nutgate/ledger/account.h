// What the books keep accounts of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/id.h"

namespace nutgate {

// What the account stands for. Stored in the database: append only, never renumber.
enum class AccountKind : std::int16_t {
    Ecash = 1,            // Asset. Proofs in our wallet; name "<mint>:<unit>".
    Lightning = 2,        // Asset. Our money at one Lightning backend.
    Key = 3,              // Liability. We owe it to the holder of an API key; name is the key's id.
    MintOutstanding = 4,  // Liability. Tokens that the embedded mint signed, not yet spent.
    PaymentInFlight = 5,  // Liability. Taken for a payment that is neither done nor undone.
    Revenue = 6,          // Income. What was paid for answers, or as the embedded mint's fees.
    Fees = 7,             // Expense. What mints and routing took.
    Losses = 8,           // Expense. Money of ours that is gone, never a customer's.
    Owner = 9,            // Equity. What the owner put in (credit) and took back (debit).
};
// Assets and expenses grow by a debit, all others by a credit.
bool grows_by_debit(AccountKind kind);
std::string_view to_text(AccountKind kind);  // "ecash", "mint_outstanding": stable.

struct Account {
    AccountKind kind;
    std::string name;  // Unique within its kind.

    friend auto operator<=>(const Account&, const Account&) = default;
};
Account key_account(const KeyId& key);

}  // namespace nutgate
