// Nostr Wallet Connect: a wallet by an address for receiving and, to pay, one for that, which may
// be the same.
//
// Certainly not paid: a look-up that says so, or one of the errors that NIP-47 gives to what was
// not attempted, and the service knows of no such payment. PAYMENT_FAILED may be a time-out of the
// service's; that, INTERNAL, OTHER and silence prove nothing.
#include "nutgate/lightning/nwc.h"

#include <array>
#include <set>
#include <utility>

#include "hint_queue.h"
#include "invoice_book.h"
#include "node_backend.h"
#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nwc_link.h"
#include "pay_once.h"
#include "told_book.h"
#include "utf8.h"

namespace nutgate::lightning {
namespace {

constexpr std::size_t kMemoBytesMax = 639;
constexpr std::size_t kNameBytesMax = 64;

BackendError out_of_reach(const store::StoreFailure& failure) {
    log::warn("lightning_store", {{"backend", "nwc"}, {"detail", failure.detail}});
    return BackendError::Unreachable;
}

// A stranger's text, for a person's terminal.
std::string shown_name(std::string name) {
    std::erase_if(name, [](unsigned char c) { return c < ' ' || c == 0x7f; });
    return cut_utf8(name, kNameBytesMax);
}

// What a look-up shows of a payment.
struct Shown {
    enum class Way { In, Out };
    std::optional<Way> way;
    PaymentState state = PaymentState::Pending;
    std::optional<Msat> amount;
    Msat fee;
    std::optional<ByteArray<32>> preimage;
};

Shown read_shown(const Json& json) {
    Shown shown;
    const auto type = text_at(json, "type").value_or("");
    if (type == "incoming") shown.way = Shown::Way::In;
    if (type == "outgoing") shown.way = Shown::Way::Out;
    shown.amount = msat_at(json, "amount");
    shown.fee = msat_at(json, "fees_paid").value_or(Msat{});
    shown.preimage = bytes32_at(json, "preimage");
    const auto state = text_at(json, "state").value_or("");
    // Services of before 2025 have no states: settled is what has a time of that and a preimage.
    const bool is_settled =
        state == "settled" || (state.empty() && integer_at(json, "settled_at").value_or(0) > 0);
    if (is_settled && shown.preimage) shown.state = PaymentState::Settled;
    if (state == "failed") shown.state = PaymentState::Failed;
    return shown;
}

Told told(const Result<Json, NwcError>& answer) {
    if (answer) return Told::Unclear;
    if (answer.error() == NwcError::NotSent) return Told::NotSent;
    return is_certain_refusal(answer.error()) ? Told::Refused : Told::Unclear;
}

class Nwc final : public LightningNode {
public:
    Nwc(NodeOptions options, const NwcOptions& nwc, const NwcUri& receive, const NwcUri* pay,
        store::Database& database, const Clock& clock, crypto::Random& random);
    ~Nwc() override { Nwc::end_hints(); }

    std::string name() const override { return "nwc"; }
    Network network() const override { return options_.network; }
    bool pays() const override { return pay_ != nullptr; }

    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        return invoice_once(book_, order, [&] { return make(order); });
    }
    Result<Payment, BackendError> incoming(const PaymentHash& hash) override;
    Result<Payment, BackendError> pay(const PaymentOrder& order) override;
    Result<Payment, BackendError> outgoing(const PaymentHash& hash) override;
    Result<Msat, BackendError> estimate_fee(const Bolt11&, Msat amount) override {
        return fee_reserve(amount, options_.fee_base, options_.fee_ppm);
    }
    void on_change(std::function<void(const PaymentHash&)> hint) override {
        hints_.set(std::move(hint));
    }
    Result<NodeStatus, BackendError> status() override;
    void end_hints() override;

private:
    Result<BookedInvoice, BackendError> make(const InvoiceOrder& order);
    Result<Shown, BackendError> look(NwcLink& link, const PaymentHash& hash);
    Result<Payment, BackendError> pay_alone(const PaymentOrder& order, const Bolt11& invoice);
    // Why nobody is to be told of it; empty: nothing is against it.
    Result<std::string_view, BackendError> objection(const PaymentOrder& order,
                                                     const Bolt11& invoice);
    Told tell(const PaymentOrder& order, const Bolt11& invoice,
              const std::optional<Time>& told_before);
    NwcLink& payer() { return pay_ != nullptr ? *pay_ : *receive_; }

