// An upstream's answer, read from its connection as it comes: head, framing, body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "chunk_reader.h"
#include "nutgate/http/upstream_client.h"
#include "upstream_connection.h"

namespace nutgate::http {

// One message, as the answer to a request of some method. Where an answer ends must be told in one
// way only: what another reader might end elsewhere is refused.
class ResponseParser {
public:
    explicit ResponseParser(Method method) : method_{method} {}

    enum class Framing { None, Length, Chunked, UntilClose };

    // `raw` is a whole head, up to its empty line. False: refused.
    bool head(std::string_view raw);
    // Takes what it can of a chunked body into `body`: how much of `bytes`, none if malformed.
    std::optional<std::size_t> chunks(std::string_view bytes, std::string& body) {
        return chunks_->read(bytes, body, {});
    }
    bool has_whole_body() const { return chunks_->is_whole(); }

    int status() const { return status_; }
    const Headers& headers() const { return headers_; }
    Framing framing() const { return framing_; }
    std::uint64_t length() const { return length_; }
    bool keeps_alive() const { return version_ == 11 && !closes_; }

private:
    bool read_start(std::string_view line);
    void set_framing(bool has_length, bool is_chunked);

    const Method method_;
    int status_ = 0;
    int version_ = 11;
    bool closes_ = false;
    Headers headers_;
    Framing framing_ = Framing::None;
    std::uint64_t length_ = 0;
    std::optional<ChunkReader> chunks_;
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
