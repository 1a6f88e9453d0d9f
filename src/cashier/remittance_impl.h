// What the Remitter's files share.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "impl.h"
#include "nutgate/base/sync.h"
#include "nutgate/cashier/remittance.h"

namespace nutgate {

// At most so many at a time. Thread-safe.
class PayingSlots {
public:
    explicit PayingSlots(std::size_t most) : free_{most} {}

    class Slot {
    public:
        explicit Slot(PayingSlots& slots) : slots_{&slots} {}
        Slot(Slot&& other) noexcept : slots_{std::exchange(other.slots_, nullptr)} {}
        Slot& operator=(Slot&&) = delete;
        ~Slot() {
            if (slots_ != nullptr) slots_->give_back();
        }

    private:
        PayingSlots* slots_;
    };
    std::optional<Slot> take() {
        const Lock lock{mutex_};
        if (free_ == 0) return std::nullopt;
        --free_;
        return std::optional<Slot>{std::in_place, *this};
    }

private:
    void give_back() {
        const Lock lock{mutex_};
        ++free_;
    }

    Mutex mutex_;
    std::size_t free_ GUARDED_BY(mutex_);
};

struct Remitter::Impl {
    Cashier::Impl& my;
    const Options options;
    metrics::Counter& paid;
    metrics::Counter& failed;
    PayingSlots slots;
    std::function<void(const Remittance&)> told{};  // Constant after the first call.

    Mutex mutex{};
    // Known to be under way, so that its end is noticed whoever brings it about.
    std::map<std::string, Purse> open GUARDED_BY(mutex){};
    // Whose node is being told at this moment. A second telling beside it could be refused, and be
    // believed, while the first is still on its way.
    std::set<std::string> being_told GUARDED_BY(mutex){};

    struct Stored {
        Remittance shown;
        std::string reference;
        std::optional<Msat> asked;
        std::string bolt11;
        std::optional<OperationId> operation;  // The wallet's; empty: a node pays.
        std::int64_t tellings = 0;
    };
    // An invoice that may be paid out of that purse.
    struct Bill {
        std::string bolt11;
        Bolt11 invoice;
        Msat amount;
    };
    // Who pays it: a node, or a mint.
    struct Way {
        LightningBackend* node = nullptr;
        cashu::Wallet::Owned<cashu::Wallet::PreparedMelt> melt{};
        Msat fee_max{};
    };
    struct PurseView {
        Msat available;
        Msat reserved;  // For requests under way: comes back, most of it.
    };

    Result<std::optional<Stored>, CashierError> find(std::string_view reference);
    Result<PurseView, CashierError> look(const Purse& purse);
    // Of a key that has none under way.
    Result<PurseView, CashierError> look_at_key(const KeyId& key);
    Result<PurseView, CashierError> look_at_owner();
    Result<void, CashierError> check_none_open(store::Reader& reader, const Purse& purse) const;
    Result<void, CashierError> check_fit(const Purse& purse, const std::optional<Bill>& bill);
    Result<Way, CashierError> choose_way(const Bill& bill);
    Result<Stored, CashierError> begin(const Purse& purse, const RemittanceOrder& order,
                                       const Bill& bill, const Way& way);
    Result<Stored, CashierError> begin(store::Tx& tx, const Purse& purse,
                                       const RemittanceOrder& order, const Bill& bill,
                                       const Way& way);
    Result<std::vector<Cashier::Impl::Part>, CashierError> parts_of(store::Reader& reader,
                                                                    const Purse& purse,
                                                                    Msat taken) const;
    Result<Remittance, CashierError> join(const Stored& row, const RemittanceOrder& order);
    Result<Remittance, CashierError> finish(const Stored& row);
    void run(const Stored& row);
    // False if nobody answered.
    bool pay_at_node(const Stored& row);
    bool tell_node(const Stored& row, LightningBackend& payer);
    void end_at_node(const Stored& row, const Payment& payment);
    // What one telling came to is certain only while there was no other: somebody else may be
    // telling the node at this moment. Empty: the node itself said that the payment has failed.
    void give_up(const Stored& row, CashierError::Code why, std::optional<std::int64_t> telling);
    // Tells who waits, once.
    void note(const Remittance& remittance, const std::string& reference);

    // remittance_target.cpp
    Result<std::optional<Bill>, CashierError> read_invoice(const RemittanceOrder& order) const;
    Result<Bill, CashierError> ask_invoice(const RemittanceOrder& order, const PurseView& purse);
    Result<std::pair<LnurlPay, Msat>, CashierError> ask_address(const RemittanceOrder& order,
                                                                const PurseView& purse);
    Msat reserve_of(Msat amount) const;
    // Not one that this node waits for, pays, or has paid.
    Result<void, CashierError> check_payment(store::Reader& reader,
                                             const PaymentHash& payment) const;
};

// With the numbers: they say what would do.
CashierError balance_insufficient(Msat amount, Msat fee_max, Msat available);

}  // namespace nutgate
