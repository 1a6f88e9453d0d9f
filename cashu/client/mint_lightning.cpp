// Lightning through a mint: its quotes are our invoices, and what they bring is its ecash.
#include "nutgate/cashu/wallet.h"
#include "nutgate/lightning/invoice.h"

namespace nutgate::cashu {
namespace {

BackendError error_of(const WalletError& error) {
    using enum WalletError::Code;
    switch (error.code) {
        case MintUnreachable:
        case MintRateLimited:
        case StoreUnavailable:
        case InProgress:
            return BackendError::Unreachable;
        case TokenMalformed:
        case TokenZeroValue:
        case TokenSpent:
        case TokenPending:
        case MintForeign:
        case UnitForeign:
        case KeysetUnknown:
        case ProofInvalid:
        case LockedToOther:
        case FeeExceedsAmount:
        case InsufficientFunds:
        case ExposureExceeded:
        case AmountOverflow:
        case InvoiceInvalid:
        case PaymentFailed:
        case MintRefused:
            return BackendError::Refused;
    }
    VERIFY(false);
    return BackendError::Refused;
}

struct Failed {
    Failed(store::StoreFailure) {}  // NOLINT: implicit; what failed is in the store's own log.
};

class MintLightning final : public LightningBackend {
public:
    MintLightning(Wallet& wallet, MintUrl mint, Network network, store::Database& database)
        : wallet_{wallet}, mint_{std::move(mint)}, network_{network}, database_{database} {}

    std::string name() const override { return "mint"; }
    Network network() const override { return network_; }

    Result<Invoice, BackendError> create_invoice(const InvoiceOrder& order) override {
        const auto before = labelled(order.label);
        if (!before) return fail(BackendError::Unreachable);
        if (*before) return of_amount(**before, order);
        const auto quote = wallet_.request_quote(mint_, order.amount, order.memo);
        if (!quote) return fail(error_of(quote.error()));
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
        if (*kept) return of_amount(**kept, order);
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
        if (payment) return *payment;
        // A quote of ours that the mint does not know (any more) may be known to it tomorrow.
        const auto error = error_of(payment.error());
        return fail(error == BackendError::Refused ? BackendError::NotFound : error);
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

    // Quotes push nothing: who waits for one asks.
    void on_change(std::function<void(const PaymentHash&)>) override {}

private:
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
};

}  // namespace

std::unique_ptr<LightningBackend> make_mint_lightning(Wallet& wallet, MintUrl mint, Network network,
                                                      store::Database& database) {
    return std::make_unique<MintLightning>(wallet, std::move(mint), network, database);
}

}  // namespace nutgate::cashu
