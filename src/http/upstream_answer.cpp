#include "upstream_answer.h"

#include <algorithm>

#include "head_reader.h"
#include "nutgate/base/verify.h"

namespace nutgate::http {
namespace {

constexpr std::size_t kBodyReadMax = 64 * 1024;
constexpr std::size_t kHeadersMax = 200;
constexpr int kInterimMax = 10;

}  // namespace

bool ResponseParser::head(std::string_view raw) {
    HeadReader reader{raw};
    HeadFacts facts;
    std::string_view line;
    std::size_t count = 0;
    if (!reader.start_line(line) || !read_start(line)) return false;
    const bool is_read = reader.headers(facts, [&](std::string_view name, std::string_view value) {
        headers_.add(name, value);
        return ++count <= kHeadersMax;
    });
    if (!is_read || !facts.is_plain()) return false;
    if (facts.codings > 0 && version_ != 11) return false;
    if (facts.lengths > 0 && !facts.length_of_body(length_)) return false;
    closes_ = facts.closes;
    set_framing(facts.lengths > 0, facts.codings > 0);
    return true;
}

// "HTTP/1.1 200 OK", whose reason may be empty.
bool ResponseParser::read_start(std::string_view line) {
    constexpr std::size_t kVersionSize = 8;
    constexpr std::size_t kStatusSize = 3;
    constexpr std::size_t kStatusAt = kVersionSize + 1;
    version_ = version_of(line.substr(0, kVersionSize));
    if (version_ != 10 && version_ != 11) return false;
    if (line.size() <= kStatusAt + kStatusSize || line[kVersionSize] != ' ') return false;
    const auto digits = line.substr(kStatusAt, kStatusSize);
    for (const char c : digits) {
        if (c < '0' || c > '9') return false;
        status_ = 10 * status_ + (c - '0');
    }
    constexpr int kStatusMin = 100;
    return status_ >= kStatusMin && line[kStatusAt + kStatusSize] == ' ';
}

void ResponseParser::set_framing(bool has_length, bool is_chunked) {
    const bool is_empty =
        method_ == Method::Head || status_ == 204 || status_ == 304 || status_ / 100 == 1;
    if (is_empty) {
        framing_ = Framing::None;
    } else if (is_chunked) {
        framing_ = Framing::Chunked;
        chunks_.emplace();
    } else {
        framing_ = has_length ? Framing::Length : Framing::UntilClose;
    }
}

StreamedAnswer::StreamedAnswer(std::unique_ptr<UpstreamConnection> connection, Method method,
                               Limits limits, GiveBack give_back, Abandonment* abandonment)
    : connection_{std::move(connection)},
      method_{method},
      limits_{limits},
      give_back_{std::move(give_back)},
      abandonment_{abandonment} {
    if (abandonment_ != nullptr) {
        abandonment_->set_cut([target = connection_.get()] { target->close(); });
    }
}

StreamedAnswer::~StreamedAnswer() {
    if (abandonment_ != nullptr) abandonment_->set_cut(nullptr);
    finish();
}

// Gives the connection back if it stands at the beginning of a next answer; else it is closed.
void StreamedAnswer::finish() {
    if (!connection_ || !parser_ || !is_whole_) return;
    connection_->consume(std::exchange(to_consume_, 0));
    if (abandonment_ != nullptr) abandonment_->set_cut(nullptr);
    const bool is_at_end = has_whole_request_ && parser_->keeps_alive();
    if (is_at_end && parser_->framing() != ResponseParser::Framing::UntilClose) {
        give_back_(std::move(connection_));
    }
}

UpstreamFailure StreamedAnswer::failure() const {
    return connection_->has_expired() ? UpstreamFailure::Timeout : UpstreamFailure::Broken;
}

// The size of the head that stands at the front, if it is all there.
std::optional<std::size_t> StreamedAnswer::whole_head(std::size_t scanned) const {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const auto from = scanned < kEnd.size() ? 0 : scanned - kEnd.size() + 1;
    const auto end = connection_->bytes().find(kEnd, from);
    if (end == std::string_view::npos) return std::nullopt;
    return end + kEnd.size();
}

// Whether one stands behind the interim answers that have come.
bool StreamedAnswer::has_final_head() const {
    constexpr std::string_view kEnd = "\r\n\r\n";
    constexpr std::size_t kStatusAt = std::string_view{"HTTP/1.1 "}.size();
    std::string_view rest = connection_->bytes();
    for (int interim = 0; interim < kInterimMax; ++interim) {
        const auto end = rest.find(kEnd);
        if (end == std::string_view::npos) return false;
        if (end <= kStatusAt || rest[kStatusAt] != '1') return true;
        rest.remove_prefix(end + kEnd.size());
    }
    return true;
}

Task<void> StreamedAnswer::hear() {
    while (!has_final_head()) {
        const auto n = co_await connection_->read_beside(limits_.head_bytes_max);
        if (n == 0) break;
    }
}

Task<std::optional<StreamedAnswer::HeadFailure>> StreamedAnswer::read_head() {
    // Interim answers do not buy time.
    const auto deadline = about_now() + limits_.head_timeout;
    for (int interim = 0; interim < kInterimMax; ++interim) {
        std::size_t scanned = 0;
        auto size = whole_head(scanned);
        while (!size) {
            scanned = connection_->bytes().size();
            if (scanned >= limits_.head_bytes_max) {
                co_return HeadFailure{UpstreamFailure::TooLarge, false};
            }
            const auto left = std::chrono::ceil<Milliseconds>(deadline - about_now());
            const auto n = co_await connection_->read(limits_.head_bytes_max, left);
            if (n == 0) co_return HeadFailure{failure(), scanned == 0 && interim == 0};
            size = whole_head(scanned);
        }
        parser_.emplace(method_);
        const bool is_good = parser_->head(connection_->bytes().substr(0, *size));
        connection_->consume(*size);
        if (!is_good || parser_->status() == 101) {
            co_return HeadFailure{UpstreamFailure::Broken, false};
        }
        if (parser_->status() / 100 != 1) {
            length_left_ = parser_->length();
            co_return std::nullopt;
        }
    }
    co_return HeadFailure{UpstreamFailure::Broken, false};
}

Task<Result<std::string_view, UpstreamFailure>> StreamedAnswer::read() {
    for (;;) {
        if (const auto piece = read_at_once()) co_return *piece;
        if (co_await connection_->read(kBodyReadMax, limits_.gap_timeout) > 0) continue;
        is_whole_ = parser_->framing() == ResponseParser::Framing::UntilClose &&
                    connection_->has_ended_well();
        if (is_whole_) co_return std::string_view{};
        co_return fail(failure());
    }
}

std::optional<Result<std::string_view, UpstreamFailure>> StreamedAnswer::read_at_once() {
    using Framing = ResponseParser::Framing;
    const auto framing = parser_->framing();
    if (framing == Framing::None || (framing == Framing::Length && length_left_ == 0)) {
        is_whole_ = true;
    }
    if (is_whole_) {
        finish();
        return std::string_view{};
    }
    connection_->consume(std::exchange(to_consume_, 0));
    if (framing == Framing::Chunked) return chunks_at_once();

    auto piece = connection_->bytes();
    if (piece.empty()) return std::nullopt;
    if (framing == Framing::Length) {
        piece = piece.substr(0, std::min<std::uint64_t>(piece.size(), length_left_));
        length_left_ -= piece.size();
        is_whole_ = length_left_ == 0;
    }
    to_consume_ = piece.size();
    return piece;
}

// All chunks that have come by now, as one piece. What came before nonsense is passed on before the
// failure, however the bytes were cut on their way.
std::optional<Result<std::string_view, UpstreamFailure>> StreamedAnswer::chunks_at_once() {
    decoded_.clear();
    if (is_malformed_) return fail(UpstreamFailure::Broken);
    while (!connection_->bytes().empty() && !parser_->has_whole_body()) {
        const auto taken = parser_->chunks(connection_->bytes(), decoded_);
        is_malformed_ = !taken.has_value();
        if (is_malformed_ && decoded_.empty()) return fail(UpstreamFailure::Broken);
        if (is_malformed_) return std::string_view{decoded_};
        connection_->consume(*taken);
        if (*taken == 0) break;
    }
    is_whole_ = parser_->has_whole_body();
    if (!is_whole_ && decoded_.empty()) return std::nullopt;
    if (is_whole_ && decoded_.empty()) finish();
    return std::string_view{decoded_};
}

}  // namespace nutgate::http
