"""A young node against an old one: how long it takes to start, and whether it is slower for it."""
import pathlib
import random
import statistics
import time

import filled_books
import harness
from generators import BODY, Wanted, run_load
from measures import Report
from tables import ratio, table
from targets import start_nutgate, target_of

ABOUT = "10³ keys against 10⁶ keys with 10⁷ transfers: start-up until ready, and requests/s"
TAKES = "4 min"

# The slowest thing here is the audit of everything, and it may take minutes.
PATIENCE = 900.0
CONNECTIONS, BUSY_KEYS = 32, 200


def add_options(parser) -> None:
    parser.add_argument("--start-keys", default="1000,1000000", help="sizes of start; ten transfers a key")
    parser.add_argument("--start-rounds", type=int, default=2, help="of start")


class Aged:
    """One node with so many keys."""

    def __init__(self, field, count: int):
        self.count, self.field = count, field
        self.folder = field.folder / f"aged-{count}"
        self.folder.mkdir()
        self.node, _ = start_nutgate(self.folder, field.upstream_port)
        self.database: pathlib.Path = self.node.data_dir / "nutgate.db"
        self.filled = filled_books.fill(self.node, count, BODY)
        self.audit_seconds = self.timed(lambda: self.node.audit())
        self.before_msat = filled_books.on_keys(self.database)
        self.size = self.database.stat().st_size
        self.answered = self.expected_msat = 0
        self.starts: list[dict] = []
        self.loads: dict[str, list[dict]] = {"nginx": [], "busy": [], "all": []}

    @staticmethod
    def timed(what) -> float:
        began = time.monotonic()
        what()
        return time.monotonic() - began

    def round(self, seconds: float) -> None:
        filled_books.drop_from_memory(self.database)
        start = {"cold_s": self.timed(self.node.start)}
        self.node.stop()
        start["warm_s"] = self.timed(self.node.start)
        target = target_of(self.node)
        start |= {"cpu_s": target.cpu_seconds(), "rss_kib": target.rss_kib()}
        self.starts.append(start)
        for name, who, keys in (("nginx", self.field.nginx, []),
                                ("busy", target, random.sample(self.filled.keys, BUSY_KEYS)),
                                ("all", target, self.in_some_order())):
            self.loads[name].append(run_load(self.field, who, Wanted(BODY, keys=keys), CONNECTIONS, seconds))
        start["rss_after_kib"] = target.rss_kib()
        self.answered += target.answered
        self.expected_msat += target.expected_msat
        self.node.stop()

    def in_some_order(self) -> list[str]:
        """Every key once before any comes again, another first in each round."""
        at = random.randrange(self.count)
        return self.filled.keys[at:] + self.filled.keys[:at]

    def end(self) -> dict:
        """The books after all rounds, with the node stopped."""
        self.node.audit()
        charged = self.before_msat - filled_books.on_keys(self.database)
        return {"answered": self.answered, "expected_msat": self.expected_msat, "charged_msat": charged}

    def median(self, name: str) -> float:
        return statistics.median(start[name] for start in self.starts)

    def load(self, name: str, what: str) -> float:
        return statistics.median(cell[what] for cell in self.loads[name])

    def row(self) -> list:
        nginx = self.load("nginx", "per_second")
        row = [f"{self.count:,}", f"{self.filled.transfers:,}", f"{self.size / 2**20:,.0f}",
               f"{self.median('cold_s'):.2f} s", f"{self.median('warm_s'):.2f} s",
               f"{self.median('cpu_s'):.2f} s", f"{self.median('rss_kib') / 1024:,.0f}"]
        for name in ("busy", "all"):
            rate = self.load(name, "per_second")
            row += [f"{rate:,.0f}", ratio(rate, nginx), f"{self.load(name, 'cpu_us'):.0f}"]
        errors = sum(cell["errors"] for cells in self.loads.values() for cell in cells)
        return row + [f"{self.median('rss_after_kib') / 1024:,.0f}", f"{self.audit_seconds:.1f} s", errors]


def run(field, options) -> Report:
    if not field.node:
        raise SystemExit("bench: start is of Nutgate only")
    patience, harness.PATIENCE = harness.PATIENCE, PATIENCE
    ages = [Aged(field, int(count)) for count in options.start_keys.split(",")]
    try:
        for number in range(options.start_rounds):
            for aged in ages if number % 2 == 0 else ages[::-1]:
                aged.round(options.seconds)
        books = [aged.end() for aged in ages]
    finally:
        for aged in ages:
            if aged.node.process.running:
                aged.node.kill()
        harness.PATIENCE = patience
    text = table(["keys", "transfers", "database MiB", "ready, file not in memory", "ready", "CPU until ready",
                  "RSS MiB then", f"requests/s, {BUSY_KEYS} keys", "of nginx", "CPU-µs/request",
                  "requests/s, all keys in turn", "of nginx", "CPU-µs/request", "RSS MiB after",
                  "audit --full", "errors"], [aged.row() for aged in ages])
    cells = [{"keys": aged.count, "transfers": aged.filled.transfers, "database_bytes": aged.size,
              "audit_full_s": aged.audit_seconds, "starts": aged.starts, "loads": aged.loads}
             for aged in ages]
    return Report(text, cells, books={name: sum(book[name] for book in books) for name in books[0]})
