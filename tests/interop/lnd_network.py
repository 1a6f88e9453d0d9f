"""A Lightning network of real nodes on a private chain: btcd, and lnd three times, all on loopback.

    alice ──8 M sat── bob ──4 M, not announced── carol

alice is the seller's, bob and carol are customers. Both channels are balanced both ways. bob takes
routing_fee() for what goes on to carol; her invoices that are private say how to find her.
"""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import ssl
import subprocess

import harness
import peers

# A busy machine makes lnd slow to start; nothing that works takes this long.
PATIENCE = 180.0
# Of nobody: it starts before there is a wallet.
NOWHERE = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8"
# Segwit and taproot are active after three windows of 144 blocks, a reward can be spent after 100.
WINDOWS, MATURITY, DEEP = 432, 101, 6
NEAR_CHANNEL, FAR_CHANNEL = 8_000_000, 4_000_000
ROUTING_BASE_MSAT, ROUTING_PPM = 1_000, 1_000
USER, PASSWORD = "chain", "chain"


def routing_fee(amount_msat: int) -> int:
    return ROUTING_BASE_MSAT + amount_msat * ROUTING_PPM // 1_000_000


class Refused(Exception):
    """lnd's word: {"code", "message"}."""

    def __init__(self, status: int, said: dict):
        said = said.get("error", said) if isinstance(said.get("error"), dict) else said
        super().__init__(f"{status}: {said.get('message', said)}")
        self.status, self.code = status, said.get("code")


