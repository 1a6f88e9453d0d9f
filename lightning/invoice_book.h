// Which invoice was made under which label, for backends that know no labels. Written once the
// invoice is there and before anybody sees it: of two that were made under one label the first
// one written counts, and nobody ever sees the other.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "nutgate/lightning/backend.h"
#include "nutgate/store/store.h"

namespace nutgate::lightning {

struct BookedInvoice {
    Invoice invoice;
    Msat amount;
    std::string backend;  // Who made it.
};

class InvoiceBook {
public:
    // `owner` keeps the books of two backends apart.
    InvoiceBook(store::Database& database, std::string owner)
        : database_{database}, owner_{std::move(owner)} {}

    Result<std::optional<BookedInvoice>, store::StoreFailure> find(std::string_view label) const;
    Result<std::optional<BookedInvoice>, store::StoreFailure> find(const PaymentHash& hash) const;
    // Gives what counts under that label from now on.
    Result<BookedInvoice, store::StoreFailure> add(std::string_view label,
                                                   const BookedInvoice& made);

private:
    store::Database& database_;
    const std::string owner_;
};

// An invoice under `order.label`: the one that was made before, if it is of that amount, or what
// `make` makes now.
Result<Invoice, BackendError> invoice_once(
    InvoiceBook& book, const InvoiceOrder& order,
    const std::function<Result<BookedInvoice, BackendError>()>& make);

}  // namespace nutgate::lightning
