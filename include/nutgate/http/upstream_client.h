// The data plane's outgoing calls: asynchronous, streamed, connections pooled per upstream and
// core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/http/message.h"
#include "nutgate/http/task.h"
#include "nutgate/http/url.h"

namespace nutgate::http {

// Ends a call from outside of the coroutine that awaits it, on the same thread: what
// Exchange::on_client_gone() is for. The call then fails at once: as Unreachable if nothing of it
// was sent, else as Broken.
class Abandonment {
public:
    void abandon() {
        is_abandoned_ = true;
        if (cut_) cut_();
    }
    bool is_abandoned() const { return is_abandoned_; }
    // For implementations of UpstreamClient: how to cut what is awaited now.
    void set_cut(std::function<void()> cut) { cut_ = std::move(cut); }

private:
    bool is_abandoned_ = false;
    std::function<void()> cut_;
};

// The rest of a request's body, sent on while it comes. Its owner keeps it beyond the call.
class BodySource {
public:
    virtual ~BodySource() = default;
    // The next piece, valid until the next call; an empty one is the end. Empty: there will be no
    // end. Then the connection is closed before the upstream has a whole request, and the call has
    // failed as Broken. May be cancelled, when an answer comes first; then it is not called again
    // for this connection.
    virtual Task<std::optional<std::string_view>> read() = 0;
    // From its first piece again, for another connection. False: that is no longer there.
    virtual bool rewind() = 0;
};

struct UpstreamRequest {
    Method method = Method::Post;
    std::string target;  // "/v1/chat/completions", below the origin.
    Headers headers;     // Host, Content-Length and Connection are ours to write.
    std::string body;
    BodySource* rest = nullptr;               // What follows `body`, if that is not all.
    std::optional<std::uint64_t> rest_bytes;  // Exactly so much. Without: it goes in chunks.
    Abandonment* abandonment = nullptr;       // If given, it outlives the call and its answer.
};

enum class UpstreamFailure {
    Unreachable,  // Certainly not received: another upstream may be tried.
    Timeout,      // No byte for the gap limit.
    Broken,       // The connection ended before the answer did, or it was not HTTP.
    TooLarge,     // The head is beyond its bound.
};

// An answer as it comes. Dropping it before its end closes the connection, which cancels the call.
class UpstreamAnswer {
public:
    virtual ~UpstreamAnswer() = default;
    virtual int status() const = 0;
    virtual const Headers& headers() const = 0;
    // The next piece of the body, decoded from its transfer coding, valid until the next call;
    // empty at the regular end. Fails if the gap limit passes or the connection breaks.
    virtual Task<Result<std::string_view, UpstreamFailure>> read() = 0;
    // What read() would give without waiting; empty if it would wait.
    virtual std::optional<Result<std::string_view, UpstreamFailure>> read_at_once() { return {}; }
    // Whether the upstream was sent all of what this answers.
    virtual bool has_whole_request() const { return true; }
    // Whether no upstream said it: the request was refused before one was asked.
    virtual bool is_our_own() const { return false; }
};

// Thread-safe: each data thread has connections of its own.
class UpstreamClient {
public:
    struct Options {
        Url base;  // Its path is not used: targets are whole.
        Milliseconds connect_timeout{5'000};
        Milliseconds head_timeout{600'000};  // Until the answer's head: models may think long.
        Milliseconds gap_timeout{120'000};   // Between two pieces.
        std::size_t idle_per_thread_max = 64;
        Milliseconds idle_timeout{30'000};
        std::size_t head_bytes_max = 64 * 1024;
        std::string ca_file;  // Empty: the system's. Certificates are always verified.
    };

    virtual ~UpstreamClient() = default;

    // Sends the request and awaits the answer's head. A pooled connection that turns out to be
    // closed, before any byte of the answer came and within a second of the request, is replaced
    // once by a fresh one: the upstream closed it for being idle. Redirects are answers, bodies are
    // passed on as they are encoded, interim answers (1xx) are skipped.
    // An answer that comes before the rest of a body was sent ends the sending; its connection is
    // used for nothing else then, and has_whole_request() of it is false.
    virtual Task<Result<std::unique_ptr<UpstreamAnswer>, UpstreamFailure>> send(
        UpstreamRequest request) = 0;
};

std::unique_ptr<UpstreamClient> make_upstream_client(UpstreamClient::Options options,
                                                     metrics::Registry& metrics);

}  // namespace nutgate::http
