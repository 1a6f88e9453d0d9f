// An HTTP client whose server is scripted: for adapters of upstreams, in a whole node.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fixture.h"

namespace nutgate::test {

class ScriptedServer final : public http::UpstreamClient {
public:
    explicit ScriptedServer(Script script) { server_.script = std::move(script); }
    http::Task<Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>> send(
        http::UpstreamRequest request) override {
        target_ = std::move(request.target);
        return server_.call({.body = std::move(request.body), .abandonment = request.abandonment});
    }
    int steps_done() const { return server_.steps_done; }
    std::vector<std::string> bodies() const { return server_.bodies(); }
    // Of the last request.
    const std::string& target() const { return target_; }

private:
    FakeUpstream server_;
    std::string target_;
};

}  // namespace nutgate::test
