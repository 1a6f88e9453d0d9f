#include "client/subscription_text.h"

#include "nutgate/base/id.h"
#include "protocol/json_reader.h"

namespace nutgate::cashu {
namespace {

using wire::Json;

std::string write_call(std::uint64_t request, const char* method, Json params) {
    return Json{{"jsonrpc", "2.0"}, {"id", request}, {"method", method}, {"params", params}}.dump();
}

std::string name_of(std::uint64_t number) { return "quotes-" + std::to_string(number); }

}  // namespace

std::string write_subscribe(std::uint64_t request, std::uint64_t number,
                            const std::vector<std::string>& quotes) {
    return write_call(
        request, "subscribe",
        {{"kind", "bolt11_mint_quote"}, {"subId", name_of(number)}, {"filters", quotes}});
}

std::string write_unsubscribe(std::uint64_t request, std::uint64_t number) {
    return write_call(request, "unsubscribe", {{"subId", name_of(number)}});
}

std::optional<MintMessage> parse_mint_message(std::string_view text) {
    using Kind = MintMessage::Kind;
    wire::Reader reader{text};
    const Json& root = reader.root();
    if (reader.failed()) return std::nullopt;
    if (reader.optional(root, "error") != nullptr) return MintMessage{Kind::Refused, {}, {}};
    if (reader.optional(root, "result") != nullptr) return MintMessage{Kind::Taken, {}, {}};
    if (reader.text(root, "method", 32) != "subscribe") return std::nullopt;
    const Json* const params = reader.required(root, "params");
    const Json* const payload = params != nullptr ? reader.required(*params, "payload") : nullptr;
    if (payload == nullptr) return std::nullopt;
    auto quote = reader.text(*payload, "quote", QuoteId::kSizeMax);
    if (reader.failed()) return std::nullopt;
    return MintMessage{Kind::Notification, std::move(quote), payload->dump()};
}

}  // namespace nutgate::cashu
