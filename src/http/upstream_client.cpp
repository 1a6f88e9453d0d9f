#include "nutgate/http/upstream_client.h"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <map>
#include <utility>
#include <vector>

#include "head_line.h"
#include "net.h"
#include "nutgate/base/log.h"
#include "tls_client.h"
#include "upstream_answer.h"
#include "upstream_connection.h"

namespace nutgate::http {
namespace {

using ClientId = std::uint64_t;
using Connections = std::vector<std::unique_ptr<UpstreamConnection>>;

// The connections of one io_context that wait for a next request, by client. They belong to the
// io_context, not to the client, because they must not outlive it; so no lock guards them.
class UpstreamPools final : public boost::asio::execution_context::service {
public:
    using key_type = UpstreamPools;
    // Asio's name, and it wants no const: NOLINTNEXTLINE(*-avoid-non-const-global-variables)
    static inline boost::asio::execution_context::id id;

    explicit UpstreamPools(boost::asio::io_context& io) : service{io} {}

    std::unique_ptr<UpstreamConnection> take(ClientId client) {
        auto& idle = idle_[client];
        while (!idle.empty()) {
            auto connection = std::move(idle.back());
            idle.pop_back();
            if (connection->is_reusable()) return connection;
        }
        return nullptr;
    }

    void put(ClientId client, std::unique_ptr<UpstreamConnection> connection,
             const UpstreamClient::Options& options) {
        auto& idle = idle_[client];
        if (is_shut_down_ || idle.size() >= options.idle_per_thread_max) return;
        connection->rest(options.idle_timeout);
        idle.push_back(std::move(connection));
    }

private:
    void shutdown() noexcept override {
        is_shut_down_ = true;
        idle_.clear();
    }

    std::map<ClientId, Connections> idle_;
    bool is_shut_down_ = false;
};

// Never used again, so that what a client leaves behind in a pool is nobody else's.
ClientId next_client_id() {
    static std::atomic<ClientId> last = 0;
    return ++last;
}

bool is_ours_to_write(std::string_view name) {
    constexpr std::array<std::string_view, 8> kOurs{
        "host",    "content-length", "transfer-encoding", "connection",
        "upgrade", "keep-alive",     "proxy-connection",  "expect"};
    return is_among(kOurs, name);
}

bool is_target(std::string_view target) {
    return target.starts_with('/') &&
           std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

// What would break out of its place in the head is not sent; nor is it an upstream's fault.
bool is_well_formed(const UpstreamRequest& request) {
    const auto& entries = request.headers.entries();
    const bool is_good = is_target(request.target) &&
                         std::all_of(entries.begin(), entries.end(), [](const auto& entry) {
                             return is_header_name(entry.first) && is_header_value(entry.second);
                         });
    if (!is_good) log::error("upstream_request_malformed", {{"target", request.target}});
    return is_good;
}

// Of an empty piece nothing: it would be the end.
void append_chunk(std::string& text, std::string_view piece) {
    if (piece.empty()) return;
    std::array<char, 16> digits;
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), piece.size(), 16).ptr;
    text.append(digits.data(), end).append("\r\n").append(piece).append("\r\n");
}

class PooledUpstreamClient final : public UpstreamClient {
public:
    PooledUpstreamClient(Options options, metrics::Registry& metrics);

    Task<Result<std::unique_ptr<UpstreamAnswer>, UpstreamFailure>> send(
        UpstreamRequest request) override;

private:
    using Sent = Result<std::unique_ptr<UpstreamAnswer>, UpstreamFailure>;

    struct Attempt {
        std::unique_ptr<StreamedAnswer> answer;
        std::optional<StreamedAnswer::HeadFailure> failure;
        bool has_body = true;  // False: its source said that there will be no end.
    };
    // What became of the rest of a body. Where its connection does not take it there may be an
    // answer all the same.
    enum class Rest { Sent, NotTaken, Lost };
    Task<std::unique_ptr<UpstreamConnection>> connect(boost::asio::io_context& io,
                                                      Abandonment* abandonment);
    Task<Attempt> attempt(std::unique_ptr<UpstreamConnection> connection, UpstreamPools& pools,
                          const UpstreamRequest& request, const std::string& head);
    Task<void> send_body(Attempt& made, const UpstreamRequest& request, const std::string& head);
    Task<Rest> send_rest(UpstreamConnection& to, const UpstreamRequest& request);
    std::string write_head(UpstreamRequest& request) const;
    UpstreamFailure count(UpstreamFailure failure);

