"""A clock that is set, while the node runs: forward past every deadline, and back before its birth.

The clock of the node's process is moved by libfaketime (Debian: faketime; scripts/setup tests).
What is measured in elapsed time (time-outs, pacing) goes by another clock, which nobody can set.
"""
import json
import pathlib
import unittest

import harness
from lifecycle_test import Stream

LIBRARY = "libfaketimeMT.so.1"


def library() -> pathlib.Path:
    for path in pathlib.Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"):
        return path
    raise AssertionError(f"{LIBRARY} is not there: run scripts/setup tests")


class ClockJumps(harness.NodeCase):
    def start(self, name: str = "node") -> harness.Nutgate:
        self.offset = self.folder / "offset"
        self.offset.write_text("+0\n")
        config = self.folder / "nutgate.toml"
        config.write_text("[demo]\ntoken_ms = 20\n[lightning.simulated]\nsettle_ms = 50\n")
        return self.nutgate("--config", config, name=name, environment={
            "LD_PRELOAD": str(library()), "FAKETIME_TIMESTAMP_FILE": str(self.offset),
            "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1",
            # The sanitizer's own library is not the first one then, and need not be.
            "ASAN_OPTIONS": "verify_asan_link_order=0"})

    def jump(self, to: str) -> None:
        """From now on the node's clock differs so much from the true one."""
        replacement = self.folder / "offset.new"
        replacement.write_text(to + "\n")
        replacement.rename(self.offset)

    def now_at(self, node: harness.Nutgate) -> int:
        made = node.ask("/lightning/invoice", body={"amount_sats": 1})
        self.assertEqual(made.status, 200, made)
        path = f"/lightning/invoice/{made.json()['invoice_id']}/status"
        return node.ask(path).json()["created_at"]

    def assert_sells(self, node: harness.Nutgate) -> None:
        """Every kind of money event, at this time."""
        key = node.buy_key(100)
        spent = node.chat(key).json()["usage"]["cost"]["total_msats"]
        self.assertEqual(node.balance(key), 100_000 - spent)
        token = node.ask("/v1/balance/refund", "POST", key=key).json()["token"]
        again = node.ask("/v1/balance/refund", "POST", key=key).json()["token"]
        self.assertEqual(again, token)
        other = node.ask("/v1/balance/create", body={"initial_balance_token": token})
        self.assertEqual(other.status, 200, other)
        self.assertEqual(other.json()["balance"], 1000 * ((100_000 - spent) // 1000))

    def test_set_while_an_answer_is_under_way(self) -> None:
        for jump in ("+2d", "-2d"):
            with self.subTest(jump=jump):
                node = self.start("node" + jump)
                key = node.buy_key(100)
                stream = Stream(node, key, "tell me a long story, please")
                self.assertIn("choices", stream.event())
                before = self.now_at(node)
                self.jump(jump)
                moved = self.now_at(node) - before
                self.assertGreater(abs(moved), 86_400, "the clock was set")
                events = []
                while event := stream.event():
                    events.append(event)
                stream.leave()
                self.assertEqual(events[-1], "[DONE]")
                cost = json.loads(events[-2])["usage"]["cost"]["total_msats"]
                self.assertGreater(cost, 0)
                self.assertEqual(node.balance(key), 100_000 - cost)
                self.assert_sells(node)
                self.assertEqual(node.stop(), 0)
                node.audit()

    def test_set_back_and_forth_and_restarted(self) -> None:
        node = self.start()
        key = node.buy_key(100)
        right = 100_000
        for jump in ("+400d", "-400d", "+1s", "-5m", "+3000d", "+0"):
            self.jump(jump)
            answer = node.chat(key)
            self.assertEqual(answer.status, 200, answer)
            right -= answer.json()["usage"]["cost"]["total_msats"]
            self.assertEqual(node.balance(key), right)
            self.assert_sells(node)
            node.kill()
            node.command("audit", "--full")
            node.start()
        self.assertEqual(node.balance(key), right)
        self.assertEqual(node.stop(), 0)
        node.audit()


if __name__ == "__main__":
    unittest.main()
