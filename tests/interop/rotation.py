"""The mint rotates: a new keyset, perhaps with another fee and another version of ids."""
import case
import harness


class Rotation(case.WalletCase):
    setups = [case.Setup(case.peers.Nutshell, 0), case.NUTSHELL,
              case.Setup(case.peers.Cdk, 0, "v1"), case.CDK]

    def rotate(self, fee_ppk: int) -> None:
        """To the other version of ids where the peer can choose, and to another fee."""
        version = {"v1": "v2", "v2": "v1"}.get(self.setup.keyset_version, "")
        keyset = self.mint.rotate(fee_ppk, version)
        self.note(f"rotated to {keyset['id']}, fee {fee_ppk} ppk")

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

    def test_a_token_of_two_keysets_with_two_fees(self) -> None:
        """The fee is that of all inputs together, rounded up once."""
        self.fees_told_too_high = 3
        self.buy(200)
        key = self.deposit(self.hand_out(100))
        self.rotate(700)
        more = self.hand_out(1900)  # Too much for what is left of the old keyset to fit exactly.
        self.deposit(more)
        self.chat(key)
        self.redeem(self.refund(key))
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
