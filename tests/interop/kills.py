"""kill -9 of the mint and of the node, at points that are chosen and at points that are drawn.

The proxy holds a call at exactly two points: before the mint sees it, and when the mint has acted on it
and nobody knows. There one of the two is killed and started again on its own database.
"""
import random
import threading

import case
import fault_proxy
import harness

SWAP, ISSUE = "/v1/swap", "/v1/mint/bolt11$"


class Asked(threading.Thread):
    """A request whose answer may never come: the one who would answer is killed meanwhile."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.answer = ask, None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self.ask()
        except OSError:
            pass


class Killing(case.WalletCase):
    """With 256 sat of somebody else's in the wallet, and 128 of which a chat is bought, the refund of 127
    does not fit without a swap, and its fee is there."""

    proxied = True

    def until_created(self, token: str) -> str:
        """The key of a deposit that was begun; asked again as a client would."""
        net = self.net_of(token)
        self.until_resolved()
        made = harness.until(lambda: (answer := self.create(token)).status == 200 and answer,
                             "the deposit is answered", case.RESOLVED_SECONDS)
        return self.deposited(token, made, net)

    def until_refunded(self, key: str) -> str:
        self.until_resolved()
        made = harness.until(
            lambda: (answer := self.node.ask("/v1/balance/refund", "POST", key=key)).status == 200
            and answer, "the refund is answered", case.RESOLVED_SECONDS)
        return self.refunded(made)

    def invoice(self, sats: int) -> str:
        """Its status' path."""
        made = self.node.ask("/lightning/invoice", body={"amount_sats": sats})
        self.assertEqual(made.status, 200, made)
        self.paid_in += sats
        return f"/lightning/invoice/{made.json()['invoice_id']}/status"

    def until_bought(self, path: str, sats: int) -> str:
        key = harness.until(lambda: self.node.ask(path).json().get("api_key"), "the invoice is credited",
                            case.RESOLVED_SECONDS)
        self.assertEqual(self.node.balance(key), sats * 1000)
        return key


class MintKilled(Killing):
    def held(self, path: str, after_the_mint: bool, ask, return_after: int = 0) -> None:
        """Asks, kills the mint while the call is at that point, and starts it again, once the node has
        tried so often."""
        hold = fault_proxy.Hold(after_the_mint, then_lose=True)
        rule = self.proxy.on("POST", path, hold)
        asked = Asked(ask)
        hold.wait_reached()
        self.mint.kill()
        self.audit()
        hold.release()
        rule.wait_met()
        harness.until(lambda: self.under_way()[0]["attempts"] >= return_after,
                      f"{return_after} attempts", 200)
        self.mint.start()
        asked.join()

    def runs_through(self, after_the_mint: bool) -> None:
        self.buy(256)
        token = self.hand_out(80)
        self.held(SWAP, after_the_mint, lambda: self.create(token))
        self.until_created(token)

        hold = fault_proxy.Hold(after_the_mint, then_lose=True)
        self.proxy.on("POST", ISSUE, hold)
        path = self.invoice(128)
        hold.wait_reached()
        self.mint.kill()
        hold.release()
        self.mint.start()
        key = self.until_bought(path, 128)

        self.chat(key)
        self.held(SWAP, after_the_mint, lambda: self.node.ask("/v1/balance/refund", "POST", key=key))
        refund = self.until_refunded(key)
        self.assertEqual(case.tokens.worth(refund), 127)
        self.redeem(refund)
        self.close_books()

    def test_before_it_saw_the_call(self) -> None:
        self.runs_through(after_the_mint=False)

    def test_when_it_had_acted_and_nobody_knew(self) -> None:
        self.runs_through(after_the_mint=True)

    def test_before_anything_was_asked(self) -> None:
        key = self.buy(64)
        token = self.hand_out(30)
        net = self.net_of(token)
        self.mint.kill()
        answer = self.create(token)
        self.assertEqual(answer.status, 503, answer)
        refund = self.node.ask("/v1/balance/refund", "POST", key=key)  # Proofs that fit need no mint.
        self.assertEqual(refund.status, 200, refund)
        self.refunded(refund)
        self.audit()
        self.mint.start()
        self.deposited(token, self.create(token), net)
        self.redeem(refund.json()["token"])
        self.close_books()

    def test_for_long_while_the_node_had_something_to_finish(self) -> None:
        """It has asked six times by then, after pauses that double; its return is noticed all the same."""
        token = self.hand_out(80)
        self.held(SWAP, False, lambda: self.create(token), return_after=6)
        self.until_created(token)
        self.close_books()

    def test_restarted_in_order_between_all_steps(self) -> None:
        self.buy(200)
        token = self.hand_out(75)
        self.restart()
        key = self.deposit(token)
        self.restart()
        path = self.invoice(20)
        self.restart()
        self.until_bought(path, 20)
        self.chat(key)
        self.restart()
        refund = self.refund(key)
        self.restart()
        self.redeem(refund)
        self.close_books()

    def restart(self) -> None:
        self.mint.stop()
        self.mint.start()


