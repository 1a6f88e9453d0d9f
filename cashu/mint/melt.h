// A melt quote as it is stored, and how it moves:
//
//     Unpaid --begin--> Pending --finish--> Paid
//        ^----release-----'
//
// Pending means that the backend may have been told to pay. Only its own word ends that.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mint/impl.h"

namespace nutgate::cashu {

enum class StoredMelt { Unpaid = 1, Pending = 2, Paid = 3 };  // Stored.

struct MeltRow {
    std::string id;
    PaymentHash payment;
    std::string request;
    Unit unit;
    Amount amount;  // amount_msat, rounded up.
    nutgate::Msat amount_msat;
    Amount fee_reserve;
    StoredMelt state;
    std::int64_t attempt;
    Amount inputs;  // Taken in by this attempt.
    Amount input_fee;
    std::optional<Preimage> preimage;
    std::optional<RequestKey> request_key;
    Time expires_at;

    // One event of the books: an attempt, not a quote, which may be melted again after a failure.
    std::string reference() const { return id + "#" + std::to_string(attempt); }
};

std::optional<MeltRow> read_melt(store::Reader& reader, std::string_view id);
Result<MeltRow, MintError> load_melt(store::Database& database, std::string_view id);

// As the wire says it, with the change that was signed.
wire::MeltQuote describe(const MeltRow& row, std::vector<BlindSignature> change);

// Rounded up to the unit: what a wallet must bring for it.
Amount to_amount_ceil(nutgate::Msat msat, Unit unit);

// At the column of `amount`, followed by keyset, c, e, s.
BlindSignature read_signature(const store::Row& row, std::size_t column);

// Marks a melt as being seen to by a thread of this process, so that a poll does not pay beside the
// request that is about to. After a crash nobody does, and the backend is asked first.
class Mint::Impl::Pursuit {
public:
    Pursuit(Impl& mint, std::string quote);
    ~Pursuit();
    Pursuit(const Pursuit&) = delete;
    Pursuit& operator=(const Pursuit&) = delete;
    bool mine() const { return mine_; }

private:
    Impl& mint_;
    std::string quote_;
    bool mine_;
};

}  // namespace nutgate::cashu
