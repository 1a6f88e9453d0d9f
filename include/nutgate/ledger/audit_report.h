#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/ledger/account.h"

namespace nutgate {

// What an audit found. Books that do not add up are reported, never repaired in silence.
struct AuditReport {
    std::int64_t transfers = 0;
    std::int64_t transfers_checked = 0;  // Since the last sealed checkpoint, or all.
    std::int64_t holds_open = 0;
    struct Line {
        Account account;
        Msat debits;
        Msat credits;
        Msat held;
    };
    std::vector<Line> accounts;  // All but those of keys, of which there may be millions.
    struct Keys {
        std::int64_t count = 0;
        Msat debits;
        Msat credits;
        Msat held;
    };
    Keys keys;  // All of them together.
    // Empty: the books prove themselves. Of more than kAccountFaultsMax faults of accounts the rest
    // is only counted.
    std::vector<std::string> faults;
    static constexpr std::int64_t kAccountFaultsMax = 1000;
    bool sound() const { return faults.empty(); }
};

}  // namespace nutgate
