// The JSON of the Cashu protocol: one codec, used by the mint and by the wallet alike.
//
// parse_…() reads what a stranger sent: it answers with values that were checked, or with the fact
// that was wrong and where, and never throws. Amounts are JSON integers from 0 to 2^64-1 and
// nothing else. `null` is as good as absent; fields that are not known are ignored. Every array has
// a bound: what is longer than kArrayMax is not read at all, smaller limits are their owner's.
// write_…() emits what the strictest known peers read: no nulls but where NUT-02 and NUT-05 have
// them, integers, lower-case hex, no spaces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/result.h"
#include "nutgate/cashu/mint_info.h"
#include "nutgate/cashu/proof.h"

namespace nutgate::cashu::wire {

inline constexpr std::size_t kBodyBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kArrayMax = 4096;
inline constexpr std::size_t kKeysPerKeysetMax = 256;
inline constexpr std::size_t kKeysetsMax = 1024;
inline constexpr std::size_t kQuoteIdBytesMax = 256;
inline constexpr std::size_t kTextBytesMax = 16 * 1024;  // Requests, descriptions, details.

struct WireError {
    enum class Code {
        TooLarge,  // The body.
        NotJson,
        Missing,     // A field that must be there.
        WrongType,   // Another JSON type than the field has, a fraction, a negative number.
        OutOfRange,  // A number that fits no u64, hex of another length, text that is too long.
        NotAPoint,   // Not a compressed point on the curve.
        NotAKeyset,  // A keyset id of a version that we do not know.
        TooMany,     // An array beyond its bound.
        Duplicate,   // Two keys for one amount, one quote or secret twice.
    };
    Code code;
    std::string where;  // "inputs[3].C"
};

template <class T>
using Parsed = Result<T, WireError>;

// --- NUT-03, NUT-04: swap and mint ---------------------------------------------------------------
struct SwapRequest {
    std::vector<Proof> inputs;
    std::vector<BlindedMessage> outputs;
};
Parsed<SwapRequest> parse_swap_request(std::string_view json);
std::string write_swap_request(const SwapRequest&);

struct MintRequest {
    std::string quote;
    std::vector<BlindedMessage> outputs;
    std::optional<std::string> signature;  // NUT-20, hex.
};
Parsed<MintRequest> parse_mint_request(std::string_view json);
std::string write_mint_request(const MintRequest&);

// {"signatures":[…]}: the answer to both.
Parsed<std::vector<BlindSignature>> parse_signatures(std::string_view json);
std::string write_signatures(const std::vector<BlindSignature>&);

// --- NUT-04, NUT-23: mint quotes -----------------------------------------------------------------
struct MintQuoteRequest {
    Amount amount = 0;
    std::string unit;
    std::optional<std::string> description;
    std::optional<crypto::Point> pubkey;
};
Parsed<MintQuoteRequest> parse_mint_quote_request(std::string_view json);
std::string write_mint_quote_request(const MintQuoteRequest&);

// `state` is derived from the accounting fields when written, and fills them when a mint of the
// generation before sends nothing but it.
struct MintQuote {
    enum class State { Unpaid, Paid, Issued };
    std::string quote;
    std::string request;
    std::string unit;
    std::string method = "bolt11";
    Amount amount = 0;  // 0 where the mint does not say.
    Amount amount_paid = 0;
    Amount amount_issued = 0;
    std::optional<std::uint64_t> updated_at;
    std::optional<std::int64_t> expiry;  // Unix seconds; empty also for 0, as nutshell says "none".
    std::optional<crypto::Point> pubkey;

    State state() const;
    Amount mintable() const {
        return amount_paid - amount_issued;
    }  // Parsing holds paid >= issued.
};
Parsed<MintQuote> parse_mint_quote(std::string_view json);
std::string write_mint_quote(const MintQuote&);

// --- NUT-05, NUT-08: melt ------------------------------------------------------------------------
struct MeltQuoteRequest {
    std::string request;
    std::string unit;
    std::optional<std::uint64_t> amountless_msat;  // options.amountless.amount_msat
    std::optional<std::uint64_t> mpp_msat;         // options.mpp.amount
};
Parsed<MeltQuoteRequest> parse_melt_quote_request(std::string_view json);
std::string write_melt_quote_request(const MeltQuoteRequest&);

enum class MeltState { Unpaid, Pending, Paid };  // An unknown text reads as Pending.
struct MeltQuote {
    std::string quote;
    std::string request;
    std::string unit;
    std::string method = "bolt11";
    Amount amount = 0;
    Amount fee_reserve = 0;
    MeltState state = MeltState::Unpaid;
    std::optional<std::int64_t> expiry;
    std::optional<std::string> payment_preimage;  // Not checked. "" reads as none.
    std::vector<BlindSignature> change;
};
Parsed<MeltQuote> parse_melt_quote(std::string_view json);
std::string write_melt_quote(const MeltQuote&);

struct MeltRequest {
    std::string quote;
    std::vector<Proof> inputs;
    std::vector<BlindedMessage> outputs;  // Blanks for change; their amounts mean nothing.
    bool prefer_async = false;
};
Parsed<MeltRequest> parse_melt_request(std::string_view json);
std::string write_melt_request(const MeltRequest&);

// --- NUT-07, NUT-09: proof states and restore ----------------------------------------------------
Parsed<std::vector<crypto::Point>> parse_check_state_request(std::string_view json);
std::string write_check_state_request(const std::vector<crypto::Point>& ys);

enum class ProofState { Unspent, Pending, Spent };  // An unknown text reads as Pending.
struct StateOfProof {
    crypto::Point Y;
    ProofState state;
    std::optional<std::string> witness;
};
Parsed<std::vector<StateOfProof>> parse_check_state_response(std::string_view json);
std::string write_check_state_response(const std::vector<StateOfProof>&);
Parsed<StateOfProof> parse_proof_state(std::string_view json);  // One by itself (NUT-17).
std::string write_proof_state(const StateOfProof&);

Parsed<std::vector<BlindedMessage>> parse_restore_request(std::string_view json);
std::string write_restore_request(const std::vector<BlindedMessage>&);

struct RestoreResponse {
    std::vector<BlindedMessage> outputs;
    std::vector<BlindSignature> signatures;  // As many as outputs, pairwise.
};
Parsed<RestoreResponse> parse_restore_response(std::string_view json);
std::string write_restore_response(const RestoreResponse&);

// --- NUT-01, NUT-02, NUT-06 ----------------------------------------------------------------------
// /v1/keysets. Keysets whose id is of an unknown version are left out.
Parsed<std::vector<Keyset>> parse_keysets(std::string_view json);
std::string write_keysets(const std::vector<Keyset>&);
// /v1/keys and /v1/keys/{id}: with their keys. One that breaks a rule fails the whole answer.
Parsed<std::vector<Keyset>> parse_keys(std::string_view json);
std::string write_keys(const std::vector<Keyset>&);

Parsed<Info> parse_info(std::string_view json);
std::string write_info(const Info&);

// --- Errors (NUT-00) -----------------------------------------------------------------------------
struct ErrorBody {
    std::string detail;  // "" where there was none; JSON where it was no text.
    std::optional<int> code;
};
ErrorBody parse_error(std::string_view json);  // Of anything, HTML included.
std::string write_error(const ErrorBody&);

// A witness as a string, whether it came as one, as an object, or as a string twice encoded.
std::string unwrap_witness(std::string_view witness);

}  // namespace nutgate::cashu::wire
