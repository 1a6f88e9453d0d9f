// Prices against a slower way to say the same, and against what is promised of them, with random
// prices, tiers, bounds and usage.
#include <doctest/doctest.h>

#include <algorithm>
#include <rapidcheck.h>

#include "nutgate/proxy/tariff.h"

using namespace nutgate;
using namespace nutgate::proxy;

namespace {

// Up to so much, and often nothing at all.
rc::Gen<std::int64_t> count_to(std::int64_t most) {
    return rc::gen::weightedOneOf<std::int64_t>(
        {{1, rc::gen::just<std::int64_t>(0)}, {3, rc::gen::inRange<std::int64_t>(0, most + 1)}});
}

Decimal random_decimal(std::uint64_t most, int places) {
    return divided_by_power({.units = *rc::gen::inRange<std::uint64_t>(1, most), .places = 0},
                            places);
}

PriceLines random_lines(bool all) {
    PriceLines lines;
    for (const PriceKind kind : kAllPriceKinds) {
        const bool side = kind == PriceKind::Input || kind == PriceKind::Output;
        if (!(all && side) && *rc::gen::inRange(0, 3) == 0) continue;
        lines[index_of(kind)] = per_of(kind) == PricePer::Piece ? random_decimal(10'000, 5)
                                                                : random_decimal(1'000'000, 10);
    }
    if (!all && std::ranges::none_of(lines, [](const auto& line) { return line.has_value(); })) {
        lines[index_of(PriceKind::Input)] = Decimal{.units = 1, .places = 6};
    }
    return lines;
}

Price random_price() {
    PriceTable table{.currency = Currency::Usd, .lines = random_lines(true)};
    const int tiers = *rc::gen::inRange(0, 4);
    for (int i = 0; i < tiers; ++i) {
        table.overrides.push_back({.above_input = *rc::gen::inRange<std::int64_t>(1, 2'000),
                                   .lines = random_lines(false)});
    }
    table.margin = random_decimal(300, 2);
    table.floor = Msat::from_raw(*count_to(2'000)).value();
    const auto rate =
        rates::BtcUsd::from_raw(*rc::gen::inRange<std::int64_t>(1'000'000, rates::BtcUsd::kMax));
    const auto tariff = Tariff::make(table);
    RC_PRE(tariff.has_value());
    return tariff->at(Time{}, rate).value();
}

TokenBounds random_bounds() {
    return {.input = *count_to(3'000),
            .output = *count_to(3'000),
            .input_audio = *count_to(1'000),
            .input_image = *count_to(1'000),
            .output_audio = *count_to(1'000),
            .output_image = *count_to(1'000),
            .images = *count_to(10),
            .searches = *count_to(10),
            .characters = *count_to(5'000),
            .audio_ms = *count_to(60'000)};
}

// Any usage within them, its sides often full.
Usage random_usage(const TokenBounds& bounds) {
    Usage usage{.images = *count_to(bounds.images),
                .searches = *count_to(bounds.searches),
                .characters = *count_to(bounds.characters),
                .audio_ms = *count_to(bounds.audio_ms)};
    std::int64_t left = *rc::gen::weightedOneOf<std::int64_t>(
        {{1, rc::gen::just(bounds.input)}, {1, count_to(bounds.input)}});
    const auto take = [&left](std::int64_t most) {
        const std::int64_t taken = *count_to(std::min(left, most));
        left -= taken;
        return taken;
    };
    usage.in_audio = take(bounds.input_audio);
    usage.in_image = take(bounds.input_image);
    usage.in_cached = take(left);
    usage.cache_write_5m = take(left);
    usage.cache_write_1h = take(left);
    usage.in_uncached = left;
    left = *count_to(bounds.output);
    usage.out_audio = take(bounds.output_audio);
    usage.out_image = take(bounds.output_image);
    usage.out_reasoning = take(left);
    usage.out_text = left;
    return usage;
}

std::int64_t sum_of(const Cost& cost) {
    return cost.input.raw() + cost.input_cached.raw() + cost.output.raw() +
           cost.cache_writes.raw() + cost.base.raw();
}

// The same by the definition: count by count, in long sums.
Msat slow_cost(const Price& price, const Usage& usage) {
    __extension__ using Wide = unsigned __int128;
    const Price::Rates* rates = nullptr;
    for (const Price::Tier& tier : price.tiers()) {
        if (usage.input() > tier.above_input) rates = &tier.rates;
    }
    REQUIRE(rates != nullptr);
    Wide sum = (*rates)[index_of(PriceKind::Request)];
    const auto add = [&](std::int64_t count, PriceKind kind) {
        sum += static_cast<Wide>(count) * (*rates)[index_of(kind)];
    };
    add(usage.in_uncached, PriceKind::Input);
    add(usage.in_cached, PriceKind::InputCached);
    add(usage.cache_write_5m, PriceKind::CacheWrite);
    add(usage.cache_write_1h, PriceKind::CacheWrite1h);
    add(usage.in_audio, PriceKind::InputAudio);
    add(usage.in_image, PriceKind::InputImage);
    add(usage.out_text, PriceKind::Output);
    add(usage.out_reasoning, PriceKind::Reasoning);
    add(usage.out_audio, PriceKind::OutputAudio);
    add(usage.out_image, PriceKind::OutputImage);
    add(usage.images, PriceKind::Image);
    add(usage.searches, PriceKind::Search);
    add(usage.characters, PriceKind::Character);
    add(usage.audio_ms, PriceKind::AudioSecond);
    const Wide under = price.denominator();
    const auto up = static_cast<std::int64_t>((sum + under - 1) / under);
    return std::max(Msat::from_raw(up).value(), price.floor());
}

}  // namespace

TEST_CASE("pricing: no usage within its bounds costs more than their ceiling") {
    CHECK(rc::check([] {
        const Price price = random_price();
        const TokenBounds bounds = random_bounds();
        const Usage usage = random_usage(bounds);
        RC_ASSERT(is_within(usage, bounds));
        const auto ceiling = cost_ceiling(price, bounds);
        const auto cost = cost_of(price, usage);
        RC_ASSERT(ceiling.has_value());
        RC_ASSERT(cost.has_value());
        RC_ASSERT(cost->total <= *ceiling);
    }));
}

TEST_CASE("pricing: a cost is the sum by the definition, rounded up once, and so are its parts") {
    CHECK(rc::check([] {
        const Price price = random_price();
        const Usage usage = random_usage(random_bounds());
        const Cost cost = cost_of(price, usage).value();
        RC_ASSERT(cost.total == slow_cost(price, usage));
        RC_ASSERT(sum_of(cost) == cost.total.raw());
        if (usage.output() == 0) RC_ASSERT(cost.output == Msat{});
        if (usage.in_cached == 0) RC_ASSERT(cost.input_cached == Msat{});
        const Msat most = Msat::from_raw(*count_to(cost.total.raw())).value();
        const Cost cut = capped(cost, most);
        RC_ASSERT(cut.total == most);
        RC_ASSERT(sum_of(cut) == most.raw());
    }));
}

TEST_CASE("pricing: wider bounds have no lower ceiling") {
    CHECK(rc::check([] {
        const Price price = random_price();
        const TokenBounds bounds = random_bounds();
        TokenBounds wider = bounds;
        wider.input += *count_to(1'000);
        wider.output += *count_to(1'000);
        wider.input_audio += *count_to(100);
        wider.images += *count_to(3);
        RC_ASSERT(cost_ceiling(price, bounds).value() <= cost_ceiling(price, wider).value());
    }));
}
