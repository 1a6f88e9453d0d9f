"""lnbits: a wallet of a real LNbits, which stands on alice, a real lnd (lnd_network.py).

What is believed is alice's own lists and the channel, as for lnd itself, and the wallet's balance, which
LNbits keeps: it must be what nutgate's books say.
"""
import pathlib
import subprocess

import harness
import peers
from lnd_case import GIVEN_UP_SECONDS, LndCase
from lnd_network import Lnd, Program

PATIENCE = 180.0
ADMIN = {"username": "admin", "password": "interop-admin", "password_repeat": "interop-admin"}

CONFIG = """
[wallet]
mints = ["https://mint.example.com"]
[lightning]
receive = ["lnbits"]
pay = ["lnbits"]
network = "regtest"
[lightning.lnbits]
url = "{url}"
invoice_key_file = "{invoice_key}"
admin_key_file = "{admin_key}"
[limits]
creates_per_client_per_minute = 100000
invoices_per_client_per_minute = 100000
status_per_client_per_minute = 100000
"""


class LnBits(Program):
    def __init__(self, folder: pathlib.Path, node: Lnd):
        super().__init__("lnbits", folder)
        self.bin, self.node, self.port = peers.folder_of("lnbits"), node, peers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # It looks for its pages below the working directory.
        found = subprocess.run([self.bin / "python", "-c", "import importlib.util as u;"
                                "print(u.find_spec('lnbits').submodule_search_locations[0])"],
                               capture_output=True, text=True, check=True)
        (folder / "lnbits").symlink_to(found.stdout.strip())
        self.keys: dict = {}

    def command(self) -> list:
        return [self.bin / "lnbits", "--host", "127.0.0.1", "--port", self.port]

    def environment(self) -> dict:
        return {"LNBITS_DATA_FOLDER": str(self.folder / "data"), "LNBITS_ADMIN_UI": "true",
                "LNBITS_BACKEND_WALLET_CLASS": "LndRestWallet", "LND_REST_ENDPOINT": self.node.url,
                "LND_REST_CERT": str(self.node.cert),
                "LND_REST_MACAROON": (self.node.macaroons / "admin.macaroon").read_bytes().hex()}

    def start(self) -> "LnBits":
        self.spawn()

        def answers() -> bool:
            self.check_runs()
            try:
                return harness.request(self.url + "/api/v1/health").status < 400
            except OSError:
                return False
        harness.until(answers, "lnbits answers", PATIENCE)
        if not self.keys:
            self._install()
        return self

    def _install(self) -> None:
        first = harness.request(self.url + "/api/v1/auth/first_install", "PUT", ADMIN)
        if first.status != 200:
            raise AssertionError(f"lnbits: {first}")
        made = harness.request(self.url + "/api/v1/account", "POST", {"name": "nutgate"})
        if made.status >= 300:
            raise AssertionError(f"lnbits: {made}")
        self.keys = {"invoice": made.json()["inkey"], "admin": made.json()["adminkey"]}
        for name, key in self.keys.items():
            (self.folder / name).write_text(key + "\n")

    def balance(self) -> int:
        """Of the wallet, in msat."""
        said = harness.request(self.url + "/api/v1/wallet", headers={"X-Api-Key": self.keys["admin"]})
        return said.json()["balance"]


class Wallet(LndCase):
    backend = "lnbits"

    def write_config(self, upstream: str) -> str:
        self.service = LnBits(self.folder / "lnbits", self.alice).start()
        self.addCleanup(self._end_service)
        return CONFIG.format(url=self.service.url, invoice_key=self.service.folder / "invoice",
                             admin_key=self.service.folder / "admin") + upstream

    def _end_service(self) -> None:
        if self.failed():
            print(f"--- log of lnbits\n{self.service.log_end()}", flush=True)
        if self.service.running:
            self.service.kill()

    def close_books(self) -> None:
        if not self.service.running:
            self.service.start()
        at_wallet = self.service.balance()
        self.note(f"the wallet has {at_wallet} msat")
        self.assertEqual(self.at_node(), at_wallet)
        super().close_books()

    def test_an_invoice_a_chat_and_refunds(self) -> None:
        order = self.order(1000)
        self.pay_in(order)
        began = harness.time.monotonic()
        key = self.until_key(order)
        self.note(f"the key was live {harness.time.monotonic() - began:.2f} s after bob had his receipt")
        cost = self.chat(key)
        invoice = self.bob.invoice(300_000)
        self.ask_refund(key, invoice)
        paid = self.until_refund(key, invoice, "paid")
        self.assertEqual(self.node.balance(key), 700_000 - cost - paid["fee_msats"])
        # Once, whoever asks again.
        self.ask_refund(key, invoice)
        far = self.carol.invoice(200_000, private=True)
        before = self.node.balance(key)
        self.ask_refund(key, far)
        paid = self.until_refund(key, far, "paid")
        self.note(f"a fee of {paid['fee_msats']} msat, of a reserve of {paid['fee_reserve_msats']}")
        self.assertEqual(self.node.balance(key), before - 200_000 - paid["fee_msats"])
        self.close_books()

    def test_what_can_not_be_paid_is_back(self) -> None:
        key = self.buy(400)
        for invoice in (self.carol.invoice(200_000), self.cancelled()):
            self.ask_refund(key, invoice)
            self.until_refund(key, invoice, "failed", GIVEN_UP_SECONDS)
            self.assertEqual(self.node.balance(key), 400_000)
        self.close_books()

    def cancelled(self) -> dict:
        invoice = self.bob.invoice(100_000)
        self.bob.cancel(invoice["hash"])
        return invoice

    def test_killed_while_a_payment_is_in_flight(self) -> None:
        """nutgate, then LNbits; settled and cancelled."""
        for settled in (True, False):
            for victim in (self.node, self.service):
                key = self.buy(300)
                invoice = self.bob.hold_invoice(200_000)
                self.begin_refund(key, invoice)
                self.until_in_flight(invoice)
                victim.kill()
                victim.start()
                self.assertEqual(self.refund_state(key, invoice)["status"], "pending")
                self.assertLess(self.node.balance(key), 100_000)
                if settled:
                    self.bob.settle(invoice)
                else:
                    self.bob.cancel(invoice["hash"])
                self.until_refund(key, invoice, "paid" if settled else "failed", GIVEN_UP_SECONDS)
                self.assertEqual(self.node.balance(key), 100_000 if settled else 300_000)
        self.close_books()

    def test_paid_while_nutgate_or_lnbits_is_away(self) -> None:
        for victim in (self.node, self.service):
            order = self.order(70)
            victim.kill()
            self.pay_in(order)
            victim.start()
            self.until_key(order, seconds=GIVEN_UP_SECONDS)
        self.close_books()


CASES = [Wallet]
