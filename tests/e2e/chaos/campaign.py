"""Load, kill, restart, check; again and again."""
import json
import pathlib
import random
import shutil
import socket
import sys
import tempfile
import threading
import time

import harness
from chaos import client
from chaos.books import Account, Books, Violation
from chaos.buyers import Buyer, HotClient, HotKeeper, HotKey
from chaos.line import Moments, draw_moment
from chaos.storms import storm

CONFIG = """
[lightning.simulated]
settle_ms = {settle_ms}
[limits]
creates_per_client_per_minute = 1000000
invoices_per_client_per_minute = 1000000
status_per_client_per_minute = 1000000
[[upstream]]
name = "chaos"
dialect = "openai"
url = "http://{upstream}/v1"
[[model]]
id = "small"
upstreams = ["chaos"]
context = 4096
output_max = 100
price = {{ input_msat_per_1k = {input_msat}, output_msat_per_1k = {output_msat} }}
"""

# What the design promises; what the machine adds is measured, see disk_probe.py.
ALLOWED_SECONDS = 0.005
# A charge waits for the commit that is under way, for its own, and now and then for a checkpoint.
WAITS = 3
SANITIZED = 10.0  # So much longer the same takes with sanitizers.
BUYERS, HOT_CLIENTS = 8, 16
ANSWERS_BETWEEN_KILLS = 100
# The node's watchers look after invoices that were left every 5 s, and after offers every 3 s, or
# 10 s when nothing came for a while.
LATE_MONEY_SECONDS = 15.0
ASKERS = 8  # At the end everything is asked once more, by so many at once.


