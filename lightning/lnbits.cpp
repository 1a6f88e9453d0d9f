// LNbits: one wallet of it, by its invoice key and, to pay, its admin key.
//
// Fees have no limit of ours: what LNbits itself reserves must fit the order's. Certainly not paid:
// status "failed", or its refusal of a telling when it knows of no such payment. `paid: false`
// alone proves nothing. Money inside one LNbits moves without a Lightning payment, so it may have
// no preimage to show.
#include <utility>

#include "invoice_book.h"
#include "node_backend.h"
#include "utf8.h"

namespace nutgate::lightning {
namespace {

constexpr std::size_t kMemoBytesMax = 639;
constexpr std::string_view kPayments = "/api/v1/payments";
constexpr int kPaymentError = 520;  // Its own, of a payment or an invoice.
constexpr Milliseconds kAfterPayTime{10'000};

class LnBits final : public NodeBackend {
public:
    LnBits(NodeOptions options, http::Client& client, store::Database& database)
        : NodeBackend{"lnbits", std::move(options), client}, book_{database, "lnbits"} {}

    std::string name() const override { return "lnbits"; }

    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        return invoice_once(book_, order, [&] { return make(order); });
    }

    Result<Payment, BackendError> incoming(const PaymentHash& hash) override {
        return payment(hash, options().receive_credential, Way::In);
    }

    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override {
        return payment(hash, pays() ? options().pay_credential : options().receive_credential,
                       Way::Out);
    }

    Result<NodeStatus, BackendError> status() override {
        TRY_VOID(look(get("/api/v1/wallet", options().receive_credential)));
        return NodeStatus{};
    }

private:
    enum class Way { In, Out };

    // Anybody may write to that channel, too: a hint, as ever.
    static std::optional<PaymentHash> pushed(const Json& message) {
        const auto hash = bytes32_at(member(message, "payment"), "payment_hash");
        return hash ? std::optional{PaymentHash{*hash}} : std::nullopt;
    }
    std::optional<Push> push() const override {
        return Push{.path = "/api/v1/ws/" + credential(options().receive_credential),
                    .headers = {},
                    .hello = {},
                    .read = &pushed};
    }

    bool is_not_found(const NodeAnswer& answer) const override {
        return answer.status == 404 && answer.json.is_object();
    }

    Result<BookedInvoice, BackendError> make(const InvoiceOrder& order) {
        const Sat sats = to_sat_floor(order.amount);
        if (to_msat(sats) != order.amount) return fail(BackendError::Refused);
        const auto answer = call(post({{"out", false},
                                       {"unit", "sat"},
                                       {"amount", sats.raw()},
                                       {"memo", cut_utf8(order.memo, kMemoBytesMax)},
                                       {"expiry", order.expiry.count()}},
                                      options().receive_credential));
        const bool said_no = answer && answer->status == kPaymentError;
        if (said_no || told(answer) == Told::Refused) return fail(BackendError::Refused);
        if (!answer || !answer->is_success()) return fail(BackendError::Unreachable);
        auto text = text_at(answer->json, "bolt11");
        if (!text) text = text_at(answer->json, "payment_request");  // Before 1.0.
        const auto hash = bytes32_at(answer->json, "payment_hash");
        if (!hash || !text) return fail(BackendError::Unreachable);
        TRY(auto invoice, checked(*text, order.amount, PaymentHash{*hash}));
        return BookedInvoice{
            .invoice = std::move(invoice), .amount = order.amount, .backend = name()};
    }

    Result<Payment, BackendError> payment(const PaymentHash& hash, const Secret& key, Way way) {
        TRY(const auto answer, look(get(std::string{kPayments} + "/" + hash.hex(), key)));
        const Json& details = member(answer, "details");
        const auto signed_amount = integer_at(details, "amount");
        if (!signed_amount) return fail(BackendError::Unreachable);  // Not with our wallet's eyes.
        // Of one hash there may be the other half: of a payment within this wallet.
        if ((*signed_amount < 0) != (way == Way::Out)) return fail(BackendError::NotFound);
        const auto amount = magnitude(*signed_amount);
        const auto fee = magnitude(integer_at(details, "fee").value_or(0));
        const auto status = text_at(details, "status").value_or("");
        if (status == "failed") return failed();
        if (status != "success" || !amount || !fee) return pending();
        auto preimage = bytes32_at(answer, "preimage");
        if (!preimage) preimage = bytes32_at(details, "preimage");
        return settled(hash, *amount, *fee, preimage);
    }

    static std::optional<Msat> magnitude(std::int64_t amount) {
        return amount == INT64_MIN ? std::nullopt : Msat::from_raw(amount < 0 ? -amount : amount);
    }

    Told tell(const PaymentOrder& order, const Bolt11& invoice) override {
        if (!invoice.amount) return Told::Refused;  // It pays no invoice that leaves it open.
        // A payment from this wallet to itself would have two halves under one hash, and a look-up
        // shows one of them.
        const auto ours = payment(order.hash, options().pay_credential, Way::In);
        if (ours) return Told::Refused;
        if (ours.error() != BackendError::NotFound) return Told::NotSent;
        const auto reserve =
            look(get(std::string{kPayments} + "/fee-reserve?invoice=" + order.bolt11,
                     options().pay_credential));
        if (!reserve) return Told::NotSent;
        const auto fee = msat_at(*reserve, "fee_reserve");
        if (!fee || *fee > order.fee_max) return Told::Refused;
        NodeCall to_make =
            post({{"out", true}, {"bolt11", order.bolt11}}, options().pay_credential);
        to_make.timeout = options().pay_time + kAfterPayTime;
        const auto answer = call(to_make);
        if (answer && answer->status == kPaymentError) {
            return text_at(answer->json, "status") == "pending" ? Told::Unclear : Told::Refused;
        }
        return told(answer);
    }

    NodeCall get(std::string path, const Secret& key) const {
        NodeCall made;
        made.path = std::move(path);
        made.headers = {{"X-Api-Key", credential(key)}};
        return made;
    }
    NodeCall post(const Json& body, const Secret& key) const {
        NodeCall made = get(std::string{kPayments}, key);
        made.method = http::Method::Post;
        made.body = dump(body);
        return made;
    }

    InvoiceBook book_;
};

}  // namespace
}  // namespace nutgate::lightning

namespace nutgate {

std::unique_ptr<LightningNode> make_lnbits(NodeOptions options, http::Client& client,
                                           store::Database& database) {
    return std::make_unique<lightning::LnBits>(std::move(options), client, database);
}

}  // namespace nutgate
