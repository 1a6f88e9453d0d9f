// What holds for each kind of node beyond the contract: nothing that it says is believed unseen.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "contract/lightning_contract.h"
#include "nutgate/lightning/node.h"

namespace nutgate::test {

template <class Rig>
void check_distrust() {
    Rig rig;
    SUBCASE("an invoice that the node changed is refused") {
        const auto invoice = [](Network network, Msat amount) {
            return write_bolt11({.network = network,
                                 .amount = amount,
                                 .created_at = SystemClock{}.now(),
                                 .payment_hash = PaymentHash{ByteArray<32>{std::byte{1}}},
                                 .payment_secret = {},
                                 .description = "top up"},
                                *crypto::Scalar::from_hex(std::string(64, '9')));
        };
        for (const auto& shown :
             {invoice(Network::Regtest, contract::kAmount),  // Over another hash than what it says.
              invoice(Network::Regtest, 20'000_msat),        // Over less.
              invoice(Network::Bitcoin, contract::kAmount),  // In another network.
              std::string{"lnbcrt1nothing"}}) {
            rig.node.show_instead(shown);
            CHECK_EQ(rig.backend().create_invoice(contract::invoice_order("a")).error(),
                     BackendError::Refused);
        }
        rig.node.show_instead("");
        CHECK(rig.backend().create_invoice(contract::invoice_order("b")).has_value());
    }
    SUBCASE("a preimage that proves nothing settles nothing, either way") {
        const auto invoice = rig.backend().create_invoice(contract::invoice_order("a"));
        REQUIRE(invoice.has_value());
        rig.node.pay_in(invoice->hash, contract::kAmount);
        const auto order = contract::payment_order(
            rig.node.outside_invoice(contract::kAmount, LightningRig::Outcome::Paid));
        rig.node.lie_about_preimages();
        CHECK_EQ(rig.backend().incoming(invoice->hash)->state, PaymentState::Pending);
        CHECK_EQ(rig.backend().pay(order)->state, PaymentState::Pending);
        CHECK_EQ(rig.backend().outgoing(order.hash)->state, PaymentState::Pending);
    }
    SUBCASE("it says who it is") {
        const auto status = rig.backend().status();
        REQUIRE(status.has_value());
        if (status->network) CHECK_EQ(*status->network, Network::Regtest);
        CHECK(status->synced);
        rig.stop_node();
        CHECK_EQ(rig.backend().status().error(), BackendError::Unreachable);
    }
    SUBCASE("the fee that it estimates is enough to pay with") {
        const auto bolt11 =
            rig.node.outside_invoice(contract::kAmount, LightningRig::Outcome::Paid);
        auto order = contract::payment_order(bolt11);
        order.fee_max = *rig.backend().estimate_fee(*parse_bolt11(bolt11), contract::kAmount);
        const auto paid = rig.backend().pay(order);
        contract::check_settled(paid, order.hash);
        CHECK_LE(paid->fee, order.fee_max);
        CHECK_GT(paid->fee, Msat{});
    }
}

}  // namespace nutgate::test
