// What an issue operation needs of its quote.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/cashu/quote_signature.h"
#include "wallet/impl.h"

namespace nutgate::cashu::wallet {

// A quote of ours, from when the mint's answer was stored.
struct Quote {
    std::uint32_t lock_index = 0;
    MintUrl mint;
    Unit unit;
    nutgate::Msat amount;
    QuoteState state;
    std::string id;
    std::string bolt11;
    Time watch_until;
};
// Ten bitcoin. A mint may say that anything was paid.
inline constexpr nutgate::Msat kIssueMax = *nutgate::Msat::from_raw(1'000'000'000'000);

std::optional<Quote> find_quote(store::Reader&, const PaymentHash& payment);
bool has_open_quotes(store::Reader&, const MintUrl& mint);

// A swap or a funding, begun in this transaction, pays it.
void mark_leg(store::Tx&, const PaymentHash& payment);
// Quotes that a swap or a funding pays, which has ended, and that are not ecash yet: those whose
// time it is to be asked about. Each is not due again for a while, the longer the oftener it was.
std::vector<PaymentHash> take_due_legs(store::Tx&, Time now, int limit);
std::int64_t count_unarrived(store::Reader&);

struct QuoteStanding {
    bool paid = false;
    bool issued = false;
    nutgate::Msat amount;  // What the quote was asked for.
};

// `reference` is the quote's payment hash, in hex. Empty if the mint's answer tells nothing.
Result<std::optional<QuoteStanding>, WalletError> ask_quote(Wallet::Impl&, const WalletMint&,
                                                            std::string_view reference);
// The unit whose whole number that is.
Unit unit_for(nutgate::Msat amount);

struct LockedQuote {
    std::uint32_t lock_index = 0;
    std::string id;
};
// The body of the request that issues a quote, signed with its lock key; empty if there is none.
std::optional<std::string> signed_issue(Wallet::Impl&, const LockedQuote& quote,
                                        const std::vector<PlannedOutput>& outputs,
                                        QuoteMessage form);
// The same of the quote that an operation of that kind and reference issues.
Result<std::optional<std::string>, WalletError> issue_request(
    Wallet::Impl&, OperationKind kind, std::string_view reference,
    const std::vector<PlannedOutput>& outputs, QuoteMessage form);

// Within the transaction that ends the operation.
void mark_issued(store::Tx&, const PaymentHash& payment);

}  // namespace nutgate::cashu::wallet
