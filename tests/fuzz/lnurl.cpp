#include "nutgate/lightning/lnurl.h"

#include <cstdint>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/http/url.h"

// What a person pastes and what a server answers: whatever comes of it, the URL that would be
// called is https or an onion's, and an amount is within the bounds.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const auto check_url = [](const std::string& url) {
        const auto parsed = http::parse_url(url);
        VERIFY(parsed.has_value());
        VERIFY(parsed->tls || parsed->host.ends_with(".onion"));
    };
    if (const auto url = lnurl_url(text)) check_url(*url);
    const auto pay = parse_lnurl_pay(text);
    if (pay) {
        VERIFY(pay->least > Msat{} && pay->least <= pay->most);
        const auto callback = lnurl_callback(*pay, pay->least);
        VERIFY(callback.has_value());
        check_url(*callback);
    }
    const LnurlPay any{.callback = "https://a.example/",
                       .least = 1'000_msat,
                       .most = 1'000'000_msat,
                       .metadata = "[]",
                       .description = {}};
    const LnurlCheck check{.amount = 250'000'000_msat, .now = from_unix_seconds(1'496'314'658)};
    if (const auto invoice = parse_lnurl_invoice(text, any, check)) {
        VERIFY(invoice->parsed.amount == check.amount);
    }
    return 0;
}
