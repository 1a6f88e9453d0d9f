// Offers whose world is a script, for the tests of what stands on them. It keeps the contract
// (tests/contract/offer_contract.h runs against it) and forgets all when it goes.
//
//     fake.pay(offer.id, 21'000_msat);    // Somebody pays, each time under another hash.
//     fake.set_down(true);                // Unreachable, until set_down(false).
#pragma once

#include <charconv>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nutgate/base/sync.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/random.h"
#include "nutgate/lightning/bolt12.h"
#include "nutgate/lightning/offers.h"

namespace nutgate::test {

// Thread-safe.
class FakeOffers final : public OfferBackend {
public:
    explicit FakeOffers(std::string name = "fake") : name_{std::move(name)} {}

    PaymentHash pay(const OfferId& offer, Msat amount) {
        const Lock lock{mutex_};
        const PaymentHash hash{random_.bytes<32>()};
        paid_.push_back({.offer = offer, .hash = hash, .amount = amount});
        return hash;
    }
    // An offer of somebody else's, at the same node.
    void pay_others() { (void)pay(OfferId{ByteArray<32>{std::byte{9}}}, *Msat::from_raw(7'000)); }
    // Of marks that it gave before it knows nothing more.
    void forget_payments() {
        const Lock lock{mutex_};
        paid_.clear();
    }
    void set_down(bool down) {
        const Lock lock{mutex_};
        down_ = down;
    }
    bool is_closed(const OfferId& offer) const {
        const Lock lock{mutex_};
        return closed_.contains(offer);
    }
    int times_asked() const {
        const Lock lock{mutex_};
        return asked_;
    }

    std::string name() const override { return name_; }

    // Called with each new one before it is answered.
    std::function<void(const NodeOffer&)> on_made;

    Result<NodeOffer, BackendError> create_offer(const OfferOrder& order) override {
        auto made = make(order);
        if (made && on_made) on_made(*made);
        return made;
    }

    Result<void, BackendError> close_offer(const OfferId& offer) override {
        const Lock lock{mutex_};
        if (down_) return fail(BackendError::Unreachable);
        closed_.insert(offer);
        return {};
    }

    Result<OfferPayments, BackendError> payments(std::string_view mark) override {
        const Lock lock{mutex_};
        ++asked_;
        if (down_) return fail(BackendError::Unreachable);
        std::size_t next = 0;
        if (!mark.empty()) {
            const auto [end, error] = std::from_chars(mark.data(), mark.data() + mark.size(), next);
            if (error != std::errc{} || next > paid_.size()) return fail(BackendError::Refused);
        }
        OfferPayments found;
        for (; next < paid_.size() && found.payments.size() < kAtOnce; ++next) {
            found.payments.push_back(paid_[next]);
        }
        found.mark = std::to_string(next);
        found.is_more = next < paid_.size();
        return found;
    }

private:
    static constexpr std::size_t kAtOnce = 10;

    Result<NodeOffer, BackendError> make(const OfferOrder& order) {
        const Lock lock{mutex_};
        if (down_) return fail(BackendError::Unreachable);
        if (order.label.empty() || order.amount == Msat{}) return fail(BackendError::Refused);
        if (const auto made = made_.find(order.label); made != made_.end()) {
            if (made->second.first != order.amount) return fail(BackendError::Refused);
            return made->second.second;
        }
        const auto key = *crypto::Scalar::from_hex(std::string(64, '1'));
        const auto mark = random_.bytes<16>();
        const auto text = write_offer({.network = Network::Regtest,
                                       .metadata = Bytes{mark.begin(), mark.end()},
                                       .amount = order.amount,
                                       .description = order.description,
                                       .issuer_id = crypto::generator_times(key).compressed()});
        const NodeOffer offer{.id = OfferId{parse_offer(text)->id}, .bolt12 = text};
        made_.emplace(order.label, std::pair{order.amount, offer});
        return offer;
    }

    const std::string name_;
    mutable Mutex mutex_;
    crypto::SystemRandom random_ GUARDED_BY(mutex_);
    std::map<std::string, std::pair<std::optional<Msat>, NodeOffer>> made_ GUARDED_BY(mutex_);
    std::vector<OfferPayment> paid_ GUARDED_BY(mutex_);
    std::set<OfferId> closed_ GUARDED_BY(mutex_);
    int asked_ GUARDED_BY(mutex_) = 0;
    bool down_ GUARDED_BY(mutex_) = false;
};

}  // namespace nutgate::test
