// Requests whose money is what the ledger holds for them, a hold each; and charges that a test says
// are on their way to the books.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "nutgate/cashier/spending.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/store/store.h"

namespace nutgate::test {

class HeldSpending final : public Spending {
public:
    HeldSpending(store::Database& database, const Ledger& ledger)
        : database_{database}, ledger_{ledger} {}

    View view(const KeyId& payer) const override {
        const auto balance =
            database_.read([&](store::Reader& reader) -> Result<Balance, store::StoreFailure> {
                return ledger_.balance(reader, key_account(payer));
            });
        return {.open = balance ? balance->held : Msat{}, .unposted = unposted};
    }
    Result<Pause, store::StoreFailure> pause(const KeyId& payer) override {
        if (on_pause) on_pause();
        return Pause{*this, payer, view(payer).open};
    }
    void credited(const KeyId&) override {}  // From many threads: nothing is kept of it.

    std::vector<Unposted> unposted;
    std::function<void()> on_pause;  // As charges are posted then.

private:
    void resume(const KeyId&) override {}

    store::Database& database_;
    const Ledger& ledger_;
};

}  // namespace nutgate::test
