"""kill -9 of nutgate, of its lnd and of the customer's, at every step of an invoice and of a payment.

The proxy between nutgate and alice holds a call at exactly two points: before alice sees it, and when she
has acted on it and nobody knows. What is in flight, bob holds: his invoice takes it and does not settle.
"""
import base64
import random

import fault_proxy
import harness
from lnd_case import GIVEN_UP_SECONDS, Asked, LndCase

MAKE, LOOK, SEND = "/v1/invoices$", "/v1/invoice/", "/v2/router/send"


class HoldSettled(fault_proxy.Hold):
    """Of looks at an invoice the first that tells, or would tell, that it was paid; and loses that."""

    def __init__(self, after: bool, is_settled):
        super().__init__(after, then_lose=True)
        self.is_settled = is_settled

    def __call__(self, exchange: fault_proxy.Exchange) -> None:
        reply = None if not self.after_the_mint and self.is_settled() else exchange.forward()
        if reply is not None and b"SETTLED" not in reply.body:
            exchange.answer(reply)
            return
        self.reached.set()
        self.released.wait(fault_proxy.FORWARD_SECONDS)
        exchange.close()


class NutgateKilled(LndCase):
    proxied = True

    def killed_at(self, method: str, path: str, ask, after: bool, late: bool = False) -> fault_proxy.Hold:
        """Kills it while the call is at that point. `late`: what was held may still arrive, by release()."""
        hold = fault_proxy.Hold(after, then_lose=not late)
        rule = self.proxy.on(method, path, hold)
        asked = Asked(ask) if ask else None
        hold.wait_reached()
        self.node.kill()
        self.node.audit()
        if not late:
            hold.release()
            rule.wait_met()
        if asked:
            asked.join()
        self.node.start()
        return hold

    def test_while_an_invoice_is_made(self) -> None:
        for after in (False, True):
            before = len(self.alice.invoices())
            self.killed_at("POST", MAKE, lambda: self.order(60), after)
            self.assertEqual(len(self.alice.invoices()) - before, int(after))
            # The buyer tries again. What nobody saw, nobody pays.
            order = self.order(60)
            self.pay_in(order)
            self.until_key(order)
        self.close_books()

    def test_while_an_invoice_that_it_never_heard_of_is_paid(self) -> None:
        """Nobody has its text but lnd. Should it be paid all the same, the money is accounted for."""
        self.killed_at("POST", MAKE, lambda: self.order(60), after=True)
        lost = next(one for one in self.alice.invoices() if one["r_hash"] not in self.invoices_before)
        self.assertEqual(self.bob.pay(lost["payment_request"])["status"], "SUCCEEDED")
        paid = base64.b64decode(lost["r_hash"]).hex()
        self.note(f"the books have {self.at_node()} msat of it")
        self.by_hand_in = 60_000 - self.at_node()
        self.wanted_in[paid] = 60_000
        self.close_books()

    def test_while_nobody_has_paid_and_when_it_is_paid_meanwhile(self) -> None:
        order, other = self.order(70), self.order(80)
        self.node.kill()
        self.pay_in(order)
        self.node.start()
        self.until_key(order)
        self.pay_in(other)
        self.until_key(other)
        self.close_books()

    def test_while_it_learns_that_it_was_paid(self) -> None:
        for after in (False, True):
            order = self.order(90)
            hold = HoldSettled(after, lambda: self.alice.invoice_state(order["payment_hash"]) == "SETTLED")
            # Whoever asks first, a hint, the watcher or the buyer.
            self.proxy.on("GET", LOOK, hold, times=1000)
            self.pay_in(order)
            Asked(lambda: self.status(order))
            hold.wait_reached()
            self.node.kill()
            hold.release()
            self.proxy.clear()
            self.node.start()
            self.until_key(order)
            self.node.kill()
            self.node.start()
            self.until_key(order)
        self.close_books()

    def test_while_it_tells_of_a_payment(self) -> None:
        for after in (False, True):
            key = self.buy(300)
            invoice = self.bob.invoice(200_000)
            self.killed_at("POST", SEND, lambda: self.ask_refund(key, invoice), after)
            self.until_refund(key, invoice, "paid")
            self.assertEqual(self.node.balance(key), 100_000)
        self.close_books()

    def test_before_a_payment_is_told_that_arrives_when_another_one_has(self) -> None:
        """Both reach lnd: one pays, the other is told so."""
        key = self.buy(300)
        invoice = self.bob.invoice(200_000)
        late = self.killed_at("POST", SEND, lambda: self.ask_refund(key, invoice), after=False, late=True)
        self.until_refund(key, invoice, "paid")
        late.release()
        harness.until(lambda: sum(path == SEND for _, path, _, _ in self.proxy.seen) >= 1, "it arrived")
        self.assertEqual(self.node.balance(key), 100_000)
        self.close_books()

    def test_before_it_looks_and_when_it_has_looked(self) -> None:
        for after in (False, True):
            key = self.buy(300)
            invoice = self.bob.invoice(200_000)
            self.killed_at("GET", "/v2/router/track/", lambda: self.ask_refund(key, invoice), after)
            self.proxy.clear()
            self.until_refund(key, invoice, "paid")
            self.assertEqual(self.node.balance(key), 100_000)
        self.close_books()

    def test_while_a_payment_is_in_flight(self) -> None:
        for settled in (True, False):
            key = self.buy(300)
            invoice = self.bob.hold_invoice(200_000)
            self.begin_refund(key, invoice)
            self.until_in_flight(invoice)
            self.node.kill()
            self.node.audit()
            self.node.start()
            self.assertEqual(self.refund_state(key, invoice)["status"], "pending")
            self.assertLess(self.node.balance(key), 100_000)
            self.node.kill()
            # It ends while nobody looks.
            if settled:
                self.bob.settle(invoice)
            else:
                self.bob.cancel(invoice["hash"])
            harness.until(lambda: self.alice.in_flight() == 0, "it has ended")
            self.node.start()
            self.until_refund(key, invoice, "paid" if settled else "failed")
            self.assertEqual(self.node.balance(key), 100_000 if settled else 300_000)
        self.close_books()


    def test_while_a_payout_is_in_flight(self) -> None:
        key = self.buy(1000)
        cost = self.chat(key)
        self.node.until_posted()
        for settled in (False, True):
            invoice = self.bob.hold_invoice(10_000)
            asked = Asked(lambda: self.node.command("payout", "send", invoice["bolt11"], check=False))
            self.until_in_flight(invoice)
            self.node.kill()
            asked.join()
            self.node.start()
            self.assertEqual(self.payout()["status"], "pending")
            if settled:
                self.bob.settle(invoice)
                self.wanted_out.add(invoice["hash"])
            else:
                self.bob.cancel(invoice["hash"])
            harness.until(lambda: self.payout()["status"] == ("paid" if settled else "failed"), "it has ended")
        self.assertEqual(self.node.balance(key), 1_000_000 - cost)
        self.close_books()


