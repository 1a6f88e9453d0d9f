"""A copy of the database that is put back: what was spent since it was made it does not know."""
import json
import shutil
import unittest

import harness


class Backup(harness.NodeCase):
    def test_the_mint_of_a_backup_signs_nothing_until_its_operator_says_so(self) -> None:
        node = self.nutgate()
        token = node.ask("/v1/balance/refund", "POST", key=node.buy_key(100)).json()["token"]
        copy = self.folder / "copy.db"
        told = node.command("backup", copy).stdout
        self.assertIn("nutgate mint unfreeze", told)
        self.assertEqual([path.name for path in self.folder.glob("copy*")], ["copy.db"])
        self.assertNotIn("frozen", node.command("mint", "info").stdout)
        spent = node.ask("/v1/balance/create", body={"initial_balance_token": token})
        self.assertEqual(spent.status, 200, spent)
        unneeded = node.command("mint", "unfreeze", "--json").stdout
        self.assertEqual(json.loads(unneeded), {"was_frozen": False})
        node.stop()

        database = node.data_dir / "nutgate.db"
        for path in node.data_dir.glob("nutgate.db*"):
            path.unlink()
        shutil.copy(copy, database)
        node.start()
        self.assertIn("frozen", node.command("mint", "info").stdout)
        self.assertIn("mint.frozen", node.process.log_end())
        again = node.ask("/v1/balance/create", body={"initial_balance_token": token})
        self.assertGreaterEqual(again.status, 400, again)
        swap = node.ask("/mint/v1/swap", body={"inputs": [], "outputs": []})
        self.assertEqual(swap.status, 503, swap)
        node.stop()
        node.start()
        self.assertIn("frozen", node.command("mint", "info").stdout, "a restart confirms nothing")
        self.assertEqual(node.command("mint", "unfreeze").stdout, "it signs again\n")
        self.assertNotIn("frozen", node.command("mint", "info").stdout)
        key = node.buy_key(50)
        refund = node.ask("/v1/balance/refund", "POST", key=key)
        self.assertEqual(refund.status, 200, refund)
        node.stop()
        node.audit()


if __name__ == "__main__":
    unittest.main()
