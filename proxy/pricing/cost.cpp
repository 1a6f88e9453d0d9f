#include <algorithm>
#include <array>
#include <utility>

#include "nutgate/base/verify.h"
#include "nutgate/proxy/pricing.h"
#include "wide.h"

namespace nutgate::proxy {
namespace {

constexpr int kTextPlaces = 15;
constexpr std::uint64_t kMsatPerBtc = 100'000'000'000;

constexpr std::uint64_t power_of_ten(int exponent) {
    std::uint64_t power = 1;
    for (int i = 0; i < exponent; ++i) power *= 10;
    return power;
}

// In the order in which they are rounded.
enum Part : std::size_t { Base, Input, InputCached, CacheWrites, Output, kParts };

// A sum of counts times rates, still over the denominator.
class Sum {
public:
    void add(std::int64_t count, std::uint64_t rate) {
        VERIFY(count >= 0);
        if (count == 0 || rate == 0) return;
        // A count is below 2^63 and a rate below 2^64, so only the sum can overflow.
        if (__builtin_add_overflow(value_, static_cast<Wide>(count) * rate, &value_)) {
            fits_ = false;
        }
    }
    std::optional<Wide> value() const { return fits_ ? std::optional{value_} : std::nullopt; }

private:
    Wide value_ = 0;
    bool fits_ = true;
};

std::optional<Msat> to_msat(Wide value) {
    if (value > static_cast<Wide>(Msat::kMax)) return std::nullopt;
    return Msat::from_raw(static_cast<std::int64_t>(value));
}

// Most sums fit 64 bits, and a division of those is a tenth of the other's work.
Wide floor_of(Wide over, std::uint64_t under) {
    const auto low = static_cast<std::uint64_t>(over);
    return low == over ? Wide{low / under} : over / under;
}

std::optional<Msat> ceil_to_msat(Wide over, std::uint64_t under) {
    const Wide whole = floor_of(over, under);
    return to_msat(whole + (whole * under != over ? 1 : 0));
}

// Written out, since of most requests most of it is nothing, and each is on the hot path.
std::array<Sum, kParts> shares_of(const Usage& usage, const Price::Rates& rates) {
    const auto of = [&rates](PriceKind kind) { return rates[index_of(kind)]; };
    std::array<Sum, kParts> shares;
    shares[Base].add(1, of(PriceKind::Request));
    shares[Input].add(usage.in_uncached, of(PriceKind::Input));
    shares[InputCached].add(usage.in_cached, of(PriceKind::InputCached));
    shares[Output].add(usage.out_text, of(PriceKind::Output));
    shares[Output].add(usage.out_reasoning, of(PriceKind::Reasoning));
    if ((usage.cache_write_5m | usage.cache_write_1h) != 0) {
        shares[CacheWrites].add(usage.cache_write_5m, of(PriceKind::CacheWrite));
        shares[CacheWrites].add(usage.cache_write_1h, of(PriceKind::CacheWrite1h));
    }
    if ((usage.in_audio | usage.in_image | usage.out_audio | usage.out_image) != 0) {
        shares[Input].add(usage.in_audio, of(PriceKind::InputAudio));
        shares[Input].add(usage.in_image, of(PriceKind::InputImage));
        shares[Output].add(usage.out_audio, of(PriceKind::OutputAudio));
        shares[Output].add(usage.out_image, of(PriceKind::OutputImage));
    }
    if ((usage.images | usage.searches | usage.characters | usage.audio_ms) != 0) {
        shares[Base].add(usage.images, of(PriceKind::Image));
        shares[Base].add(usage.searches, of(PriceKind::Search));
        shares[Base].add(usage.characters, of(PriceKind::Character));
        shares[Base].add(usage.audio_ms, of(PriceKind::AudioSecond));
    }
    return shares;
}

// Most of one side of a conversation, where so many of its tokens may be of dearer kinds.
void add_most(Sum& sum, std::int64_t tokens, std::uint64_t rate,
              std::initializer_list<std::pair<std::int64_t, std::uint64_t>> dearer) {
    sum.add(tokens, rate);
    for (const auto& [at_most, dear] : dearer) {
        if (dear > rate) sum.add(std::min(at_most, tokens), dear - rate);
    }
}

// A tier's rates, of a prompt of at most `input` tokens.
std::optional<Wide> most_at(const Price::Rates& rates, std::int64_t input,
                            const TokenBounds& bounds) {
    const auto of = [&rates](PriceKind kind) { return rates[index_of(kind)]; };
    Sum sum;
    add_most(sum, input,
             std::max({of(PriceKind::Input), of(PriceKind::InputCached), of(PriceKind::CacheWrite),
                       of(PriceKind::CacheWrite1h)}),
             {{bounds.input_audio, of(PriceKind::InputAudio)},
              {bounds.input_image, of(PriceKind::InputImage)}});
    add_most(sum, bounds.output, std::max(of(PriceKind::Output), of(PriceKind::Reasoning)),
             {{bounds.output_audio, of(PriceKind::OutputAudio)},
              {bounds.output_image, of(PriceKind::OutputImage)}});
    sum.add(1, of(PriceKind::Request));
    sum.add(bounds.images, of(PriceKind::Image));
    sum.add(bounds.searches, of(PriceKind::Search));
    sum.add(bounds.characters, of(PriceKind::Character));
    sum.add(bounds.audio_ms, of(PriceKind::AudioSecond));
    return sum.value();
}

// Above all fractions of kTextPlaces; the last place is rounded up, and zeros at the end go.
std::string decimal_text(Wide over, Wide under) {
    std::string text = std::to_string(static_cast<std::uint64_t>(over / under));
    Wide rest = over % under;
    if (rest == 0) return text;
    std::string places;
    for (int i = 0; i < kTextPlaces; ++i) {
        rest *= 10;
        places += static_cast<char>('0' + static_cast<int>(rest / under));
        rest %= under;
    }
    if (rest != 0) {
        std::size_t i = places.size();
        while (i > 0 && places[i - 1] == '9') places[--i] = '0';
        if (i == 0) return std::to_string(static_cast<std::uint64_t>(over / under) + 1);
        ++places[i - 1];
    }
    while (places.back() == '0') places.pop_back();
    return text + '.' + places;
}

}  // namespace

bool is_within(const Usage& usage, const TokenBounds& bounds) {
    return usage.input() <= bounds.input && usage.output() <= bounds.output &&
           usage.in_audio <= bounds.input_audio && usage.in_image <= bounds.input_image &&
           usage.out_audio <= bounds.output_audio && usage.out_image <= bounds.output_image &&
           usage.images <= bounds.images && usage.searches <= bounds.searches &&
           usage.characters <= bounds.characters && usage.audio_ms <= bounds.audio_ms;
}

std::optional<Msat> cost_ceiling(const Price& price, const TokenBounds& bounds) {
    // Which tier a request falls into is only known by its usage. Each is bounded by the longest
    // prompt that falls into it.
    Wide most = 0;
    const auto tiers = price.tiers();
    for (std::size_t i = 0; i < tiers.size() && tiers[i].above_input < bounds.input; ++i) {
        std::int64_t input = bounds.input;
        if (i + 1 < tiers.size()) input = std::min(input, tiers[i + 1].above_input);
        const auto here = most_at(tiers[i].rates, input, bounds);
        if (!here) return std::nullopt;
        most = std::max(most, *here);
    }
    const auto ceiling = ceil_to_msat(most, price.denominator());
    if (!ceiling) return std::nullopt;
    return std::max(*ceiling, price.floor());
}

std::optional<Cost> cost_of(const Price& price, const Usage& usage) {
    const auto shares = shares_of(usage, price.rates_for(usage.input()));
    Wide sum = 0;
    std::size_t last = Base;
    for (std::size_t part = 0; part < kParts; ++part) {
        const auto share = shares[part].value();
        if (!share || __builtin_add_overflow(sum, *share, &sum)) return std::nullopt;
        if (*share != 0) last = part;
    }
    const auto total = ceil_to_msat(sum, price.denominator());
    if (!total) return std::nullopt;

    // Each but the last is cut to whole msats, and the last has what is left: at least its own.
    std::array<Msat, kParts> parts;
    Msat rest = *total;
    for (std::size_t part = 0; part < last; ++part) {
        const Wide share = *shares[part].value();
        if (share == 0) continue;
        parts[part] = *to_msat(floor_of(share, price.denominator()));
        rest = *subtract(rest, parts[part]);
    }
    parts[last] = rest;
    Cost cost{.total = *total,
              .input = parts[Input],
              .input_cached = parts[InputCached],
              .output = parts[Output],
              .cache_writes = parts[CacheWrites],
              .base = parts[Base]};
    if (cost.total < price.floor()) {
        cost.base = *add(cost.base, *subtract(price.floor(), cost.total));
        cost.total = price.floor();
    }
    return cost;
}

Cost capped(const Cost& cost, Msat most) {
    if (cost.total <= most) return cost;
    Msat rest = most;
    const auto take = [&rest](Msat part) {
        const Msat taken = std::min(part, rest);
        rest = *subtract(rest, taken);
        return taken;
    };
    Cost cut{.total = most, .input = {}, .input_cached = {}, .output = {}};
    cut.base = take(cost.base);
    cut.input = take(cost.input);
    cut.input_cached = take(cost.input_cached);
    cut.cache_writes = take(cost.cache_writes);
    cut.output = take(cost.output);
    return cut;
}

std::int64_t count_of(const Usage& usage, PriceKind kind) {
    switch (kind) {
        case PriceKind::Input:
            return usage.in_uncached;
        case PriceKind::InputCached:
            return usage.in_cached;
        case PriceKind::CacheWrite:
            return usage.cache_write_5m;
        case PriceKind::CacheWrite1h:
            return usage.cache_write_1h;
        case PriceKind::InputAudio:
            return usage.in_audio;
        case PriceKind::InputImage:
            return usage.in_image;
        case PriceKind::Output:
            return usage.out_text;
        case PriceKind::Reasoning:
            return usage.out_reasoning;
        case PriceKind::OutputAudio:
            return usage.out_audio;
        case PriceKind::OutputImage:
            return usage.out_image;
        case PriceKind::Request:
            return 1;
        case PriceKind::Image:
            return usage.images;
        case PriceKind::Search:
            return usage.searches;
        case PriceKind::Character:
            return usage.characters;
        case PriceKind::AudioSecond:
            return usage.audio_ms;
    }
    return 0;
}

std::int64_t msat_per_million_ceil(std::uint64_t rate, std::uint64_t denominator) {
    constexpr Wide kMillion = 1'000'000;
    const Wide product = static_cast<Wide>(rate) * kMillion;
    const Wide whole = product / denominator + (product % denominator != 0 ? 1 : 0);
    return static_cast<std::int64_t>(std::min(whole, static_cast<Wide>(INT64_MAX)));
}

std::string sats_text(std::uint64_t per_token, std::uint64_t denominator) {
    return decimal_text(per_token, static_cast<Wide>(denominator) * 1000);
}

std::string usd_text(std::uint64_t per_token, std::uint64_t denominator, const Decimal& btc_usd) {
    Wide over = static_cast<Wide>(per_token) * btc_usd.units;
    Wide under = static_cast<Wide>(denominator) * power_of_ten(btc_usd.places);
    const Wide divisor = greatest_common_divisor(over, under);
    over /= divisor;
    under /= divisor;
    // Digits are made by multiplying a rest by ten, which has to fit.
    constexpr Wide kUnderMax = ~Wide{0} / 10 / kMsatPerBtc;
    while (under > kUnderMax) {
        over = over / 2 + over % 2;
        under /= 2;
    }
    return decimal_text(over, under * kMsatPerBtc);
}

}  // namespace nutgate::proxy
