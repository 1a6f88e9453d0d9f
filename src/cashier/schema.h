// The cashier's tables, and the numbers that its columns hold.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/store/migration.h"
#include "nutgate/store/store.h"

namespace nutgate {

std::span<const store::Migration> cashier_migrations();

// Of deposits and payouts. Stored: append only.
enum class RowState : std::int16_t { Submitted = 1, Done = 2, Failed = 3 };
// Our own money on its way to a mint. Left: paid, and not ecash there yet. Stored: append only.
enum class TransitState : std::int16_t { Submitted = 1, Done = 2, Failed = 3, Left = 4 };
// Of an Owner's deposit `key` is the id of the request, since no key gets it.
enum class DepositKind : std::int16_t { Create = 1, TopUp = 2, Owner = 3 };
enum class PayoutKind : std::int16_t { Refund = 1, Owner = 2, Melt = 3 };

// As the method column says, for ever.
inline constexpr std::string_view kMethodCashu = "cashu";
inline constexpr std::string_view kMethodLightning = "lightning";

// Whether that is the name of a row in `remittance`.
bool is_remittance(store::Reader& reader, std::string_view reference);

// What our own payments under way from that backend may take of it: transits and remittances.
Msat under_way_at(store::Reader& reader, std::string_view backend);

template <class Enum>
constexpr std::int64_t stored(Enum value) {
    return static_cast<std::int64_t>(value);
}

}  // namespace nutgate
