"""What every scenario with real lnd has: a node that sells through alice, customers who are bob and carol,
and the sums that must come out in the end.

No sum is believed of the one it is about. `close_books` compares, of this scenario alone:

    what nutgate's books say is at lnd    =  what alice's own lists say she received, less what she sent
    the payments that alice made          =  those that the scenario wanted paid, each once
    what bob has more in his channel      =  what alice has less: the chain's own truth, to the sat
    `nutgate audit --full`                   is sound
"""
import base64
import json
import threading
import time

import fault_proxy
import harness
from lnd_network import Lnd, Network

# "Everything is resolved within 30 s of the node's return", and what lnd handed to a channel whose other
# end has just gone it gives up after a minute.
RESOLVED_SECONDS, GIVEN_UP_SECONDS = 30.0, 100.0
# Two channels whose msat are cut off.
ROUNDING_MSAT = 2_000

CONFIG = """
[wallet]
mints = ["https://mint.example.com"]
[lightning]
receive = ["lnd"]
pay = ["lnd"]
network = "regtest"
[lightning.lnd]
url = "{url}"
cert_file = "{cert}"
invoice_macaroon_file = "{invoices}"
pay_macaroon_file = "{payments}"
[limits]
creates_per_client_per_minute = 100000
invoices_per_client_per_minute = 100000
status_per_client_per_minute = 100000
invoice_expiry_s = {expiry}
"""


