// Lightning through a mint: its quotes are our invoices, and what they bring is its ecash.
#include <map>
#include <mutex>

#include "client/backend_error.h"
#include "nutgate/cashu/mint_events.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/lightning/invoice.h"

namespace nutgate::cashu {
namespace {

struct Failed {
    Failed(store::StoreFailure) {}  // NOLINT: implicit; what failed is in the store's own log.
};

// After it few pay, and no mint should be kept busy with them: polling finds those.
constexpr Seconds kWatchPastExpiry{3600};
constexpr int kWatchedAtStartMax = 1'000;

// Which quotes are listened for, and whose invoices they are.
class Watched {
public:
    explicit Watched(std::optional<MintHints> hints) : hints_{hints} {
        if (!hints_) return;
        hints_->events.on_hint([this](const QuoteId& quote) { told(quote); });
    }
    ~Watched() {
        if (hints_) hints_->events.stop();  // It calls this.
    }
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;

    bool is_on() const { return hints_.has_value(); }
    Time now() const { return hints_->clock.now(); }
    void set_listener(std::function<void(const PaymentHash&)> hint) {
        const std::lock_guard lock{mutex_};
        hint_ = std::move(hint);
    }
    void add(const QuoteId& quote, const PaymentHash& payment, Time expires_at) {
        if (!hints_) return;
        forget_expired();
        {
            const std::lock_guard lock{mutex_};
            by_quote_.insert_or_assign(quote, payment);
            by_payment_.insert_or_assign(payment, Line{quote, expires_at + kWatchPastExpiry});
        }
        hints_->events.watch(quote);
    }
    void forget(const PaymentHash& payment) {
        if (!hints_) return;
        std::optional<QuoteId> quote;
        {
            const std::lock_guard lock{mutex_};
            const auto line = by_payment_.find(payment);
            if (line == by_payment_.end()) return;
            quote = line->second.quote;
            by_quote_.erase(*quote);
            by_payment_.erase(line);
        }
        hints_->events.forget(*quote);
    }

private:
    struct Line {
        QuoteId quote;
        Time until;
    };

    void told(const QuoteId& quote) {
        std::optional<PaymentHash> payment;
        std::function<void(const PaymentHash&)> hint;
        {
            const std::lock_guard lock{mutex_};
            const auto found = by_quote_.find(quote);
            if (found == by_quote_.end()) return;
            payment = found->second;
            hint = hint_;
        }
        if (hint) hint(*payment);
    }
    void forget_expired() {
        std::vector<PaymentHash> expired;
        {
            const std::lock_guard lock{mutex_};
            for (const auto& [payment, line] : by_payment_) {
                if (now() > line.until) expired.push_back(payment);
            }
        }
        for (const auto& payment : expired) forget(payment);
    }

    const std::optional<MintHints> hints_;
    std::mutex mutex_;
    std::function<void(const PaymentHash&)> hint_;  // Guarded by mutex_, as is all below.
    std::map<QuoteId, PaymentHash> by_quote_;
    std::map<PaymentHash, Line> by_payment_;
};

class MintLightning final : public LightningBackend {
public:
    MintLightning(Wallet& wallet, MintUrl mint, Network network, store::Database& database,
                  std::optional<MintHints> hints)
        : wallet_{wallet},
          mint_{std::move(mint)},
          network_{network},
          database_{database},
          watched_{hints} {}

    std::string name() const override { return "mint"; }
    Network network() const override { return network_; }

    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        const auto before = labelled(order.label);
        if (!before) return fail(BackendError::Unreachable);
        if (*before) return of_amount(**before, order);
        const auto quote = wallet_.request_quote(mint_, order.amount, order.memo);
        if (!quote) return fail(to_backend_error(quote.error()));
        const auto invoice = parse_bolt11(quote->bolt11);
        if (!invoice || invoice->network != network_) return fail(BackendError::Refused);
        // Nobody has seen this invoice yet. Where two asked under one label at once, or a crash
        // came in between, the one whose name is stored is the one that is shown.
        const auto stored = database_.transact([&](store::Tx& tx) -> Result<void, Failed> {
            if (order.label.empty()) return {};
            tx.execute(
                "INSERT INTO wallet_invoice (label, mint, payment_hash) VALUES ($1, $2, $3) ON "
                "CONFLICT (label) DO NOTHING",
                order.label, mint_.text(), invoice->payment_hash);
            return {};
        });
        if (!stored) return fail(BackendError::Unreachable);
        const auto kept = labelled(order.label);
        if (!kept) return fail(BackendError::Unreachable);
        if (*kept && (**kept).hash != invoice->payment_hash) return of_amount(**kept, order);
        watched_.add(quote->id, invoice->payment_hash, quote->expires_at);
        return Invoice{.hash = invoice->payment_hash,
                       .bolt11 = quote->bolt11,
                       .expires_at = quote->expires_at};
    }

