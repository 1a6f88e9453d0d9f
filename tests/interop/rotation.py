"""The mint rotates: a new keyset, perhaps with another fee and another version of ids."""
import collections
import json
import math

import case
import harness


class Rotating(case.WalletCase):
    setups = [case.Setup(case.peers.Nutshell, 0), case.NUTSHELL,
              case.Setup(case.peers.Cdk, 0, "v1"), case.CDK]

    def rotate(self, fee_ppk: int) -> None:
        """To the other version of ids where the peer can choose, and to another fee."""
        version = {"v1": "v2", "v2": "v1"}.get(self.setup.keyset_version, "")
        keyset = self.mint.rotate(fee_ppk, version)
        self.wallet.forget_keysets()
        self.note(f"rotated to {keyset['id']}, fee {fee_ppk} ppk")


class Rotation(Rotating):
    def test_a_token_of_the_old_keyset_is_deposited_at_the_old_fee(self) -> None:
        self.deposit(self.hand_out(30))  # The node knows the old keyset as the active one.
        token = self.hand_out(77)
        old = case.tokens.keyset_ids(token)
        self.rotate(1000)
        key = self.deposit(token)
        self.assertEqual(case.tokens.keyset_ids(token), old)
        self.chat(key)
        refund = self.refund(key)
        self.redeem(refund)
        self.close_books()

    def test_ecash_on_an_inactive_keyset_is_refunded_as_it_is_and_by_a_swap(self) -> None:
        self.buy(200)
        exact, swapped = self.buy(64), self.buy(33)
        old = self.mint.active_keyset()["id"]
        self.rotate(1000)
        as_it_is = self.refund(exact)
        self.assertTrue(all(old.startswith(name) for name in case.tokens.keyset_ids(as_it_is)))
        self.redeem(as_it_is)
        self.chat(swapped)
        token = self.refund(swapped)
        self.assertEqual(case.tokens.worth(token), 32)
        self.redeem(token)
        self.close_books()

    def test_an_invoice_from_before_is_issued_on_the_new_keyset(self) -> None:
        # Keysets are known from this purchase, and one is out of date when the next is issued.
        self.buy(200)
        self.rotate(0)
        key = self.buy(50)
        new = self.mint.active_keyset()["id"]
        self.chat(key)
        token = self.refund(key)
        self.assertTrue(any(new.startswith(name) for name in case.tokens.keyset_ids(token)), token)
        self.redeem(token)
        self.close_books()

    def test_the_node_restarts_and_knows_nothing_older_than_what_the_mint_says(self) -> None:
        key = self.buy(96)
        self.buy(200)
        self.assertEqual(self.node.stop(), 0)
        self.rotate(1000)
        self.node.start()
        self.chat(key)
        token = self.refund(key)
        self.assertEqual(case.tokens.worth(token), 95)
        self.redeem(token)
        self.assertEqual(harness.request(self.node.url + "/healthz").status, 200)
        self.close_books()


class TwoFees(Rotating):
    """What a swap of two keysets costs is the fee of all its inputs together, rounded up once.

    Nutshell takes that, and its statistic (keysets.fees_paid) says more: there each keyset's share is
    rounded up. cdk-mintd's shares add up to what it took. So what either says is compared with what
    its own rule makes of the swaps that it did, and the sums are made with NUT-02's.
    """

    proxied = True  # To see them all.
    filled = 100

    def swapped_ppk(self) -> list:
        """Of each swap that the mint did: what the inputs of each keyset cost, in thousandths."""
        rates = {keyset["id"]: keyset["input_fee_ppk"] or 0 for keyset in self.mint.keysets()}
        swaps = [json.loads(body) for method, path, body, status in self.proxy.seen
                 if method == "POST" and path == "/v1/swap" and status == 200]
        return [{keyset: count * rates[keyset] for keyset, count in collections.Counter(
            proof["id"] for proof in swap["inputs"]).items()} for swap in swaps]

    def fees_taken(self) -> int:
        swaps = self.swapped_ppk()
        self.assertTrue(any(len(swap) > 1 for swap in swaps), "no swap was of two keysets")
        by_rule = sum(math.ceil(sum(swap.values()) / 1000) for swap in swaps)
        by_keyset = sum(math.ceil(ppk / 1000) for swap in swaps for ppk in swap.values())
        told = self.mint.fees_taken()
        self.note(f"{len(swaps)} swaps cost {by_rule}; {self.mint.name} says {told}")
        self.assertEqual(told, self.mint.fees_told(by_rule, by_keyset))
        return by_rule

    def test_a_token_of_two_keysets_with_two_fees(self) -> None:
        self.buy(200)
        self.rotate(700)
        self.fill(self.wallet, 150)
        token = self.hand_out(self.wallet.balance())  # All that it has, so of both.
        self.assertEqual(len(case.tokens.keyset_ids(token)), 2)
        key = self.deposit(token)
        self.chat(key)
        self.redeem(self.refund(key))
        self.close_books()