class LndKilled(LndCase):
    """alice. Nutgate runs on, and asks again."""

    proxied = True

    def killed_at(self, path: str, ask, after: bool) -> Asked:
        hold = fault_proxy.Hold(after, then_lose=True)
        rule = self.proxy.on("POST", path, hold)
        asked = Asked(ask)
        hold.wait_reached()
        self.alice.kill()
        hold.release()
        rule.wait_met()
        return asked

    def back(self) -> None:
        self.alice.start()
        self.network.until_connected()

    def test_while_it_makes_an_invoice(self) -> None:
        for after in (False, True):
            asked = self.killed_at(MAKE, lambda: self.node.ask("/lightning/invoice", body={"amount_sats": 60}),
                                   after)
            asked.join()
            self.assertEqual(asked.answer.status, 503, asked.answer)
            refused = self.node.ask("/lightning/invoice", body={"amount_sats": 60})
            self.assertEqual(refused.status, 503, refused)
            self.back()
            order = harness.until(lambda: (made := self.node.ask(
                "/lightning/invoice", body={"amount_sats": 60})).status == 200 and made, "it is back").json()
            self.pay_in(order)
            self.until_key(order)
        self.close_books()

    def test_when_an_invoice_was_paid_and_nobody_knew(self) -> None:
        order, other = self.order(70), self.order(80)
        hold = fault_proxy.Hold(False, then_lose=True)
        rule = self.proxy.on("GET", LOOK, hold, times=1000)
        self.pay_in(order)
        self.alice.kill()
        hold.release()
        self.assertIsNone(self.status(order).get("api_key"))
        rule.times = 0
        self.back()
        self.until_key(order)
        # Its invoices outlive it.
        self.pay_in(other)
        self.until_key(other)
        self.close_books()

    def test_while_it_is_told_of_a_payment(self) -> None:
        for after in (False, True):
            key = self.buy(300)
            invoice = self.bob.invoice(200_000)
            asked = self.killed_at(SEND, lambda: self.ask_refund(key, invoice), after)
            asked.join()
            self.assertEqual((asked.answer.status, asked.answer.json()["status"]), (200, "pending"))
            self.assertLess(self.node.balance(key), 100_001)
            self.back()
            self.until_refund(key, invoice, "paid")
            self.assertEqual(self.node.balance(key), 100_000)
        self.close_books()

    def test_before_it_is_told_of_anything(self) -> None:
        key = self.buy(300)
        invoice = self.bob.invoice(200_000)
        self.alice.kill()
        refused = self.ask_refund(key, invoice)
        self.assertEqual(refused.status, 502, refused)
        self.assertEqual(self.node.balance(key), 300_000)
        self.assertEqual(self.node.ask("/readyz").status, 200)
        self.back()
        again = self.bob.invoice(200_000)
        self.ask_refund(key, again)
        self.until_refund(key, again, "paid")
        self.assertEqual(self.bob.invoice_state(invoice["hash"]), "OPEN")
        self.close_books()

    def test_while_a_payment_is_in_flight(self) -> None:
        """Settled or cancelled while alice is away, or when she is back."""
        for settled, while_away in ((True, True), (False, True), (True, False), (False, False)):
            key = self.buy(300)
            invoice = self.bob.hold_invoice(200_000)
            asked = self.begin_refund(key, invoice)
            self.until_in_flight(invoice)
            self.alice.kill()

            def end() -> None:
                if settled:
                    self.bob.settle(invoice)
                else:
                    self.bob.cancel(invoice["hash"])
            if while_away:
                end()
            self.assertEqual(self.refund_state(key, invoice)["status"], "pending")
            self.back()
            if not while_away:
                self.assertEqual(self.refund_state(key, invoice)["status"], "pending")
                self.assertLess(self.node.balance(key), 100_000)
                end()
            self.until_refund(key, invoice, "paid" if settled else "failed")
            self.assertEqual(self.node.balance(key), 100_000 if settled else 300_000)
            asked.join()
        self.close_books()

    def test_both_at_once_in_flight(self) -> None:
        key = self.buy(300)
        invoice = self.bob.hold_invoice(200_000)
        self.begin_refund(key, invoice)
        self.until_in_flight(invoice)
        self.alice.kill()
        self.node.kill()
        self.node.start()
        self.assertEqual(self.refund_state(key, invoice)["status"], "pending")
        self.back()
        self.bob.settle(invoice)
        self.until_refund(key, invoice, "paid")
        self.close_books()


