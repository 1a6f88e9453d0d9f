// `nutgate prices import|diff|apply|reload`: from a list that somebody publishes to the file that
// the node sells by, with a look in between.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

#include "commands.h"
#include "data_dir.h"
#include "data_view.h"
#include "nutgate/http/client.h"
#include "nutgate/http/url.h"
#include "nutgate/proxy/price_lists.h"
#include "operator_face.h"
#include "price_config.h"
#include "price_file.h"

namespace nutgate::app {
namespace {

constexpr Milliseconds kFetchTimeout{30'000};

struct NamedFormat {
    std::string_view name;
    proxy::ListFormat format;
};
constexpr std::array kFormats{NamedFormat{"openrouter", proxy::ListFormat::OpenRouter},
                              NamedFormat{"upstream", proxy::ListFormat::OpenRouter},
                              NamedFormat{"litellm", proxy::ListFormat::LiteLlm},
                              NamedFormat{"portkey", proxy::ListFormat::Portkey}};

std::optional<proxy::ListFormat> format_of(std::string_view name) {
    for (const NamedFormat& known : kFormats) {
        if (known.name == name) return known.format;
    }
    return std::nullopt;
}

std::string words(proxy::ListRefusal why) {
    switch (why) {
        case proxy::ListRefusal::Missing:
            return "has no price there";
        case proxy::ListRefusal::Variable:
            return "has a price that varies: it can't be sold at one";
        case proxy::ListRefusal::Malformed:
            return "has a price that is no number, or has too many digits";
        case proxy::ListRefusal::Zero:
            return "costs nothing there: --allow-free, if that is meant";
        case proxy::ListRefusal::OutOfRange:
            return "has a price that is too high, or too fine to be exact";
        case proxy::ListRefusal::Unsupported:
            return "is priced by what is not counted here";
    }
    return "has no price there";
}

std::string words(proxy::ListError error) {
    switch (error) {
        case proxy::ListError::NotJson:
            return "is no JSON";
        case proxy::ListError::OtherForm:
            return "is no list of that format";
        case proxy::ListError::TooMany:
            return "has more models than any list";
    }
    return "is no JSON";
}

std::optional<std::string> read_whole(const std::string& path) {
    std::error_code unknown;
    if (std::filesystem::is_directory(path, unknown)) return std::nullopt;
    std::ifstream file{path, std::ios::binary};
    if (!file) return std::nullopt;
    return std::string{std::istreambuf_iterator<char>{file}, {}};
}

// The configuration, if one is named: without the questions that only a node has to answer.
std::vector<Mistake> read_config(const PricesArguments& arguments, Config& config) {
    if (!arguments.data_dir.empty()) config.data_dir = arguments.data_dir;
    if (arguments.config_file.empty()) return {};
    const auto text = read_whole(arguments.config_file);
    if (!text) return {{"--config", "can't read " + arguments.config_file}};
    const std::string given = config.data_dir;
    auto mistakes = load(*text, process_environment(), config);
    if (arguments.data_dir_given) config.data_dir = given;
    return mistakes;
}

Result<std::string, std::string> fetch(const std::string& url, const std::string& key,
                                       const std::string& ca_file) {
    const auto client = http::make_client({.ca_file = ca_file});
    http::ClientRequest request;
    request.url = url;
    request.timeout = kFetchTimeout;
    request.response_bytes_max = proxy::kListBytesMax;
    if (!key.empty()) request.headers.set("Authorization", "Bearer " + key);
    const auto answer = client->call(request);
    if (!answer) return fail(url + ": " + answer.error().detail);
    if (answer->status != 200) {
        return fail(url + " answered " + std::to_string(answer->status));
    }
    return answer->body;
}

// From an upstream of the configuration, a URL, or a file.
Result<std::string, std::string> obtain(const std::string& source, const Config& config) {
    for (const UpstreamConfig& upstream : config.upstreams) {
        if (upstream.name != source) continue;
        TRY(const auto key, read_api_key(upstream, process_environment()));
        return fetch(list_url(upstream), key, upstream.ca_file);
    }
    if (http::parse_url(source)) return fetch(source, {}, {});
    auto text = read_whole(source);
    if (!text) return fail("can't read " + source);
    if (text->size() > proxy::kListBytesMax) return fail(source + " is larger than any list");
    return *std::move(text);
}

struct Wanted {
    std::string model;   // Ours.
    std::string listed;  // As the list calls it.
};

std::vector<Wanted> wanted_of(const PricesArguments& arguments, const Config& config,
                              const proxy::PriceList& list) {
    std::vector<Wanted> wanted;
    for (const std::string& text : arguments.models) {
        const std::size_t equals = text.find('=');
        const std::string model = text.substr(0, equals);
        wanted.push_back({model, equals == std::string::npos ? model : text.substr(equals + 1)});
    }
    if (!wanted.empty()) return wanted;
    if (arguments.all) {
        for (const auto& price : list.prices) wanted.push_back({price.model, price.model});
        for (const auto& refused : list.refused) wanted.push_back({refused.model, refused.model});
        return wanted;
    }
    for (const ModelConfig& model : config.models) {
        wanted.push_back(
            {model.id, model.upstream_model.empty() ? model.id : model.upstream_model});
    }
    return wanted;
}

struct Chosen {
    std::vector<PriceEntry> entries;
    std::vector<Mistake> refused;  // By the names that the list has.
};

Chosen choose(const std::vector<Wanted>& wanted, const proxy::PriceList& list,
              const PricesArguments& arguments) {
    Chosen chosen;
    for (const Wanted& one : wanted) {
        const auto is_it = [&](const auto& line) { return line.model == one.listed; };
        const auto found = std::ranges::find_if(list.prices, is_it);
        if (found == list.prices.end()) {
            const auto refused = std::ranges::find_if(list.refused, is_it);
            std::string why = "is not in that list";
            if (refused != list.refused.end()) {
                why = words(refused->why);
                if (!refused->field.empty()) why += " (" + refused->field + ")";
            }
            chosen.refused.push_back({one.listed, why});
            continue;
        }
        PriceEntry entry{.model = one.model,
                         .source = arguments.format + " " + one.listed,
                         .price = typed(found->table)};
        entry.price.margin = arguments.margin;
        entry.price.floor_msat = arguments.floor_msat;
        // Typed as people do, it may have more digits than people may type.
        if (const auto tariff = tariff_of(entry.price, one.listed); !tariff) {
            chosen.refused.push_back(tariff.error().front());
            continue;
        }
        chosen.entries.push_back(std::move(entry));
    }
    return chosen;
}

std::string headed(const std::vector<PriceEntry>& entries) {
    return "# Prices for `nutgate prices apply`: USD per million tokens or characters, or for one "
           "of\n# the rest, as listed; the margin comes on top.\n" +
           prices_to_toml(entries);
}

void print_changes(const std::vector<PriceChange>& all) {
    for (const PriceChange& change : all) {
        std::printf("%s  %s  %s -> %s\n", change.model.c_str(), change.key.c_str(),
                    change.before.empty() ? "-" : change.before.c_str(),
                    change.after.empty() ? "-" : change.after.c_str());
    }
    if (all.empty()) std::puts("nothing changes");
}

Json changes_json(const std::vector<PriceChange>& all) {
    Json lines = Json::array();
    for (const PriceChange& change : all) {
        lines.push_back({{"model", change.model},
                         {"key", change.key},
                         {"before", change.before.empty() ? Json() : Json(change.before)},
                         {"after", change.after.empty() ? Json() : Json(change.after)}});
    }
    return lines;
}

// To a file, to standard output, or told as JSON; what was refused to standard error.
int hand_out(const Chosen& chosen, const PricesArguments& arguments) {
    (void)complain(chosen.refused);
    const std::string toml = headed(chosen.entries);
    if (!arguments.output_file.empty() && !chosen.entries.empty()) {
        if (const auto written = replace_file(arguments.output_file, toml); !written) {
            return complain(written.error().detail);
        }
    }
    if (arguments.output == Output::Json) {
        Json refused = Json::array();
        for (const Mistake& line : chosen.refused) {
            refused.push_back({{"model", line.key}, {"why", line.what}});
        }
        (void)print({{"prices", changes_json(changes({}, chosen.entries))}, {"refused", refused}});
    } else if (arguments.output_file.empty() && !chosen.entries.empty()) {
        std::fputs(toml.c_str(), stdout);
    }
    // Of a whole list, some are always refused.
    const bool done = !chosen.entries.empty() && (arguments.all || chosen.refused.empty());
    return done ? kDone : kFailed;
}

// The file that the node sells by, and the one that is to change it.
struct Both {
    std::string path;
    PriceFile current;
    PriceFile candidate;
};
Result<Both, std::vector<Mistake>> read_both(const PricesArguments& arguments) {
    Config config;
    auto mistakes = read_config(arguments, config);
    if (!mistakes.empty()) return fail(std::move(mistakes));
    Both both{.path = prices_path(config),
              .current = read_price_file(prices_path(config), false),
              .candidate = read_price_file(arguments.source, true)};
    for (const PriceFile* file : {&both.current, &both.candidate}) {
        mistakes.insert(mistakes.end(), file->mistakes.begin(), file->mistakes.end());
    }
    if (!mistakes.empty()) return fail(std::move(mistakes));
    return both;
}

}  // namespace

int prices_import(const PricesArguments& arguments) {
    Config config;
    const auto mistakes = read_config(arguments, config);
    if (!mistakes.empty()) return complain(mistakes);
    const auto format = format_of(arguments.format);
    if (!format) {
        return complain("--format must be one of: openrouter, litellm, portkey, upstream",
                        kMisused);
    }
    if (!arguments.margin.empty() && !proxy::parse_decimal(arguments.margin)) {
        return complain("--margin must be a decimal", kMisused);
    }
    if (arguments.models.empty() && !arguments.all && config.models.empty()) {
        return complain("which models? --model, --all, or --config with a [[model]]", kMisused);
    }
    const auto text = obtain(arguments.source, config);
    if (!text) return complain(text.error());
    const auto list =
        proxy::read_price_list(*format, *text, {.free_allowed = arguments.free_allowed});
    if (!list) return complain(arguments.source + " " + words(list.error()));
    return hand_out(choose(wanted_of(arguments, config, *list), *list, arguments), arguments);
}

int prices_diff(const PricesArguments& arguments) {
    const auto both = read_both(arguments);
    if (!both) return complain(both.error());
    const auto all = changes(both->current.entries, both->candidate.entries);
    if (arguments.output == Output::Json) return print(changes_json(all));
    print_changes(all);
    return kDone;
}

int prices_apply(const PricesArguments& arguments) {
    const auto both = read_both(arguments);
    if (!both) return complain(both.error());
    const auto all = changes(both->current.entries, both->candidate.entries);
    const auto entries = merged(both->current.entries, both->candidate.entries);
    if (!all.empty()) {
        if (const auto written = replace_file(both->path, headed(entries)); !written) {
            return complain(written.error().detail);
        }
    }
    if (arguments.output == Output::Json) {
        return print({{"file", both->path}, {"changes", changes_json(all)}});
    }
    print_changes(all);
    if (!all.empty()) {
        std::printf(
            "written to %s; a running node takes it at `nutgate prices reload`, or at SIGHUP\n",
            both->path.c_str());
    }
    return kDone;
}

int prices_reload(const PricesArguments& arguments) {
    Config config;
    const auto mistakes = read_config(arguments, config);
    if (!mistakes.empty()) return complain(mistakes);
    const auto taken = ask_node(config.data_dir, {.path = "/admin/prices/reload"});
    if (!taken) return complain(taken.error().detail);
    if (arguments.output == Output::Json) return print(*taken);
    std::puts("the node sells by them now; what it is at work on ends at its own prices");
    return kDone;
}

}  // namespace nutgate::app
