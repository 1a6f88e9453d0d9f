"""Offers (BOLT12) at the real binary, with the simulated network as the node that receives, or one
that speaks as Core Lightning does."""
import json
import subprocess
import threading
import unittest

import core_lightning
import harness

AT_NODE = '[lightning]\nreceive = ["simulated"]\npay = ["simulated"]\n'


class Offers(harness.NodeCase):
    def node_with_offers(self, more: str = "") -> harness.Nutgate:
        return self.nutgate("--config", self.config(AT_NODE + more))

    def makes_offers(self, node: harness.Nutgate) -> bool:
        return any(method["offers"] for method in node.ask("/v1/info").json()["payment_methods"])

    def paid(self, node: harness.Nutgate, offer_id: str, payments: int = 1) -> dict:
        return harness.until(
            lambda: (state := node.ask("/lightning/offer/" + offer_id).json()).get("payments", 0)
            >= payments and state, "the offer is paid")

    def test_an_offer_makes_a_key_that_buys_answers_and_gives_back_what_is_left(self) -> None:
        node = self.node_with_offers()
        methods = node.ask("/v1/info").json()["payment_methods"]
        self.assertTrue(next(m for m in methods if m["id"] == "lightning")["offers"])
        made = node.ask("/lightning/offer", body={"purpose": "create"})
        self.assertEqual(made.status, 200, made)
        made = made.json()
        self.assertTrue(made["offer"].startswith("lno1"))
        self.assertIsNone(made["amount_sats"])
        state = self.paid(node, made["offer_id"])
        self.assertEqual(state["status"], "open")
        self.assertEqual(state["offer"], made["offer"])
        self.assertEqual(state["amount_received_msats"], 1_000_000)
        key = state["api_key"]
        cost = node.chat(key, "hello").json()["usage"]["cost"]["total_msats"]
        self.assertEqual(node.balance(key), 1_000_000 - cost)
        lines = node.ask("/v1/balance/history", key=key).json()["transactions"]
        self.assertEqual([line["amount"] for line in lines], [1_000_000])
        # The money is at the Lightning node, which pays for ecash first, and has to have what that
        # may cost besides.
        node.buy_key(1000)
        refunded = harness.until(
            lambda: (answer := node.ask("/v1/balance/refund", "POST", key=key)).status == 200
            and answer, "a refund").json()
        self.assertEqual(int(refunded["sats"]), (1_000_000 - cost) // 1000)
        node.stop()
        node.audit()

    def test_an_offer_tops_up_a_key_once_for_each_payment_over_kills(self) -> None:
        node = self.node_with_offers()
        first = node.ask("/lightning/offer", body={"amount_sats": 500}).json()
        key = self.paid(node, first["offer_id"])["api_key"]
        ids = []
        for amount in (21, 22, 23):
            made = node.ask("/v1/balance/lightning/offer", key=key,
                            body={"amount_sats": amount, "purpose": "topup"})
            self.assertEqual(made.status, 200, made)
            ids.append(made.json()["offer_id"])
            node.kill()
            node.start()
        for offer_id in ids:
            state = self.paid(node, offer_id)
            self.assertIsNone(state["api_key"])
            self.assertEqual(state["payments"], 1)
        self.assertEqual(node.balance(key), (500 + 21 + 22 + 23) * 1000)
        closed = node.ask(f"/lightning/offer/{ids[0]}/close", "POST")
        self.assertEqual(closed.json()["status"], "closed")
        node.stop()
        node.audit()

    def test_what_the_mint_made_is_credited_when_a_node_receives_and_the_other_way_round(self) -> None:
        at_mint = '[lightning]\nreceive = ["mint"]\n'
        late = "[lightning.simulated]\nsettle_ms = 1500\n"
        for first, then in ((at_mint, AT_NODE), (AT_NODE, at_mint)):
            with self.subTest(first=first):
                config = self.config(first + late)
                node = self.nutgate("--config", config, name=f"node-{len(self.nodes)}")
                invoice = node.ask("/lightning/invoice", body={"amount_sats": 300}).json()
                offer = node.ask("/lightning/offer", body={"amount_sats": 500}).json()
                node.kill()
                config.write_text(then + late)
                node.start()
                status = f"/lightning/invoice/{invoice['invoice_id']}/status"
                key = harness.until(lambda: node.ask(status).json().get("api_key"), "it is paid")
                self.assertEqual(node.balance(key), 300_000)
                state = self.paid(node, offer["offer_id"])
                self.assertEqual(state["amount_received_msats"], 500_000)
                self.assertEqual(node.balance(state["api_key"]), 500_000)
                self.assertEqual(node.chat(key, "hello").status, 200)
                node.stop()
                node.audit()

    def test_what_can_not_be_is_refused(self) -> None:
        node = self.node_with_offers("offers_per_key_max = 1\n")
        for amount in (0, 1_000_001, -1, "5"):
            self.assertEqual(node.ask("/lightning/offer", body={"amount_sats": amount}).status, 400)
        self.assertEqual(node.ask("/lightning/offer", body={"purpose": "gift"}).status, 400)
        self.assertEqual(node.ask("/lightning/offer", body={"purpose": "topup"}).status, 401)
        stranger = node.ask("/lightning/offer", body={"purpose": "topup"}, key="sk-" + "0" * 64)
        self.assertEqual((stranger.status, stranger.json()["error"]["code"]), (404, "key_not_found"))
        for path in ("/lightning/offer/nothing", "/v1/balance/lightning/offer/nothing"):
            self.assertEqual(node.ask(path).json()["error"]["code"], "offer_not_found")
        self.assertEqual(node.ask("/lightning/offer/nothing/close", "POST").status, 404)
        key = node.buy_key(10)
        self.assertEqual(node.ask("/lightning/offer", body={"purpose": "topup"}, key=key).status, 200)
        more = node.ask("/lightning/offer", body={"purpose": "topup"}, key=key)
        self.assertEqual((more.status, more.json()["error"]["code"]), (409, "key_has_offers"))
        node.stop()
        node.audit()

    def test_a_node_without_offers_says_so(self) -> None:
        # Its mint, which is away, has not said that it makes any.
        _, upstream = self.upstream(7000, 11_000)
        config = self.config('[wallet]\nmints = ["http://127.0.0.1:9/mint"]\n[lightning]\n'
                             'network = "regtest"\n' + upstream)
        node = self.nutgate("--config", config, dev=False)
        self.assertFalse(self.makes_offers(node))
        refused = node.ask("/lightning/offer", body={"amount_sats": 5})
        self.assertEqual((refused.status, refused.json()["error"]["code"]), (503, "offers_off"))
        self.assertIn("retry-after", refused.headers)
        node.stop()
        node.audit()

    def test_an_offer_of_the_embedded_mint_is_paid_and_becomes_ecash(self) -> None:
        node = self.nutgate()
        self.assertTrue(self.makes_offers(node))
        methods = node.ask("/mint/v1/info").json()["nuts"]["4"]["methods"]
        self.assertIn("bolt12", [method["method"] for method in methods])
        first = node.ask("/lightning/offer", body={"amount_sats": 500}).json()
        key = self.paid(node, first["offer_id"])["api_key"]
        more = []
        for amount in (21, 22):
            more.append(node.ask("/v1/balance/lightning/offer", key=key,
                                 body={"amount_sats": amount, "purpose": "topup"}).json()["offer_id"])
            node.kill()
            node.start()
        for offer_id in more:
            self.assertEqual(self.paid(node, offer_id)["payments"], 1)
        self.assertEqual(node.balance(key), (500 + 21 + 22) * 1000)
        refunded = node.ask("/v1/balance/refund", "POST", key=key)
        self.assertEqual((refunded.status, refunded.json()["sats"]), (200, "543"), refunded)
        node.stop()
        node.audit()
        self.assertIn("issue", node.command("wallet", "operations").stdout)

    def test_many_at_once_are_each_paid_once(self) -> None:
        node = self.node_with_offers("\n[limits]\ninvoices_per_client_per_minute = 1000\n"
                                     "status_per_client_per_minute = 100000\n")
        made = []

        def ask() -> None:
            made.append(node.ask("/lightning/offer", body={"amount_sats": 7}).json()["offer_id"])
        askers = [threading.Thread(target=ask) for _ in range(20)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        keys = {self.paid(node, offer_id)["api_key"] for offer_id in made}
        self.assertEqual(len(keys), 20)
        for key in keys:
            self.assertEqual(node.balance(key), 7_000)
        node.stop()
        node.audit()


RUNE = "invoice-rune"
INVOICES = ("getinfo", "invoice", "listinvoices")
OFFERS = (*INVOICES, "offer", "listoffers", "disableoffer")


class AtCoreLightning(harness.NodeCase):
    def lightningd(self, commands: tuple = OFFERS) -> core_lightning.CoreLightning:
        server = core_lightning.CoreLightning(RUNE, commands)
        self.addCleanup(server.stop)
        return server

    def file(self, lightningd: core_lightning.CoreLightning):
        _, sold = self.upstream(1000, 1000)
        return self.config(f"""
[wallet]
mints = ["https://mint.example.com"]
[lightning]
receive = ["cln"]
network = "regtest"
[lightning.cln]
url = "{lightningd.url}"
invoice_rune_env = "RUNE"
{sold}""")

    def test_it_makes_them_and_tells_of_each_payment_over_kills_of_the_node(self) -> None:
        lightningd = self.lightningd()
        node = self.nutgate("--config", self.file(lightningd), dev=False, environment={"RUNE": RUNE})
        made = node.ask("/lightning/offer", body={}).json()
        path = "/lightning/offer/" + made["offer_id"]
        self.assertEqual(node.ask(path).json()["payments"], 0)
        lightningd.pay(made["offer"], 21_000)
        # Nobody asks for it: the watcher does.
        node.kill()
        node.start()
        state = harness.until(
            lambda: (seen := node.ask(path).json())["payments"] == 1 and seen, "one payment")
        key = state["api_key"]
        self.assertEqual(node.balance(key), 21_000)
        for _ in range(120):
            lightningd.pay(made["offer"], 1_000)
        harness.until(lambda: node.balance(key) == 141_000, "all of them are credited")
        node.kill()
        node.start()
        self.assertEqual(node.ask(path).json()["payments"], 121)

        other = node.ask("/lightning/offer", body={"amount_sats": 7, "purpose": "topup"}, key=key).json()
        self.assertNotEqual(other["offer"], made["offer"])
        lightningd.pay(other["offer"], 7_000)
        harness.until(lambda: node.balance(key) == 148_000, "the top-up is credited")
        node.ask(f"/lightning/offer/{other['offer_id']}/close", "POST")
        harness.until(lambda: [o["active"] for o in lightningd.offers.values()] == [True, False],
                      "the node knows that it is closed")
        node.stop()
        node.audit()

    def test_doctor_says_whether_the_rune_is_good_for_them(self) -> None:
        for commands, good in ((OFFERS, True), (INVOICES, False)):
            file = self.file(self.lightningd(commands))
            seen = subprocess.run(
                [harness.BINARY, "doctor", "--json", "--config", file, "--data-dir", self.folder / "x"],
                capture_output=True, text=True, timeout=harness.PATIENCE, check=False,
                env={"PATH": "/usr/bin:/bin", "RUNE": RUNE})
            self.assertEqual(seen.returncode, 0, seen)
            self.assertEqual(json.loads(seen.stdout)["lightning"][0]["makes_offers"], good)

    def test_a_rune_for_invoices_alone_makes_none(self) -> None:
        node = self.nutgate("--config", self.file(self.lightningd(INVOICES)), dev=False,
                            environment={"RUNE": RUNE})
        refused = node.ask("/lightning/offer", body={})
        self.assertEqual((refused.status, refused.json()["error"]["code"]), (502, "lightning_refused"))
        node.stop()
        node.audit()


if __name__ == "__main__":
    unittest.main()
