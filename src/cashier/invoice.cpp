// Lightning in. An invoice is a row before its backend is asked for one, and is watched by its
// payment hash until long after it expired: late money is somebody's money.
#include "nutgate/lightning/invoice.h"

#include <algorithm>
#include <string>
#include <utility>

#include "error_name.h"
#include "impl.h"
#include "nutgate/base/log.h"
#include "nutgate/crypto/hash.h"

namespace nutgate {
namespace {

using Code = CashierError::Code;
using payment::Funds;
using payment::PaymentMethod;
using payment::Phase;
using store::Reader;
using store::Row;
using store::Tx;

constexpr std::size_t kInvoiceIdBytes = 16;
constexpr std::size_t kInvoiceIdTextMax = 64;
constexpr std::size_t kBolt11BytesMax = 8192;
constexpr int kAskedPerRound = 100;
// After so many questions that nobody answered, each of which may have waited for a time-out, a
// round ends: it stands between a start and the first request, and before the mint's own watcher.
constexpr int kUnansweredMax = 2;
constexpr Time kNever = from_unix_milliseconds(INT64_MAX);

// The younger an invoice, the likelier it is being paid right now.
Seconds pause_after(Seconds age) {
    if (age < Seconds{60}) return Seconds{10};
    if (age < Seconds{300}) return Seconds{30};
    if (age < Seconds{1800}) return Seconds{120};
    return Seconds{600};
}

StoredInvoice to_invoice(const Row& row) {
    return {.lookup = row.id<InvoiceLookup>(0),
            .purpose = static_cast<InvoicePurpose>(row.integer(1)),
            .key = row.id<KeyId>(2),
            .amount = row.msat(3),
            .state = static_cast<InvoiceState>(row.integer(4)),
            .payment = row.is_null(5) ? std::nullopt : std::optional{row.id<PaymentHash>(5)},
            .credited = row.msat(6),
            .created_at = row.time(7),
            .expires_at = row.time(8),
            .paid_at = row.is_null(9) ? std::nullopt : std::optional{row.time(9)},
            .cancelled = !row.is_null(10)};
}

std::string select(std::string_view where) {
    return "SELECT lookup, purpose, key, amount, state, payment_hash, credited, created_at, "
           "expires_at, paid_at, cancelled_at FROM invoice " +
           std::string{where};
}

bool is_waiting(InvoiceState state) {
    return state == InvoiceState::Pending || state == InvoiceState::SettlementPending;
}

}  // namespace

std::string_view to_text(InvoiceState state) {
    switch (state) {
        case InvoiceState::Opening:
        case InvoiceState::Pending:
            return "pending";
        case InvoiceState::SettlementPending:
            return "settlement_pending";
        case InvoiceState::Paid:
            return "paid";
        case InvoiceState::Expired:
            return "expired";
        case InvoiceState::Cancelled:
            return "cancelled";
    }
    VERIFY(false);
    return "";
}

InvoiceLookup Cashier::Impl::lookup_of(std::string_view invoice_id) const {
    return InvoiceLookup{crypto::hmac_sha256(lookup_secret.reveal(), {as_bytes(invoice_id)})};
}

Result<std::optional<StoredInvoice>, CashierError> Cashier::Impl::find_invoice(
    const InvoiceLookup& lookup) {
    return database.read([&](Reader& reader) -> Result<std::optional<StoredInvoice>, CashierError> {
        const auto row = reader.query_one(select("WHERE lookup = $1"), lookup);
        return row ? std::optional{to_invoice(*row)} : std::nullopt;
    });
}

Result<std::optional<StoredInvoice>, CashierError> Cashier::Impl::find_invoice(
    const PaymentHash& payment) {
    return database.read([&](Reader& reader) -> Result<std::optional<StoredInvoice>, CashierError> {
        const auto row = reader.query_one(select("WHERE payment_hash = $1"), payment);
        return row ? std::optional{to_invoice(*row)} : std::nullopt;
    });
}

Result<void, CashierError> Cashier::Impl::store_opening(const InvoiceRequest& request,
                                                        const KeyId& key,
                                                        const InvoiceLookup& lookup,
                                                        std::string_view label) {
    return database.transact([&](Tx& tx) -> Result<void, CashierError> {
        if (count_open(tx) >= options.invoices_open_max) {
            return fail(make_error(Code::TooManyInvoices));
        }
        tx.execute(
            "INSERT INTO invoice (lookup, label, purpose, key, balance_limit, limit_reset, "
            "valid_until, amount, state, created_at, expires_at, next_ask_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            lookup, label, stored(request.purpose), key, request.limits.balance_limit,
            stored(request.limits.reset), request.limits.valid_until, to_msat(request.amount),
            stored(InvoiceState::Opening), clock.now(), clock.now() + options.invoice_expiry,
            kNever);
        return {};
    });
}

Result<void, CashierError> Cashier::Impl::store_opened(const InvoiceLookup& lookup,
                                                       const payment::Presentation& invoice,
                                                       const PaymentHash& payment) {
    return database.transact([&](Tx& tx) -> Result<void, CashierError> {
        tx.execute(
            "UPDATE invoice SET state = $2, bolt11 = $3, payment_hash = $4, expires_at = $5, "
            "next_ask_at = $6 WHERE lookup = $1",
            lookup, stored(InvoiceState::Pending), std::string_view{invoice.text}, payment,
            invoice.expires_at, clock.now() + pause_after(Seconds{0}));
        // It can have been paid, and even issued, before we knew what to look for.
        TRY_VOID(books.claim(tx, payment));
        return {};
    });
}

void Cashier::Impl::cancel(const InvoiceLookup& lookup) {
    // Nobody has seen it, so it does not matter if this is not stored: it is forgotten later.
    const auto done = database.transact([&](Tx& tx) -> Result<void, CashierError> {
        tx.execute("UPDATE invoice SET state = $2 WHERE lookup = $1 AND state = $3", lookup,
                   stored(InvoiceState::Cancelled), stored(InvoiceState::Opening));
        return {};
    });
    if (!done) log::warn("cashier.invoice_not_cancelled", {{"why", done.error().detail}});
}

Result<OpenInvoice, CashierError> Cashier::open_invoice(const InvoiceRequest& request) {
    Impl& my = *impl_;
    PaymentMethod* const lightning = my.methods.find(kMethodLightning);
    if (lightning == nullptr) return fail(make_error(Code::LightningOff));
    if (request.amount < *Sat::from_raw(1) || request.amount > my.options.invoice_amount_max) {
        return fail(make_error(Code::AmountOutOfRange));
    }
    const std::string id = to_base64url(my.random.bytes<kInvoiceIdBytes>());
    KeyId key = my.keyring.id_of_invoice(id);
    if (request.purpose == InvoicePurpose::TopUp) {
        if (!request.key) return fail(make_error(Code::KeyUnknown));
        TRY(key, my.database.read([&](Reader& reader) -> Result<KeyId, CashierError> {
            return my.payee(reader, *request.key);
        }));
    } else {
        TRY_VOID(my.check_limits(request.limits));
    }
    const InvoiceLookup lookup = my.lookup_of(id);
    // The label travels to the backend, so it must not be what gives the key: it is half the HMAC.
    const std::string label = "nutgate-" + lookup.hex().substr(0, 32);
    TRY_VOID(my.store_opening(request, key, lookup, label));

    const auto opened = lightning->open({.label = label,
                                         .amount = to_msat(request.amount),
                                         .memo = my.options.memo,
                                         .expiry = my.options.invoice_expiry});
    const auto payment = opened ? PaymentHash::parse(opened->reference) : std::nullopt;
    if (!payment) {
        my.cancel(lookup);
        return fail(opened ? make_error(Code::LightningRefused)
                           : error_of(opened.error(), Code::LightningOff));
    }
    TRY_VOID(my.store_opened(lookup, *opened, *payment));
    return OpenInvoice{.invoice_id = id,
                       .bolt11 = opened->text,
                       .amount = request.amount,
                       .expires_at = opened->expires_at,
                       .payment_hash = *payment};
}

Result<bool, CashierError> Cashier::Impl::may_ask(const StoredInvoice& invoice) {
    return database.transact([&](Tx& tx) -> Result<bool, CashierError> {
        const auto now = clock.now();
        return tx.execute("UPDATE invoice SET asked_at = $2 WHERE lookup = $1 AND asked_at <= $3",
                          invoice.lookup, now, now - options.ask_interval) == 1;
    });
}

Result<bool, CashierError> Cashier::Impl::ask(const StoredInvoice& invoice) {
    PaymentMethod* const lightning = methods.find(kMethodLightning);
    if (lightning == nullptr || !invoice.payment) return fail(make_error(Code::LightningOff));
    const auto seen = lightning->poll(invoice.payment->hex());
    if (!seen) return fail(error_of(seen.error(), Code::LightningOff));
    switch (seen->phase) {
        case Phase::Pending:
        case Phase::Failed:  // An invoice that the backend gave up expires by its time.
            return false;
        case Phase::Settled:
            break;
    }
    if (seen->amount == Msat{}) return fail(make_error(Code::LightningRefused, "paid with zero"));
    if (seen->funds == Funds::AtMethod) {
        const auto booked = database.transact([&](Tx& tx) -> Result<Applied, CashierError> {
            TRY(const auto applied,
                books.settle(tx, *invoice.payment, lightning_account(seen->holder), seen->amount));
            return applied;
        });
        if (!booked) return fail(booked.error());
        invoices_paid.add();
        spending.credited(invoice.key);
        tell_invoice(invoice.lookup);
        return true;
    }
    // The Settler was told in the wallet's transaction, so the row is paid by now; were it not, it
    // is money that is on its way, which is what we say.
    TRY(const auto row, find_invoice(invoice.lookup));
    if (row && row->state == InvoiceState::Paid) {
        invoices_paid.add();
        spending.credited(invoice.key);
        tell_invoice(invoice.lookup);
        return true;
    }
    TRY_VOID(database.transact([&](Tx& tx) -> Result<void, CashierError> {
        tx.execute("UPDATE invoice SET state = $2 WHERE lookup = $1 AND state = $3", invoice.lookup,
                   stored(InvoiceState::SettlementPending), stored(InvoiceState::Pending));
        return {};
    }));
    return false;
}

Result<InvoiceStatus, CashierError> Cashier::Impl::status_of(StoredInvoice invoice,
                                                             bool may_have_key) {
    if (is_waiting(invoice.state)) {
        TRY(const bool asking, may_ask(invoice));
        if (asking) {
            if (const auto asked = ask(invoice); !asked) {
                // What is stored is an answer, too. The watcher goes on asking.
                log::warn("cashier.invoice_not_asked",
                          {{"payment", invoice.payment->hex()}, {"why", asked.error().detail}});
            }
        }
        TRY(const auto now, find_invoice(invoice.lookup));
        VERIFY(now.has_value());
        invoice = *now;
    }
    return shown(std::move(invoice), may_have_key);
}

InvoiceStatus Cashier::Impl::shown(StoredInvoice invoice, bool may_have_key) const {
    const bool paid = invoice.state == InvoiceState::Paid;
    if (invoice.state == InvoiceState::Pending && invoice.cancelled) {
        invoice.state = InvoiceState::Cancelled;
    }
    if (invoice.state == InvoiceState::Pending && invoice.expires_at <= clock.now()) {
        invoice.state = InvoiceState::Expired;
    }
    const bool gives_key = paid && may_have_key && invoice.purpose == InvoicePurpose::Create;
    return InvoiceStatus{.state = invoice.state,
                         .purpose = invoice.purpose,
                         .key = gives_key ? std::optional{invoice.key} : std::nullopt,
                         .amount = to_sat_floor(invoice.amount),
                         .credited = invoice.credited,
                         .paid_at = invoice.paid_at,
                         .created_at = invoice.created_at,
                         .expires_at = invoice.expires_at};
}

Result<InvoiceStatus, CashierError> Cashier::invoice_status(std::string_view invoice_id) {
    if (invoice_id.size() > kInvoiceIdTextMax) return fail(make_error(Code::InvoiceUnknown));
    TRY(const auto invoice, impl_->find_invoice(impl_->lookup_of(invoice_id)));
    if (!invoice) return fail(make_error(Code::InvoiceUnknown));
    return impl_->status_of(*invoice, true);
}

void Cashier::Impl::tell_invoice(const InvoiceLookup& lookup) const {
    if (invoice_told) invoice_told(lookup.hex());
}

void Cashier::on_invoice(std::function<void(const std::string& topic)> told) {
    impl_->invoice_told = std::move(told);
}

std::string Cashier::invoice_topic(std::string_view invoice_id) const {
    return impl_->lookup_of(invoice_id.substr(0, kInvoiceIdTextMax)).hex();
}

Result<InvoiceStatus, CashierError> Cashier::invoice_seen(std::string_view invoice_id) {
    if (invoice_id.size() > kInvoiceIdTextMax) return fail(make_error(Code::InvoiceUnknown));
    TRY(const auto invoice, impl_->find_invoice(impl_->lookup_of(invoice_id)));
    if (!invoice) return fail(make_error(Code::InvoiceUnknown));
    return impl_->shown(*invoice, true);
}

// It ends at this moment, and is watched from there as one that has expired.
Result<InvoiceStatus, CashierError> Cashier::cancel_invoice(std::string_view invoice_id) {
    TRY(const auto status, invoice_status(invoice_id));
    if (status.state != InvoiceState::Pending) return status;
    const auto lookup = impl_->lookup_of(invoice_id);
    TRY_VOID(impl_->database.transact([&](Tx& tx) -> Result<void, CashierError> {
        tx.execute(
            "UPDATE invoice SET cancelled_at = $2, expires_at = $2 WHERE lookup = $1 AND "
            "state = $3",
            lookup, impl_->clock.now(), stored(InvoiceState::Pending));
        return {};
    }));
    impl_->tell_invoice(lookup);
    return invoice_seen(invoice_id);
}

Result<InvoiceStatus, CashierError> Cashier::recover_invoice(
    std::string_view bolt11, const std::optional<Preimage>& preimage) {
    if (bolt11.size() > kBolt11BytesMax) return fail(make_error(Code::InvoiceMalformed));
    const auto parsed = parse_bolt11(bolt11);
    if (!parsed) return fail(make_error(Code::InvoiceMalformed));
    TRY(const auto invoice, impl_->find_invoice(parsed->payment_hash));
    if (!invoice) return fail(make_error(Code::InvoiceUnknown));
    const bool proven =
        preimage && PaymentHash{crypto::sha256(preimage->bytes())} == parsed->payment_hash;
    return impl_->status_of(*invoice, proven);
}

Result<int, CashierError> Cashier::settle_invoices() {
    Impl& my = *impl_;
    const auto now = my.clock.now();
    // Taking the turn is the claim: two watchers at once do not ask about the same invoice.
    TRY(const auto due,
        my.database.transact([&](Tx& tx) -> Result<std::vector<StoredInvoice>, CashierError> {
            std::vector<StoredInvoice> invoices;
            for (const Row& row :
                 tx.query(select("WHERE state IN ($1, $2) AND next_ask_at <= $3 "
                                 "ORDER BY next_ask_at LIMIT $4"),
                          stored(InvoiceState::Pending), stored(InvoiceState::SettlementPending),
                          now, kAskedPerRound)) {
                invoices.push_back(to_invoice(row));
            }
            for (const StoredInvoice& invoice : invoices) {
                const auto age = std::chrono::duration_cast<Seconds>(now - invoice.created_at);
                const bool over = invoice.state == InvoiceState::Pending &&
                                  now > invoice.expires_at + my.options.invoice_grace;
                tx.execute("UPDATE invoice SET next_ask_at = $2 WHERE lookup = $1", invoice.lookup,
                           over ? kNever : now + pause_after(age));
            }
            return invoices;
        }));
    int paid = 0;
    int unanswered = 0;
    for (const StoredInvoice& invoice : due) {
        const auto asked = my.ask(invoice);
        if (asked && *asked) ++paid;
        if (asked || asked.error().code != Code::LightningUnreachable) continue;
        if (++unanswered >= kUnansweredMax) break;
    }
    return paid;
}

void Cashier::hint(const PaymentHash& payment) {
    const auto invoice = impl_->find_invoice(payment);
    if (invoice && !*invoice) {
        // None of our invoices: an offer's, perhaps.
        if (const auto asked = impl_->settle_holders(); !asked) {
            log::info("cashier.hint_not_asked", {{"why", asked.error().detail}});
        }
        return;
    }
    if (!invoice || !is_waiting((*invoice)->state)) return;
    // If it can't be asked now, its turn comes anyway.
    if (const auto asked = impl_->ask(**invoice); !asked) {
        log::info("cashier.hint_not_asked", {{"why", asked.error().detail}});
    }
}

}  // namespace nutgate
