// What a mint's answer to a swap or a mint request proves, and what it does not (cashu.md C.4).
// Pure. Error codes are no reliable witness: many mints give another one, and several that sound
// like a failure say that an earlier transmission of ours succeeded.
#pragma once

#include <optional>
#include <string>

#include "nutgate/base/result.h"
#include "nutgate/cashu/mint_client.h"
#include "nutgate/cashu/wallet.h"

namespace nutgate::cashu::wallet {

// An answer, reduced to what the verdict depends on.
struct AnswerFacts {
    std::optional<MintFailure> failure;  // There was none.
    int status = 0;
    std::optional<int> code;
    std::string detail;
};
AnswerFacts facts_of(const Result<MintAnswer, MintFailure>& answer);

// Whether these very bytes may have been on their way before.
enum class Transmission { First, Repeated };

enum class Verdict {
    Success,   // 200. Whether its contents verify is still to be seen.
    Refused,   // A definite no: nothing was done and nothing will be.
    Unknown,   // It may have been done, by this transmission or an earlier one.
    InFlight,  // Inputs or quote are part of a request under way, ours perhaps: wait.
    Busy,      // 429. As Unknown, and asking again at once makes it worse.
    NotSent,   // No byte of it left us.
};
Verdict classify(const AnswerFacts& facts, Transmission transmission);

// Whether a mint that has done nothing of these bytes says with this that it won't: an error of the
// protocol under any code, known or not, but for those that tell of an earlier success or of a
// request under way. With that success ruled out it is as good as a definite no; many mints,
// nutshell among them, have one code for most of their reasons.
bool is_no(const AnswerFacts& facts);

// The fact that a definite no amounts to.
WalletError refusal(const AnswerFacts& facts);

// NUT-20: the mint wants the quote signed in another form.
inline constexpr int kQuoteSignatureInvalid = 20008;
// There is nothing left of the quote to be issued.
inline constexpr int kQuoteIssued = 20002;
// The mint has the inputs in its list of spent ones.
inline constexpr int kInputsSpent = 11001;

}  // namespace nutgate::cashu::wallet
