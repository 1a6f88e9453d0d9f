// One client's connection: its requests, one after the other, each answered through the Exchange
// that the connection itself is. Belongs to its core's thread.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "head_checks.h"
#include "net.h"
#include "nutgate/http/server.h"
#include "server_core.h"

namespace nutgate::http {

// Bytes that came and are not yet used. Grows up to a bound, shrinks when it was needed large once.
class InBuffer {
public:
    std::string_view bytes() const { return {storage_.data() + begin_, end_ - begin_}; }
    std::size_t size() const { return end_ - begin_; }
    bool empty() const { return begin_ == end_; }
    void consume(std::size_t n);
    // Room for more, at least one byte unless `bytes_max` are held. Moves what is held.
    boost::asio::mutable_buffer room(std::size_t bytes_max);
    void commit(std::size_t n) { end_ += n; }
    // Where much is to come: fewer reads. Not while one is under way.
    void widen(std::size_t bytes) {
        if (storage_.size() < bytes) storage_.resize(bytes);
    }

private:
    static constexpr std::size_t kSizeFirst = 4 * 1024;

    std::vector<char> storage_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

class Connection final : public Exchange {
public:
    Connection(Core& core, Socket socket);

    Task<void> run();

    // Ends it if it is between two requests.
    void end_if_idle();
    void close();
    // run() is over. Removes this from its core, now or when the last operation has ended.
    void finished();

    const Request& request() const override { return request_; }
    bool has_whole_body() const override { return is_body_read_; }
    std::optional<std::uint64_t> body_bytes() const override;
    Task<Result<void, BodyFailure>> read_body(std::size_t bytes_min) override;
    void shed_body() override;
    Task<bool> respond(Response response) override;
    Task<bool> begin(Response head_and_first_piece) override;
    Task<bool> write(std::string_view piece) override;
    Task<bool> end(std::string_view last_piece) override;
    Task<void> client_gone() override;
    void on_client_gone(std::function<void()> gone) override;
    void set_alarm(Milliseconds delay, std::function<void()> ring) override;

private:
    enum class Fill { Got, Closed, Expired, Full };
    enum class Answer { None, Streaming, Done, Broken };
    enum class Framing { None, Length, Chunked, UntilClose };
    using Pieces = std::array<boost::asio::const_buffer, 3>;

    // Reading. In server_connection.cpp.
    Task<bool> serve_one();
    Task<std::optional<std::size_t>> read_head();
    Result<const Endpoint*, Refusal> take_head(std::size_t size);
    bool take_body_at_hand();
    Task<bool> send_continue();
    Task<Fill> fill();
    Fill filled(const NetError& error, std::size_t n);
    Task<void> linger();
    void read_ahead();
    bool begin_reading_ahead();
    void forget_watches();

    // Reading a body. In server_body.cpp.
    class BodyClock;
    void expect_body(std::size_t bytes_max);
    Task<bool> read_as_route_wants(const Endpoint* endpoint);
    Task<bool> read_whole_body();
    Task<bool> skip_body();
    Task<void> read_sized(std::size_t bytes_min);
    Task<void> take_sized();
    Task<void> read_chunks();
    Task<Fill> fill_ahead();
    void fail_body(BodyFailure failure, const Refusal& refusal);
    void body_stopped(Fill fill);
    Task<void> refuse_body();

    // Dispatching.
    Task<void> dispatch(const Endpoint& endpoint);
    Task<void> run_blocking(const Endpoint& endpoint);
    Task<void> answer_unrouted();
    Task<bool> refuse(Refusal refusal);

    // Writing. In server_answer.cpp.
    void write_head(Response& response, std::optional<std::size_t> length);
    Pieces in_one_if_small(std::string_view piece, std::string_view tail);
    bool send_now(Pieces& pieces);
    Task<bool> send_rest(Pieces pieces);
    Task<bool> send_piece(std::string_view piece, bool is_last);

    Core& core_;
    ServerShared& server_;
    Socket socket_;
    std::string peer_;
    InBuffer in_;
    std::string out_;  // The head, or a chunk's size line.
    Deadline deadline_;
    Event changed_;  // What read_ahead() began has ended.

    Request request_;
    std::optional<RequestParser> parser_;
    std::function<void()> gone_;
    std::function<void()> ring_;
    std::optional<Deadline> alarm_;  // Made when one is set: few exchanges ever do.

    BodyShare body_share_;
    std::size_t body_bytes_max_ = 0;
    std::uint64_t body_bytes_read_ = 0;  // Those that were shed among them.
    Monotonic::duration body_waited_{};
    std::optional<BodyFailure> body_failure_;
    Refusal body_refusal_;  // Of the failure, unless the client is gone.

    Answer answer_ = Answer::None;
    Framing framing_ = Framing::None;
    std::uint64_t length_left_ = 0;
    bool is_body_read_ = false;
    bool is_body_asked_for_ = false;
    bool is_reading_body_ = false;  // By itself, and not ahead.
    bool keeps_alive_ = false;
    bool has_expired_ = false;
    bool has_peer_closed_ = false;
    bool is_reading_ahead_ = false;
    bool is_idle_ = true;
    bool is_finished_ = false;
};

}  // namespace nutgate::http
