#include "price_config.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "nutgate/base/verify.h"

namespace nutgate::app {
namespace {

using Mistakes = std::vector<Mistake>;
using proxy::PriceKind;
using proxy::PricePer;

constexpr int kMillion = 6;
constexpr int kThousand = 3;

// So many of them have the price that is typed, as a power of ten.
int usd_power(PriceKind kind) {
    const PricePer per = per_of(kind);
    return per == PricePer::Token || per == PricePer::Character ? kMillion : 0;
}
int msat_power(PriceKind kind) {
    const PricePer per = per_of(kind);
    return per == PricePer::Token || per == PricePer::Character ? kThousand : 0;
}

bool has_usd(const PriceLinesConfig& lines) {
    return std::ranges::any_of(lines.usd, [](const auto& text) { return !text.empty(); });
}
bool has_msat(const PriceLinesConfig& lines) {
    return std::ranges::any_of(lines.msat, [](std::int64_t value) { return value >= 0; });
}

proxy::PriceLines lines_of(const PriceLinesConfig& typed_lines, const std::string& key,
                           Mistakes& out) {
    proxy::PriceLines lines;
    for (const PriceKind kind : proxy::kAllPriceKinds) {
        const std::size_t i = index_of(kind);
        if (typed_lines.msat[i] >= 0) {
            lines[i] = proxy::divided_by_power(
                {.units = static_cast<std::uint64_t>(typed_lines.msat[i]), .places = 0},
                msat_power(kind));
        }
        if (typed_lines.usd[i].empty()) continue;
        const auto decimal = proxy::parse_decimal(typed_lines.usd[i]);
        if (!decimal) {
            out.push_back({key + "." + std::string{to_text(kind)} + "_usd",
                           "is \"" + typed_lines.usd[i] +
                               "\", must be a decimal of at most 18 digits, 15 after the point"});
            continue;
        }
        lines[i] = proxy::divided_by_power(*decimal, usd_power(kind));
    }
    return lines;
}

// "16:30".
std::optional<int> minutes_of(std::string_view text) {
    if (text.size() != 5 || text[2] != ':') return std::nullopt;
    const auto number = [&text](std::size_t at) -> std::optional<int> {
        int value = 0;
        const char* begin = text.data() + at;
        const auto read = std::from_chars(begin, begin + 2, value);
        if (read.ec != std::errc{} || read.ptr != begin + 2 || value < 0) return std::nullopt;
        return value;
    };
    const auto hours = number(0), minutes = number(3);
    if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    return *hours * 60 + *minutes;
}

std::string time_text(int minute) {
    const auto two = [](int value) { return std::to_string(100 + value).substr(1); };
    return two(minute / 60) + ":" + two(minute % 60);
}

proxy::PriceOverride override_of(const PriceOverrideConfig& change, const std::string& key,
                                 Mistakes& out) {
    proxy::PriceOverride made{.above_input = change.above_input_tokens,
                              .lines = lines_of(change.lines, key, out)};
    if (!has_usd(change.lines) && !has_msat(change.lines)) {
        out.push_back({key, "names no price"});
    }
    if (change.from_utc.empty() && change.until_utc.empty()) {
        if (change.above_input_tokens == 0) {
            out.push_back({key, "needs above_input_tokens, or from_utc and until_utc"});
        }
        return made;
    }
    const auto from = minutes_of(change.from_utc), until = minutes_of(change.until_utc);
    if (!from) out.push_back({key + ".from_utc", "must be a time of the day, HH:MM"});
    if (!until) out.push_back({key + ".until_utc", "must be a time of the day, HH:MM"});
    if (from && until) {
        made.window = proxy::DayWindow{.from = *from, .until = *until};
        if (*from == *until) out.push_back({key + ".until_utc", "is the same as from_utc"});
    }
    return made;
}

void check_currency(const PriceConfig& price, const std::string& key, Mistakes& out) {
    const bool usd = is_in_usd(price);
    bool both = has_usd(price.lines) && has_msat(price.lines);
    for (const PriceOverrideConfig& change : price.overrides) {
        both = both || (usd ? has_msat(change.lines) : has_usd(change.lines));
    }
    if (both) out.push_back({key, "is given both in USD and in msat"});
    if (!usd && !price.margin.empty()) {
        out.push_back({key + ".margin", "is a factor on prices in USD"});
    }
}

void check_sides(const PriceConfig& price, const std::string& key, Mistakes& out) {
    const auto given = [&price](PriceKind kind) {
        return !price.lines.usd[index_of(kind)].empty() || price.lines.msat[index_of(kind)] >= 0;
    };
    if (given(PriceKind::Input) == given(PriceKind::Output)) return;
    out.push_back({key, is_in_usd(price) ? "needs both input_usd and output_usd"
                                         : "needs both input_msat_per_1k and output_msat_per_1k"});
}

std::string words(proxy::PriceError error) {
    switch (error) {
        case proxy::PriceError::Malformed:
            return "is malformed";
        case proxy::PriceError::Missing:
            return "is missing: without a price the model is not sold";
        case proxy::PriceError::ZeroPrice:
            return "is zero: say free = true if that is meant";
        case proxy::PriceError::ZeroRate:
            return "needs a rate that is not zero";
        case proxy::PriceError::OutOfRange:
            return "is too high, or too fine to be exact";
        case proxy::PriceError::BadOverride:
            return "has an override of no prompt, of no time or of nothing";
        case proxy::PriceError::TooManyTiers:
            return "has too many overrides: at most 16, and at one time for at most 3 sizes of a "
                   "prompt";
    }
    return "is malformed";
}

}  // namespace

bool is_in_usd(const PriceConfig& price) { return has_usd(price.lines); }
bool names_a_price(const PriceConfig& price) {
    return has_usd(price.lines) || has_msat(price.lines);
}

Result<proxy::Tariff, std::vector<Mistake>> tariff_of(const PriceConfig& price,
                                                      const std::string& key) {
    Mistakes out;
    if (!names_a_price(price)) {
        return fail(Mistakes{{key, words(proxy::PriceError::Missing)}});
    }
    check_currency(price, key, out);
    check_sides(price, key, out);
    proxy::PriceTable table{
        .currency = is_in_usd(price) ? proxy::Currency::Usd : proxy::Currency::Msat,
        .lines = lines_of(price.lines, key, out),
        .floor = Msat::from_raw(std::max<std::int64_t>(0, price.floor_msat)).value_or(Msat{}),
        .free = price.free};
    for (std::size_t i = 0; i < price.overrides.size(); ++i) {
        table.overrides.push_back(
            override_of(price.overrides[i], key + ".overrides[" + std::to_string(i) + "]", out));
    }
    if (!price.margin.empty()) {
        const auto margin = proxy::parse_decimal(price.margin);
        if (!margin) {
            out.push_back({key + ".margin", "is \"" + price.margin + "\", must be a decimal"});
        } else {
            table.margin = *margin;
        }
    }
    if (!out.empty()) return fail(std::move(out));
    auto tariff = proxy::Tariff::make(table);
    if (!tariff) return fail(Mistakes{{key, words(tariff.error())}});
    return *std::move(tariff);
}

PriceConfig typed(const proxy::PriceTable& table) {
    const auto lines_text = [](const proxy::PriceLines& lines) {
        PriceLinesConfig typed_lines;
        for (const PriceKind kind : proxy::kAllPriceKinds) {
            const auto& line = lines[index_of(kind)];
            if (!line) continue;
            const auto shown = proxy::times_power(*line, usd_power(kind));
            VERIFY(shown.has_value());  // No tariff is made of what has more digits.
            typed_lines.usd[index_of(kind)] = to_text(*shown);
        }
        return typed_lines;
    };
    PriceConfig price;
    price.lines = lines_text(table.lines);
    for (const proxy::PriceOverride& change : table.overrides) {
        PriceOverrideConfig& made = price.overrides.emplace_back();
        made.above_input_tokens = change.above_input;
        if (change.window) {
            made.from_utc = time_text(change.window->from);
            made.until_utc = time_text(change.window->until);
        }
        made.lines = lines_text(change.lines);
    }
    price.free = table.free;
    return price;
}

void lay_prices(const std::vector<PriceEntry>& entries, Config& config) {
    for (ModelConfig& model : config.models) {
        const PriceConfig typed = model.typed_price.value_or(model.price);
        if (names_a_price(typed)) continue;
        model.typed_price = typed;
        model.price = typed;
        const auto entry =
            std::ranges::find_if(entries, [&](const auto& e) { return e.model == model.id; });
        if (entry == entries.end()) continue;
        model.price = entry->price;
        if (!typed.margin.empty()) model.price.margin = typed.margin;
        if (typed.floor_msat >= 0) model.price.floor_msat = typed.floor_msat;
        model.price.free = model.price.free || typed.free;
    }
}

}  // namespace nutgate::app
