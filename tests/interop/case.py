"""What every scenario has: a mint of others, its wallet, perhaps a proxy that breaks things in between,
a real node whose money lies at that mint, and the sums that must come out in the end.

No sum is believed of the one it is about. At the end of a scenario, after `close_books`:

    what the mint's own database says is good    =  the node's wallet + the peer's wallet + tokens
                                                    that were handed out and not redeemed
    what was ever paid in for                    =  that + the fees that the mint says it took
    `nutgate audit --full`                          is sound: books and proofs agree to the msat
"""
import dataclasses
import json
import pathlib
import sys
import time
import urllib.parse

import harness
import peers
import tokens
from fault_proxy import FaultProxy

# "Everything is resolved within 30 s of the mint's return."
RESOLVED_SECONDS = 30.0

CONFIG = """
[wallet]
mints = [{mints}]
{wallet}
[limits]
creates_per_client_per_minute = 100000
invoices_per_client_per_minute = 100000
status_per_client_per_minute = 100000
"""


@dataclasses.dataclass(frozen=True)
class Setup:
    """Which mint, and how it is configured."""
    peer: type
    fee_ppk: int
    keyset_version: str = ""

    def __str__(self) -> str:
        version = f" keysets {self.keyset_version}" if self.keyset_version else ""
        return f"{self.peer.name} fee {self.fee_ppk} ppk{version}"


NUTSHELL = Setup(peers.Nutshell, 100)
CDK = Setup(peers.Cdk, 100, "v2")
# Without fees, with, and where each proof costs a sat; both id versions where the peer can choose.
ALL = [Setup(peers.Nutshell, fee) for fee in (0, 100, 1000)] + [
    Setup(peers.Cdk, fee, version) for version in ("v1", "v2") for fee in (0, 100, 1000)]
ONE_EACH = [NUTSHELL, CDK]


