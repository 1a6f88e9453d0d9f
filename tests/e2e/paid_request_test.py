"""A request that is paid for by itself: a token in X-Cashu, and the change with the answer."""
import concurrent.futures
import json
import math
import re
import unittest

import harness

ASK = {"model": "demo", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 20}


class PaidRequest(harness.NodeCase):
    def token(self, node: harness.Nutgate, sats: int) -> str:
        return node.ask("/v1/balance/refund", "POST", key=node.buy_key(sats)).json()["token"]

    def worth(self, node: harness.Nutgate, token: str) -> int:
        """In msat, to whoever redeems it."""
        made = node.ask("/v1/balance/create", body={"initial_balance_token": token})
        self.assertEqual(made.status, 200, made)
        return made.json()["balance"]

    def look_up(self, node: harness.Nutgate, token: str) -> harness.Answer:
        return node.ask("/v1/balance/refund", "POST", headers={"x-cashu": token})

    def end(self, node: harness.Nutgate) -> None:
        self.assertEqual(node.stop(), 0)
        node.audit()

    def test_a_json_answer_brings_its_change(self) -> None:
        node = self.nutgate()
        token = self.token(node, 100)
        answer = node.ask("/v1/chat/completions", body=ASK, headers={"x-cashu": token})
        self.assertEqual(answer.status, 200, answer)
        cost = answer.json()["usage"]["cost"]["total_msats"]
        self.assertGreater(cost, 0)
        change = answer.headers["x-cashu"]
        found = self.look_up(node, token)
        self.assertEqual(found.status, 200, found)
        self.assertEqual(found.json()["token"], change)
        self.assertEqual(found.headers["x-cashu"], change)
        again = node.ask("/v1/chat/completions", body=ASK, headers={"x-cashu": token})
        # What makes no sat is still there, and may pay for it.
        self.assertIn(again.status, (200, 402), again)
        self.assertEqual(again.headers["x-cashu"], change, "the change of what the token paid for")
        self.assertEqual(self.worth(node, change), (100 - math.ceil(cost / 1000)) * 1000)
        self.assertEqual(self.look_up(node, change).json()["sats"], str(100 - math.ceil(cost / 1000)))
        self.end(node)

    def test_a_stream_brings_its_change_at_its_end(self) -> None:
        node = self.nutgate()
        token = self.token(node, 100)
        answer = node.ask("/v1/chat/completions", body={**ASK, "stream": True},
                          headers={"x-cashu": token})
        self.assertEqual(answer.status, 200, answer)
        events = [line[6:] for line in answer.body.decode().splitlines() if line.startswith("data: ")]
        self.assertEqual(events[-1], "[DONE]")
        cost = json.loads(events[-3])["usage"]["cost"]["total_msats"]
        change = json.loads(events[-2])
        self.assertEqual(change["choices"], [])
        self.assertEqual(self.worth(node, change["refund_token"]),
                         (100 - math.ceil(cost / 1000)) * 1000)
        self.end(node)

    def test_a_refusal_gives_all_of_it_back(self) -> None:
        node = self.nutgate()
        for body, status in (({"model": "none", "messages": []}, 400), ({**ASK, "n": "many"}, 400)):
            token = self.token(node, 30)
            answer = node.ask("/v1/chat/completions", body=body, headers={"x-cashu": token})
            self.assertEqual(answer.status, status, answer)
            # As it came, if the body came with the head.
            self.assertEqual(self.worth(node, answer.headers["x-cashu"]), 30_000)
        # One whose body comes behind its head is redeemed before anybody can look at it.
        token = self.token(node, 30)
        answer = node.ask("/v1/chat/completions", headers={"x-cashu": token}, body={
            "model": "none", "messages": [{"role": "user", "content": "word " * 40_000}]})
        self.assertEqual(answer.status, 400, answer)
        change = answer.json()["error"]["refund_token"]
        self.assertEqual(answer.headers["x-cashu"], change)
        self.assertEqual(self.worth(node, change), 30_000)
        for junk in ("cashuBjunk", "creqAjunk", "x"):
            answer = node.ask("/v1/chat/completions", body=ASK, headers={"x-cashu": junk})
            self.assertEqual(answer.status, 400, answer)
            self.assertEqual(answer.json()["error"]["code"], "invalid_cashu_token")
            self.assertEqual(answer.headers["x-cashu"], junk, "it was not touched")
        self.end(node)

    def test_a_402_says_how_to_pay_for_the_request(self) -> None:
        node = self.nutgate()
        key = node.buy_key(1)
        answer = node.chat(key, "word " * 3000, max_tokens=2000)
        self.assertEqual(answer.status, 402, answer)
        asked = answer.headers["x-cashu"]
        self.assertTrue(asked.startswith("creqA"), asked)
        self.assertEqual(answer.json()["detail"]["payment_request"], asked)
        sats = math.ceil(answer.json()["detail"]["amount_required_msat"] / 1000)
        paid = node.ask("/v1/chat/completions", headers={"x-cashu": self.token(node, sats)}, body={
            "model": "demo", "messages": [{"role": "user", "content": "word " * 3000}],
            "max_tokens": 2000})
        self.assertEqual(paid.status, 200, paid)
        self.end(node)

    def test_one_token_in_many_requests_at_once_is_spent_once(self) -> None:
        node = self.nutgate("--config", self.config("[demo]\ntoken_ms = 1\n"))
        token = self.token(node, 100)

        def ask(number: int) -> harness.Answer:
            body = {**ASK, "stream": number % 2 == 1}
            return node.ask("/v1/chat/completions", body=body, headers={"x-cashu": token})
        with concurrent.futures.ThreadPoolExecutor(8) as crowd:
            answers = list(crowd.map(ask, range(24)))
        costs, changes = 0, set()
        for answer in answers:
            self.assertIn(answer.status, (200, 402), answer)
            if answer.status == 402:
                changes.add(answer.headers["x-cashu"])
                continue
            text = answer.body.decode()
            costs += int(re.search(r'"total_msats":(\d+)', text).group(1))
            found = re.search(r'"refund_token":"([^"]+)"', text)
            changes.add(found.group(1) if found else answer.headers["x-cashu"])
        # An answer that came while another request was under way has none.
        changes = {change for change in changes if change and change.startswith("cashu")}
        found = self.look_up(node, token)
        self.assertEqual(found.status, 200, found)
        self.assertLessEqual(changes, {found.json()["token"]})
        dust = 100_000 - costs - self.worth(node, found.json()["token"])
        self.assertTrue(0 <= dust < 1000, f"{dust} msat are lost or made")
        self.end(node)

    def test_nobody_elses_change_is_found(self) -> None:
        node = self.nutgate()
        self.assertEqual(self.look_up(node, self.token(node, 10)).status, 404)
        self.assertEqual(self.look_up(node, "cashuBjunk").status, 400)
        self.end(node)


if __name__ == "__main__":
    unittest.main()
