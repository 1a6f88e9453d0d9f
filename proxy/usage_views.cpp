// Rows as they are read: by who paid, page by page, and by who sold, summed up.
#include <algorithm>
#include <map>

#include "nutgate/base/verify.h"
#include "nutgate/proxy/usage_rows.h"
#include "usage_batch.h"

namespace nutgate::proxy {
namespace {

using store::Reader;

using Names = std::map<std::int64_t, std::string>;

Names read_names(Reader& reader) {
    Names names;
    for (const auto& row : reader.query("SELECT id, name FROM usage_name")) {
        names.emplace(row.integer(0), row.text(1));
    }
    return names;
}

std::string_view name_of(const Names& names, std::int64_t number) {
    const auto found = names.find(number);
    return found == names.end() ? std::string_view{} : std::string_view{found->second};
}

// A row's id is its transfer's number and its place among that transfer's rows, so rows come in the
// order of the books.
std::int64_t first_id(std::int64_t transfer) { return transfer * kUsageRowsPerTransferMax; }

struct Batch {
    explicit Batch(const store::Row& row)
        : transfer{row.integer(0)},
          payer{row.id<KeyId>(1)},
          child{row.is_null(2) ? std::nullopt : std::optional{row.id<KeyId>(2)}} {
        UsageUnpacker unpacker{row.bytes(4), row.time(3)};
        while (const auto next = unpacker.next()) rows.push_back(*next);
    }

    std::int64_t transfer;
    KeyId payer;
    std::optional<KeyId> child;
    std::vector<StoredUsage> rows;
};
constexpr std::string_view kBatchColumns = "transfer, payer, child, begins, packed";

UsageEntry to_entry(const Batch& batch, std::size_t place, const Names& names) {
    const StoredUsage& row = batch.rows[place];
    UsageEntry entry{.id = first_id(batch.transfer) + static_cast<std::int64_t>(place),
                     .at = row.at,
                     .payer = batch.payer,
                     .child = batch.child,
                     .model = std::string{name_of(names, row.model)},
                     .upstream = std::string{name_of(names, row.upstream)},
                     .endpoint = std::string{name_of(names, row.endpoint)},
                     .source = row.source,
                     .input = row.input,
                     .output = row.output,
                     .items = {},
                     .charged = row.charged,
                     .upstream_cost = row.upstream_cost};
    for (const StoredUsageItem& item : row.items()) {
        entry.items.push_back({.kind = std::string{item_name(item.kind)},
                               .count = item.count,
                               .msat_per_million = item.msat_per_million});
    }
    return entry;
}

// The newest batches of whom the query asks for, from that transfer on downwards.
std::vector<store::Row> batches_of(Reader& reader, const UsageQuery& query, std::int64_t newest) {
    constexpr int kBatchesAtOnce = 64;
    const std::string whose = query.child   ? " AND child = $2"
                              : query.payer ? " AND payer = $2"
                                            : " AND $2 IS NULL";
    const std::optional<KeyId>& key = query.child ? query.child : query.payer;
    return reader.query("SELECT " + std::string{kBatchColumns} +
                            " FROM usage_batch WHERE transfer <= $1" + whose +
                            " ORDER BY transfer DESC LIMIT $3",
                        newest, key, kBatchesAtOnce);
}

// A page while it is filled.
class PageFilling {
public:
    PageFilling(const UsageQuery& query, Names names) : query_{query}, names_{std::move(names)} {
        if (!query.model) return;
        model_ = 0;  // Of a name that no row can have.
        for (const auto& [number, name] : names_) {
            if (name == *query.model) model_ = number;
        }
    }

    // Whether older batches are wanted, too.
    bool take(const Batch& batch) {
        for (std::size_t place = batch.rows.size(); place > 0; --place) {
            if (!take(batch, place - 1)) return false;
        }
        return true;
    }

    UsagePage page;

private:
    bool take(const Batch& batch, std::size_t place) {
        const std::int64_t id = first_id(batch.transfer) + static_cast<std::int64_t>(place);
        if (query_.before && id >= *query_.before) return true;
        if (looked_at_ == query_.looked_at_max) {
            page.next = last_looked_at_;
            return false;
        }
        ++looked_at_;
        last_looked_at_ = id;
        const StoredUsage& row = batch.rows[place];
        if ((query_.since && row.at < *query_.since) || (model_ && row.model != *model_)) {
            return true;
        }
        if (std::ssize(page.entries) == query_.limit) {
            page.next = page.entries.back().id;
            return false;
        }
        page.entries.push_back(to_entry(batch, place, names_));
        return true;
    }

