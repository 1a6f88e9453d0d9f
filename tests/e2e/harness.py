"""Drives the real binary from outside: starts it on loopback, talks HTTP, stops or kills it.

Nothing here sleeps for a fixed time and hopes. A node is up when it prints its ready line; anything
else is waited for by `until`, which asks again until the answer is there or the time is over.
"""
import http.client
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = pathlib.Path(os.environ.get("E2E_NUTGATE", ROOT / "build" / "dev" / "nutgate")).resolve()
NODE_HOME = ROOT / "build" / "node"

# Sanitizers and a busy machine make everything slower; nothing that works takes this long.
PATIENCE = 60.0


class Answer:
    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:400]!r}>"


def request(url: str, method: str = "GET", body=None, key: str | None = None, headers=None,
            sent=None) -> Answer:
    """One exchange on its own connection. `body` that is not bytes is sent as JSON. `sent` is called
    between the request and the wait for its answer."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    headers = dict(headers or {})
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers.setdefault("content-type", "application/json")
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        if sent is not None:
            sent()
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def until(condition, what: str, seconds: float = PATIENCE):
    """Asks until `condition()` gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s still not: {what}; last: {value!r}")
        time.sleep(0.02)


def events_of(body: bytes) -> list:
    """The data of each server-sent event, decoded; the closing one as the string "[DONE]"."""
    events = []
    for line in body.decode().splitlines():
        if line.startswith("data: "):
            data = line[len("data: "):]
            events.append(data if data == "[DONE]" else json.loads(data))
    return events


class Process:
    """A child whose standard output announces, in a line that begins with `ready`, where it listens."""

    def __init__(self, arguments: list, log: pathlib.Path, cwd=None, environment=None):
        self.log = log
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, cwd=cwd,
                env={**os.environ, **(environment or {})}, text=True,
            )
        self.lines: queue.Queue = queue.Queue()
        self.output: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.output.append(line)
            self.lines.put(line)
        self.lines.put(None)

    def wait_ready(self) -> str:
        """What follows `ready `; fails with the log's end if the process ends or never says it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.kill()
                raise AssertionError(f"not ready (exit {self.process.poll()}):\n{self.log_end()}")
            if line.startswith("ready "):
                return line[len("ready "):].strip()

    def log_end(self) -> str:
        return "".join(self.output[-20:]) + self.log.read_text(errors="replace")[-6000:]

    def kill(self) -> None:
        """As a power cut would end it."""
        self.process.kill()
        self.wait_gone()

    def stop(self) -> int:
        """SIGTERM, and the exit code. A node that does not end is a failure, with its log."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end on SIGTERM:\n{self.log_end()}") from None
        self.wait_gone()
        return self.process.returncode

    def wait_gone(self) -> None:
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def resident_mib(self) -> float:
        return self._status_kib("VmRSS") / 1024

    def is_sanitized(self) -> bool:
        """Sanitizers map terabytes of shadow. What they keep of freed memory, and for how long they
        are at it, says nothing about the node."""
        return self._status_kib("VmSize") > 2**30

    def _status_kib(self, name: str) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines()
                    if line.startswith(name + ":"))


