"""A node whose books are full: of a thousand keys and ten thousand transfers that were written
straight into its database, as tests/bench does to measure a million of them."""
import pathlib
import sys
import unittest

import harness

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))
import filled_books  # noqa: E402  (needs the path above)

KEYS = 1000
MANY_INVOICES = """
[lightning.simulated]
settle_ms = 0

[limits]
invoices_per_client_per_minute = 1000
status_per_client_per_minute = 10000
"""
BODY = {"model": "small", "messages": [{"role": "user", "content": "one two three"}]}


class OldBooks(harness.NodeCase):
    def test_full_books_are_sound_and_each_key_in_them_can_buy(self) -> None:
        _, config = self.upstream(1000, 1000)
        node = self.nutgate("--config", self.config(config + MANY_INVOICES))
        filled = filled_books.fill(node, KEYS, BODY)
        self.assertGreater(filled.transfers, KEYS * 10)
        node.audit()
        before = filled_books.on_keys(node.data_dir / "nutgate.db")
        node.start()
        charged = 0
        for key in (filled.keys[0], filled.keys[-1]):
            had = node.balance(key)
            answer = harness.request(node.url + "/v1/chat/completions", "POST", BODY, key=key)
            self.assertEqual(answer.status, 200, answer)
            cost = answer.json()["usage"]["cost"]["total_msats"]
            self.assertEqual(node.balance(key), had - cost)
            node.until_posted()
            rows = node.ask("/v1/balance/usage", key=key).json()["usage"]
            self.assertEqual(len(rows), filled_books.CHARGES_PER_KEY + 1)
            charged += cost
        node.stop()
        self.assertEqual(before - filled_books.on_keys(node.data_dir / "nutgate.db"), charged)
        node.audit()


if __name__ == "__main__":
    unittest.main()
