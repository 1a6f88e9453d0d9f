"""nwc: Nostr Wallet Connect with @getalby/sdk as wallet service at the relay nostrmini, reached over two
proxies that lose, double, hold and cut; in both encryptions. The service stands on a small ledger
(nwc/service.mjs), whose sums are what is believed: each scenario ends in `close_books`. INTEROP_NWC is
where `scripts/peers nwc` put them, E2E_PROBE the backend as a program, E2E_NUTGATE the whole node.
"""
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import threading
import time

import harness

HERE = pathlib.Path(__file__).resolve().parent

PATIENCE = 60.0
AMOUNT, FEE_MAX, FEE, START = 21_000, 12_210, 1_013, 1_000_000_000
FAULTS = ("lose request", "lose answer", "double request", "double answer", "hold answer", "cut", "cut after")
CALLS_OF_PAY = 4


class Talker:
    """A program that answers each line with one."""

    def __init__(self, arguments: list, log: pathlib.Path):
        self.log = log.open("ab")
        self.process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.answers: queue.Queue = queue.Queue()
        self.hints: queue.Queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            said = json.loads(line)
            (self.hints if "hint" in said else self.answers).put(said)

    def heard(self) -> dict:
        return self.answers.get(timeout=PATIENCE)

    def say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line: str) -> dict:
        self.say(line)
        return self.heard()

    def end(self, by: int = signal.SIGKILL) -> None:
        if self.process.poll() is None:
            self.process.send_signal(by)
        self.process.wait(PATIENCE)
        self.process.stdin.close()
        self.log.close()


class Service(Talker):
    """The relay and the wallet service."""

    def __init__(self, folder: pathlib.Path, encryption: str):
        home = pathlib.Path(os.environ.get("INTEROP_NWC") or "no-peers")
        if not (home / ".complete").exists():
            raise AssertionError("no peers: scripts/interop lightning installs them")
        # Node.js looks for packages from where a program lies.
        program = folder / "service.mjs"
        shutil.copy(HERE / "nwc" / "service.mjs", program)
        (folder / "node_modules").symlink_to(home / "node_modules")
        super().__init__([home / "node", program, encryption], folder / "service.log")

    def do(self, command: str, **more) -> dict:
        return self.ask(json.dumps({"do": command, **more}))


