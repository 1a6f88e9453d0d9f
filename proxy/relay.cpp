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
#include "early_end.h"

namespace nutgate::proxy {
namespace {

using Piece = Result<std::string_view, http::UpstreamFailure>;

// Why a stream is no longer read.
enum class Stop { Done, End, Broken, ClientGone, Uncovered };

// How far an answer had come when a frame began.
struct Progress {
    std::size_t passed = 0;  // Bytes of what is to be written.
    Delivered delivered;
    std::optional<UsageFields> usage;
    Choices finished;
};

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
        if (stop == Stop::Uncovered) {
            co_await end_uncovered();
            co_return Relayed{};
        }
        const SseMeter& meter = flight_.meter();
        const bool whole = stop != Stop::Broken && is_whole();
        if (meter.is_empty() && (!whole || meter.failed())) {
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
            if (flight_.holds_all()) {
                meter.feed(*piece, out_);
            } else {
                const auto stop = co_await feed_covered(*piece);
                if (stop) co_return *stop;
            }
            if (meter.done()) co_return Stop::Done;
            if (leg_.watch.has_left()) co_return Stop::ClientGone;
            if (!out_.empty() && !co_await put()) {
                leg_.watch.leave();
                co_return Stop::ClientGone;
            }
        }
    }

    // Frame by frame, each of them passed on only if it is covered.
    http::Task<std::optional<Stop>> feed_covered(std::string_view piece) {
        SseMeter& meter = flight_.meter();
        while (!piece.empty()) {
            // One that has begun to pass is passed to its end.
            const bool may_stop = !meter.passes_unseen();
            const Progress before{out_.size(), meter.delivered(), meter.usage(),
                                  meter.finished_choices()};
            piece.remove_prefix(meter.feed_frame(piece, out_));
            if (flight_.is_covered() || !may_stop) continue;
            const auto stop = co_await cover(before);
            if (stop) co_return *stop;
        }
        co_return std::nullopt;
    }