class Nutgate:
    """One data directory and the node on it; start() again after stop() or kill() is a restart."""

    def __init__(self, folder: pathlib.Path, *arguments, dev: bool = True, environment=None):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = folder / "data"
        self.arguments = (["--dev"] if dev else []) + [str(argument) for argument in arguments]
        self.environment = environment or {}
        self.listen = "127.0.0.1:0"
        self.process: Process | None = None
        self.url = ""

    def spawn(self) -> Process:
        """The process, ready or not."""
        self.process = Process(
            [BINARY, "serve", *self.arguments, "--data-dir", self.data_dir,
             "--listen", self.listen, "--operator-listen", "127.0.0.1:0"],
            self.folder / "log", cwd=self.folder, environment=self.environment,
        )
        return self.process

    def start(self) -> "Nutgate":
        self.url = self.spawn().wait_ready()
        # A restart keeps its address, as it would in the field: tokens and clients name it.
        self.listen = urllib.parse.urlsplit(self.url).netloc
        return self

    def operator_url(self) -> str:
        return "http://" + (self.data_dir / "operator.address").read_text().strip()

    def stop(self) -> int:
        return self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def ask(self, path: str, method: str | None = None, body=None, **more) -> Answer:
        return request(self.url + path, method or ("GET" if body is None else "POST"), body, **more)

    def command(self, *arguments, check: bool = True) -> subprocess.CompletedProcess:
        """An operator's command on this data directory."""
        done = subprocess.run(
            [BINARY, *[str(argument) for argument in arguments], "--data-dir", self.data_dir],
            cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE,
            env={**os.environ, **self.environment},
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def audit(self) -> None:
        """The books balance and equal the proofs; every test that moves money ends here."""
        self.command("audit", "--full")

    def buy_key(self, sats: int = 1000) -> str:
        """An API key with this balance, paid for over the simulated Lightning network."""
        made = self.ask("/lightning/invoice", body={"amount_sats": sats, "purpose": "create"})
        if made.status != 200:
            raise AssertionError(f"no invoice: {made}")
        path = f"/lightning/invoice/{made.json()['invoice_id']}/status"
        return until(lambda: self.ask(path).json().get("api_key"), "the invoice is paid")

    def balance(self, key: str) -> int:
        """What the key may still spend, in msat, with no request of its under way."""
        def settled():
            info = self.ask("/v1/balance/info", key=key)
            if info.status != 200:
                raise AssertionError(f"balance: {info}")
            return info.json() if info.json()["reserved"] == 0 else None
        return until(settled, "nothing is reserved")["balance"]

    def until_posted(self) -> None:
        """Until every charge is in the books: a kill costs the seller nothing from here on."""
        token = (self.data_dir / "operator.token").read_text().strip()

        def nothing_waits():
            page = request(self.operator_url() + "/metrics", key=token).body.decode()
            return "\nnutgate_proxy_unposted_charges 0\n" in page
        until(nothing_waits, "every charge is posted")

    def chat(self, key: str, text: str = "hello", **more) -> Answer:
        body = {"model": "demo", "messages": [{"role": "user", "content": text}], **more}
        return self.ask("/v1/chat/completions", body=body, key=key)


class NodeCase(unittest.TestCase):
    """A test with a folder of its own; nodes that it starts end with it, and their logs are shown
    if it fails."""

    def setUp(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nutgate-e2e-"))
        self.nodes: list[Nutgate] = []
        self.addCleanup(self._end)

    def nutgate(self, *arguments, name: str = "node", **more) -> Nutgate:
        node = Nutgate(self.folder / name, *arguments, **more)
        self.nodes.append(node)
        return node.start()

    def upstream(self, input_msat_per_1k: int, output_msat_per_1k: int, more: str = "") -> tuple:
        """A mock upstream that is running, and a configuration that sells its model "small"."""
        upstream = Process(["python3", ROOT / "tests" / "e2e" / "mock_upstream.py"],
                           self.folder / "upstream.log")
        self.addCleanup(upstream.kill)
        return upstream, (
            f'[[upstream]]\nname = "u"\ndialect = "openai"\nurl = "http://{upstream.wait_ready()}/v1"\n'
            f'{more}\n[[model]]\nid = "small"\nupstreams = ["u"]\ncontext = 1000\noutput_max = 100\n'
            f'price = {{ input_msat_per_1k = {input_msat_per_1k}, '
            f'output_msat_per_1k = {output_msat_per_1k} }}\n')

    def config(self, text: str) -> pathlib.Path:
        path = self.folder / "nutgate.toml"
        path.write_text(text)
        return path

    def failed(self) -> bool:
        """So far. Each cleanup begins with a clean outcome, but what failed before it is in the result."""
        outcome = getattr(self, "_outcome", None)
        if outcome is None:
            return False
        known = getattr(outcome.result, "failures", []) + getattr(outcome.result, "errors", [])
        return not outcome.success or any(test is self for test, _ in known)

    def _end(self) -> None:
        for node in self.nodes:
            if self.failed():
                print(f"--- log of {node.folder.name}\n{node.process.log_end()}", file=sys.stderr)
            if node.process.running:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def run_node_script(script: str, environment: dict) -> str:
    """Runs tests/e2e/node/SCRIPT with the pinned Node.js and packages; returns what it printed."""
    node = NODE_HOME / "node"
    if not node.exists():
        raise AssertionError("build/node is not there: run scripts/setup tests")
    # Packages are found from where the script lies, so it is run from beside them.
    copy = NODE_HOME / f"{os.getpid()}-{script}"
    shutil.copyfile(ROOT / "tests" / "e2e" / "node" / script, copy)
    try:
        done = subprocess.run(
            [node, copy], capture_output=True, text=True, timeout=4 * PATIENCE,
            env={**os.environ, **environment, "NODE_NO_WARNINGS": "1"},
        )
    finally:
        copy.unlink()
    if done.returncode != 0:
        raise AssertionError(f"{script}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout
