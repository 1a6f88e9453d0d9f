// The rows of a transfer as they are stored: what was put there comes back, and what was not is
// known as such.
#include "usage_batch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <rapidcheck.h>
#include <vector>

using namespace nutgate;
using namespace nutgate::proxy;

namespace {

const Time kBegins{Milliseconds{1'790'000'000'000}};

UsageRow any_row() {
    UsageRow row;
    row.model = *rc::gen::inRange<std::int64_t>(0, INT64_MAX);
    row.upstream = *rc::gen::inRange<std::int64_t>(0, 300);
    row.endpoint = *rc::gen::inRange<std::int64_t>(0, 20);
    row.metered.source = *rc::gen::element(UsageSource::UpstreamFinal, UsageSource::UpstreamPartial,
                                           UsageSource::Estimate);
    row.metered.usage.in_uncached = *rc::gen::inRange<std::int64_t>(0, 1'000'000);
    row.metered.usage.out_text = *rc::gen::inRange<std::int64_t>(0, 1'000'000);
    row.metered.usage.searches = *rc::gen::inRange<std::int64_t>(0, 3);
    row.rates.fill(*rc::gen::inRange<std::uint64_t>(0, 1'000'000));
    if (*rc::gen::arbitrary<bool>()) {
        row.upstream_cost = *Msat::from_raw(*rc::gen::inRange<std::int64_t>(0, Msat::kMax));
    }
    // A clock may have been put back.
    row.at = kBegins + Milliseconds{*rc::gen::inRange<std::int64_t>(-5'000, 5'000)};
    return row;
}

bool is_same(const StoredUsage& a, const StoredUsage& b) {
    const auto same_item = [](const StoredUsageItem& one, const StoredUsageItem& other) {
        return one.kind == other.kind && one.count == other.count &&
               one.msat_per_million == other.msat_per_million;
    };
    return a.at == b.at && a.model == b.model && a.upstream == b.upstream &&
           a.endpoint == b.endpoint && a.source == b.source && a.input == b.input &&
           a.output == b.output && a.charged == b.charged && a.upstream_cost == b.upstream_cost &&
           std::ranges::equal(a.items(), b.items(), same_item);
}

}  // namespace

TEST_CASE("usage: rows come back from a batch as they were, in their order") {
    CHECK(rc::check([] {
        std::vector<StoredUsage> rows;
        Bytes packed;
        for (int i = *rc::gen::inRange(0, 20); i > 0; --i) {
            const Msat charged = *Msat::from_raw(*rc::gen::inRange<std::int64_t>(0, Msat::kMax));
            rows.push_back(to_stored(any_row(), charged));
            pack(packed, kBegins, rows.back());
        }
        UsageUnpacker unpacker{packed, kBegins};
        for (const StoredUsage& row : rows) {
            const auto next = unpacker.next();
            RC_ASSERT(next.has_value());
            RC_ASSERT(is_same(*next, row));
        }
        RC_ASSERT_FALSE(unpacker.next().has_value());
        RC_ASSERT(unpacker.is_whole());
    }));
}

TEST_CASE("usage: a batch that is cut is not taken for a whole one") {
    Bytes packed;
    UsageRow row;
    row.metered.usage.in_uncached = 40;
    pack(packed, kBegins, to_stored(row, *Msat::from_raw(16)));
    for (std::size_t size = 1; size < packed.size(); ++size) {
        UsageUnpacker unpacker{BytesView{packed}.first(size), kBegins};
        CHECK_FALSE(unpacker.next().has_value());
        CHECK_FALSE(unpacker.is_whole());
    }
}

TEST_CASE("usage: whatever bytes lie there, reading them ends") {
    CHECK(rc::check([](const std::vector<std::uint8_t>& noise) {
        Bytes packed;
        for (const std::uint8_t byte : noise) packed.push_back(std::byte{byte});
        UsageUnpacker unpacker{packed, kBegins};
        std::size_t rows = 0;
        while (unpacker.next()) ++rows;
        RC_ASSERT(rows <= noise.size());
    }));
}
