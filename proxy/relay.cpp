#include "relay.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "answers.h"
#include "chunk.h"

namespace nutgate::proxy {
namespace {

using Piece = Result<std::string_view, http::UpstreamFailure>;

// Why a stream is no longer read.
enum class Stop { Done, End, Broken, ClientGone };

class StreamRelay {
public:
    StreamRelay(Leg leg, Flight& flight) : leg_{leg}, flight_{flight} {}

    http::Task<Relayed> run() {
        const Stop stop = co_await read_all();
        if (stop == Stop::ClientGone) {
            flight_.metrics().clients_gone.add();
            co_await drain();
            (void)flight_.settle_stream(is_whole() ? Flight::End::Complete : Flight::End::Cut);
            co_return Relayed{};
        }
        const bool whole = stop == Stop::Done || (stop == Stop::End && is_whole());
        const SseMeter& meter = flight_.meter();
        const bool nothing_came = meter.delivered().text_bytes == 0 && !meter.usage();
        if (nothing_came && (!whole || meter.failed())) {
            co_return co_await end_without_answer();
        }
        co_await end(whole);
        if (stop == Stop::Done) co_await read_on();
        co_return Relayed{};
    }

private:
    http::Task<Stop> read_all() {
        SseMeter& meter = flight_.meter();
        for (;;) {
            const Piece piece = co_await leg_.upstream.read();
            if (!piece) {
                if (leg_.watch.has_given_up()) co_return Stop::ClientGone;
                failure_ = piece.error();
                co_return Stop::Broken;
            }
            if (piece->empty()) {
                meter.finish(out_);
                co_return meter.done() ? Stop::Done : Stop::End;
            }
            meter.feed(*piece, out_);
            if (meter.done()) co_return Stop::Done;
            if (leg_.watch.has_left()) co_return Stop::ClientGone;
            if (!out_.empty() && !co_await put()) {
                leg_.watch.leave();
                co_return Stop::ClientGone;
            }
        }
    }

    static http::Response head() {
        return {.status = 200,
                .headers = {{"Content-Type", "text/event-stream; charset=utf-8"},
                            {"Cache-Control", "no-cache"},
                            {"X-Accel-Buffering", "no"}},
                .body = {}};
    }

    http::Task<bool> put() {
        bool there = false;
        if (begun_) {
            there = co_await leg_.client.write(out_);
        } else {
            begun_ = true;
            http::Response first = head();
            first.body = std::move(out_);
            there = co_await leg_.client.begin(std::move(first));
        }
        out_.clear();
        co_return there;
    }

    bool is_whole() const {
        const SseMeter& meter = flight_.meter();
        return meter.done() || (meter.finished() && !meter.failed());
    }

    // What was read counts, though nobody reads it: the upstream's last word is its usage. The
    // watch ends it in time; where there is no patience it has already.
    http::Task<void> drain() {
        SseMeter& meter = flight_.meter();
        const std::uint64_t bytes_max =
            meter.delivered().bytes + static_cast<std::uint64_t>(leg_.traits.drain_bytes_max);
        while (!leg_.watch.has_given_up() && !meter.done() && meter.delivered().bytes < bytes_max) {
            const Piece piece = co_await leg_.upstream.read();
            if (!piece) co_return;
            out_.clear();
            if (piece->empty()) {
                meter.finish(out_);
                co_return;
            }
            meter.feed(*piece, out_);
        }
    }

    void add_last_word(bool whole) {
        if (whole) {
            out_ += "data: [DONE]\n\n";
        } else {
            out_ += broken_stream_event(leg_.client.request().request_id);
        }
    }

    http::ApiError why_nothing() const {
        return failure_ ? upstream_failed(*failure_) : upstream_nonsense();
    }

    // The last words: the charge, and that it is complete only if it is.
    http::Task<void> end(bool whole) {
        const Receipt receipt =
            flight_.settle_stream(whole ? Flight::End::Complete : Flight::End::Cut);
        out_ += receipt_event(flight_.meter(), flight_.model().id.text(), receipt);
        add_last_word(whole);
        if (begun_) {
            (void)co_await leg_.client.end(out_);
        } else if (co_await put()) {
            (void)co_await leg_.client.end();
        }
    }

