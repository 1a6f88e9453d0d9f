// A name service whose answers a test sets.
#pragma once

#include <deque>
#include <latch>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "nutgate/http/reach.h"

namespace nutgate::test {

// Thread-safe. Knows no host that it was not told of.
class FakeResolver final : public http::Resolver {
public:
    void set(const std::string& host, std::vector<std::string> addresses) {
        const std::lock_guard lock{mutex_};
        answers_[host] = {std::move(addresses)};
    }
    // From the next answer after the one before on.
    void then(const std::string& host, std::vector<std::string> addresses) {
        const std::lock_guard lock{mutex_};
        answers_[host].push_back(std::move(addresses));
    }
    // Nothing is answered until then. The latch outlives this.
    void hang(std::latch& until) {
        const std::lock_guard lock{mutex_};
        until_ = &until;
    }
    int asked() const {
        const std::lock_guard lock{mutex_};
        return asked_;
    }

    std::vector<std::string> resolve(const std::string& host) override {
        std::latch* until = nullptr;
        {
            const std::lock_guard lock{mutex_};
            ++asked_;
            until = until_;
        }
        if (until != nullptr) until->wait();
        const std::lock_guard lock{mutex_};
        const auto found = answers_.find(host);
        if (found == answers_.end()) return {};
        auto addresses = found->second.front();
        if (found->second.size() > 1) found->second.pop_front();
        return addresses;
    }

private:
    mutable std::mutex mutex_;
    std::map<std::string, std::deque<std::vector<std::string>>> answers_;
    std::latch* until_ = nullptr;
    int asked_ = 0;
};

}  // namespace nutgate::test
