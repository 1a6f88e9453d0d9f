// Payment requests: what a payee asks for, as text, and what a payer sends in answer (NUT-18, its
// amendment, NUT-26).
//
// One request has two texts: "creqA…", CBOR in base64, and "CREQB1…", which a QR code shows in half
// the space. Reading takes both and keeps what it finds; whether a request can be met, and whether
// a payment meets it, is for others to judge.
//
//     PaymentRequest request;
//     request.id = "b7a90176";
//     request.amount = 1000;
//     request.unit = "sat";
//     request.mints = {MintUrl::parse("https://mint.example.com").value()};
//     request.transports = {{"post", "https://node.example.com/pay", {}}};
//     const std::string text = write_creq_a(request);
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/result.h"
#include "nutgate/cashu/proof.h"
#include "nutgate/cashu/spending_condition.h"
#include "nutgate/cashu/token.h"
#include "nutgate/cashu/wire.h"

namespace nutgate::cashu {

inline constexpr std::size_t kPaymentRequestBytesMax = 16 * 1024;

// How the payment is to be handed over; a request without any is paid where it was shown.
struct Transport {
    // "post": to a URL. "nostr": to an npub or nprofile. In a CREQB also a number that we have no
    // name for.
    std::string kind;
    std::string target;
    std::vector<std::vector<std::string>> tags;
    friend bool operator==(const Transport&, const Transport&) = default;
};

// A way in which the payee takes money out of a mint that is none of its own (amendment).
struct SettlementMethod {
    std::string method;  // "bolt11"
    std::optional<Amount> fee;
    friend bool operator==(const SettlementMethod&, const SettlementMethod&) = default;
};

struct PaymentRequest {
    std::optional<std::string> id;
    std::optional<Amount> amount;  // Of `unit`, which is there if this is.
    std::optional<std::string> unit;
    std::optional<bool> single_use;
    std::vector<MintUrl> mints;               // Empty: any.
    std::optional<bool> mints_are_preferred;  // Others are taken too, at the price of …
    std::optional<Amount> fee_reserve;        // … so much more, or of a method's fee.
    std::vector<SettlementMethod> methods;
    std::optional<std::string> description;
    std::vector<Transport> transports;
    std::optional<LockTerms> lock;  // How the proofs must be locked ("nut10").
    friend bool operator==(const PaymentRequest&, const PaymentRequest&) = default;
};

enum class PaymentRequestError {
    NotARequest,  // Neither of the two beginnings.
    Malformed,    // Not base64, Bech32m, CBOR or TLV of the right shape; an amount without a unit.
    TooLarge,
    Inexpressible,  // Writing CREQB: a target or a text that has no place in it.
};

// Takes both texts, either case where the text has none of its own, and white space around.
Result<PaymentRequest, PaymentRequestError> parse_payment_request(std::string_view text);
std::string write_creq_a(const PaymentRequest& request);
// In upper case. Nostr's names become keys and relays, so it reads back as the shortest name of the
// same.
Result<std::string, PaymentRequestError> write_creq_b(const PaymentRequest& request);

// What a payer posts. The token's proofs carry their DLEQs and blinding keys; their keyset ids may
// be short. It is checked as any token is: no proof twice, none of zero, a sum that fits.
struct RequestPayment {
    std::optional<std::string> id;  // The request's.
    Token token;
};
wire::Parsed<RequestPayment> parse_request_payment(std::string_view json);
std::string write_request_payment(const RequestPayment& payment);

}  // namespace nutgate::cashu