class Asked(threading.Thread):
    """A request whose answer may never come: the one who would answer is killed meanwhile."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.answer = ask, None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self.ask()
        except (OSError, harness.http.client.HTTPException):
            pass


class LndCase(harness.NodeCase):
    network: Network      # The runner's, for all scenarios.
    backend = "lnd"       # As the books call it.
    proxied = False       # Whether alice is called by a proxy that breaks what passes.
    expiry = 3600

    def setUp(self) -> None:
        super().setUp()
        self.network.until_whole()
        self.alice, self.bob, self.carol = self.network.nodes
        self.addCleanup(self._show_logs)
        self.proxy = None
        self.payments_before = {one["payment_hash"] for one in self.alice.payments()}
        self.invoices_before = {one["r_hash"] for one in self.alice.invoices()}
        self.at_bob_before = self.near_channel()
        self.wanted_in: dict[str, int] = {}  # By hash: what was paid to alice, in msat.
        self.wanted_out: set[str] = set()
        self.by_hand_in = self.by_hand_out = 0  # What alice did that nutgate has no part in.
        _, upstream = self.upstream(1_000_000, 3_000_000)
        self.config_file = self.config(self.write_config(upstream))
        self.node = self.nutgate("--config", self.config_file, dev=False)

    def write_config(self, upstream: str) -> str:
        url = self.alice.url
        if self.proxied:
            self.proxy = fault_proxy.FaultProxy(self.alice.address, tls=(self.alice.cert, self.alice.key),
                                                streams=True)
            self.addCleanup(self.proxy.close)
            url = self.proxy.url
        # One that pays and tracks, and nothing else.
        payments = self.alice.bake("pay", "/routerrpc.Router/SendPaymentV2", "/routerrpc.Router/TrackPaymentV2")
        return CONFIG.format(url=url, cert=self.alice.cert, payments=payments, expiry=self.expiry,
                             invoices=self.alice.macaroons / "invoice.macaroon") + upstream

    def _show_logs(self) -> None:
        if self.failed():
            for node in self.network.nodes:
                print(f"--- log of {node.name}\n{node.log_end()}", flush=True)

    def note(self, text: str) -> None:
        print(f"    {text}", flush=True)

    # What a buyer does.

    def order(self, sats: int, **more) -> dict:
        made = self.node.ask("/lightning/invoice", body={"amount_sats": sats, **more})
        self.assertEqual(made.status, 200, made)
        return made.json()

    def status(self, order: dict) -> dict:
        return self.node.ask(f"/lightning/invoice/{order['invoice_id']}/status").json()

    def pay_in(self, order: dict, payer: Lnd | None = None) -> None:
        paid = (payer or self.bob).pay(order["bolt11"])
        self.assertEqual(paid["status"], "SUCCEEDED", paid)
        self.wanted_in[order["payment_hash"]] = order["amount_sats"] * 1000

    def shard(self, order: dict, msat: int, total: int | None = None, payer: Lnd | None = None) -> dict:
        """A part of a payment, or one of another amount: what a wallet of one's own making could send."""
        payer = payer or self.bob
        asked = payer.get("/v1/payreq/" + order["bolt11"])
        route = payer.post("/v2/router/route", amt_msat=str(msat), final_cltv_delta=int(asked["cltv_expiry"]),
                           hop_pubkeys=[base64.b64encode(bytes.fromhex(self.alice.public_key)).decode()],
                           payment_addr=asked["payment_addr"])["route"]
        route["hops"][-1]["mpp_record"]["total_amt_msat"] = str(total or msat)
        return payer.post("/v2/router/route/send", route=route, payment_hash=base64.b64encode(
            bytes.fromhex(order["payment_hash"])).decode())

    def until_key(self, order: dict, msat: int | None = None, seconds: float = RESOLVED_SECONDS) -> str:
        key = harness.until(lambda: self.status(order).get("api_key"), "the key is live", seconds)
        self.assertEqual(self.node.balance(key), order["amount_sats"] * 1000 if msat is None else msat)
        return key

    def buy(self, sats: int) -> str:
        order = self.order(sats)
        self.pay_in(order)
        return self.until_key(order)

    def chat(self, key: str) -> int:
        """What it cost, in msat."""
        answer = self.node.chat(key, "one two three", model="small", max_tokens=10)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["usage"]["cost"]["total_msats"]

    def ask_refund(self, key: str, invoice: dict, **more) -> harness.Answer:
        return self.node.ask("/v1/balance/refund", body={"bolt11": invoice["bolt11"], **more}, key=key)

    def begin_refund(self, key: str, invoice: dict) -> Asked:
        return Asked(lambda: self.ask_refund(key, invoice))

    def refund_id(self, invoice: dict) -> str:
        """What it is without one of its own."""
        return invoice["hash"][:32]

    def refund_state(self, key: str, invoice: dict) -> dict:
        return self.node.ask("/v1/balance/refund/" + self.refund_id(invoice), key=key).json()

    def until_ended(self, key: str, invoice: dict, seconds: float = RESOLVED_SECONDS) -> dict:
        """Asked for again where nobody has heard of it."""
        def there() -> dict | None:
            state = self.refund_state(key, invoice)
            if "status" not in state:
                self.ask_refund(key, invoice)
                return None
            return state if state["status"] in ("paid", "failed") else None
        return harness.until(there, "the refund has ended", seconds)

    def until_refund(self, key: str, invoice: dict, wanted: str, seconds: float = RESOLVED_SECONDS) -> dict:
        began = time.monotonic()
        state = self.until_ended(key, invoice, seconds)
        self.assertEqual(state["status"], wanted, state)
        if wanted == "paid":
            self.wanted_out.add(invoice["hash"])
        self.note(f"{wanted} after {time.monotonic() - began:.1f} s")
        return state

    def payout(self) -> dict:
        """The owner's last one."""
        return json.loads(self.node.command("payout", "status", "--json").stdout)["payouts"][0]

    def until_in_flight(self, invoice: dict, payee: Lnd | None = None) -> None:
        """The payee has it in its hands, and neither takes nor refuses it."""
        harness.until(lambda: (payee or self.bob).invoice_state(invoice["hash"]) == "ACCEPTED",
                      "the payment is in flight")

    # The sums.

    def near_channel(self) -> int:
        """What is bob's in the channel with alice, in sat. She opened it, so its fees are hers."""
        return sum(int(channel["local_balance"]) for channel in self.bob.get("/v1/channels")["channels"]
                   if channel["remote_pubkey"] == self.alice.public_key)

    def at_node(self) -> int:
        """In msat, as the books have it."""
        said = json.loads(self.node.command("audit", "--full", "--json").stdout)
        self.assertTrue(said["sound"], said)
        return sum(line["debits_msat"] - line["credits_msat"] for line in said["accounts"]
                   if (line["kind"], line["name"]) == ("lightning", self.backend))

    def received(self) -> dict:
        """By hash, what alice's own list says came in since."""
        return {base64.b64decode(one["r_hash"]).hex(): int(one["amt_paid_msat"])
                for one in self.alice.invoices()
                if one["r_hash"] not in self.invoices_before and one["state"] == "SETTLED"}

    def sent(self) -> dict:
        """By hash, what alice's own list says went out since, with its fee. Of what failed, nothing did."""
        sums = {}
        for one in self.alice.payments():
            if one["payment_hash"] in self.payments_before:
                continue
            self.assertIn(one["status"], ("SUCCEEDED", "FAILED"), one)
            went = [int(htlc["route"]["total_amt_msat"]) for htlc in one["htlcs"]
                    if htlc["status"] == "SUCCEEDED"]
            if one["status"] == "FAILED":
                self.assertEqual(went, [], one)
                continue
            self.assertEqual(sum(went), int(one["value_msat"]) + int(one["fee_msat"]), one)
            sums[one["payment_hash"]] = sum(went)
        return sums

    def close_books(self) -> None:
        self.network.until_whole()
        for node in self.network.nodes:
            harness.until(lambda: node.in_flight() == 0, f"nothing is on its way at {node.name}")
        received, sent = self.received(), self.sent()
        at_node = self.at_node()
        self.note(f"in {len(received)} payments, {sum(received.values())} msat; out {len(sent)}, "
                  f"{sum(sent.values())} msat; the books have {at_node} msat at {self.backend}")
        self.assertEqual(received, self.wanted_in, "what came in")
        self.assertEqual(set(sent), self.wanted_out, "what went out")
        self.assertEqual(at_node, sum(received.values()) - sum(sent.values())
                         - self.by_hand_in + self.by_hand_out, "the books")
        moved = 1000 * (self.near_channel() - self.at_bob_before)
        self.assertLessEqual(abs(moved - (sum(sent.values()) - sum(received.values()))), ROUNDING_MSAT,
                             "the channel")
        self.assertEqual(self.node.stop(), 0)
        self.node.audit()
        log = (self.node.folder / "log").read_text(errors="replace")
        for name in ("invoice", "admin"):
            self.assertNotIn((self.alice.macaroons / f"{name}.macaroon").read_bytes().hex(), log)
