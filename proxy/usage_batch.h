// The rows of one transfer as they are stored: packed, one after the other, as one value.
//
// A key that is hot has hundreds of charges in one transfer. As rows of a table with an index each
// of them would cost the writer more than the charge itself; packed, they cost it what one does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "nutgate/base/bytes.h"
#include "nutgate/proxy/usage_rows.h"

namespace nutgate::proxy {

struct StoredUsageItem {
    PriceKind kind;
    std::int64_t count;
    std::int64_t msat_per_million;  // As charged, rounded up.
};

struct StoredUsage {
    Time at;
    std::int64_t model;  // As UsageRowNames has them.
    std::int64_t upstream;
    std::int64_t endpoint;
    UsageSource source;
    std::int64_t input;
    std::int64_t output;
    Msat charged;
    std::optional<Msat> upstream_cost;

    std::span<const StoredUsageItem> items() const { return {item_storage.data(), item_count}; }
    std::array<StoredUsageItem, kPriceKinds> item_storage;
    std::size_t item_count;
};

// What a row is when `charged` of it was had.
StoredUsage to_stored(const UsageRow& row, Msat charged);

// Appends the row. `begins` is the batch's, the same for all of them.
void pack(Bytes& packed, Time begins, const StoredUsage& row);

// Reads them again, in the order in which they were packed.
class UsageUnpacker {
public:
    UsageUnpacker(BytesView packed, Time begins) : left_{packed}, begins_{begins} {}

    // Empty: that was the last, or what follows is no row. is_whole() then says which.
    std::optional<StoredUsage> next();
    bool is_whole() const { return left_.empty() && is_sound_; }

private:
    bool read_row(StoredUsage& row);
    bool read_items(StoredUsage& row);
    bool read(std::int64_t& number);

    BytesView left_;
    Time begins_;
    bool is_sound_ = true;
};

// "input", "cached_input", …, and "audio_ms" of what a price counts by the second.
std::string_view item_name(PriceKind kind);

// Of a database that an older node wrote, no.
bool has_usage_tables(store::Reader& reader);

}  // namespace nutgate::proxy
