// LND over its REST interface.
//
// Certainly not paid: a payment that the send or track call shows as FAILED, or an error of LND's
// own to the telling when track knows of no such payment. Code 6 (it is under way, or paid) is
// neither, and so is every time-out; NotFound alone only says that this node never began it.
#include <atomic>
#include <utility>

#include "node_backend.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::lightning {
namespace {

using Kind = http::ClientError::Kind;

// gRPC's codes, as LND uses them.
constexpr std::int64_t kCancelled = 1;
constexpr std::int64_t kDeadlineExceeded = 4;
constexpr std::int64_t kNotFound = 5;
constexpr std::int64_t kAlreadyExists = 6;
constexpr std::int64_t kInternal = 13;
constexpr std::int64_t kUnavailable = 14;

// It has no code of its own for that.
constexpr std::string_view kDenied = "permission denied";

// LND gives up looking for a route after pay_time, and then still has to say so.
constexpr Milliseconds kAfterPayTime{10'000};

// {"code", "message"}, which a stream wraps in "error".
std::optional<std::int64_t> code_of(const Json& json) {
    const Json& wrapped = member(json, "error");
    return integer_at(wrapped.is_object() ? wrapped : json, "code");
}

class Lnd final : public NodeBackend {
public:
    Lnd(NodeOptions options, http::Client& client)
        : NodeBackend{"lnd", std::move(options), client} {}

    std::string name() const override { return "lnd"; }

    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        TRY(const auto preimage, preimage_for(order));
        const PaymentHash hash{crypto::sha256(preimage)};
        const auto made = call(post("/v1/invoices",
                                    {{"memo", order.memo},
                                     {"r_preimage", to_base64(preimage)},
                                     {"value_msat", std::to_string(order.amount.raw())},
                                     {"expiry", std::to_string(order.expiry.count())},
                                     {"private", true}},
                                    options().receive_credential));
        if (!made && told(made) == Told::NotSent) return fail(BackendError::Unreachable);
        const auto text = made ? text_at(made->json, "payment_request") : std::nullopt;
        if (made && made->is_success() && text) return checked(*text, order.amount, hash);
        // It was made under this label before, or just now and the answer was lost.
        const auto known = look(invoice_call(hash));
        if (known) {
            return checked(text_at(*known, "payment_request").value_or(""), order.amount, hash);
        }
        const bool said_no = made && !made->is_success() && code_of(made->json);
        return fail(said_no && known.error() == BackendError::NotFound ? BackendError::Refused
                                                                       : BackendError::Unreachable);
    }

    Result<Payment, BackendError> incoming(const PaymentHash& hash) override {
        TRY(const auto invoice, look(invoice_call(hash)));
        const auto state = text_at(invoice, "state").value_or("");
        if (state == "CANCELED") return failed();
        if (state != "SETTLED") return pending();
        const auto amount = msat_at(invoice, "amt_paid_msat");
        if (!amount) return fail(BackendError::Unreachable);
        return settled(hash, *amount, Msat{}, bytes32_at(invoice, "r_preimage"));
    }

    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override {
        // The first line is the state as it is; the stream goes on until the payment ends.
        NodeCall track = get("/v2/router/track/" + in_path(hash), pay_credential());
        track.first_line_only = true;
        TRY(const auto line, look(track));
        const Json& payment = member(line, "result");
        const auto status = text_at(payment, "status").value_or("");
        if (status == "FAILED") return failed();
        if (status != "SUCCEEDED") return pending();
        const auto amount = msat_at(payment, "value_msat");
        const auto fee = msat_at(payment, "fee_msat");
        const auto preimage = bytes32_at(payment, "payment_preimage");
        if (!amount || !fee || !preimage) return pending();
        return settled(hash, *amount, *fee, preimage);
    }

    Result<NodeStatus, BackendError> status() override {
        // A macaroon for invoices alone may not ask who it is, and LND notes each try as an error.
        if (may_ask_info_) {
            const auto info = call(get("/v1/getinfo", options().receive_credential));
            if (!info) return fail(BackendError::Unreachable);
            if (info->is_success()) return status_of(info->json);
            may_ask_info_ =
                text_at(info->json, "message").value_or("").find(kDenied) == std::string::npos;
        }
        TRY_VOID(look(get("/v1/invoices?num_max_invoices=1", options().receive_credential)));
        return NodeStatus{};
    }

private:
    static NodeStatus status_of(const Json& info) {
        NodeStatus status{.version = text_at(info, "version").value_or(""),
                          .network = std::nullopt,
                          .synced = flag_at(info, "synced_to_chain")};
        const Json& chains = member(info, "chains");
        if (chains.is_array() && !chains.empty()) {
            status.network = network_from(text_at(chains.front(), "network").value_or(""));
        }
        return status;
    }
    static std::optional<PaymentHash> pushed(const Json& message) {
        const auto hash = bytes32_at(member(message, "result"), "r_hash");
        return hash ? std::optional{PaymentHash{*hash}} : std::nullopt;
    }
    // Its WebSocket takes the body of a request as the first message.
    std::optional<Push> push() const override {
        return Push{
            .path = "/v1/invoices/subscribe?method=GET",
            .headers = {{"Grpc-Metadata-Macaroon", credential(options().receive_credential)}},
            .hello = "{}",
            .read = &pushed};
    }

    bool is_not_found(const NodeAnswer& answer) const override {
        if (code_of(answer.json) == kNotFound) return true;
        // Releases that had no code for it.
        const auto message = text_at(answer.json, "message").value_or("");
        return message.find("unable to locate invoice") != std::string::npos ||
               message.find("there are no existing invoices") != std::string::npos;
    }

    Told tell(const PaymentOrder& order, const Bolt11& invoice) override {
        Json body{{"payment_request", order.bolt11},
                  {"timeout_seconds", options().pay_time.count() / 1000},
                  {"fee_limit_msat", std::to_string(order.fee_max.raw())},
                  {"no_inflight_updates", true}};
        if (!invoice.amount) body["amt_msat"] = std::to_string(order.amount.raw());
        NodeCall send = post("/v2/router/send", body, options().pay_credential);
        send.timeout = options().pay_time + kAfterPayTime;
        send.first_line_only = true;
        const auto answer = call(send);
        if (!answer || answer->is_success()) return told(answer);
        const auto code = code_of(answer->json);
        const bool unclear = !code || code == kAlreadyExists || code == kCancelled ||
                             code == kDeadlineExceeded || code == kInternal || code == kUnavailable;
        return unclear ? Told::Unclear : Told::Refused;
    }

    NodeCall get(std::string path, const Secret& macaroon) const {
        NodeCall made;
        made.path = std::move(path);
        made.headers = {{"Grpc-Metadata-Macaroon", credential(macaroon)}};
        return made;
    }
    NodeCall post(std::string path, const Json& body, const Secret& macaroon) const {
        NodeCall made = get(std::move(path), macaroon);
        made.method = http::Method::Post;
        made.body = dump(body);
        return made;
    }
    NodeCall invoice_call(const PaymentHash& hash) const {
        return get("/v1/invoice/" + hash.hex(), options().receive_credential);
    }
    const Secret& pay_credential() const {
        return pays() ? options().pay_credential : options().receive_credential;
    }
    // Its gateway wants the padding.
    static std::string in_path(const PaymentHash& hash) { return to_base64url(hash.bytes()) + "="; }

    std::atomic<bool> may_ask_info_ = true;  // Until it is seen that the macaroon is not for that.
};

}  // namespace
}  // namespace nutgate::lightning

namespace nutgate {

std::unique_ptr<LightningNode> make_lnd(NodeOptions options, http::Client& client) {
    return std::make_unique<lightning::Lnd>(std::move(options), client);
}

}  // namespace nutgate
