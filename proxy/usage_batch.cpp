#include "usage_batch.h"

#include <algorithm>

#include "nutgate/store/store.h"

namespace nutgate::proxy {
namespace {

// A row is: this number; the milliseconds since the batch began, zigzag; model, upstream, endpoint,
// source, input, output, charged; 0 or the upstream's cost and 1; the number of items; of each its
// kind, count and msat per million. All of them LEB128, so a chat takes some 25 bytes.
constexpr std::int64_t kRowFormat = 1;
// Between rows of one transfer lie seconds; what claims more was not written here.
constexpr Milliseconds kSpanMax = std::chrono::years{100};

// Stored by their places here: append only.
constexpr std::array kStoredSources{UsageSource::UpstreamFinal, UsageSource::UpstreamPartial,
                                    UsageSource::Estimate};
constexpr std::array<PriceKind, kPriceKinds> kStoredKinds{
    PriceKind::Input,       PriceKind::InputCached, PriceKind::CacheWrite, PriceKind::CacheWrite1h,
    PriceKind::InputAudio,  PriceKind::InputImage,  PriceKind::Output,     PriceKind::Reasoning,
    PriceKind::OutputAudio, PriceKind::OutputImage, PriceKind::Request,    PriceKind::Image,
    PriceKind::Search,      PriceKind::Character,   PriceKind::AudioSecond};

template <class T, std::size_t N>
std::int64_t place_of(const std::array<T, N>& stored, T value) {
    return std::ranges::find(stored, value) - stored.begin();
}

// One row, in a place of its own until it is whole: a row has some dozen numbers.
class RowPacker {
public:
    void put(std::uint64_t number) {
        while (number >= 0x80) {
            *at_++ = static_cast<std::byte>((number & 0x7F) | 0x80);
            number >>= 7;
        }
        *at_++ = static_cast<std::byte>(number);
    }
    void put(std::int64_t number) { put(static_cast<std::uint64_t>(number)); }
    void append_to(Bytes& packed) const {
        const std::byte* const end = at_;
        packed.insert(packed.end(), bytes_.data(), end);
    }

private:
    static constexpr std::size_t kNumbersMax = 11 + 3 * kPriceKinds;
    static constexpr std::size_t kNumberBytesMax = 10;

    std::array<std::byte, kNumbersMax * kNumberBytesMax> bytes_;
    std::byte* at_ = bytes_.data();
};

// 0, -1, 1, -2, … as 0, 1, 2, 3, …: a clock may have been put back.
std::uint64_t zigzag(std::int64_t number) {
    return (static_cast<std::uint64_t>(number) << 1) ^ static_cast<std::uint64_t>(number >> 63);
}
std::int64_t unzigzag(std::int64_t stored) {
    const auto bits = static_cast<std::uint64_t>(stored);
    return static_cast<std::int64_t>((bits >> 1) ^ (~(bits & 1) + 1));
}

}  // namespace

StoredUsage to_stored(const UsageRow& row, Msat charged) {
    const Usage& usage = row.metered.usage;
    StoredUsage stored{.at = row.at,
                       .model = row.model,
                       .upstream = row.upstream,
                       .endpoint = row.endpoint,
                       .source = row.metered.source,
                       .input = usage.input(),
                       .output = usage.output(),
                       .charged = charged,
                       .upstream_cost = row.upstream_cost,
                       .item_storage = {},
                       .item_count = 0};
    for (const PriceKind kind : kAllPriceKinds) {
        const std::uint64_t rate = row.rates[index_of(kind)];
        const std::int64_t count = count_of(usage, kind);
        // Each is a request, which most prices do not count.
        if (count == 0 || (kind == PriceKind::Request && rate == 0)) continue;
        stored.item_storage[stored.item_count++] = {
            .kind = kind,
            .count = count,
            .msat_per_million = msat_per_million_ceil(rate, row.denominator)};
    }
    return stored;
}

void pack(Bytes& packed, Time begins, const StoredUsage& row) {
    RowPacker packer;
    packer.put(kRowFormat);
    packer.put(zigzag(to_unix_milliseconds(row.at) - to_unix_milliseconds(begins)));
    packer.put(row.model);
    packer.put(row.upstream);
    packer.put(row.endpoint);
    packer.put(place_of(kStoredSources, row.source));
    packer.put(row.input);
    packer.put(row.output);
    packer.put(row.charged.raw());
    packer.put(row.upstream_cost ? static_cast<std::uint64_t>(row.upstream_cost->raw()) + 1 : 0);
    packer.put(static_cast<std::uint64_t>(row.item_count));
    for (const StoredUsageItem& item : row.items()) {
        packer.put(place_of(kStoredKinds, item.kind));
        packer.put(item.count);
        packer.put(item.msat_per_million);
    }
    packer.append_to(packed);
}

std::optional<StoredUsage> UsageUnpacker::next() {
    if (left_.empty() || !is_sound_) return std::nullopt;
    StoredUsage row{};
    is_sound_ = read_row(row);
    if (!is_sound_) return std::nullopt;
    return row;
}

bool UsageUnpacker::read_row(StoredUsage& row) {
    std::int64_t format = 0;
    if (!read(format) || format != kRowFormat) return false;
    std::int64_t since = 0;
    std::int64_t source = 0;
    std::int64_t charged = 0;
    std::int64_t cost = 0;
    for (std::int64_t* number : {&since, &row.model, &row.upstream, &row.endpoint, &source,
                                 &row.input, &row.output, &charged, &cost}) {
        if (!read(*number)) return false;
    }
    const auto amount = Msat::from_raw(charged);
    const auto taken = Msat::from_raw(std::max<std::int64_t>(cost - 1, 0));
    const Milliseconds span{unzigzag(since)};
    if (span > kSpanMax || span < -kSpanMax) return false;
    if (source < 0 || source >= std::ssize(kStoredSources) || !amount || !taken) return false;
    row.at = begins_ + span;
    row.source = kStoredSources[static_cast<std::size_t>(source)];
    row.charged = *amount;
    if (cost > 0) row.upstream_cost = *taken;
    return read_items(row);
}

bool UsageUnpacker::read_items(StoredUsage& row) {
    std::int64_t items = 0;
    if (!read(items) || items < 0 || items > std::ssize(row.item_storage)) return false;
    for (; row.item_count < static_cast<std::size_t>(items); ++row.item_count) {
        StoredUsageItem& item = row.item_storage[row.item_count];
        std::int64_t kind = 0;
        if (!read(kind) || kind < 0 || kind >= std::ssize(kStoredKinds)) return false;
        item.kind = kStoredKinds[static_cast<std::size_t>(kind)];
        if (!read(item.count) || !read(item.msat_per_million)) return false;
    }
    return true;
}

bool UsageUnpacker::read(std::int64_t& number) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !left_.empty(); shift += 7) {
        const auto byte = std::to_integer<std::uint64_t>(left_.front());
        left_ = left_.subspan(1);
        value |= (byte & 0x7F) << shift;
        if (byte < 0x80) {
            number = static_cast<std::int64_t>(value);
            return true;
        }
    }
    return false;
}

std::string_view item_name(PriceKind kind) {
    return kind == PriceKind::AudioSecond ? "audio_ms" : to_text(kind);
}

bool has_usage_tables(store::Reader& reader) {
    return reader.query_one("SELECT version FROM schema_version WHERE module = 'usage'")
        .has_value();
}

}  // namespace nutgate::proxy
