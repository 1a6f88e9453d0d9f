#include "paid_exchange.h"

#include <algorithm>
#include <array>
#include <utility>

#include "answer_form.h"
#include "nutgate/base/log.h"

namespace nutgate::proxy {
namespace {

constexpr std::string_view kDone = "data: [DONE]\n\n";

// Nobody is to keep a copy of it.
void put_change(http::Headers& head, const std::string& token) {
    head.set("Cache-Control", "no-store");
    if (token.size() <= kPaymentHeaderBytesMax) head.set(kPaymentHeader, token);
}

bool is_event_stream(const http::Headers& headers) {
    const auto type = headers.find("content-type");
    return type && type->starts_with("text/event-stream");
}

}  // namespace

// By name. Where nobody has looked (the node is busy, or the address has had its share) it may have
// paid for something before: then its sender keeps it, and asks again with it.
bool leaves_token(const http::ApiError& refusal) {
    constexpr std::array<std::string_view, 9> kUntouched{"invalid_cashu_token",
                                                         "cashu_token_zero_value",
                                                         "cashu_token_redemption_failed",
                                                         "cashu_token_swap_fees_exceed_amount",
                                                         "cashu_untrusted_source_mint",
                                                         "cashu_source_mint_unreachable",
                                                         "cashu_mint_rate_limited",
                                                         "mint_full",
                                                         "payment_failed"};
    return std::ranges::find(kUntouched, refusal.code) != kUntouched.end();
}

void add_change(http::ApiError& refusal, const std::string& token) {
    if (token.empty()) return;
    // In place of a request for payment, too: that stands in the body.
    put_change(refusal.headers, token);
    refusal.members.emplace_back("refund_token", http::json_quote(token));
}

http::Task<std::string> PaidExchange::change() {
    using Given = Result<std::string, http::ApiError>;
    const auto given = co_await http::completion<Given>(
        [this](auto done) { redeemer_.give_change(key_, std::move(done)); });
    if (given) co_return *given;
    withheld_.add();
    log::warn("change_withheld", {{"code", given.error().code}});
    co_return std::string{};
}

http::Task<void> PaidExchange::add_to(http::Headers& head) {
    const std::string token = co_await change();
    if (!token.empty()) put_change(head, token);
}

http::Task<bool> PaidExchange::respond(http::Response response) {
    co_await add_to(response.headers);
    co_return co_await client_.respond(std::move(response));
}

// What is no stream of events is charged for before it begins.
http::Task<bool> PaidExchange::begin(http::Response head_and_first_piece) {
    is_stream_ = is_event_stream(head_and_first_piece.headers);
    if (is_stream_) {
        head_and_first_piece.body.resize(held_back(head_and_first_piece.body).size());
    } else {
        co_await add_to(head_and_first_piece.headers);
    }
    co_return co_await client_.begin(std::move(head_and_first_piece));
}

http::Task<bool> PaidExchange::write(std::string_view piece) {
    co_return co_await client_.write(held_back(piece));
}

// The rest of the answer does not wait for a mint.
http::Task<bool> PaidExchange::end(std::string_view last_piece) {
    if (!is_stream_) co_return co_await client_.end(last_piece);
    const std::string_view rest = held_back(last_piece);
    if (!rest.empty()) {
        const bool is_there = co_await client_.write(rest);
        if (!is_there) co_return false;
    }
    const std::string token = co_await change();
    std::string words = token.empty() ? std::string{} : event_with(token);
    if (owes_done_) words += kDone;
    co_return co_await client_.end(words);
}

std::string_view PaidExchange::held_back(std::string_view piece) {
    if (!is_stream_ || !piece.ends_with(kDone)) return piece;
    owes_done_ = true;
    piece.remove_suffix(kDone.size());
    return piece;
}

std::string PaidExchange::event_with(const std::string& token) const {
    const std::string member = R"("refund_token":)" + http::json_quote(token) + "}\n\n";
    const AnswerForm form = form_of(endpoint_);
    switch (form.stream) {
        case StreamForm::Chunks:
            return R"(data: {"id":"change","object":")" + std::string{form.chunk} +
                   R"(","created":0,"model":"","choices":[],)" + member;
        case StreamForm::LastEvent:
        case StreamForm::Messages:
            break;
    }
    return "event: change\ndata: {\"type\":\"change\"," + member;
}

}  // namespace nutgate::proxy
