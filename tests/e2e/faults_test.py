"""What goes wrong around a node: its disk, its database's lock, its descriptors, its clients.

In each case it stays up, says so in the contract's words, recovers by itself when the fault is gone,
and no balance has changed by more than what was answered.
"""
import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import sqlite3
import struct
import subprocess
import threading
import time
import unittest
import urllib.parse

import harness
from lifecycle_test import Stream

# A writer waits 5 s for a lock, the one behind it as long again.
REFUSED_SECONDS = 20.0


class Purse:
    """A key of which every answer's cost is noted, so that its balance is known."""

    def __init__(self, node: harness.Nutgate, sats: int = 1000):
        self.node, self.key, self.right = node, node.buy_key(sats), sats * 1000

    def chat(self, **more) -> harness.Answer:
        answer = self.node.chat(self.key, **more)
        if answer.status == 200:
            self.right -= answer.json()["usage"]["cost"]["total_msats"]
        return answer


class Faults(harness.NodeCase):
    def assert_patience(self, answer: harness.Answer) -> None:
        """503 in the contract's words, with the time to come again."""
        self.assertEqual(answer.status, 503, answer)
        self.assertRegex(answer.headers["retry-after"], r"^\d+$")
        self.assertEqual(answer.json()["error"], answer.json()["detail"]["error"])

    def assert_recovers(self, node: harness.Nutgate, purse: Purse) -> None:
        harness.until(lambda: node.ask("/readyz").status == 200, "it is ready again", 30)
        harness.until(lambda: purse.chat().status == 200, "it sells again", 30)
        harness.until(lambda: node.balance(purse.key) == purse.right,
                      f"the balance is {purse.right}, as the answers said", 30)
        self.assertEqual(node.stop(), 0)
        node.audit()

    def assert_refuses_writes(self, node: harness.Nutgate, purse: Purse) -> None:
        # What a till holds already may still be sold, for a moment.
        answer = harness.until(
            lambda: next((a for a in [purse.chat()] if a.status != 200), None),
            "it refuses to sell what it can't write down", REFUSED_SECONDS)
        self.assert_patience(answer)
        self.assert_patience(node.ask("/lightning/invoice", body={"amount_sats": 5}))
        self.assert_patience(node.ask("/v1/balance/refund", "POST", key=purse.key))
        self.assertEqual(node.ask("/readyz").status, 503)
        self.assertEqual(node.ask("/healthz").status, 200)
        self.assertEqual(node.ask("/v1/models").status, 200)
        self.assertEqual(node.ask("/v1/balance/info", key=purse.key).status, 200)

    # The disk.

    def test_no_file_may_grow(self) -> None:
        """As with a full disk, wherever this runs: the limit is the process's own."""
        node = self.nutgate()
        purse = Purse(node)
        self.assertEqual(purse.chat().status, 200)
        pid = node.process.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            self.assert_refuses_writes(node, purse)
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        self.assert_recovers(node, purse)

    def test_the_disk_is_full(self) -> None:
        node = harness.Nutgate(self.folder / "node")
        self.nodes.append(node)
        node.data_dir.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "chaos",
                                  node.data_dir], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"NOT TESTED, a small disk needs root: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", node.data_dir], check=True)
        node.start()
        purse = Purse(node)
        self.assertEqual(purse.chat().status, 200)
        ballast = node.data_dir / "ballast"
        with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        # The log's file has some room of its own left, which is written over first.
        self.assert_refuses_writes(node, purse)
        ballast.unlink()
        self.assert_recovers(node, purse)

    # The database.

    def test_another_process_holds_the_database(self) -> None:
        node = self.nutgate()
        purse = Purse(node)
        self.assertEqual(purse.chat().status, 200)
        node.balance(purse.key)
        with contextlib.closing(sqlite3.connect(node.data_dir / "nutgate.db",
                                                isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN EXCLUSIVE")
            self.assert_refuses_writes(node, purse)
            other.execute("ROLLBACK")
        self.assert_recovers(node, purse)

    def test_a_lock_that_is_short_is_waited_for(self) -> None:
        node = self.nutgate()
        purse = Purse(node)
        with contextlib.closing(sqlite3.connect(node.data_dir / "nutgate.db",
                                                isolation_level=None, timeout=30)) as other:
            for _ in range(20):
                other.execute("BEGIN EXCLUSIVE")
                other.execute("ROLLBACK")
                self.assertEqual(purse.chat().status, 200)
        self.assert_recovers(node, purse)

    def test_a_node_that_cannot_write_does_not_start(self) -> None:
        node = self.nutgate()
        purse = Purse(node)
        self.assertEqual(purse.chat().status, 200)
        node.stop()
        with contextlib.closing(sqlite3.connect(node.data_dir / "nutgate.db",
                                                isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN EXCLUSIVE")
            self.assert_does_not_start(node, "database is locked")
            other.execute("ROLLBACK")
        node.start()
        self.assert_recovers(node, purse)

    def assert_does_not_start(self, node: harness.Nutgate, why: str) -> None:
        process = node.spawn()
        self.assertEqual(process.process.wait(harness.PATIENCE), 1)
        process.wait_gone()
        self.assertIn(why, process.log.read_text())
        self.assertEqual(process.output, [])

    # The process.

    def test_a_node_that_stood_still_goes_on(self) -> None:
        """As on a laptop that was closed for a while."""
        node = self.nutgate("--config", self.config("[demo]\ntoken_ms = 20\n"))
        purse = Purse(node)
        stream = Stream(node, purse.key, "a story, as long as can be")
        self.assertIn("choices", stream.event())
        pid = node.process.process.pid
        os.kill(pid, signal.SIGSTOP)
        waiting = threading.Thread(target=purse.chat)
        waiting.start()
        waiting.join(5)  # Longer than a charge may be late, or a lock be waited for.
        self.assertTrue(waiting.is_alive())
        os.kill(pid, signal.SIGCONT)
        waiting.join()
        events = []
        while event := stream.event():
            events.append(event)
        stream.leave()
        self.assertEqual(events[-1], "[DONE]")
        purse.right -= json.loads(events[-2])["usage"]["cost"]["total_msats"]
        self.assert_recovers(node, purse)

    # Descriptors.

    def test_descriptors_run_out(self) -> None:
        upstream = harness.Process(
            ["python3", pathlib.Path(__file__).with_name("mock_upstream.py")], self.folder / "up.log")
        self.addCleanup(upstream.kill)
        node = self.nutgate("--upstream-url", f"http://{upstream.wait_ready()}/v1",
                            "--price-input-msat-per-1k", 1000, "--price-output-msat-per-1k", 1000)
        purse = Purse(node)
        self.assertEqual(purse.chat(model="small", max_tokens=20).status, 200)
        pid = node.process.process.pid
        parts = urllib.parse.urlsplit(node.url)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        in_use = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (in_use + 16, before[1]))
        try:
            with contextlib.ExitStack() as idle:
                for _ in range(48):
                    idle.enter_context(socket.create_connection((parts.hostname, parts.port)))
                harness.until(lambda: b"accept_failed" in node.process.log.read_bytes(),
                              "descriptors have run out")
                self.assertTrue(node.process.running)
            harness.until(lambda: purse.chat(model="small", max_tokens=20).status == 200,
                          "whoever leaves makes room", 30)
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        self.assert_recovers(node, purse)

    # Clients.

    def raw_chat(self, node: harness.Nutgate, key: str, text: str) -> socket.socket:
        """A connection on which a streamed chat was asked for, and nothing was read."""
        body = json.dumps({"model": "demo", "stream": True,
                           "messages": [{"role": "user", "content": text}]}).encode()
        parts = urllib.parse.urlsplit(node.url)
        line = socket.create_connection((parts.hostname, parts.port), timeout=harness.PATIENCE)
        line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
                     b"content-type: application/json\r\nauthorization: Bearer %s\r\n"
                     b"content-length: %d\r\n\r\n%s" % (key.encode(), len(body), body))
        return line

    def test_clients_that_write_slowly(self) -> None:
        node = self.nutgate()
        purse = Purse(node)
        parts = urllib.parse.urlsplit(node.url)
        with contextlib.ExitStack() as open_lines:
            lines = [open_lines.enter_context(socket.create_connection(
                (parts.hostname, parts.port), timeout=harness.PATIENCE)) for _ in range(100)]
            for line in lines[:50]:
                line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
            for line in lines[50:]:
                line.sendall(b"POST /v1/balance/create HTTP/1.1\r\nhost: x\r\n"
                             b"content-length: 1000\r\n\r\n{")
            heads = set(lines[:50])
            begin = time.monotonic()

            def dribble() -> bool:
                for line in lines:
                    with contextlib.suppress(OSError):
                        line.sendall(b"x")
                self.assertEqual(purse.chat().status, 200)
                for line in list(heads):
                    line.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        try:
                            self.assertIn(b" 408 ", line.recv(4096))
                        except ConnectionError:
                            pass
                        heads.discard(line)
                return not heads
            harness.until(dribble, "every head that does not end is refused", 40)
            self.assertGreater(time.monotonic() - begin, 5)
        self.assert_recovers(node, purse)

    def test_connections_that_are_half_there(self) -> None:
        node = self.nutgate("--config", self.config("[demo]\ntoken_ms = 20\n"))
        purse = Purse(node)
        parts = urllib.parse.urlsplit(node.url)
        with contextlib.ExitStack() as lines:
            for _ in range(50):  # Say nothing.
                lines.enter_context(socket.create_connection((parts.hostname, parts.port)))
            for _ in range(5):  # Will say nothing more.
                line = lines.enter_context(self.raw_chat(node, purse.key, "count to ten"))
                line.shutdown(socket.SHUT_WR)
            for _ in range(5):  # Gone, with a reset, in mid-stream.
                line = self.raw_chat(node, purse.key, "count to ten")
                self.assertIn(b" 200 ", line.recv(4096))
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                line.close()
            before, purse.right = purse.right, node.balance(purse.key)
            self.assertLess(purse.right, before, "what was generated is charged")
            self.assertGreater(purse.right, before - 10_000)
            self.assertEqual(purse.chat().status, 200)
        self.assert_recovers(node, purse)

    def config(self, text: str) -> pathlib.Path:
        path = self.folder / "nutgate.toml"
        path.write_text(text)
        return path


if __name__ == "__main__":
    unittest.main()