    // Behind [DONE] there is nothing but the end of the body; with it the connection can be used
    // again. It is not worth a wait that anybody would notice.
    http::Task<void> read_on() {
        constexpr Milliseconds kPatience{100};
        const auto first = co_await http::first_of(leg_.upstream.read(), http::after(kPatience));
        (void)first;
    }

    // Nothing was said, so nothing is owed.
    http::Task<Relayed> end_without_answer() {
        flight_.let_go();
        if (!begun_ && out_.empty()) {
            http::ApiError why = why_nothing();
            co_return fail(std::move(why));
        }
        if (flight_.meter().done() || !flight_.meter().failed()) {
            add_last_word(flight_.meter().done());
        }
        if (begun_ || co_await put()) (void)co_await leg_.client.end(out_);
        co_return Relayed{};
    }

    Leg leg_;
    Flight& flight_;
    std::string out_;  // Passed by the meter, not yet written.
    bool begun_ = false;
    std::optional<http::UpstreamFailure> failure_;
};

// As long as the upstream says that its answer is, within reason, and room for the receipt.
std::size_t expected_size(const http::Headers& headers, std::size_t bytes_max) {
    constexpr std::size_t kReceipt = 2 * 1024;
    constexpr std::size_t kReservedMax = 4 * 1024 * 1024;
    const auto text = headers.find("content-length");
    std::size_t size = 0;
    if (text) (void)std::from_chars(text->data(), text->data() + text->size(), size);
    return std::min({size, bytes_max, kReservedMax}) + kReceipt;
}

}  // namespace

http::Task<Relayed> relay_stream(Leg leg, Flight& flight) {
    StreamRelay relay{leg, flight};
    co_return co_await relay.run();
}

http::Task<Relayed> relay_whole(Leg leg, Flight& flight, std::size_t bytes_max) {
    std::string body;
    body.reserve(expected_size(leg.upstream.headers(), bytes_max));
    std::size_t drained = 0;
    for (;;) {
        const Piece piece = co_await leg.upstream.read();
        if (leg.watch.has_left() && piece) drained += piece->size();
        const bool is_given_up = !piece && leg.watch.has_given_up();
        if (is_given_up || drained > leg.traits.drain_bytes_max) {
            flight.metrics().clients_gone.add();
            (void)flight.settle_stream(Flight::End::Cut);
            co_return Relayed{};
        }
        if (!piece || body.size() + piece->size() > bytes_max) {
            flight.let_go();
            const auto failure = piece ? http::UpstreamFailure::TooLarge : piece.error();
            http::ApiError why = upstream_failed(failure);
            co_return fail(std::move(why));
        }
        if (piece->empty()) break;
        body += *piece;
    }
    const auto answer = read_chunk(body);
    if (!answer || (answer->has_error && answer->text_bytes == 0)) {
        flight.let_go();
        http::ApiError why = upstream_nonsense();
        co_return fail(std::move(why));
    }
    const Delivered delivered{
        .text_bytes = answer->text_bytes, .text_deltas = 0, .bytes = body.size()};
    const Receipt receipt = flight.settle(Flight::End::Complete, answer->fields, delivered);
    splice_receipt(body, *answer, receipt);
    http::Response response = http::json_response(200, std::move(body));
    add_cost_headers(response.headers, receipt);
    if (!co_await leg.client.respond(std::move(response))) flight.metrics().clients_gone.add();
    co_return Relayed{};
}

http::Task<std::string> read_beginning(http::UpstreamAnswer& upstream, std::size_t bytes_max) {
    std::string body;
    while (body.size() < bytes_max) {
        const Piece piece = co_await upstream.read();
        if (!piece || piece->empty()) break;
        body += piece->substr(0, bytes_max - body.size());
    }
    co_return body;
}

}  // namespace nutgate::proxy
