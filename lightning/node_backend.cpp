#include "node_backend.h"

#include <utility>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::lightning {
namespace {

using Kind = http::ClientError::Kind;

std::string without_query(const std::string& path) { return path.substr(0, path.find('?')); }

}  // namespace

std::optional<Network> network_from(std::string_view name) {
    if (name == "mainnet" || name == "bitcoin") return Network::Bitcoin;
    if (name.starts_with("testnet")) return Network::Testnet;
    if (name == "signet") return Network::Signet;
    if (name == "regtest") return Network::Regtest;
    if (name == "simnet") return Network::Simnet;
    return std::nullopt;
}

NodeBackend::NodeBackend(std::string name, NodeOptions options, http::Client& client)
    : name_{std::move(name)}, options_{std::move(options)}, client_{client} {}

Result<Payment, BackendError> NodeBackend::pay(const PaymentOrder& order) {
    const auto invoice = fitting_invoice(order, options_.network);
    if (!invoice || !pays()) return fail(BackendError::Refused);
    return pay_once([&] { return outgoing(order.hash); }, [&] { return tell(order, *invoice); });
}

Result<Msat, BackendError> NodeBackend::estimate_fee(const Bolt11&, Msat amount) {
    return fee_reserve(amount, options_.fee_base, options_.fee_ppm);
}

void NodeBackend::on_change(std::function<void(const PaymentHash&)> hint) {
    const auto channel = push();
    if (!channel || options_.pushes == nullptr) return;
    if (!hints_) hints_ = std::make_unique<HintQueue>("watch-" + name_);
    hints_->set(std::move(hint));
    if (!pushes_) listen(*channel);
}

void NodeBackend::listen(const Push& push) {
    VERIFY(options_.url.starts_with("http"));
    http::WebSocketOptions wanted;
    wanted.url = "ws" + options_.url.substr(4) + push.path;
    wanted.headers = push.headers;
    http::WebSocketEvents events;
    events.on_open = [hello = push.hello](http::WebSocket& socket) {
        if (!hello.empty()) (void)socket.send(hello);
    };
    events.on_message = [this, read = push.read](http::WebSocket&, std::string_view text) {
        if (const auto hash = read(parse_json(text))) hints_->push(*hash);
    };
    auto opened = options_.pushes->open(std::move(wanted), std::move(events));
    if (!opened) {
        log::warn("lightning_pushes", {{"backend", name_}, {"why", opened.error().detail}});
        return;
    }
    pushes_ = *std::move(opened);
}

Result<NodeAnswer, Kind> NodeBackend::call(const NodeCall& to_make) const {
    VERIFY(store::open_on_this_thread() == 0);
    http::ClientRequest request;
    request.method = to_make.method;
    request.url = options_.url + to_make.path;
    request.headers = to_make.headers;
    request.body = to_make.body;
    request.content_type = to_make.content_type;
    request.timeout = to_make.timeout == Milliseconds{0} ? options_.timeout : to_make.timeout;
    request.response_bytes_max = to_make.answer_bytes_max;
    request.first_line_only = to_make.first_line_only;
    const auto response = client_.call(request);
    if (!response) {
        log::warn("lightning_call_failed", {{"backend", name_},
                                            {"path", without_query(to_make.path)},
                                            {"why", response.error().detail}});
        return fail(response.error().kind);
    }
    NodeAnswer answer{.status = response->status,
                      .json = parse_json(response->body),
                      .has_body = !response->body.empty()};
    if (!answer.is_success()) {
        log::info(
            "lightning_answer",
            {{"backend", name_}, {"path", without_query(to_make.path)}, {"status", answer.status}});
    }
    return answer;
}

Result<Json, BackendError> NodeBackend::look(const NodeCall& to_make) const {
    auto answer = call(to_make);
    if (!answer) return fail(BackendError::Unreachable);
    if (!answer->is_success() && is_not_found(*answer)) return fail(BackendError::NotFound);
    if (!answer->is_success() || !answer->json.is_object()) {
        return fail(BackendError::Unreachable);
    }
    return std::move(answer->json);
}

// Nobody but the node itself answers 4xx for good; a 5xx may be a proxy's that lost patience.
Told NodeBackend::told(const Result<NodeAnswer, Kind>& answer) {
    if (!answer) {
        const bool unsent = answer.error() == Kind::NotSent || answer.error() == Kind::Invalid;
        return unsent ? Told::NotSent : Told::Unclear;
    }
    constexpr int kTimeout = 408;
    const bool said_no =
        answer->status >= 400 && answer->status < 500 && answer->status != kTimeout;
    return said_no ? Told::Refused : Told::Unclear;
}

Result<ByteArray<32>, BackendError> NodeBackend::preimage_for(const InvoiceOrder& order) const {
    if (order.amount == Msat{} || order.expiry <= Seconds{0} || order.label.empty()) {
        return fail(BackendError::Refused);
    }
    return crypto::hmac_sha256(options_.label_key.reveal(),
                               {as_bytes("invoice|"), as_bytes(order.label)});
}

Result<Invoice, BackendError> NodeBackend::checked(std::string_view bolt11, Msat amount,
                                                   const std::optional<PaymentHash>& hash) const {
    return checked_invoice(name_, bolt11, options_.network, amount, hash);
}

}  // namespace nutgate::lightning
