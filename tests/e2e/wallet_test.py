"""The owner's wallet, by its commands: three mints, money in, between them and out, and a restore from
the words alone. The mints are those of --dev nodes, reached over HTTP like anybody's."""
import hashlib
import json
import pathlib
import subprocess
import unittest

import harness

REAL = """
[wallet]
mints = ["{mint}/mint"]
[lightning]
network = "regtest"
"""
SWAPPING = """
[wallet]
foreign_mints = "swap"
"""
RESERVE = """
[wallet]
reserve_sat = 200
[lightning]
receive = ["simulated"]
pay = ["simulated"]
"""


def token_of(node: harness.Nutgate, sats: int) -> str:
    """Ecash of a node's own mint, as it gives it back."""
    refund = node.ask("/v1/balance/refund", "POST", key=node.buy_key(sats))
    if refund.status != 200:
        raise AssertionError(refund)
    return refund.json()["token"]


def bolt11_of(node: harness.Nutgate, sats: int) -> str:
    return node.ask("/lightning/invoice", body={"amount_sats": sats}).json()["bolt11"]


class Wallet(harness.NodeCase):
    def real_node(self, name: str = "node") -> harness.Nutgate:
        _, upstream = self.upstream(7000, 11_000)
        self.file = self.config(REAL.format(mint=self.mint.url) + upstream)
        return self.nutgate("--config", self.file, name=name, dev=False)

    def wallet(self, *arguments, node: harness.Nutgate | None = None):
        return json.loads((node or self.node).command("wallet", *arguments, "--json").stdout)

    def finish(self, *nodes: harness.Nutgate) -> None:
        for node in nodes:
            node.stop()
            node.audit()

    def moved(self, *arguments) -> dict:
        """A command that may be told to ask again: invoices of simulated networks take a moment."""
        request = hashlib.sha256(repr(arguments).encode()).hexdigest()[:32]

        def ask():
            done = self.node.command("wallet", *arguments, "--request", request, "--json",
                                     check=False)
            if done.returncode == 0:
                return json.loads(done.stdout)
            self.assertIn(f"--request {request}", done.stderr)
            return None
        return harness.until(ask, f"wallet {arguments}")

    def test_the_owners_money_comes_in_moves_and_goes_out(self) -> None:
        self.mint = self.nutgate(name="mint")
        other = self.nutgate(name="other")
        self.node = self.real_node()
        here, there = f"{self.mint.url}/mint", f"{other.url}/mint"
        buyer = self.node.buy_key(40)

        put_in = self.moved("receive", token_of(self.mint, 300))
        self.assertEqual((put_in["credited_msat"], put_in["withdrawable_msat"]), (300_000, 300_000))

        self.assertEqual([m["role"] for m in self.wallet("mints")], ["trusted"])
        added = self.wallet("mints", "add", there, "--exposure-sats", "200")
        self.assertEqual((added["role"], added["exposure_max_msat"]), ("trusted", 200_000))
        self.assertIn(there, self.node.ask("/v1/info").json()["mints"])
        info = self.wallet("mints", "info", there)
        self.assertEqual(info["role"], "trusted")
        self.assertIn(5, info["nuts"])
        self.assertTrue(any(keyset["active"] for keyset in info["keysets"]))
        self.assertIn("Nutgate mint", self.node.command("wallet", "mints", "info", there).stdout)

        swapped = self.moved("swap", "120", "--from", here, "--to", there)
        self.assertEqual(swapped["amount_msat"], 120_000)
        held = {m["mint"]: m["held_msat"] for m in self.wallet("mints")}
        self.assertEqual(held, {here: 220_000, there: 120_000})
        beyond = self.node.command("wallet", "swap", "100", "--from", here, "--to", there, check=False)
        self.assertEqual(beyond.returncode, 1)
        self.assertIn("more than is to be held", beyond.stderr)

        # Paid out of what is the owner's, once for each request, and never beyond it.
        invoice = bolt11_of(other, 25)
        paid = self.moved("pay", invoice)
        self.assertEqual((paid["amount_msat"], paid["again"]), (25_000, False))
        self.assertTrue(self.moved("pay", invoice)["again"])
        left = 300 - 25
        refused = self.node.command("wallet", "melt", bolt11_of(other, left + 1), check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("customers' ecash is not spendable", refused.stderr)
        self.assertIn("(request ", refused.stderr)

        sent = self.moved("send", "100", "--mint", there)
        self.assertEqual((sent["amount_sats"], sent["mint"]), (100, there))
        kept = other.ask("/v1/balance/create", body={"initial_balance_token": sent["token"]})
        self.assertEqual(kept.json()["balance"], 100_000)
        self.assertEqual(self.moved("send", str(left - 100))["amount_sats"], left - 100)

        self.assertEqual(self.wallet("consolidate"), {"operations": 0})
        kinds = {operation["kind"] for operation in self.wallet("operations")}
        self.assertLessEqual({"receive", "swap", "issue", "melt", "send"}, kinds)
        self.assertEqual(self.wallet("mints", "remove", there)["role"], "leaving")
        self.assertEqual(self.wallet("restore")["mints"][0]["error"], "")
        fund = self.node.command("wallet", "fund", "10", check=False)
        self.assertIn("no Lightning backend", fund.stderr)

        self.assertEqual(self.node.balance(buyer), 40_000)
        self.finish(self.node, self.mint, other)

    def test_the_words_alone_bring_the_ecash_back(self) -> None:
        self.mint = self.nutgate(name="mint")
        self.node = self.real_node()
        self.node.buy_key(70)
        self.node.buy_key(41)
        self.node.stop()
        words = (self.node.data_dir / "seed").read_text()

        folder = self.folder / "again"
        written = self.folder / "words"
        written.write_text(words.upper().replace(" ", "\n"))

        def restore(into: pathlib.Path, **more) -> subprocess.CompletedProcess:
            return subprocess.run(
                [harness.BINARY, "wallet", "restore", "--config", self.file, "--data-dir", into,
                 "--json", *more.pop("arguments", ["--words-file", written])],
                capture_output=True, text=True, timeout=harness.PATIENCE, **more)

        refused = restore(self.node.data_dir)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("there is a node", refused.stderr)
        wrong = restore(folder, arguments=[], input="legal winner thank year")
        self.assertEqual(wrong.returncode, 2, wrong.stderr)
        self.assertFalse(folder.exists())

        self.mint.stop()
        away = restore(folder)
        self.assertEqual(away.returncode, 1, away.stderr)
        self.assertTrue(json.loads(away.stdout)["mints"][0]["error"])
        self.mint.start()
        found = restore(folder, arguments=[], input=words)
        self.assertEqual(found.returncode, 0, found.stderr)
        line = json.loads(found.stdout)["mints"][0]
        self.assertEqual((line["found_msat"], line["error"]), (111_000, ""))
        self.assertEqual(json.loads(restore(folder).stdout)["mints"][0]["found_msat"], 0)
        self.assertEqual((folder / "seed").stat().st_mode & 0o777, 0o600)

        # What it sold, and by which secrets, was lost too: its mints and its folder are enough.
        bare = self.folder / "bare.toml"
        bare.write_text(f'[node]\ndata_dir = "{self.folder / "third"}"\n' + self.file.read_text() +
                        '[[model]]\nid = "priced-elsewhere"\nupstreams = ["u"]\ncontext = 10\n'
                        'output_max = 10\n[[upstream]]\nname = "v"\nurl = "http://127.0.0.1:1/v1"\n'
                        'api_key_env = "NOT_HERE"\n')
        done = subprocess.run([harness.BINARY, "wallet", "restore", "--config", bare, "--json"],
                              capture_output=True, text=True, input=words,
                              timeout=harness.PATIENCE, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "third" / "seed").exists())

        # A node goes on from there; what was found is the owner's.
        again = harness.Nutgate(self.folder / "second", "--config", self.file, dev=False)
        folder.rename(again.data_dir)
        self.addCleanup(lambda: again.process and again.process.running and again.kill())
        again.start()
        sent = json.loads(again.command("wallet", "send", "111", "--json").stdout)
        kept = self.mint.ask("/v1/balance/create", body={"initial_balance_token": sent["token"]})
        self.assertEqual(kept.json()["balance"], 111_000)
        self.finish(again, self.mint)

    def test_a_token_of_any_mint_is_swapped_where_the_file_says_so(self) -> None:
        guest = self.nutgate(name="guest")
        node = self.nutgate("--config", self.config(SWAPPING), name="node")
        self.assertEqual(node.ask("/v1/info").json()["foreign_mints"], "swap")
        self.assertRegex(node.ask("/v1/info").json()["p2pk_pubkey"], "^0[23][0-9a-f]{64}$")
        token = token_of(guest, 300)

        def create():
            answer = node.ask("/v1/balance/create", body={"initial_balance_token": token})
            self.assertIn(answer.status, (200, 503), answer)
            return answer.json() if answer.status == 200 else None
        made = harness.until(create, "the token is swapped")
        self.assertLessEqual(made["balance"], 300_000)
        self.assertGreater(made["balance"], 280_000)
        self.assertEqual(create()["api_key"], made["api_key"])
        refund = node.ask("/v1/balance/refund", "POST", key=made["api_key"]).json()
        self.assertEqual(refund["mint"], f"{node.url}/mint")
        self.assertEqual(refund["redeem_fee_sats"], 0)
        roles = {m["mint"]: m["role"] for m in self.wallet("mints", node=node)}
        self.assertEqual(roles[f"{guest.url}/mint"], "guest")
        # Killed between the two, it goes on.
        token = token_of(guest, 200)
        node.ask("/v1/balance/create", body={"initial_balance_token": token})
        node.kill()
        node.start()
        self.assertGreater(harness.until(create, "after the kill")["balance"], 180_000)
        self.finish(node, guest)

    def test_lightning_keeps_a_reserve_and_refunds_beyond_it(self) -> None:
        node = self.nutgate("--config", self.config(RESERVE), name="node")
        key = node.buy_key(500)
        harness.until(lambda: sum(line["available_msat"] for line in self.wallet("balance", node=node))
                      >= 200_000, "the reserve is there")

        def refund():
            answer = node.ask("/v1/balance/refund", "POST", key=key)
            self.assertIn(answer.status, (200, 503), answer)
            return answer.json() if answer.status == 200 else None
        # More than the reserve is brought first; some of the 500 sat may have to stay for that.
        node.buy_key(50)
        self.assertEqual(harness.until(refund, "the refund")["sats"], "500")
        self.finish(node)


if __name__ == "__main__":
    unittest.main()
