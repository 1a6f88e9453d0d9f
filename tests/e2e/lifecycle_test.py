"""How a node starts, sells to many at once, lets a client go, and ends."""
import contextlib
import http.client
import json
import re
import sqlite3
import threading
import time
import unittest
import urllib.parse

import harness

SLOW_DEMO = "[demo]\ntoken_ms = 20\n"


class Stream:
    """A streamed chat whose events can be read one by one, and which can be left in the middle."""

    def __init__(self, node: harness.Nutgate, key: str, text: str):
        parts = urllib.parse.urlsplit(node.url)
        self.line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=harness.PATIENCE)
        body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": text}]}
        self.line.request("POST", "/v1/chat/completions", json.dumps(body), {
            "content-type": "application/json", "authorization": f"Bearer {key}"})
        self.answer = self.line.getresponse()

    def event(self) -> str:
        while True:
            line = self.answer.readline().decode()
            if line.startswith("data: ") or not line:
                return line.removeprefix("data: ").strip()

    def leave(self) -> None:
        self.answer.close()
        self.line.close()


class Lifecycle(harness.NodeCase):
    def test_a_running_stream_is_finished_after_sigterm(self) -> None:
        node = self.nutgate("--config", self.config(SLOW_DEMO))
        key = node.buy_key(100)
        stream = Stream(node, key, "end well")
        first = json.loads(stream.event())
        self.assertIn("choices", first)
        code = []
        ending = threading.Thread(target=lambda: code.append(node.stop()))
        ending.start()
        events = []
        while event := stream.event():
            events.append(event)
        stream.leave()
        ending.join()
        self.assertEqual(events[-1], "[DONE]")
        cost = json.loads(events[-2])["usage"]["cost"]["total_msats"]
        self.assertEqual(code, [0])
        node.audit()
        node.start()
        self.assertEqual(node.balance(key), 100_000 - cost)
        node.stop()

    def test_a_client_that_leaves_pays_for_what_was_generated(self) -> None:
        node = self.nutgate("--config", self.config(SLOW_DEMO))
        key = node.buy_key(100)
        whole = node.chat(key, "tell me much").json()["usage"]["cost"]["total_msats"]
        before = node.balance(key)
        stream = Stream(node, key, "tell me much")
        for _ in range(4):
            stream.event()
        stream.leave()
        paid = before - node.balance(key)  # balance() waits until nothing is reserved.
        self.assertGreater(paid, 0)
        self.assertLessEqual(paid, whole)
        node.stop()
        node.audit()

    def test_who_leaves_a_call_to_a_silent_upstream_has_his_refund_soon(self) -> None:
        upstream, config = self.upstream(1000, 1000, "drain_timeout_ms = 50")
        node = self.nutgate("--config", self.config(config))
        key = node.buy_key(100)
        parts = urllib.parse.urlsplit(node.url)
        line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=harness.PATIENCE)
        body = {"model": "small", "messages": [{"role": "user", "content": "hang"}]}
        line.request("POST", "/v1/chat/completions", json.dumps(body), {
            "content-type": "application/json", "authorization": f"Bearer {key}"})
        harness.until(lambda: "hanging\n" in upstream.output, "the upstream is called")
        line.close()
        # The prompt, "user" and "hang": two tokens by estimate.
        self.assertEqual(node.balance(key), 99_998)
        refund = node.ask("/v1/balance/refund", "POST", key=key)
        self.assertEqual((refund.status, refund.json().get("sats")), (200, "99"))
        node.stop()
        node.audit()

    def test_a_balance_that_covers_one_request_buys_one(self) -> None:
        # Ten words at 60 msat: 600 of the 1000 msat. What one costs is its ceiling, so after one
        # answer there is not enough for a second, whenever it asks.
        _, config = self.upstream(0, 60_000)
        node = self.nutgate("--config", self.config(config))
        key = node.buy_key(1)
        answers: list[harness.Answer] = []
        gate = threading.Barrier(64)

        def buy() -> None:
            gate.wait()
            answers.append(node.chat(key, "1 2 3 4 5 6 7 8", model="small", max_tokens=10))
        buyers = [threading.Thread(target=buy) for _ in range(64)]
        for buyer in buyers:
            buyer.start()
        for buyer in buyers:
            buyer.join()
        statuses = sorted(answer.status for answer in answers)
        self.assertEqual(statuses, [200] + [402] * 63)
        self.assertEqual(node.balance(key), 400)
        node.stop()
        node.audit()

    def test_a_node_whose_books_do_not_add_up_pays_nobody_out(self) -> None:
        node = self.nutgate()
        key = node.buy_key(1000)
        while 1000 * 1000 - node.balance(key) < 2000:
            self.assertEqual(node.chat(key, "one more, please").status, 200)
        # The last charge is in the books some milliseconds after its answer.
        harness.until(lambda: node.command("wallet", "send", "1", check=False).returncode == 0,
                      "the revenue is in the books")
        node.stop()

        def edit(statement: str) -> None:
            with contextlib.closing(sqlite3.connect(node.data_dir / "nutgate.db")) as books:
                self.assertEqual(books.execute(statement).rowcount, 1)
                books.commit()
        richest = "id = (SELECT id FROM account ORDER BY credits DESC, id LIMIT 1)"
        edit(f"UPDATE account SET credits = credits + 1 WHERE {richest}")
        node.start()
        answer = node.ask("/readyz")
        self.assertEqual((answer.status, answer.json()["reasons"]),
                         (503, ["the books do not add up: read only"]))
        for path in ("/v1/models", "/v1/balance/info"):
            self.assertEqual(node.ask(path, key=key).json()["error"]["code"], "read_only")
        refused = node.command("wallet", "send", "1", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("do not add up", refused.stderr)
        self.assertEqual(node.command("audit", "--full", check=False).returncode, 1)
        self.assertEqual(node.stop(), 1)

        edit(f"UPDATE account SET credits = credits - 1 WHERE {richest}")
        node.start()
        self.assertEqual(node.ask("/readyz").status, 200)
        self.assertEqual(node.command("wallet", "send", "1").returncode, 0)
        node.stop()
        node.audit()

    def test_a_node_that_cannot_write_is_not_ready_and_says_so_soon(self) -> None:
        node = self.nutgate()
        self.assertEqual(node.ask("/readyz").status, 200)
        lock = sqlite3.connect(node.data_dir / "nutgate.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        # As many as the pool has threads, and more: they wait for the database, /readyz must not.
        askers = [threading.Thread(target=node.ask, args=("/lightning/invoice",),
                                   kwargs={"body": {"amount_sats": 1}}) for _ in range(12)]
        for asker in askers:
            asker.start()
        answer = harness.until(lambda: (a := node.ask("/readyz")).status == 503 and a, "not ready")
        self.assertIn("database", answer.json()["reasons"][0])
        begun = time.monotonic()
        self.assertEqual(node.ask("/readyz").status, 503)
        self.assertEqual(node.ask("/healthz").status, 200)
        self.assertLess(time.monotonic() - begun, 4)
        lock.execute("ROLLBACK")
        lock.close()
        harness.until(lambda: node.ask("/readyz").status == 200, "ready again")
        for asker in askers:
            asker.join()
        node.stop()
        node.audit()

    def test_a_model_that_cannot_be_sold_is_named_with_the_reason(self) -> None:
        _, config = self.upstream(1000, 1000)
        # Priced by the second of sound, and sold, as models are by default, for text.
        mute = ('[[model]]\nid = "mute"\nupstreams = ["u"]\ncontext = 1000\noutput_max = 100\n'
                'price.audio_second_msat = 10\n')
        node = harness.Nutgate(self.folder / "node", "--config", self.config(config + mute))
        with self.assertRaisesRegex(AssertionError, r"(?s)exit 1.*model mute is sold nowhere"):
            node.start()

    def test_the_operators_face_is_the_operators(self) -> None:
        node = self.nutgate()
        operator = node.operator_url()
        metrics = harness.request(operator + "/metrics")
        self.assertEqual(metrics.status, 200)
        self.assertRegex(metrics.body.decode(), re.compile(r"^nutgate_\w+", re.M))
        self.assertEqual(harness.request(operator + "/v1/models").status, 404)
        self.assertIn(harness.request(operator + "/admin/wallet/send", "POST", {}).status, (401, 404))
        evil = harness.request(operator + "/metrics", headers={"host": "evil.example.com"})
        self.assertNotEqual(evil.status, 200, "a page elsewhere must not reach it by rebinding a name")
        node.stop()

    def test_commands_that_read_work_running_stopped_and_killed(self) -> None:
        node = self.nutgate()
        key = node.buy_key(50)
        node.chat(key)

        def look() -> tuple:
            audit = json.loads(node.command("audit", "--full", "--json").stdout)
            keys = json.loads(node.command("keys", "list", "--json").stdout)
            balance = json.loads(node.command("wallet", "balance", "--json").stdout)
            self.assertTrue(audit["sound"], audit)
            self.assertNotIn(key, json.dumps(keys))
            for line in keys:
                del line["held_msat"]  # A running node holds a part of it for requests to come.
            return keys, balance
        node.until_posted()
        running = look()
        node.kill()
        self.assertEqual(look(), running)
        node.start()
        node.stop()
        self.assertEqual(look(), running)
        self.assertTrue(json.loads(node.command("mint", "info", "--json").stdout))
        seed = node.command("wallet", "seed", check=False)
        self.assertNotEqual(seed.returncode, 0, "the words are shown on a terminal only")

    def test_no_secret_reaches_the_log(self) -> None:
        node = self.nutgate(environment={"NUTGATE_NODE_LOG_LEVEL": "debug"})
        key = node.buy_key(50)
        node.chat(key, "a prompt nobody else may read")
        token = node.ask("/v1/balance/refund", "POST", key=key).json()["token"]
        node.ask("/v1/balance/create", body={"initial_balance_token": token})
        node.chat("sk-" + "ab" * 32, "x")
        node.stop()
        log = node.process.log.read_text() + "".join(node.process.output)
        for secret in (key, key[3:], token, token[10:60], "nobody else may read", "ab" * 32):
            self.assertNotIn(secret, log)
        words = [path for path in node.data_dir.iterdir() if path.is_file()
                 and re.fullmatch(rb"([a-z]+ ){11}[a-z]+\s*", path.read_bytes()[:400])]
        for path in words:
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path.name)
            self.assertNotIn(path.read_text().strip(), log)
        self.assertEqual(len(words), 1, "the seed lies in the data dir, once")


if __name__ == "__main__":
    unittest.main()
