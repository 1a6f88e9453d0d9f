#include "nutgate/http/url.h"

#include <cstdint>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/http/message.h"

// A URL that is taken, written and taken again is the same one, and nothing in it could break out
// of a request's head.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::http;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const auto decoded = percent_decode(text, Encoding::Path);
    if (decoded) VERIFY(percent_decode(percent_encode(*decoded), Encoding::Path) == decoded);

    const auto url = parse_url(text);
    if (!url) return 0;
    VERIFY(!url->host.empty());
    VERIFY(url->port != 0);
    VERIFY(url->path.empty() || url->path.front() == '/');
    VERIFY(is_header_value(url->text()));
    VERIFY(url->text().find(' ') == std::string::npos);
    const auto again = parse_url(url->text());
    VERIFY(again.has_value());
    VERIFY(again->text() == url->text());
    VERIFY(again->host == url->host);
    VERIFY(again->port == url->port);
    return 0;
}
