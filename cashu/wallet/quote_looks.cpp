#include "wallet/quote_looks.h"

#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/cashu/mint_info.h"
#include "nutgate/cashu/wire_batch.h"
#include "wallet/calls.h"
#include "wallet/issue.h"

namespace nutgate::cashu::wallet {
namespace {

constexpr int kBatchNut = 29;

// How many quotes of bolt11 the mint takes in one question; 0 if it does not say that it does.
std::size_t batch_size(const wire::Info& info) {
    if (!info.batch && !info.supports(kBatchNut)) return 0;
    const auto& methods = info.batch ? info.batch->methods : std::vector<std::string>{};
    if (!methods.empty() && std::ranges::find(methods, "bolt11") == methods.end()) return 0;
    const std::uint64_t most = info.batch ? info.batch->max_batch_size.value_or(kQuotesPerLook)
                                          : std::uint64_t{kQuotesPerLook};
    return static_cast<std::size_t>(std::min(most, std::uint64_t{kQuotesPerLook}));
}

// This one and the newest of the others that are open, in its unit.
Result<std::vector<std::string>, WalletError> neighbours(store::Database& database,
                                                         const Quote& quote, Time now,
                                                         std::size_t most) {
    return database.read([&](store::Reader& reader)
                             -> Result<std::vector<std::string>, WalletError> {
        std::vector<std::string> ids{quote.id};
        for (const auto& row : reader.query(
                 "SELECT quote FROM wallet_quote WHERE state = 2 AND mint = $1 AND unit = $2 AND "
                 "watch_until >= $3 AND quote <> $4 ORDER BY created_at DESC, lock_index DESC "
                 "LIMIT $5",
                 quote.mint.text(), to_text(quote.unit), now, quote.id,
                 static_cast<std::int64_t>(most) - 1)) {
            ids.push_back(row.text(0));
        }
        return ids;
    });
}

}  // namespace

Result<wire::MintQuote, WalletError> QuoteLooks::of(const WalletMint& mint, const Quote& quote) {
    if (auto known = seen({mint.url, quote.id})) return *std::move(known);
    TRY(const auto most, at_once(mint));
    if (most > 1 && may_look(mint.url)) {
        if (auto told = ask_many(mint, quote, most)) return *std::move(told);
    }
    return get_mint_quote(mint, quote.id);
}

std::optional<wire::MintQuote> QuoteLooks::seen(const Name& name) {
    const Lock lock{mutex_};
    const auto now = clock_.now();
    std::erase_if(seen_, [&](const auto& entry) { return now - entry.second.at > kLookFresh; });
    const auto entry = seen_.find(name);
    if (entry == seen_.end()) return std::nullopt;
    return entry->second.quote;
}

Result<std::size_t, WalletError> QuoteLooks::at_once(const WalletMint& mint) {
    {
        const Lock lock{mutex_};
        const auto known = batches_.find(mint.url);
        if (known != batches_.end() && clock_.now() < known->second.until) {
            return known->second.at_once;
        }
    }
    const auto answer = mint.client->call(MintMethod::Get, "/v1/info", "");
    if (!answer) return fail(error_of(answer, mint));
    const auto info =
        answer->status == 200 ? wire::parse_info(answer->body) : fail(wire::WireError{});
    const Batches batches{.at_once = info ? batch_size(*info) : 0,
                          .until = clock_.now() + (info ? kAbilitiesFresh : kAbilitiesDistrusted)};
    const Lock lock{mutex_};
    batches_.insert_or_assign(mint.url, batches);
    return batches.at_once;
}

void QuoteLooks::distrust(const MintUrl& mint) {
    const Lock lock{mutex_};
    batches_.insert_or_assign(mint,
                              Batches{.at_once = 0, .until = clock_.now() + kAbilitiesDistrusted});
}

bool QuoteLooks::may_look(const MintUrl& mint) {
    const Lock lock{mutex_};
    const auto now = clock_.now();
    const auto entry = looked_at_.find(mint);
    if (entry != looked_at_.end() && now - entry->second <= kLookFresh) return false;
    looked_at_.insert_or_assign(mint, now);
    return true;
}

std::optional<wire::MintQuote> QuoteLooks::ask_many(const WalletMint& mint, const Quote& quote,
                                                    std::size_t at_once) {
    const auto ids = neighbours(database_, quote, clock_.now(), at_once);
    if (!ids || ids->size() < 2) return std::nullopt;
    const auto answer = mint.client->call(MintMethod::Post, "/v1/mint/quote/bolt11/check",
                                          wire::write_batch_check_request(*ids));
    if (!answer) return std::nullopt;
    auto quotes =
        answer->status == 200 ? wire::parse_mint_quotes(answer->body) : fail(wire::WireError{});
    // All or nothing: one quote that the mint forgot spoils the question for all.
    if (!quotes || quotes->size() != ids->size()) {
        log::warn("wallet_batch_refused", {{"mint", mint.url.text()}, {"status", answer->status}});
        distrust(mint.url);
        return std::nullopt;
    }
    std::optional<wire::MintQuote> mine;
    const Lock lock{mutex_};
    const auto now = clock_.now();
    for (auto& told : *quotes) {
        if (told.quote == quote.id) mine = told;
        const Name name{mint.url, told.quote};
        seen_.insert_or_assign(name, Seen{std::move(told), now});
    }
    return mine;
}

}  // namespace nutgate::cashu::wallet
