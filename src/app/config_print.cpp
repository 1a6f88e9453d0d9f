#include <array>

#include "config.h"
#include "nutgate/base/bytes.h"

namespace nutgate::app {
namespace {

// As a basic string, in which TOML has every control character escaped.
std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            result += "\\u00" + to_hex(as_bytes({&c, 1}));
            continue;
        }
        if (c == '"' || c == '\\') result += '\\';
        result += c;
    }
    return result + "\"";
}

std::string listed(const std::vector<std::string>& items) {
    std::string text = "[";
    for (const std::string& item : items) {
        if (text.size() > 1) text += ", ";
        text += quoted(item);
    }
    return text + "]";
}

class TomlPrinter final : public ConfigVisitor {
public:
    void section(std::string_view name, std::string_view) override {
        out_ += out_.empty() ? "" : "\n";
        out_ += "[" + std::string{name} + "]\n";
    }
    void text(const Key& key, std::string& value) override {
        if (in_list_ && value.empty()) return;
        line(key, quoted(value));
    }
    void choice(const Key& key, std::string& value, const std::vector<std::string_view>&) override {
        line(key, quoted(value));
    }
    void integer(const Key& key, std::int64_t& value) override {
        if (in_list_ && value < 0) return;
        line(key, std::to_string(value));
    }
    void flag(const Key& key, bool& value) override { line(key, value ? "true" : "false"); }
    void list(const Key& key, std::vector<std::string>& value) override {
        line(key, listed(value));
    }
    void upstreams(std::vector<UpstreamConfig>& value) override { tables("upstream", value); }
    void models(std::vector<ModelConfig>& value) override { tables("model", value); }
    void routes(std::vector<RouteConfig>& value) override { tables("route", value); }
    void costs(std::vector<CostConfig>& value) override { tables("cost", value); }
    void bare_prices(const Key&, PriceConfig& value) override { visit_bare(value, *this); }
    void overrides(const Key& key, std::vector<PriceOverrideConfig>& value) override {
        std::string items;
        for (PriceOverrideConfig& change : value) {
            TomlPrinter inner;
            inner.in_list_ = true;
            visit(change, inner);
            std::string members = inner.take();
            members.pop_back();
            for (std::size_t at = 0; (at = members.find('\n', at)) != std::string::npos; at += 2) {
                members.replace(at, 1, ", ");
            }
            items += (items.empty() ? "{ " : ", { ") + members + " }";
        }
        if (!items.empty()) line(key, "[" + items + "]");
    }

    std::string take() { return std::move(out_); }

    template <class Item>
    void tables(std::string_view name, std::vector<Item>& value) {
        for (Item& item : value) {
            out_ += "\n[[" + std::string{name} + "]]\n";
            in_list_ = true;
            visit(item, *this);
            in_list_ = false;
        }
    }

private:
    void line(const Key& key, const std::string& value) {
        out_ += std::string{key.name} + " = " + value + "\n";
    }

    std::string out_;
    bool in_list_ = false;
};

class ReferencePrinter final : public ConfigVisitor {
public:
    void section(std::string_view name, std::string_view what) override {
        out_ += "\n## [" + std::string{name} + "]\n\n" + std::string{what} + "\n\n";
        head();
    }
    void text(const Key& key, std::string& value) override {
        row(key, "text", value.empty() ? "" : quoted(value));
    }
    void choice(const Key& key, std::string& value,
                const std::vector<std::string_view>& allowed) override {
        std::string words;
        for (const auto word : allowed) {
            if (word.empty()) continue;
            words += words.empty() ? "" : ", ";
            words += word;
        }
        row(key, "one of: " + words, value.empty() ? "" : quoted(value));
    }
    void integer(const Key& key, std::int64_t& value) override {
        const bool optional = key.min < 0;
        row(key, std::to_string(optional ? 0 : key.min) + " to " + std::to_string(key.max),
            optional ? "" : std::to_string(value));
    }
    void flag(const Key& key, bool& value) override {
        row(key, "true or false", value ? "true" : "false");
    }
    void list(const Key& key, std::vector<std::string>& value) override {
        row(key, "list of texts", listed(value));
    }
    void upstreams(std::vector<UpstreamConfig>&) override {
        tables("upstream", "Who does the work: one table each.", UpstreamConfig{});
    }
    void models(std::vector<ModelConfig>&) override {
        tables("model", "What is sold: one table each. A model without a price is not sold.",
               ModelConfig{});
    }
    void routes(std::vector<RouteConfig>&) override {
        tables("route",
               "What is particular to one upstream of a model: another name of the model there, "
               "another price.",
               RouteConfig{});
    }
    void costs(std::vector<CostConfig>&) override {
        tables("cost",
               "What an upstream takes for a model, for the margin in `nutgate usage`: the first "
               "table that fits counts. Where none does, it is the model's price before its "
               "`price.margin`, if it has one, or else not known. Nobody is charged by it.",
               CostConfig{});
    }
    void bare_prices(const Key& key, PriceConfig&) override { row(key, "as there", ""); }
    void overrides(const Key& key, std::vector<PriceOverrideConfig>&) override {
        row(key, "list of tables", "");
    }

    std::string take() { return std::move(out_); }

private:
    template <class Item>
    void tables(std::string_view name, std::string_view what, Item item) {
        out_ += "\n## [[" + std::string{name} + "]]\n\n" + std::string{what} + "\n\n";
        head();
        visit(item, *this);
    }
    void head() { out_ += "| key | what | values | default |\n|---|---|---|---|\n"; }
    void row(const Key& key, const std::string& values, const std::string& value) {
        out_ += "| `" + std::string{key.name} + "` | " + std::string{key.what} + " | " + values +
                " | " + (value.empty() ? "–" : "`" + value + "`") + " |\n";
    }

    std::string out_;
};

}  // namespace

std::string to_toml(const Config& config) {
    Config copy = config;
    TomlPrinter printer;
    visit(copy, printer);
    return printer.take();
}

std::string prices_to_toml(const std::vector<PriceEntry>& entries) {
    std::vector<PriceEntry> copy = entries;
    TomlPrinter printer;
    printer.tables("price", copy);
    return printer.take();
}

std::string reference_markdown() {
    Config defaults;
    ReferencePrinter printer;
    visit(defaults, printer);
    return "# Configuration\n\n"
           "One TOML file, given as `nutgate serve --config FILE`. Each key outside of the lists "
           "of\n"
           "tables can also come from the environment as `NUTGATE_<SECTION>_<KEY>`, in capitals, "
           "with\n"
           "`_` for `.`; lists are separated by commas. The environment wins over the file, the "
           "command\n"
           "line over both. Unknown keys are errors. Secrets are never in the file: it names the "
           "variable\n"
           "or the file that holds them. `nutgate serve --check` validates and prints what is in "
           "effect.\n"
           "\nThis page is written by `nutgate config-reference`; a test compares them.\n" +
           printer.take();
}

}  // namespace nutgate::app
