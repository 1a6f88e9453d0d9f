#!/usr/bin/env python3
"""A Lightning node that answers like LND's REST interface, as far as a receiving Nutgate asks.

usage: lightning_node.py [--silent]     prints `ready PORT`

It makes invoices, says how they are, and pushes each that is paid (--silent: it has no such channel).
Nobody pays them but POST /bench/pay, all of its body's hashes at once; it answers the time (monotonic,
in seconds) at which they were paid. GET /bench/asked says how often it was asked of an invoice.
Connections are kept, as LND keeps them."""
import argparse
import base64
import hashlib
import http.server
import json
import queue
import socket
import struct
import sys
import threading
import time

import bolt11

WEBSOCKET_MARK = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3.


class Book:
    """The invoices, by their hashes in hex, and who listens."""

    def __init__(self):
        self.lock = threading.Lock()
        self.invoices: dict[str, dict] = {}
        self.listeners: list[queue.SimpleQueue] = []
        self.asked = 0

    def make(self, order: dict) -> dict:
        preimage = base64.b64decode(order["r_preimage"])
        payment_hash = hashlib.sha256(preimage).digest()
        text = bolt11.invoice(payment_hash, int(order["value_msat"]), order["memo"], int(order["expiry"]))
        made = {"memo": order["memo"], "r_preimage": order["r_preimage"], "payment_request": text,
                "r_hash": base64.b64encode(payment_hash).decode(), "value_msat": order["value_msat"],
                "amt_paid_msat": "0", "state": "OPEN"}
        with self.lock:
            self.invoices[payment_hash.hex()] = made
        return made

    def find(self, payment_hash: str) -> dict | None:
        with self.lock:
            self.asked += 1
            return dict(self.invoices.get(payment_hash, {})) or None

    def pay(self, hashes: list[str]) -> float:
        with self.lock:
            for one in hashes:
                invoice = self.invoices[one]
                invoice |= {"state": "SETTLED", "amt_paid_msat": invoice["value_msat"]}
            paid_at = time.monotonic()
            for listener in self.listeners:
                for one in hashes:
                    listener.put(json.dumps({"result": self.invoices[one]}).encode())
        return paid_at


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    book: Book
    pushes = True

    def log_message(self, *_) -> None:
        pass

    def answer(self, status: int, body: dict) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        if self.path == "/v1/invoices":
            made = self.book.make(body)
            self.answer(200, {name: made[name] for name in ("r_hash", "payment_request")} | {"add_index": "1"})
        elif self.path == "/bench/pay":
            self.answer(200, {"paid_at": self.book.pay(body["hashes"])})
        else:
            self.answer(404, {"code": 5, "message": "Not Found", "details": []})

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/v1/getinfo":
            self.answer(200, {"version": "0.20.3-beta", "synced_to_chain": True,
                              "chains": [{"chain": "bitcoin", "network": "regtest"}]})
        elif path == "/bench/asked":
            self.answer(200, {"asked": self.book.asked})
        elif path == "/v1/invoices/subscribe" and self.pushes:
            self.push()
        elif path.startswith("/v1/invoice/"):
            found = self.book.find(path.rpartition("/")[2])
            self.answer(200, found) if found else self.answer(
                404, {"code": 5, "message": "unable to locate invoice", "details": []})
        else:
            self.answer(404, {"code": 5, "message": "Not Found", "details": []})

    def push(self) -> None:
        key = self.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET_MARK).digest()).decode()
        self.wfile.write(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode())
        messages: queue.SimpleQueue = queue.SimpleQueue()
        with self.book.lock:
            self.book.listeners.append(messages)
        threading.Thread(target=self.drain, daemon=True).start()
        while True:
            text = messages.get()
            head = b"\x81" + (struct.pack("!B", len(text)) if len(text) < 126 else struct.pack("!BH", 126, len(text)))
            self.wfile.write(head + text)

    def drain(self) -> None:
        """What the listener sends (its subscription, pings) is no matter here."""
        while self.connection.recv(4096):
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    address_family = socket.AF_INET


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--silent", action="store_true")
    Handler.book, Handler.pushes = Book(), not parser.parse_args().silent
    server = Server(("127.0.0.1", 0), Handler)
    print("ready", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
