// What mints say of our quotes. A mint that announces it is asked about many at once (NUT-29): the
// watcher asks about each open quote in turn, and all but the first find their answer here.
//
// Thread-safe. No lock is held over a call.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "nutgate/base/clock.h"
#include "nutgate/base/sync.h"
#include "nutgate/cashu/wire.h"
#include "wallet/keysets.h"

namespace nutgate::cashu::wallet {

struct Quote;

// An answer is used for so long; after that it is asked anew.
inline constexpr Milliseconds kLookFresh{900};
inline constexpr int kQuotesPerLook = 100;
// How long what a mint announces is believed, and how long one that broke its word, or tells
// nothing, is asked one by one.
inline constexpr Seconds kAbilitiesFresh{3600};
inline constexpr Seconds kAbilitiesDistrusted{600};

class QuoteLooks {
public:
    QuoteLooks(store::Database& database, const Clock& clock)
        : database_{database}, clock_{clock} {}

    // The quote as its mint sees it, no older than kLookFresh.
    Result<wire::MintQuote, WalletError> of(const WalletMint& mint, const Quote& quote);

private:
    struct Batches {
        std::size_t at_once = 0;  // 0: one by one.
        Time until;
    };
    struct Seen {
        wire::MintQuote quote;
        Time at;
    };
    using Name = std::pair<MintUrl, std::string>;

    std::optional<wire::MintQuote> seen(const Name& name);
    // How many quotes the mint is asked about together. Fails if it is away: it need not be asked
    // about this quote then.
    Result<std::size_t, WalletError> at_once(const WalletMint& mint);
    void distrust(const MintUrl& mint);
    // True for one caller in kLookFresh.
    bool may_look(const MintUrl& mint);
    // Asks about this and others of its mint; empty if that did not work out.
    std::optional<wire::MintQuote> ask_many(const WalletMint& mint, const Quote& quote,
                                            std::size_t at_once);

    store::Database& database_;
    const Clock& clock_;
    Mutex mutex_;
    std::map<Name, Seen> seen_ GUARDED_BY(mutex_);
    std::map<MintUrl, Batches> batches_ GUARDED_BY(mutex_);
    std::map<MintUrl, Time> looked_at_ GUARDED_BY(mutex_);
};

}  // namespace nutgate::cashu::wallet
