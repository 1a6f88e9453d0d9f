// The control plane's outgoing calls: blocking, pooled per host, TLS verified, redirects refused.
// An interface, so that tests let calls be lost, doubled, cut and delayed through it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "nutgate/base/clock.h"
#include "nutgate/base/result.h"
#include "nutgate/http/message.h"
#include "nutgate/http/reach.h"

namespace nutgate::http {

struct ClientRequest {
    Method method = Method::Get;
    std::string url;
    Headers headers;  // A control character in a value is refused as Invalid.
    std::string body;
    std::string content_type = "application/json";
    Milliseconds timeout{30'000};  // Of the whole call.
    std::size_t response_bytes_max = 8 * 1024 * 1024;
    // PublicOnly where a stranger chose the URL: who is elsewhere gets NotSent, with the reason.
    Reach reach = Reach::Anywhere;
    // Of an answer without an end, one line after the other: the first is taken, without its
    // newline, and the connection closed.
    bool first_line_only = false;
};

struct ClientError {
    enum class Kind {
        Invalid,    // Not sent: the request itself is malformed.
        NotSent,    // Certainly no byte of it left us: no such host, not a host to be reached,
                    // connection refused, TLS failed.
        Ambiguous,  // It may have been received: time-out, reset, cut answer.
        TooLarge,   // Received and answered with more than response_bytes_max, or a head without
                    // end.
    };
    Kind kind;
    std::string detail;  // For the log; without secrets.
};

// Thread-safe. VERIFYs that no transaction is open on the calling thread's behalf.
class Client {
public:
    virtual ~Client() = default;
    // Any status is an answer. A redirect is an answer too: it is never followed.
    virtual Result<Response, ClientError> call(const ClientRequest& request) = 0;
};

struct ClientOptions {
    std::size_t connections_per_host_max = 8;
    std::string ca_file = {};  // Empty: the system's.
    // Asked before each call; true means that a transaction is open and the call is a bug. The
    // store is a neighbour that this module may not know.
    int (*open_transactions)() = nullptr;
    ReachRules rules = {};  // Of calls that are PublicOnly.
};
// Makes the process ignore SIGPIPE.
std::unique_ptr<Client> make_client(ClientOptions options);

}  // namespace nutgate::http