    const NodeOptions options_;
    const Seconds grace_;
    const Clock& clock_;
    InvoiceBook book_;
    ToldBook told_;
    Mutex mutex_;
    std::set<PaymentHash> paying_ GUARDED_BY(mutex_);  // By a call that has not returned.
    HintQueue hints_{"watch-nwc"};
    std::unique_ptr<NwcLink> receive_;
    std::unique_ptr<NwcLink> own_pay_;  // Null where one address is for both.
    NwcLink* const pay_;                // Null: it pays nothing.
};

Nwc::Nwc(NodeOptions options, const NwcOptions& nwc, const NwcUri& receive, const NwcUri* pay,
         store::Database& database, const Clock& clock, crypto::Random& random)
    : options_{std::move(options)},
      grace_{nwc.grace},
      clock_{clock},
      book_{database, "nwc"},
      told_{database, "nwc"},
      receive_{std::make_unique<NwcLink>("nwc", receive, nwc, *VERIFY_PTR(options_.pushes), clock,
                                         random,
                                         [this](const PaymentHash& hash) { hints_.push(hash); })},
      own_pay_{
          pay == nullptr || equal_in_constant_time(pay->secret.reveal(), receive.secret.reveal())
              ? nullptr
              : std::make_unique<NwcLink>("nwc", *pay, nwc, *options_.pushes, clock, random,
                                          [this](const PaymentHash& hash) { hints_.push(hash); })},
      pay_{pay == nullptr ? nullptr
           : own_pay_     ? own_pay_.get()
                          : receive_.get()} {}

void Nwc::end_hints() {
    // A hint may be waiting for an answer.
    receive_->cease();
    if (own_pay_) own_pay_->cease();
    hints_.stop();
}

Result<NodeStatus, BackendError> Nwc::status() {
    const auto profile = receive_->profile(options_.timeout);
    if (!profile) return fail(BackendError::Unreachable);
    // The weakest that shows that the wallet itself is there.
    constexpr std::array kQuestions{"get_info", "get_balance"};
    for (const char* method : kQuestions) {
        if (!profile->has(method)) continue;
        const auto info = receive_->call(
            {.method = method, .params = Json::object(), .timeout = options_.timeout});
        if (!info) return fail(BackendError::Unreachable);
        return NodeStatus{.version = shown_name(text_at(*info, "alias").value_or("")),
                          .network = network_from(text_at(*info, "network").value_or("")),
                          .synced = true};
    }
    return NodeStatus{};
}

Result<BookedInvoice, BackendError> Nwc::make(const InvoiceOrder& order) {
    const auto made =
        receive_->call({.method = "make_invoice",
                        .params = {{"amount", order.amount.raw()},
                                   {"description", cut_utf8(order.memo, kMemoBytesMax)},
                                   {"expiry", order.expiry.count()}},
                        .timeout = options_.timeout});
    if (!made) {
        const bool said_no =
            is_certain_refusal(made.error()) && made.error() != NwcError::RateLimited;
        return fail(said_no ? BackendError::Refused : BackendError::Unreachable);
    }
    const auto text = text_at(*made, "invoice");
    if (!text) return fail(BackendError::Unreachable);
    std::optional<PaymentHash> hash;  // Which a service may leave out: the invoice has it.
    if (const auto told = bytes32_at(*made, "payment_hash")) hash = PaymentHash{*told};
    TRY(auto invoice, checked_invoice(name(), *text, options_.network, order.amount, hash));
    return BookedInvoice{.invoice = std::move(invoice), .amount = order.amount, .backend = name()};
}

Result<Shown, BackendError> Nwc::look(NwcLink& link, const PaymentHash& hash) {
    const auto found = link.call({.method = "lookup_invoice",
                                  .params = {{"payment_hash", hash.hex()}},
                                  .timeout = options_.timeout});
    if (!found) {
        const bool is_unknown = found.error() == NwcError::NotFound;
        return fail(is_unknown ? BackendError::NotFound : BackendError::Unreachable);
    }
    // A payment of another hash is no answer.
    const auto shown = bytes32_at(*found, "payment_hash");
    if (shown && PaymentHash{*shown} != hash) return fail(BackendError::Unreachable);
    return read_shown(*found);
}

Result<Payment, BackendError> Nwc::incoming(const PaymentHash& hash) {
    TRY(const Shown shown, look(*receive_, hash));
    if (shown.way == Shown::Way::Out) return fail(BackendError::NotFound);
    if (shown.state != PaymentState::Settled) return pending();
    if (!shown.way || !shown.amount) return fail(BackendError::Unreachable);
    return settled(hash, *shown.amount, Msat{}, shown.preimage);
}

Result<Payment, BackendError> Nwc::outgoing(const PaymentHash& hash) {
    const auto shown = look(payer(), hash);
    if (shown && shown->way != Shown::Way::In) {
        if (shown->state == PaymentState::Pending) return pending();
        if (!shown->way || !shown->amount) return fail(BackendError::Unreachable);
        if (shown->state == PaymentState::Failed) return failed();
        return settled(hash, *shown->amount, shown->fee, shown->preimage);
    }
    // Of one hash there may be the other half: of a payment within this wallet.
    if (!shown && shown.error() != BackendError::NotFound) return fail(shown.error());
    const auto until = told_.until(hash);
    if (!until) return fail(out_of_reach(until.error()));
    // It was told, and may be on its way to where it is known.
    if (*until && clock_.now() < **until) return pending();
    return fail(BackendError::NotFound);
}

Result<Payment, BackendError> Nwc::pay(const PaymentOrder& order) {
    const auto invoice = fitting_invoice(order, options_.network);
    if (!invoice || !pays()) return fail(BackendError::Refused);
    {
        // Of two calls at once each could find that nobody was told.
        const Lock lock{mutex_};
        if (!paying_.insert(order.hash).second) return pending();
    }
    auto paid = pay_alone(order, *invoice);
    const Lock lock{mutex_};
    paying_.erase(order.hash);
    return paid;
}

Result<Payment, BackendError> Nwc::pay_alone(const PaymentOrder& order, const Bolt11& invoice) {
    const auto before = told_.until(order.hash);
    if (!before) return fail(out_of_reach(before.error()));
    bool has_objection = false;
    const auto paid = pay_once([&] { return outgoing(order.hash); },
                               [&] {
                                   const auto why = objection(order, invoice);
                                   if (!why) return Told::NotSent;
                                   has_objection = !why->empty();
                                   if (has_objection) {
                                       log::info("nwc_not_told", {{"why", *why}});
                                       return Told::Refused;
                                   }
                                   return tell(order, invoice, *before);
                               });
    // Our own no, or that nobody is there, says nothing of what was told before.
    const bool is_of_now = !paid && (has_objection || paid.error() == BackendError::Unreachable);
    if (*before && is_of_now) return pending();
    return paid;
}

Result<std::string_view, BackendError> Nwc::objection(const PaymentOrder& order,
                                                      const Bolt11& invoice) {
    const auto fee = fee_reserve(order.amount, options_.fee_base, options_.fee_ppm);
    if (!fee || *fee > order.fee_max) return std::string_view{"its fee may be more than it may be"};
    if (invoice.expires_at() <= clock_.now()) return std::string_view{"the invoice has expired"};
    const auto ours = book_.find(order.hash);
    if (!ours) return fail(out_of_reach(ours.error()));
    const auto shown = look(*pay_, order.hash);
    // A payment from this wallet to itself would have two halves under one hash, and a look-up
    // shows one of them.
    if (*ours || (shown && shown->way == Shown::Way::In)) {
        return std::string_view{"it is an invoice of this wallet"};
    }
    if (!shown && shown.error() != BackendError::NotFound) return fail(shown.error());
    const auto profile = pay_->profile(options_.timeout);
    if (!profile) return fail(BackendError::Unreachable);
    if (!profile->has("pay_invoice") || !profile->has("lookup_invoice")) {
        return std::string_view{"the service does not pay, or can't say what became of it"};
    }
    return std::string_view{};
}

Told Nwc::tell(const PaymentOrder& order, const Bolt11& invoice,
               const std::optional<Time>& told_before) {
    const Time until = clock_.now() + options_.pay_time + grace_;
    if (const auto noted = told_.note(order.hash, until); !noted) {
        (void)out_of_reach(noted.error());
        return Told::NotSent;
    }
    Json params{{"invoice", order.bolt11}};
    if (!invoice.amount) params["amount"] = order.amount.raw();
    const auto said = told(pay_->call({.method = "pay_invoice",
                                       .params = std::move(params),
                                       .repeat = Repeat::No,
                                       .timeout = options_.pay_time}));
    if (said == Told::Unclear) return said;
    // It was told of nothing now. Should this fail, it is held to be less certain than it is.
    const auto undone =
        told_before ? told_.note(order.hash, *told_before) : told_.forget(order.hash);
    if (!undone) (void)out_of_reach(undone.error());
    return said;
}

}  // namespace
}  // namespace nutgate::lightning

namespace nutgate {

std::unique_ptr<LightningNode> make_nwc(NodeOptions options, NwcOptions nwc,
                                        store::Database& database, const Clock& clock,
                                        crypto::Random& random) {
    const auto receive = parse_nwc_uri(as_text(options.receive_credential.reveal()));
    const auto pay = options.pay_credential.empty()
                         ? std::nullopt
                         : std::optional{parse_nwc_uri(as_text(options.pay_credential.reveal()))};
    if (!receive || (pay && !*pay)) return nullptr;
    const NwcUri* const payer = pay ? &**pay : nullptr;
    return std::make_unique<lightning::Nwc>(std::move(options), nwc, *receive, payer, database,
                                            clock, random);
}

}  // namespace nutgate
