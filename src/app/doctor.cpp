// nutgate doctor: looks at the configuration and asks each Lightning node that it names who it is.
// Changes nothing, and works beside a running node.
#include <cstdio>
#include <string>

#include "commands.h"
#include "data_view.h"
#include "lightning_nodes.h"
#include "nutgate/lightning/offers.h"
#include "nutgate/store/open.h"

namespace nutgate::app {
namespace {

struct Finding {
    std::string name;
    std::string url;
    bool answers = false;
    bool right_network = false;  // Or one that does not say.
    bool pays = false;
    enum class Offers { None, Refused, Made };
    Offers offers = Offers::None;
    bool synced = false;
    bool proven = false;
    std::string version;

    bool well() const { return answers && right_network && synced; }
};

Finding look_at(LightningNode& node, const LightningNodeKind& kind, const Config& config) {
    Finding found{.name = node.name(),
                  .url = (config.*kind.config).url,
                  .pays = node.pays(),
                  .proven = kind.proven,
                  .version = {}};
    const auto status = node.status();
    if (!status) return found;
    found.answers = true;
    found.right_network = status->network.value_or(node.network()) == node.network();
    found.synced = status->synced;
    found.version = status->version;
    for (OfferBackend* const offers : node.offers()) {
        found.offers = offers->check_offers() ? Finding::Offers::Made : Finding::Offers::Refused;
    }
    return found;
}

std::string_view in_words(Finding::Offers offers) {
    switch (offers) {
        case Finding::Offers::None:
            return "";
        case Finding::Offers::Refused:
            return "; its credential is not good for offers";
        case Finding::Offers::Made:
            return "; makes offers (BOLT12)";
    }
    return "";
}

Json to_json(const Finding& f) {
    return {{"backend", f.name},
            {"url", f.url},
            {"answers", f.answers},
            {"version", f.version},
            {"network_fits", f.answers ? Json(f.right_network) : Json()},
            {"synced", f.answers ? Json(f.synced) : Json()},
            {"may_pay", f.pays},
            {"makes_offers", f.offers == Finding::Offers::Made},
            {"run_against_a_real_node", f.proven}};
}

void print_line(const Finding& f) {
    // An address that is a secret is not shown.
    std::printf("%s%s%s: ", f.name.c_str(), f.url.empty() ? "" : " at ", f.url.c_str());
    if (!f.answers) {
        std::printf("DOES NOT ANSWER, or does not take the credential");
    } else {
        std::printf("answers%s%s", f.version.empty() ? "" : ", version ", f.version.c_str());
        if (!f.right_network) std::printf(", IS OF ANOTHER NETWORK");
        if (!f.synced) std::printf(", IS BEHIND THE CHAIN");
    }
    std::printf("; %s%s\n", f.pays ? "has a credential to pay with" : "receives only",
                std::string{in_words(f.offers)}.c_str());
    if (!f.proven) {
        std::printf(
            "  this adapter was only run against a fake that was written from the "
            "documentation: begin with small amounts\n");
    }
}

}  // namespace

int doctor(const DoctorArguments& arguments) {
    ServeArguments assembled;
    assembled.config_file = arguments.config_file;
    assembled.data_dir = arguments.data_dir;
    const Environment environment = process_environment();
    Config config;
    const auto mistakes = assemble(assembled, environment, config);
    if (!mistakes.empty()) return complain(mistakes);
    // To be asked who they are, they need no book of invoices and no seed.
    const auto nowhere = store::open("sqlite::memory:");
    if (!nowhere) return complain(nowhere.error().detail);
    const Secret no_seed{Bytes(32)};
    metrics::Registry metrics;
    const SystemClock clock;
    crypto::SystemRandom random;
    const auto nodes = LightningNodes::make(
        config, environment, no_seed,
        {.database = **nowhere, .metrics = metrics, .clock = clock, .random = random});
    if (!nodes) return complain({nodes.error()});
    bool well = true;
    Json lines = Json::array();
    for (const auto* kind : used_nodes(config)) {
        const Finding found = look_at(*VERIFY_PTR(nodes->find(kind->name)), *kind, config);
        well = well && found.well();
        if (arguments.output == Output::Json) {
            lines.push_back(to_json(found));
        } else {
            print_line(found);
        }
    }
    if (arguments.output == Output::Json) {
        print({{"well", well}, {"lightning", lines}});
    } else {
        if (used_nodes(config).empty()) std::puts("no Lightning node is configured");
        std::puts(well ? "all is well" : "something is NOT well");
    }
    return well ? kDone : kFailed;
}

}  // namespace nutgate::app
