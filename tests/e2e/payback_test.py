"""Money back over Lightning, the owner's payouts, and waiting for an invoice: the real binary with
the simulated network."""
import http.client
import json
import threading
import unittest
import urllib.parse

import harness


def invoice_of_mint(node: harness.Nutgate, sats: int, description: str = "unpaid") -> str:
    """An invoice that some wallet at this node's mint waits for, and nobody else pays."""
    quote = node.ask("/mint/v1/mint/quote/bolt11",
                     body={"amount": sats, "unit": "sat", "description": description})
    return quote.json()["request"]


class Refunds(harness.NodeCase):
    def test_a_balance_goes_to_an_invoice_once_and_its_state_can_be_asked_for(self) -> None:
        node = self.nutgate()
        other = self.nutgate(name="other")
        key = node.buy_key(1000)
        bolt11 = invoice_of_mint(other, 300)
        body = {"bolt11": bolt11}

        estimate = node.ask("/v1/balance/refund/estimate", body=body, key=key).json()
        self.assertEqual(estimate["amount_msats"], 300_000)
        self.assertEqual(estimate["total_msats"], 300_000 + estimate["fee_reserve_msats"])
        self.assertEqual(estimate["balance_msats"], 1_000_000)
        self.assertTrue(estimate["is_exact"])
        self.assertEqual(node.balance(key), 1_000_000)

        sent = node.ask("/v1/balance/refund", body=body, key=key)
        self.assertEqual(sent.status, 200, sent)
        sent = sent.json()
        self.assertEqual(sent["recipient"], bolt11)
        self.assertEqual(sent["sats"], "300")
        path = "/v1/balance/refund/" + sent["refund_id"]
        paid = harness.until(
            lambda: (state := node.ask(path, key=key).json())["status"] == "paid" and state, "paid")
        self.assertEqual(paid["fee_msats"], 0)
        self.assertEqual(node.balance(key), 700_000)

        # The same invoice, the same refund.
        again = node.ask("/v1/wallet/refund", body=body, key=key).json()
        self.assertEqual((again["refund_id"], again["status"]), (sent["refund_id"], "paid"))
        self.assertEqual(node.balance(key), 700_000)
        stranger = node.buy_key(10)
        self.assertEqual(node.ask(path, key=stranger).status, 404)

        lines = node.ask("/v1/balance/history", key=key).json()["transactions"]
        self.assertEqual([line["amount"] for line in lines if line["type"] == "out"], [300_000])
        # What is left goes as it always did.
        self.assertEqual(node.ask("/v1/balance/refund", "POST", key=key).json()["sats"], "700")
        for one in (node, other):
            one.stop()
            one.audit()

    def test_what_can_not_be_paid_is_refused_with_a_reason_and_nothing_is_taken(self) -> None:
        node = self.nutgate()
        key = node.buy_key(100)
        own = node.ask("/lightning/invoice", body={"amount_sats": 5}).json()["bolt11"]
        for body, status, code in [
            ({"bolt11": "hello"}, 400, "invalid_target"),
            ({"bolt11": own}, 400, "invoice_ours"),
            ({"bolt11": invoice_of_mint(node, 101)}, 400, "balance_insufficient"),
            ({"bolt11": invoice_of_mint(node, 50), "amount_sats": 49}, 400, "invoice_other_amount"),
            ({"bolt11": own, "lnurl": own}, 400, "invalid_value"),
            ({"bolt11": own, "refund_id": "x"}, 400, "invalid_value"),
            ({"bolt11": own, "amount_sats": 0}, 400, "invalid_value"),
            # A stranger's word, and it leads to this machine.
            ({"lightning_address": "ann@127.0.0.1"}, 400, "lnurl_unreachable"),
            ({"lightning_address": "ann@localhost"}, 400, "lnurl_unreachable"),
            ({"lnurl": f"lnurlp://127.0.0.1:{node.listen.rpartition(':')[2]}/"}, 400,
             "lnurl_unreachable"),
            ({"lnurl": "http://a.example/"}, 400, "invalid_target"),
        ]:
            answer = node.ask("/v1/balance/refund", body=body, key=key)
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (status, code), body)
        self.assertEqual(node.balance(key), 100_000)
        self.assertEqual(node.ask("/v1/balance/refund/" + 32 * "0", key=key).status, 404)
        node.stop()
        node.audit()

    def test_one_of_unknown_outcome_is_held_through_a_kill_and_ends_once(self) -> None:
        node = self.nutgate()
        other = self.nutgate(name="other")
        # (One that fails is given back when no copy of the mint's request can be on its way any
        # more, which is minutes after a kill: tests/crash has those.)
        key = node.buy_key(100)
        body = {"bolt11": invoice_of_mint(other, 40, "unknown-then-paid:3000"), "refund_id": 32 * "a"}
        sent = node.ask("/v1/balance/refund", body=body, key=key)
        self.assertEqual((sent.status, sent.json()["status"]), (200, "pending"), sent)
        self.assertEqual(node.balance(key), 60_000)
        second = {"bolt11": invoice_of_mint(other, 10)}
        refused = node.ask("/v1/balance/refund", body=second, key=key)
        self.assertEqual(refused.status, 409, refused)
        self.assertEqual(refused.json()["error"]["code"], "refund_in_progress")
        self.assertEqual(refused.json()["detail"]["refund_id"], 32 * "a")
        node.kill()
        node.start()
        path = "/v1/balance/refund/" + 32 * "a"
        harness.until(lambda: node.ask(path, key=key).json().get("status") == "paid", "paid")
        self.assertEqual(node.balance(key), 60_000)
        for one in (node, other):
            one.stop()
            one.audit()


