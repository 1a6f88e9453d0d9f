#include "client/subscription_text.h"

#include "nutgate/base/id.h"
#include "nutgate/cashu/subscription.h"
#include "protocol/json_reader.h"

namespace nutgate::cashu {
namespace {

std::string name_of(std::uint64_t number) { return "quotes-" + std::to_string(number); }

}  // namespace

std::string write_subscribe(std::uint64_t request, std::uint64_t number,
                            const std::vector<std::string>& quotes) {
    return wire::write_socket_request(
        request, wire::Subscribe{wire::SubscriptionKind::MintQuote, name_of(number), quotes});
}

std::string write_unsubscribe(std::uint64_t request, std::uint64_t number) {
    return wire::write_socket_request(request, wire::Unsubscribe{name_of(number)});
}

std::optional<MintMessage> parse_mint_message(std::string_view text) {
    using Kind = MintMessage::Kind;
    auto message = wire::parse_socket_message(text);
    if (!message) return std::nullopt;
    if (std::holds_alternative<wire::SocketError>(*message)) {
        return MintMessage{Kind::Refused, {}, {}};
    }
    if (std::holds_alternative<wire::SocketAck>(*message)) return MintMessage{Kind::Taken, {}, {}};
    auto& note = std::get<wire::SocketNotification>(*message);
    // A hint needs no more than its name, so nothing else of the quote has to be in order.
    wire::Reader reader{note.payload};
    auto quote = reader.text(reader.root(), "quote", QuoteId::kSizeMax);
    if (reader.failed()) return std::nullopt;
    return MintMessage{Kind::Notification, std::move(quote), std::move(note.payload)};
}

}  // namespace nutgate::cashu
