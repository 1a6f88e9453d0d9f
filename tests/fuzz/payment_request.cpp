#include "nutgate/cashu/payment_request.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/bech32.h"
#include "nutgate/base/verify.h"

namespace {

using namespace nutgate;
using namespace nutgate::cashu;

// What was read is read again from either text that we write of it.
void check(std::string_view text) {
    const auto request = parse_payment_request(text);
    if (!request) return;
    // Base64 makes it longer than what was within the bound.
    const std::string a = write_creq_a(*request);
    if (a.size() <= kPaymentRequestBytesMax) VERIFY(parse_payment_request(a).value() == *request);
    const auto b = write_creq_b(*request);
    if (!b || b->size() > kPaymentRequestBytesMax) return;
    const auto again = parse_payment_request(*b);
    VERIFY(again.has_value());
    VERIFY(write_creq_b(*again).value() == *b);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    check(text);
    // Past base64 and the checksum, which a fuzzer finds hard to cross.
    check("creqA" + to_base64url(as_bytes(text)));
    check(encode_bech32("creqb", to_groups(as_bytes(text)), Bech32Form::Bech32m));

    if (const auto payment = parse_request_payment(text)) {
        VERIFY(!payment->token.proofs.empty());
        VERIFY(sum(payment->token.proofs).value_or(0) > 0);
        const std::string written = write_request_payment(*payment);
        const auto again = parse_request_payment(written);
        VERIFY(again.has_value());
        VERIFY(write_request_payment(*again) == written);
    }
    return 0;
}
