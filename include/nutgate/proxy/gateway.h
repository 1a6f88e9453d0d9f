// One metered request: identify, price, hold, forward, meter, settle, report.
//
// What is held covers the request whatever the upstream does; what is charged is what was metered,
// never more than the hold. Whoever leaves early pays for what was made until then; who gets no
// answer pays nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/server.h"
#include "nutgate/http/task.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/till.h"

namespace nutgate::proxy {

// Turns a token sent in place of a key into a balance. It calls mints, so it works on a thread of
// its own and calls `done` exactly once, from there.
class TokenRedeemer {
public:
    virtual ~TokenRedeemer() = default;
    virtual void redeem(std::string token,
                        std::function<void(Result<KeyId, http::ApiError>)> done) = 0;
};

class Gateway {
public:
    struct Options {
        std::size_t answer_bytes_max = 64 * 1024 * 1024;  // Of a buffered answer.
        Milliseconds error_time_max{
            5'000};  // For the words of an upstream's error, after its head.
        // What a 402 tells an agent that wants to pay, as JSON: "methods" in `detail`.
        std::string methods_json = "[]";
        // What this node calls itself in an answer's "provider".
        std::string provider = "nutgate";
        // A NUT-18 payment request for at least that much; may be absent or answer with nothing.
        std::function<std::string(Msat)> payment_request;
    };
    struct Services {
        const Keyring& keyring;
        Till& till;
        TokenRedeemer* redeemer;  // Null: tokens are refused, with the way to deposit them.
        const Models& models;
        const Clock& clock;
        metrics::Registry& metrics;
    };

    Gateway(Services services, Options options);
    ~Gateway();
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    // POST /v1/chat/completions.
    http::Task<void> chat_completions(http::Exchange& exchange);

    const Models& models() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate::proxy