    const Options options_;
    const ClientId id_ = next_client_id();
    std::string host_header_;
    boost::asio::ssl::context tls_{boost::asio::ssl::context::tls_client};
    bool is_usable_ = true;
    metrics::Counter& fresh_;
    metrics::Counter& reused_;
    std::array<metrics::Counter*, 4> failures_{};
};

PooledUpstreamClient::PooledUpstreamClient(Options options, metrics::Registry& metrics)
    : options_{std::move(options)},
      fresh_{metrics.counter("nutgate_upstream_calls_total", "Calls by kind of connection",
                             {{"upstream", options_.base.origin()}, {"connection", "fresh"}})},
      reused_{metrics.counter("nutgate_upstream_calls_total", "Calls by kind of connection",
                              {{"upstream", options_.base.origin()}, {"connection", "reused"}})} {
    constexpr std::array<const char*, 4> kNames{"unreachable", "timeout", "broken", "too_large"};
    for (std::size_t i = 0; i < failures_.size(); ++i) {
        failures_.at(i) =
            &metrics.counter("nutgate_upstream_failures_total", "Calls that failed",
                             {{"upstream", options_.base.origin()}, {"why", kNames.at(i)}});
    }
    const auto origin = options_.base.origin();
    host_header_ = origin.substr(origin.find("//") + 2);
    if (!options_.base.tls) return;

    const auto error = set_up(tls_, options_.ca_file);
    if (error) {
        is_usable_ = false;
        log::error("upstream_certificates_unreadable",
                   {{"upstream", origin}, {"why", error.message()}});
    }
}

UpstreamFailure PooledUpstreamClient::count(UpstreamFailure failure) {
    failures_.at(static_cast<std::size_t>(failure))->add();
    return failure;
}

// With the body behind it, where that is small: the kernel takes one buffer in less time than two,
// and than it takes to copy a small one.
std::string PooledUpstreamClient::write_head(UpstreamRequest& request) const {
    constexpr std::size_t kOwnLinesBytesMax = 256;  // But for host and target.
    constexpr std::size_t kSmallMax = 4 * 1024;
    const bool has_length = request.rest == nullptr || request.rest_bytes;
    const bool is_needed = !request.body.empty() || request.method == Method::Post ||
                           request.method == Method::Put || request.method == Method::Patch;
    const bool is_small = request.rest == nullptr && request.body.size() <= kSmallMax;
    std::string text;
    Pen head{text, kOwnLinesBytesMax + request.target.size() + host_header_.size() +
                       lines_bytes(request.headers) + (is_small ? request.body.size() : 0)};
    head.put(to_text(request.method));
    head.put(' ');
    head.put(request.target);
    head.put(" HTTP/1.1\r\nhost: ");
    head.put(host_header_);
    head.put("\r\n");
    for (const auto& [name, value] : request.headers.entries()) {
        if (!is_ours_to_write(name)) put_line(head, name, value);
    }
    if (!has_length) {
        head.put("transfer-encoding: chunked\r\n");
    } else if (is_needed) {
        head.put("content-length: ");
        head.put(request.body.size() + request.rest_bytes.value_or(0));
        head.put("\r\n");
    }
    head.put("\r\n");
    if (is_small) head.put(std::exchange(request.body, {}));
    head.finish();
    return text;
}

Task<std::unique_ptr<UpstreamConnection>> PooledUpstreamClient::connect(boost::asio::io_context& io,
                                                                        Abandonment* abandonment) {
    auto connection = std::make_unique<UpstreamConnection>(io, options_.base.tls ? &tls_ : nullptr);
    if (abandonment != nullptr) {
        abandonment->set_cut([target = connection.get()] { target->close(); });
    }
    const bool is_connected = co_await connection->connect(options_.base, options_.connect_timeout);
    if (abandonment != nullptr) abandonment->set_cut(nullptr);
    if (!is_connected) connection.reset();
    co_return connection;
}

// Head, what there is of the body, and then the rest as it comes, until an answer comes first.
Task<void> PooledUpstreamClient::send_body(Attempt& made, const UpstreamRequest& request,
                                           const std::string& head) {
    auto& to = made.answer->connection();
    std::string begin = head;
    if (request.rest_bytes) {
        begin.append(request.body);
    } else {
        append_chunk(begin, request.body);
    }
    UpstreamConnection::Pieces pieces{boost::asio::buffer(begin), boost::asio::const_buffer{}};
    bool is_taken = to.write_now(pieces);
    if (is_taken && boost::asio::buffer_size(pieces) > 0) {
        is_taken = co_await to.write_rest(pieces, options_.gap_timeout);
    }
    std::string{}.swap(begin);
    made.answer->begin_request();
    if (!is_taken) co_return;
    const auto first = co_await first_of(send_rest(to, request), made.answer->hear());
    if (first.index() != 0) co_return;
    const Rest rest = std::get<0>(first);
    if (rest == Rest::Sent) made.answer->end_request();
    made.has_body = rest != Rest::Lost;
}

Task<PooledUpstreamClient::Rest> PooledUpstreamClient::send_rest(UpstreamConnection& to,
                                                                 const UpstreamRequest& request) {
    std::uint64_t left = request.rest_bytes.value_or(0);
    std::string chunk;
    for (;;) {
        const auto piece = co_await request.rest->read();
        if (!piece) co_return Rest::Lost;
        UpstreamConnection::Pieces pieces{};
        if (request.rest_bytes) {
            // Neither more nor less than what was declared is a request.
            if (piece->size() > left || (piece->empty() && left > 0)) co_return Rest::Lost;
            if (piece->empty()) co_return Rest::Sent;
            left -= piece->size();
            pieces[0] = boost::asio::buffer(piece->data(), piece->size());
        } else {
            chunk.clear();
            append_chunk(chunk, *piece);
            if (piece->empty()) chunk = "0\r\n\r\n";
            pieces[0] = boost::asio::buffer(chunk);
        }
        bool is_taken = to.write_now(pieces);
        if (is_taken && boost::asio::buffer_size(pieces) > 0) {
            is_taken = co_await to.write_rest(pieces, options_.gap_timeout);
        }
        if (!is_taken) co_return Rest::NotTaken;
        if (piece->empty()) co_return Rest::Sent;
    }
}

Task<PooledUpstreamClient::Attempt> PooledUpstreamClient::attempt(
    std::unique_ptr<UpstreamConnection> connection, UpstreamPools& pools,
    const UpstreamRequest& request, const std::string& head) {
    Attempt made;
    made.answer = std::make_unique<StreamedAnswer>(
        std::move(connection), request.method,
        StreamedAnswer::Limits{.head_bytes_max = options_.head_bytes_max,
                               .head_timeout = options_.head_timeout,
                               .gap_timeout = options_.gap_timeout},
        [this, &pools](std::unique_ptr<UpstreamConnection> idle) {
            pools.put(id_, std::move(idle), options_);
        },
        request.abandonment);
    if (request.rest != nullptr) {
        co_await send_body(made, request, head);
        if (!made.has_body) {
            made.failure.emplace(StreamedAnswer::HeadFailure{UpstreamFailure::Broken, false});
            co_return made;
        }
        made.failure = co_await made.answer->read_head();
        co_return made;
    }
    // If the write fails there may still be an answer: to a body that is refused while it comes.
    auto& to = made.answer->connection();
    UpstreamConnection::Pieces pieces{boost::asio::buffer(head), boost::asio::buffer(request.body)};
    const bool goes_on = to.write_now(pieces) && boost::asio::buffer_size(pieces) > 0;
    if (goes_on) co_await to.write_rest(pieces, options_.gap_timeout);
    made.failure = co_await made.answer->read_head();
    co_return made;
}

Task<Result<std::unique_ptr<UpstreamAnswer>, UpstreamFailure>> PooledUpstreamClient::send(
    UpstreamRequest request) {
    if (!is_usable_ || !is_well_formed(request)) {
        co_return fail(count(UpstreamFailure::Unreachable));
    }
    if (request.abandonment != nullptr && request.abandonment->is_abandoned()) {
        co_return fail(UpstreamFailure::Unreachable);
    }
    // The upstream closed it for being idle, while our request was on its way: that shows at once.
    // Later it may have been at work on the request.
    constexpr Milliseconds kStaleShowsWithin{1'000};
    const Executor executor = co_await boost::asio::this_coro::executor;
    auto& pools = boost::asio::use_service<UpstreamPools>(executor.context());
    const auto head = write_head(request);

    if (auto kept = pools.take(id_)) {
        reused_.add();
        const auto begin = about_now();
        auto made = co_await attempt(std::move(kept), pools, request, head);
        if (!made.failure) co_return std::move(made.answer);
        if (!made.has_body) co_return fail(made.failure->why);
        const bool was_stale = made.failure->came_nothing &&
                               made.failure->why == UpstreamFailure::Broken &&
                               about_now() - begin < kStaleShowsWithin;
        const bool is_wanted =
            request.abandonment == nullptr || !request.abandonment->is_abandoned();
        const bool repeats =
            was_stale && is_wanted && (request.rest == nullptr || request.rest->rewind());
        if (!repeats) co_return fail(count(made.failure->why));
    }
    fresh_.add();
    auto connection = co_await connect(executor.context(), request.abandonment);
    if (!connection) co_return fail(count(UpstreamFailure::Unreachable));
    auto made = co_await attempt(std::move(connection), pools, request, head);
    if (!made.has_body) co_return fail(made.failure->why);
    if (made.failure) co_return fail(count(made.failure->why));
    co_return std::move(made.answer);
}

}  // namespace

std::unique_ptr<UpstreamClient> make_upstream_client(UpstreamClient::Options options,
                                                     metrics::Registry& metrics) {
    return std::make_unique<PooledUpstreamClient>(std::move(options), metrics);
}

}  // namespace nutgate::http
