#include "posting.h"

#include <string>

#include "nutgate/cashier/books.h"
#include "nutgate/crypto/hash.h"

namespace nutgate {

Account ecash_account(const cashu::MintUrl& mint, cashu::Unit unit) {
    return {AccountKind::Ecash, mint.text() + ":" + std::string{cashu::to_text(unit)}};
}
Account lightning_account(std::string_view backend) {
    return {AccountKind::Lightning, std::string{backend}};
}
Account outstanding_account(const cashu::KeysetId& keyset) {
    return {AccountKind::MintOutstanding, keyset.text()};
}
Account revenue_account(std::string_view what) { return {AccountKind::Revenue, std::string{what}}; }

Account payouts_in_flight() { return {AccountKind::PaymentInFlight, "payouts"}; }
Account unclaimed() { return {AccountKind::PaymentInFlight, "unclaimed"}; }
Account foreign_change() { return {AccountKind::PaymentInFlight, "foreign_change"}; }
Account transit() { return {AccountKind::Lightning, "transit"}; }
Account paid_in() { return {AccountKind::Owner, "paid_in"}; }
Account restored_to_owner() { return {AccountKind::Owner, "restored"}; }
Account mint_quotes_in_flight() { return {AccountKind::PaymentInFlight, "mint_quotes"}; }
Account melts_in_flight() { return {AccountKind::PaymentInFlight, "melts"}; }

TransferId transfer_id(std::string_view what, std::initializer_list<std::string_view> parts) {
    // Parts hold no control characters, so a line each keeps ("a", "bc") apart from ("ab", "c").
    std::string text = "nutgate/transfer/" + std::string{what};
    for (const std::string_view part : parts) {
        text += '\n';
        text += part;
    }
    return TransferId{crypto::sha256(as_bytes(text))};
}

Result<Applied, LedgerError> post_amount(Ledger& ledger, store::Tx& tx, const Transfer& transfer) {
    if (transfer.amount == Msat{}) return Applied::Before;
    return ledger.transfer(tx, transfer);
}

cashu::SettlerRefusal refusal(std::string_view what, std::string_view reference) {
    return {std::string{what} + ": " + std::string{reference}};
}

cashu::SettlerRefusal refusal(LedgerError error, std::string_view reference) {
    return refusal(to_text(error), reference);
}

std::string_view to_text(LedgerError error) {
    switch (error) {
        case LedgerError::InsufficientFunds:
            return "insufficient funds";
        case LedgerError::HoldUnknown:
            return "hold unknown";
        case LedgerError::HoldClosed:
            return "hold closed";
        case LedgerError::ExceedsHold:
            return "exceeds hold";
        case LedgerError::IdReused:
            return "transfer id reused";
        case LedgerError::AmountOverflow:
            return "amount overflow";
    }
    VERIFY(false);
    return "";
}

}  // namespace nutgate
