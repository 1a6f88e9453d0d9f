// The mints that the wallet knows, and what each is to it: those of the configuration, those that
// the operator added or left, and guests, whose tokens were swapped.
//
// Thread-safe. A mint that is or was trusted is known until the process ends, and pointers to it
// stay valid. Of guests there are only so many: one that nobody holds, with no money of ours and
// nothing under way, makes room for the next.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "nutgate/base/sync.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/store/store.h"

namespace nutgate::cashu::wallet {

class Mints {
public:
    // A mint that stays known while this lives; null: none.
    struct Release {
        Mints* mints = nullptr;
        void operator()(const WalletMint* mint) const { mints->release(mint); }
    };
    using Held = std::unique_ptr<const WalletMint, Release>;

    struct Known {
        MintUrl url;
        MintRole role;
        bool configured;
        std::optional<nutgate::Msat> exposure_max;  // Only what was said of this one.
    };

    Mints(std::vector<WalletMint> configured, MintConnector* connector, int guests_max);

    // What earlier processes stored. Again after that, it changes nothing.
    Result<void, WalletError> load(store::Database& database);

    const WalletMint& primary() const { return *primary_; }
    // Under any of its names.
    Held find(const MintUrl& url);
    // The same, if its tokens are taken.
    const WalletMint* find_trusted(const MintUrl& url) const;
    std::optional<Known> known(const MintUrl& url) const;
    // The primary first.
    std::vector<Known> all() const;
    std::vector<const WalletMint*> trusted() const;
    // Whose ecash a customer may be given: all but the guests, the primary first.
    std::vector<const WalletMint*> spendable() const;

    // To one of which nothing is known. Null if this node does not go there.
    std::unique_ptr<MintClient> way_to_stranger(const MintUrl& url) const;
    // It becomes a guest, reached that way, unless it is known already. Null if there may be no
    // more; the way is the caller's still.
    Held add_guest(const MintUrl& url, std::unique_ptr<MintClient>& way);
    // Sends away the guest that was known longest, of those that nothing keeps: which one. Empty if
    // something keeps them all.
    Result<std::optional<MintUrl>, WalletError> make_room(store::Database& database);
    // Who finishes what is begun at a guest must find the way, after a restart, too.
    static void note_guest(store::Tx& tx, const MintUrl& url, Time now);

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
        int held = 0;
    };
    // A list: an entry stays where it is when others go.
    using Entries = std::list<Entry>;

    const Entry* entry(const MintUrl& url) const REQUIRES(mutex_);
    Entry* entry(const MintUrl& url) REQUIRES(mutex_);
    Held hold(Entry* entry) REQUIRES(mutex_);
    void release(const WalletMint* mint);
    Entry* add(const MintUrl& url, MintRole role, std::unique_ptr<MintClient> client)
        REQUIRES(mutex_);
    // Connects it, if it is not known. Null where this node does not go.
    Entry* admit(const MintUrl& url, MintRole role) REQUIRES(mutex_);
    // Guests that nobody holds, in the order in which they came.
    std::vector<MintUrl> unheld() const;
    // Puts it back unless it is known again.
    void take_back(Entries gone);

    MintConnector* const connector_;
    const int guests_max_;
    const WalletMint* primary_ = nullptr;
    mutable Mutex mutex_;
    Entries entries_ GUARDED_BY(mutex_);
};

}  // namespace nutgate::cashu::wallet
