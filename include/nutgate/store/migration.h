// A schema is a list of numbered steps, each module with its own list. Steps only go forward and
// are never edited once released; what is missing is applied at start, each in one transaction.
#pragma once

#include <span>
#include <string_view>

#include "nutgate/store/store.h"

namespace nutgate::store {

struct Migration {
    int version;           // From 1, without gaps.
    std::string_view sql;  // One or more statements, separated by ";\n". PostgreSQL's dialect.
};

// Applies what `module` still lacks. Fails, and changes nothing, if the database has a version that
// this program does not know: an older program must not touch a newer database.
Result<void, StoreFailure> migrate(Database& database, std::string_view module,
                                   std::span<const Migration> migrations);

}  // namespace nutgate::store
