#include "known_mints.h"

#include <cstdlib>
#include <string>

namespace nutgate::app {
namespace {

// URLs hold no white space.
constexpr char kSeparator = '\n';

}  // namespace

std::optional<Msat> exposure_max(const Config& config) {
    if (config.exposure_max_sat == 0) return std::nullopt;
    return to_msat(Sat::from_raw(config.exposure_max_sat).value_or(Sat{}));
}

Result<void, store::StoreFailure> publish_mints(store::Database& database, const Config& config) {
    std::string text = std::to_string(exposure_max(config).value_or(Msat{}).raw());
    for (const std::string& name : config.mints) {
        const auto url = cashu::MintUrl::parse(name);
        if (url) text += kSeparator + url->text();
    }
    const auto done = database.transact([&](store::Tx& tx) -> Result<bool, store::StoreFailure> {
        tx.execute(
            "INSERT INTO node (name, value) VALUES ('mints', $1) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            std::string_view{text});
        return true;
    });
    if (!done) return fail(done.error());
    return {};
}

KnownMints known_mints(store::Reader& reader) {
    KnownMints known;
    const auto row = reader.query_one("SELECT value FROM node WHERE name = 'mints'");
    if (!row) return known;
    std::string rest = row->text(0);
    bool first = true;
    while (!rest.empty()) {
        const auto end = rest.find(kSeparator);
        const std::string line = rest.substr(0, end);
        rest = end == std::string::npos ? std::string{} : rest.substr(end + 1);
        if (first) {
            const auto most = Msat::from_raw(std::strtoll(line.c_str(), nullptr, 10));
            if (most && *most > Msat{}) known.exposure_max = most;
        } else if (const auto url = cashu::MintUrl::parse(line)) {
            known.configured.push_back(*url);
        }
        first = false;
    }
    return known;
}

}  // namespace nutgate::app