    // A frame is not covered: what came before it goes out, and then the books are asked. What adds
    // no text, such as a last word on usage, costs nobody more than is known by then.
    http::Task<std::optional<Stop>> cover(const Progress& before) {
        if (flight_.meter().delivered().text_bytes == before.delivered.text_bytes) {
            co_return std::nullopt;
        }
        std::string uncovered = out_.substr(before.passed);
        out_.resize(before.passed);
        if (!out_.empty() && !co_await put()) {
            leg_.watch.leave();
            co_return Stop::ClientGone;
        }
        const auto why = co_await flight_.cover();
        if (!why) {
            out_ = std::move(uncovered);
            co_return std::nullopt;
        }
        uncovered_ = {*why, before};
        co_return Stop::Uncovered;
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
        switch (meter.form()) {
            case StreamForm::Chunks:
                return meter.done() || (meter.finished() && !meter.failed());
            case StreamForm::LastEvent:
            case StreamForm::Messages:
                break;
        }
        return meter.finished();
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

    bool is_chunks() const { return flight_.meter().form() == StreamForm::Chunks; }

    void add_last_word(bool whole) {
        if (!whole) {
            out_ +=
                broken_stream_event(flight_.order().endpoint(), leg_.client.request().request_id);
        } else if (is_chunks()) {
            out_ += "data: [DONE]\n\n";
        }
    }

    http::ApiError why_nothing() const {
        return failure_ ? upstream_failed(*failure_) : upstream_nonsense();
    }

    // The last words: the charge, and that it is complete only if it is.
    http::Task<void> end(bool whole) {
        const auto how = whole ? Flight::End::Complete : Flight::End::Cut;
        const SseMeter& meter = flight_.meter();
        if (!flight_.holds_all()) co_await flight_.reach(how, meter.usage(), meter.delivered());
        const Receipt receipt = flight_.settle_stream(how);
        const Endpoint endpoint = flight_.order().endpoint();
        const ChunkHead head{form_of(endpoint).chunk, flight_.model().id.text()};
        out_ += is_chunks() ? receipt_event(meter, head, receipt) : receipt_event(meter, receipt);
        add_last_word(whole);
        co_await write_end();
    }

    // Nothing more can be held: a clean end before the frame that is not covered, which is neither
    // passed on nor charged. The upstream stops first, however slowly the client reads.
    http::Task<void> end_uncovered() {
        const auto& [why, progress] = uncovered_;
        leg_.watch.abandonment()->abandon();
        flight_.metrics().stopped.add();
        Receipt receipt = flight_.settle(Flight::End::Cut, progress.usage, progress.delivered);
        receipt.stopped = stop_code(why);
        const Order& order = flight_.order();
        const EarlyEnd last{order.endpoint(), flight_.model().id.text(), progress.finished,
                            order.stream_choices()};
        out_ += early_end(flight_.meter(), last, receipt);
        co_await write_end();
    }

    // Not without a variable: g++ 12 then lays the coroutine's frame out in a way of its own.
    http::Task<void> write_end() {
        const bool there = begun_ || co_await put();
        if (there) (void)co_await leg_.client.end(out_);
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
            Refused why{why_nothing()};
            co_return fail(std::move(why));
        }
        if (!is_chunks()) out_ += last_event(flight_.meter());
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
    std::pair<DrawRefusal::Why, Progress> uncovered_{DrawRefusal::Why::BalanceShort, {}};
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

// What kind of text or sound the upstream says it is.
std::string content_type_of(const http::Headers& headers, std::string_view otherwise) {
    return std::string{headers.find("content-type").value_or(otherwise)};
}

// One that is no JSON: the charge is in its head.
http::Response settle_text(std::string body, const Leg& leg, Flight& flight) {
    const Delivered delivered{.text_bytes = body.size(),
                              .text_deltas = 0,
                              .bytes = body.size(),
                              .pieces = flight.order().pieces_of(body)};
    const Receipt receipt = flight.settle(Flight::End::Complete, std::nullopt, delivered);
    http::Response response{.status = 200, .headers = {}, .body = std::move(body)};
    response.headers.set("Content-Type",
                         content_type_of(leg.upstream.headers(), "text/plain; charset=utf-8"));
    add_cost_headers(response.headers, receipt);
    return response;
}

Delivered delivered_of(const Chunk& answer, const std::string& body, const Order& order) {
    return {.text_bytes = answer.text_bytes,
            .text_deltas = 0,
            .bytes = body.size(),
            .pieces = order.pieces_of(body)};
}

// A stream was asked for, so a part of it is held: what came is whole, and costs what it costs.
http::Task<void> reach_whole(const std::string& body, Flight& flight) {
    const auto answer = read_chunk(body, form_of(flight.order().endpoint()).made_in);
    if (!answer || (answer->has_error && answer->text_bytes == 0)) co_return;
    co_await flight.reach(Flight::End::Complete, answer->fields,
                          delivered_of(*answer, body, flight.order()));
}

// The answer that the client gets for this one of an upstream, charged; empty if it is none.
std::optional<http::Response> settle_whole(std::string body, const Leg& leg, Flight& flight) {
    const Order& order = flight.order();
    if (order.whole_form() == WholeForm::Text) return settle_text(std::move(body), leg, flight);
    const auto answer = read_chunk(body, form_of(order.endpoint()).made_in);
    if (!answer || (answer->has_error && answer->text_bytes == 0)) {
        flight.let_go();
        return std::nullopt;
    }
    const Receipt receipt =
        flight.settle(Flight::End::Complete, answer->fields, delivered_of(*answer, body, order));
    splice_receipt(body, *answer, receipt);
    http::Response response = http::json_response(200, std::move(body));
    add_cost_headers(response.headers, receipt);
    return response;
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
        auto at_hand = leg.upstream.read_at_once();
        if (!at_hand) at_hand.emplace(co_await leg.upstream.read());
        const Piece& piece = *at_hand;
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
            Refused why{upstream_failed(failure)};
            co_return fail(std::move(why));
        }
        if (piece->empty()) break;
        body += *piece;
    }
    if (!flight.holds_all()) co_await reach_whole(body, flight);
    auto response = settle_whole(std::move(body), leg, flight);
    if (!response) {
        Refused why{upstream_nonsense()};
        co_return fail(std::move(why));
    }
    if (!co_await leg.client.respond(*std::move(response))) flight.metrics().clients_gone.add();
    co_return Relayed{};
}

// Charged for when it begins: what it costs depends on what was asked for alone, and is told before
// the first byte.
http::Task<Relayed> relay_bytes(Leg leg, Flight& flight) {
    const Piece first = co_await leg.upstream.read();
    if (!first || first->empty()) {
        if (leg.watch.has_given_up()) {
            flight.metrics().clients_gone.add();
            (void)flight.settle_stream(Flight::End::Cut);
            co_return Relayed{};
        }
        flight.let_go();
        Refused why{first ? upstream_nonsense() : upstream_failed(first.error())};
        co_return fail(std::move(why));
    }
    Delivered delivered;
    delivered.pieces = flight.order().pieces_of({});
    const Receipt receipt = flight.settle(Flight::End::Complete, std::nullopt, delivered);
    http::Response head{.status = 200, .headers = {}, .body = std::string{*first}};
    const http::Headers& theirs = leg.upstream.headers();
    head.headers.set("Content-Type", content_type_of(theirs, "application/octet-stream"));
    add_cost_headers(head.headers, receipt);
    bool there = co_await leg.client.begin(std::move(head));
    while (there) {
        const Piece piece = co_await leg.upstream.read();
        // A body that is cut must not look like one that ended: no end is written.
        if (!piece) co_return Relayed{};
        if (piece->empty()) {
            (void)co_await leg.client.end();
            co_return Relayed{};
        }
        there = co_await leg.client.write(*piece);
    }
    flight.metrics().clients_gone.add();
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
