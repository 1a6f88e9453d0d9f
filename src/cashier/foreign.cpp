// Tokens of mints that are not trusted: they pay a quote of ours at one that is, and what arrives
// there is what is credited. Nothing of such a mint is ever worth anything here: what comes back of
// a token as its change is kept apart (books_of_payouts.cpp).
//
// The row of the deposit, with the payment that it waits for, is written with the operation that
// pays. Whoever finishes first, this call or a recovery, the issue of what was paid for credits it.
#include "impl.h"

namespace nutgate {

Result<cashu::Wallet::Owned<cashu::Wallet::PreparedMelt>, CashierError>
Cashier::Impl::prepare_foreign(const cashu::Token& token) {
    cashu::WalletError reason{cashu::WalletError::Code::MintForeign, "there is no mint to go to"};
    for (const auto& target : wallet.mints()) {
        auto prepared = wallet.prepare_swap(token, target);
        if (prepared) return *std::move(prepared);
        reason = std::move(prepared).error();
        // Another mint of ours may have room. All else is of the token, or of its mint.
        if (reason.code != cashu::WalletError::Code::ExposureExceeded) break;
    }
    return fail(CashierError{reason});
}

}  // namespace nutgate
