#include "invoice_book.h"

#include <functional>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/lightning/node.h"
#include "nutgate/store/migration.h"

namespace nutgate {
namespace {

// `owner` is empty where several backends share one book. Of a payment: through whom it is made,
// written before they are told of it; where the node itself keeps no order in that, until when it
// may begin.
constexpr store::Migration kMigrations[] = {{1, R"(CREATE TABLE lightning_invoice (
    owner TEXT NOT NULL,
    label TEXT NOT NULL,
    backend TEXT NOT NULL,
    payment_hash BLOB NOT NULL,
    bolt11 TEXT NOT NULL,
    amount BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (owner, label)
);
CREATE INDEX lightning_invoice_hash ON lightning_invoice (owner, payment_hash);
CREATE TABLE lightning_payment (
    payment_hash BLOB PRIMARY KEY,
    backend TEXT NOT NULL
))"},
                                            {2, R"(CREATE TABLE lightning_told (
    owner TEXT NOT NULL,
    payment_hash BLOB NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (owner, payment_hash)
))"}};

}  // namespace

Result<void, store::StoreFailure> migrate_lightning(store::Database& database) {
    return store::migrate(database, "lightning", kMigrations);
}

namespace lightning {
namespace {

using store::Reader;
using store::Row;
using store::StoreFailure;
using Found = std::optional<BookedInvoice>;

// Columns: payment_hash, bolt11, expires_at, amount, backend.
BookedInvoice booked(const Row& row) {
    return {.invoice = {.hash = row.id<PaymentHash>(0),
                        .bolt11 = row.text(1),
                        .expires_at = row.time(2)},
            .amount = row.msat(3),
            .backend = row.text(4)};
}

std::optional<Row> row_of(Reader& reader, const std::string& owner, std::string_view label) {
    return reader.query_one(
        "SELECT payment_hash, bolt11, expires_at, amount, backend FROM lightning_invoice WHERE "
        "owner = $1 AND label = $2",
        owner, label);
}

BackendError out_of_reach(const StoreFailure& failure) {
    log::warn("lightning_store", {{"detail", failure.detail}});
    return BackendError::Unreachable;
}

}  // namespace

Result<Found, StoreFailure> InvoiceBook::find(std::string_view label) const {
    return database_.read([&](Reader& reader) -> Result<Found, StoreFailure> {
        const auto row = row_of(reader, owner_, label);
        return row ? Found{booked(*row)} : Found{};
    });
}

Result<Found, StoreFailure> InvoiceBook::find(const PaymentHash& hash) const {
    return database_.read([&](Reader& reader) -> Result<Found, StoreFailure> {
        const auto row = reader.query_one(
            "SELECT payment_hash, bolt11, expires_at, amount, backend FROM lightning_invoice "
            "WHERE owner = $1 AND payment_hash = $2 ORDER BY label LIMIT 1",
            owner_, hash);
        return row ? Found{booked(*row)} : Found{};
    });
}

Result<BookedInvoice, StoreFailure> InvoiceBook::add(std::string_view label,
                                                     const BookedInvoice& made) {
    return database_.transact([&](store::Tx& tx) -> Result<BookedInvoice, StoreFailure> {
        tx.execute(
            "INSERT INTO lightning_invoice (owner, label, backend, payment_hash, bolt11, amount, "
            "expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (owner, label) DO NOTHING",
            owner_, label, made.backend, made.invoice.hash, made.invoice.bolt11, made.amount,
            made.invoice.expires_at);
        const auto row = row_of(tx, owner_, label);
        VERIFY(row.has_value());
        return booked(*row);
    });
}

Result<Invoice, BackendError> invoice_once(
    InvoiceBook& book, const InvoiceOrder& order,
    const std::function<Result<BookedInvoice, BackendError>()>& make) {
    if (order.amount == Msat{} || order.expiry <= Seconds{0} || order.label.empty()) {
        return fail(BackendError::Refused);
    }
    auto known = book.find(order.label);
    if (!known) return fail(out_of_reach(known.error()));
    if (!*known) {
        const auto made = make();
        if (!made) return fail(made.error());
        auto counts = book.add(order.label, *made);
        if (!counts) return fail(out_of_reach(counts.error()));
        *known = *std::move(counts);
    }
    if ((*known)->amount != order.amount) return fail(BackendError::Refused);
    return (*std::move(*known)).invoice;
}

}  // namespace lightning
}  // namespace nutgate
