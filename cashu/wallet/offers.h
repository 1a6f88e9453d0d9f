// Offers of ours at mints, as rows, and what is counted on them. The SQL over wallet_offer lies in
// offers.cpp alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wallet/impl.h"

namespace nutgate::cashu::wallet {

// One whose offer the mint has told.
struct MintOfferRow {
    std::uint32_t lock_index = 0;
    MintUrl mint;
    Unit unit;
    std::string quote;
    std::string bolt12;
    // By operations of ours that are done, and that have not ended: what the mint says that it has
    // issued may lag behind them.
    nutgate::Msat issued;
    nutgate::Msat pending;
    std::int64_t issues = 0;  // Begun, ever.
    Time next_issue_at;       // Later, where the mint refused what it had said was paid.
};
std::optional<MintOfferRow> find_offer(store::Reader&, const OfferId&);

// An issue of what was paid to an offer is called by the offer and a number.
std::string issue_name(const OfferId&, std::int64_t number);
OfferId offer_of(std::string_view issue);

// Within the transactions that begin and end the operation.
void count_begun(store::Tx&, const OfferId&, nutgate::Msat amount);
void count_issued(store::Tx&, const OfferId&, nutgate::Msat amount);
void count_refused(store::Tx&, const OfferId&, nutgate::Msat amount, Time now);

}  // namespace nutgate::cashu::wallet
