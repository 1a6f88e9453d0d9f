// What the mint says no with (NUT-00's table). Each name is the fact; its number goes on the wire.
#pragma once

#include <string>
#include <utility>

#include "nutgate/store/store.h"

namespace nutgate::cashu {

enum class MintCode {
    RequestMalformed = 10000,  // Where the table has no number: as a known mint says it.
    ProofInvalid = 10001,
    InputsSpent = 11001,
    InputsPending = 11002,
    OutputsSigned = 11003,
    OutputsPending = 11004,
    Unbalanced = 11005,
    AmountOutsideLimits = 11006,
    DuplicateInputs = 11007,
    DuplicateOutputs = 11008,
    SeveralUnits = 11009,
    UnitsDiffer = 11010,
    AmountlessUnsupported = 11011,
    AmountConflict = 11012,
    UnitUnsupported = 11013,
    TooManyInputs = 11014,
    TooManyOutputs = 11015,
    KeysetUnknown = 12001,
    KeysetInactive = 12002,
    QuoteUnknown = 20000,  // The table has no number for it.
    QuoteNotPaid = 20001,
    QuoteIssued = 20002,
    Disabled = 20003,
    PaymentFailed = 20004,
    QuotePending = 20005,
    InvoicePaid = 20006,
    QuoteExpired = 20007,
    SignatureInvalid = 20008,
    PubkeyRequired = 20009,
};

struct MintError {
    MintError(MintCode why, std::string what)
        : status{400}, code{static_cast<int>(why)}, detail{std::move(what)} {}
    // What will pass: the same request may be sent again.
    MintError(int http_status, std::string what) : status{http_status}, detail{std::move(what)} {}
    MintError(
        const store::StoreFailure&)  // NOLINT: implicit, for TRY. Its words are not for strangers.
        : MintError{503, "the mint can't reach its store; send the same request again"} {}

    int status;
    int code = 0;  // 0: none.
    std::string detail;
};

}  // namespace nutgate::cashu
