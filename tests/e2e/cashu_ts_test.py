"""The npm package `@cashu/cashu-ts`, unmodified: an outside wallet at the node's mint, a buyer with it."""
import unittest

import harness


class CashuTs(harness.NodeCase):
    def test_an_outside_wallet_mints_pays_and_redeems(self) -> None:
        node = self.nutgate()
        said = harness.run_node_script("cashu_ts.mjs", {"NUTGATE_URL": node.url})
        self.assertIn("done", said)
        node.stop()
        node.audit()


if __name__ == "__main__":
    unittest.main()
