"""A node with many open invoices: what it costs to watch them, and how soon money that came is there."""
import concurrent.futures
import http.client
import json
import pathlib
import statistics
import sys
import time

import harness
from measures import Report
from tables import table
from targets import target_of

ABOUT = "1,000 open invoices at an LND, 200 paid at once: time until their keys are live; CPU while idle"
TAKES = "2 min"

SATS, ASKERS = 100, 8
IDLE_SECONDS = 10.0

# Its mint is not there, and nobody needs it.
CONFIG = """
[wallet]
mints = ["https://127.0.0.1:9"]

[lightning]
receive = ["lnd"]
network = "regtest"

[lightning.lnd]
url = "http://127.0.0.1:{port}"
invoice_macaroon_env = "BENCH_MACAROON"

[limits]
invoices_per_client_per_minute = 1000000
status_per_client_per_minute = 1000000
open_invoices_max = 100000

[[upstream]]
name = "nobody"
url = "http://127.0.0.1:9/v1"

[[model]]
id = "small"
upstreams = ["nobody"]
context = 8192
output_max = 1024
price = {{ input_msat_per_1k = 1000, output_msat_per_1k = 3000 }}
"""


def add_options(parser) -> None:
    parser.add_argument("--open-invoices", type=int, default=1000)
    parser.add_argument("--paid-at-once", type=int, default=200)


class Desk:
    """A Nutgate whose invoices an LND makes."""

    def __init__(self, folder: pathlib.Path, pushes: bool):
        folder.mkdir()
        program = pathlib.Path(__file__).resolve().parent.parent / "lightning_node.py"
        self.lnd = harness.Process([sys.executable, program, *([] if pushes else ["--silent"])], folder / "lnd.log")
        self.lnd_port = int(self.lnd.wait_ready())
        configuration = folder / "nutgate.toml"
        configuration.write_text(CONFIG.format(port=self.lnd_port))
        self.node = harness.Nutgate(folder / "nutgate", "--config", configuration, dev=False,
                                    environment={"BENCH_MACAROON": "0201036c6e64"}).start()
        self.target = target_of(self.node)

    def end(self) -> None:
        if self.node.process.running:
            self.node.stop()
        self.lnd.kill()

    def open_invoice(self, _number: int) -> dict:
        answer = self.node.ask("/lightning/invoice", body={"amount_sats": SATS, "purpose": "create"})
        if answer.status != 200:
            raise RuntimeError(f"no invoice: {answer}")
        return answer.json()

    def pay(self, invoices: list[dict]) -> float:
        hashes = [invoice["payment_hash"] for invoice in invoices]
        answer = harness.request(f"http://127.0.0.1:{self.lnd_port}/bench/pay", "POST", {"hashes": hashes})
        return answer.json()["paid_at"]

    def asked(self) -> int:
        return harness.request(f"http://127.0.0.1:{self.lnd_port}/bench/asked").json()["asked"]


def live_times(desk: Desk, invoices: list[dict], paid_at: float) -> list[float]:
    """Of each invoice the seconds until its key was there. Askers share them, and each keeps its
    connection and goes round, so that none of them waits for another's."""
    def ask(share: list[dict]) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", desk.target.port, timeout=harness.PATIENCE)
        times, waiting = [], list(share)
        while waiting and time.monotonic() - paid_at < harness.PATIENCE:
            still = []
            for invoice in waiting:
                connection.request("GET", f"/lightning/invoice/{invoice['invoice_id']}/status")
                status = json.loads(connection.getresponse().read())
                if status.get("api_key"):
                    times.append(time.monotonic() - paid_at)
                else:
                    still.append(invoice)
            waiting = still
        connection.close()
        return times
    with concurrent.futures.ThreadPoolExecutor(ASKERS) as pool:
        shares = [invoices[asker::ASKERS] for asker in range(ASKERS)]
        return [seconds for times in pool.map(ask, shares) for seconds in times]


def idle(desk: Desk) -> dict:
    """CPU-ms each second and questions to the Lightning node, while no client asks anything."""
    asked, before, began = desk.asked(), desk.target.cpu_seconds(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - began
    return {"cpu_ms": 1e3 * (desk.target.cpu_seconds() - before) / seconds,
            "questions": (desk.asked() - asked) / seconds}


def cell(desk: Desk, options) -> dict:
    none_open = idle(desk)
    with concurrent.futures.ThreadPoolExecutor(ASKERS) as pool:
        began = time.monotonic()
        invoices = list(pool.map(desk.open_invoice, range(options.open_invoices)))
        opening = time.monotonic() - began
    all_open = idle(desk)
    paid = invoices[:: max(1, len(invoices) // options.paid_at_once)][: options.paid_at_once]
    times = sorted(live_times(desk, paid, desk.pay(paid)))
    desk.node.audit()
    return {"opened_per_second": len(invoices) / opening, "idle_none": none_open, "idle": all_open,
            "live": len(times), "paid": len(paid), "median_s": statistics.median(times) if times else 0.0,
            "all_s": times[-1] if times else 0.0, "rss_kib": desk.target.rss_kib()}


def run(field, options) -> Report:
    if not field.node:
        raise SystemExit("bench: lightning is of Nutgate only")
    cells, rows, failures = [], [], []
    for pushes in (True, False):
        what = "pushes what is paid" if pushes else "has to be asked"
        desk = Desk(field.folder / f"lightning-{'pushes' if pushes else 'silent'}", pushes)
        try:
            result = cell(desk, options)
        finally:
            desk.end()
        cells.append({"pushes": pushes, **result})
        if result["live"] < result["paid"]:
            failures.append(f"a node that {what}: {result['live']} of {result['paid']} keys were live in time")
        rows.append([what, f"{options.open_invoices:,}", f"{result['opened_per_second']:,.0f}",
                     f"{result['idle_none']['cpu_ms']:.1f}", f"{result['idle']['cpu_ms']:.1f}",
                     f"{result['idle']['questions']:.1f}", result["paid"],
                     f"{result['median_s']:.2f} s", f"{result['all_s']:.2f} s"])
    text = table(["the Lightning node", "open invoices", "opened/s", "idle CPU-ms/s with none", "with all open", "questions/s then",
                  "paid at once", "key live, median", "all live"], rows)
    return Report(text, cells, failures)
