#include "nutgate/http/client.h"

#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "client_watchdog.h"
#include "name_lookup.h"
#include "nutgate/base/verify.h"
#include "nutgate/http/url.h"

namespace nutgate::http {
namespace {

using Steady = std::chrono::steady_clock;
using Kind = ClientError::Kind;

// Hosts come from configuration and, on a node that takes foreign mints, from tokens.
constexpr std::size_t kHostsMax = 256;
// Servers close idle connections about then; one that does so while we write makes the call
// ambiguous for nothing.
constexpr Seconds kIdleMax{20};

constexpr std::size_t kHeadBytesMax = 256 * 1024;

// One keep-alive connection; the library serialises what is sent over it.
struct Line {
    std::unique_ptr<httplib::ClientImpl> client;
    ClientWatchdog::Line watched;
    Steady::time_point idle_since;
};

struct Host {
    std::vector<std::unique_ptr<Line>> idle;
    std::size_t in_use = 0;
    std::size_t waiting = 0;
};

bool is_ours_to_write(std::string_view name) {
    constexpr std::array<std::string_view, 6> kOurs{
        "host", "content-length", "transfer-encoding", "connection", "content-type", "expect"};
    return std::any_of(kOurs.begin(), kOurs.end(),
                       [name](auto ours) { return equal_without_case(ours, name); });
}

// Why it can't be sent; empty: it can. The library writes whatever it is given onto the wire.
std::string fault_of(const ClientRequest& request) {
    for (const auto& [name, value] : request.headers.entries()) {
        if (!is_header_name(name)) return "header name";
        if (!is_header_value(value)) return "value of header " + std::string{name};
        if (is_ours_to_write(name)) {
            return "header " + std::string{name} + " is not the caller's to set";
        }
    }
    if (!is_header_value(request.content_type)) return "content type";
    if (request.timeout <= Milliseconds{0}) return "no time given";
    return {};
}

ClientError to_error(httplib::Error error) {
    const auto detail = httplib::to_string(error);
    switch (error) {
        // All that comes before the first byte of the request.
        case httplib::Error::Connection:
        case httplib::Error::ConnectionTimeout:
        case httplib::Error::BindIPAddress:
        case httplib::Error::SSLConnection:
        case httplib::Error::SSLLoadingCerts:
        case httplib::Error::SSLServerVerification:
            return {Kind::NotSent, detail};
        case httplib::Error::Success:
        case httplib::Error::Unknown:
        case httplib::Error::Read:
        case httplib::Error::Write:
        case httplib::Error::ExceedRedirectCount:
        case httplib::Error::Canceled:
        case httplib::Error::UnsupportedMultipartBoundaryChars:
        case httplib::Error::Compression:
            return {Kind::Ambiguous, detail};
    }
    return {Kind::Ambiguous, detail};
}

std::string authority_of(const Url& url) {
    const auto origin = url.origin();
    return origin.substr(origin.find("//") + 2);
}

httplib::Request to_library(const ClientRequest& request, const Url& url) {
    httplib::Request made;
    made.method = to_text(request.method);
    made.path = url.path.empty() ? "/" : url.path;
    if (!url.query.empty()) made.path += "?" + url.query;
    made.headers.emplace("Host", authority_of(url));
    for (const auto& [name, value] : request.headers.entries()) made.headers.emplace(name, value);
    const bool may_have_body = request.method == Method::Post || request.method == Method::Put ||
                               request.method == Method::Patch || !request.body.empty();
    if (may_have_body) made.headers.emplace("Content-Type", request.content_type);
    made.body = request.body;
    return made;
}

Response head_of(const httplib::Response& answer) {
    Response response;
    response.status = answer.status;
    for (const auto& [name, value] : answer.headers) response.headers.add(name, value);
    return response;
}

class PooledClient final : public Client {
public:
    explicit PooledClient(ClientOptions options)
        : options_{std::move(options)}, names_{options_.rules} {}