class Program:
    """A child with a folder and a log; kill() and start() again is a restart on the same database."""

    def __init__(self, name: str, folder: pathlib.Path):
        self.name, self.folder = name, folder
        folder.mkdir(parents=True)
        self.process: subprocess.Popen | None = None

    def command(self) -> list:
        raise NotImplementedError

    def environment(self) -> dict:
        """More than a path and a home."""
        return {"GOMAXPROCS": "2"}

    def spawn(self) -> None:
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.command()], cwd=self.folder, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env=peers.environment(self.folder, **self.environment()))

    def check_runs(self) -> None:
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended ({self.process.returncode}):\n{self.log_end()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end:\n{self.log_end()}") from None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_end(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-12000:]


class Btcd(Program):
    def __init__(self, folder: pathlib.Path):
        super().__init__("btcd", folder)
        self.bin = peers.folder_of("lnd")
        self.p2p, self.rpc = peers.free_port(), peers.free_port()
        self.cert = folder / "rpc.cert"
        self.mining_address = NOWHERE

    def command(self) -> list:
        return [self.bin / "btcd", "--regtest", f"--datadir={self.folder}/data",
                f"--logdir={self.folder}/logs", f"--configfile={self.folder}/none.conf",
                f"--listen=127.0.0.1:{self.p2p}", f"--rpclisten=127.0.0.1:{self.rpc}",
                f"--rpcuser={USER}", f"--rpcpass={PASSWORD}", f"--rpccert={self.cert}",
                f"--rpckey={self.folder}/rpc.key", "--txindex", "--nobanning", "--rejectnonstd",
                f"--miningaddr={self.mining_address}"]

    def start(self) -> "Btcd":
        self.spawn()
        harness.until(self._answers, "btcd answers", PATIENCE)
        return self

    def _answers(self) -> bool:
        self.check_runs()
        try:
            return self.call("getblockcount") >= 0
        except (OSError, http.client.HTTPException):
            return False

    def call(self, method: str, *parameters):
        trust = ssl.create_default_context(cafile=self.cert)
        connection = http.client.HTTPSConnection("127.0.0.1", self.rpc, context=trust, timeout=PATIENCE)
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        try:
            connection.request("POST", "/", json.dumps({
                "jsonrpc": "1.0", "id": 1, "method": method, "params": list(parameters)}),
                {"authorization": f"Basic {secret}", "content-type": "application/json"})
            said = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if said.get("error"):
            raise AssertionError(f"btcd {method}: {said['error']}")
        return said["result"]

    def generate(self, blocks: int) -> None:
        self.call("generate", blocks)

    def begin_again(self, address: str) -> None:
        """From the first block, with rewards to that address. (On regtest btcd always does: it keeps no
        chain over a restart.)"""
        self.mining_address = address
        self.stop()
        self.start()


class Lnd(Program):
    def __init__(self, name: str, folder: pathlib.Path, chain: Btcd):
        super().__init__(name, folder)
        self.chain = chain
        self.p2p, self.rpc, self.rest = (peers.free_port() for _ in range(3))
        self.address = ("127.0.0.1", self.rest)
        self.url = f"https://127.0.0.1:{self.rest}"
        self.cert, self.key = folder / "tls.cert", folder / "tls.key"
        self.macaroons = folder / "data" / "chain" / "bitcoin" / "regtest"
        self.public_key = ""

    def command(self) -> list:
        return [self.chain.bin / "lnd", f"--lnddir={self.folder}", f"--alias={self.name}",
                "--bitcoin.regtest", "--bitcoin.node=btcd", f"--btcd.rpchost=127.0.0.1:{self.chain.rpc}",
                f"--btcd.rpcuser={USER}", f"--btcd.rpcpass={PASSWORD}",
                f"--btcd.rpccert={self.chain.cert}", "--noseedbackup", "--nobootstrap",
                f"--listen=127.0.0.1:{self.p2p}", f"--rpclisten=127.0.0.1:{self.rpc}",
                f"--restlisten=127.0.0.1:{self.rest}", "--trickledelay=50",
                "--bitcoin.defaultchanconfs=1", "--db.batch-commit-interval=10ms",
                f"--bitcoin.basefee={ROUTING_BASE_MSAT}", f"--bitcoin.feerate={ROUTING_PPM}",
                "--keep-failed-payment-attempts", "--minbackoff=100ms", "--maxbackoff=1s"]

    def start(self) -> "Lnd":
        self.spawn()
        self.until_state("SERVER_ACTIVE")
        self.public_key = self.get("/v1/getinfo")["identity_pubkey"]
        return self

    def until_state(self, *wanted: str) -> None:
        def reached() -> bool:
            self.check_runs()
            try:
                return self.get("/v1/state", macaroon=None)["state"] in wanted
            except (OSError, http.client.HTTPException, Refused):
                return False
        harness.until(reached, f"{self.name} is {wanted}", PATIENCE)

    def first_address(self) -> str:
        """Of its wallet, from before there is a chain; it ends again."""
        self.spawn()
        self.until_state("RPC_ACTIVE", "SERVER_ACTIVE")

        def made() -> str | None:
            try:
                return self.get("/v1/newaddress?type=4")["address"]
            except (OSError, Refused):
                return None
        address = harness.until(made, "it makes an address", PATIENCE)
        self.stop()
        return address

    # Its interface.

    def ask(self, method: str, path: str, body=None, macaroon: str | None = "admin"):
        """Its answer; of a stream the last line."""
        trust = ssl.create_default_context(cafile=self.cert)
        connection = http.client.HTTPSConnection(*self.address, context=trust, timeout=PATIENCE)
        headers = {}
        if macaroon:
            headers["Grpc-Metadata-Macaroon"] = (self.macaroons / f"{macaroon}.macaroon").read_bytes().hex()
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            said = json.loads(answer.read().strip().splitlines()[-1])
        finally:
            connection.close()
        if answer.status != 200 or "error" in said:
            raise Refused(answer.status, said)
        return said

    def get(self, path: str, **more):
        return self.ask("GET", path, **more)

    def post(self, path: str, **body):
        return self.ask("POST", path, body)

    def bake(self, name: str, *methods: str) -> pathlib.Path:
        """A macaroon for these methods alone, as a file of hex."""
        made = self.post("/v1/macaroon", permissions=[
            {"entity": "uri", "action": method} for method in methods])
        file = self.folder / f"{name}.macaroon.hex"
        file.write_text(made["macaroon"] + "\n")
        return file

    # Money.

    def invoice(self, msat: int, memo: str = "refund", **more) -> dict:
        made = self.post("/v1/invoices", value_msat=str(msat), memo=memo, **more)
        return {"bolt11": made["payment_request"], "hash": base64.b64decode(made["r_hash"]).hex()}

    def hold_invoice(self, msat: int) -> dict:
        """One whose payment waits for settle() or cancel()."""
        preimage = os.urandom(32)
        payment = hashlib.sha256(preimage).digest()
        made = self.post("/v2/invoices/hodl", value_msat=str(msat), memo="hold",
                         hash=base64.b64encode(payment).decode())
        return {"bolt11": made["payment_request"], "hash": payment.hex(), "preimage": preimage}

    def settle(self, invoice: dict) -> None:
        self.post("/v2/invoices/settle", preimage=base64.b64encode(invoice["preimage"]).decode())

    def cancel(self, payment: str) -> None:
        self.post("/v2/invoices/cancel", payment_hash=base64.b64encode(bytes.fromhex(payment)).decode())

    def invoice_state(self, payment: str) -> str:
        return self.get(f"/v1/invoice/{payment}")["state"]

    def pay(self, bolt11: str, fee_limit_msat: int = 100_000) -> dict:
        """The payment once it has ended."""
        return self.post("/v2/router/send", payment_request=bolt11, timeout_seconds=30,
                         fee_limit_msat=str(fee_limit_msat), no_inflight_updates=True)["result"]

    def payment(self, payment: str) -> dict | None:
        """As it is now; None if this node knows of none."""
        return next((one for one in self.payments() if one["payment_hash"] == payment), None)

    def payments(self) -> list:
        return self.get("/v1/payments?include_incomplete=true&max_payments=100000")["payments"]

    def invoices(self) -> list:
        return self.get("/v1/invoices?num_max_invoices=100000")["invoices"]

    def in_flight(self) -> int:
        return sum(len(channel["pending_htlcs"]) for channel in self.get("/v1/channels")["channels"])

    def has_peer(self, other: "Lnd") -> bool:
        return any(peer["pub_key"] == other.public_key for peer in self.get("/v1/peers")["peers"])

    def is_connected(self, other: "Lnd") -> bool:
        channels = self.get("/v1/channels")["channels"]
        return any(channel["remote_pubkey"] == other.public_key and channel["active"] for channel in channels)


class Network:
    """Started once, since that takes a minute; a scenario looks at what it changed, not at the whole."""

    def __init__(self, folder: pathlib.Path):
        self.chain = Btcd(folder / "btcd")
        self.nodes: list[Lnd] = []
        self.folder = folder

    def start(self) -> "Network":
        self.chain.start()
        self.alice, self.bob, self.carol = (
            Lnd(name, self.folder / name, self.chain) for name in ("alice", "bob", "carol"))
        self.nodes += [self.alice]
        self.chain.begin_again(self.alice.first_address())
        self.chain.generate(WINDOWS + MATURITY)
        self.nodes += [self.bob, self.carol]
        for node in self.nodes:
            node.start()
        self._until_funded(self.alice)
        self.alice.post("/v1/transactions", addr=self.bob.get("/v1/newaddress?type=4")["address"],
                        amount=str(2 * FAR_CHANNEL), sat_per_vbyte="2")
        self.chain.generate(DEEP)
        self._until_funded(self.bob)
        self._open(self.alice, self.bob, NEAR_CHANNEL)
        self._open(self.bob, self.carol, FAR_CHANNEL, private=True)
        self.until_connected()
        # Whoever pays has to have seen the channel.
        for node in (self.alice, self.bob):
            harness.until(lambda: node.get("/v1/graph/info")["num_channels"] >= 1, "the graph", PATIENCE)
        return self

    def _until_funded(self, node: Lnd) -> None:
        def funded() -> bool:
            node.check_runs()
            return (node.get("/v1/getinfo")["synced_to_chain"]
                    and int(node.get("/v1/balance/blockchain")["confirmed_balance"]) > FAR_CHANNEL)
        harness.until(funded, f"{node.name} has coins", PATIENCE)

    def _open(self, a: Lnd, b: Lnd, sats: int, **more) -> None:
        a.post("/v1/peers", addr={"pubkey": b.public_key, "host": f"127.0.0.1:{b.p2p}"}, perm=True)
        harness.until(lambda: a.has_peer(b) and b.has_peer(a), "they are connected", PATIENCE)
        a.post("/v1/channels", node_pubkey=base64.b64encode(bytes.fromhex(b.public_key)).decode(),
               local_funding_amount=str(sats), push_sat=str(sats // 2), sat_per_vbyte="2", **more)
        self.chain.generate(DEEP)
        harness.until(lambda: a.is_connected(b) and b.is_connected(a), "the channel is open", PATIENCE)

    def until_connected(self) -> None:
        for a, b in ((self.alice, self.bob), (self.bob, self.carol)):
            harness.until(lambda: a.is_connected(b) and b.is_connected(a),
                          f"{a.name} and {b.name} are connected", PATIENCE)

    def until_whole(self) -> None:
        """After whatever a scenario did to it."""
        for node in self.nodes:
            if not node.running:
                node.start()
        self.until_connected()

    def end(self) -> None:
        for program in (*self.nodes, self.chain):
            if program.running:
                program.kill()
