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
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/server.h"
#include "nutgate/http/task.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/till.h"
#include "nutgate/proxy/usage_rows.h"

namespace nutgate::proxy {

// Where a token stands that pays for one request, and where its change does (NUT-24). A token that
// is longer than this stands in no head of ours: many readers of heads end at 16 KiB, or at 8.
inline constexpr std::string_view kPaymentHeader = "X-Cashu";
inline constexpr std::size_t kPaymentHeaderBytesMax = 8 * 1024;

// Whether a token is sent in the place of a key, again and again, or to pay for one request.
enum class TokenUse { AsKey, Once };

// Turns a token sent in place of a key into a balance, and what is left of one into a token. It
// calls mints, so it works on a thread of its own and calls `done` exactly once, from there. What
// one client may hand in is bounded: of tokens as keys the new ones, of others each.
class TokenRedeemer {
public:
    using Redeemed = std::function<void(Result<KeyId, http::ApiError>)>;
    using Changed = std::function<void(Result<std::string, http::ApiError>)>;

    virtual ~TokenRedeemer() = default;
    virtual void redeem(std::string token, std::string client_ip, TokenUse use, Redeemed done) = 0;
    // All that is available, in whole sats; the rest stays. Empty: less than one. Asked again with
    // nothing new on the key: the same token. Fails where that is not at hand, or not in time: then
    // it goes on by itself, and nothing is lost.
    virtual void give_change(KeyId key, Changed done) = 0;
};

class Gateway {
public:
    struct Options {
        std::size_t answer_bytes_max = 64 * 1024 * 1024;  // Of a buffered answer.
        Milliseconds error_time_max{
            5'000};  // For the words of an upstream's error, after its head.
        Milliseconds count_time_max{10'000};  // For an upstream's count of tokens.
        // A stream begins when its prompt and so many tokens of output for each choice are covered,
        // and is held for as far ahead from there on. Zero: all that it can cost is, at once.
        std::int64_t first_slice_tokens = 256;
        // How often the upstreams of a model are asked once more when none of them took a request
        // and one may do so soon: it was not reached, or said 502, 503, 504, 529 or, with a time to
        // wait, 429. Only before the first byte, so nothing is charged for what is asked again.
        int retries_max = 0;
        Milliseconds retry_wait{250};  // Before the first time; doubled each time.
        // A Retry-After up to this is waited for; what asks for more is not asked again.
        Milliseconds retry_after_max{2'000};
        // How it waits: a test's time passes otherwise.
        std::function<http::Task<void>(Milliseconds)> wait = http::after;
        // What a 402 tells an agent that wants to pay, as JSON: "methods" in `detail`. Asked each
        // time, on a data thread: mints come and go.
        std::function<std::string()> methods_json = [] { return std::string{"[]"}; };
        // What this node calls itself in an answer's "provider".
        std::string provider = "nutgate";
        // A NUT-18 payment request for at least that much, to be met by a token in X-Cashu with the
        // request itself (NUT-24); may be absent or answer with nothing.
        std::function<std::string(Msat)> payment_request;
    };
    struct Services {
        const Keyring& keyring;
        Till& till;
        TokenRedeemer* redeemer;  // Null: tokens are refused, with the way to deposit them.
        const Models& models;
        const Clock& clock;
        metrics::Registry& metrics;
        UsageRowNames row_names = {};  // Of all that can be sold. Without: rows name nothing.
    };

    Gateway(Services services, Options options);
    ~Gateway();
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    // A POST to one of the paths that are sold.
    http::Task<void> serve(http::Exchange& exchange, Endpoint endpoint);
    http::Task<void> chat_completions(http::Exchange& exchange) {
        return serve(exchange, Endpoint::Chat);
    }

    const Models& models() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate::proxy
