#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"
#include "src/api/fields.h"

namespace {

using namespace nutgate;

void check(const api::Fields& fields) {
    for (const auto* name : {"amount_sats", "count", "limit", "balance_limit", "validity_date"}) {
        if (const auto number = fields.integer(name); number && *number) VERIFY(**number >= 0);
    }
    for (const auto* name : {"purpose", "cashu_token", "child_key", "initial_balance_token"}) {
        const auto text = fields.required_text(name);
        if (text) VERIFY(!text->empty());
        if (!text) VERIFY(text.error().status == 400);
    }
    if (const auto limits = fields.limits(); limits && limits->balance_limit) {
        VERIFY(limits->balance_limit->raw() >= 0);
    }
}

}  // namespace

// The bytes are a body, a query and a credential: each field is what it must be or has an error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text{reinterpret_cast<const char*>(data), size};
    http::Request request;
    request.body = text;
    request.query = text;
    request.headers.set("authorization", text);
    if (const auto fields = api::Fields::of_body(request)) check(*fields);
    check(api::Fields::of_query(request));
    if (const auto credential = api::bearer_of(request)) VERIFY(!credential->empty());
    return 0;
}