    Result<Payment, BackendError> incoming(const PaymentHash& hash) override {
        const auto known = database_.read([&](store::Reader& reader) -> Result<bool, Failed> {
            return reader
                .query_one("SELECT lock_index FROM wallet_quote WHERE payment_hash = $1", hash)
                .has_value();
        });
        if (!known) return fail(BackendError::Unreachable);
        if (!*known) return fail(BackendError::NotFound);
        const auto payment = wallet_.settle_quote(hash);
        if (payment) {
            if (payment->state != PaymentState::Pending) watched_.forget(hash);
            return *payment;
        }
        // A quote of ours that the mint does not know (any more) may be known to it tomorrow: it is
        // nobody else's payment.
        const auto error = to_backend_error(payment.error());
        if (error == BackendError::Refused) return Payment{};
        return fail(error);
    }

    // Paying through a mint means melting, which this backend does not do: certainly not paid.
    Result<Payment, BackendError> pay(const PaymentOrder&) override {
        return fail(BackendError::Refused);
    }
    Result<Payment, BackendError> outgoing(const PaymentHash&) override {
        return fail(BackendError::NotFound);
    }
    Result<nutgate::Msat, BackendError> estimate_fee(const Bolt11&, nutgate::Msat) override {
        return fail(BackendError::Refused);
    }

    // Where nothing is pushed, who waits for a quote asks.
    void on_change(std::function<void(const PaymentHash&)> hint) override {
        watched_.set_listener(std::move(hint));
        if (watched_.is_on()) watch_open_quotes();
    }

private:
    // Those of the process before. If they can't be read they are polled for, as ever.
    void watch_open_quotes() {
        struct Line {
            std::string quote;
            PaymentHash payment;
            Time expires_at;
        };
        const auto lines =
            database_.read([&](store::Reader& reader) -> Result<std::vector<Line>, Failed> {
                std::vector<Line> found;
                for (const auto& row : reader.query(
                         "SELECT quote, payment_hash, expires_at FROM wallet_quote WHERE state = 2 "
                         "AND mint = $1 AND expires_at >= $2 ORDER BY created_at DESC LIMIT $3",
                         mint_.text(), watched_.now() - kWatchPastExpiry, kWatchedAtStartMax)) {
                    found.push_back({row.text(0), row.id<PaymentHash>(1), row.time(2)});
                }
                return found;
            });
        if (!lines) return;
        for (const auto& line : *lines) {
            const auto quote = QuoteId::parse(line.quote);
            if (quote) watched_.add(*quote, line.payment, line.expires_at);
        }
    }

    // One label names one order.
    static Result<Invoice, BackendError> of_amount(const Invoice& invoice,
                                                   const InvoiceOrder& order) {
        const auto parsed = parse_bolt11(invoice.bolt11);
        if (!parsed || parsed->amount != order.amount) return fail(BackendError::Refused);
        return invoice;
    }

    // What was stored under that label, if anything was.
    Result<std::optional<Invoice>, Failed> labelled(const std::string& label) {
        return database_.read([&](store::Reader& reader) -> Result<std::optional<Invoice>, Failed> {
            const auto row = reader.query_one(
                "SELECT q.payment_hash, q.bolt11, q.expires_at FROM wallet_invoice i JOIN "
                "wallet_quote q ON q.payment_hash = i.payment_hash WHERE i.label = $1 AND i.mint = "
                "$2",
                label, mint_.text());
            if (!row) return std::optional<Invoice>{};
            return std::optional{Invoice{.hash = row->id<PaymentHash>(0),
                                         .bolt11 = row->text(1),
                                         .expires_at = row->time(2)}};
        });
    }

    Wallet& wallet_;
    const MintUrl mint_;
    const Network network_;
    store::Database& database_;
    Watched watched_;
};

}  // namespace

std::unique_ptr<LightningBackend> make_mint_lightning(Wallet& wallet, MintUrl mint, Network network,
                                                      store::Database& database,
                                                      std::optional<MintHints> hints) {
    return std::make_unique<MintLightning>(wallet, std::move(mint), network, database, hints);
}

}  // namespace nutgate::cashu
