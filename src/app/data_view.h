// What the commands share: a look into a data dir, and how amounts and answers are printed.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <utility>

#include "commands.h"
#include "data_dir.h"
#include "nutgate/base/amount.h"
#include "nutgate/base/result.h"
#include "nutgate/store/open.h"

namespace nutgate::app {

using Json = nlohmann::ordered_json;

struct CommandError {
    CommandError(std::string what) : detail{std::move(what)} {}
    CommandError(DataDirError error) : detail{std::move(error.detail)} {}
    CommandError(store::StoreFailure failure) : detail{std::move(failure.detail)} {}
    std::string detail;
};

// Runs `body` on the database of a data dir, which may belong to a running node.
template <class T, class Body>
Result<T, CommandError> look(const std::string& data_dir, Body body) {
    TRY(const auto folder, DataDir::look(data_dir));
    TRY(const auto database, store::open_read_only(folder.database_url()));
    return database->read(
        [&](store::Reader& reader) -> Result<T, CommandError> { return body(reader, folder); });
}

// Answers with the exit code.
int print(const Json& json);
// "12.345": what is below one sat only where there is some.
std::string sats(Msat amount);

// What a restore found at each mint. Failed, if one could not be searched whole.
int print_restored(const Json& body, Output output);

}  // namespace nutgate::app
