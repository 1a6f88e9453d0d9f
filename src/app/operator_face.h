// Commands that write go through the running node, which owns the data dir.
#pragma once

#include <string>

#include "data_view.h"
#include "nutgate/base/clock.h"
#include "nutgate/http/message.h"

namespace nutgate::app {

struct OperatorRequest {
    http::Method method = http::Method::Post;
    std::string path;  // With its query: "/admin/wallet/send".
    Json body = {};
    Milliseconds timeout{120'000};
};

// What went wrong, in words for people: the node's own where it answered. `again`: asking the same
// again is of use, because the answer is missing or says so.
struct OperatorError {
    OperatorError(std::string what, bool ask_again = false)
        : detail{std::move(what)}, again{ask_again} {}
    OperatorError(DataDirError error) : detail{std::move(error.detail)} {}
    std::string detail;
    bool again = false;
};

Result<Json, OperatorError> ask_node(const std::string& data_dir, const OperatorRequest& request);

}  // namespace nutgate::app
