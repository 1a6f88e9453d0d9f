// Money at a Lightning backend of ours becomes ecash: the backend pays a quote of ours at a mint.
#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/lightning/invoice.h"
#include "wallet/execute.h"
#include "wallet/finish.h"
#include "wallet/issue.h"

namespace nutgate::cashu {

namespace {

using Code = WalletError::Code;

// The simulated network pays its own invoices by itself, unless they say so: one of our own mint's
// is for us to pay. Elsewhere it is a word that the mint's invoice may show.
constexpr std::string_view kOwnFundingMemo = "unpaid";

LightningBackend* payer_of(const Wallet::Impl& impl, std::string_view name) {
    const auto& payers = impl.options.payers;
    const auto payer = std::ranges::find_if(
        payers, [&](const LightningBackend* candidate) { return candidate->name() == name; });
    return payer == payers.end() ? nullptr : *payer;
}

}  // namespace

Result<PaymentHash, WalletError> Wallet::request_funding(const MintUrl& mint,
                                                         nutgate::Msat amount) {
    const auto known = impl_->find(mint);
    const bool own = known != nullptr && known->url.is_embedded();
    TRY(const auto quote, request_quote(mint, amount, own ? kOwnFundingMemo : ""));
    const auto invoice = parse_bolt11(quote.bolt11);
    VERIFY(invoice.has_value());  // request_quote() read it.
    return invoice->payment_hash;
}

Result<OperationId, WalletError> Wallet::begin_fund(store::Tx& tx, const PaymentHash& payment,
                                                    std::string_view payer, nutgate::Msat fee_max,
                                                    std::string_view reference) {
    if (const auto id = wallet::find_joinable(tx, OperationKind::Fund, reference)) return *id;
    if (payer_of(*impl_, payer) == nullptr) {
        return fail(WalletError{Code::InvoiceInvalid,
                                "no Lightning backend of ours is called " + std::string{payer}});
    }
    const auto quote = wallet::find_quote(tx, payment);
    if (!quote || quote->state != wallet::QuoteState::Open) {
        return fail(WalletError{Code::InvoiceInvalid, "no open quote of ours has this invoice"});
    }
    const wallet::Draft draft{.id = impl_->random.id<OperationId>(),
                              .kind = OperationKind::Fund,
                              .mint = quote->mint,
                              .unit = quote->unit,
                              .amount = quote->amount,
                              .fee = fee_max,
                              .path = {},
                              .request = {},
                              .token = {},
                              .inputs = {},
                              .outputs = {},
                              .bill = wallet::Bill{.payment = payment,
                                                   .melt_quote = {},
                                                   .expires_at = std::nullopt,
                                                   .payer = std::string{payer}}};
    wallet::insert(tx, draft, reference, impl_->clock.now());
    wallet::mark_leg(tx, payment);
    return draft.id;
}

namespace wallet {

// Paying twice pays once, by the backend's contract, so there is nothing to resolve: asking again
// is joining. Its error is certain.
Result<Outcome, WalletError> run_fund(Wallet::Impl& wallet, const Operation& operation) {
    VERIFY(operation.bill.has_value());
    auto* const payer = payer_of(wallet, operation.bill->payer);
    if (payer == nullptr) {
        return park(wallet, operation, "its Lightning backend is no longer configured");
    }
    TRY(const auto bolt11,
        wallet.database.read([&](store::Reader& reader) -> Result<std::string, WalletError> {
            const auto quote = find_quote(reader, operation.bill->payment);
            VERIFY(quote.has_value());  // It was there when the funding was begun.
            return quote->bolt11;
        }));
    TRY(const auto count, wallet.database.transact([&](store::Tx& tx) -> Result<int, WalletError> {
        return note_transmission(tx, operation.id);
    }));
    auto paid = payer->pay({.hash = operation.bill->payment,
                            .bolt11 = bolt11,
                            .amount = operation.amount,
                            .fee_max = operation.fee});
    const auto failed = [&](std::string why) {
        return finish_refused(wallet, operation, *wallet.find(operation.mint),
                              WalletError{Code::PaymentFailed, std::move(why)}, {});
    };
    if (!paid && paid.error() == BackendError::Unreachable) {
        return wait_for_mint(wallet, operation, Outcome::MintAway,
                             "the Lightning backend can't be reached");
    }
    // A second telling that is refused may be refused because of the first.
    if (!paid && count > 1) paid = payer->outgoing(operation.bill->payment);
    if (!paid && paid.error() == BackendError::Unreachable) {
        return wait_for_mint(wallet, operation, Outcome::MintAway,
                             "the Lightning backend can't be reached");
    }
    if (!paid) return failed("the Lightning backend refuses to pay");
    switch (paid->state) {
        case PaymentState::Pending:
            return wait_for_mint(wallet, operation, Outcome::Waiting, "the payment is under way");
        case PaymentState::Failed:
            return failed("the payment failed");
        case PaymentState::Settled:
            return finish_fund(wallet, operation, *paid);
    }
    VERIFY(false);
    return Outcome::Waiting;
}

}  // namespace wallet

}  // namespace nutgate::cashu
