"""The npm package `openai`, unmodified, against the node: only base URL and key are set."""
import unittest

import harness


class OpenAiSdk(harness.NodeCase):
    def test_chat_stream_models_and_errors(self) -> None:
        node = self.nutgate()
        rich = node.buy_key(1000)
        poor = node.buy_key(1)
        before = node.balance(rich)
        said = harness.run_node_script("openai_sdk.mjs", {
            "NUTGATE_URL": node.url, "NUTGATE_KEY": rich, "NUTGATE_POOR_KEY": poor,
        })
        # The script adds up what each answer said that it cost; the balance must agree.
        cost = int(said.rsplit("cost_msats ", 1)[1])
        self.assertGreater(cost, 0)
        self.assertEqual(before - node.balance(rich), cost)
        node.stop()
        node.audit()


if __name__ == "__main__":
    unittest.main()
