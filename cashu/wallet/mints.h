// The mints that the wallet knows, and what each is to it: those of the configuration, those that
// the operator added or left, and guests, whose tokens were swapped.
//
// Thread-safe. A mint that was known once is known until the process ends: operations under way
// hold on to it. So what find() gives stays valid.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "nutgate/base/sync.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/store/store.h"

namespace nutgate::cashu::wallet {

class Mints {
public:
    struct Known {
        const WalletMint* mint;
        MintRole role;
        bool configured;
        std::optional<nutgate::Msat> exposure_max;  // Only what was said of this one.
    };

    Mints(std::vector<WalletMint> configured, MintConnector* connector, int guests_max);

    // What earlier processes stored. Again after that, it changes nothing.
    Result<void, WalletError> load(store::Database& database);

    const WalletMint& primary() const { return *primary_; }
    // Under any of its names.
    const WalletMint* find(const MintUrl& url) const;
    // The same, if its tokens are taken.
    const WalletMint* find_trusted(const MintUrl& url) const;
    std::optional<Known> known(const MintUrl& url) const;
    // The primary first.
    std::vector<Known> all() const;
    std::vector<const WalletMint*> trusted() const;
    // Whose ecash a customer may be given: all but the guests, the primary first.
    std::vector<const WalletMint*> spendable() const;

    // One of which nothing is known becomes a guest. MintForeign if there may be no more.
    Result<const WalletMint*, WalletError> guest(store::Database& database, const MintUrl& url,
                                                 Time now);
    // Stores the role, and the limit with it.
    Result<void, WalletError> set(store::Database& database, const MintUrl& url, MintRole role,
                                  const std::optional<nutgate::Msat>& exposure_max, Time now);

private:
    struct Entry {
        WalletMint mint;
        std::unique_ptr<MintClient> client;  // Of those that are not configured.
        MintRole role;
        bool configured;
        std::optional<nutgate::Msat> exposure_max;
    };

    const Entry* entry(const MintUrl& url) const REQUIRES(mutex_);
    Entry* entry(const MintUrl& url) REQUIRES(mutex_);
    // Connects it, if it is not known. Null without a connector.
    Entry* admit(const MintUrl& url, MintRole role) REQUIRES(mutex_);

    MintConnector* const connector_;
    const int guests_max_;
    const WalletMint* primary_ = nullptr;
    mutable Mutex mutex_;
    std::deque<Entry> entries_ GUARDED_BY(mutex_);
};

}  // namespace nutgate::cashu::wallet
