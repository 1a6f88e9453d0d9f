#include <algorithm>
#include <cstdint>

#include "nutgate/base/bech32.h"
#include "nutgate/base/verify.h"
#include "nutgate/lightning/invoice.h"

// Any text is an invoice or has a reason why not. One that is and says what we can say, is written
// again by us and reads the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    auto invoice = parse_bolt11(text);
    if (!invoice) {
        // A mutation nearly never hits the checksum: mend it, so that what lies behind is reached.
        const auto separator = text.rfind('1');
        if (separator == std::string_view::npos || size > 4000) return 0;
        const auto prefix = text.substr(0, separator);
        if (std::ranges::any_of(prefix, [](char c) { return c < 33 || c > 126; })) return 0;
        Groups groups;
        for (const char c : text.substr(separator + 1)) {
            groups.push_back(static_cast<std::uint8_t>(c & 31));
        }
        invoice = parse_bolt11(encode_bech32(prefix, groups));
    }
    if (!invoice || !invoice->description || invoice->amount == Msat{}) return 0;

    static const auto kKey = *crypto::Scalar::from_hex(std::string(64, '1'));
    const auto again = parse_bolt11(write_bolt11({.network = invoice->network,
                                                  .amount = invoice->amount,
                                                  .created_at = invoice->created_at,
                                                  .expiry = invoice->expiry,
                                                  .payment_hash = invoice->payment_hash,
                                                  .payment_secret = invoice->payment_secret,
                                                  .description = *invoice->description,
                                                  .min_final_cltv = invoice->min_final_cltv},
                                                 kKey));
    VERIFY(again.has_value());
    VERIFY(again->network == invoice->network && again->amount == invoice->amount);
    VERIFY(again->expires_at() == invoice->expires_at());
    VERIFY(again->payment_hash == invoice->payment_hash);
    VERIFY(again->payment_secret == invoice->payment_secret);
    VERIFY(again->description == invoice->description);
    VERIFY(again->min_final_cltv == invoice->min_final_cltv);
    return 0;
}