class WalletCase(harness.NodeCase):
    setup: Setup          # Set by the runner, which makes a class of each for each of its setups.
    setups = ONE_EACH
    proxied = False       # Whether the mint is called by the proxy's address.
    settings: dict = {}   # More for the mint's environment.
    filled = 3000         # What the peer's wallet has at the start.
    dev = False           # Whether the node has a mint, and money, for play.
    node_wallet = ""      # More for its section [wallet].

    def setUp(self) -> None:
        super().setUp()
        self.paid_in = 0
        self.in_hand: list[str] = []
        self.wallets: list[peers.Wallet] = []
        self.mint = self.start_mint("mint", self.setup)
        self.proxy = None
        self.mint_url = self.mint.url
        if self.proxied:
            self.proxy = FaultProxy(self.mint.address)
            self.addCleanup(self.proxy.close)
            self.mint_url = self.proxy.url
        self.node = self.start_node("node", self.mint_urls())
        self.wallet = self.peer_wallet(self.mint, self.mint_url)
        self.note(f"{self.mint.name} {self.mint.version()}, active keyset "
                  f"{self.mint.active_keyset()['id']}")
        if self.filled:
            self.fill(self.wallet, self.filled)

    # Who takes part.

    def mint_urls(self) -> list:
        """What the node's file names, the primary first."""
        return [self.mint_url]

    def start_mint(self, name: str, setup: Setup) -> peers.Mint:
        mint = setup.peer(self.folder / name, setup.fee_ppk, setup.keyset_version, **self.settings)
        self.addCleanup(self._end_mint, mint)
        return mint.start()

    def _end_mint(self, mint: peers.Mint) -> None:
        if self.failed():
            print(f"--- log of {mint.name}\n{mint.log_end()}", file=sys.stderr)
        if mint.running:
            mint.kill()

    def start_node(self, name: str, mints: list) -> harness.Nutgate:
        _, upstream = self.upstream(7000, 11_000)
        config = self.folder / f"{name}.toml"
        config.write_text(CONFIG.format(wallet=self.node_wallet, mints=", ".join(
            peers.config_value(url) for url in mints)) + upstream)
        return self.nutgate("--config", config, name=name, dev=self.dev)

    def peer_wallet(self, mint: peers.Mint, url: str, name: str = "wallet") -> peers.Wallet:
        wallet = mint.wallet(self.folder / name, url)
        self.wallets.append(wallet)
        self.addCleanup(wallet.end)
        return wallet

    def note(self, text: str) -> None:
        print(f"    {text}", flush=True)

    # Money.

    def fill(self, wallet: peers.Wallet, sats: int) -> None:
        before = self.mint.outstanding()
        wallet.fill(sats)
        self.assertEqual(self.mint.outstanding(), before + sats, "what the peer's wallet minted")
        self.paid_in += sats

    def hand_out(self, sats: int, *options) -> str:
        """A token that the peer's wallet makes."""
        token = self.wallet.send(sats, *options)
        self.in_hand.append(token)
        return token

    def buy(self, sats: int, node: harness.Nutgate | None = None) -> str:
        """A key for an invoice, which the fake Lightning pays by itself."""
        node = node or self.node
        self.paid_in += sats
        key = node.buy_key(sats)
        self.assertEqual(node.balance(key), sats * 1000)
        return key

    def create(self, token: str) -> harness.Answer:
        return self.node.ask("/v1/balance/create", body={"initial_balance_token": token})

    def net_of(self, token: str) -> int:
        """What is left of it, in sats, after the fee of swapping it, by NUT-02's rule."""
        return tokens.worth(token) - tokens.fee(token, self.mint.keysets())

    def deposit(self, token: str) -> str:
        """The key that the token makes, with what it must bring."""
        net = self.net_of(token)
        made = self.create(token)
        self.assertEqual(made.status, 200, made)
        return self.deposited(token, made, net)

    def deposited(self, token: str, made: harness.Answer, net: int) -> str:
        self.assertEqual(made.json()["balance"], net * 1000, made)
        if token in self.in_hand:
            self.in_hand.remove(token)
        self.note(f"token in: {tokens.worth(token)} sat in {len(tokens.decode(token)['proofs'])} proofs "
                  f"of {self.ids(token)}, credited {net}")
        return made.json()["api_key"]

    def refund(self, key: str) -> str:
        answer = self.node.ask("/v1/balance/refund", "POST", key=key)
        self.assertEqual(answer.status, 200, answer)
        return self.refunded(answer)

    def refunded(self, answer: harness.Answer) -> str:
        token = answer.json()["token"]
        self.assertEqual(str(tokens.worth(token)), answer.json()["sats"])
        if token not in self.in_hand:
            self.in_hand.append(token)
            self.note(f"token out: {tokens.worth(token)} sat in "
                      f"{len(tokens.decode(token)['proofs'])} proofs of {self.ids(token)}")
        return token

    def redeem(self, token: str) -> None:
        """The peer's own wallet gets exactly the face value less its own fee."""
        net = self.net_of(token)
        self.assertEqual(self.wallet.redeem(token), net, self.wallet.last)
        self.in_hand.remove(token)

    def chat(self, key: str) -> int:
        """Some work is bought; what it cost, in msat."""
        answer = self.node.chat(key, "one two three", model="small")
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["usage"]["cost"]["total_msats"]

    @staticmethod
    def ids(token: str) -> str:
        return ", ".join(sorted(tokens.keyset_ids(token)))

    # What is under way.

    def operations(self, *states: str) -> list:
        said = json.loads(self.node.command("wallet", "operations", "--json").stdout)
        return [operation for operation in said if not states or operation["state"] in states]

    def under_way(self) -> list:
        return self.operations("submitted", "blocked")

    def until_resolved(self, seconds: float = RESOLVED_SECONDS) -> None:
        """By the node itself: nobody asks it for anything meanwhile."""
        began = time.monotonic()
        harness.until(lambda: not self.under_way(), "no operation is under way", seconds)
        self.note(f"resolved in {time.monotonic() - began:.1f} s")

    def held_by_node(self, node: harness.Nutgate, mint_url: str = "") -> int:
        """In sats, at this mint or at all."""
        said = json.loads(node.command("wallet", "balance", "--json").stdout)
        msat = sum(line["available_msat"] + line["reserved_msat"] for line in said
                   if line["mint"].startswith(mint_url))
        self.assertEqual(msat % 1000, 0)
        return msat // 1000

    def audit(self) -> None:
        self.node.command("audit", "--full")

    def fees_taken(self) -> int:
        """What the mint kept of all that was swapped, as its own database says."""
        return self.mint.fees_taken()

    def close_books(self) -> None:
        self.assertEqual(self.under_way(), [])
        self.audit()
        good = self.mint.outstanding()
        at_node = self.held_by_node(self.node)
        at_wallet = sum(wallet.balance() for wallet in self.wallets)
        in_hand = sum(map(tokens.worth, self.in_hand))
        fees = self.fees_taken()
        self.note(f"paid in {self.paid_in} = node {at_node} + peer's wallet {at_wallet} + tokens in "
                  f"hand {in_hand} + fees {fees}")
        self.assertEqual(good, at_node + at_wallet + in_hand, "what is good at the mint")
        self.assertEqual(good + fees, self.paid_in, "what was paid in")
        self.assertEqual(self.node.stop(), 0)
        self.audit()


