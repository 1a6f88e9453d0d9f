#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <toml++/toml.h>
#include <tuple>

#include "config.h"
#include "lightning_config.h"
#include "nutgate/http/url.h"

// POSIX has it so: NOLINTNEXTLINE(*-avoid-non-const-global-variables)
extern char** environ;

namespace nutgate::app {
namespace {

std::string upper(std::string_view text) {
    std::string result;
    for (const char c : text) {
        result += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return result;
}

std::vector<std::string> split_commas(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        auto part = text.substr(0, comma);
        while (part.starts_with(' ')) part.remove_prefix(1);
        while (part.ends_with(' ')) part.remove_suffix(1);
        if (!part.empty()) parts.emplace_back(part);
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return parts;
}

// Reads keys out of a table and its overrides in the environment; remembers which were asked for,
// so that what nobody asked for is a mistake.
class Loader final : public ConfigVisitor {
public:
    Loader(const toml::table& root, const Environment& environment, std::vector<Mistake>& mistakes)
        : root_{root}, table_{&root}, environment_{environment}, mistakes_{mistakes} {}

    void section(std::string_view name, std::string_view) override {
        section_ = std::string{name};
        table_ = root_.at_path(name).as_table();
        if (const auto node = root_.at_path(name); node && table_ == nullptr) {
            fault("", "must be a table");
        }
    }

    void text(const Key& key, std::string& value) override {
        if (const auto given = override_of(key)) {
            value = *given;
            return;
        }
        const auto* node = take(key);
        if (node == nullptr) return;
        const auto found = node->value_exact<std::string>();
        if (!found) return fault(key.name, "must be text");
        value = *found;
    }

    void choice(const Key& key, std::string& value,
                const std::vector<std::string_view>& allowed) override {
        text(key, value);
        if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
        std::string words;
        for (const auto word : allowed) {
            if (word.empty()) continue;
            words += words.empty() ? "" : ", ";
            words += word;
        }
        fault(key.name, "is \"" + value + "\", must be one of: " + words);
    }

    void integer(const Key& key, std::int64_t& value) override {
        if (const auto given = override_of(key)) {
            const auto* end = given->data() + given->size();
            const auto parsed = std::from_chars(given->data(), end, value);
            if (parsed.ec != std::errc{} || parsed.ptr != end) {
                return fault(key.name, "must be a whole number");
            }
        } else if (const auto* node = take(key)) {
            const auto found = node->value_exact<std::int64_t>();
            if (!found) return fault(key.name, "must be a whole number");
            value = *found;
        } else {
            return;
        }
        if (value < key.min || value > key.max) {
            fault(key.name, "is " + std::to_string(value) + ", must be from " +
                                std::to_string(key.min) + " to " + std::to_string(key.max));
        }
    }

    void flag(const Key& key, bool& value) override {
        if (const auto given = override_of(key)) {
            if (*given != "true" && *given != "false") {
                return fault(key.name, "must be true or false");
            }
            value = *given == "true";
            return;
        }
        const auto* node = take(key);
        if (node == nullptr) return;
        const auto found = node->value_exact<bool>();
        if (!found) return fault(key.name, "must be true or false");
        value = *found;
    }

    void list(const Key& key, std::vector<std::string>& value) override {
        if (const auto given = override_of(key)) {
            value = split_commas(*given);
            return;
        }
        const auto* node = take(key);
        if (node == nullptr) return;
        const auto* array = node->as_array();
        if (array == nullptr) return fault(key.name, "must be a list of texts");
        std::vector<std::string> items;
        for (const auto& item : *array) {
            const auto found = item.value_exact<std::string>();
            if (!found) return fault(key.name, "must be a list of texts");
            items.push_back(*found);
        }
        value = std::move(items);
    }

    void upstreams(std::vector<UpstreamConfig>& value) override { tables("upstream", value); }
    void models(std::vector<ModelConfig>& value) override { tables("model", value); }
    void routes(std::vector<RouteConfig>& value) override { tables("route", value); }
    void costs(std::vector<CostConfig>& value) override { tables("cost", value); }
    void bare_prices(const Key&, PriceConfig& value) override { visit_bare(value, *this); }

    void overrides(const Key& key, std::vector<PriceOverrideConfig>& value) override {
        const std::string path = path_of(key.name);
        const auto* node = table_ == nullptr ? nullptr : table_->at_path(key.name).node();
        if (node == nullptr) return;
        const auto* array = node->as_array();
        if (array == nullptr || array->empty()) {
            taken_.insert(path);
            if (array == nullptr) fault(key.name, "must be a list of tables");
            return;
        }
        const auto outer = std::pair{section_, table_};
        std::size_t index = 0;
        for (const auto& item : *array) {
            section_ = path + "[" + std::to_string(index++) + "]";
            table_ = item.as_table();
            if (table_ == nullptr) {
                fault("", "must be a table");
                continue;
            }
            visit(value.emplace_back(), *this);
        }
        std::tie(section_, table_) = outer;
    }
    void prices(std::vector<PriceEntry>& value) { tables("price", value); }

    // After all keys were asked for: what is left in the file nobody knows.
    void report_unknown() {
        report_unknown(root_, "");
        for (const auto& [name, value] : environment_) {
            if (name.starts_with("NUTGATE_") && !known_variables_.contains(name)) {
                mistakes_.push_back({name, "is an unknown environment variable"});
            }
        }
    }

    void know_variable(std::string_view name) { known_variables_.insert(std::string{name}); }

private:
    template <class Item>
    void tables(std::string_view name, std::vector<Item>& value) {
        const auto* node = root_.get(name);
        if (node == nullptr) return;
        const auto* array = node->as_array();
        if (array == nullptr) {
            mistakes_.push_back(
                {std::string{name}, "must be written as [[" + std::string{name} + "]]"});
            taken_.insert(std::string{name});
            return;
        }
        std::size_t index = 0;
        for (const auto& item : *array) {
            section_ = std::string{name} + "[" + std::to_string(index++) + "]";
            table_ = item.as_table();
            if (table_ == nullptr) {
                fault("", "must be a table");
                continue;
            }
            in_list_ = true;
            visit(value.emplace_back(), *this);
            in_list_ = false;
        }
    }

    std::string path_of(std::string_view key) const {
        if (key.empty()) return section_;
        return section_.empty() ? std::string{key} : section_ + "." + std::string{key};
    }

    void fault(std::string_view key, std::string what) {
        mistakes_.push_back({path_of(key), std::move(what)});
    }

    const toml::node* take(const Key& key) {
        taken_.insert(path_of(key.name));
        if (table_ == nullptr) return nullptr;
        return table_->at_path(key.name).node();
    }

    // Lists of tables have no names that a variable could carry.
    std::optional<std::string> override_of(const Key& key) {
        taken_.insert(path_of(key.name));
        if (in_list_) return std::nullopt;
        const std::string variable = "NUTGATE_" + upper(path_of(key.name));
        known_variables_.insert(variable);
        for (const auto& [name, value] : environment_) {
            if (name == variable) return value;
        }
        return std::nullopt;
    }

    // As deep as toml++ lets a file be: NOLINTNEXTLINE(misc-no-recursion)
    void report_unknown(const toml::table& table, const std::string& path) {
        for (const auto& [key, node] : table) {
            const std::string here =
                path.empty() ? std::string{key.str()} : path + "." + std::string{key.str()};
            if (const auto* table_here = node.as_table()) {
                report_unknown(*table_here, here);
            } else if (const auto* array = node.as_array();
                       array != nullptr && !taken_.contains(here)) {
                std::size_t index = 0;
                bool tables = false;
                for (const auto& item : *array) {
                    if (const auto* inner = item.as_table()) {
                        tables = true;
                        report_unknown(*inner, here + "[" + std::to_string(index) + "]");
                    }
                    ++index;
                }
                if (!tables) mistakes_.push_back({here, "is an unknown key"});
            } else if (!taken_.contains(here)) {
                mistakes_.push_back({here, "is an unknown key"});
            }
        }
    }

    const toml::table& root_;
    const toml::table* table_;
    const Environment& environment_;
    std::vector<Mistake>& mistakes_;
    std::string section_;
    bool in_list_ = false;
    std::set<std::string> taken_;
    std::set<std::string> known_variables_;
};

std::optional<Mistake> parse(std::string_view text, toml::table& root) {
    try {
        root = toml::parse(text);
    } catch (const toml::parse_error& e) {
        const auto at = e.source().begin;
        return Mistake{"line " + std::to_string(at.line) + ", column " + std::to_string(at.column),
                       std::string{e.description()}};
    }
    return std::nullopt;
}

}  // namespace

Environment process_environment() {
    Environment result;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text{*entry};
        const auto equals = text.find('=');
        if (equals == std::string_view::npos) continue;
        result.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
    return result;
}

std::vector<Mistake> load(std::string_view toml, const Environment& environment, Config& config) {
    std::vector<Mistake> mistakes;
    toml::table root;
    if (auto malformed = parse(toml, root)) return {*std::move(malformed)};
    Loader loader{root, environment, mistakes};
    visit(config, loader);
    // A variable that holds a secret may well begin with our prefix.
    for (const UpstreamConfig& upstream : config.upstreams) {
        loader.know_variable(upstream.api_key_env);
    }
    for (const LightningNodeKind& kind : lightning_node_kinds()) {
        loader.know_variable((config.*kind.config).receive_env);
        loader.know_variable((config.*kind.config).pay_env);
    }
    loader.report_unknown();
    return mistakes;
}

std::vector<Mistake> load_prices(std::string_view toml, std::vector<PriceEntry>& entries) {
    std::vector<Mistake> mistakes;
    toml::table root;
    if (auto malformed = parse(toml, root)) return {*std::move(malformed)};
    const Environment nothing;
    Loader loader{root, nothing, mistakes};
    loader.prices(entries);
    loader.report_unknown();
    return mistakes;
}

Result<std::string, std::string> read_api_key(const UpstreamConfig& upstream,
                                              const Environment& environment) {
    std::string key;
    if (!upstream.api_key_env.empty()) {
        const auto found =
            std::find_if(environment.begin(), environment.end(),
                         [&](const auto& entry) { return entry.first == upstream.api_key_env; });
        if (found == environment.end() || found->second.empty()) {
            return fail("names the variable " + upstream.api_key_env + ", which is not set");
        }
        key = found->second;
    } else if (!upstream.api_key_file.empty()) {
        std::ifstream file{upstream.api_key_file, std::ios::binary};
        if (!file) return fail("names the file " + upstream.api_key_file + ", which can't be read");
        key.assign(std::istreambuf_iterator<char>{file}, {});
        while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
        if (key.empty())
            return fail("names the file " + upstream.api_key_file + ", which is empty");
    }
    for (const char c : key) {
        if (c <= ' ' || c >= '\x7f')
            return fail(std::string{"holds a key with a space or control character"});
    }
    return key;
}

std::string list_url(const UpstreamConfig& upstream) {
    auto url = http::parse_url(upstream.url);
    if (!url) return {};
    url->path += "/models";
    return url->text();
}

std::optional<HostPort> parse_host_port(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    unsigned port = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size() || port > 65535) {
        return std::nullopt;
    }
    if (host.empty()) return std::nullopt;
    return HostPort{std::string{host}, static_cast<std::uint16_t>(port)};
}

}  // namespace nutgate::app
