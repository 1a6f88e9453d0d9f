"""Two mints at once: ecash of the node's own moves from one to the other over Lightning, by the owner's
command; and tokens of a mint that the node does not know are swapped to its own.

Both Lightnings are fakes: whatever is paid succeeds and costs 1 sat, and every invoice is paid by
itself. So what is asserted of a move is what each mint's own database says: the one lost what was paid
and the fee that the node tells, the other issued what was paid.
"""
import hashlib
import json

import case
import fault_proxy
import harness
import kills
import tokens

MELT, ISSUE = "/v1/melt/bolt11$", "/v1/mint/bolt11$"
OTHER = {case.NUTSHELL: case.CDK, case.CDK: case.NUTSHELL}
PAYMENT_COSTS = 1
# The most that a mint of these reserves for the route of what is moved here.
RESERVE_MAX = 3


class Moves(kills.Killing):
    """From the class's setup, where the owner puts in 300 sat, to the other peer. The node trusts both."""

    def mint_urls(self) -> list:
        self.other = self.start_mint("other", OTHER[self.setup])
        self.other_proxy = fault_proxy.FaultProxy(self.other.address)
        self.addCleanup(self.other_proxy.close)
        self.note(f"the other mint: {self.other.name} {self.other.version()}, active keyset "
                  f"{self.other.active_keyset()['id']}")
        return [self.mint_url, self.other_proxy.url]

    def setUp(self) -> None:
        super().setUp()
        token = self.wallet.send(300)
        net = self.net_of(token)
        put_in = json.loads(self.node.command("wallet", "receive", token, "--json").stdout)
        self.assertEqual(put_in["credited_msat"], net * 1000)

    def move(self, sats: int, source: str, target: str, name: str):
        """The command, whose answer may not come; under its name it is the same move again."""
        request = hashlib.sha256(name.encode()).hexdigest()[:32]
        return self.node.command("wallet", "swap", sats, "--from", source, "--to", target,
                                 "--request", request, "--json", check=False)

    def until_moved(self, sats: int, source: tuple, target: tuple, name: str, good: tuple) -> None:
        """It is over, and did at each mint what it says. `good`: what was outstanding at them before."""
        def over():
            said = self.move(sats, source[1], target[1], name)
            return json.loads(said.stdout) if said.returncode == 0 else None
        moved = harness.until(over, f"{sats} sat have moved", case.RESOLVED_SECONDS)
        self.assertEqual(moved["amount_msat"], sats * 1000)
        self.note(f"{sats} sat from {source[0].name} to {target[0].name} for {moved['fee_msat']} msat")
        self.assertGreaterEqual(moved["fee_msat"], PAYMENT_COSTS * 1000)
        self.assertEqual(source[0].outstanding(), good[0] - sats - moved["fee_msat"] // 1000)
        self.assertEqual(target[0].outstanding(), good[1] + sats)

    def ends(self) -> tuple:
        return (self.mint, self.mint_url), (self.other, self.other_proxy.url)

    def good(self, *ends: tuple) -> tuple:
        return tuple(mint.outstanding() for mint, _ in ends)

    def close_both_books(self) -> None:
        self.assertEqual(self.under_way(), [])
        self.audit()
        here, there = self.held_by_node(self.node, self.mint_url), self.held_by_node(
            self.node, self.other_proxy.url)
        in_hand = {url: sum(tokens.worth(token) for token in self.in_hand
                            if tokens.decode(token)["mint"] == url)
                   for url in (self.mint_url, self.other_proxy.url)}
        self.note(f"node: {here} at {self.mint.name}, {there} at {self.other.name}")
        self.assertEqual(self.mint.outstanding(),
                         here + self.wallet.balance() + in_hand[self.mint_url])
        self.assertEqual(self.other.outstanding(), there + in_hand[self.other_proxy.url])
        self.assertEqual(self.node.stop(), 0)
        self.audit()

    def test_ecash_moves_there_and_back(self) -> None:
        here, there = self.ends()
        for number, (source, target, sats) in enumerate(((here, there, 120), (there, here, 70))):
            good = self.good(source, target)
            self.until_moved(sats, source, target, f"move {number}", good)
        self.close_both_books()

    def test_each_key_is_refunded_by_the_mint_that_it_was_paid_with(self) -> None:
        here, there = self.ends()
        self.until_moved(120, here, there, "some for change", self.good(here, there))
        for mint, url in (here, there):
            wallet = self.wallet
            if mint is self.other:
                wallet = mint.wallet(self.folder / "other-wallet", url)
                self.addCleanup(wallet.end)
                wallet.fill(100)
            token = wallet.send(40)
            net = tokens.worth(token) - tokens.fee(token, mint.keysets())
            made = self.create(token)
            self.assertEqual((made.status, made.json()["balance"]), (200, net * 1000), made)
            self.chat(made.json()["api_key"])
            refund = self.refund(made.json()["api_key"])
            self.assertEqual(tokens.decode(refund)["mint"], url)
            self.assertEqual(tokens.worth(refund), net - 1)
            self.in_hand.remove(refund)
            gets = net - 1 - tokens.fee(refund, mint.keysets())
            self.assertEqual(wallet.redeem(refund), gets, wallet.last)
            if mint is self.other:  # Its wallet's sats are as good as those of a token in hand.
                self.in_hand.append(wallet.send(wallet.balance()))
        self.close_both_books()

    # A kill at each point of the way: (whose proxy, which call, whether that mint had acted).

    def killed(self, proxy: fault_proxy.FaultProxy, path: str, after_the_mint: bool, *victims) -> None:
        here, there = self.ends()
        good = self.good(here, there)
        hold = fault_proxy.Hold(after_the_mint, then_lose=True)
        rule = proxy.on("POST", path, hold)
        asked = kills.Asked(lambda: self.move(120, here[1], there[1], "a move"))
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
        self.until_moved(120, here, there, "a move", good)
        self.close_both_books()

    def test_the_node_is_killed_before_the_melt(self) -> None:
        self.killed(self.proxy, MELT, False, self.node)

    def test_the_node_is_killed_after_the_melt(self) -> None:
        self.killed(self.proxy, MELT, True, self.node)

    def test_the_node_is_killed_before_the_issue(self) -> None:
        self.killed(self.other_proxy, ISSUE, False, self.node)

    def test_the_node_is_killed_after_the_issue(self) -> None:
        self.killed(self.other_proxy, ISSUE, True, self.node)

    def test_the_paying_mint_is_killed_before_the_melt(self) -> None:
        self.killed(self.proxy, MELT, False, self.mint)

    def test_the_paying_mint_is_killed_after_the_melt(self) -> None:
        self.killed(self.proxy, MELT, True, self.mint)

    def test_the_other_mint_is_killed_before_the_issue(self) -> None:
        self.killed(self.other_proxy, ISSUE, False, self.other)

    def test_the_other_mint_is_killed_after_the_issue(self) -> None:
        self.killed(self.other_proxy, ISSUE, True, self.other)

    def test_all_three_are_killed_after_the_melt(self) -> None:
        self.killed(self.proxy, MELT, True, self.node, self.mint, self.other)


class Foreign(kills.Killing):
    """A --dev node, whose own mint is the embedded one, and a token of the class's setup, of which it
    knows nothing. Only with --dev does a node go to a guest on this machine."""

    dev = True
    node_wallet = 'foreign_mints = "swap"'

    def mint_urls(self) -> list:
        return []

    def foreign_token(self, sats: int) -> tuple:
        """A token, and what of it is left after its mint's fee for spending it."""
        token = self.hand_out(sats)
        return token, self.net_of(token)

    def moved(self, token: str, spendable: int) -> str:
        """The deposit is over, and left the mint: it owes what it did, less the token, and what it gave
        back of the reserve is the node's."""
        made = harness.until(lambda: (answer := self.create(token)).status == 200 and answer,
                             "the foreign token is credited", case.RESOLVED_SECONDS)
        credited = made.json()["balance"] // 1000
        self.note(f"foreign token in: {tokens.worth(token)} sat, spendable {spendable}, credited "
                  f"{credited}")
        self.assertLessEqual(credited, spendable - PAYMENT_COSTS)
        self.assertGreaterEqual(credited, spendable - RESERVE_MAX)
        self.in_hand.remove(token)
        self.assertEqual(self.held_by_node(self.node, self.mint_url),
                         spendable - credited - PAYMENT_COSTS)
        self.assertEqual(self.held_by_node(self.node, "embedded"), credited)
        return made.json()["api_key"]

    def close_books(self) -> None:
        self.assertEqual(self.under_way(), [])
        self.audit()
        at_node = self.held_by_node(self.node, self.mint_url)
        in_hand = sum(tokens.worth(token) for token in self.in_hand
                      if tokens.decode(token)["mint"] == self.mint_url)
        self.note(f"node: {at_node} at {self.mint.name}")
        self.assertEqual(self.mint.outstanding(), at_node + self.wallet.balance() + in_hand)
        self.assertEqual(self.node.stop(), 0)
        self.audit()

    def test_a_foreign_token_is_moved_spent_and_refunded_at_our_mint(self) -> None:
        token, spendable = self.foreign_token(120)
        key = self.moved(token, spendable)
        self.assertEqual(self.create(token).json()["api_key"], key)
        had = self.node.balance(key) - self.chat(key)
        refund = self.refund(key)
        self.assertEqual(tokens.decode(refund)["mint"], f"{self.node.url}/mint")
        self.assertEqual(tokens.worth(refund), had // 1000)
        self.close_books()

    def test_a_foreign_token_too_small_to_be_moved_stays_good(self) -> None:
        token, _ = self.foreign_token(2)
        answer = self.create(token)
        self.assertEqual(answer.status, 422, answer)
        self.assertEqual(answer.json()["error"]["code"], "cashu_token_swap_fees_exceed_amount")
        self.redeem(token)
        self.close_books()

    def killed(self, after_the_mint: bool, *victims) -> None:
        token, spendable = self.foreign_token(120)
        hold = fault_proxy.Hold(after_the_mint, then_lose=True)
        rule = self.proxy.on("POST", MELT, hold)
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
        self.close_books()

    def test_the_node_is_killed_before_the_melt(self) -> None:
        self.killed(False, self.node)

    def test_the_node_is_killed_after_the_melt(self) -> None:
        self.killed(True, self.node)

    def test_the_foreign_mint_is_killed_before_the_melt(self) -> None:
        self.killed(False, self.mint)

    def test_the_foreign_mint_is_killed_after_the_melt(self) -> None:
        self.killed(True, self.mint)

    def test_both_are_killed_after_the_melt(self) -> None:
        self.killed(True, self.node, self.mint)


class Private(kills.Killing):
    """Not with --dev: a stranger's token must not make the node call a machine beside it."""

    node_wallet = 'foreign_mints = "swap"'

    def test_a_mint_at_a_private_address_is_never_asked(self) -> None:
        hidden = fault_proxy.FaultProxy(self.mint.address)
        self.addCleanup(hidden.close)
        wallet = self.mint.wallet(self.folder / "hidden-wallet", hidden.url)
        self.addCleanup(wallet.end)
        wallet.fill(50)
        self.paid_in += 50
        token = wallet.send(40)
        seen = len(hidden.seen)
        answer = self.create(token)
        self.assertEqual(answer.status, 503, answer)
        self.note(f"refused as {answer.json()['error']['code']}")
        self.assertEqual(len(hidden.seen), seen)
        self.wallets.append(wallet)
        self.assertGreater(wallet.redeem(token), 0)
        self.close_books()
