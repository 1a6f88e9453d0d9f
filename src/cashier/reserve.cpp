// Ecash where it is needed, by itself: a reserve at each trusted mint, paid for by Lightning; and
// what a refund asks for and no single mint has, brought together at the primary.
//
// It always goes to the primary, never from it, so that no two of them undo one another; one at a
// time, and with a pause after one that came to nothing.
#include <algorithm>
#include <string>
#include <utility>

#include "error_name.h"
#include "impl.h"
#include "nutgate/base/log.h"

namespace nutgate {
namespace {

using namespace literals;
using Code = CashierError::Code;
using store::Reader;

constexpr std::uint64_t kMillion = 1'000'000;
// A reserve is filled up once so much of it is missing, a tenth: not by a sat after each refund.
constexpr std::uint64_t kReserveParts = 10;
// Making a token costs its mint's input fee, and so does each step on the way: so much more than
// is missing is brought.
constexpr Msat kMarginBase = 2'000_msat;
constexpr std::uint64_t kMarginPpm = 10'000;
// The reserve that a mint asks for paying is not known before it was asked, so a mint that is to
// give all it has is asked for less and less. Percent.
constexpr std::uint64_t kShares[] = {100, 98, 95, 85};

Msat whole_sats(Msat amount) { return to_msat(to_sat_floor(amount)); }

struct Holding {
    cashu::MintUrl mint;
    Msat available;  // In the unit that has most: a payment is in one.
};

std::vector<Holding> holdings(Reader& reader) {
    std::vector<Holding> found;
    for (const auto& balance : cashu::Wallet::balances(reader)) {
        const auto known = std::ranges::find(found, balance.mint, &Holding::mint);
        if (known == found.end()) {
            found.push_back({balance.mint, balance.available});
        } else {
            known->available = std::max(known->available, balance.available);
        }
    }
    return found;
}

Msat held_at(const std::vector<Holding>& all, const cashu::MintUrl& mint) {
    const auto found = std::ranges::find(all, mint, &Holding::mint);
    return found == all.end() ? Msat{} : found->available;
}

}  // namespace

bool Pauses::is_over(const cashu::MintUrl& mint) {
    const Lock lock{mutex_};
    const auto entry = until_.find(mint);
    return entry == until_.end() || entry->second <= clock_.now();
}

void Pauses::begin(const cashu::MintUrl& mint, Seconds duration) {
    const Lock lock{mutex_};
    until_.insert_or_assign(mint, clock_.now() + duration);
}

Msat Cashier::Impl::automatic_fee_max(Msat amount) const {
    const auto part = multiply_floor(amount, options.fund_fee_max_ppm, kMillion);
    return add(part.value_or(Msat{}), options.fund_fee_max_base).value_or(Msat{});
}

Msat Cashier::Impl::fundable(Msat free) const {
    const Msat rest = subtract(free, options.fund_fee_max_base).value_or(Msat{});
    const auto most = multiply_floor(rest, kMillion, kMillion + options.fund_fee_max_ppm);
    return whole_sats(most.value_or(Msat{}));
}

Result<bool, CashierError> Cashier::Impl::run_automatic(const Route& route, Msat amount) {
    const auto run = [&]() -> Result<Moved, CashierError> {
        TRY(const auto begun, route.backend
                                  ? begin_funding(route, amount, automatic_fee_max(amount))
                                  : begin_move(route, amount));
        return finish_transit(route.reference, begun, false);
    };
    const auto moved = run();
    if (moved) {
        log::info("cashier.moved", {{"reference", route.reference},
                                    {"to", route.target.text()},
                                    {"amount", moved->amount},
                                    {"fee", moved->fee}});
        return true;
    }
    const Code why = moved.error().code;
    // Another operation was faster with a proof.
    if (why == Code::TokenPending) return fail(make_error(Code::InProgress, moved.error().detail));
    if (why == Code::InProgress || why == Code::MintInsufficient || why == Code::StoreUnavailable) {
        return fail(moved.error());
    }
    // Its mint is away, or has as much as it may; or it failed.
    pauses.begin(route.target, options.automatic_pause);
    log::warn("cashier.not_moved", {{"reference", route.reference},
                                    {"to", route.target.text()},
                                    {"why", moved.error().detail}});
    return false;
}

std::optional<Cashier::Impl::Shortfall> Cashier::Impl::shortfall(Reader& reader,
                                                                 const cashu::MintUrl& mint) const {
    if (is_under_way(reader, mint, clock.now())) return std::nullopt;
    const auto missing = subtract(options.reserve, held_at(holdings(reader), mint));
    const auto least = multiply_floor(options.reserve, 1, kReserveParts);
    const auto payer = richest_payer(reader);
    if (!missing || !least || !payer) return std::nullopt;
    const Msat amount = std::min(whole_sats(*missing), fundable(payer->free));
    if (amount == Msat{} || amount < *least) return std::nullopt;
    return Shortfall{.mint = mint, .amount = amount, .payer = payer->name};
}

Result<int, CashierError> Cashier::keep_reserve() {
    Impl& my = *impl_;
    if (my.options.reserve == Msat{} || my.options.payers.empty()) return 0;
    int begun = 0;
    for (const auto& mint : my.wallet.mints()) {
        if (!my.pauses.is_over(mint)) continue;
        TRY(const auto short_of,
            my.database.read(
                [&](Reader& reader) -> Result<std::optional<Impl::Shortfall>, CashierError> {
                    return my.shortfall(reader, mint);
                }));
        if (!short_of) continue;
        const auto done =
            my.run_automatic({.reference = "reserve:" + my.random.id<OperationId>().hex(),
                              .backend = short_of->payer,
                              .source = {},
                              .target = mint,
                              .automatic = true},
                             short_of->amount);
        if (!done && done.error().code == Code::StoreUnavailable) return fail(done.error());
        if (done ? *done : done.error().code == Code::InProgress) ++begun;
    }
    return begun;
}

Result<Cashier::Impl::Sources, CashierError> Cashier::Impl::find_sources(
    const cashu::MintUrl& target) const {
    TRY(const auto views, wallet.mint_views());
    return database.read([&](Reader& reader) -> Result<Sources, CashierError> {
        Sources found{.under_way = is_under_way(reader, target, clock.now()),
                      .at_target = {},
                      .richest = {},
                      .in_all = {},
                      .payer = richest_payer(reader)};
        const auto all = holdings(reader);
        found.at_target = found.in_all = held_at(all, target);
        for (const cashu::MintView& mint : views) {
            // What a mint that is not trusted gave as change is not to be counted on.
            if (mint.url == target || mint.role == cashu::MintRole::Guest) continue;
            const Msat there = held_at(all, mint.url);
            found.in_all = add(found.in_all, there).value_or(found.in_all);
            if (there > found.richest_has) {
                found.richest = mint.url;
                found.richest_has = there;
            }
        }
        return found;
    });
}

Result<bool, CashierError> Cashier::Impl::gather(Msat amount) {
    const cashu::MintUrl& target = wallet.primary();
    TRY(const auto sources, find_sources(target));
    if (sources.under_way) return fail(make_error(Code::InProgress, "ecash is being gathered"));
    const Msat by_lightning = sources.payer ? fundable(sources.payer->free) : Msat{};
    const auto reach = add(sources.in_all, by_lightning);
    // Whatever is moved, it will not do.
    if (!reach || *reach < amount || !pauses.is_over(target)) return false;
    const auto margin =
        add(multiply_floor(amount, kMarginPpm, kMillion).value_or(Msat{}), kMarginBase);
    const auto wanted = margin ? add(amount, *margin) : std::nullopt;
    const auto missing = wanted ? subtract(*wanted, sources.at_target) : std::nullopt;
    if (!missing) return false;

    Route route{.reference = "gather:" + random.id<OperationId>().hex(),
                .backend = {},
                .source = {},
                .target = target,
                .automatic = true};
    if (by_lightning > Msat{} && by_lightning >= std::min(*missing, sources.richest_has)) {
        route.backend = sources.payer->name;
        return run_automatic(route, std::min(whole_sats(*missing), by_lightning));
    }
    if (!sources.richest) return false;
    route.source = sources.richest;
    for (const std::uint64_t share : kShares) {
        const auto most = multiply_floor(sources.richest_has, share, 100);
        const Msat part = whole_sats(std::min(*missing, most.value_or(Msat{})));
        if (part == Msat{}) break;
        auto moved = run_automatic(route, part);
        if (moved || moved.error().code != Code::MintInsufficient) return moved;
    }
    pauses.begin(target, options.automatic_pause);
    return false;
}

}  // namespace nutgate