    const UsageQuery& query_;
    Names names_;
    std::optional<std::int64_t> model_;
    int looked_at_ = 0;
    std::int64_t last_looked_at_ = 0;
};

std::string day_text(Time at) {
    const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(at)};
    const auto two = [](unsigned value) { return (value < 10 ? "0" : "") + std::to_string(value); };
    return std::to_string(static_cast<int>(date.year())) + '-' +
           two(static_cast<unsigned>(date.month())) + '-' + two(static_cast<unsigned>(date.day()));
}

// Sums, by what they are of.
class Totals {
public:
    Totals(UsageBy by, const Names& names) : by_{by}, names_{names} {}

    void add_row(const Batch& batch, const StoredUsage& row) {
        UsageTotal& total = of(group(batch, row));
        ++total.requests;
        if (row.source == UsageSource::Estimate) ++total.estimated;
        total.input += row.input;
        total.output += row.output;
        total.charged = *add(total.charged, row.charged);
        if (!row.upstream_cost) return;
        ++total.costed;
        total.costed_charged = *add(total.costed_charged, row.charged);
        total.upstream_cost = *add(total.upstream_cost, *row.upstream_cost);
    }

    std::vector<UsageTotal> in_order() && {
        std::vector<UsageTotal> totals;
        totals.reserve(totals_.size());
        for (auto& [name, total] : totals_) totals.push_back(std::move(total));
        if (by_ == UsageBy::Day) return totals;
        std::ranges::stable_sort(totals, std::greater{}, &UsageTotal::charged);
        return totals;
    }

private:
    std::string group(const Batch& batch, const StoredUsage& row) const {
        switch (by_) {
            case UsageBy::Model:
                return std::string{name_of(names_, row.model)};
            case UsageBy::Upstream:
                return std::string{name_of(names_, row.upstream)};
            case UsageBy::Endpoint:
                return std::string{name_of(names_, row.endpoint)};
            case UsageBy::Key:
                return batch.child.value_or(batch.payer).hex();
            case UsageBy::Day:
                return day_text(row.at);
        }
        return {};
    }
    UsageTotal& of(const std::string& name) {
        UsageTotal& total = totals_[name];
        if (total.requests == 0) total.name = name;
        return total;
    }

    UsageBy by_;
    const Names& names_;
    std::map<std::string, UsageTotal> totals_;
};

}  // namespace

std::string_view to_text(UsageSource source) {
    switch (source) {
        case UsageSource::UpstreamFinal:
            return "upstream_final";
        case UsageSource::UpstreamPartial:
            return "upstream_partial";
        case UsageSource::Estimate:
            return "estimate";
    }
    return "estimate";
}

UsagePage list_usage(Reader& reader, const UsageQuery& query) {
    if (!has_usage_tables(reader)) return {};
    PageFilling filling{query, read_names(reader)};
    std::int64_t newest = query.before ? *query.before / kUsageRowsPerTransferMax : INT64_MAX;
    for (;;) {
        const auto batches = batches_of(reader, query, newest);
        for (const auto& row : batches) {
            if (!filling.take(Batch{row})) return std::move(filling.page);
        }
        if (batches.empty()) return std::move(filling.page);
        newest = batches.back().integer(0) - 1;
    }
}

std::vector<UsageTotal> total_usage(Reader& reader, UsageBy by, Time since) {
    if (!has_usage_tables(reader)) return {};
    const Names names = read_names(reader);
    Totals totals{by, names};
    reader.each(
        "SELECT " + std::string{kBatchColumns} +
            " FROM usage_batch WHERE ends >= $1 ORDER BY transfer",
        [&](store::Row&& row) {
            const Batch batch{row};
            for (const StoredUsage& one : batch.rows) {
                if (one.at >= since) totals.add_row(batch, one);
            }
        },
        since);
    return std::move(totals).in_order();
}

}  // namespace nutgate::proxy
