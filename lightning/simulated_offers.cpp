// Offers of the simulated network: made, and paid by somebody out there.
#include <charconv>

#include "nutgate/base/verify.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/lightning/bolt12.h"
#include "nutgate/lightning/simulated.h"
#include "offer_check.h"
#include "simulated_outcome.h"
#include "simulated_store.h"

namespace nutgate {

using lightning::Trouble;
using lightning::without_detail;
using store::Reader;
using store::Row;
using store::Tx;

namespace lightning {

std::vector<PaymentHash> number_arrivals(Tx& tx, Time now) {
    std::vector<PaymentHash> arrived;
    for (const Row& row : tx.query("SELECT hash FROM simulated_offer_payment WHERE number IS NULL "
                                   "AND due_at <= $1 ORDER BY due_at, hash",
                                   now)) {
        arrived.push_back(row.id<PaymentHash>(0));
    }
    for (const PaymentHash& hash : arrived) {
        tx.execute(
            "UPDATE simulated_offer_payment SET number = (SELECT COALESCE(MAX(number), 0) + 1 "
            "FROM simulated_offer_payment) WHERE hash = $1",
            hash);
    }
    return arrived;
}

std::optional<Time> next_arrival(Reader& reader) {
    const auto row =
        reader.query_one("SELECT MIN(due_at) FROM simulated_offer_payment WHERE number IS NULL");
    return row->is_null(0) ? std::nullopt : std::optional{row->time(0)};
}

std::int64_t received_by_offers(Reader& reader, Time now) {
    return reader
        .query_one(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM simulated_offer_payment "
            "WHERE number IS NOT NULL OR due_at <= $1",
            now)
        ->integer(0);
}

}  // namespace lightning

namespace {

constexpr Msat kChosenAmount = 1'000'000_msat;  // By who may choose.
constexpr std::int64_t kPaymentsAtOnce = 100;

void insert_payment(Tx& tx, const OfferId& offer, const Preimage& preimage, Msat amount, Time due) {
    tx.execute(
        "INSERT INTO simulated_offer_payment (hash, offer, preimage, amount, due_at, number) "
        "VALUES ($1, $2, $3, $4, $5, NULL)",
        PaymentHash{crypto::sha256(preimage.bytes())}, offer, preimage, amount, due);
}

std::optional<std::int64_t> number_of(std::string_view mark) {
    if (mark.empty()) return 0;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(mark.data(), mark.data() + mark.size(), number);
    if (error != std::errc{} || end != mark.data() + mark.size() || number < 0) return std::nullopt;
    return number;
}

}  // namespace

Result<NodeOffer, BackendError> SimulatedLightning::create_offer(const OfferOrder& order) {
    if (order.label.empty() || (order.amount && *order.amount == Msat{}) ||
        order.amount.value_or(Msat{}) > kAmountMax) {
        return fail(BackendError::Refused);
    }
    const auto mark =
        crypto::hmac_sha256(preimage_key_.reveal(), {as_bytes("offer|"), as_bytes(order.label)});
    const std::string text =
        write_offer({.network = network(),
                     .metadata = Bytes{mark.begin(), mark.end()},
                     .amount = order.amount,
                     .description = order.description,
                     .issuer_id = crypto::generator_times(node_key_).compressed()});
    const auto made = lightning::checked_offer(name(), text, network(), order.amount);
    VERIFY(made.has_value());
    const bool is_paid = simulated_outcome(order.description).paid_by_itself;
    const Time due = now() + settle_after_;
    const Preimage preimage{random_.bytes<32>()};

    auto offer = database_.transact([&](Tx& tx) -> Result<NodeOffer, Trouble> {
        const auto added = tx.execute(
            "INSERT INTO simulated_offer (id, label, bolt12, amount) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (label) DO NOTHING",
            made->id, order.label, made->bolt12, order.amount);
        if (added == 1) {
            if (is_paid) {
                insert_payment(tx, made->id, preimage, order.amount.value_or(kChosenAmount), due);
            }
            return *made;
        }
        const auto row = tx.query_one(
            "SELECT id, bolt12, amount FROM simulated_offer WHERE label = $1", order.label);
        const auto amount = row->is_null(2) ? std::nullopt : std::optional{row->msat(2)};
        if (amount != order.amount) return fail(BackendError::Refused);
        return NodeOffer{.id = row->id<OfferId>(0), .bolt12 = row->text(1)};
    });
    if (offer && is_paid) wake_at(due);
    return without_detail(std::move(offer));
}

Result<OfferPayments, BackendError> SimulatedLightning::payments(std::string_view mark) {
    const auto after = number_of(mark);
    if (!after) return fail(BackendError::Refused);
    const Time at = now();
    return without_detail(database_.transact([&](Tx& tx) -> Result<OfferPayments, Trouble> {
        (void)lightning::number_arrivals(tx, at);
        OfferPayments found{.payments = {}, .mark = std::to_string(*after)};
        for (const Row& row :
             tx.query("SELECT offer, hash, amount, number FROM simulated_offer_payment "
                      "WHERE number > $1 ORDER BY number LIMIT $2",
                      *after, kPaymentsAtOnce)) {
            found.payments.push_back({.offer = row.id<OfferId>(0),
                                      .hash = row.id<PaymentHash>(1),
                                      .amount = row.msat(2)});
            found.mark = std::to_string(row.integer(3));
        }
        found.is_more = found.payments.size() == static_cast<std::size_t>(kPaymentsAtOnce);
        return found;
    }));
}

Result<void, BackendError> SimulatedLightning::close_offer(const OfferId& offer) {
    return without_detail(database_.transact([&](Tx& tx) -> Result<void, Trouble> {
        tx.execute("UPDATE simulated_offer SET closed = 1 WHERE id = $1", offer);
        return {};
    }));
}

Result<PaymentHash, BackendError> SimulatedLightning::pay_offer(std::string_view bolt12,
                                                                Msat amount) {
    const auto parsed = parse_offer(bolt12);
    if (!parsed || amount == Msat{} || amount > kAmountMax) return fail(BackendError::Refused);
    const OfferId id{parsed->id};
    const Preimage preimage{random_.bytes<32>()};
    const Time at = now();
    auto paid = database_.transact([&](Tx& tx) -> Result<PaymentHash, Trouble> {
        const auto row =
            tx.query_one("SELECT amount, closed FROM simulated_offer WHERE id = $1", id);
        if (!row) return fail(BackendError::NotFound);
        if (row->integer(1) != 0) return fail(BackendError::Refused);
        insert_payment(tx, id, preimage, row->is_null(0) ? amount : row->msat(0), at);
        return PaymentHash{crypto::sha256(preimage.bytes())};
    });
    if (paid) wake_at(at);
    return without_detail(std::move(paid));
}

}  // namespace nutgate
