// `nutgate usage`: what was sold, to whom, and what is left of it.
#include <charconv>
#include <cstdio>

#include "commands.h"
#include "data_view.h"
#include "nutgate/proxy/usage_rows.h"

namespace nutgate::app {
namespace {

// "2026-11-28" (its midnight, UTC), or unix seconds. Empty if it is neither.
std::optional<Time> parse_since(const std::string& text) {
    if (text.empty()) return Time{};
    std::int64_t parts[3] = {0, 0, 0};
    std::size_t count = 0;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (count < 3) {
        const auto [next, error] = std::from_chars(at, end, parts[count]);
        if (error != std::errc{} || parts[count] < 0) return std::nullopt;
        ++count;
        at = next;
        if (at == end || *at != '-') break;
        ++at;
    }
    constexpr std::int64_t kSecondsMax = 1'000'000'000'000;
    if (at != end || parts[0] > kSecondsMax) return std::nullopt;
    if (count == 1) return from_unix_seconds(parts[0]);
    if (count != 3 || parts[0] > 9999 || parts[1] > 12 || parts[2] > 31) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(parts[0])},
                                           std::chrono::month{static_cast<unsigned>(parts[1])},
                                           std::chrono::day{static_cast<unsigned>(parts[2])}};
    if (!date.ok()) return std::nullopt;
    return Time{std::chrono::sys_days{date}};
}

std::optional<proxy::UsageBy> parse_by(const std::string& text) {
    if (text == "model") return proxy::UsageBy::Model;
    if (text == "key") return proxy::UsageBy::Key;
    if (text == "day") return proxy::UsageBy::Day;
    if (text == "upstream") return proxy::UsageBy::Upstream;
    if (text == "endpoint") return proxy::UsageBy::Endpoint;
    return std::nullopt;
}

// A field of a CSV line, in quotes where it needs them. What a spreadsheet would take for a formula
// is given as text.
std::string field(std::string text) {
    if (!text.empty() && std::string_view{"=+-@\t\r"}.find(text.front()) != std::string::npos) {
        text.insert(text.begin(), '\'');
    }
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + '"';
}
std::string field(std::int64_t number) { return std::to_string(number); }
std::string field(const std::optional<Msat>& amount) {
    return amount ? std::to_string(amount->raw()) : std::string{};
}

template <class... Fields>
void print_csv(const Fields&... fields) {
    std::string line;
    ((line += (line.empty() ? "" : ",") + field(fields)), ...);
    std::puts(line.c_str());
}

Json optional_json(const std::optional<Msat>& amount) {
    return amount ? Json(amount->raw()) : Json();
}

const std::vector<std::string> kEntryColumns{
    "time",         "key",           "payer", "model",        "upstream",   "endpoint",
    "input_tokens", "output_tokens", "items", "usage_source", "cost_msats", "upstream_cost_msats"};

Json to_json(const proxy::UsageEntry& entry) {
    Json items = Json::array();
    for (const proxy::UsageItem& item : entry.items) {
        items.push_back({{"kind", item.kind},
                         {"count", item.count},
                         {"msats_per_million", item.msat_per_million}});
    }
    return {{"time", to_unix_seconds(entry.at)},
            {"key", entry.child.value_or(entry.payer).hex()},
            {"payer", entry.payer.hex()},
            {"model", entry.model},
            {"upstream", entry.upstream},
            {"endpoint", entry.endpoint},
            {"input_tokens", entry.input},
            {"output_tokens", entry.output},
            {"items", std::move(items)},
            {"usage_source", proxy::to_text(entry.source)},
            {"cost_msats", entry.charged.raw()},
            {"upstream_cost_msats", optional_json(entry.upstream_cost)}};
}

void print_csv(const proxy::UsageEntry& entry) {
    std::string items;
    for (const proxy::UsageItem& item : entry.items) {
        items += (items.empty() ? "" : " ") + item.kind + "=" + std::to_string(item.count) + "@" +
                 std::to_string(item.msat_per_million);
    }
    print_csv(to_unix_seconds(entry.at), entry.child.value_or(entry.payer).hex(), entry.payer.hex(),
              entry.model, entry.upstream, entry.endpoint, entry.input, entry.output, items,
              std::string{proxy::to_text(entry.source)}, std::optional{entry.charged},
              entry.upstream_cost);
}

void print_text(const proxy::UsageEntry& entry) {
    std::printf("%lld  %s  %-24s %8lld in %8lld out  %12s sat  %s%s\n",
                static_cast<long long>(to_unix_seconds(entry.at)),
                entry.child.value_or(entry.payer).hex().c_str(), entry.model.c_str(),
                static_cast<long long>(entry.input), static_cast<long long>(entry.output),
                sats(entry.charged).c_str(), entry.upstream.c_str(),
                entry.source == proxy::UsageSource::Estimate ? "  (estimate)" : "");
}