class NodeKilled(Killing):
    def held(self, path: str, after_the_mint: bool, ask) -> None:
        hold = fault_proxy.Hold(after_the_mint)
        rule = self.proxy.on("POST", path, hold)
        asked = Asked(ask)
        hold.wait_reached()
        self.node.kill()
        self.audit()  # On the killed node's data, with the operation in flight.
        hold.release()
        rule.wait_met()
        self.node.start()
        asked.join()

    def runs_through(self, after_the_mint: bool) -> None:
        self.buy(256)
        token = self.hand_out(80)
        self.held(SWAP, after_the_mint, lambda: self.create(token))
        self.until_created(token)

        path = ""

        def order() -> None:
            nonlocal path
            path = self.invoice(128)
        self.held(ISSUE, after_the_mint, order)
        key = self.until_bought(path, 128)

        self.chat(key)
        self.node.until_posted()
        self.held(SWAP, after_the_mint, lambda: self.node.ask("/v1/balance/refund", "POST", key=key))
        refund = self.until_refunded(key)
        self.assertEqual(case.tokens.worth(refund), 127)
        self.redeem(refund)
        self.close_books()

    def test_before_the_mint_saw_the_call(self) -> None:
        self.runs_through(after_the_mint=False)

    def test_when_the_mint_had_acted(self) -> None:
        self.runs_through(after_the_mint=True)

    def test_both_at_once(self) -> None:
        self.buy(256)
        token = self.hand_out(80)
        hold = fault_proxy.Hold(after_the_mint=True)
        self.proxy.on("POST", SWAP, hold)
        asked = Asked(lambda: self.create(token))
        hold.wait_reached()
        self.mint.kill()
        self.node.kill()
        hold.release()
        self.audit()
        self.node.start()
        self.mint.start()
        asked.join()
        self.until_created(token)
        self.close_books()


class InItsWork(Killing):
    """A mint may lose count of what it was doing when it was killed. That is not ours to mend, but it
    must be seen, and nothing of it credited twice or forgotten."""

    def ended_or_stuck(self, token: str, net: int) -> bool:
        """Whether the mint holds the token's proofs pending; then they are freed as its operator
        would, and the deposit ends by itself."""
        def settled():
            under_way = self.under_way()
            return not under_way or (under_way[0]["last_error"] == "its inputs are pending at the mint"
                                     and under_way)
        under_way = harness.until(settled, "it ended or is told as pending", case.RESOLVED_SECONDS)
        stuck = under_way is not True
        if stuck:
            self.note(f"shown as {under_way[0]['kind']} {under_way[0]['state']}: "
                      f"{under_way[0]['last_error']}")
            self.audit()
            self.mint.stop()
            freed = self.mint.free_pending()
            self.note(f"the mint's operator frees {freed} proofs")
            self.mint.start()
        self.deposited(token, harness.until(
            lambda: (answer := self.create(token)).status == 200 and answer, "it is credited"), net)
        return stuck


class Drawn(InItsWork):
    ROUNDS = 8
    SEED = 20_03

    def test_the_mint_is_killed_within_its_work(self) -> None:
        draw = random.Random(self.SEED)
        self.buy(300)
        stuck = 0
        for _ in range(self.ROUNDS):
            token = self.hand_out(40)
            net = self.net_of(token)
            forwarding = threading.Event()

            def forward(exchange) -> None:
                forwarding.set()
                exchange.answer(exchange.forward())
            self.proxy.on("POST", SWAP, forward)
            asked = Asked(lambda: self.create(token))
            forwarding.wait(60)
            threading.Event().wait(draw.uniform(0, 0.06))  # The moment that is drawn.
            self.mint.kill()
            self.audit()
            self.mint.start()
            asked.join()
            stuck += self.ended_or_stuck(token, net)
        self.note(f"{stuck} of {self.ROUNDS} left pending by the mint")
        self.close_books()


class Stuck(InItsWork):
    """Nutshell takes note of a swap's inputs as pending, does the swap, and forgets the note: in three
    transactions. Killed after the first it keeps the note forever, and nobody can spend them."""

    setups = [case.NUTSHELL]
    ROUNDS = 40

    def test_inputs_left_pending_are_shown_wait_and_are_not_lost(self) -> None:
        self.buy(300)
        token = self.hand_out(40)
        for number in range(1, self.ROUNDS + 1):
            net = self.net_of(token)
            asked = Asked(lambda: self.create(token))
            self.mint.kill_when_pending()
            self.mint.start()
            asked.join()
            if self.ended_or_stuck(token, net):
                self.note(f"at the {number}th kill")
                break
            token = self.refund(self.create(token).json()["api_key"])
        else:
            self.fail("no kill came between the mint's transactions")
        self.close_books()
