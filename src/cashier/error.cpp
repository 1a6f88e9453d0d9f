#include "nutgate/cashier/error.h"

#include "error_name.h"
#include "nutgate/base/verify.h"
#include "posting.h"

namespace nutgate {
namespace {

using Code = CashierError::Code;

Code to_code(cashu::WalletError::Code code) {
    using Wallet = cashu::WalletError::Code;
    switch (code) {
        case Wallet::TokenMalformed:
        case Wallet::ProofInvalid:
            return Code::TokenInvalid;
        case Wallet::TokenZeroValue:
            return Code::TokenZeroValue;
        case Wallet::TokenSpent:
            return Code::TokenSpent;
        case Wallet::TokenPending:
            return Code::TokenPending;
        case Wallet::MintForeign:
            return Code::TokenMintForeign;
        case Wallet::UnitForeign:
            return Code::TokenUnitForeign;
        case Wallet::KeysetUnknown:
            return Code::TokenKeysetUnknown;
        case Wallet::LockedToOther:
            return Code::TokenLocked;
        case Wallet::FeeExceedsAmount:
            return Code::TokenFeesExceedAmount;
        case Wallet::InsufficientFunds:
            return Code::MintInsufficient;
        case Wallet::ExposureExceeded:
            return Code::MintFull;
        case Wallet::InvoiceInvalid:
            return Code::InvoiceMalformed;
        case Wallet::PaymentFailed:
            return Code::PaymentFailed;
        case Wallet::AmountOverflow:
            return Code::TokenAmountOverflow;
        case Wallet::MintRefused:
            return Code::MintRefused;
        case Wallet::MintUnreachable:
            return Code::MintUnreachable;
        case Wallet::MintRateLimited:
            return Code::MintRateLimited;
        case Wallet::InProgress:
            return Code::InProgress;
        case Wallet::StoreUnavailable:
            return Code::StoreUnavailable;
    }
    VERIFY(false);
    return Code::StoreUnavailable;
}

Code to_code(KeyringError error) {
    switch (error) {
        case KeyringError::Unknown:
            return Code::KeyUnknown;
        case KeyringError::Revoked:
            return Code::KeyRevoked;
        // The cashier admits no requests, so it never meets the next two; money in and out does not
        // depend on either.
        case KeyringError::Expired:
        case KeyringError::LimitExceeded:
            return Code::LimitInvalid;
        case KeyringError::ParentIsChild:
            return Code::ChildKey;
    }
    VERIFY(false);
    return Code::KeyUnknown;
}

// What a code tells whoever would ask again: that it is of no use, or when it may be of some.
struct Prospect {
    bool is_final = false;
    std::optional<Seconds> retry_after = std::nullopt;
};

// A table: NOLINTNEXTLINE(readability-function-size)
Prospect prospect_of(Code code) {
    switch (code) {
        case Code::TokenInvalid:
        case Code::TokenSpent:
        case Code::TokenUsed:
        case Code::TokenZeroValue:
        case Code::TokenLocked:
        case Code::TokenFeesExceedAmount:
        case Code::TokenUnitForeign:
        case Code::TokenMintForeign:
        case Code::TokenAmountOverflow:
            return {.is_final = true};
        case Code::InProgress:
        case Code::TokenPending:
        case Code::PayingBusy:
        case Code::RemittanceOpen:
            return {.retry_after = Seconds{2}};
        case Code::MintUnreachable:
        case Code::LnurlUnreachable:
        case Code::LightningUnreachable:
        case Code::StoreUnavailable:
            return {.retry_after = Seconds{5}};
        case Code::MintRateLimited:
        case Code::TooManyInvoices:
        case Code::TooManyOffers:
            return {.retry_after = Seconds{30}};
        case Code::TokenKeysetUnknown:
        case Code::MintRefused:
        case Code::KeyUnknown:
        case Code::KeyRevoked:
        case Code::ChildKey:
        case Code::ChildUnknown:
        case Code::NotTheParent:
        case Code::CountOutOfRange:
        case Code::LimitInvalid:
        case Code::AmountOutOfRange:
        case Code::InvoiceUnknown:
        case Code::InvoiceMalformed:
        case Code::OffersOff:
        case Code::OfferUnknown:
        case Code::KeyHasOffers:
        case Code::RequestUnknown:
        case Code::RequestExpired:
        case Code::RequestPaid:
        case Code::PaymentUnfit:
        case Code::LightningOff:
        case Code::LightningRefused:
        case Code::NoBalance:
        case Code::BalanceTooSmall:
        case Code::RequestsInFlight:
        case Code::MintInsufficient:
        case Code::MintFull:
        case Code::PaymentFailed:
        case Code::RevenueInsufficient:
        case Code::LightningInsufficient:
        case Code::TargetInvalid:
        case Code::InvoiceForeign:
        case Code::InvoiceAmountless:
        case Code::InvoiceOtherAmount:
        case Code::InvoiceExpired:
        case Code::InvoiceOurs:
        case Code::InvoiceSeen:
        case Code::LnurlRefused:
        case Code::LnurlAmount:
        case Code::BalanceInsufficient:
        case Code::RemittanceReused:
        case Code::RemittanceUnknown:
        case Code::BooksUnsound:
        case Code::BooksRefused:
            return {};
    }
    VERIFY(false);
    return {};
}

// Names are stored: append only, never rename.
struct Name {
    Code code;
    std::string_view text;
};
constexpr Name kFailureNames[] = {
    {Code::TokenInvalid, "token_invalid"},
    {Code::TokenSpent, "token_spent"},
    {Code::TokenZeroValue, "token_zero_value"},
    {Code::TokenLocked, "token_locked"},
    {Code::TokenFeesExceedAmount, "token_fees_exceed_amount"},
    {Code::TokenUnitForeign, "token_unit_foreign"},
    {Code::TokenMintForeign, "token_mint_foreign"},
    {Code::TokenAmountOverflow, "token_amount_overflow"},
    {Code::TokenKeysetUnknown, "token_keyset_unknown"},
    {Code::TokenPending, "token_pending"},
    {Code::MintRefused, "mint_refused"},
    {Code::MintUnreachable, "mint_unreachable"},
    {Code::MintRateLimited, "mint_rate_limited"},
    {Code::MintInsufficient, "mint_insufficient"},
    {Code::MintFull, "mint_full"},
    {Code::PaymentFailed, "payment_failed"},
    {Code::LightningUnreachable, "lightning_unreachable"},
};

}  // namespace

CashierError::CashierError(const cashu::WalletError& error)
    : code{to_code(error.code)}, detail{error.detail}, retry_after{prospect_of(code).retry_after} {}

CashierError::CashierError(KeyringError error)
    : code{to_code(error)}, retry_after{prospect_of(code).retry_after} {}

CashierError::CashierError(LedgerError error) : code{Code::BooksRefused}, detail{to_text(error)} {}

CashierError::CashierError(store::StoreFailure failure)
    : code{Code::StoreUnavailable},
      detail{std::move(failure.detail)},
      retry_after{prospect_of(code).retry_after} {}

bool is_final(CashierError::Code code) { return prospect_of(code).is_final; }

std::string_view failure_name(CashierError::Code code) {
    for (const Name& name : kFailureNames) {
        if (name.code == code) return name.text;
    }
    return "mint_refused";  // What ended a wallet's operation and is none of the above.
}

CashierError::Code failure_of_name(std::string_view text) {
    for (const Name& name : kFailureNames) {
        if (name.text == text) return name.code;
    }
    return Code::MintRefused;
}

CashierError error_of(payment::PaymentError error, Code unsupported) {
    switch (error) {
        case payment::PaymentError::Unsupported:
            return make_error(unsupported);
        case payment::PaymentError::Rejected:
            return make_error(Code::LightningRefused);
        case payment::PaymentError::Unreachable:
            return make_error(Code::LightningUnreachable);
    }
    VERIFY(false);
    return make_error(unsupported);
}

CashierError make_error(CashierError::Code code, std::string detail) {
    CashierError error{code, std::move(detail)};
    error.retry_after = prospect_of(code).retry_after;
    return error;
}

}  // namespace nutgate
