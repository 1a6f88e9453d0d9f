// The incoming HTTP/1.1 server: a strict reader and a list of what it must refuse
// (metering-and-gateways 7.3), one io_context per data thread, a bounded pool for blocking
// handlers.
//
// Every queue, pool, head and body is bounded by Options. After a request that must be refused the
// answer has Connection: close and no further byte of that connection is interpreted.
// Thread-safe after start(); routes are added before it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/http/message.h"
#include "nutgate/http/task.h"

namespace nutgate::http {

// Why a body did not come to its end.
enum class BodyFailure {
    TooLarge,   // More than the route takes.
    TooSlow,    // Beyond Options::body_timeout.
    Malformed,  // Chunks that are none.
    Crowded,    // All bodies together have reached Options::bodies_bytes_max.
    Gone,       // The client has left.
};

// One request being answered on the data plane. Exactly one of respond() or begin()…end() is
// called. Each returns false once the client is gone; then nothing more need be written.
class Exchange {
public:
    virtual ~Exchange() = default;

    virtual const Request& request() const = 0;

    // The four below are for a route whose body is read as its handler asks (Reading::AsAsked). A
    // body that came with its head is whole from the start, and there is nothing to ask for.
    virtual bool has_whole_body() const { return true; }
    // Of all of it, as the client declared; empty if it comes in chunks.
    virtual std::optional<std::uint64_t> body_bytes() const { return request().body.size(); }
    // Reads on until request().body holds so many bytes, or all that there are. After a failure the
    // handler returns without an answer: the server gives the one that it gives on other routes.
    // May be cancelled, and called again.
    virtual Task<Result<void, BodyFailure>> read_body(std::size_t bytes_min);
    // Empties request().body and gives its memory back: for a body that passes through.
    virtual void shed_body() {}

    virtual Task<bool> respond(Response response) = 0;

    // A streamed answer: head and first piece leave in one write; each piece is on its way before
    // the task ends, which is the back-pressure.
    // Of a head with a Content-Length of the caller's exactly so many bytes must follow; without
    // one the pieces go out chunked.
    virtual Task<bool> begin(Response head_and_first_piece) = 0;
    virtual Task<bool> write(std::string_view piece) = 0;
    virtual Task<bool> end(std::string_view last_piece) = 0;  // In one write with the piece.
    Task<bool> end() { return end(std::string_view{}); }

    // Ends when the client has closed or reset its connection: for use beside the wait for an
    // upstream, with first_of(). Bytes of a pipelined request are kept and end nothing.
    virtual Task<void> client_gone() = 0;

    // The same without a coroutine of its own, which a stream of many pieces is better served by:
    // `gone` is called once, on this thread, when the client has left, or at once if it has
    // already; it may cancel what the coroutine awaits (UpstreamAnswer::abandon). In place of the
    // one set before; an empty one ends the watch, and so does the end of the exchange.
    virtual void on_client_gone(std::function<void()> gone) = 0;

    // Calls `ring` once, on this thread, after that time, with the same freedom as `gone`. In place
    // of the alarm set before; an empty one ends it, and so does the end of the exchange.
    virtual void set_alarm(Milliseconds delay, std::function<void()> ring) = 0;
};

using AsyncHandler = std::function<Task<void>(Exchange&)>;
using BlockingHandler = std::function<Response(const Request&)>;

// When a request's body is read: all of it before its handler is called, or as the handler asks,
// who can look at the head first. What is left unread when it answers is never read as a request:
// the connection is closed. Blocking handlers get it whole in any case.
enum class Reading { Before, AsAsked };

// Which requests a handler takes: a method and a path whose segments may be "{name}"; a last
// segment "{name*}" takes the rest.
struct Route {
    Method method = Method::Get;
    std::string pattern;
    std::size_t body_bytes_max = 0;  // 413 beyond it. Zero: Options::body_bytes_max.
    Reading reading = Reading::Before;
};

// Turns failures of the server itself, and paths that no route takes, into a body of the API's own
// envelope: `status` 400, 404, 405, 408, 413, 414, 415, 417, 421, 431, 500, 503 or 505, `code` a
// stable word. Called on data threads: it may not block.
using ErrorBody = std::function<Response(const Request&, int status, std::string_view code,
                                         std::string_view message)>;
// Sees every answer's head before it is written: CORS, x-routstr-request-id. OPTIONS of a path that
// has a route is answered 204 with Allow and what this adds. Called on data threads.
using HeadFilter = std::function<void(const Request&, int status, Headers&)>;

struct ServerError {
    std::string detail;  // "127.0.0.1:8402: address in use"
};

class Server {
public:
    struct Options {
        std::string name = "public";  // In thread names, logs and metrics.
        std::string host = "127.0.0.1";
        std::uint16_t port = 0;               // 0: any free one; see port().
        std::size_t data_threads = 0;         // 0: one per core.
        std::size_t control_threads = 8;      // For blocking handlers.
        std::size_t control_queue_max = 256;  // Beyond it 503 with Retry-After.
        std::size_t connections_max = 16'384;
        std::size_t head_bytes_max = 32 * 1024;
        std::size_t header_count_max = 100;
        std::size_t target_bytes_max = 8 * 1024;
        std::size_t chunk_extension_bytes_max = 1024;
        std::size_t body_bytes_max = 1024 * 1024;
        // Of all bodies that are held at a time, but for those that came with their heads. Beyond
        // it 503 with Retry-After, for whoever needs more then: if they waited, all could wait for
        // each other with half of a body in hand.
        std::size_t bodies_bytes_max = 256 * 1024 * 1024;
        Milliseconds head_timeout{10'000};
        // For a body: so long, and a second more for each 16 KiB that have come.
        Milliseconds body_timeout{60'000};
        Milliseconds idle_timeout{75'000};
        Milliseconds write_timeout{60'000};  // A reader that takes nothing for so long is gone.
        Milliseconds linger_timeout{1'000};  // For a refused client to read why, before the reset.
        std::vector<std::string> trusted_proxies;  // Addresses whose X-Forwarded-For is believed.
        std::vector<std::string> hosts;  // If not empty: other Host headers are refused (421).
        // Called first thing on each data thread: what must never be done there can be forbidden.
        std::function<void()> on_data_thread_start;
    };

    Server(Options options, metrics::Registry& metrics);
    ~Server();  // As drain() with no time left.
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // On the data threads.
    void route(Route route, AsyncHandler handler);
    // On the bounded pool.
    void route_blocking(Route route, BlockingHandler handler);
    void set_error_body(ErrorBody error_body);
    void set_head_filter(HeadFilter filter);

    Result<void, ServerError> start();
    std::uint16_t port() const;

    std::size_t data_threads() const;

    // Stops accepting, lets requests in flight end until the deadline, cancels the rest, joins.
    // Blocking handlers that run are waited for in any case: what they do can't be undone.
    // A second call does nothing.
    void drain(Milliseconds deadline);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate::http