    Result<Response, ClientError> call(const ClientRequest& request) override;

private:
    // Over `line`, which it connects if that is not done yet.
    Result<Response, ClientError> ask(std::unique_ptr<Line>& line, const ClientRequest& request,
                                      const Url& url, Steady::time_point deadline);
    Result<Response, ClientError> ask_public(std::unique_ptr<Line>& line,
                                             const ClientRequest& request, const Url& url,
                                             Steady::time_point deadline);
    Result<Response, ClientError> exchange(Line& line, const ClientRequest& request, const Url& url,
                                           Steady::time_point deadline,
                                           Milliseconds connect_timeout);
    // To that address and no other, or, if it is empty, to where the library finds the host.
    std::unique_ptr<Line> connect(const Url& url, const std::string& address);
    // Waits until there may be another connection; false if that takes until the deadline. Then
    // `line` is one that is kept, or null if a new one is to be made.
    bool take(const std::string& place, std::unique_ptr<Line>& line, Steady::time_point deadline);
    void give_back(const std::string& place, std::unique_ptr<Line> line);
    void forget_idle_hosts();

    const ClientOptions options_;
    ClientWatchdog watchdog_;
    NameLookup names_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Host> hosts_;  // By place_of(). Guarded by mutex_.
};

// Where lines are kept: a connection that was made without a check serves no call that wants one.
std::string place_of(const ClientRequest& request, const Url& url) {
    return request.reach == Reach::PublicOnly ? "public " + url.origin() : url.origin();
}

Milliseconds left_until(Steady::time_point deadline) {
    const auto left = std::chrono::duration_cast<Milliseconds>(deadline - Steady::now());
    return std::max(left, Milliseconds{1});
}

Result<Response, ClientError> PooledClient::call(const ClientRequest& request) {
    VERIFY(options_.open_transactions == nullptr || options_.open_transactions() == 0);
    if (auto fault = fault_of(request); !fault.empty()) {
        return fail(ClientError{Kind::Invalid, std::move(fault)});
    }
    const auto url = parse_url(request.url);
    if (!url) return fail(ClientError{Kind::Invalid, "malformed URL"});

    const auto deadline = Steady::now() + request.timeout;
    const auto place = place_of(request, *url);
    std::unique_ptr<Line> line;
    if (!take(place, line, deadline)) {
        return fail(ClientError{Kind::NotSent, "no free connection to " + url->origin()});
    }
    // The library throws what the standard library throws: out of memory, a status that is no
    // number.
    try {
        auto result = ask(line, request, *url, deadline);
        const bool is_reusable = result.has_value();
        give_back(place, is_reusable ? std::move(line) : nullptr);
        if (!result) {
            auto error = std::move(result).error();
            error.detail += " (" + url->origin() + ")";
            return fail(std::move(error));
        }
        return result;
    } catch (const std::exception& error) {
        if (line) watchdog_.unwatch(line->watched);
        give_back(place, nullptr);
        return fail(ClientError{Kind::Ambiguous, error.what()});
    }
}

Result<Response, ClientError> PooledClient::ask(std::unique_ptr<Line>& line,
                                                const ClientRequest& request, const Url& url,
                                                Steady::time_point deadline) {
    if (!line && request.reach == Reach::PublicOnly) {
        return ask_public(line, request, url, deadline);
    }
    if (!line) line = connect(url, {});
    return exchange(*line, request, url, deadline, left_until(deadline));
}

Result<Response, ClientError> PooledClient::ask_public(std::unique_ptr<Line>& line,
                                                       const ClientRequest& request, const Url& url,
                                                       Steady::time_point deadline) {
    if (is_odd_address(url.host)) {
        return fail(ClientError{Kind::NotSent, "an address in an odd form"});
    }
    auto found =
        reachable(request.reach, url.host,
                  is_address(url.host) ? Addresses{url.host} : names_.wait(url.host, deadline),
                  options_.rules);
    if (!found) return fail(ClientError{Kind::NotSent, std::move(found).error()});
    // Each gets its share of the time to connect. What was not sent may go to the next one.
    for (std::size_t i = 0;; ++i) {
        const auto tries_left = static_cast<Milliseconds::rep>(found->size() - i);
        line = connect(url, found->at(i));
        auto result = exchange(*line, request, url, deadline, left_until(deadline) / tries_left);
        const bool may_try_next = !result && result.error().kind == Kind::NotSent && tries_left > 1;
        if (!may_try_next) return result;
    }
}

Result<Response, ClientError> PooledClient::exchange(Line& line, const ClientRequest& request,
                                                     const Url& url, Steady::time_point deadline,
                                                     Milliseconds connect_timeout) {
    const auto wait = left_until(deadline);
    line.client->set_connection_timeout(connect_timeout);
    line.client->set_read_timeout(wait);
    line.client->set_write_timeout(wait);

    std::string body;
    bool is_too_large = false;
    Response first_line;
    bool has_line = false;
    auto made = to_library(request, url);
    made.response_handler = [&](const httplib::Response& head) {
        if (request.first_line_only) first_line = head_of(head);
        return true;
    };
    made.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
        is_too_large = size > request.response_bytes_max - body.size();
        if (!is_too_large) body.append(data, size);
        has_line = request.first_line_only && body.find('\n') != std::string::npos;
        return !is_too_large && !has_line;
    };
    // Beside the body there are a head, chunks' heads and TLS's own bytes.
    const std::uint64_t overhead = kHeadBytesMax + request.response_bytes_max / 4;
    watchdog_.watch(line.watched, deadline, request.response_bytes_max + overhead);
    const auto result = line.client->send(made);
    const auto cut = watchdog_.unwatch(line.watched);
    const bool was_cut = cut == ClientWatchdog::Cut::Late;
    // The library has closed the connection: what it was in the middle of is nobody's next answer.
    if (has_line) {
        first_line.body = body.substr(0, body.find('\n'));
        return first_line;
    }
    is_too_large = is_too_large || cut == ClientWatchdog::Cut::TooMuch;
    if (is_too_large) return fail(ClientError{Kind::TooLarge, "answer too large"});
    if (!result) {
        auto error = to_error(result.error());
        if (was_cut) error.detail = "timed out: " + error.detail;
        return fail(std::move(error));
    }
    // A body without a length ends like one that was cut, and this one was.
    if (was_cut) return fail(ClientError{Kind::Ambiguous, "timed out"});
    Response response = head_of(*result);
    response.body = std::move(body);
    return response;
}

std::unique_ptr<Line> PooledClient::connect(const Url& url, const std::string& address) {
    auto line = std::make_unique<Line>();
    if (url.tls) {
        auto client = std::make_unique<httplib::SSLClient>(url.host, url.port);
        if (!options_.ca_file.empty()) client->set_ca_cert_path(options_.ca_file);
        client->enable_server_certificate_verification(true);
        line->client = std::move(client);
    } else {
        line->client = std::make_unique<httplib::ClientImpl>(url.host, url.port);
    }
    auto& client = *line->client;
    client.set_keep_alive(true);
    client.set_follow_location(false);
    client.set_decompress(false);
    client.set_url_encode(false);  // It is encoded, or parse_url() would not have taken it.
    client.set_tcp_nodelay(true);
    // The name stays what it is in Host, in SNI and in the check of the certificate.
    if (!address.empty()) client.set_hostname_addr_map({{url.host, address}});
    client.set_socket_options([this, watched = &line->watched](socket_t socket) {
        watchdog_.connected(*watched, socket);
    });
    return line;
}

bool PooledClient::take(const std::string& place, std::unique_ptr<Line>& line,
                        Steady::time_point deadline) {
    std::vector<std::unique_ptr<Line>> stale;  // Closed after the lock is gone.
    std::unique_lock lock{mutex_};
    if (hosts_.size() >= kHostsMax) forget_idle_hosts();
    auto& host = hosts_[place];
    ++host.waiting;
    const bool is_free = changed_.wait_until(
        lock, deadline, [&] { return host.in_use < options_.connections_per_host_max; });
    --host.waiting;
    if (!is_free) return false;
    ++host.in_use;
    while (!host.idle.empty()) {
        auto kept = std::move(host.idle.back());
        host.idle.pop_back();
        if (Steady::now() - kept->idle_since < kIdleMax) {
            line = std::move(kept);
            break;
        }
        stale.push_back(std::move(kept));
    }
    return true;
}

void PooledClient::give_back(const std::string& place, std::unique_ptr<Line> line) {
    {
        const std::lock_guard lock{mutex_};
        auto& host = hosts_.at(place);
        --host.in_use;
        if (line) {
            line->idle_since = Steady::now();
            host.idle.push_back(std::move(line));
        }
    }
    changed_.notify_all();
}

void PooledClient::forget_idle_hosts() {
    std::erase_if(hosts_, [](const auto& entry) {
        return entry.second.in_use == 0 && entry.second.waiting == 0;
    });
}

}  // namespace

std::unique_ptr<Client> make_client(ClientOptions options) {
    // The library writes to sockets without MSG_NOSIGNAL: a peer that hangs up at the wrong moment
    // would end the process.
    std::signal(SIGPIPE, SIG_IGN);
    return std::make_unique<PooledClient>(std::move(options));
}

}  // namespace nutgate::http
