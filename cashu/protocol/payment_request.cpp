#include "protocol/payment_request.h"

#include "nutgate/base/bech32.h"

namespace nutgate::cashu {

namespace {

using Error = PaymentRequestError;

constexpr std::string_view kCbor = "creqa";
constexpr std::string_view kTlv = "creqb";

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    const auto first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool begins_as(std::string_view text, std::string_view beginning) {
    return text.size() >= beginning.size() &&
           std::equal(beginning.begin(), beginning.end(), text.begin(),
                      [](char wanted, char c) { return wanted == lower(c); });
}

Result<PaymentRequest, Error> parse_bech32m(std::string_view text) {
    const auto decoded = decode_bech32(text, Bech32Form::Bech32m);
    if (!decoded) return fail(Error::Malformed);
    if (decoded->prefix != kTlv) return fail(Error::NotARequest);
    const auto bytes = to_bytes(decoded->data);
    if (!bytes) return fail(Error::Malformed);
    return read_request_tlv(*bytes);
}

}  // namespace

Result<PaymentRequest, PaymentRequestError> parse_payment_request(std::string_view text) {
    if (text.size() > kPaymentRequestBytesMax) return fail(Error::TooLarge);
    const std::string_view bare = trimmed(text);
    if (begins_as(bare, kTlv)) return parse_bech32m(bare);
    if (!begins_as(bare, kCbor)) return fail(Error::NotARequest);
    const auto bytes = from_base64(bare.substr(kCbor.size()));
    if (!bytes) return fail(Error::Malformed);
    return read_request_cbor(*bytes);
}

std::string write_creq_a(const PaymentRequest& request) {
    return "creqA" + to_base64url(write_request_cbor(request));
}

Result<std::string, PaymentRequestError> write_creq_b(const PaymentRequest& request) {
    TRY(const auto bytes, write_request_tlv(request));
    std::string text = encode_bech32(kTlv, to_groups(bytes), Bech32Form::Bech32m);
    for (char& c : text) c = upper(c);
    return text;
}

}  // namespace nutgate::cashu
