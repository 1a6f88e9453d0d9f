"""What was sold, row by row: to the buyer over HTTP, to the seller on the command line."""
import csv
import io
import json
import unittest

import harness

COST = """
[[cost]]
upstream = "u"
model = "small"
input_msat_per_1k = 400
output_msat_per_1k = 400
"""
PAGE = "[usage]\npage_rows_max = 2\n"


def bill(row: dict) -> int:
    """What a row comes to by its own lines, as a buyer would check it."""
    millionths = sum(item["count"] * item["msats_per_million"] for item in row["items"])
    return -(-millionths // 1_000_000)


class Usage(harness.NodeCase):
    def rows(self, node: harness.Nutgate, key: str, query: str = "") -> list:
        answer = node.ask(f"/v1/balance/usage{query}", key=key)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["usage"]

    def test_each_charge_is_a_row_for_who_paid_and_for_who_sold(self) -> None:
        _, config = self.upstream(1000, 1000)
        node = self.nutgate("--config", self.config(config + COST))
        key = node.buy_key(100)
        child = node.ask("/v1/balance/child-key", body={"count": 1}, key=key).json()["api_keys"][0]
        told = [node.chat(key, text, model="small").json()["usage"] for text in ("one", "two words")]
        told.append(node.chat(child, "of a child", model="small").json()["usage"])
        node.until_posted()

        rows = self.rows(node, key)
        self.assertEqual([row["cost_msats"] for row in rows],
                         [usage["cost"]["total_msats"] for usage in reversed(told)])
        self.assertEqual([row["is_child"] for row in rows], [True, False, False])
        newest = rows[0]
        self.assertEqual((newest["model"], newest["endpoint"]), ("small", "chat/completions"))
        self.assertEqual(newest["input_tokens"], told[2]["prompt_tokens"])
        self.assertEqual(newest["output_tokens"], told[2]["completion_tokens"])
        self.assertEqual(newest["usage_source"], "upstream_final")
        self.assertEqual({item["kind"] for item in newest["items"]}, {"input", "output"})
        self.assertEqual({item["msats_per_million"] for item in newest["items"]}, {1_000_000})
        self.assertEqual([bill(row) for row in rows], [row["cost_msats"] for row in rows])
        self.assertNotIn(child, json.dumps(rows), "a child's secret is its own")
        self.assertNotIn("upstream", json.dumps(rows).replace("upstream_final", ""),
                         "what the seller pays is the seller's")
        stranger = node.buy_key(10)
        self.assertEqual(self.rows(node, stranger), [], "rows are their own key's")
        refused = node.ask(f"/v1/balance/usage?key={newest['key']}", key=stranger)
        self.assertEqual(refused.status, 404, "another's child is not found")
        self.assertEqual(node.ask(f"/v1/balance/usage?key={newest['key']}", key=child).status, 400)
        self.assertEqual(self.rows(node, child), rows[:1])
        self.assertEqual(self.rows(node, key, f"?key={newest['key']}"), rows[:1])

        pages = [node.ask("/v1/balance/usage?limit=2", key=key).json()]
        pages.append(
            node.ask(f"/v1/balance/usage?limit=2&cursor={pages[0]['next_cursor']}", key=key).json())
        self.assertEqual(pages[0]["usage"] + pages[1]["usage"], rows)
        self.assertIsNone(pages[1]["next_cursor"])
        self.assertEqual(self.rows(node, key, "?model=large"), [])
        self.assertEqual(self.rows(node, key, f"?since={newest['time'] + 3600}"), [])
        for query, status in (("limit=x", 400), ("cursor=x", 400), ("since=-1", 400),
                              ("key=00000000", 404)):
            answer = node.ask(f"/v1/balance/usage?{query}", key=key)
            self.assertEqual(answer.status, status, query)
        self.assertEqual(node.ask("/v1/balance/usage").status, 401)

        charged = sum(row["cost_msats"] for row in rows)
        tokens = sum(row["input_tokens"] + row["output_tokens"] for row in rows)

        def look() -> None:
            models = json.loads(node.command("usage", "--by", "model", "--json").stdout)
            self.assertEqual([(line["model"], line["requests"], line["cost_msats"])
                              for line in models], [("small", 3, charged)])
            # Each cost is rounded up by itself.
            self.assertLessEqual(abs(models[0]["upstream_cost_msats"] - tokens * 0.4), 3)
            self.assertEqual(models[0]["margin_msats"], charged - models[0]["upstream_cost_msats"])
            keys = json.loads(node.command("usage", "--by", "key", "--json").stdout)
            self.assertEqual(sum(line["cost_msats"] for line in keys), charged)
            self.assertEqual(len(keys), 2)
            days = list(csv.DictReader(io.StringIO(
                node.command("usage", "--by", "day", "--csv").stdout)))
            self.assertEqual(sum(int(day["cost_msats"]) for day in days), charged)
            each = list(csv.DictReader(io.StringIO(node.command("usage", "--csv").stdout)))
            self.assertEqual([int(line["cost_msats"]) for line in each],
                             [row["cost_msats"] for row in rows])
            self.assertEqual({line["upstream"] for line in each}, {"u"})
            by_upstream = json.loads(node.command("usage", "--by", "upstream", "--json").stdout)
            self.assertEqual([line["upstream"] for line in by_upstream], ["u"])
            by_endpoint = json.loads(node.command("usage", "--by", "endpoint", "--json").stdout)
            self.assertEqual([line["endpoint"] for line in by_endpoint], ["chat/completions"])
            self.assertIn("margin", node.command("usage", "--by", "model").stdout)
            node.audit()
        look()
        node.kill()
        look()
        for arguments in (("--since", "soon"), ("--by", "weather"), ("--csv", "--json")):
            self.assertEqual(node.command("usage", *arguments, check=False).returncode, 2)

    def test_a_page_has_at_most_so_many_rows_as_the_configuration_says(self) -> None:
        node = self.nutgate("--config", self.config(PAGE))
        key = node.buy_key(100)
        for text in ("one", "two", "three"):
            node.chat(key, text)
        node.until_posted()
        page = node.ask("/v1/balance/usage?limit=1000", key=key).json()
        self.assertEqual(len(page["usage"]), 2)
        rest = node.ask(f"/v1/balance/usage?cursor={page['next_cursor']}", key=key).json()
        self.assertEqual(len(rest["usage"]), 1)
        self.assertIsNone(rest["next_cursor"])
        self.assertEqual(node.stop(), 0)
        node.audit()

    def test_a_price_with_a_margin_says_what_the_upstream_takes(self) -> None:
        _, config = self.upstream(1000, 1000)
        config = config.replace(
            "price = { input_msat_per_1k = 1000, output_msat_per_1k = 1000 }",
            'price = { input_usd = "10", output_usd = "10", margin = "1.5" }')
        node = self.nutgate("--config", self.config(config + '[rates]\nbtc_usd = "100000"\n'))
        key = node.buy_key(100)
        node.chat(key, "word " * 20, model="small")
        node.until_posted()
        total = json.loads(node.command("usage", "--by", "model", "--json").stdout)[0]
        # At 100,000 USD 10 USD for a million tokens are 10 msat for each.
        tokens = total["input_tokens"] + total["output_tokens"]
        self.assertEqual(total["upstream_cost_msats"], tokens * 10)
        self.assertEqual(total["cost_msats"], tokens * 15)
        self.assertEqual(total["margin_msats"], tokens * 5)
        self.assertEqual(node.stop(), 0)
        node.audit()

    def test_charges_and_their_rows_survive_a_kill_together(self) -> None:
        node = self.nutgate()
        key = node.buy_key(100)
        paid = node.balance(key)
        for text in ("one", "two"):
            node.chat(key, text)
        node.until_posted()
        node.chat(key, "perhaps not in the books")
        node.kill()
        node.audit()
        charged = sum(int(line["cost_msats"]) for line in csv.DictReader(io.StringIO(
            node.command("usage", "--csv").stdout)))
        node.start()
        self.assertEqual(paid - node.balance(key), charged)
        self.assertEqual(sum(row["cost_msats"] for row in self.rows(node, key)), charged)
        self.assertEqual(node.stop(), 0)
        node.audit()

    def test_a_node_that_keeps_no_rows_has_none_and_its_books_are_sound(self) -> None:
        node = self.nutgate("--config", self.config("[usage]\nkeep_days = 0\n"))
        key = node.buy_key(100)
        node.chat(key)
        node.until_posted()
        self.assertEqual(self.rows(node, key), [])
        self.assertEqual(node.stop(), 0)
        node.audit()


if __name__ == "__main__":
    unittest.main()