def port_outside_of_the_ephemeral_range(rng: random.Random) -> int:
    """A killed node's port must not become the source port of a client that looks for the node."""
    text = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    first, last = int(text[0]), int(text[1])
    candidates = [port for port in range(10_000, 60_000) if not first <= port <= last]
    for port in rng.sample(candidates, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


class Campaign:
    """One data dir, one upstream, one crowd of clients."""

    def __init__(self, seed: int, with_kills: bool, allowed: float | None = None):
        self.seed, self.rng = seed, random.Random(seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nutgate-chaos-"))
        self.books, self.moments = Books(), Moments()
        self.world = client.World(seed, self.books, self.moments, with_kills)
        self.upstream = self.beside("upstream.py")
        self.probe = self.beside("disk_probe.py", self.folder / "probe")
        config = self.folder / "nutgate.toml"
        config.write_text(CONFIG.format(
            settle_ms=self.rng.choice((0, 20, 200)), upstream=self.upstream.wait_ready(),
            input_msat=1000 * client.INPUT_MSAT, output_msat=1000 * client.OUTPUT_MSAT))
        self.node = harness.Nutgate(self.folder / "node", "--config", config)
        self.node.listen = f"127.0.0.1:{port_outside_of_the_ephemeral_range(random.Random())}"
        self.allowed = allowed  # In place of what the probe measures.
        self.clients: list[client.Client] = []
        self.kills = self.kills_at_start = self.stops = self.storms = self.audits = 0
        self.allowed_most = 0.0

    def beside(self, script: str, *arguments) -> harness.Process:
        return harness.Process([sys.executable, pathlib.Path(__file__).with_name(script), *arguments],
                               self.folder / f"{script}.log")

    def slowest_write_before(self, moment: float) -> float:
        samples = (line.split() for line in self.probe.output[-250:] if not line.startswith("ready"))
        return max((float(took) for due, took in samples if moment - 1 < float(due) <= moment),
                   default=0.0)

    # The node.

    def begin(self) -> None:
        self.probe.wait_ready()
        self.node.start()
        self.slowness = SANITIZED if self.node.process.is_sanitized() else 1.0
        self.world.url = self.node.url
        self.world.up.set()
        hot = HotKey(self.world)
        self.clients = [Buyer(self.world, f"buyer-{n}") for n in range(BUYERS)]
        self.clients += [HotClient(self.world, f"hot-{n}", hot) for n in range(HOT_CLIENTS)]
        self.clients.append(HotKeeper(self.world, "keeper", hot))
        for one in self.clients:
            one.start()

    def end(self, keep: bool) -> None:
        self.world.over.set()
        self.world.failed.set()  # Whoever still asks stops.
        self.world.open_gate.set()
        if self.node.process and self.node.process.running:
            self.node.kill()
        self.upstream.kill()
        self.probe.kill()
        for one in self.clients:
            one.join(5)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def gone(self) -> None:
        """The process is dead: what may have gone with it, and what it left unfinished."""
        self.node.process.wait_gone()
        at = self.moments.killed_at
        measured = ALLOWED_SECONDS + WAITS * self.slowest_write_before(at)
        allowed = self.allowed or self.slowness * measured
        self.allowed_most = max(self.allowed_most, allowed)
        self.books.ended(at, allowed)

    def unfinished(self) -> set:
        lines = json.loads(self.node.command("wallet", "operations", "--json",
                                             "--limit", "1000").stdout)
        return {line["id"] for line in lines if line["state"] in ("submitted", "blocked")}

    def stop_once(self) -> None:
        """Asked to end, under full load, it ends well: no answer may go unbilled."""
        self.world.up.clear()
        code = self.node.stop()
        if code != 0:
            raise Violation(f"exit code {code} after SIGTERM")
        self.books.ended(time.monotonic(), -1.0)
        self.stops += 1
        self.node.start()
        self.world.up.set()

    def kill_once(self, number: int) -> None:
        kind, count, offset = draw_moment(self.rng)
        self.moments.arm(self.node.process.process.pid, kind, count, offset)
        if not self.moments.killed.wait(10):
            self.moments.kill_now()
            self.moments.killed.wait()
        self.world.up.clear()
        self.gone()
        self.kills += 1
        left = self.unfinished()
        if number % 10 == 9:
            self.audit("after kill")
        while self.rng.random() < 0.1:
            self.kill_while_it_starts()
        self.node.start()
        self.world.up.set()
        if left:
            harness.until(lambda: self.check() or not left & self.unfinished(),
                          f"operations {left} are resolved", client.RESOLVED_SECONDS)

    def kill_while_it_starts(self) -> None:
        deadline = 0.002 * 100 ** self.rng.random()
        process = self.node.spawn()
        begin = time.monotonic()
        while time.monotonic() < begin + deadline:
            pass
        self.moments.killed_at = time.monotonic()
        process.process.kill()
        self.gone()
        self.kills_at_start += 1
        self.kills += 1

    def check(self) -> None:
        if self.world.failure is not None:
            raise self.world.failure
        if not self.upstream.running:
            raise AssertionError(f"the upstream is gone:\n{self.upstream.log_end()}")

    def audit(self, when: str) -> dict:
        done = self.node.command("audit", "--full", "--json", check=False)
        report = json.loads(done.stdout or "{}")
        if done.returncode != 0 or not report.get("sound"):
            raise Violation(f"audit {when}, kill {self.kills}: {report.get('faults')} {done.stderr}")
        self.audits += 1
        return report

    # What is right.

    def park(self) -> None:
        """Every client ends what it does and waits at the gate."""
        self.world.open_gate.clear()
        deadline = time.monotonic() + 2 * client.RESOLVED_SECONDS
        for _ in self.clients:
            while not self.world.parked.acquire(timeout=0.2):
                self.check()
                if time.monotonic() > deadline:
                    raise Violation("clients that never end what they do")

    def go_on(self) -> None:
        self.world.open_gate.set()

    def compare(self) -> None:
        """With all clients parked, each balance is what is right."""
        harness.until(lambda: not any(one.has_late_charges() for one in self.books.accounts),
                      "what clients hung up on is over")
        asker = self.clients[0]
        line, asker.line = asker.line, self.world.line()  # Its own is another thread's.
        try:
            for account in list(self.books.accounts):
                if account.key and account.dirty:
                    asker.observe(account)
        finally:
            asker.line.drop()
            asker.line = line
        harness.until(lambda: not self.unfinished(), "all operations are resolved",
                      client.RESOLVED_SECONDS)

    def campaign(self, kills: int, seconds: float) -> None:
        begin = time.monotonic()
        number = 0
        while self.kills < kills and time.monotonic() - begin < seconds:
            self.kill_once(number)
            if self.rng.random() < 0.1:
                self.stop_once()
            number += 1
            self.check()
            if number % 5 == 0:
                self.look_closely()
        self.park()
        self.close()

    def look_closely(self) -> None:
        """All balances, and once more after a storm and some work without a kill: then there is no
        doubt."""
        self.park()
        self.compare()
        answers = self.books.answers
        self.go_on()
        self.storms += 1
        self.books.stormy_until = float("inf")
        storm(self.rng, self.node)
        self.books.stormy_until = time.monotonic()
        harness.until(lambda: self.check() or self.books.answers >= answers + ANSWERS_BETWEEN_KILLS,
                      "the clients get on with their work")
        self.park()
        self.compare()
        self.audit("after a close look")
        self.go_on()

    # The end: everything that was ever handed out is worth what it said.

    def close(self) -> None:
        rest = [token for token in self.books.tokens if token.used_by is None]
        self.each(rest, lambda asker, token: asker.redeem(self.books.account("last"), token))
        self.each(self.with_keys(), Buyer.repeat)
        self.compare()
        self.settle_late()
        self.each(self.with_keys(), self.repeat_refund)
        code = self.node.stop()
        if code != 0:
            raise Violation(f"exit code {code} after SIGTERM")
        self.conserved(self.audit("at the end"))

    def with_keys(self) -> list[Account]:
        return [account for account in self.books.accounts if account.key]

    def each(self, items: list, ask) -> None:
        """Calls ask(asker, item) once for each."""
        left = iter(list(items))
        def run(asker: Buyer) -> None:
            try:
                while True:
                    with self.books.lock:
                        item = next(left, None)
                    if item is None or self.world.failed.is_set():
                        return
                    ask(asker, item)
            except BaseException as failure:
                self.world.fail(failure)
            finally:
                asker.line.drop()
        askers = [Buyer(self.world, f"asker-{n}") for n in range(ASKERS)]
        threads = [threading.Thread(target=run, args=(asker,), name=asker.name) for asker in askers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.check()

    def settle_late(self) -> None:
        """Invoices and offers whose answers were cut off: paid by the simulated network, or never
        made. What was made has come after a round of the node's watchers."""
        def look(asker: Buyer, account: Account) -> None:
            account.late_came(asker.credits(account))
        deadline = time.monotonic() + LATE_MONEY_SECONDS
        while time.monotonic() < deadline:
            late = [account for account in self.books.accounts if account.late]
            if not late:
                break
            self.world.failed.wait(0.5)
            self.each(late, look)
        self.each(self.with_keys(), self.settle_account)

    @staticmethod
    def settle_account(asker: Buyer, account: Account) -> None:
        """Between two histories that are the same, nothing came."""
        before = None
        while before != (credited := asker.credits(account)):
            account.late_came(credited)
            balance, before = asker.balance(account), credited
        account.late_given_up()
        account.observed(balance)

    @staticmethod
    def repeat_refund(asker: Buyer, account: Account) -> None:
        if (account.last_token is None or account.credited_since_refund or account.late_credits
                or account.low >= 1000):
            return
        if asker.refund(account) is not None:
            raise Violation(f"{account.name}: another token than before", account)

    def conserved(self, audit: dict) -> None:
        """Once more, without the intervals: from sums alone, and against the node's own revenue."""
        figures = self.figures()
        if figures["difference"]:
            raise Violation(f"not conserved: {figures}")
        revenue = sum(line["credits_msat"] - line["debits_msat"] for line in audit["accounts"]
                      if line["kind"] == "revenue")
        if revenue != figures["charged"]:
            raise Violation(f"revenue is {revenue}, and buyers were charged {figures['charged']}")

    def figures(self) -> dict:
        books = self.books
        balances = sum(account.low for account in books.accounts)
        charged = books.costs_reported - books.unbilled + books.charged_of_cut
        return {"paid_in": books.paid_in, "balances": balances, "reported": books.costs_reported,
                "unbilled": books.unbilled, "of_cut_answers": books.charged_of_cut,
                "charged": charged, "difference": books.paid_in - balances - charged}

    def summary(self) -> str:
        figures = self.figures()
        return (
            f"{self.kills} kills ({self.kills_at_start} of them while it started), {self.stops} stops, "
            f"{self.storms} storms, "
            f"{self.world.requests} requests, {self.books.answers} answered, "
            f"{self.books.cut_answers} cut off, {len(self.books.accounts)} keys, "
            f"{len(self.books.tokens)} tokens, {self.audits} audits; "
            f"paid in {figures['paid_in']} msat = on keys {figures['balances']} "
            f"+ charged {figures['charged']} (reported {figures['reported']}, "
            f"+ {figures['of_cut_answers']} for answers cut off, - {figures['unbilled']} unbilled, "
            f"oldest {1000 * self.books.oldest_unbilled:.1f} ms before its kill, allowed "
            f"{1000 * self.allowed_most:.1f} ms)")
