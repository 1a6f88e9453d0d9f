// POST /v1/chat/completions: its parser is chat_request.h.
#include <utility>

#include "chat_request.h"
#include "order.h"

namespace nutgate::proxy {
namespace {

class ChatOrder final : public Order {
public:
    explicit ChatOrder(ChatRequest request)
        : Order{Endpoint::Chat, request_}, request_{std::move(request)} {}

    Result<void, http::ApiError> check_against(const Model& model) const override {
        return proxy::check_against(request_, model);
    }
    TokenBounds bounds(std::size_t body_bytes, const Model& model) const override {
        return bounds_of(request_, body_bytes, model);
    }
    std::string body_for(std::string_view body, const Model& model,
                         const Destination& to) const override {
        return rewrite(body, request_, model, to);
    }
    std::int64_t stream_choices() const override { return request_.stream ? request_.choices : 0; }

private:
    const ChatRequest request_;
};

}  // namespace

Ordered read_chat(std::string_view body) {
    TRY(auto request, parse_chat_request(body));
    return make_order<ChatOrder>(std::move(request));
}

}  // namespace nutgate::proxy
