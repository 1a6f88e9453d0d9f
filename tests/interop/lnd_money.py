"""Invoices, refunds and payouts at real lnd, as buyers, wallets and operators have them."""
import json
import threading

import harness
from lnd_case import LndCase
from lnd_network import routing_fee


class Sold(LndCase):
    def test_an_invoice_a_chat_a_refund_and_a_payout(self) -> None:
        told = json.loads(self.node.command("doctor", "--config", self.config_file, "--json").stdout)
        self.assertTrue(told["well"], told)
        self.assertTrue(told["lightning"][0]["run_against_a_real_node"])
        self.note(f"doctor: {told['lightning'][0]}")

        order = self.order(1000)
        self.assertEqual(self.status(order)["status"], "pending")
        self.pay_in(order)
        began = harness.time.monotonic()
        key = self.until_key(order)
        self.note(f"the key was live {harness.time.monotonic() - began:.2f} s after bob had his receipt")
        cost = self.chat(key)
        self.assertEqual(self.node.balance(key), 1_000_000 - cost)

        invoice = self.bob.invoice(300_000)
        estimate = self.node.ask("/v1/balance/refund/estimate", body={"bolt11": invoice["bolt11"]}, key=key)
        self.assertTrue(estimate.json()["is_exact"], estimate)
        sent = self.ask_refund(key, invoice)
        self.assertEqual(sent.status, 200, sent)
        paid = self.until_refund(key, invoice, "paid")
        self.assertEqual((paid["fee_msats"], paid["payment_hash"]), (0, invoice["hash"]))
        self.assertEqual(self.node.balance(key), 700_000 - cost)
        # The same again is the same, and nothing is paid twice.
        again = self.ask_refund(key, invoice)
        self.assertEqual((again.status, again.json()["status"]), (200, "paid"), again)
        self.assertEqual(self.node.balance(key), 700_000 - cost)

        # The owner's: what was earned.
        self.node.until_posted()
        target = self.bob.invoice(10_000, "payout")
        request = 32 * "b"
        for _ in range(2):
            out = json.loads(self.node.command("payout", "send", target["bolt11"], "--request", request,
                                               "--json").stdout)
            self.assertEqual(out["amount_msat"], 10_000)

        harness.until(lambda: self.payout()["status"] == "paid", "the payout is paid")
        self.wanted_out.add(target["hash"])
        refused = self.node.command("payout", "send", self.bob.invoice(900_000)["bolt11"], check=False)
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertEqual(self.node.balance(key), 700_000 - cost, "customers' money is no payout")
        self.close_books()

    def test_a_top_up_and_what_is_left_goes_to_a_node_behind_another(self) -> None:
        key = self.buy(500)
        made = self.node.ask("/lightning/invoice", body={"amount_sats": 1500, "purpose": "topup"}, key=key)
        self.assertEqual(made.status, 200, made)
        self.pay_in(made.json(), self.carol)
        harness.until(lambda: self.node.balance(key) == 2_000_000, "it is credited")
        amount = 1_700_000
        fee = routing_fee(amount)
        invoice = self.carol.invoice(amount, private=True)
        self.assertEqual(self.ask_refund(key, invoice).status, 200)
        paid = self.until_refund(key, invoice, "paid")
        self.assertEqual(paid["fee_msats"], fee)
        self.assertEqual(self.node.balance(key), 2_000_000 - amount - fee)
        self.note(f"a fee of {fee} msat, of a reserve of {paid['fee_reserve_msats']}")
        self.close_books()

    def test_a_payee_that_costs_too_much_is_not_paid(self) -> None:
        """More than the reserve: nothing is on its way, and all of it is back."""
        key = self.buy(3000)
        dear = {"base_fee_msat": "500000", "fee_rate_ppm": 1000, "time_lock_delta": 80, "global": True}
        self.bob.post("/v1/chanpolicy", **dear)
        try:
            invoice = self.carol.invoice(1_000_000, private=True)
            self.ask_refund(key, invoice)
            self.until_refund(key, invoice, "failed")
        finally:
            self.bob.post("/v1/chanpolicy", **{**dear, "base_fee_msat": "1000"})
        self.assertEqual(self.node.balance(key), 3_000_000)
        self.close_books()


