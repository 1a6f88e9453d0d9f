// Random customers: whatever they swap, mint and melt, rightly or wrongly, what the mint owes is
// what they hold.
#include <doctest/doctest.h>

#include <rapidcheck.h>

#include "cashu/mint_world.h"

using namespace nutgate;
using namespace nutgate::test;

namespace {

struct Customer {
    explicit Customer(MintWorld& mint_world) : world{mint_world} {}

    Amount owns() const { return cashu::sum(purse).value(); }

    std::vector<Proof> take(std::size_t count) {
        std::vector<Proof> taken;
        while (!purse.empty() && taken.size() < count) {
            const auto index = *rc::gen::inRange<std::size_t>(0, purse.size());
            taken.push_back(purse[index]);
            purse.erase(purse.begin() + static_cast<std::ptrdiff_t>(index));
        }
        return taken;
    }
    void put(const std::vector<Proof>& proofs) {
        purse.insert(purse.end(), proofs.begin(), proofs.end());
    }

    void mint() {
        const auto amount = *rc::gen::inRange<Amount>(1, 200);
        put(world.buy(cashu::split(amount)));
    }
    // What is spent, swapped back and forth, doubled, or shortened.
    void swap() {
        const auto inputs = take(*rc::gen::inRange<std::size_t>(1, 6));
        if (inputs.empty()) return;
        const Amount sum = cashu::sum(inputs).value();
        const Amount fee = (inputs.size() * world.options.input_fee_ppk + 999) / 1000;
        const auto off = *rc::gen::weightedElement<int>({{6, 0}, {1, 1}, {1, -1}});
        const Amount net = sum < fee ? 0 : sum - fee;
        const Amount wanted = off < 0 && net == 0 ? 0 : net + static_cast<Amount>(off);
        auto amounts = cashu::split(wanted);
        if (amounts.size() == 1 && amounts[0] > 1) amounts = {amounts[0] / 2, amounts[0] / 2};
        const auto blinded = world.blind(amounts);
        const auto answer = world.swap(inputs, blinded);
        if (off == 0 && wanted > 0) {
            RC_ASSERT(answer.status == 200);
            put(world.unblind(blinded, wire::parse_signatures(answer.body).value()));
            RC_ASSERT(code(world.swap(inputs, world.blind(amounts))) == 11001);
        } else {
            RC_ASSERT(answer.status == 400);
            put(inputs);
        }
    }
    void melt() {
        const auto inputs = take(*rc::gen::inRange<std::size_t>(1, 6));
        if (inputs.empty()) return;
        const auto amount = *rc::gen::inRange<std::int64_t>(1, 100'000);
        const auto paid = Msat::from_raw(amount).value();
        world.lightning.set_fee(Msat::from_raw(*rc::gen::inRange<std::int64_t>(0, 3000)).value());
        using Outcome = FakeLightning::Outcome;
        const auto outcome = *rc::gen::element(Outcome::Paid, Outcome::Refused, Outcome::Unknown);
        const auto end = *rc::gen::element(PaymentState::Settled, PaymentState::Failed);
        const std::string invoice = world.lightning.outside_invoice(paid);
        const auto quote = world.melt_quote(invoice);
        const auto blanks =
            world.blind(std::vector<Amount>(*rc::gen::inRange<std::size_t>(0, 9), 0));
        const Amount fee = (inputs.size() * world.options.input_fee_ppk + 999) / 1000;
        if (cashu::sum(inputs).value() < quote.amount + quote.fee_reserve + fee) {
            RC_ASSERT(code(world.melt(quote, inputs, blanks)) == 11005);
            return put(inputs);
        }
        world.lightning.next_pay(outcome);
        world.melt(quote, inputs, blanks);
        if (outcome == Outcome::Unknown) {
            audit(*world.database);
            world.lightning.conclude(hash_of(invoice), end);
            world.mint->poll();
        }
        const auto ended = world.melt_quote_again(quote.quote);
        const bool settled = outcome == Outcome::Paid ||
                             (outcome == Outcome::Unknown && end == PaymentState::Settled);
        RC_ASSERT((ended.state == wire::MeltState::Paid) == settled);
        put(settled ? world.unblind(blanks, ended.change) : inputs);
    }

    MintWorld& world;
    std::vector<Proof> purse;
};

}  // namespace

TEST_CASE("mint model: what it owes is what its customers hold, whatever they do") {
    const bool holds = rc::check([] {
        MintWorld world{{.input_fee_ppk = *rc::gen::element<std::uint64_t>(0, 100, 1500)}};
        Customer customer{world};
        customer.mint();
        const int steps = *rc::gen::inRange(1, 12);
        for (int i = 0; i < steps; ++i) {
            const int what = *rc::gen::inRange(0, 4);
            if (what == 0) customer.mint();
            if (what == 1) customer.melt();
            if (what > 1) customer.swap();
            RC_ASSERT(audit(*world.database) == cashu::to_msat(customer.owns(), Unit::Sat).value());
        }
    });
    CHECK(holds);
}
