// What an issue operation needs of its quote.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/cashu/quote_signature.h"
#include "wallet/impl.h"

namespace nutgate::cashu::wallet {

struct QuoteStanding {
    bool paid = false;
    bool issued = false;
};

// `reference` is the quote's payment hash, in hex. Empty if the mint's answer tells nothing.
Result<std::optional<QuoteStanding>, WalletError> ask_quote(Wallet::Impl&, const WalletMint&,
                                                            std::string_view reference);
// The body of the request that issues the quote, signed with its lock key.
Result<std::optional<std::string>, WalletError> issue_request(
    Wallet::Impl&, std::string_view reference, const std::vector<PlannedOutput>& outputs,
    QuoteMessage form);

// Within the transaction that ends the operation.
void mark_issued(store::Tx&, const PaymentHash& payment);

}  // namespace nutgate::cashu::wallet
