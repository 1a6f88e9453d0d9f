#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"
#include "src/http/head_checks.h"
#include "support/beast_head.h"

// A head that is let through says in one way only where its request ends and whom it is for, and
// holds nothing that another reader might split. What follows it is fed to the chunk reader, which
// never takes more than it was given nor more than the bound.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::http;
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    const auto scan = scan_head(bytes, 0);
    if (scan.state != HeadScan::State::Complete) return 0;
    VERIFY(scan.size <= bytes.size());
    const auto head = bytes.substr(0, scan.size);
    VERIFY(head.ends_with("\r\n\r\n"));

    const HeadLimits limits;
    Request request;
    RequestParser parser{request, limits};
    if (!parser.head(head)) return 0;
    const auto& headers = request.headers;
    const auto lengths = headers.count("content-length");
    const auto codings = headers.count("transfer-encoding");
    VERIFY(lengths + codings <= 1);
    VERIFY(headers.count("host") == 1);
    VERIFY(headers.count("content-encoding") == 0);
    VERIFY(headers.entries().size() <= limits.header_count_max);
    VERIFY(parser.is_chunked() == (codings == 1));
    VERIFY(lengths == 1 || parser.body_bytes() == 0);
    for (const auto& [name, value] : headers.entries()) {
        VERIFY(is_header_name(name));
        VERIFY(is_header_value(value));
    }
    // Another reader, by other people, finds the same in it.
    const nutgate::test::BeastHead<true> other{head};
    VERIFY(other.is_taken && other.headers.size() == headers.entries().size());
    VERIFY(std::ranges::equal(other.headers, headers.entries(), [](const auto& a, const auto& b) {
        return a.first == b.first && a.second == b.second;
    }));
    VERIFY(other.target == request.target && other.chunked() == parser.is_chunked());
    VERIFY(other.content_length().value_or(0) == parser.body_bytes());
    // As many headers as lines: no line was joined to another.
    VERIFY(static_cast<std::size_t>(std::count(head.begin(), head.end(), '\n')) ==
           headers.entries().size() + 2);
    if (split_target(request, {"127.0.0.1:8402"})) {
        VERIFY(is_header_value(request.path));
        VERIFY(request.path == "*" || request.path.starts_with('/'));
    }
    if (!parser.is_chunked()) return 0;
    constexpr std::size_t kBodyMax = 1000;
    auto rest = bytes.substr(scan.size);
    while (!rest.empty() && !parser.has_whole_body()) {
        const auto taken = parser.chunks(rest, kBodyMax);
        if (!taken || *taken == 0) break;
        VERIFY(*taken <= rest.size());
        rest.remove_prefix(*taken);
    }
    VERIFY(request.body.size() <= kBodyMax);
    return 0;
}