class Received(LndCase):
    """What arrives is credited, no more and no less, whatever was asked for."""

    def test_more_is_credited_and_less_is_not_taken(self) -> None:
        order = self.order(100)
        less = self.shard(order, 99_999)
        self.assertEqual((less["status"], less["failure"]["code"]),
                         ("FAILED", "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS"))
        self.assertEqual(self.status(order)["status"], "pending")
        more = self.shard(order, 123_456)
        self.assertEqual(more["status"], "SUCCEEDED", more)
        self.wanted_in[order["payment_hash"]] = 123_456
        self.until_key(order, 123_456)
        # bob's lnd does not pay twice; carol's has never heard of it, and alice refuses her.
        self.assertEqual(self.carol.pay(order["bolt11"])["status"], "FAILED")
        self.close_books()

    def test_in_parts_it_is_credited_once_and_only_when_all_have_come(self) -> None:
        order = self.order(200)
        parts: list = []
        first = threading.Thread(target=lambda: parts.append(self.shard(order, 80_000, 200_000)))
        first.start()
        harness.until(lambda: self.alice.in_flight() == 1, "the first part is there")
        # The node asks each second: it has seen this.
        for _ in range(2):
            self.node.ask(f"/lightning/invoice/{order['invoice_id']}/status?wait=1")
        self.assertEqual(self.status(order)["status"], "pending")
        self.assertEqual(self.at_node(), 0)
        parts.append(self.shard(order, 120_000, 200_000))
        first.join()
        self.assertEqual([part["status"] for part in parts], ["SUCCEEDED"] * 2)
        self.wanted_in[order["payment_hash"]] = 200_000
        self.until_key(order)
        self.close_books()

    def test_cancelled_by_its_holder_and_paid_all_the_same(self) -> None:
        order = self.order(70)
        self.node.ask(f"/lightning/invoice/{order['invoice_id']}/cancel", "POST")
        self.assertEqual(self.status(order)["status"], "cancelled")
        self.pay_in(order)
        self.until_key(order)
        self.close_books()

    def test_cancelled_at_lnd_nobody_can_pay_it(self) -> None:
        order = self.order(70)
        self.alice.cancel(order["payment_hash"])
        self.assertEqual(self.bob.pay(order["bolt11"])["status"], "FAILED")
        status = self.status(order)
        self.note(f"to its buyer it is {status['status']}")
        self.assertIsNone(status.get("api_key"))
        # Nobody waits for it any more when he says so.
        self.node.ask(f"/lightning/invoice/{order['invoice_id']}/cancel", "POST")
        self.assertEqual(self.status(order)["status"], "cancelled")
        self.close_books()


class Late(LndCase):
    expiry = 60

    def test_paid_in_time_and_seen_too_late_or_not_paid_in_time(self) -> None:
        in_time, too_late = self.order(90), self.order(80)
        self.node.kill()
        self.pay_in(in_time)
        harness.until(lambda: self.alice.invoice_state(too_late["payment_hash"]) == "CANCELED",
                      "lnd holds it to be expired", 100)
        self.assertEqual(self.shard(too_late, 80_000)["failure"]["code"],
                         "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS")
        self.node.start()
        self.until_key(in_time)
        self.assertEqual(self.status(too_late)["status"], "expired")
        self.close_books()


