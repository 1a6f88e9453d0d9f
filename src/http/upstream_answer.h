// An upstream's answer, read from its connection as it comes: head, framing, body.
#pragma once

#include <boost/beast/http/basic_parser.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/http/upstream_client.h"
#include "upstream_connection.h"

namespace nutgate::http {

// One message, as the answer to a request of some method. Where an answer ends must be told in one
// way only: what another reader might end elsewhere is refused.
class ResponseParser final : public boost::beast::http::basic_parser<false> {
public:
    explicit ResponseParser(Method method) : method_{method} {}

    enum class Framing { None, Length, Chunked, UntilClose };

    // `raw` is a whole head, up to its empty line. False: refused.
    bool head(std::string_view raw);
    // Takes what it can of a chunked body into `body`: how much of `bytes`, none if malformed.
    std::optional<std::size_t> chunks(std::string_view bytes, std::string& body);
    bool has_whole_body() const { return is_done(); }

    int status() const { return status_; }
    const Headers& headers() const { return headers_; }
    Framing framing() const { return framing_; }
    std::uint64_t length() const { return length_; }
    bool keeps_alive() const { return version_ == 11 && keep_alive(); }

private:
    using Verb = boost::beast::http::verb;
    using Field = boost::beast::http::field;
    using Text = boost::beast::string_view;
    using Error = boost::beast::error_code;

    void on_request_impl(Verb, Text, Text, int, Error&) override {}
    void on_response_impl(int status, Text, int version, Error&) override;
    void on_field_impl(Field, Text name, Text value, Error&) override;
    void on_header_impl(Error&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, Error&) override {}
    std::size_t on_body_impl(Text body, Error&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, Text body, Error&) override;
    void on_finish_impl(Error&) override {}

    bool set_framing();

    const Method method_;
    int status_ = 0;
    int version_ = 11;
    bool has_head_ = false;
    Headers headers_;
    Framing framing_ = Framing::None;
    std::uint64_t length_ = 0;
    std::string* body_ = nullptr;
};

class StreamedAnswer final : public UpstreamAnswer {
public:
    // `give_back` gets the connection if it can take another request.
    using GiveBack = std::function<void(std::unique_ptr<UpstreamConnection>)>;
    struct Limits {
        std::size_t head_bytes_max;
        Milliseconds head_timeout;
        Milliseconds gap_timeout;
    };
    StreamedAnswer(std::unique_ptr<UpstreamConnection> connection, Method method, Limits limits,
                   GiveBack give_back, Abandonment* abandonment);
    ~StreamedAnswer() override;

    // Awaits the head. `Closed` tells, beside the failure, that not a byte came.
    struct HeadFailure {
        UpstreamFailure why;
        bool came_nothing;
    };
    Task<std::optional<HeadFailure>> read_head();
    // Ends when there is something to read_head() but interim answers, or never will be. Beside
    // the sending of the rest of a request, which has a time-out of its own.
    Task<void> hear();
    // In between nothing else may follow on this connection.
    void begin_request() { has_whole_request_ = false; }
    void end_request() { has_whole_request_ = true; }

    int status() const override { return parser_->status(); }
    const Headers& headers() const override { return parser_->headers(); }
    Task<Result<std::string_view, UpstreamFailure>> read() override;
    std::optional<Result<std::string_view, UpstreamFailure>> read_at_once() override;
    bool has_whole_request() const override { return has_whole_request_; }

    UpstreamConnection& connection() { return *connection_; }

private:
    std::optional<std::size_t> whole_head(std::size_t scanned) const;
    bool has_final_head() const;
    std::optional<Result<std::string_view, UpstreamFailure>> chunks_at_once();
    UpstreamFailure failure() const;
    void finish();

    std::unique_ptr<UpstreamConnection> connection_;
    const Method method_;
    const Limits limits_;
    GiveBack give_back_;
    Abandonment* abandonment_;
    std::optional<ResponseParser> parser_;
    std::string decoded_;
    std::size_t to_consume_ = 0;  // What the last piece has shown of the connection's bytes.
    std::uint64_t length_left_ = 0;
    bool is_whole_ = false;
    bool has_whole_request_ = true;
    bool is_malformed_ = false;  // Chunks that are none: nothing after them is read.
};

}  // namespace nutgate::http
