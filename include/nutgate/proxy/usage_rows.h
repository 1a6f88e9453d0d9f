// What each charge was for: a row for each, to be read by who paid and by who sold.
//
// Rows are written in the transaction that posts their charge, so there is one for each charge and
// none without: a charge that is told again writes none. Many charges are one transfer of the
// ledger; what its rows say together is its amount, and audit_usage() proves that of all that are
// kept. They are pruned from the oldest on, whole transfers at a time.
//
// Functions on a database, without state; names are numbers in the rows, and do not change.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/pricing.h"
#include "nutgate/proxy/usage.h"
#include "nutgate/store/store.h"

namespace nutgate::proxy {

class Models;

// What is sold, as rows call it: "chat/completions".
std::string_view name_in_rows(Endpoint endpoint);

// Numbers of models, upstreams and endpoints. Zero is one that has none.
class UsageRowNames {
public:
    // Run at start, with all that there can be: a number once given is kept for ever.
    static Result<UsageRowNames, store::StoreFailure> intern(store::Database& database,
                                                             std::span<const std::string> names);
    static Result<UsageRowNames, store::StoreFailure> intern(store::Database& database,
                                                             const Models& models);

    std::int64_t number(std::string_view name) const;

private:
    std::map<std::string, std::int64_t, std::less<>> numbers_;
};

// What a request was and did, on its way to the books: plain numbers, so that nothing is allocated.
struct UsageRow {
    std::int64_t model = 0;  // As UsageRowNames has them.
    std::int64_t upstream = 0;
    std::int64_t endpoint = 0;
    MeteredUsage metered = {};
    Price::Rates rates = {};  // By which it was charged, over the denominator.
    std::uint64_t denominator = 1;
    std::optional<Msat> upstream_cost = {};  // To the seller, if it is known.
    Msat charged = {};                       // This and the time are the till's to set.
    Time at = {};
};

Result<void, store::StoreFailure> migrate_usage(store::Database& database);

// At start: from here on rows are kept, or none are. Where they were not kept until now, they are
// from the transfer on that follows `newest`, the ledger's.
void keep_usage(store::Tx& tx, bool is_kept, std::int64_t newest);

struct UsageCharge {
    std::int64_t transfer;  // Its number in the ledger.
    KeyId payer;            // Whose balance paid.
    KeyId key;              // The payer's own, or a child of it.
    Msat charged;           // What the rows say together, or less, where no more could be had.
};
constexpr std::int64_t kUsageRowsPerTransferMax = 1 << 20;
void write_usage(store::Tx& tx, const UsageCharge& charge, std::span<const UsageRow> rows);

// Drops what is older, the oldest first: the rows of at most `limit` transfers, and says of how
// many it did.
std::int64_t prune_usage(store::Tx& tx, Time before, int limit);

// Charges from that transfer on, or from the first one on whose rows are kept, that are to `payee`
// in the ledger and are not what their rows say. Says nothing of a database that has no rows.
std::vector<std::string> audit_usage(store::Reader& reader, const Ledger& ledger,
                                     const Account& payee, std::int64_t from);

// A kind of work that a row is for.
struct UsageItem {
    // As prices are named in the configuration ("input", "cached_input", "image"), but "audio_ms":
    // audio that was listened to is counted and priced by the millisecond.
    std::string kind;
    std::int64_t count;
    std::int64_t msat_per_million;  // Its price, as charged, rounded up.

    friend bool operator==(const UsageItem&, const UsageItem&) = default;
};

struct UsageEntry {
    std::int64_t id;  // Larger of what was posted later.
    Time at;
    KeyId payer;
    std::optional<KeyId> child;  // Of the payer, who used it.
    std::string model;
    std::string upstream;
    std::string endpoint;
    UsageSource source;
    std::int64_t input;   // Tokens of all kinds.
    std::int64_t output;  // Of all kinds, too.
    std::vector<UsageItem> items;
    Msat charged;
    std::optional<Msat> upstream_cost;
};

struct UsageQuery {
    std::optional<KeyId> payer = {};  // What this balance paid, its children's, too.
    std::optional<KeyId> child = {};  // What this child used.
    std::optional<std::string> model = {};
    std::optional<Time> since = {};
    std::optional<std::int64_t> before = {};  // As a page names what follows it.
    int limit = 100;
    // Rows that are looked at for one page: a filter that finds nothing is no way to have all of
    // them read.
    int looked_at_max = 10'000;
};
struct UsagePage {
    std::vector<UsageEntry> entries;   // The newest first.
    std::optional<std::int64_t> next;  // Empty: that was all. A page may be short before it.
};
UsagePage list_usage(store::Reader& reader, const UsageQuery& query);

enum class UsageBy { Model, Key, Day, Upstream, Endpoint };
struct UsageTotal {
    std::string name;  // Of what it is by: a key's id in hex, or a day as 2026-11-28.
    std::int64_t requests;
    std::int64_t estimated;  // Of them.
    std::int64_t input;
    std::int64_t output;
    Msat charged;
    // Of those requests whose upstream's price is known: the margin is the difference of the sums.
    std::int64_t costed;
    Msat costed_charged;
    Msat upstream_cost;
    std::int64_t margin() const {
        return costed_charged.raw() - upstream_cost.raw();  // style: it may be below zero.
    }
};
// By day in the order of days, else who brought most first.
std::vector<UsageTotal> total_usage(store::Reader& reader, UsageBy by, Time since);

std::string_view to_text(UsageSource source);

}  // namespace nutgate::proxy
