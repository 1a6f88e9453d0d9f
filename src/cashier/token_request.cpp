// Requests for a token (NUT-18). One is a row, found by the HMAC of its id as an invoice is; what
// pays it is a deposit as any other, which names it. The transaction that begins that deposit
// decides who pays a request for single use; the one that ends it says that it is paid.
#include <algorithm>
#include <string>
#include <utility>

#include "error_name.h"
#include "impl.h"

namespace nutgate {

// As a payment needs it.
struct Cashier::Impl::StoredRequest {
    InvoicePurpose purpose;
    KeyId key;
    KeyLimits limits;
    std::optional<Msat> amount;
    std::string unit;
    std::vector<cashu::MintUrl> mints;
    RequestState state;
    Msat credited;
    Time created_at;
    Time expires_at;
    std::optional<Time> paid_at;
};

namespace {

using Code = CashierError::Code;
using store::Reader;
using store::Row;
using store::Tx;

constexpr std::size_t kRequestIdBytes = 16;
constexpr std::size_t kRequestIdTextMax = 64;
constexpr char kSeparator = '\n';  // URLs hold no white space.

std::string joined(const std::vector<cashu::MintUrl>& mints) {
    std::string text;
    for (const auto& mint : mints) {
        if (!text.empty()) text += kSeparator;
        text += mint.text();
    }
    return text;
}

std::vector<cashu::MintUrl> parted(std::string_view text) {
    std::vector<cashu::MintUrl> mints;
    while (!text.empty()) {
        const auto end = text.find(kSeparator);
        if (const auto mint = cashu::MintUrl::parse(text.substr(0, end))) mints.push_back(*mint);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
    return mints;
}

bool contains(const std::vector<cashu::MintUrl>& mints, const cashu::MintUrl& mint) {
    return std::ranges::find(mints, mint) != mints.end();
}

CashierError unfit(std::string why) { return make_error(Code::PaymentUnfit, std::move(why)); }

}  // namespace

std::int64_t Cashier::Impl::count_open(Reader& reader) const {
    const auto invoices =
        reader.query_one("SELECT COUNT(*) FROM invoice WHERE state IN ($1, $2) AND expires_at > $3",
                         stored(InvoiceState::Opening), stored(InvoiceState::Pending), clock.now());
    const auto requests =
        reader.query_one("SELECT COUNT(*) FROM token_request WHERE state = $1 AND expires_at > $2",
                         stored(RequestState::Pending), clock.now());
    return invoices->integer(0) + requests->integer(0);
}

Result<std::optional<Cashier::Impl::StoredRequest>, CashierError> Cashier::Impl::find_request(
    const InvoiceLookup& lookup) {
    return database.read([&](Reader& reader) -> Result<std::optional<StoredRequest>, CashierError> {
        const auto row = reader.query_one(
            "SELECT purpose, key, balance_limit, limit_reset, valid_until, amount, unit, mints, "
            "state, credited, created_at, expires_at, paid_at FROM token_request WHERE lookup = $1",
            lookup);
        if (!row) return std::optional<StoredRequest>{};
        const auto msat = [&](std::size_t column) {
            return row->is_null(column) ? std::nullopt : std::optional{row->msat(column)};
        };
        const auto time = [&](std::size_t column) {
            return row->is_null(column) ? std::nullopt : std::optional{row->time(column)};
        };
        return std::optional{
            StoredRequest{.purpose = static_cast<InvoicePurpose>(row->integer(0)),
                          .key = row->id<KeyId>(1),
                          .limits = {.balance_limit = msat(2),
                                     .reset = static_cast<LimitReset>(row->integer(3)),
                                     .valid_until = time(4)},
                          .amount = msat(5),
                          .unit = row->text(6),
                          .mints = parted(row->text(7)),
                          .state = static_cast<RequestState>(row->integer(8)),
                          .credited = row->msat(9),
                          .created_at = row->time(10),
                          .expires_at = row->time(11),
                          .paid_at = time(12)}};
    });
}

Result<OpenRequest, CashierError> Cashier::open_request(const TokenRequest& request) {
    Impl& my = *impl_;
    if (request.amount &&
        (*request.amount == Sat{} || *request.amount > my.options.invoice_amount_max)) {
        return fail(make_error(Code::AmountOutOfRange));
    }
    const auto trusted = my.wallet.mints();
    for (const auto& mint : request.mints) {
        if (!contains(trusted, mint)) return fail(make_error(Code::TokenMintForeign, mint.text()));
    }
    const OpenRequest opened{.request_id = to_base64url(my.random.bytes<kRequestIdBytes>()),
                             .mints = request.mints.empty() ? trusted : request.mints,
                             .expires_at = my.clock.now() + my.options.invoice_expiry};
    KeyId key = my.keyring.id_of_invoice(opened.request_id);
    if (request.purpose == InvoicePurpose::TopUp) {
        if (!request.key) return fail(make_error(Code::KeyUnknown));
        TRY(key, my.database.read([&](Reader& reader) -> Result<KeyId, CashierError> {
            return my.payee(reader, *request.key);
        }));
    } else {
        TRY_VOID(my.check_limits(request.limits));
    }
    const auto amount = request.amount ? std::optional{to_msat(*request.amount)} : std::nullopt;
    const std::string mints = joined(opened.mints);
    TRY_VOID(my.database.transact([&](Tx& tx) -> Result<void, CashierError> {
        if (my.count_open(tx) >= my.options.invoices_open_max) {
            return fail(make_error(Code::TooManyInvoices));
        }
        tx.execute(
            "INSERT INTO token_request (lookup, purpose, key, balance_limit, limit_reset, "
            "valid_until, amount, unit, mints, single_use, state, created_at, expires_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            my.lookup_of(opened.request_id), stored(request.purpose), key,
            request.limits.balance_limit, stored(request.limits.reset), request.limits.valid_until,
            amount, cashu::to_text(request.unit), std::string_view{mints},
            request.single_use ? 1 : 0, stored(RequestState::Pending), my.clock.now(),
            opened.expires_at);
        return {};
    }));
    return opened;
}

Result<void, CashierError> Cashier::Impl::claim_request(Tx& tx, const InvoiceLookup& lookup,
                                                        const TokenIdentity& token) const {
    const auto row =
        tx.query_one("SELECT single_use, expires_at FROM token_request WHERE lookup = $1", lookup);
    if (!row) return fail(make_error(Code::RequestUnknown));
    if (row->time(1) <= clock.now()) return fail(make_error(Code::RequestExpired));
    if (row->integer(0) == 0) return {};
    const auto other = tx.query_one(
        "SELECT identity FROM deposit WHERE request = $1 AND identity <> $2 AND state <> $3 "
        "LIMIT 1",
        lookup, token, stored(RowState::Failed));
    if (other) return fail(make_error(Code::RequestPaid));
    return {};
}

Result<Deposit, CashierError> Cashier::pay_request(std::string_view request_id,
                                                   const cashu::Token& token) {
    Impl& my = *impl_;
    if (request_id.size() > kRequestIdTextMax) return fail(make_error(Code::RequestUnknown));
    const InvoiceLookup lookup = my.lookup_of(request_id);
    TRY(const auto request, my.find_request(lookup));
    if (!request) return fail(make_error(Code::RequestUnknown));
    // Its mint as we name it, and only a trusted one's: others were not asked for.
    const auto read = my.wallet.read_token(cashu::write_token(token));
    const bool foreign = !read && read.error().code == cashu::WalletError::Code::MintForeign;
    if (foreign || (read && !contains(request->mints, read->mint))) {
        return fail(unfit("it is of another mint than those asked for"));
    }
    if (!read) return fail(read.error());
    if (read->unit != request->unit) {
        return fail(unfit("it is in " + read->unit + " and not in " + request->unit));
    }
    const auto identity = cashu::identity_of(read->proofs);
    if (!identity) return fail(make_error(Code::TokenInvalid, "a secret that is no point"));
    const bool creates = request->purpose == InvoicePurpose::Create;
    TRY(const auto taken, my.take_in({.token = *read, .foreign = false, .identity = *identity},
                                     {.kind = creates ? DepositKind::Create : DepositKind::TopUp,
                                      .key = request->key,
                                      .limits = request->limits,
                                      .request = lookup,
                                      .at_least = request->amount.value_or(Msat{})}));
    if (!taken.again) my.spending.credited(taken.row.key);
    return my.answer(taken.row, taken.again);
}

Result<RequestStatus, CashierError> Cashier::request_status(std::string_view request_id) {
    Impl& my = *impl_;
    if (request_id.size() > kRequestIdTextMax) return fail(make_error(Code::RequestUnknown));
    TRY(const auto request, my.find_request(my.lookup_of(request_id)));
    if (!request) return fail(make_error(Code::RequestUnknown));
    const bool paid = request->state == RequestState::Paid;
    const bool gives_key = paid && request->purpose == InvoicePurpose::Create;
    return RequestStatus{.paid = paid,
                         .expired = !paid && request->expires_at <= my.clock.now(),
                         .key = gives_key ? std::optional{request->key} : std::nullopt,
                         .credited = request->credited,
                         .paid_at = request->paid_at,
                         .created_at = request->created_at,
                         .expires_at = request->expires_at};
}

}  // namespace nutgate
