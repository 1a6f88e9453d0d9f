#include "anthropic_betas.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "body_parser.h"

namespace nutgate::proxy {
namespace {

// Some do nothing any more, and are sent by clients all the same.
constexpr std::array<std::string_view, 9> kPassed{
    "effort-2025-11-24",
    "extended-cache-ttl-2025-04-11",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19",
    "prompt-caching-2024-07-31",
    "structured-outputs-2025-11-13",
    "token-counting-2024-11-01",
    "token-efficient-tools-2025-02-19",
};

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
    while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
    return text;
}

// Once, however often it was named: what comes out is never longer than the list.
void pass_known(std::string_view names, std::string& passed) {
    while (!names.empty()) {
        const std::size_t comma = std::min(names.find(','), names.size());
        const std::string_view name = trimmed(names.substr(0, comma));
        names.remove_prefix(std::min(comma + 1, names.size()));
        const bool known = std::find(kPassed.begin(), kPassed.end(), name) != kPassed.end();
        if (!known || passed.find(name) != std::string::npos) continue;
        if (!passed.empty()) passed += ',';
        passed += name;
    }
}

}  // namespace

std::string passed_betas(const http::Headers& headers) {
    std::string passed;
    if (headers.count("anthropic-beta") == 0) return passed;
    for (const auto& [header, names] : headers.entries()) {
        if (http::equal_without_case(header, "anthropic-beta")) pass_known(names, passed);
    }
    return passed;
}

}  // namespace nutgate::proxy
