"""`nutgate doctor`, and what a running node says of its Lightning nodes, on the real binary."""
import base64
import http.server
import json
import pathlib
import subprocess
import threading
import unittest

import harness

PASSWORD = "limited-password"


class Phoenixd(http.server.ThreadingHTTPServer):
    """Says who it is, to who has the password; whatever else it is asked, it does not know."""

    daemon_threads = True

    def __init__(self, chain: str):
        self.chain = chain
        super().__init__(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f":{PASSWORD}".encode()).decode()
        if self.headers["authorization"] != expected:
            return self.answer(401, {})
        if self.path == "/getinfo":
            return self.answer(200, {"version": "0.8.0", "chain": self.server.chain})
        return self.answer(404, {})

    def answer(self, status: int, body: dict) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_) -> None:
        pass


class Doctor(harness.NodeCase):
    def phoenixd(self, chain: str = "regtest") -> Phoenixd:
        server = Phoenixd(chain)
        self.addCleanup(server.stop)
        return server

    def node_file(self, url: str, more: str = "") -> pathlib.Path:
        return self.config(f"""
[wallet]
mints = ["https://mint.example.com"]
[lightning]
receive = ["phoenixd"{more and ', "lnd"'}]
network = "regtest"
[lightning.phoenixd]
url = "{url}"
limited_password_env = "PHOENIXD_LIMITED"
{more}
[[upstream]]
name = "local"
url = "http://127.0.0.1:9/v1"
[[model]]
id = "small"
upstreams = ["local"]
context = 8192
output_max = 1024
price = {{ input_msat_per_1k = 1000, output_msat_per_1k = 3000 }}
""")

    def doctor(self, file: pathlib.Path, *more: str, password: str = PASSWORD):
        return subprocess.run(
            [harness.BINARY, "doctor", "--config", file, "--data-dir", self.folder / "data", *more],
            capture_output=True, text=True, timeout=harness.PATIENCE, check=False,
            env={"PATH": "/usr/bin:/bin", "PHOENIXD_LIMITED": password})

    def test_a_node_that_is_there(self) -> None:
        file = self.node_file(self.phoenixd().url)
        seen = self.doctor(file)
        self.assertEqual(seen.returncode, 0, seen)
        self.assertIn("version 0.8.0", seen.stdout)
        self.assertIn("receives only", seen.stdout)
        self.assertIn("only run against a fake", seen.stdout)
        self.assertNotIn(PASSWORD, seen.stdout + seen.stderr)
        told = json.loads(self.doctor(file, "--json").stdout)
        self.assertTrue(told["well"])
        self.assertEqual([line["backend"] for line in told["lightning"]], ["phoenixd"])
        self.assertFalse(told["lightning"][0]["run_against_a_real_node"])
        self.assertFalse((self.folder / "data").exists(), "a look changes nothing")

    def test_what_is_wrong_is_said(self) -> None:
        server = self.phoenixd("mainnet")
        file = self.node_file(server.url)
        foreign = self.doctor(file)
        self.assertEqual(foreign.returncode, 1)
        self.assertIn("ANOTHER NETWORK", foreign.stdout)
        stranger = self.doctor(file, password="wrong")
        self.assertEqual(stranger.returncode, 1)
        self.assertIn("DOES NOT ANSWER", stranger.stdout)
        away = self.doctor(self.node_file("http://127.0.0.1:9"))
        self.assertEqual(away.returncode, 1)
        self.assertIn("DOES NOT ANSWER", away.stdout)
        unset = self.doctor(file, password="")
        self.assertEqual(unset.returncode, 2)
        self.assertIn("lightning.phoenixd.limited_password_env", unset.stderr)

    def test_a_running_node_shows_who_is_away(self) -> None:
        lnd = """
[lightning.lnd]
url = "https://127.0.0.1:9"
invoice_macaroon_env = "LND_INVOICE"
"""
        node = self.nutgate("--config", self.node_file(self.phoenixd().url, lnd), dev=False,
                            environment={"PHOENIXD_LIMITED": PASSWORD, "LND_INVOICE": "0201"})

        def lines():
            return node.ask("/readyz").json()["lightning"]

        there, away = {"backend": "phoenixd", "up": True}, {"backend": "lnd", "up": False}
        harness.until(lambda: lines() == [there, away], "lnd is seen to be away")
        self.assertEqual(node.ask("/readyz").status, 200)
        metrics = harness.request(
            node.operator_url() + "/metrics",
            key=(node.data_dir / "operator.token").read_text().strip()).body.decode()
        self.assertIn('nutgate_lightning_backend_up{backend="lnd"} 0', metrics)
        self.assertIn('nutgate_lightning_backend_up{backend="phoenixd"} 1', metrics)

    def test_a_node_of_another_network_is_refused_at_start(self) -> None:
        node = harness.Nutgate(
            self.folder / "node", "--config", self.node_file(self.phoenixd("mainnet").url), dev=False,
            environment={"PHOENIXD_LIMITED": PASSWORD})
        self.nodes.append(node)
        process = node.spawn()
        self.assertEqual(process.process.wait(harness.PATIENCE), 2)
        process.wait_gone()
        self.assertIn("another network", process.log_end())


if __name__ == "__main__":
    unittest.main()
