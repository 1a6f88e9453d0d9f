"""Mints and wallets that others wrote, as scripts/peers installs them, run on loopback.

Each has a folder of its own, which is its HOME, too, and fake Lightning behind it: no real sats. A mint
is up when GET /v1/info answers; stop() or kill() and start() again is a restart on the same database.
What a wallet's command did is never read from its exit code: a balance before and after says it.
"""
import contextlib
import json
import os
import pathlib
import re
import select
import socket
import sqlite3
import subprocess
import time
import urllib.parse

import harness

# On a busy machine a Python wallet takes seconds to start.
PATIENCE = 120.0

MNEMONIC = "abandon " * 11 + "about"


def folder_of(peer: str) -> pathlib.Path:
    """Where scripts/peers put it. One that is not there is a failure, never a reason to skip."""
    folder = os.environ.get(f"INTEROP_{peer.upper()}", "")
    if not folder:
        raise AssertionError(f"{peer} is not installed: scripts/peers {peer} failed or was not run")
    return pathlib.Path(folder) / "bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(home: pathlib.Path, **more) -> dict:
    """Nothing of the caller's but the path: both peers read a lot from their environment."""
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **more}


class Mint:
    """A running mint. `url` is where it listens; a proxy in front of it may be what others call it."""

    name = ""

    def __init__(self, folder: pathlib.Path, fee_ppk: int):
        self.folder, self.fee_ppk = folder, fee_ppk
        folder.mkdir(parents=True)
        self.address = ("127.0.0.1", free_port())
        self.management_port = free_port()
        self.url = f"http://{self.address[0]}:{self.address[1]}"
        self.process: subprocess.Popen | None = None

    def start(self) -> "Mint":
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.folder, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=self.environment())
        harness.until(self._answers, f"{self.name} answers", PATIENCE)
        return self

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended ({self.process.returncode}):\n{self.log_end()}")
        try:
            return harness.request(self.url + "/v1/info").status == 200
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_end(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def keysets(self) -> list:
        return harness.request(self.url + "/v1/keysets").json()["keysets"]

    def active_keyset(self) -> dict:
        return next(keyset for keyset in self.keysets() if keyset["active"] and keyset["unit"] == "sat")

    def version(self) -> str:
        return harness.request(self.url + "/v1/info").json()["version"]

    def outstanding(self) -> int:
        """All ecash of it that is good, whoever has it: what it signed less what it saw spent. From
        its own database, so that no wallet has to be believed."""
        signed, spent, _ = self._sums()
        return signed - spent

    def fees_taken(self) -> int:
        return self._sums()[2]

    def _sums(self) -> tuple:
        database = sqlite3.connect(f"file:{self.database()}?mode=ro", uri=True)
        try:
            return tuple(database.execute(query).fetchone()[0] or 0 for query in self.SUMS)
        finally:
            database.close()

    def free_pending(self) -> int:
        """What the operator of a mint does about inputs that a killed swap left pending, with the mint
        stopped; how many there were."""
        database = sqlite3.connect(self.database())
        try:
            with database:
                return database.execute(self.FREE_PENDING).rowcount
        finally:
            database.close()

    def manage(self, *arguments) -> str:
        done = subprocess.run([str(word) for word in (*self.MANAGE, *arguments)], cwd=self.folder,
                              env=self.environment(), capture_output=True, text=True,
                              timeout=PATIENCE)
        return done.stdout + done.stderr

    def rotate(self, fee_ppk: int, version: str = "") -> dict:
        """A new keyset is the active one from here on; returns it."""
        before = self.active_keyset()["id"]
        said = self._rotate(fee_ppk, version)
        now = self.active_keyset()
        if now["id"] == before or (now["input_fee_ppk"] or 0) != fee_ppk:
            raise AssertionError(f"{self.name} did not rotate: {now}\n{said}")
        return now


class Nutshell(Mint):
    name = "nutshell"
    SUMS = ("SELECT sum(amount) FROM promises WHERE c_ IS NOT NULL",
            "SELECT sum(amount) FROM proofs_used", "SELECT sum(fees_paid) FROM keysets")
    FREE_PENDING = "DELETE FROM proofs_pending"

    def __init__(self, folder: pathlib.Path, fee_ppk: int, keyset_version: str = "", **settings):
        super().__init__(folder, fee_ppk)
        self.bin = folder_of("nutshell")
        self.MANAGE = (self.bin / "mint-cli", "-i", "-p", self.management_port)
        self.settings = settings

    def command(self) -> list:
        return [str(self.bin / "mint")]

    def environment(self) -> dict:
        return environment(self.folder / "home", **{
            "MINT_BACKEND_BOLT11_SAT": "FakeWallet", "MINT_PRIVATE_KEY": str(self.folder),
            "MINT_LISTEN_HOST": self.address[0], "MINT_LISTEN_PORT": str(self.address[1]),
            "MINT_DATABASE": str(self.folder / "mint"), "CASHU_DIR": str(self.folder / "cashu"),
            "MINT_INPUT_FEE_PPK": str(self.fee_ppk), "MINT_RATE_LIMIT": "FALSE", "TOR": "FALSE",
            "MINT_TRANSACTION_RATE_LIMIT_PER_MINUTE": "10000",
            "MINT_QUOTE_BACKEND_CHECK_RATE_LIMIT": "0",
            "FAKEWALLET_DELAY_INCOMING_PAYMENT": "0", "FAKEWALLET_DELAY_OUTGOING_PAYMENT": "0",
            "MINT_RPC_SERVER_ENABLE": "TRUE", "MINT_RPC_SERVER_MUTUAL_TLS": "FALSE",
            "MINT_RPC_SERVER_PORT": str(self.management_port), **self.settings})

    def database(self) -> pathlib.Path:
        return self.folder / "mint" / "mint.sqlite3"

    @staticmethod
    def fees_told(by_rule: int, by_keyset: int) -> int:
        return by_keyset

    def kill_when_pending(self) -> None:
        """As soon as it has noted inputs as pending, which it does for some milliseconds."""
        database = sqlite3.connect(f"file:{self.database()}?mode=ro", uri=True)
        deadline = time.monotonic() + PATIENCE
        while not database.execute("SELECT 1 FROM proofs_pending LIMIT 1").fetchone():
            if time.monotonic() > deadline:
                raise AssertionError("nothing was pending")
        self.kill()
        database.close()

    def _rotate(self, fee_ppk: int, version: str) -> str:
        return self.manage("next-keyset", "sat", fee_ppk)

    def wallet(self, folder: pathlib.Path, url: str) -> "NutshellWallet":
        return NutshellWallet(folder, url)


class Cdk(Mint):
    name = "cdk-mintd"
    SUMS = ("SELECT sum(amount) FROM blind_signature WHERE c IS NOT NULL",
            "SELECT sum(amount) FROM proof WHERE state = 'SPENT'",
            "SELECT sum(fee_collected) FROM keyset_amounts")
    FREE_PENDING = "DELETE FROM proof WHERE state = 'PENDING'"
    CONFIG = """
[info]
url = "{url}"
listen_host = "{host}"
listen_port = {port}
mnemonic = "env:CDK_MINTD_MNEMONIC"
input_fee_ppk = {fee_ppk}
use_keyset_v2 = {version_two}
[info.quote_ttl]
mint_ttl = 600
melt_ttl = 120
[info.http_cache]
backend = "memory"
ttl = 60
tti = 60
[mint_management_rpc]
enabled = true
address = "127.0.0.1"
port = {management_port}
allow_insecure = true
[database]
engine = "sqlite"
[[payment_backend]]
backend = "fakewallet"
unit = "sat"
[fake_wallet]
supported_units = ["sat"]
fee_percent = 0
reserve_fee_min = 1
min_delay_time = 0
max_delay_time = 0
custom_payment_methods = []
[limits]
max_inputs = 1000
max_outputs = 1000
"""

    def __init__(self, folder: pathlib.Path, fee_ppk: int, keyset_version: str = "v2", **settings):
        super().__init__(folder, fee_ppk)
        self.bin = folder_of("cdk")
        self.MANAGE = (self.bin / "cdk-mint-cli", "--addr",
                       f"http://127.0.0.1:{self.management_port}", "--work-dir", folder / "cli")
        config = folder / "mint.toml"
        config.write_text(self.CONFIG.format(
            url=self.url, host=self.address[0], port=self.address[1], fee_ppk=fee_ppk,
            version_two="true" if keyset_version == "v2" else "false",
            management_port=self.management_port))
        (folder / "mint").mkdir()
        (folder / "cli").mkdir()
        done = subprocess.run([*self.command(), "config", "init", "--new-mint", "--file", config],
                              cwd=folder, env=self.environment(), capture_output=True, text=True,
                              timeout=PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"cdk-mintd takes no configuration: {done.stdout}{done.stderr}")

    def command(self) -> list:
        return [str(self.bin / "cdk-mintd"), "--work-dir", str(self.folder / "mint")]

    def environment(self) -> dict:
        return environment(self.folder / "home", CDK_MINTD_MNEMONIC=MNEMONIC)

    def database(self) -> pathlib.Path:
        return self.folder / "mint" / "cdk-mintd.sqlite"

    @staticmethod
    def fees_told(by_rule: int, by_keyset: int) -> int:
        return by_rule

    def _rotate(self, fee_ppk: int, version: str) -> str:
        return self.manage("rotate-next-keyset", "--unit", "sat", "--input-fee-ppk", fee_ppk,
                           "--use-keyset-v2", "true" if version == "v2" else "false")

    def wallet(self, folder: pathlib.Path, url: str) -> "CdkWallet":
        return CdkWallet(folder, url)


class Wallet:
    """A peer's own wallet: it makes the tokens that are handed in, and redeems what is given back."""

    def __init__(self, folder: pathlib.Path, url: str):
        self.folder, self.url, self.last = folder, url, ""
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, *arguments) -> str:
        done = subprocess.run([str(word) for word in (*self.command(), *arguments)],
                              env=self.environment(), cwd=self.folder, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        self.last = done.stdout + done.stderr
        return done.stdout

    def end(self) -> None:
        """What it keeps running."""

    def fill(self, sats: int) -> None:
        self._mint(sats)

    def send(self, sats: int, *options) -> str:
        """A token of this face value."""
        said = self._send(sats, *options)
        found = re.findall(r"cashu[AB][A-Za-z0-9_=-]{40,}", said)
        if not found:
            raise AssertionError(f"the peer's wallet sent nothing: {said}{self.last}")
        return found[-1]

    def redeem(self, token: str) -> int:
        """What the wallet has more afterwards: 0 if the mint refused the token."""
        before = self.balance()
        self._receive(token)
        said = self.last
        gained = self.balance() - before
        self.last = said
        return gained

    def forget_keysets(self) -> None:
        """Has it ask the mint for its keysets, where it does not do so by itself."""

    def balance(self) -> int:
        found = re.findall(self.BALANCE, self.run("balance"))
        return int(found[-1]) if found else 0


class NutshellWallet(Wallet):
    BALANCE = r"Balance: (\d+) sat"
    LEGACY = ("--legacy",)

    def __init__(self, folder: pathlib.Path, url: str):
        super().__init__(folder, url)
        self.bin = folder_of("nutshell")
        self.commands: subprocess.Popen | None = None

    def run(self, *arguments) -> str:
        if self.commands is None:
            self.commands = subprocess.Popen(
                [self.bin / "python", pathlib.Path(__file__).parent / "forked_cashu.py"],
                cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                stderr=subprocess.DEVNULL, env=environment(
                    self.folder, MINT_URL=self.url, TOR="FALSE", CASHU_DIR=str(self.folder / "cashu")))
            self.commands.stdout.readline()
        self.commands.stdin.write(json.dumps(["-y", "-h", self.url, *map(str, arguments)]) + "\n")
        self.commands.stdin.flush()
        if not select.select([self.commands.stdout], [], [], PATIENCE)[0]:
            raise AssertionError(f"cashu {arguments} does not end")
        self.last = json.loads(self.commands.stdout.readline())
        return self.last

    def end(self) -> None:
        if self.commands is not None:
            self.commands.stdin.close()
            self.commands.stdout.close()
            self.commands.kill()
            self.commands.wait()

    def _mint(self, sats: int) -> None:
        # Not in one: the command that also waits misses a payment which comes before it listens.
        said = self.run("invoice", sats, "--no-check")
        quote = re.search(r"--id (\S+)", said)
        self.run("invoice", sats, "--id", quote[1] if quote else "")

    def _send(self, sats: int, *options) -> str:
        return self.run("send", sats, *options)

    def _receive(self, token: str) -> None:
        self.run("receive", token)

    def lock_to(self, public_key: str) -> tuple:
        return ("--lock", f"P2PK:{public_key}")


class CdkWallet(Wallet):
    BALANCE = r"Total balance across all wallets: (\d+)"
    LEGACY = ("--v3",)

    def __init__(self, folder: pathlib.Path, url: str):
        super().__init__(folder, url)
        self.bin = folder_of("cdk")

    def command(self) -> list:
        return [self.bin / "cdk-cli", "--work-dir", self.folder / "cdk", "--non-interactive"]

    def environment(self) -> dict:
        return environment(self.folder)

    def _mint(self, sats: int) -> None:
        self.run("mint", self.url, sats)

    def _send(self, sats: int, *options) -> str:
        return self.run("send", "--mint-url", self.url, "--amount", sats, *options)

    def _receive(self, token: str) -> None:
        self.run("receive", token, "--allow-untrusted")

    def forget_keysets(self) -> None:
        # Each cdk-cli takes what is in its database for fresh: the hour after which it looks again
        # begins anew with every command.
        with contextlib.closing(sqlite3.connect(self.folder / "cdk" / "cdk-cli.sqlite")) as database:
            with database:
                database.execute("DELETE FROM keyset")

    def lock_to(self, public_key: str) -> tuple:
        return ("--pubkey", public_key)


def config_value(text: str) -> str:
    """A text as TOML wants it."""
    return json.dumps(text)


def address_of(url: str) -> tuple:
    parts = urllib.parse.urlsplit(url)
    return (parts.hostname, parts.port)