class NwcCase(harness.NodeCase):
    encryption = ""

    def setUp(self) -> None:
        super().setUp()
        self.folder.mkdir(exist_ok=True)
        self.service = Service(self.folder, self.encryption)
        self.addCleanup(self.service.end)
        addresses = self.service.heard()
        self.files = []
        for name in ("receive", "pay"):
            file = self.folder / name
            file.write_text(addresses[name] + "\n")
            self.files.append(file)
        self.received, self.paid = 0, []
        self.open()
        self.addCleanup(lambda: self.probe.end())

    def open(self) -> None:
        self.probe = Talker([os.environ["E2E_PROBE"], *self.files, f"sqlite:{self.folder}/probe.db"],
                            self.folder / "probe.log")
        self.assertEqual(self.probe.heard(), {"ready": True})

    def kill(self) -> None:
        self.probe.end()
        self.open()

    def outside(self, outcome: str = "pay") -> dict:
        return self.service.do("outside", msat=AMOUNT, outcome=outcome)

    def pay(self, invoice: dict) -> dict:
        return self.probe.ask(f"pay {invoice['bolt11']} {AMOUNT} {FEE_MAX}")

    def outgoing(self, invoice: dict) -> dict:
        return self.probe.ask(f"outgoing {invoice['hash']}")

    def until_paid(self, invoice: dict) -> None:
        """By asking again, as the node does. Nothing that is said meanwhile may be a lie."""
        def settled() -> dict | None:
            said = self.pay(invoice)
            if said.get("state") == "settled":
                return said
            self.assertTrue(said.get("state") == "pending" or said == {"error": "unreachable"}, said)
            return None
        self.assert_settled(harness.until(settled, "it is paid", PATIENCE))
        self.paid.append(invoice["hash"])

    def assert_settled(self, said: dict, fee: int = FEE) -> None:
        self.assertEqual(said, {"state": "settled", "amount": AMOUNT, "fee": fee, "has_preimage": True})

    def close_books(self) -> None:
        ledger = self.service.do("ledger")
        self.assertEqual(ledger["sent"], {payment: 1 for payment in self.paid}, "each was sent once")
        self.assertEqual(ledger["balance"], START + self.received - len(self.paid) * (AMOUNT + FEE))
        print(f"    {self.encryption}: in {self.received}, out {len(self.paid)} payments, "
              f"calls {ledger['told']}, the ledger agrees", flush=True)

    # The scenarios.

    def test_says_who_it_is(self) -> None:
        self.assertEqual(self.probe.ask("status"), {"version": "alby-sdk", "is_regtest": True})
        self.close_books()

    def test_receives(self) -> None:
        made = self.probe.ask(f"invoice top-up {AMOUNT}")
        self.assertEqual(self.probe.ask(f"incoming {made['hash']}")["state"], "pending")
        self.service.do("pay_in", hash=made["hash"])
        self.received += AMOUNT
        self.assertEqual(self.probe.hints.get(timeout=PATIENCE), {"hint": made["hash"]})
        self.assert_settled(self.probe.ask(f"incoming {made['hash']}"), fee=0)
        self.kill()
        self.assertEqual(self.probe.ask(f"invoice top-up {AMOUNT}"), made)
        self.assert_settled(self.probe.ask(f"incoming {made['hash']}"), fee=0)
        self.close_books()

    def test_makes_one_invoice_whatever_happens_to_the_call(self) -> None:
        for fault in FAULTS:
            self.service.do("fault", at=1, what=fault)
            first = self.probe.ask(f"invoice {fault.replace(' ', '-')} {AMOUNT}")
            self.service.do("fault")
            again = self.probe.ask(f"invoice {fault.replace(' ', '-')} {AMOUNT}")
            self.assertIn(first, (again, {"error": "unreachable"}), fault)
            self.assertEqual(self.probe.ask(f"incoming {again['hash']}")["state"], "pending")
        self.close_books()

    def test_pays_and_pays_nothing_twice(self) -> None:
        invoice = self.outside()
        self.until_paid(invoice)
        self.assert_settled(self.pay(invoice))
        self.kill()
        self.assert_settled(self.pay(invoice))
        self.assert_settled(self.outgoing(invoice))
        self.close_books()

    def test_a_payment_that_failed_has_failed(self) -> None:
        invoice = self.outside("fail")
        self.assertEqual(self.pay(invoice)["state"], "failed")
        self.assertEqual(self.outgoing(invoice)["state"], "failed")
        self.close_books()

    def test_what_hangs_is_pending_until_it_is_known(self) -> None:
        for paid in (True, False):
            invoice = self.outside("hang")
            self.assertEqual(self.pay(invoice)["state"], "pending")
            self.kill()
            self.assertEqual(self.pay(invoice)["state"], "pending")
            self.service.do("conclude", hash=invoice["hash"], paid=paid)
            if paid:
                self.until_paid(invoice)
            else:
                self.assertEqual(self.outgoing(invoice)["state"], "failed")
        self.close_books()

    def test_pays_once_whatever_happens_to_whichever_call(self) -> None:
        for fault in FAULTS:
            for at in range(1, CALLS_OF_PAY + 1):
                invoice = self.outside()
                self.service.do("fault", at=at, what=fault)
                first = self.pay(invoice)
                self.assertNotEqual(first.get("state"), "failed", (fault, at))
                self.service.do("fault")
                self.service.do("release")
                self.until_paid(invoice)
                print(f"    {fault}, call {at}: first {first.get('state') or first.get('error')}, "
                      "then settled", flush=True)
        self.close_books()

    def test_killed_between_telling_and_answer(self) -> None:
        invoice = self.outside()
        self.service.do("fault", at=3, what="hold answer")
        before = self.service.do("ledger")["told"].get("pay_invoice", 0)
        self.probe.say(f"pay {invoice['bolt11']} {AMOUNT} {FEE_MAX}")
        harness.until(lambda: self.service.do("ledger")["told"].get("pay_invoice", 0) > before, "it was told")
        self.kill()
        self.service.do("fault")
        self.until_paid(invoice)
        self.close_books()

    def test_an_address_for_receiving_does_not_pay(self) -> None:
        self.probe.end()
        self.files[1].write_text(self.files[0].read_text())
        self.open()
        invoice = self.outside()
        self.assertEqual(self.pay(invoice), {"error": "refused"})
        self.assertEqual(self.outgoing(invoice), {"error": "not found"})
        self.close_books()

    def test_a_node_sells_for_it_and_its_doctor_is_content(self) -> None:
        if not os.environ.get("E2E_NUTGATE"):
            self.skipTest("no node was built")
        _, upstream = self.upstream(1000, 3000)
        config = self.config(f"""
[wallet]
mints = ["https://mint.example.com"]
[lightning]
receive = ["nwc"]
network = "regtest"
[lightning.nwc]
receive_uri_file = "{self.files[0]}"
{upstream}""")
        node = self.nutgate("--config", config, dev=False)
        told = json.loads(node.command("doctor", "--config", config, "--json").stdout)
        self.assertEqual([(line["backend"], line["answers"], line["version"]) for line in told["lightning"]],
                         [("nwc", True, "alby-sdk")])
        made = node.ask("/lightning/invoice", body={"amount_sats": 21, "purpose": "create"})
        self.assertEqual(made.status, 200, made)
        invoice = made.json()
        read = self.probe.ask(f"pay {invoice['bolt11']} 1 1")  # Of another amount: read, and refused.
        self.assertEqual(read, {"error": "refused"})
        # The service may have made another one: it heard of the order by two relays.
        made_hash = self.service.do("open")[invoice["bolt11"]]
        began = time.monotonic()
        self.service.do("pay_in", hash=made_hash)
        self.received += AMOUNT
        path = f"/lightning/invoice/{invoice['invoice_id']}/status"
        key = harness.until(lambda: node.ask(path).json().get("api_key"), "the invoice is paid")
        print(f"    the key was live {time.monotonic() - began:.2f} s after the service knew", flush=True)
        self.assertEqual(node.balance(key), AMOUNT)
        node.kill()
        node.start()
        self.assertEqual(node.balance(key), AMOUNT)
        node.audit()
        self.assertEqual(node.stop(), 0)
        log = (node.folder / "log").read_text() if (node.folder / "log").exists() else ""
        self.assertNotIn("secret=", log)
        self.close_books()


CASES = [type("Nwc" + encryption, (NwcCase,), {"encryption": encryption}) for encryption in ("nip44", "nip04")]
