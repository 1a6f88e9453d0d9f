#include "src/app/config.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/proxy/pricing.h"

// A file without a mistake is, written and read again, the same; each mistake says what it is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate;
    using namespace nutgate::app;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    if (const auto address = parse_host_port(text)) VERIFY(!address->host.empty());
    static_cast<void>(proxy::parse_decimal(text));

    Config config;
    const auto mistakes = load(text, {}, config);
    for (const Mistake& mistake : mistakes) VERIFY(!mistake.what.empty());
    if (!mistakes.empty()) return 0;
    // A file that it names is not opened here.
    for (UpstreamConfig& upstream : config.upstreams) {
        upstream.api_key_file.clear();
        upstream.ca_file.clear();
    }
    const auto mistaken = check(config, {});
    for (const Mistake& mistake : mistaken) VERIFY(!mistake.what.empty());
    if (!mistaken.empty()) return 0;
    const std::string written = to_toml(config);
    Config again;
    VERIFY(load(written, {}, again).empty());
    VERIFY(to_toml(again) == written);
    return 0;
}
