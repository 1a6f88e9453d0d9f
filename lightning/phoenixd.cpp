// phoenixd over its HTTP interface: forms and JSON, Basic authentication with any user's name.
//
// It speaks of whole satoshis, takes no limit of a fee (its own is a fixed schedule, which must fit
// the order's), and answers 200 to a payment that failed. Certainly not paid: a look-up that says
// so with `completedAt`, or its refusal of a telling when it knows of no such payment.
#include <utility>

#include "invoice_book.h"
#include "node_backend.h"
#include "utf8.h"

namespace nutgate::lightning {
namespace {

constexpr std::size_t kDescriptionBytesMax = 128;
// What its provider charges for a payment: 4 sat and 0.4 percent, of which it gives the rest back.
constexpr Msat kFeeBase = 4'000_msat;
constexpr std::uint64_t kFeePpm = 4'000;
constexpr std::uint64_t kPpm = 1'000'000;
constexpr Milliseconds kAfterPayTime{10'000};

std::optional<Msat> fee_of(Msat amount) {
    const auto share = multiply_ceil(amount, kFeePpm, kPpm);
    return share ? add(*share, kFeeBase) : std::nullopt;
}

bool is_whole_sats(Msat amount) { return to_msat(to_sat_floor(amount)) == amount; }

std::string form(std::initializer_list<std::pair<std::string_view, std::string>> fields) {
    std::string text;
    for (const auto& [name, value] : fields) {
        if (!text.empty()) text += '&';
        text += std::string{name} + "=" + http::percent_encode(value);
    }
    return text;
}

class Phoenixd final : public NodeBackend {
public:
    Phoenixd(NodeOptions options, http::Client& client, store::Database& database)
        : NodeBackend{"phoenixd", std::move(options), client}, book_{database, "phoenixd"} {}

    std::string name() const override { return "phoenixd"; }

    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        return invoice_once(book_, order, [&] { return make(order); });
    }

    Result<Payment, BackendError> incoming(const PaymentHash& hash) override {
        TRY(const auto payment,
            look(get("/payments/incoming/" + hash.hex(), options().receive_credential)));
        if (!flag_at(payment, "isPaid")) return pending();
        // Less what opening a channel for it cost: that is what there is.
        const auto amount = sat_at(payment, "receivedSat");
        const auto fee = msat_at(payment, "fees");
        if (!amount || !fee) return fail(BackendError::Unreachable);
        return settled(hash, *amount, *fee, bytes32_at(payment, "preimage"));
    }

    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override {
        const Secret& password = pays() ? options().pay_credential : options().receive_credential;
        TRY(const auto payment, look(get("/payments/outgoingbyhash/" + hash.hex(), password)));
        const bool is_over = integer_at(payment, "completedAt").has_value();
        const auto preimage = bytes32_at(payment, "preimage");
        if (!flag_at(payment, "isPaid")) return is_over ? failed() : pending();
        // Its `sent` is rounded and with the fee in it; the invoice says what was delivered.
        const auto fee = msat_at(payment, "fees");
        const auto invoice = parse_bolt11(text_at(payment, "invoice").value_or(""));
        const auto sent = sat_at(payment, "sent");
        auto amount = invoice ? invoice->amount : std::nullopt;
        if (!amount && sent && fee) amount = subtract(*sent, *fee);
        if (!fee || !amount || !preimage) return pending();
        return settled(hash, *amount, *fee, preimage);
    }

    Result<Msat, BackendError> estimate_fee(const Bolt11&, Msat amount) override {
        const auto fee = fee_of(amount);
        if (!fee) return fail(BackendError::Refused);
        return *fee;
    }

    Result<NodeStatus, BackendError> status() override {
        TRY(const auto info, look(get("/getinfo", options().receive_credential)));
        return NodeStatus{.version = text_at(info, "version").value_or(""),
                          .network = network_from(text_at(info, "chain").value_or("")),
                          .synced = true};
    }

private:
    static std::optional<PaymentHash> pushed(const Json& message) {
        const auto hash = bytes32_at(message, "paymentHash");
        return hash ? std::optional{PaymentHash{*hash}} : std::nullopt;
    }
    std::optional<Push> push() const override {
        return Push{.path = "/websocket",
                    .headers = get("", options().receive_credential).headers,
                    .hello = {},
                    .read = &pushed};
    }

    // In words. A release that has no such path says nothing.
    bool is_not_found(const NodeAnswer& answer) const override {
        return answer.status == 404 && answer.has_body;
    }

    Result<BookedInvoice, BackendError> make(const InvoiceOrder& order) {
        if (!is_whole_sats(order.amount)) return fail(BackendError::Refused);
        const auto answer =
            call(post("/createinvoice",
                      form({{"description", cut_utf8(order.memo, kDescriptionBytesMax)},
                            {"amountSat", std::to_string(to_sat_floor(order.amount).raw())},
                            {"expirySeconds", std::to_string(order.expiry.count())},
                            {"externalId", order.label}}),
                      options().receive_credential));
        if (told(answer) == Told::Refused) return fail(BackendError::Refused);
        if (!answer || !answer->is_success()) return fail(BackendError::Unreachable);
        const auto hash = bytes32_at(answer->json, "paymentHash");
        const auto text = text_at(answer->json, "serialized");
        if (!hash || !text) return fail(BackendError::Unreachable);
        TRY(auto invoice, checked(*text, order.amount, PaymentHash{*hash}));
        return BookedInvoice{
            .invoice = std::move(invoice), .amount = order.amount, .backend = name()};
    }

    Told tell(const PaymentOrder& order, const Bolt11& invoice) override {
        const auto fee = fee_of(order.amount);
        if (!fee || *fee > order.fee_max) return Told::Refused;
        if (!invoice.amount && !is_whole_sats(order.amount)) return Told::Refused;
        std::string body = form({{"invoice", order.bolt11}});
        if (!invoice.amount) {
            body += "&amountSat=" + std::to_string(to_sat_floor(order.amount).raw());
        }
        NodeCall to_make = post("/payinvoice", std::move(body), options().pay_credential);
        to_make.timeout = options().pay_time + kAfterPayTime;
        const auto answer = call(to_make);
        // Also of one that is paid or under way, of which it then knows.
        if (answer && answer->is_success() && text_at(answer->json, "type") == "payment_failed") {
            return Told::Refused;
        }
        return told(answer);
    }

    NodeCall get(std::string path, const Secret& password) const {
        NodeCall made;
        made.path = std::move(path);
        made.headers = {
            {"Authorization", "Basic " + to_base64(as_bytes(":" + credential(password)))}};
        return made;
    }
    NodeCall post(std::string path, std::string body, const Secret& password) const {
        NodeCall made = get(std::move(path), password);
        made.method = http::Method::Post;
        made.body = std::move(body);
        made.content_type = "application/x-www-form-urlencoded";
        return made;
    }

    InvoiceBook book_;
};

}  // namespace
}  // namespace nutgate::lightning

namespace nutgate {

std::unique_ptr<LightningNode> make_phoenixd(NodeOptions options, http::Client& client,
                                             store::Database& database) {
    return std::make_unique<lightning::Phoenixd>(std::move(options), client, database);
}

}  // namespace nutgate
