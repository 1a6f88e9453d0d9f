"""What bad input gets, on the real binary: a typed error, and nothing changed."""
import pathlib
import socket
import subprocess
import unittest
import urllib.parse

import harness


def raw(url: str, data: bytes) -> bytes:
    """Sends bytes as they are, and returns all that comes until the node closes."""
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=harness.PATIENCE) as line:
        try:
            line.sendall(data)
        except ConnectionError:
            pass  # It may refuse before it has read all; its answer is then there already.
        answer = b""
        try:
            while part := line.recv(65536):
                answer += part
        except ConnectionError:
            pass
        return answer


class Refusals(harness.NodeCase):
    def assert_error(self, answer: harness.Answer, status: int, code: str | None = None) -> dict:
        self.assertEqual(answer.status, status, answer)
        body = answer.json()
        self.assertEqual(body["error"], body["detail"]["error"])
        self.assertTrue(body["error"]["message"])
        self.assertTrue(body["error"]["type"])
        self.assertEqual(body["request_id"], answer.headers["x-routstr-request-id"])
        if code:
            self.assertEqual(body["error"]["code"], code)
        return body

    def test_requests_that_are_wrong(self) -> None:
        node = self.nutgate()
        key = node.buy_key(10)
        chat = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}

        def ask(body, **more):
            return node.ask("/v1/chat/completions", "POST", body, **{"key": key, **more})

        self.assert_error(ask(b"{", headers={"content-type": "application/json"}), 400, "invalid_json")
        self.assert_error(ask(b"[1]", headers={"content-type": "application/json"}), 400)
        self.assert_error(ask(b'{"model":"\xff"}', headers={"content-type": "application/json"}), 400)
        self.assert_error(ask({**chat, "model": "nope"}), 400)
        self.assert_error(ask({**chat, "max_tokens": 10.5}), 400)
        self.assert_error(ask({**chat, "max_tokens": 10**30}), 400)
        self.assert_error(ask({**chat, "max_tokens": "many"}), 400)
        self.assert_error(ask({**chat, "n": -1}), 400)
        self.assert_error(ask(chat, key="sk-" + "1" * 64), 401, "invalid_api_key")
        self.assert_error(ask(chat, key="nonsense"), 401, "invalid_api_key")
        self.assert_error(ask(chat, key="cashuBdamaged"), 400, "invalid_cashu_token")
        for path in ("/v1/balance/info", "/v1/wallet/history"):
            self.assert_error(node.ask(path, key="cashuBdamaged"), 400, "invalid_cashu_token")
        long = {**chat, "messages": [{"role": "user", "content": "a " * 9000}]}
        self.assert_error(ask(long), 402, "insufficient_balance")
        rich = node.buy_key(20)
        self.assert_error(ask(long, key=rich), 400, "context_length_exceeded")
        self.assertEqual(node.balance(rich), 20_000, "a refused prompt costs nothing")
        self.assert_error(node.ask("/lightning/invoice", "POST",
                                   b'{"amount_sats":1,"amount_sats":2}'), 400, "duplicate_field")
        self.assert_error(ask(chat, key=None), 401, "missing_api_key")
        self.assert_error(node.ask("/v1/nothing"), 404)
        self.assert_error(node.ask("/v1/embeddings", body={"model": "demo", "input": "x"}, key=key), 400,
                          "unsupported_endpoint")
        for path in ("files", "batches", "vector_stores", "conversations", "containers", "evals",
                     "fine_tuning/jobs", "realtime/client_secrets", "responses/resp_1/cancel"):
            for prefix in ("/v1/", "/"):
                self.assert_error(node.ask(prefix + path, body={"model": "demo"}, key=key), 404)
        for path in ("/v1/responses/resp_1", "/v1/files/file_1/content", "/v1/conversations/conv_1"):
            self.assert_error(node.ask(path, key=key), 404)
        for path in ("/admin/keys", "/metrics", "/admin"):
            self.assertEqual(node.ask(path).status, 404, "the operator's face is another listener")
        self.assertEqual(ask({**chat, "max_tokens": None}).status, 200, "null is absent")
        for sats in (0, -5, 1_000_001, 1.5, "10", None, 2**64):
            answer = node.ask("/lightning/invoice", body={"amount_sats": sats})
            self.assertIn(answer.status, (400, 422), f"amount_sats {sats!r}: {answer}")
        self.assert_error(node.ask("/lightning/invoice/AAAAAAAAAAAAAAAAAAAAAA/status"), 404)
        node.stop()
        node.audit()

    def test_a_token_stands_for_its_key_on_every_path(self) -> None:
        node = self.nutgate()
        token = node.ask("/v1/balance/refund", "POST", key=node.buy_key(10)).json()["token"]
        made = node.ask("/lightning/invoice", body={"amount_sats": 5, "purpose": "topup"}, key=token)
        self.assertEqual(made.status, 200, made)
        path = f"/lightning/invoice/{made.json()['invoice_id']}/status"
        harness.until(lambda: node.ask(path).json()["status"] == "paid", "the top-up is paid")
        self.assertEqual(node.balance(token), 15_000)
        lines = node.ask("/v1/balance/history", key=token).json()["transactions"]
        self.assertEqual([(line["amount"], line["swept"]) for line in lines],
                         [(5000, False), (10_000, False)])
        node.stop()
        node.audit()

    def test_an_address_hands_in_so_many_tokens_on_whatever_path(self) -> None:
        limits = "[limits]\ncreates_per_client_per_minute = 1\n"
        node = self.nutgate("--config", self.config(limits))
        tokens = [node.ask("/v1/balance/refund", "POST", key=node.buy_key(100)).json()["token"]
                  for _ in range(2)]
        self.assertEqual(node.chat(tokens[0]).status, 200)
        refused = node.chat(tokens[1])
        self.assert_error(refused, 429, "rate_limit_exceeded")
        self.assertTrue(refused.headers["Retry-After"])
        self.assertEqual(node.chat(tokens[0]).status, 200, "one that is known is no other")
        self.assertGreater(node.balance(tokens[0]), 0)
        node.stop()
        node.audit()

    def test_a_child_is_reset_by_its_parent_only(self) -> None:
        node = self.nutgate()
        parent, other = node.buy_key(10), node.buy_key(10)
        made = node.ask("/v1/balance/child-key", body={"count": 1, "balance_limit": 1000}, key=parent)
        child = made.json()["api_keys"][0]

        def reset(key: str, text: str) -> harness.Answer:
            return node.ask("/v1/balance/child-key/reset", body={"child_key": text}, key=key)
        self.assertEqual(reset(parent, child).json()["success"], True)
        self.assert_error(reset(other, child), 403, "not_the_parent")
        self.assert_error(reset(child, child), 403, "not_the_parent")
        self.assert_error(reset(parent, other), 403, "not_the_parent")
        for nobody in ("sk-" + "0" * 64, "0" * 32, "nonsense"):
            self.assert_error(reset(parent, nobody), 404, "child_key_not_found")
        self.assert_error(reset("sk-" + "0" * 64, child), 401, "invalid_api_key")
        node.stop()
        node.audit()

    def test_a_top_up_by_invoice_needs_a_key_that_there_is(self) -> None:
        node = self.nutgate()
        key = node.buy_key(10)

        def top_up(bearer: str | None = None, **fields) -> harness.Answer:
            return node.ask("/lightning/invoice", key=bearer,
                            body={"amount_sats": 5, "purpose": "topup", **fields})
        self.assert_error(top_up(), 401, "missing_api_key")
        self.assert_error(top_up("nonsense"), 401, "invalid_api_key")
        self.assert_error(top_up("cashuBdamaged"), 400, "invalid_cashu_token")
        self.assert_error(top_up("sk-" + "0" * 64), 404, "key_not_found")
        body = self.assert_error(top_up(api_key="nonsense"), 400, "invalid_value")
        self.assertEqual(body["error"]["param"], "api_key")
        self.assert_error(top_up(api_key="sk-" + "0" * 64), 404, "key_not_found")
        self.assert_error(top_up("sk-" + "0" * 64, api_key=key), 404, "key_not_found")
        for made in (top_up(key), top_up(api_key=key)):
            path = f"/lightning/invoice/{made.json()['invoice_id']}/status"
            harness.until(lambda: node.ask(path).json()["status"] == "paid", "the top-up is paid")
        self.assertEqual(node.balance(key), 20_000)
        node.stop()
        node.audit()

    def test_too_little_money_says_how_much_and_takes_nothing(self) -> None:
        node = self.nutgate()
        key = node.buy_key(1)
        answer = node.chat(key, max_tokens=2000)
        body = self.assert_error(answer, 402, "insufficient_balance")
        self.assertEqual(body["error"]["type"], "insufficient_quota")
        self.assertEqual(body["detail"]["type"], "minimum_balance_required")
        self.assertGreater(body["detail"]["amount_required_msat"], 1000)
        self.assertEqual(body["detail"]["available_msat"], 1000)
        self.assertEqual(node.balance(key), 1000)
        node.stop()
        node.audit()

    def test_http_that_is_wrong_is_refused_and_the_connection_closed(self) -> None:
        node = self.nutgate()
        host = b"host: x\r\n"
        for data, statuses in [
            (b"GET / HTTP/1.1\r\n" + host + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello", (400,)),
            (b"POST /v1/chat/completions HTTP/1.1\r\n" + host +
             b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
            (b"GET / HTTP/1.1\r\n" + host + b"x: " + b"a" * 200_000 + b"\r\n\r\n", (400, 431)),
            (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + host + b"\r\n", (400, 414, 431)),
            (b"POST /v1/balance/create HTTP/1.1\r\n" + host +
             b"content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n", (413,)),
            (b"nonsense\r\n\r\n", (400,)),
        ]:
            # A second request behind it: it must not be read.
            answer = raw(node.url, data + b"GET /healthz HTTP/1.1\r\n" + host + b"\r\n")
            status = int(answer.split(b" ", 2)[1]) if answer else 0
            self.assertIn(status, statuses, f"{data[:60]!r}: {answer[:200]!r}")
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
        self.assertEqual(node.ask("/healthz").status, 200)
        node.stop()

    def test_configuration_that_is_wrong_names_every_mistake(self) -> None:
        path = self.folder / "bad.toml"
        path.write_text(
            '[node]\nnmae = "typo"\n[wallet]\nmints = ["https://mint.example.com"]\n'
            '[[model]]\nid = "m"\nupstreams = ["nowhere"]\ncontext = 10\noutput_max = 20\n')
        done = subprocess.run(
            [harness.BINARY, "serve", "--check", "--dev", "--config", path, "--listen", "0.0.0.0:0"],
            capture_output=True, text=True, cwd=self.folder, timeout=harness.PATIENCE)
        self.assertEqual(done.returncode, 2, done.stderr)
        for key in ("node.nmae", "wallet.mints[0]", "model[0].upstreams", "model[0].output_max",
                    "model[0].price", "listen.public"):
            self.assertIn(key, done.stderr)
        self.assertFalse((self.folder / "nutgate-dev").exists(), "--check makes nothing")

    def test_misuse_says_what_is_wrong(self) -> None:
        prices = ["--price-input-msat-per-1k", "1", "--price-output-msat-per-1k", "1"]
        for arguments, said in [
            (["sell"], "no command sell"),
            (["serve", "--check", "--config", self.folder], "can't read"),
            # 192.0.2.0/24 is nobody's: it must be refused before it is asked.
            (["serve", "--check", "--dev", "--upstream-url", "http://192.0.2.1/v1", *prices],
             "--dev-allow-upstream"),
        ]:
            done = subprocess.run([harness.BINARY, *arguments], capture_output=True, text=True,
                                  cwd=self.folder, timeout=harness.PATIENCE)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)

    def test_play_money_stays_play_money(self) -> None:
        node = self.nutgate()
        node.stop()
        real = self.folder / "real.toml"
        real.write_text(
            '[wallet]\nmints = ["http://127.0.0.1:1/mint"]\n'
            '[[upstream]]\nname = "u"\ndialect = "openai"\nurl = "http://127.0.0.1:2/v1"\n'
            '[[model]]\nid = "m"\nupstreams = ["u"]\ncontext = 10\noutput_max = 5\n'
            'price = { input_msat_per_1k = 1, output_msat_per_1k = 1 }\n')
        done = subprocess.run(
            [harness.BINARY, "serve", "--config", real, "--data-dir", node.data_dir,
             "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"],
            capture_output=True, text=True, cwd=self.folder, timeout=harness.PATIENCE)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("dev", done.stderr)

    def test_one_process_owns_a_data_dir(self) -> None:
        node = self.nutgate()
        second = subprocess.run(
            [harness.BINARY, "serve", "--dev", "--data-dir", node.data_dir,
             "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"],
            capture_output=True, text=True, cwd=self.folder, timeout=harness.PATIENCE)
        self.assertNotEqual(second.returncode, 0)
        self.assertEqual(node.ask("/healthz").status, 200)
        token = pathlib.Path(node.data_dir) / "operator.token"
        self.assertEqual(token.stat().st_mode & 0o777, 0o600)
        node.stop()

    def test_an_upstream_that_fails_costs_nothing(self) -> None:
        upstream, config = self.upstream(7000, 11_000)
        node = self.nutgate("--config", self.config(config))
        key = node.buy_key(100)
        for asked, status in (("fail 500", 502), ("fail 401", 502), ("fail 403", 502), ("fail 400", 400)):
            answer = node.chat(key, asked, model="small")
            self.assert_error(answer, status)
            self.assertEqual(node.balance(key), 100_000, asked)
        answer = node.chat(key, "one two three", model="small")
        # 3 words asked, "You said: one two three" answered: 3 * 7 + 5 * 11.
        self.assertEqual(answer.json()["usage"]["cost"]["total_msats"], 76, answer)
        self.assertEqual(node.balance(key), 100_000 - 76)
        events = harness.events_of(node.chat(key, "one two three", model="small", stream=True).body)
        self.assertEqual(events[-1], "[DONE]")
        self.assertEqual(events.count("[DONE]"), 1)
        self.assertEqual(events[-2]["choices"], [])
        self.assertEqual(events[-2]["usage"]["cost"]["total_msats"], 76)
        self.assertEqual(node.balance(key), 100_000 - 2 * 76)
        upstream.process.kill()
        upstream.process.wait()
        self.assertIn(node.chat(key, "anyone?", model="small").status, (502, 503))
        self.assertEqual(node.balance(key), 100_000 - 2 * 76)
        node.stop()
        node.audit()


if __name__ == "__main__":
    unittest.main()
