"""What may pass the node, byte by byte: to an upstream, to a client, and into what it writes about
itself, where no secret may; and the flaws of other gateways, tried on this one."""
import base64
import json
import pathlib
import re
import socket
import threading
import unittest
import urllib.parse

import harness

ANSWER = json.dumps({
    "id": "x", "object": "chat.completion", "created": 1, "model": "vendor",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"},
                 "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
EVENTS = ('data: {"id":"x","choices":[{"index":0,"delta":{"content":"fine"},"finish_reason":"stop"}]}\n\n'
          'data: {"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'
          "data: [DONE]\n\n")
# What tells of the seller, or is between two neighbours only.
SELLERS_OWN = {
    "set-cookie": "session=sellers-cookie", "server": "sellers-server", "via": "1.1 sellers-proxy",
    "openai-organization": "org-sellers", "openai-processing-ms": "17", "openai-version": "2020-10-01",
    "x-ratelimit-remaining-requests": "41", "x-request-id": "sellers-request", "cf-ray": "sellers-ray",
    "access-control-allow-origin": "https://sellers.example", "x-cashu": "sellers-token",
    "x-routstr-cost-msats": "1", "strict-transport-security": "max-age=1", "alt-svc": "h3=sellers",
    "location": "https://sellers.example", "www-authenticate": "Bearer realm=sellers",
    "connection": "x-hop", "x-hop": "sellers-hop", "content-language": "sellers",
}


class Recorder:
    """An upstream that keeps what it is sent as it came, and answers with bytes that a test gives."""

    def __init__(self, answer: bytes):
        self.answer, self.seen = answer, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            with line:
                got = b""
                while b"\r\n\r\n" not in got or len(got) < self._size(got):
                    part = line.recv(65536)
                    if not part:
                        break
                    got += part
                self.seen.append(got)
                line.sendall(self.answer)

    @staticmethod
    def _size(got: bytes) -> int:
        head, _, _ = got.partition(b"\r\n\r\n")
        return len(head) + 4 + int(re.search(rb"content-length: (\d+)", head, re.I)[1])

    def close(self) -> None:
        # accept() does not wake when its socket is closed by another thread.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def answer_of(content_type: str, body: str, status: str = "200 OK") -> bytes:
    own = "".join(f"{name}: {value}\r\n" for name, value in SELLERS_OWN.items())
    return (f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n{own}"
            f"content-length: {len(body)}\r\n\r\n{body}").encode()


class OpenDoor(harness.NodeCase):
    def sell(self, answer: bytes) -> Recorder:
        recorder = Recorder(answer)
        self.addCleanup(recorder.close)
        self.node = self.nutgate("--config", self.config(
            f'[[upstream]]\nname = "u"\ndialect = "openai"\nurl = "http://127.0.0.1:{recorder.port}/v1"\n'
            'api_key_env = "UPSTREAM_KEY"\n'
            '[[model]]\nid = "small"\nupstream_model = "vendor/small-7b"\nupstreams = ["u"]\n'
            'context = 1000\noutput_max = 100\n'
            'price = { input_msat_per_1k = 1000, output_msat_per_1k = 1000 }\n'),
            environment={"UPSTREAM_KEY": "sellers-upstream-key"})
        self.key = self.node.buy_key(100)
        return recorder

    def say(self, body: str) -> bytes:
        """A request with everything that a client may think of, and the answer's bytes."""
        parts = urllib.parse.urlsplit(self.node.url)
        head = (f"POST /v1/chat/completions?api_base=http://evil.example HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                f"Authorization: Bearer {self.key}\r\nContent-Type: application/json; charset=utf-8\r\n"
                "Accept: text/html\r\nAccept-Encoding: gzip, br\r\nUser-Agent: buyers-agent\r\n"
                "Cookie: buyers=cookie\r\nReferer: https://buyer.example/\r\nOrigin: https://buyer.example\r\n"
                "Forwarded: for=203.0.113.9\r\nX-Forwarded-For: 203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\n"
                "X-Forwarded-Host: buyer.example\r\nVia: 1.1 buyers-proxy\r\nProxy-Authorization: Basic YTpi\r\n"
                "OpenAI-Organization: org-buyers\r\nOpenAI-Project: buyers\r\nX-Api-Key: buyers-key\r\n"
                "X-Request-Id: buyers-request\r\nX-Hop: buyers-hop\r\nConnection: close, X-Hop\r\n"
                "TE: trailers\r\nUpgrade: websocket\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        with socket.create_connection((parts.hostname, parts.port), timeout=harness.PATIENCE) as line:
            line.sendall((head + body).encode())
            got = b""
            while part := line.recv(65536):
                got += part
        return got

    def check_both_ways(self, body: str, sent: str, accepts: str, answer: bytes, own: set) -> bytes:
        recorder = self.sell(answer)
        got = self.say(body)
        # Nothing of the client's head, and of its body all but what is ours to say.
        self.assertEqual(recorder.seen, [
            ("POST /v1/chat/completions HTTP/1.1\r\n"
             f"host: 127.0.0.1:{recorder.port}\r\n"
             "Content-Type: application/json\r\n"
             f"Accept: {accepts}\r\n"
             "Accept-Encoding: identity\r\n"
             "Authorization: Bearer sellers-upstream-key\r\n"
             f"content-length: {len(sent)}\r\n\r\n{sent}").encode()])
        head, _, rest = got.partition(b"\r\n\r\n")
        names = {line.split(b":")[0].decode().lower() for line in head.split(b"\r\n")[1:]}
        self.assertEqual(names, own | {
            "content-type", "date", "connection", "x-request-id", "x-routstr-request-id",
            "access-control-allow-origin", "access-control-expose-headers"})
        for word in (b"sellers", b"vendor/small-7b", b"2020-10-01", b"gzip"):
            self.assertNotIn(word, got)
        self.assertIn(b"\r\nx-request-id: buyers-request", head)
        self.assertIn(b"\r\nAccess-Control-Allow-Origin: *", head)
        self.node.stop()
        self.node.audit()
        return rest

    def test_of_a_buffered_call(self) -> None:
        asked = '{ "messages":[{"role":"user","content":"hi"}], "model":"small","max_tokens":9 }'
        got = self.check_both_ways(
            asked, asked.replace('"small"', '"vendor/small-7b"'), "application/json",
            answer_of("application/json", ANSWER),
            {"content-length", "x-routstr-cost-msats", "x-routstr-input-cost-msats",
             "x-routstr-output-cost-msats"})
        self.assertEqual(json.loads(got)["choices"], json.loads(ANSWER)["choices"])

    def test_of_a_stream(self) -> None:
        asked = '{"model":"small","messages":[{"role":"user","content":"hi"}],"max_tokens":9,"stream":true}'
        got = self.check_both_ways(
            asked, asked.replace('"small"', '"vendor/small-7b"')[:-1] +
            ',"stream_options":{"include_usage":true}}', "text/event-stream",
            answer_of("text/event-stream", EVENTS),
            {"transfer-encoding", "cache-control", "x-accel-buffering"})
        self.assertIn(EVENTS[:EVENTS.index("\n\n") + 2].encode(), got)

    def test_of_an_error(self) -> None:
        asked = '{"model":"small","messages":[{"role":"user","content":"hi"}],"max_tokens":9}'
        error = json.dumps({"error": {"type": "invalid_request_error", "code": "bad", "param": None,
                                      "message": "no: sk-sellers0123456789abcdef of org-sellers0123"}})
        got = self.check_both_ways(
            asked, asked.replace('"small"', '"vendor/small-7b"'), "application/json",
            answer_of("application/json", error, "400 Bad Request"), {"content-length"})
        self.assertEqual(json.loads(got)["error"]["code"], "bad")

    def test_of_a_redirect_and_a_refused_key(self) -> None:
        asked = '{"model":"small","messages":[{"role":"user","content":"hi"}],"max_tokens":9}'
        elsewhere = Recorder(b"")
        self.addCleanup(elsewhere.close)
        for status in ("307 Temporary Redirect", "401 Unauthorized", "403 Forbidden"):
            with self.subTest(status):
                answer = answer_of("application/json", '{"error":{"message":"sellers"}}', status)
                got = self.check_both_ways(
                    asked, asked.replace('"small"', '"vendor/small-7b"'), "application/json",
                    answer.replace(b"https://sellers.example",
                                   b"http://127.0.0.1:%d/v1" % elsewhere.port), {"content-length"})
                self.assertEqual(json.loads(got)["error"]["code"], "upstream_error")
        self.assertEqual(elsewhere.seen, [], "nobody goes where a redirect points")


class Secrets(harness.NodeCase):
    """Two nodes, one of which is the other's mint, do all that they can, fail at all that they can,
    and are killed; then all that they said about themselves is searched."""

    def setUp(self) -> None:
        super().setUp()
        self.secrets: dict[bytes, str] = {}
        self.said: dict[str, bytes] = {}

    def secret(self, what: str, text: str) -> str:
        self.assertGreater(len(text), 11, what)  # Too short a one would be found by chance.
        self.secrets[text.encode()] = what
        return text

    def token(self, what: str, text: str) -> str:
        """A token, and the secrets of its proofs: whoever has those has the money."""
        raw = base64.urlsafe_b64decode(text[6:] + "=" * (-len(text[6:]) % 4))
        proofs = re.findall(rb"[0-9a-f]{64}", raw)
        self.assertTrue(proofs, what)
        for proof in proofs:
            self.secret(f"a proof of {what}", proof.decode())
        return self.secret(what, text)

    def refused(self, answer: harness.Answer) -> None:
        self.assertGreaterEqual(answer.status, 400, answer)
        self.said[f"answer {len(self.said)}"] = answer.body + str(answer.headers).encode()

    def buyer(self, node: harness.Nutgate, mint: harness.Nutgate) -> None:
        made = node.ask("/lightning/invoice", body={"amount_sats": 300}).json()
        self.secret("an invoice's id", made["invoice_id"])
        path = f"/lightning/invoice/{made['invoice_id']}/status"
        key = harness.until(lambda: node.ask(path).json().get("api_key"), "the invoice is paid")
        self.secret("a key", key)
        paid = self.token("a token that is paid with", mint.ask(
            "/v1/balance/refund", "POST", key=self.secret("a key of the mint's", mint.buy_key(90))
        ).json()["token"])
        by_token = node.ask("/v1/balance/create", body={"initial_balance_token": paid}).json()["api_key"]
        self.secret("a key by token", by_token)
        child = node.ask("/v1/balance/child-key", body={"count": 1}, key=key).json()["api_keys"][0]
        self.secret("a child", child)
        for stream in (False, True):
            asked = self.secret("a prompt", f"prompt-number-{stream}-secret")
            answer = node.chat(child, asked, model="small", stream=stream)
            self.assertEqual(answer.status, 200, answer)
        back = node.ask("/v1/balance/refund", "POST", key=by_token).json()["token"]
        self.token("a refund", back)
        damaged = self.secret("a damaged token", back[:-12] + "AAAAAAAAAAAA")
        for token in (paid, damaged):
            self.refused(node.ask("/v1/balance/topup", body={"cashu_token": token}, key=key))
        self.refused(node.ask("/v1/balance/info", key=damaged))
        self.refused(node.ask("/v1/chat/completions", body={}, key=self.secret("no key", "sk-" + "7" * 64)))
        preimage = self.secret("a preimage", "5ec4e7" * 10 + "5ec4")
        self.refused(node.ask("/lightning/recover", body={"bolt11": "lnbcrt1nothing", "preimage": preimage}))
        node.ask("/lightning/recover", body={"bolt11": made["bolt11"], "preimage": preimage})
        for asked in ("fail 400", "fail 401", "fail 500", "leak 400", "leak 401", "leak 500"):
            text = f"{asked} {self.secret('a failing prompt', f'prompt-of-{asked[:4]}-{asked[5:]}-secret')}"
            answer = node.chat(key, text, model="small")
            self.assertGreaterEqual(answer.status, 400)
            # What a 400 repeats of the request is its client's own; of the seller it says nothing.
            self.assertNotIn(b"seller", answer.body)
            if not asked.endswith(" 400"):
                self.refused(answer)
        self.refused(node.ask("/v1/chat/completions", "POST", b'{"model": "prompt-cut-off-secret', key=key))
        self.secret("a prompt that is no JSON", "prompt-cut-off-secret")

    def search(self, nodes: list) -> None:
        for node in nodes:
            name = node.folder.name
            self.said[f"{name}: log"] = (node.folder / "log").read_bytes()
            self.said[f"{name}: output"] = "".join(node.process.output).encode()
            for path in sorted(pathlib.Path(node.data_dir).glob("nutgate.db*")):
                self.said[f"{name}: {path.name}"] = path.read_bytes()
        for where, text in self.said.items():
            for secret, what in self.secrets.items():
                with self.subTest(where=where, what=what):
                    at = text.find(secret)
                    self.assertEqual(at, -1, text[max(0, at - 100):at + 100])

    def test_none_is_in_a_log_a_metric_an_error_or_a_stolen_database(self) -> None:
        _, upstream = self.upstream(200_000, 200_000, 'api_key_env = "UPSTREAM_KEY"')
        environment = {"UPSTREAM_KEY": self.secret("the upstream's key", "sk-of-the-seller-0123456789")}
        debug = '[node]\nlog_level = "debug"\n'
        loud = self.folder / "loud.toml"
        loud.write_text(debug)
        mint = self.nutgate("--config", loud, name="mint")
        node = self.nutgate("--config", self.config(
            f'{debug}[wallet]\nmints = ["{mint.url}/mint"]\n[lightning]\nnetwork = "regtest"\n' + upstream),
            name="node", dev=False, environment=environment)
        self.buyer(node, mint)
        sent = node.command("wallet", "send", "1", "--json")
        self.token("a payout", json.loads(sent.stdout)["token"])
        # A deposit and a refund that are cut off, and finished after a restart.
        key = self.secret("a key that waits", node.buy_key(40))
        token = self.token("a token that waits", mint.ask(
            "/v1/balance/refund", "POST", key=mint.buy_key(20)).json()["token"])
        mint.kill()
        self.refused(node.ask("/v1/balance/create", body={"initial_balance_token": token}))
        node.ask("/v1/balance/refund", "POST", key=key)
        node.kill()
        node.start()
        mint.start()
        made = harness.until(lambda: (a := node.ask(
            "/v1/balance/create", body={"initial_balance_token": token})).status == 200 and a, "the deposit")
        self.secret("its key", made.json()["api_key"])
        for one in (node, mint):
            self.secret("an operator's token", (one.data_dir / "operator.token").read_text().strip())
            words = next(path for path in one.data_dir.iterdir()
                         if re.fullmatch(r"([a-z]+ ){11}[a-z]+\n?", self.text_of(path)))
            self.secret("a seed's words", self.text_of(words).strip())
            self.said[f"{one.folder.name}: metrics"] = harness.request(one.operator_url() + "/metrics").body
            for command in (("audit", "--full"), ("keys", "list"), ("wallet", "balance"), ("mint", "info")):
                done = one.command(*command, "--json", check=False)
                self.said[f"{one.folder.name}: {command}"] = (done.stdout + done.stderr).encode()
            one.stop()
            one.audit()
        self.assertGreater(len(self.secrets), 25)
        self.search([node, mint])

    @staticmethod
    def text_of(path: pathlib.Path) -> str:
        return path.read_text(errors="replace") if path.is_file() and path.stat().st_size < 1000 else ""


class PublishedElsewhere(harness.NodeCase):
    """Flaws that were published of other gateways, each tried here (metering-and-gateways 7.1)."""

    def setUp(self) -> None:
        super().setUp()
        self.node = self.nutgate("--config", self.config("[lightning.simulated]\nsettle_ms = 0\n"))
        self.key = self.node.buy_key(1)

    def tearDown(self) -> None:
        self.assertEqual(self.node.balance(self.key), 1000, "nothing of it cost anything")
        self.node.stop()
        self.node.audit()

    def chat(self, **fields) -> harness.Answer:
        return self.node.ask("/v1/chat/completions", key=self.key, body={
            "model": "demo", "messages": [{"role": "user", "content": "hi"}], **fields})

    def test_cve_2026_42208_a_key_is_no_statement(self) -> None:
        before = self.node.command("keys", "list", "--json").stdout
        for text in ("' OR '1'='1", "sk-' OR 1=1 --", "\"; DROP TABLE api_key; --", "sk-%", "sk-" + "_" * 64,
                     "sk-" + "0" * 63 + "'", "sk-" + "%" * 64):
            for path, body in (("/v1/chat/completions", {}), ("/v1/balance/info", None),
                               ("/v1/balance/refund", {})):
                answer = self.node.ask(path, body=body, key=text)
                self.assertEqual(answer.status, 401, f"{path} {text}: {answer}")
            for path, field in (("/v1/balance/create", "initial_balance_token"),
                                ("/v1/balance/topup", "cashu_token"), ("/lightning/recover", "bolt11"),
                                ("/v1/balance/child-key/reset", "child_key")):
                answer = self.node.ask(path, body={field: text}, key=self.key)
                self.assertIn(answer.status, (400, 404), f"{path} {text}: {answer}")
            status = self.node.ask("/lightning/invoice/" + urllib.parse.quote(text, safe="") + "/status")
            self.assertEqual(status.status, 404)
        self.assertEqual(self.node.command("keys", "list", "--json").stdout, before)

    def test_cve_2026_49468_no_header_opens_a_door(self) -> None:
        operator = urllib.parse.urlsplit(self.node.operator_url()).netloc
        for headers in ({"host": operator}, {"x-forwarded-host": operator}, {"x-original-url": "/metrics"},
                        {"x-rewrite-url": "/metrics"}, {"forwarded": f"host={operator};for=127.0.0.1"},
                        {"x-forwarded-for": "127.0.0.1"}):
            for path in ("/metrics", "/admin/wallet/send", "/admin"):
                answer = harness.request(self.node.url + path, "GET", headers=headers)
                self.assertIn(answer.status, (404, 421), f"{path} {headers}: {answer}")
            self.assertEqual(harness.request(self.node.url + "/v1/balance/info", headers=headers).status, 401)

    def test_cve_2024_6587_cve_2025_66405_cve_2026_55245_nothing_in_a_request_names_a_host(self) -> None:
        elsewhere = Recorder(b"")
        self.addCleanup(elsewhere.close)
        url = f"http://127.0.0.1:{elsewhere.port}/v1"
        for field in ("api_base", "base_url", "api_key", "custom_llm_provider", "upstream", "provider"):
            self.assertEqual(self.chat(**{field: url}).status, 400, field)
        self.assertEqual(self.chat(model=url).status, 400)
        image = [{"type": "image_url", "image_url": {"url": url}}]
        self.assertEqual(self.chat(messages=[{"role": "user", "content": image}]).status, 400)
        for header in ("x-portkey-custom-host", "x-upstream", "helicone-target-url", "x-routstr-model-path"):
            answer = self.node.ask("/v1/chat/completions", key="sk-" + "0" * 64, body={}, headers={header: url})
            self.assertEqual(answer.status, 401)
        self.assertEqual(elsewhere.seen, [])

    def test_cve_2026_71479_no_number_makes_a_charge_negative(self) -> None:
        numbers = (-1, -(2**31), 2**31, 2**32 + 1, 2**63 - 1, 2**63, 2**64, -(2**63), 2**64 + 1, 1e300, 0.5, "1")
        for field in ("max_tokens", "max_completion_tokens", "n"):
            for number in numbers:
                answer = self.chat(**{field: number})
                if field != "n" and isinstance(number, int) and 0 < number < 2**63:
                    # Lowered to the model's own limit, which a key of one sat can't pay.
                    self.assertIn(answer.status, (400, 402), f"{field} {number}: {answer}")
                else:
                    self.assertEqual(answer.status, 400, f"{field} {number}: {answer}")
        for number in numbers:
            answer = self.node.ask("/v1/balance/child-key", key=self.key,
                                   body={"count": 1, "balance_limit": number, "validity_date": number})
            if number not in (2**63 - 1, 2**31, 2**32 + 1):
                self.assertEqual(answer.status, 400, f"{number}: {answer}")

    def test_cve_2026_41432_nobody_is_believed_who_says_that_it_was_paid(self) -> None:
        # With the clock of the simulated network stopped: nobody pays this one.
        slow = self.nutgate("--config", self.config("[lightning.simulated]\nsettle_ms = 86400000\n"),
                            name="slow")
        made = slow.ask("/lightning/invoice", body={"amount_sats": 5}).json()
        path = f"/lightning/invoice/{made['invoice_id']}/status"
        self.assertEqual(slow.ask(path, "POST", {"status": "paid"}).status, 405)
        for more in ({}, {"status": "paid", "paid": True}, {"preimage": "00" * 32}):
            slow.ask("/lightning/recover", body={"bolt11": made["bolt11"], **more})
            answer = slow.ask(path).json()
            self.assertEqual((answer["status"], answer["api_key"]), ("pending", None))
        for hook in ("/webhook", "/lightning/webhook", "/v1/stripe/webhook"):
            self.assertEqual(slow.ask(hook, "POST", {"type": "invoice.paid"}).status, 404)
        slow.stop()
        slow.audit()

    def test_cve_2025_3801_a_page_runs_no_script_but_its_own(self) -> None:
        page = self.node.ask("/")
        policy = page.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertIn("frame-ancestors 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertNotRegex(page.body.decode(), r"(?i)<script(?![^>]*src=)|\son\w+=|javascript:|https?://")
        self.assertNotRegex(self.node.ask("/page.js").body.decode(),
                            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
        drawn = self.node.ask("/qr.svg?text=" + urllib.parse.quote('"><script>alert(1)</script>'))
        self.assertNotIn(b"script", drawn.body)


if __name__ == "__main__":
    unittest.main()
