"""The README's walks, executed as printed: only the ports are replaced, so that a test can run
beside whatever else this machine serves."""
import json
import math
import os
import re
import signal
import socket
import subprocess
import unittest

import harness

MARK = "### end of block"


def blocks_of(walk: str) -> list[str]:
    text = (harness.ROOT / "README.md").read_text()
    return re.findall(rf"^```sh {walk}\n(.*?)^```$", text, re.M | re.S)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class ReadmeWalk(harness.NodeCase):
    def walk(self, name: str, ports: dict[int, int]) -> list[str]:
        """Runs the blocks in one shell, as a reader would, and returns what each printed."""
        blocks = blocks_of(name)
        script = "".join(f"{block}echo; echo '{MARK}'\n" for block in blocks)
        for documented, actual in ports.items():
            script = script.replace(f":{documented}", f":{actual}")
            script = script.replace(f"upstream.py {documented} ", f"upstream.py {actual} ")
        folder = self.folder / "walk"
        folder.mkdir(exist_ok=True)
        (folder / "tests").symlink_to(harness.ROOT / "tests")
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script], cwd=folder, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,  # What it leaves running is ended with it, and nothing else.
            env={**os.environ, "PATH": f"{harness.BINARY.parent}:{os.environ['PATH']}"},
        )
        self.addCleanup(self.end_session, shell.pid)
        try:
            out, errors = shell.communicate(timeout=4 * harness.PATIENCE)
        except subprocess.TimeoutExpired:
            self.end_session(shell.pid)
            out, errors = shell.communicate()
        if shell.returncode != 0:
            logs = "".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}"
                           for log in sorted(folder.glob("*.log")))
            self.fail(f"the walk ended with {shell.returncode}\n{out}\n{errors}\n{logs}")
        printed = out.split(MARK + "\n")[:-1]
        self.assertEqual(len(printed), len(blocks))
        return printed

    @staticmethod
    def end_session(leader: int) -> None:
        try:
            os.killpg(leader, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def test_a_buyer(self) -> None:
        node = self.nutgate()
        invoice, status, chat, stream, info, sent, refund, once, created = self.walk(
            "buyer", {8402: int(node.url.rpartition(":")[2])})

        invoice = json.loads(invoice)
        self.assertEqual(invoice["amount_sats"], 1000)
        self.assertTrue(invoice["bolt11"].startswith("lnbcrt10u"))
        self.assertRegex(invoice["payment_hash"], "^[0-9a-f]{64}$")

        status = json.loads(status)
        self.assertEqual(status["status"], "paid")
        self.assertRegex(status["api_key"], "^sk-[0-9a-f]{64}$")

        chat = json.loads(chat)
        self.assertTrue(chat["choices"][0]["message"]["content"])
        cost = chat["usage"]["cost"]["total_msats"]
        self.assertEqual(chat["metadata"]["routstr"]["cost"]["total_msats"], cost)

        events = harness.events_of(stream.encode())
        self.assertEqual(events[-1], "[DONE]")
        self.assertEqual(events[-2]["choices"], [])
        cost += events[-2]["usage"]["cost"]["total_msats"]

        info = json.loads(info)
        self.assertEqual(info["api_key"], status["api_key"])
        self.assertEqual(info["balance"], 1_000_000 - cost)
        self.assertEqual(info["total_requests"], 2)
        self.assertEqual(info["total_spent"], cost)

        sent = json.loads(sent)
        self.assertEqual((sent["status"], sent["amount_msats"], sent["fee_msats"]),
                         ("paid", 100_000, 0))

        refund = json.loads(refund)
        self.assertEqual(refund["sats"], str((900_000 - cost) // 1000))
        self.assertTrue(refund["token"].startswith("cashuB"))

        once = json.loads(once)["usage"]["cost"]["total_msats"]
        self.assertGreater(once, 0)

        created = json.loads(created)
        self.assertRegex(created["api_key"], "^sk-[0-9a-f]{64}$")
        self.assertNotEqual(created["api_key"], status["api_key"])
        self.assertEqual(created["balance"], 1000 * (int(refund["sats"]) - math.ceil(once / 1000)))
        node.stop()
        node.audit()

    def test_a_seller(self) -> None:
        ports = dict(zip([8402, 8403, 9402, 9403, 8000], free_ports(5)))
        config, started, sale, withdrawal = self.walk_as_seller(ports)
        self.assertIn("small", config)
        self.assertEqual(started.strip(), "")
        sale = json.loads(sale)
        self.assertEqual(sale["choices"][0]["message"]["content"], "You said: sell me a sentence")
        # 4 words in at 100 msat, 6 words out at 300.
        self.assertEqual(sale["usage"]["cost"]["total_msats"], 4 * 100 + 6 * 300)
        self.assertEqual(withdrawal.count("the books are sound"), 2, withdrawal)
        self.assertIn("cashuB", withdrawal)

    def walk_as_seller(self, ports: dict[int, int]) -> list[str]:
        """The seller's node listens where the README says by default; here, on the ports given."""
        self.assertIn("nutgate serve --config nutgate.toml > node.log", "".join(blocks_of("seller")))
        os.environ["NUTGATE_LISTEN_PUBLIC"] = f"127.0.0.1:{ports[8402]}"
        os.environ["NUTGATE_LISTEN_OPERATOR"] = f"127.0.0.1:{ports[8403]}"
        try:
            return self.walk("seller", ports)
        finally:
            del os.environ["NUTGATE_LISTEN_PUBLIC"], os.environ["NUTGATE_LISTEN_OPERATOR"]


if __name__ == "__main__":
    unittest.main()
