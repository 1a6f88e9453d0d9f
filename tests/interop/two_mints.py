"""A token of another mint is deposited: its worth moves over Lightning to the mint that the node uses.

The foreign mint melts, the primary one issues. Both Lightnings are fakes: whatever is paid succeeds and
costs 1 sat, and every invoice is paid by itself. So what is asserted of the move is what each mint's own
database says: the foreign one lost what was paid and 1 sat more, the primary one issued what was paid,
and what the foreign one gave back as change is the node's.
"""
import case
import fault_proxy
import harness
import kills

MELT, ISSUE = "/v1/melt/bolt11", "/v1/mint/bolt11$"
OTHER = {case.NUTSHELL: case.CDK, case.CDK: case.NUTSHELL}
PAYMENT_COSTS = 1
# The most that a mint of these reserves for the route of what is deposited here.
RESERVE_MAX = 3


class TwoMints(kills.Killing):
    """The class's setup is the primary mint; the foreign one is the other peer's."""

    def setUp(self) -> None:
        super().setUp()
        self.foreign = self.start_mint("foreign", OTHER[self.setup])
        self.foreign_proxy = fault_proxy.FaultProxy(self.foreign.address)
        self.addCleanup(self.foreign_proxy.close)
        self.node.stop()
        self.node = self.start_node("taker", [self.mint_url], 'foreign_mints = "swap"')
        self.foreign_wallet = self.foreign.wallet(self.folder / "foreign-wallet",
                                                  self.foreign_proxy.url)
        self.addCleanup(self.foreign_wallet.end)
        self.foreign_wallet.fill(1000)
        self.note(f"foreign: {self.foreign.name} {self.foreign.version()}")

    def foreign_token(self, sats: int) -> tuple:
        """A token, and what of it is left after its mint's fee for spending it."""
        token = self.foreign_wallet.send(sats)
        return token, sats - case.tokens.fee(token, self.foreign.keysets())

    def moved(self, token: str, spendable: int) -> str:
        """The deposit is over: everything that left one mint is at the other, or paid for the way."""
        made = harness.until(lambda: (answer := self.create(token)).status == 200 and answer,
                             "the foreign token is credited", case.RESOLVED_SECONDS)
        credited = made.json()["balance"] // 1000
        self.note(f"foreign token in: {case.tokens.worth(token)} sat, spendable {spendable}, credited "
                  f"{credited}")
        self.assertLessEqual(credited, spendable - PAYMENT_COSTS)
        self.assertGreaterEqual(credited, spendable - RESERVE_MAX)
        return made.json()["api_key"]

    def close_both_books(self) -> None:
        self.assertEqual(self.under_way(), [])
        self.audit()
        at_primary = self.held_by_node(self.node, self.mint_url)
        at_foreign = self.held_by_node(self.node, self.foreign_proxy.url)
        in_hand = sum(map(case.tokens.worth, self.in_hand))
        self.note(f"node: {at_primary} at the primary mint, {at_foreign} at the foreign one")
        self.assertEqual(self.mint.outstanding(), at_primary + in_hand + self.wallet.balance())
        self.assertEqual(self.foreign.outstanding(), at_foreign + self.foreign_wallet.balance())
        self.assertEqual(self.node.stop(), 0)
        self.audit()

    def test_a_foreign_token_is_moved_spent_and_refunded_at_the_primary_mint(self) -> None:
        self.buy(200)
        token, spendable = self.foreign_token(120)
        key = self.moved(token, spendable)
        self.assertEqual(self.create(token).json()["api_key"], key)
        had = self.node.balance(key) - self.chat(key)
        refund = self.refund(key)
        self.assertEqual(case.tokens.decode(refund)["mint"], self.mint_url)
        self.assertEqual(case.tokens.worth(refund), had // 1000)
        self.redeem(refund)
        self.close_both_books()

    def test_a_foreign_token_too_small_to_be_moved_stays_good(self) -> None:
        token, _ = self.foreign_token(1)
        answer = self.create(token)
        self.assertEqual(answer.status, 422, answer)
        self.assertGreaterEqual(self.foreign_wallet.redeem(token), 0)
        self.close_both_books()

    # A kill at each point of the way: (whose proxy, which call, whether that mint had acted).

    def killed(self, proxy: fault_proxy.FaultProxy, path: str, after_the_mint: bool, *victims) -> None:
        self.buy(200)
        token, spendable = self.foreign_token(120)
        hold = fault_proxy.Hold(after_the_mint, then_lose=True)
        rule = proxy.on("POST", path, hold)
        asked = kills.Asked(lambda: self.create(token))
        hold.wait_reached()
        for victim in victims:
            victim.kill()
        self.audit()
        hold.release()
        rule.wait_met()
        for victim in victims:
            victim.start()
        asked.join()
        self.until_resolved()
        self.moved(token, spendable)
        self.close_both_books()

    def test_the_node_is_killed_before_the_melt(self) -> None:
        self.killed(self.foreign_proxy, MELT, False, self.node)

    def test_the_node_is_killed_after_the_melt(self) -> None:
        self.killed(self.foreign_proxy, MELT, True, self.node)

    def test_the_node_is_killed_before_the_issue(self) -> None:
        self.killed(self.proxy, ISSUE, False, self.node)

    def test_the_node_is_killed_after_the_issue(self) -> None:
        self.killed(self.proxy, ISSUE, True, self.node)

    def test_the_foreign_mint_is_killed_before_the_melt(self) -> None:
        self.killed(self.foreign_proxy, MELT, False, self.foreign)

    def test_the_foreign_mint_is_killed_after_the_melt(self) -> None:
        self.killed(self.foreign_proxy, MELT, True, self.foreign)

    def test_the_primary_mint_is_killed_before_the_issue(self) -> None:
        self.killed(self.proxy, ISSUE, False, self.mint)

    def test_the_primary_mint_is_killed_after_the_issue(self) -> None:
        self.killed(self.proxy, ISSUE, True, self.mint)

    def test_all_three_are_killed_after_the_melt(self) -> None:
        self.killed(self.foreign_proxy, MELT, True, self.node, self.foreign, self.mint)
