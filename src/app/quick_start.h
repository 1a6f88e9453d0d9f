// `nutgate serve --upstream-url URL --price-…`: an upstream without a file, and every model that it
// lists, at one price.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "config.h"

namespace nutgate::app {

// Asks the upstream for its models and adds them to `config`. Nothing is sold without a price.
std::vector<Mistake> add_quick_start(const ServeArguments& arguments,
                                     const Environment& environment, Config& config);

// HOST:0 becomes HOST and a port that is free now, since tokens and the mint's own info name the
// address before anything listens on it. Empty if there is none.
std::optional<std::string> resolve_port(const std::string& address);

}  // namespace nutgate::app
