"""A real node whose money lies at another node's mint: paid, refunded, and through the mint's absence.

The mint is the embedded one of a --dev node, reached over HTTP like anybody's.
"""
import unittest

import harness

CONFIG = """
[wallet]
mints = ["{mint}/mint"]
[lightning]
network = "regtest"
"""


class OutsideMint(harness.NodeCase):
    def setUp(self) -> None:
        super().setUp()
        _, upstream = self.upstream(7000, 11_000)
        self.mint = self.nutgate(name="mint")
        config = self.config(CONFIG.format(mint=self.mint.url) + upstream)
        self.node = self.nutgate("--config", config, name="node", dev=False)

    def token(self, sats: int, node: harness.Nutgate | None = None) -> str:
        """Ecash of a mint, as its node gives it back."""
        node = node or self.mint
        refund = node.ask("/v1/balance/refund", "POST", key=node.buy_key(sats))
        self.assertEqual(refund.status, 200, refund)
        self.assertEqual(refund.json()["sats"], str(sats))
        return refund.json()["token"]

    def create(self, token: str) -> harness.Answer:
        return self.node.ask("/v1/balance/create", body={"initial_balance_token": token})

    def finish(self) -> None:
        for node in (self.node, self.mint):
            node.stop()
            node.audit()

    def test_paid_by_token_and_invoice_and_refunded(self) -> None:
        by_token = self.create(self.token(300)).json()
        self.assertEqual(by_token["balance"], 300_000)
        by_invoice = self.node.buy_key(40)
        self.assertEqual(self.node.balance(by_invoice), 40_000)
        for key, had in ((by_token["api_key"], 300_000), (by_invoice, 40_000)):
            answer = self.node.chat(key, "one two three", model="small")
            self.assertEqual(answer.json()["usage"]["cost"]["total_msats"], 76, answer)
            refund = self.node.ask("/v1/balance/refund", "POST", key=key).json()
            self.assertEqual(refund["sats"], str((had - 76) // 1000))
            spent = self.mint.ask("/v1/balance/create", body={"initial_balance_token": refund["token"]})
            self.assertEqual(spent.json()["balance"], 1000 * int(refund["sats"]), spent)
        self.finish()

    def test_a_token_of_another_mint_is_refused_and_stays_good(self) -> None:
        stranger = self.nutgate(name="stranger")
        token = self.token(10, stranger)
        refused = self.create(token)
        self.assertEqual(refused.status, 400, refused)
        self.assertEqual(refused.json()["error"]["code"], "cashu_untrusted_source_mint")
        kept = stranger.ask("/v1/balance/create", body={"initial_balance_token": token})
        self.assertEqual(kept.json()["balance"], 10_000)
        self.finish()

    def test_while_the_mint_is_away_nothing_is_lost(self) -> None:
        key = self.node.buy_key(50)
        token = self.token(20)
        self.mint.stop()

        refused = self.create(token)
        self.assertEqual(refused.status, 503, refused)
        refund = self.node.ask("/v1/balance/refund", "POST", key=key)
        self.assertIn(refund.status, (200, 503), refund)
        # What was paid in can be spent meanwhile.
        if refund.status == 503:
            self.assertEqual(self.node.chat(key, "one two three", model="small").status, 200)
            self.assertEqual(self.node.balance(key), 50_000 - 76)
        invoice = self.node.ask("/lightning/invoice", body={"amount_sats": 5})
        self.assertIn(invoice.status, (502, 503), invoice)

        self.mint.start()
        made = harness.until(
            lambda: (answer := self.create(token)).status == 200 and answer.json(), "the deposit")
        self.assertEqual(self.node.balance(made["api_key"]), 20_000)
        self.assertEqual(self.create(token).json()["api_key"], made["api_key"])
        self.assertEqual(self.node.balance(made["api_key"]), 20_000)
        back = harness.until(
            lambda: (a := self.node.ask("/v1/balance/refund", "POST", key=key)).status == 200 and a.json(),
            "the refund")
        spent = self.mint.ask("/v1/balance/create", body={"initial_balance_token": back["token"]})
        self.assertEqual(spent.json()["balance"], 1000 * int(back["sats"]))
        self.finish()

    def test_an_offer_of_the_mint_is_paid_and_becomes_ecash_through_kills_and_its_absence(self) -> None:
        def offers() -> bool:
            methods = self.node.ask("/v1/info").json()["payment_methods"]
            return any(method["offers"] for method in methods)

        def paid(made: dict) -> dict:
            path = "/lightning/offer/" + made["offer_id"]
            return harness.until(lambda: (state := self.node.ask(path).json()).get("payments")
                                 and state, "the offer is paid")

        harness.until(offers, "the mint has said that it makes offers")
        key = paid(self.node.ask("/lightning/offer", body={"amount_sats": 300}).json())["api_key"]
        self.assertEqual(self.node.balance(key), 300_000)
        more = self.node.ask("/v1/balance/lightning/offer", key=key,
                             body={"amount_sats": 33, "purpose": "topup"}).json()
        self.mint.kill()
        self.node.kill()
        self.node.command("audit", "--full")
        self.node.start()
        self.mint.start()
        self.assertEqual(paid(more)["amount_received_msats"], 33_000)
        refund = self.node.ask("/v1/balance/refund", "POST", key=key).json()
        self.assertEqual(refund["sats"], "333")
        self.finish()

    def test_killed_with_the_mint_away_it_recovers_when_the_mint_is_back(self) -> None:
        made = self.node.ask("/lightning/invoice", body={"amount_sats": 33}).json()
        path = f"/lightning/invoice/{made['invoice_id']}/status"
        self.mint.kill()
        self.node.kill()
        self.node.command("audit", "--full")
        self.node.start()
        self.assertIsNone(self.node.ask(path).json()["api_key"])
        self.mint.start()
        key = harness.until(lambda: self.node.ask(path).json().get("api_key"), "the invoice is credited")
        self.assertEqual(self.node.balance(key), 33_000)
        self.finish()


if __name__ == "__main__":
    unittest.main()
