"""Prices from lists of others, and what a bitcoin is worth, through the real binary."""
import http.server
import json
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import harness

LIST = {"data": [
    {"id": "vendor/small", "pricing": {"prompt": "0.000002", "completion": "0.000006",
                                       "input_cache_read": "2e-07"}},
    {"id": "vendor/auto", "pricing": {"prompt": "-1", "completion": "-1"}}]}
CONFIG = """
[[upstream]]
name = "local"
url = "{upstream}/v1"
[[model]]
id = "small"
upstreams = ["local"]
upstream_model = "vendor/small"
context = 4096
output_max = 256
[rates]
sources = ["kraken={tickers}/kraken", "bitstamp={tickers}/bitstamp", "bitfinex={tickers}/bitfinex"]
refresh_s = 5
age_max_s = 10
"""


class World(http.server.ThreadingHTTPServer):
    """The list, three tickers, and an upstream that counts 40 tokens in and 12 out."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.quotes = {"kraken": "100000.1", "bitstamp": "100000", "bitfinex": "99999.9"}
        self.calls: dict[str, int] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass

    def answer(self, body: dict, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.server.calls[name] = self.server.calls.get(name, 0) + 1
        quote, now = self.server.quotes.get(name), str(int(time.time()))
        if name.endswith("models"):
            self.answer(LIST)
        elif quote is None:
            self.answer({}, 503)
        elif name == "kraken":
            self.answer({"error": [], "result": {"XXBTZUSD": {"c": [quote, "0.1"]}}})
        elif name == "bitstamp":
            self.answer({"last": quote, "timestamp": now})
        else:
            self.answer({"last_price": quote, "timestamp": now + ".5"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer({"id": "x", "object": "chat.completion", "created": 1, "model": "vendor/small",
                     "choices": [{"index": 0, "finish_reason": "stop",
                                  "message": {"role": "assistant", "content": "fine"}}],
                     "usage": {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}})


def prices(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([str(harness.BINARY), "prices", *map(str, arguments)],
                          capture_output=True, text=True, timeout=harness.PATIENCE)


class Prices(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.world = World()
        self.addCleanup(self.world.server_close)
        self.addCleanup(self.world.shutdown)
        self.config = self.folder / "nutgate.toml"
        self.config.write_text(CONFIG.format(upstream=self.world.url, tickers=self.world.url))
        self.data_dir = self.folder / "data"
        self.data_dir.mkdir()

    def imported(self, source, *more) -> pathlib.Path:
        candidate = self.folder / "candidate.toml"
        done = prices("import", source, "--format", "openrouter", "-o", candidate, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return candidate

    def apply(self, candidate: pathlib.Path) -> str:
        done = prices("apply", candidate, "--data-dir", self.data_dir)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_list_becomes_what_the_node_sells_by_and_a_model_without_a_price_is_not_sold(self):
        unpriced = subprocess.run(
            [str(harness.BINARY), "serve", "--dev", "--check", "--config", str(self.config),
             "--data-dir", str(self.data_dir)], capture_output=True, text=True)
        self.assertEqual(unpriced.returncode, 2)
        self.assertIn("model[0].price: is missing", unpriced.stderr)

        # The models of the configuration, from a URL and from an upstream of it: the same.
        candidate = self.imported(self.world.url + "/api/v1/models", "--config", self.config,
                                  "--margin", "1.5", "--floor-msat", "10")
        by_url = candidate.read_text()
        candidate = self.imported("local", "--config", self.config, "--margin", "1.5",
                                  "--floor-msat", "10")
        self.assertEqual(candidate.read_text(), by_url)

        told = prices("diff", candidate, "--data-dir", self.data_dir)
        self.assertIn('small  input_usd  - -> "2"', told.stdout)
        self.assertFalse((self.data_dir / "prices.toml").exists())
        self.assertIn('small  margin  - -> "1.5"', self.apply(candidate))
        self.assertIn("nothing changes", self.apply(candidate))
        checked = subprocess.run(
            [str(harness.BINARY), "serve", "--dev", "--check", "--config", str(self.config),
             "--data-dir", str(self.data_dir)], capture_output=True, text=True)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertIn('price.cached_input_usd = "0.2"', checked.stdout)
        self.assertIn("price.floor_msat = 10", checked.stdout)

    def test_what_is_not_for_sale_is_named_and_a_bad_file_changes_nothing(self):
        done = prices("import", self.world.url + "/models", "--format", "openrouter",
                      "--model", "small=vendor/small", "--model", "vendor/auto")
        self.assertEqual(done.returncode, 1)
        self.assertIn("vendor/auto: has a price that varies", done.stderr)
        self.assertIn('model = "small"', done.stdout)
        self.assertNotIn("auto", done.stdout)
        bad = self.folder / "bad.toml"
        bad.write_text('[[price]]\nmodel = "small"\nprice.input_usd = "-1"\n')
        done = prices("apply", bad, "--data-dir", self.data_dir)
        self.assertEqual(done.returncode, 2)
        self.assertIn("price.input_usd", done.stderr)
        self.assertEqual(list(self.data_dir.iterdir()), [])

    def test_sold_at_the_median_of_the_tickers_and_not_without_them(self):
        self.apply(self.imported("local", "--config", self.config))
        self.world.quotes["bitstamp"] = "1"  # A lie, and without it too few agree.
        node = harness.Nutgate(self.folder, "--config", self.config).start()
        self.addCleanup(node.kill)
        invoice = node.ask("/lightning/invoice", body={"amount_sats": 1000}).json()
        status = f"/lightning/invoice/{invoice['invoice_id']}/status"
        key = harness.until(lambda: node.ask(status).json().get("api_key"), "a key")

        def ask():
            return node.ask("/v1/chat/completions", key=key, body={
                "model": "small", "max_tokens": 12,
                "messages": [{"role": "user", "content": "hello"}]})

        def listed():
            return {model["id"] for model in node.ask("/v1/models").json()["data"]}

        refused = ask()
        self.assertEqual(refused.status, 503)
        self.assertEqual(refused.json()["error"]["code"], "rate_unavailable")
        self.assertNotIn("small", listed())
        self.world.quotes["bitstamp"] = "100000"
        harness.until(lambda: "small" in listed(), "the model is for sale")
        answer = ask()
        self.assertEqual(answer.status, 200)
        # 40 * 2 + 12 * 6 msat, at 100,000 USD.
        self.assertEqual(answer.json()["usage"]["cost"]["total_msats"], 152)
        self.world.quotes.clear()
        harness.until(lambda: ask().status == 503, "nothing in USD is sold at an old rate")
        harness.until(lambda: "small" not in listed(), "nor listed")
        self.assertEqual(node.stop(), 0)
        audit = subprocess.run([str(harness.BINARY), "audit", "--full", "--data-dir",
                                str(node.data_dir)], capture_output=True, text=True)
        self.assertEqual(audit.returncode, 0, audit.stdout)

    def test_a_running_node_takes_new_prices_whole_or_not_at_all(self):
        text = self.config.read_text()
        self.config.write_text(text[:text.index("[rates]")] + '[rates]\nbtc_usd = "100000"\n')
        self.apply(self.imported("local", "--config", self.config))
        node = harness.Nutgate(self.folder, "--config", self.config).start()
        self.addCleanup(node.kill)
        invoice = node.ask("/lightning/invoice", body={"amount_sats": 1000}).json()
        status = f"/lightning/invoice/{invoice['invoice_id']}/status"
        key = harness.until(lambda: node.ask(status).json().get("api_key"), "a key")

        def cost():
            answer = node.ask("/v1/chat/completions", key=key, body={
                "model": "small", "max_tokens": 12,
                "messages": [{"role": "user", "content": "hello"}]})
            self.assertEqual(answer.status, 200)
            return answer.json()["usage"]["cost"]["total_msats"]

        def listed():
            return json.dumps(node.ask("/v1/models").json())

        # 40 * 2 + 12 * 6 msat, at 100,000 USD.
        self.assertEqual(cost(), 152)
        before = listed()
        told = self.apply(self.imported("local", "--config", self.config, "--margin", "1.5"))
        self.assertIn("nutgate prices reload", told)
        self.assertEqual(cost(), 152)
        taken = prices("reload", "--data-dir", node.data_dir)
        self.assertEqual(taken.returncode, 0, taken.stderr)
        self.assertEqual(cost(), 228)
        self.assertNotEqual(listed(), before)

        # What can't be sold by changes nothing, and is named.
        file = pathlib.Path(node.data_dir) / "prices.toml"
        good = file.read_text()
        for bad in ["", good.replace('"2"', '"-2"'), good.replace('"1.5"', '"much"'), "no = TOML ["]:
            file.write_text(bad)
            refused = prices("reload", "--data-dir", node.data_dir)
            self.assertEqual(refused.returncode, 1, bad)
            self.assertIn("prices.toml", refused.stderr)
            self.assertEqual(cost(), 228)

        # By a signal, too.
        file.write_text(good.replace('"1.5"', '"2"'))
        node.process.process.send_signal(signal.SIGHUP)
        harness.until(lambda: cost() == 304, "the new price")
        file.write_text("")
        node.process.process.send_signal(signal.SIGHUP)
        harness.until(lambda: "prices_refused" in node.process.log_end(), "the refusal is logged")
        self.assertEqual(cost(), 304)
        self.assertEqual(node.stop(), 0)
        audit = subprocess.run([str(harness.BINARY), "audit", "--full", "--data-dir",
                                str(node.data_dir)], capture_output=True, text=True)
        self.assertEqual(audit.returncode, 0, audit.stdout)


if __name__ == "__main__":
    unittest.main()