class Payouts(harness.NodeCase):
    def test_the_owner_takes_the_revenue_and_no_more(self) -> None:
        node = self.nutgate()
        other = self.nutgate(name="other")
        key = node.buy_key(1000)
        while json.loads(self.dry_run(node, other, 1))["withdrawable_msat"] < 6_000:
            self.assertEqual(node.chat(key, "word " * 3000, max_tokens=1000).status, 200)
            node.until_posted()
        revenue = json.loads(self.dry_run(node, other, 1))["withdrawable_msat"]
        refused = node.command("payout", "send", invoice_of_mint(other, revenue // 1000 + 1),
                               check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("there is not so much", refused.stderr)

        request = 32 * "b"
        target = invoice_of_mint(other, 5)
        sent = json.loads(node.command("payout", "send", target, "--request", request,
                                       "--json").stdout)
        self.assertEqual(sent["amount_msat"], 5_000)

        def lines():
            return json.loads(node.command("payout", "status", "--json").stdout)["payouts"]
        harness.until(lambda: lines()[0]["status"] == "paid", "the payout is paid")
        self.assertEqual([line["request"] for line in lines()], [request])
        again = json.loads(node.command("payout", "send", target, "--request", request,
                                        "--json").stdout)
        self.assertTrue(again["again"])
        self.assertEqual(json.loads(self.dry_run(node, other, 1))["withdrawable_msat"],
                         revenue - 5_000)
        for one in (node, other):
            one.stop()
            one.audit()

    def dry_run(self, node, other, sats: int) -> str:
        done = node.command("payout", "send", invoice_of_mint(other, sats), "--dry-run", "--json",
                            check=False)
        return done.stdout or '{"withdrawable_msat": 0}'


class Waits(harness.NodeCase):
    def test_a_long_poll_answers_when_the_invoice_is_paid(self) -> None:
        node = self.nutgate()
        made = node.ask("/lightning/invoice", body={"amount_sats": 21}).json()
        status = node.ask(f"/lightning/invoice/{made['invoice_id']}/status?wait=30").json()
        self.assertEqual((status["status"], status["amount_received_msats"]), ("paid", 21_000))
        self.assertEqual(node.balance(status["api_key"]), 21_000)
        for wait in ("61", "-1", "x"):
            answer = node.ask(f"/lightning/invoice/{made['invoice_id']}/status?wait={wait}")
            self.assertEqual(answer.status, 400, answer)
        self.assertEqual(node.ask("/lightning/invoice/nothing/status?wait=30").status, 404)
        node.stop()
        node.audit()

    def test_events_tell_each_state_once(self) -> None:
        node = self.nutgate()
        made = node.ask("/lightning/invoice", body={"amount_sats": 21}).json()
        answer = node.ask(f"/v1/balance/lightning/invoice/{made['invoice_id']}/events")
        self.assertEqual(answer.headers["content-type"], "text/event-stream; charset=utf-8")
        states = [event["status"] for event in harness.events_of(answer.body)]
        self.assertEqual(states[-1], "paid")
        self.assertEqual(states, list(dict.fromkeys(states)))
        self.assertEqual(node.ask("/lightning/invoice/nothing/events").status, 404)
        node.stop()
        node.audit()

    def test_a_cancelled_invoice_ends_its_waits_and_is_still_credited_if_it_is_paid(self) -> None:
        node = self.nutgate(environment={"NUTGATE_LIGHTNING_SIMULATED_SETTLE_MS": "5000"})
        made = node.ask("/lightning/invoice", body={"amount_sats": 21}).json()
        invoice = f"/lightning/invoice/{made['invoice_id']}"
        waited = []
        waiter = threading.Thread(
            target=lambda: waited.append(node.ask(invoice + "/status?wait=60").json()["status"]))
        waiter.start()
        cancelled = node.ask(invoice + "/cancel", "POST").json()
        self.assertEqual(cancelled["status"], "cancelled")
        waiter.join()
        self.assertEqual(waited, ["cancelled"])
        paid = harness.until(
            lambda: (state := node.ask(invoice + "/status").json())["status"] == "paid" and state,
            "late money is credited")
        self.assertEqual(node.balance(paid["api_key"]), 21_000)
        self.assertEqual(node.ask(invoice + "/cancel", "POST").json()["status"], "paid")
        node.stop()
        node.audit()

    def test_a_client_may_not_wait_for_more_than_its_share(self) -> None:
        node = self.nutgate(environment={"NUTGATE_LIMITS_WAITS_PER_CLIENT_MAX": "1",
                                         "NUTGATE_LIGHTNING_SIMULATED_SETTLE_MS": "3000"})
        made = node.ask("/lightning/invoice", body={"amount_sats": 21}).json()
        path = f"/lightning/invoice/{made['invoice_id']}"
        address = urllib.parse.urlsplit(node.url)
        stream = http.client.HTTPConnection(address.hostname, address.port,
                                            timeout=harness.PATIENCE)
        stream.request("GET", path + "/events")
        self.assertEqual(stream.getresponse().status, 200)
        refused = node.ask(path + "/status?wait=30")
        self.assertEqual((refused.status, refused.json()["error"]["code"]), (429, "too_many_waits"))
        self.assertEqual(node.ask(path + "/status").status, 200)
        stream.close()
        harness.until(lambda: node.ask(path + "/status?wait=1").status == 200,
                      "the seat of who left is free")
        node.stop()
        node.audit()


if __name__ == "__main__":
    unittest.main()
