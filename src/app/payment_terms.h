// What a 402 says of how to pay: the mints whose tokens are taken, where an invoice is made, and a
// request that an agent's wallet meets by itself (NUT-24).
#pragma once

#include <string>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/cashu/wallet.h"

namespace nutgate::app {

// As of the moment: mints come and go while the node runs. Thread-safe, asks nobody.
class PaymentTerms {
public:
    // The wallet outlives it.
    PaymentTerms(const cashu::Wallet& wallet, std::string public_url)
        : wallet_{wallet}, public_url_{std::move(public_url)} {}

    std::vector<std::string> mint_urls() const;  // As tokens call them.
    std::string methods_json() const;
    // For that much, rounded up to whole sats, and one for the fee of a mint that takes some: a
    // "creqA…" without a transport, since the token comes with the request that it pays for.
    std::string request_for(Msat amount) const;

private:
    const cashu::Wallet& wallet_;
    const std::string public_url_;
};

}  // namespace nutgate::app
