// What an upstream says of its work, gathered while somebody walks through a document.
#pragma once

#include <optional>
#include <string_view>

#include "json_scan.h"
#include "nutgate/proxy/meter.h"

namespace nutgate::proxy {

// One for each document. What an object may be nested in, and which word wins, is find_usage()'s.
class UsageReader {
public:
    // Reads the value of a member of the document if usage may be in it; if not, false, and the
    // value is for the caller to skip.
    bool take(JsonReader& reader, std::string_view key, JsonToken first);
    std::optional<UsageFields> found() const;
    // Whether any of what was read had a member of a name under which a charge is told.
    bool names_cost() const { return names_cost_; }

private:
    UsageFields fields_;
    UsageFields timings_;
    bool names_cost_ = false;
};

}  // namespace nutgate::proxy
