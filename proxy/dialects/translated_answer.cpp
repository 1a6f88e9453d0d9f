#include "dialects/translated_answer.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace nutgate::proxy {
namespace {

using Piece = Result<std::string_view, http::UpstreamFailure>;

bool is_event_stream(const http::Headers& headers) {
    const auto type = headers.find("content-type");
    return type && type->starts_with("text/event-stream");
}

class TranslatedAnswer final : public http::UpstreamAnswer {
public:
    TranslatedAnswer(std::unique_ptr<http::UpstreamAnswer> upstream,
                     std::unique_ptr<AnswerTranslator> translator, TranslationBounds bounds)
        : upstream_{std::move(upstream)}, translator_{std::move(translator)}, bounds_{bounds} {
        const bool is_good = upstream_->status() >= 200 && upstream_->status() < 300;
        if (is_good && is_event_stream(upstream_->headers())) stream_ = translator_->stream();
        status_ =
            is_good ? upstream_->status() : translator_->error(upstream_->status(), {}).status;
        headers_.add("Content-Type", stream_ ? "text/event-stream" : "application/json");
        if (const auto after = upstream_->headers().find("retry-after")) {
            headers_.add("Retry-After", std::string{*after});
        }
    }

    int status() const override { return status_; }
    const http::Headers& headers() const override { return headers_; }

    http::Task<Piece> read() override {
        if (failure_) co_return fail(*failure_);
        if (ended_) co_return std::string_view{};
        if (stream_) co_return co_await read_stream();
        co_return co_await read_whole();
    }

private:
    http::Task<Piece> read_stream() {
        out_.clear();
        while (out_.empty()) {
            const Piece piece = co_await upstream_->read();
            if (piece && !piece->empty()) {
                stream_->feed(*piece, out_);
                if (stream_->state() == StreamTranslator::State::Nonsense) {
                    give_up(http::UpstreamFailure::Broken);
                }
            } else if (piece) {
                stream_->finish(out_);
                ended_ = stream_->state() == StreamTranslator::State::Whole ||
                         stream_->state() == StreamTranslator::State::Failed;
                if (!ended_) failure_ = http::UpstreamFailure::Broken;
            } else {
                give_up(piece.error());
            }
            if (out_.empty() && failure_) co_return fail(*failure_);
            if (out_.empty() && ended_) break;
        }
        co_return std::string_view{out_};
    }

    // A failure behind the end that was passed on takes nothing from the answer.
    void give_up(http::UpstreamFailure failure) {
        ended_ = stream_->state() == StreamTranslator::State::Whole;
        if (ended_) return;
        failure_ = failure;
        stream_->finish(out_);
    }

    http::Task<Piece> read_whole() {
        const bool is_good = upstream_->status() >= 200 && upstream_->status() < 300;
        std::string body;
        for (;;) {
            const Piece piece = co_await upstream_->read();
            if (!piece) {
                failure_ = piece.error();
                co_return fail(*failure_);
            }
            if (piece->empty()) break;
            if (is_good && body.size() + piece->size() > bounds_.whole_bytes_max) {
                failure_ = http::UpstreamFailure::TooLarge;
                co_return fail(*failure_);
            }
            body += *piece;
            if (!is_good && body.size() > bounds_.error_bytes_max) break;
        }
        ended_ = true;
        if (!is_good) {
            out_ = translator_->error(upstream_->status(), body).body;
            co_return std::string_view{out_};
        }
        auto answer = translator_->whole(body);
        if (!answer) {
            failure_ = http::UpstreamFailure::Broken;
            co_return fail(*failure_);
        }
        out_ = *std::move(answer);
        co_return std::string_view{out_};
    }

    const std::unique_ptr<http::UpstreamAnswer> upstream_;
    const std::unique_ptr<AnswerTranslator> translator_;
    const TranslationBounds bounds_;
    std::unique_ptr<StreamTranslator> stream_;  // Null: the answer is whole.
    int status_ = 0;
    http::Headers headers_;
    std::string out_;
    bool ended_ = false;
    std::optional<http::UpstreamFailure> failure_;
};

class ReadyAnswer final : public http::UpstreamAnswer {
public:
    explicit ReadyAnswer(http::Response response) : response_{std::move(response)} {}

    int status() const override { return response_.status; }
    const http::Headers& headers() const override { return response_.headers; }
    http::Task<Piece> read() override {
        if (std::exchange(was_read_, true)) co_return std::string_view{};
        co_return std::string_view{response_.body};
    }
    bool is_our_own() const override { return true; }

private:
    const http::Response response_;
    bool was_read_ = false;
};

}  // namespace

std::unique_ptr<http::UpstreamAnswer> translated(std::unique_ptr<http::UpstreamAnswer> upstream,
                                                 std::unique_ptr<AnswerTranslator> translator,
                                                 TranslationBounds bounds) {
    return std::make_unique<TranslatedAnswer>(std::move(upstream), std::move(translator), bounds);
}

std::unique_ptr<http::UpstreamAnswer> ready_answer(http::Response response) {
    return std::make_unique<ReadyAnswer>(std::move(response));
}

}  // namespace nutgate::proxy
