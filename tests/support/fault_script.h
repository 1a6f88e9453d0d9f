// What goes wrong on the way to a mint and back, as a test has written it down: the next calls of a
// path, or the n-th call of any.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "nutgate/cashu/mint_client.h"
#include "nutgate/cashu/wire.h"

namespace nutgate::test {

enum class Fault {
    NotSent,       // Refused before a byte left us.
    LoseRequest,   // Lost on the way there: a time-out.
    LoseAnswer,    // Done, and the answer lost: a time-out as well.
    Duplicate,     // Arrives twice; the second answer comes back.
    CutAnswer,     // Done; half of the answer comes back.
    ServerError,   // Done; a proxy answers 502.
    TooMany,       // Not done: 429.
    Down,          // Not done: 500.
    Late,          // A time-out; it arrives just before the next call.
    Later,         // Just before the one after that.
    BadSignature,  // Done; the answer's first two signatures are exchanged.
};

// Of Fault::BadSignature.
inline void exchange_signatures(cashu::MintAnswer& answer) {
    auto signatures = cashu::wire::parse_signatures(answer.body);
    if (!signatures || signatures->size() < 2) return;
    std::swap((*signatures)[0].C_, (*signatures)[1].C_);
    answer.body = cashu::wire::write_signatures(*signatures);
}

// Not thread-safe: its owner's lock guards it.
class FaultScript {
public:
    void add(std::string path, Fault fault, int times) {
        for (int i = 0; i < times; ++i) faults_.emplace_back(path, fault);
    }
    // Of the n-th call from now on, whatever it asks for, and of no other.
    void at(int n, Fault fault) {
        at_ = n;
        fault_at_ = fault;
    }
    bool came_so_far() const { return at_ <= 0; }
    void clear() {
        faults_.clear();
        at_ = 0;
    }
    // What happens to this call.
    std::optional<Fault> next(std::string_view path) {
        if (at_ > 0 && --at_ == 0) return fault_at_;
        const auto entry = std::find_if(faults_.begin(), faults_.end(), [&](const auto& item) {
            return path.substr(0, item.first.size()) == item.first;
        });
        if (entry == faults_.end()) return std::nullopt;
        const auto fault = entry->second;
        faults_.erase(entry);
        return fault;
    }

private:
    std::deque<std::pair<std::string, Fault>> faults_;
    int at_ = 0;
    Fault fault_at_ = Fault::NotSent;
};

}  // namespace nutgate::test
