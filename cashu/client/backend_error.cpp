#include "client/backend_error.h"

#include "nutgate/base/verify.h"

namespace nutgate::cashu {

BackendError to_backend_error(const WalletError& error) {
    using enum WalletError::Code;
    switch (error.code) {
        case MintUnreachable:
        case MintRateLimited:
        case StoreUnavailable:
        case InProgress:
            return BackendError::Unreachable;
        case TokenMalformed:
        case TokenZeroValue:
        case TokenSpent:
        case TokenPending:
        case MintForeign:
        case UnitForeign:
        case KeysetUnknown:
        case ProofInvalid:
        case LockedToOther:
        case FeeExceedsAmount:
        case InsufficientFunds:
        case ExposureExceeded:
        case AmountOverflow:
        case InvoiceInvalid:
        case PaymentFailed:
        case MintRefused:
            return BackendError::Refused;
    }
    VERIFY(false);
    return BackendError::Refused;
}

}  // namespace nutgate::cashu
