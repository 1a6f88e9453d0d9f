#include "nutgate/store/migration.h"

#include <string>
#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"

namespace nutgate::store {
namespace {

using Version = Result<std::int64_t, StoreFailure>;

Version version_of(Reader& reader, std::string_view module, std::size_t known) {
    const auto row =
        reader.query_one("SELECT version FROM schema_version WHERE module = $1", module);
    const std::int64_t version = row ? row->integer(0) : 0;
    if (version > static_cast<std::int64_t>(known)) {
        return fail(StoreFailure{"the database has version " + std::to_string(version) + " of " +
                                 std::string{module} + ", this program knows " +
                                 std::to_string(known) + ": it is too old for it"});
    }
    return version;
}

// The statements of one step, one by one: an engine compiles one at a time.
void run_statements(Tx& tx, std::string_view sql) {
    constexpr std::string_view kBlank = " \n\t;";
    constexpr std::string_view kEnd = ";\n";
    while (!sql.empty()) {
        const auto end = sql.find(kEnd);
        auto statement = sql.substr(0, end);
        sql.remove_prefix(end == std::string_view::npos ? sql.size() : end + kEnd.size());
        const auto first = statement.find_first_not_of(kBlank);
        if (first == std::string_view::npos) continue;
        statement = statement.substr(first, statement.find_last_not_of(kBlank) - first + 1);
        tx.execute(statement);
    }
}

// Applies the first step that is missing. Returns the version that the module has then.
Version apply_next(Database& database, std::string_view module,
                   std::span<const Migration> migrations) {
    return database.transact([&](Tx& tx) -> Version {
        TRY(const auto version, version_of(tx, module, migrations.size()));
        if (version == static_cast<std::int64_t>(migrations.size())) return version;
        const auto& next = migrations[static_cast<std::size_t>(version)];
        run_statements(tx, next.sql);
        tx.execute(
            "INSERT INTO schema_version (module, version) VALUES ($1, $2) "
            "ON CONFLICT (module) DO UPDATE SET version = excluded.version",
            module, next.version);
        return next.version;
    });
}

}  // namespace

Result<void, StoreFailure> migrate(Database& database, std::string_view module,
                                   std::span<const Migration> migrations) {
    for (std::size_t i = 0; i < migrations.size(); ++i) {
        VERIFY(migrations[i].version == static_cast<int>(i) + 1);
    }
    const auto newest = static_cast<std::int64_t>(migrations.size());
    // Asked first without writing, so that commands which only read can ask too. It fails where
    // there is no table yet, and then the next step says what is wrong, if anything is.
    const auto found = database.read(
        [&](Reader& reader) { return version_of(reader, module, migrations.size()); });
    if (found && *found == newest) return {};

    TRY_VOID(database.transact([](Tx& tx) -> Result<void, StoreFailure> {
        tx.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (module TEXT PRIMARY KEY, "
            "version BIGINT NOT NULL)");
        return {};
    }));
    for (;;) {
        TRY(const auto version, apply_next(database, module, migrations));
        if (version == newest) return {};
        log::info("store_migrated", {{"module", module}, {"version", version}});
    }
}

}  // namespace nutgate::store
