"""Core Lightning's clnrest, as far as offers go, written from its manual and independently of ours:
it makes offers, somebody pays them, it lists what changed."""
import hashlib
import http.server
import json
import threading

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
REGTEST = bytes.fromhex("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f")
NODE = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")


def record(kind: int, value: bytes) -> bytes:
    assert kind < 253 and len(value) < 253
    return bytes([kind, len(value)]) + value


def bech32(data: bytes) -> str:
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return "".join(LETTERS[int(bits[i:i + 5], 2)] for i in range(0, len(bits), 5))


class CoreLightning(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, rune: str, commands: tuple):
        self.rune, self.commands = rune, commands
        self.lock = threading.Lock()
        self.offers: dict = {}
        self.changed: list = []
        super().__init__(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def pay(self, bolt12: str, msat: int) -> None:
        with self.lock:
            offer = next(o for o in self.offers.values() if o["bolt12"] == bolt12)
            if not offer["active"]:
                raise AssertionError("an offer that is not active is not paid")
            preimage = hashlib.sha256(f"preimage {len(self.changed)}".encode()).digest()
            self.changed.append({
                "label": f"{offer['offer_id']}-{len(self.changed)}", "status": "paid",
                "bolt12": "lni1", "local_offer_id": offer["offer_id"],
                "payment_hash": hashlib.sha256(preimage).hexdigest(),
                "payment_preimage": preimage.hex(), "amount_received_msat": msat})

    # The commands, under the lock.

    def getinfo(self, _) -> dict:
        return {"version": "v26.06", "network": "regtest"}

    def offer(self, wanted: dict) -> dict:
        amount = b"" if wanted["amount"] == "any" else int(wanted["amount"].removesuffix("msat"))
        if amount:
            amount = record(8, amount.to_bytes((amount.bit_length() + 7) // 8, "big"))
        records = (record(2, REGTEST) + amount + record(10, wanted["description"].encode()) +
                   record(22, NODE))
        offer_id = hashlib.sha256(records).hexdigest()
        return self.offers.setdefault(offer_id, {
            "offer_id": offer_id, "active": True, "single_use": False, "used": False,
            "bolt12": "lno1" + bech32(records), "label": wanted["label"]})

    def listoffers(self, wanted: dict) -> dict:
        return {"offers": [o for o in self.offers.values()
                           if (o["active"] or not wanted.get("active_only"))
                           and wanted.get("offer_id", o["offer_id"]) == o["offer_id"]]}

    def disableoffer(self, wanted: dict) -> dict:
        self.offers[wanted["offer_id"]]["active"] = False
        return self.offers[wanted["offer_id"]]

    def listinvoices(self, wanted: dict) -> dict:
        if wanted.get("index") != "updated":
            return {"invoices": []}
        numbered = [{**entry, "updated_index": i + 1} for i, entry in enumerate(self.changed)]
        return {"invoices": numbered[wanted["start"] - 1:][:wanted["limit"]]}


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        command = self.path.removeprefix("/v1/")
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.headers["rune"] != self.server.rune or command not in self.server.commands:
            return self.answer(401, {"code": 1502, "message": "Not permitted"})
        with self.server.lock:
            return self.answer(201, getattr(self.server, command)(body))

    def answer(self, status: int, body: dict) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_) -> None:
        pass
