// Invoices and payments of Core Lightning.
//
// Certainly not paid: `listpays` shows attempts and each has failed, or a clean refusal of the
// telling when it shows none. 210 may still be under way; 201 and 219 say that it is paid.
#include "cln.h"

#include <utility>

#include "nutgate/crypto/hash.h"

namespace nutgate::lightning {
namespace {

// Of xpay and pay: those that are a no to this telling.
constexpr std::int64_t kBadParameters = -32602;
constexpr std::int64_t kUnknownMethod = -32601;
constexpr std::int64_t kPermanentFailure = 203;
constexpr std::int64_t kNoRoute = 205;
constexpr std::int64_t kTooExpensive = 206;
constexpr std::int64_t kExpired = 207;
constexpr std::int64_t kRuneMissing = 1501;
constexpr std::int64_t kRuneRefused = 1502;

constexpr Milliseconds kAfterPayTime{10'000};

bool is_clean_no(std::int64_t code) {
    for (const auto no : {kBadParameters, kUnknownMethod, kPermanentFailure, kNoRoute,
                          kTooExpensive, kExpired, kRuneMissing, kRuneRefused}) {
        if (code == no) return true;
    }
    return false;
}

const Json& first_of(const Json& list) {
    static const Json kNull;
    return list.is_array() && !list.empty() ? list.front() : kNull;
}

Payment completed(const PaymentHash& hash, const Json& pay) {
    const auto sent = msat_at(pay, "amount_sent_msat");
    auto amount = msat_at(pay, "amount_msat");
    if (!amount) {
        const auto invoice = parse_bolt11(text_at(pay, "bolt11").value_or(""));
        if (invoice) amount = invoice->amount;
    }
    const auto fee = sent && amount ? subtract(*sent, *amount) : std::nullopt;
    const auto preimage = bytes32_at(pay, "preimage");
    if (!fee || !preimage) return pending();
    return settled(hash, *amount, *fee, preimage);
}

}  // namespace

Result<Invoice, BackendError> Cln::create_invoice(const InvoiceOrder& order) {
    TRY(const auto preimage, preimage_for(order));
    const PaymentHash hash{crypto::sha256(preimage)};
    const auto made = call(rpc("invoice",
                               {{"amount_msat", order.amount.raw()},
                                {"label", order.label},
                                {"description", order.memo},
                                {"expiry", order.expiry.count()},
                                {"preimage", to_hex(preimage)}},
                               options().receive_credential));
    if (!made && told(made) == Told::NotSent) return fail(BackendError::Unreachable);
    const auto text = made ? text_at(made->json, "bolt11") : std::nullopt;
    if (made && made->is_success() && text) return checked(*text, order.amount, hash);
    // The label is taken, by what was made before or by what was just made unheard.
    const auto known = look(
        rpc("listinvoices", Json::object({{"label", order.label}}), options().receive_credential));
    if (!known) return fail(BackendError::Unreachable);
    const Json& invoice = first_of(member(*known, "invoices"));
    if (const auto bolt11 = text_at(invoice, "bolt11")) {
        return checked(*bolt11, order.amount, hash);
    }
    const bool said_no = made && !made->is_success() && integer_at(made->json, "code");
    return fail(said_no ? BackendError::Refused : BackendError::Unreachable);
}

Result<Payment, BackendError> Cln::incoming(const PaymentHash& hash) {
    TRY(const auto answer, look(rpc("listinvoices", Json::object({{"payment_hash", hash.hex()}}),
                                    options().receive_credential)));
    const Json& list = member(answer, "invoices");
    if (!list.is_array()) return fail(BackendError::Unreachable);
    if (list.empty()) return fail(BackendError::NotFound);
    const auto status = text_at(list.front(), "status").value_or("");
    if (status == "expired") return failed();
    if (status != "paid") return pending();
    const auto amount = msat_at(list.front(), "amount_received_msat");
    if (!amount) return fail(BackendError::Unreachable);
    return settled(hash, *amount, Msat{}, bytes32_at(list.front(), "payment_preimage"));
}

Result<Payment, BackendError> Cln::outgoing(const PaymentHash& hash) {
    const Secret& rune = pays() ? options().pay_credential : options().receive_credential;
    TRY(const auto answer,
        look(rpc("listpays", Json::object({{"payment_hash", hash.hex()}}), rune)));
    const Json& pays = member(answer, "pays");
    if (!pays.is_array()) return fail(BackendError::Unreachable);
    if (pays.empty()) return fail(BackendError::NotFound);
    // One entry for each group of attempts: the best of them is what became of it.
    bool all_failed = true;
    for (const Json& pay : pays) {
        const auto status = text_at(pay, "status").value_or("");
        if (status == "complete") return completed(hash, pay);
        all_failed = all_failed && status == "failed";
    }
    return all_failed ? failed() : pending();
}

Result<NodeStatus, BackendError> Cln::status() {
    const auto info = call(rpc("getinfo", Json::object(), options().receive_credential));
    if (!info) return fail(BackendError::Unreachable);
    if (info->is_success()) {
        const bool behind = text_at(info->json, "warning_bitcoind_sync").has_value() ||
                            text_at(info->json, "warning_lightningd_sync").has_value();
        return NodeStatus{.version = text_at(info->json, "version").value_or(""),
                          .network = network_from(text_at(info->json, "network").value_or("")),
                          .synced = !behind};
    }
    // A rune for invoices alone may not ask that.
    TRY_VOID(look(rpc("listinvoices", Json::object({{"label", "nutgate-status"}}),
                      options().receive_credential)));
    return NodeStatus{};
}

Told Cln::tell(const PaymentOrder& order, const Bolt11& invoice) {
    Json wanted{{"maxfee", order.fee_max.raw()}, {"retry_for", options().pay_time.count() / 1000}};
    if (!invoice.amount) wanted["amount_msat"] = order.amount.raw();
    Json by_xpay = wanted;
    by_xpay["invstring"] = order.bolt11;
    const auto [said, code] = tell_by("xpay", by_xpay);
    if (code != kUnknownMethod) return said;
    Json by_pay = wanted;
    by_pay["bolt11"] = order.bolt11;
    return tell_by("pay", by_pay).first;  // Of releases before 24.11.
}

std::pair<Told, std::int64_t> Cln::tell_by(std::string_view method, const Json& parameters) {
    NodeCall to_make = rpc(method, parameters, options().pay_credential);
    to_make.timeout = options().pay_time + kAfterPayTime;
    const auto answer = call(to_make);
    if (!answer || answer->is_success()) return {told(answer), 0};
    const auto code = integer_at(answer->json, "code");
    if (!code) return {Told::Unclear, 0};
    return {is_clean_no(*code) ? Told::Refused : Told::Unclear, *code};
}

NodeCall Cln::rpc(std::string_view method, const Json& parameters, const Secret& rune) const {
    NodeCall made;
    made.method = http::Method::Post;
    made.path = "/v1/" + std::string{method};
    made.headers = {{"Rune", credential(rune)}};
    made.body = dump(parameters);
    return made;
}
}  // namespace nutgate::lightning

namespace nutgate {

std::unique_ptr<LightningNode> make_cln(NodeOptions options, http::Client& client) {
    return std::make_unique<lightning::Cln>(std::move(options), client);
}

}  // namespace nutgate
