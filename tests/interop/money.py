"""Money in and out: tokens of the peer's wallet, invoices of its mint, refunds that are redeemed."""
import concurrent.futures

import case
import tokens

# Nobody's key: the generator of the curve. What is locked to it is locked to somebody else.
SOMEBODY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


class Money(case.WalletCase):
    setups = case.ALL

    def test_a_token_is_deposited_spent_and_what_is_left_is_redeemed(self) -> None:
        self.buy(200)  # Somebody else's money lies there, too.
        token = self.hand_out(77)
        key = self.deposit(token)
        self.assertEqual(self.create(token).json()["api_key"], key)
        had = self.node.balance(key)

        old_form = self.hand_out(50, *self.wallet.LEGACY)
        net = self.net_of(old_form)
        topped = self.node.ask("/v1/balance/topup", body={"cashu_token": old_form}, key=key)
        self.assertEqual(topped.json(), {"msats": net * 1000}, topped)
        self.in_hand.remove(old_form)
        had += net * 1000

        had -= self.chat(key)
        self.assertEqual(self.node.balance(key), had)
        refund = self.refund(key)
        self.assertEqual(tokens.worth(refund), had // 1000)
        self.assertEqual(self.refund(key), refund)
        self.redeem(refund)
        self.assertEqual(self.node.balance(key), had % 1000)
        self.close_books()

    def test_an_invoice_is_credited_spent_topped_up_and_refunded(self) -> None:
        self.buy(200)
        key = self.buy(63)
        made = self.node.ask("/lightning/invoice", key=key,
                             body={"amount_sats": 21, "purpose": "topup"}).json()
        self.paid_in += 21
        path = f"/lightning/invoice/{made['invoice_id']}/status"
        case.harness.until(lambda: self.node.ask(path).json()["status"] == "paid", "it is paid")
        had = 84_000 - self.chat(key)
        self.assertEqual(self.node.balance(key), had)
        refund = self.refund(key)
        self.assertEqual(tokens.worth(refund), 83)
        self.redeem(refund)
        self.close_books()

    def test_the_same_token_and_the_same_refund_asked_for_by_eight_at_once(self) -> None:
        self.buy(200)
        token = self.hand_out(64)
        net = self.net_of(token)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(self.create, [token] * 8))
            keys = {self.deposited(token, answer, net) for answer in answers}
            self.assertEqual(len(keys), 1, answers)
            key = keys.pop()
            self.chat(key)
            refunds = list(pool.map(lambda _: self.node.ask(
                "/v1/balance/refund", "POST", key=key), range(8)))
        given = {self.refunded(answer) for answer in refunds if answer.status == 200}
        self.assertEqual(len(given), 1, refunds)
        self.redeem(given.pop())
        self.close_books()


class Refused(case.WalletCase):
    """What is no good for the node changes nothing, and stays good for whoever has it."""

    setups = [case.Setup(setup.peer, 1000, setup.keyset_version) for setup in case.ONE_EACH]

    def assert_refused(self, token: str, status: int, code: str) -> None:
        answer = self.create(token)
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.json()["error"]["code"], code, answer)
        self.assertEqual(self.held_by_node(self.node), 0)
        self.assertEqual(self.under_way(), [])

    def test_a_token_that_was_spent_before(self) -> None:
        token = self.hand_out(40)
        self.redeem(token)
        self.assert_refused(token, 400, "cashu_token_already_spent")
        self.close_books()

    def test_a_token_of_which_the_fee_leaves_nothing(self) -> None:
        token = self.hand_out(1)
        self.assertEqual(self.net_of(token), 0)
        self.assert_refused(token, 422, "cashu_token_swap_fees_exceed_amount")
        self.close_books()

    def test_a_token_whose_signature_was_forged(self) -> None:
        token = self.hand_out(40, *self.wallet.LEGACY)
        self.assert_refused(tokens.forged(token), 400, "invalid_cashu_token")
        self.deposit(token)
        self.close_books()


class Locked(case.WalletCase):
    """At 100 ppk: at 1000 nutshell's own wallet makes no locked token ("Amounts do not sum to -1")."""

    def test_a_token_that_is_locked_to_somebody_else(self) -> None:
        token = self.hand_out(40, *self.wallet.lock_to(SOMEBODY))
        answer = self.create(token)
        self.assertEqual(answer.status, 400, answer)
        self.note(f"refused as {answer.json()['error']['code']}")
        self.close_books()
