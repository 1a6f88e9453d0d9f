#include "nutgate/lightning/nwc_uri.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/http/message.h"

// An address that somebody pasted: what was read is written and read the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate;
    const auto uri = parse_nwc_uri(std::string_view{reinterpret_cast<const char*>(data), size});
    if (!uri) {
        VERIFY(!to_text(uri.error()).empty());
        return 0;
    }
    VERIFY(!uri->relays.empty() && uri->relays.size() <= kNwcRelaysMax);
    VERIFY(uri->secret.reveal().size() == 32);
    std::string text =
        "nostr+walletconnect://" + to_hex(uri->service) + "?secret=" + to_hex(uri->secret.reveal());
    for (const std::string& relay : uri->relays) text += "&relay=" + http::percent_encode(relay);
    if (!uri->lud16.empty()) text += "&lud16=" + http::percent_encode(uri->lud16);
    if (text.size() > kNwcUriBytesMax) return 0;  // Escapes make it longer.
    const auto again = parse_nwc_uri(text);
    VERIFY(again.has_value());
    VERIFY(again->service == uri->service && again->relays == uri->relays);
    VERIFY(again->lud16 == uri->lud16);
    VERIFY(equal_in_constant_time(again->secret.reveal(), uri->secret.reveal()));
    return 0;
}