class PayeeKilled(LndCase):
    def test_while_it_has_a_payment_in_its_hands(self) -> None:
        for settled in (True, False):
            key = self.buy(300)
            invoice = self.bob.hold_invoice(200_000)
            self.begin_refund(key, invoice)
            self.until_in_flight(invoice)
            self.bob.kill()
            self.assertEqual(self.refund_state(key, invoice)["status"], "pending")
            self.bob.start()
            self.network.until_connected()
            if settled:
                self.bob.settle(invoice)
            else:
                self.bob.cancel(invoice["hash"])
            self.until_refund(key, invoice, "paid" if settled else "failed")
            self.assertEqual(self.node.balance(key), 100_000 if settled else 300_000)
        self.close_books()


class Drawn(LndCase):
    """Refunds and top-ups, with nutgate and alice killed at moments that are drawn."""

    proxied = True
    ROUNDS, SEED = 8, 20_261_129

    def until_lnd_knows(self, key: str, invoice: dict) -> dict:
        """Killed at the wrong moment, lnd 0.21.2 leaves a payment in flight for good that never left it. As
        long as it says so, nutgate may say nothing else; then there is no more to see."""
        try:
            return self.until_ended(key, invoice, GIVEN_UP_SECONDS)
        except AssertionError:
            payment = self.alice.payment(invoice["hash"])
            self.assertEqual(payment["status"], "IN_FLIGHT", payment)
            self.assertEqual(self.bob.invoice_state(invoice["hash"]), "OPEN")
            self.assertEqual(self.refund_state(key, invoice)["status"], "pending")
        self.node.audit()
        return self.skipTest(f"lnd itself has {invoice['hash']} in flight for good, and bob has never seen it")

    def test_at_points_that_are_drawn(self) -> None:
        draw = random.Random(self.SEED)
        keys = [self.buy(400) for _ in range(3)]
        expected = {key: 400_000 for key in keys}
        failed = 0
        for round_ in range(self.ROUNDS):
            orders = [self.order(30) for _ in keys]
            invoices = {key: self.bob.invoice(20_000) for key in keys}
            asked = [self.begin_refund(key, invoice) for key, invoice in invoices.items()]
            paying = [Asked(lambda order=order: self.bob.pay(order["bolt11"])) for order in orders]
            victim = draw.choice((self.node, self.alice))
            harness.time.sleep(draw.uniform(0, 0.25))
            victim.kill()
            victim.start()
            self.network.until_connected()
            for one in asked + paying:
                one.join()
            # Whoever got no answer asks again, by the same invoice. It may have failed: an lnd that is just
            # back has no route yet. Then all is back, and another one is asked for.
            for key, invoice in invoices.items():
                while (state := self.until_lnd_knows(key, invoice))["status"] != "paid":
                    failed += 1
                    self.assertEqual(self.node.balance(key), expected[key], state)
                    self.network.until_connected()
                    invoice = self.bob.invoice(20_000)
                    self.ask_refund(key, invoice)
                self.wanted_out.add(invoice["hash"])
                expected[key] -= 20_000
                self.assertEqual(self.node.balance(key), expected[key])
            for order in orders:
                if self.alice.invoice_state(order["payment_hash"]) != "SETTLED":
                    self.assertEqual(self.bob.pay(order["bolt11"])["status"], "SUCCEEDED")
                self.wanted_in[order["payment_hash"]] = 30_000
                self.until_key(order)
            self.note(f"round {round_}: {'nutgate' if victim is self.node else 'alice'} was killed; "
                      f"{failed} payments have failed so far")
        self.close_books()


CASES = [NutgateKilled, LndKilled, PayeeKilled, Drawn]
