// /admin/wallet: what the owner does with the node's own money. Each request that moves some names
// itself, so that it can be asked again.
#include "answers.h"

namespace nutgate::admin {
namespace {

using http::Method;
using http::Request;

template <class T>
Result<T, http::ApiError> told(Result<T, CashierError> result) {
    if (!result) return fail(of_cashier(result.error()));
    return *std::move(result);
}

Answer send(const Services& services, const Request& request) {
    TRY(const auto body, Body::of(request));
    TRY(const auto amount, body.sats("amount_sats"));
    TRY(const auto mint, body.optional_mint("mint"));
    TRY(const auto id, body.request_id());
    TRY(const auto sent, told(services.cashier.owner_send(id, amount, mint)));
    return Json{{"token", sent.token},
                {"amount_sats", sent.amount.raw()},
                {"mint", sent.mint},
                {"fee_msat", sent.fee.raw()},
                {"again", sent.again}};
}

Answer pay(const Services& services, const Request& request) {
    TRY(const auto body, Body::of(request));
    TRY(const auto bolt11, body.text("bolt11"));
    TRY(const auto mint, body.optional_mint("mint"));
    TRY(const auto id, body.request_id());
    TRY(const auto paid, told(services.cashier.owner_melt(id, bolt11, mint)));
    return Json{{"amount_msat", paid.amount.raw()},
                {"fee_msat", paid.fee.raw()},
                {"preimage", paid.preimage ? Json(paid.preimage->hex()) : Json()},
                {"mint", paid.mint.text()},
                {"again", paid.again}};
}

Answer receive(const Services& services, const Request& request) {
    TRY(const auto body, Body::of(request));
    TRY(const auto token, body.text("token"));
    TRY(const auto id, body.request_id());
    TRY(const auto in, told(services.cashier.owner_receive(id, token)));
    return Json{{"credited_msat", in.credited.raw()},
                {"withdrawable_msat", in.withdrawable.raw()},
                {"again", in.again}};
}

Json to_json(const Moved& moved) {
    return {
        {"amount_msat", moved.amount.raw()}, {"fee_msat", moved.fee.raw()}, {"again", moved.again}};
}

Answer swap(const Services& services, const Request& request) {
    TRY(const auto body, Body::of(request));
    TRY(const auto amount, body.sats("amount_sats"));
    TRY(const auto from, body.mint("from"));
    TRY(const auto to, body.mint("to"));
    TRY(const auto id, body.request_id());
    TRY(const auto moved, told(services.cashier.move_ecash(id, amount, from, to)));
    return to_json(moved);
}

Answer fund(const Services& services, const Request& request) {
    TRY(const auto body, Body::of(request));
    TRY(const auto amount, body.sats("amount_sats"));
    TRY(const auto mint, body.optional_mint("mint"));
    TRY(const auto most, body.optional_sats("fee_max_sats"));
    TRY(const auto id, body.request_id());
    const auto fee_max = most ? std::optional{to_msat(*most)} : std::nullopt;
    TRY(const auto moved,
        told(services.cashier.fund(id, mint.value_or(services.wallet.primary()), amount, fee_max)));
    return to_json(moved);
}

Answer consolidate(const Services& services, const Request&) {
    const auto begun = services.wallet.consolidate();
    if (!begun) return fail(of_wallet(begun.error()));
    return Json{{"operations", *begun}};
}

Answer restore(const Services& services, const Request&) {
    const auto found = services.wallet.restore();
    if (!found) return fail(of_wallet(found.error()));
    Json mints = Json::array();
    for (const auto& line : *found) {
        mints.push_back({{"mint", line.mint.text()},
                         {"found_msat", line.found.raw()},
                         {"proofs", line.proofs},
                         {"pending", line.pending},
                         {"error", line.error}});
    }
    return Json{{"mints", mints}};
}

}  // namespace

void add_wallet_routes(http::Server& server, const Services& services) {
    const auto post = [&](const char* name, Handler handler) {
        add(server, services,
            {.method = Method::Post, .pattern = std::string{"/admin/wallet/"} + name},
            Effect::Writes, std::move(handler));
    };
    post("send", send);
    post("pay", pay);
    post("receive", receive);
    post("swap", swap);
    post("fund", fund);
    post("consolidate", consolidate);
    post("restore", restore);
}

}  // namespace nutgate::admin