// Of a total: nothing where no upstream's price is known.
std::optional<Msat> upstream_cost(const proxy::UsageTotal& total) {
    if (total.costed == 0) return std::nullopt;
    return total.upstream_cost;
}

std::vector<std::string> total_columns(const std::string& by) {
    return {by,
            "requests",
            "estimated",
            "input_tokens",
            "output_tokens",
            "cost_msats",
            "requests_with_known_cost",
            "upstream_cost_msats",
            "margin_msats"};
}

Json to_json(const proxy::UsageTotal& total, const std::string& by) {
    return {{by, total.name},
            {"requests", total.requests},
            {"estimated", total.estimated},
            {"input_tokens", total.input},
            {"output_tokens", total.output},
            {"cost_msats", total.charged.raw()},
            {"requests_with_known_cost", total.costed},
            {"upstream_cost_msats", optional_json(upstream_cost(total))},
            {"margin_msats", total.costed > 0 ? Json(total.margin()) : Json()}};
}

void print_csv(const proxy::UsageTotal& total) {
    // A margin may be negative, and is a number all the same.
    const std::string rest = total.costed > 0 ? std::to_string(total.margin()) : std::string{};
    std::printf("%s,%lld,%lld,%lld,%lld,%lld,%lld,%s,%s\n", field(total.name).c_str(),
                static_cast<long long>(total.requests), static_cast<long long>(total.estimated),
                static_cast<long long>(total.input), static_cast<long long>(total.output),
                static_cast<long long>(total.charged.raw()), static_cast<long long>(total.costed),
                field(upstream_cost(total)).c_str(), rest.c_str());
}

void print_text(const proxy::UsageTotal& total) {
    std::printf("%-34s %9lld requests %12lld in %12lld out  %14s sat", total.name.c_str(),
                static_cast<long long>(total.requests), static_cast<long long>(total.input),
                static_cast<long long>(total.output), sats(total.charged).c_str());
    if (total.costed > 0) {
        std::printf("  upstream %s sat, margin %lld msat", sats(total.upstream_cost).c_str(),
                    static_cast<long long>(total.margin()));
    }
    if (total.costed > 0 && total.costed < total.requests) {
        std::printf(" (of %lld)", static_cast<long long>(total.costed));
    }
    std::puts("");
}

template <class Line, class ToJson>
int print_all(const std::vector<Line>& lines, const std::vector<std::string>& columns,
              UsageFormat format, ToJson json_of) {
    Json all = Json::array();
    if (format == UsageFormat::Csv) {
        std::string head;
        for (const std::string& column : columns) head += (head.empty() ? "" : ",") + column;
        std::puts(head.c_str());
    }
    for (const Line& line : lines) {
        switch (format) {
            case UsageFormat::Text:
                print_text(line);
                break;
            case UsageFormat::Json:
                all.push_back(json_of(line));
                break;
            case UsageFormat::Csv:
                print_csv(line);
                break;
        }
    }
    return format == UsageFormat::Json ? print(all) : kDone;
}

}  // namespace

int usage(const UsageArguments& arguments) {
    const auto since = parse_since(arguments.since);
    if (!since) return complain("--since is a day (2026-11-28) or unix seconds", kMisused);
    if (arguments.by.empty()) {
        const auto entries = look<std::vector<proxy::UsageEntry>>(
            arguments.data_dir, [&](store::Reader& reader, const DataDir&) {
                return proxy::list_usage(reader, {.since = *since,
                                                  .limit = arguments.limit,
                                                  .looked_at_max = arguments.limit})
                    .entries;
            });
        if (!entries) return complain(entries.error().detail);
        return print_all(*entries, kEntryColumns, arguments.format,
                         [](const proxy::UsageEntry& entry) { return to_json(entry); });
    }
    const auto by = parse_by(arguments.by);
    if (!by) return complain("--by is model, key, day, upstream or endpoint", kMisused);
    const auto totals = look<std::vector<proxy::UsageTotal>>(
        arguments.data_dir, [&](store::Reader& reader, const DataDir&) {
            return proxy::total_usage(reader, *by, *since);
        });
    if (!totals) return complain(totals.error().detail);
    return print_all(*totals, total_columns(arguments.by), arguments.format,
                     [&](const proxy::UsageTotal& total) { return to_json(total, arguments.by); });
}

}  // namespace nutgate::app
