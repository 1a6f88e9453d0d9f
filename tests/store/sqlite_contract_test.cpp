#include "contract/store_contract.h"

namespace {

struct SqliteFile {
    static constexpr bool kDurable = true;
    TempDir folder;
    std::unique_ptr<Database> open() { return store::open(folder.database_url()).value(); }
};

struct SqliteMemory {
    static constexpr bool kDurable = false;
    std::unique_ptr<Database> open() { return store::open("sqlite::memory:").value(); }
};

}  // namespace

TYPE_TO_STRING(SqliteFile);
TYPE_TO_STRING(SqliteMemory);
NUTGATE_STORE_CONTRACT(SqliteFile);
NUTGATE_STORE_CONTRACT(SqliteMemory);
