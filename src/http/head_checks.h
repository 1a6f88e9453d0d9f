// What a request's head must be before anything acts on it (metering-and-gateways 7.3). Most of the
// list guards against smuggling: two readers of one connection that disagree where a request ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chunk_reader.h"
#include "head_reader.h"
#include "nutgate/base/result.h"
#include "nutgate/http/message.h"

namespace nutgate::http {

// Why a request is answered with an error and its connection closed.
struct Refusal {
    int status = 400;
    std::string_view code = "bad_request";
    std::string_view message = "";
};

struct HeadLimits {
    std::size_t header_count_max = 100;
    std::size_t target_bytes_max = 8 * 1024;
    std::size_t chunk_extension_bytes_max = 1024;
};

// Where the head in `bytes` ends (one past its empty line), or that it can't become a head any
// more. `scanned` is how far an earlier call has looked.
struct HeadScan {
    enum class State { Incomplete, Complete, Malformed };
    State state = State::Incomplete;
    std::size_t size = 0;
};
HeadScan scan_head(std::string_view bytes, std::size_t scanned);

// One request: its head, then, if it is chunked, its body. Not reusable, cheap to make.
class RequestParser {
public:
    // Both must outlive it. What it reads goes to `request`: method, target, headers, body.
    RequestParser(Request& request, const HeadLimits& limits)
        : request_{request}, limits_{limits} {}

    // `raw` is a whole head, as scan_head() found it.
    Result<void, Refusal> head(std::string_view raw);

    // All below: after head() succeeded.
    bool keeps_alive() const { return version_ == 11 && !closes_; }
    bool is_http_1_0() const { return version_ == 10; }
    bool is_chunked() const { return chunks_.has_value(); }
    bool expects_continue() const { return expects_continue_; }
    std::uint64_t body_bytes() const { return content_length_; }  // Of a body that is not chunked.

    // Takes what it can of a chunked body and says how many bytes that was; zero: it wants more.
    Result<std::size_t, Refusal> chunks(std::string_view bytes, std::size_t body_bytes_max);
    bool has_whole_body() const { return chunks_ && chunks_->is_whole(); }

private:
    // How often there is what must be there at most once, and the last of it.
    struct Seen {
        std::size_t count = 0;
        std::string_view value = {};
    };
    struct Marks {
        Seen host, authorization, cashu, encoding, expect;
    };
    static void note(Marks& marks, std::string_view name, std::string_view value);

    Result<void, Refusal> read_start(HeadReader& reader);
    Result<void, Refusal> read_headers(HeadReader& reader, HeadFacts& facts, Marks& marks);
    Result<void, Refusal> check_target() const;
    static Result<void, Refusal> check_host(const Seen& host);
    static Result<void, Refusal> check_credentials(const Marks& marks);
    Result<void, Refusal> take_framing(const HeadFacts& facts);
    Result<void, Refusal> check_body_headers(const Marks& marks);

    Request& request_;
    const HeadLimits& limits_;
    std::uint64_t content_length_ = 0;
    int version_ = 11;
    bool has_known_method_ = false;
    bool closes_ = false;
    bool expects_continue_ = false;
    std::optional<ChunkReader> chunks_;
};

// Splits `request.target` into path and query: percent-decoded, and refused if it decodes to
// control characters or has "." and ".." for segments, which nobody sends who means well.
// An absolute target may name one of `own_hosts`, and then what the Host header names.
Result<void, Refusal> split_target(Request& request, const std::vector<std::string>& own_hosts);

// Whether a Host header names one of `hosts`, with or without the port.
bool is_host_of(std::string_view host, std::string_view allowed);

}  // namespace nutgate::http