class Refunded(LndCase):
    def ends_unpaid(self, key: str, invoice: dict, msat: int) -> None:
        answer = self.ask_refund(key, invoice)
        self.assertIn(answer.status, (200, 502), answer)
        state = self.until_refund(key, invoice, "failed")
        self.note(f"reason: {state['reason']}")
        self.assertEqual(self.node.balance(key), msat)
        # For good: the same name pays nothing any more.
        again = self.ask_refund(key, invoice)
        self.assertNotEqual(again.json().get("status"), "paid", again)
        self.assertEqual(self.node.balance(key), msat)

    def test_without_a_route_it_is_back(self) -> None:
        key = self.buy(400)
        # alice has never heard of carol, and this invoice does not say how to find her.
        self.ends_unpaid(key, self.carol.invoice(200_000), 400_000)
        # Nobody is there.
        self.bob.kill()
        harness.until(lambda: not self.alice.has_peer(self.bob), "alice has seen that he is gone")
        self.ends_unpaid(key, self.no_longer_there, 400_000)
        self.bob.start()
        self.network.until_connected()
        self.assertEqual(self.bob.invoice_state(self.no_longer_there["hash"]), "OPEN")
        self.close_books()

    def setUp(self) -> None:
        super().setUp()
        self.no_longer_there = self.bob.invoice(150_000)

    def test_of_what_was_paid_or_cancelled_before_it_is_back(self) -> None:
        key = self.buy(400)
        paid = self.bob.invoice(100_000)
        self.assertEqual(self.carol.pay(paid["bolt11"])["status"], "SUCCEEDED")
        self.ends_unpaid(key, paid, 400_000)
        cancelled = self.bob.invoice(100_000)
        self.bob.cancel(cancelled["hash"])
        self.ends_unpaid(key, cancelled, 400_000)
        self.close_books()

    def test_of_what_the_operator_has_paid_by_hand_it_is_that_payment(self) -> None:
        """One hash is one payment, whoever told the node of it; the books never have more than lnd does."""
        key = self.buy(400)
        paid = self.bob.invoice(100_000)
        self.assertEqual(self.alice.pay(paid["bolt11"])["status"], "SUCCEEDED")
        self.assertEqual(self.ask_refund(key, paid).json()["status"], "paid")
        self.wanted_out.add(paid["hash"])
        self.assertEqual(self.node.balance(key), 300_000)
        self.close_books()

    def test_to_ourselves_it_is_refused(self) -> None:
        key = self.buy(400)
        own = self.order(50)
        refused = self.ask_refund(key, {"bolt11": own["bolt11"]})
        self.assertEqual((refused.status, refused.json()["error"]["code"]), (400, "invoice_ours"))
        # Of other software at the same lnd: lnd itself says no.
        self.ends_unpaid(key, self.alice.invoice(50_000), 400_000)
        self.close_books()

    def test_that_its_payee_holds_it_is_pending_until_he_has_decided(self) -> None:
        key = self.buy(500)
        for settled in (True, False):
            before = self.node.balance(key)
            invoice = self.bob.hold_invoice(100_000)
            asked = self.begin_refund(key, invoice)
            self.until_in_flight(invoice)
            harness.until(lambda: self.refund_state(key, invoice).get("status") == "pending", "pending")
            second = self.ask_refund(key, self.bob.invoice(10_000))
            self.assertEqual((second.status, second.json()["error"]["code"]), (409, "refund_in_progress"))
            self.assertLess(self.node.balance(key), before - 100_000)
            if settled:
                self.bob.settle(invoice)
            else:
                self.bob.cancel(invoice["hash"])
            self.until_refund(key, invoice, "paid" if settled else "failed")
            self.assertEqual(self.node.balance(key), before - 100_000 if settled else before)
            asked.join()
        self.close_books()

    def test_with_credentials_for_less_nothing_is_told(self) -> None:
        key = self.buy(200)
        self.node.stop()
        text = self.config_file.read_text()
        # A macaroon that only receives, where one that pays belongs.
        self.config_file.write_text(text.replace(
            str(self.alice.folder / "pay.macaroon.hex"), str(self.alice.macaroons / "invoice.macaroon")))
        self.node.start()
        self.assertEqual(self.ask_refund(key, self.no_longer_there).status, 502)
        self.assertEqual(self.node.balance(key), 200_000)
        self.assertIsNone(self.alice.payment(self.no_longer_there["hash"]))
        self.node.stop()
        self.config_file.write_text(text)
        self.node.start()
        again = self.bob.invoice(60_000)
        self.assertEqual(self.ask_refund(key, again).status, 200)
        self.until_refund(key, again, "paid")
        self.close_books()


CASES = [Sold, Received, Late, Refunded]
