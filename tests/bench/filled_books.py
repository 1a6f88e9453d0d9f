"""A node's database as it is after years: so many keys, each bought and used, and consistent books.

A node of this build makes the database, a few keys that hold the money, and one charge. The rest is
written straight into the file, as a node would have it: money moves from those keys to new ones and
from there to revenue, so that all assets stay as they are; accounts, sealed sums and checkpoint are
the sums of the transfers. Columns that are not known here are copied from the node's own rows. That
it is right is for `nutgate audit --full` to say.
"""
import contextlib
import dataclasses
import hashlib
import hmac
import os
import pathlib
import secrets
import sqlite3

import harness

# What one invoice can put on a key; and what all filled keys get together, so that each of 10⁶ can
# pay for more than a thousand answers.
SATS_PER_INVOICE = 1_000_000
FUNDS_MSAT = 180_000_000_000  # From 1,000 keys on, no source gives more than it has.
SOURCES = 220
CHARGES_PER_KEY = 9


@dataclasses.dataclass
class Filled:
    keys: list[str]
    transfers: int


def mac_secret(words: str) -> bytes:
    """As src/keyring derives it: BIP-39 seed, then HKDF-SHA-256 with its label."""
    seed = hashlib.pbkdf2_hmac("sha512", words.encode(), b"mnemonic", 2048)
    extracted = hmac.digest(bytes(32), seed, "sha256")
    return hmac.digest(extracted, b"nutgate/keyring/mac\x01", "sha256")


def text_of(secret: bytes, key: bytes) -> str:
    return "sk-" + key.hex() + hmac.digest(secret, key, "sha256")[:16].hex()


def one_charge(node: harness.Nutgate, key: str, body: dict) -> None:
    answer = harness.request(node.url + "/v1/chat/completions", "POST", body, key=key)
    if answer.status != 200:
        raise AssertionError(f"no answer to copy: {answer}")
    node.balance(key)


def fill(node: harness.Nutgate, count: int, body: dict) -> Filled:
    """Fills the database of a node that runs, and has nothing yet; it is stopped afterwards."""
    sources = [node.buy_key(SATS_PER_INVOICE) for _ in range(SOURCES)]
    one_charge(node, sources[0], body)
    node.stop()
    secret = mac_secret((node.data_dir / "seed").read_text().strip())
    ids = [bytes.fromhex(key[3:35]) for key in sources]
    if [text_of(secret, key) for key in ids] != sources:
        raise AssertionError("the keys' secret is derived in another way: see filled_books.mac_secret")
    new = [secrets.token_bytes(16) for _ in range(count)]
    with Books(node.data_dir / "nutgate.db", [key.hex() for key in ids]) as books:
        transfers = books.fill(new, ids[0])
    return Filled([text_of(secret, key) for key in new], transfers)


class Books:
    """The tables of the ledger and the keyring, opened by nobody else."""

    def __init__(self, path: pathlib.Path, sources: list[str]):
        self.path = path
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000",
                       "temp_store = MEMORY"):
            self.database.execute("PRAGMA " + pragma)
        self.sources = [self.one("SELECT * FROM account WHERE name = ?", name) for name in sources]
        self.charge = self.one("SELECT * FROM transfer WHERE debit = ?", self.sources[0]["id"])
        self.usage = self.one("SELECT * FROM usage_batch WHERE transfer = ?", self.charge["number"])

    def __enter__(self) -> "Books":
        return self

    def __exit__(self, *_) -> None:
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.close()
        # What was just written would otherwise reach the disk while something is measured.
        with open(self.path, "rb+") as file:
            os.fsync(file.fileno())

    def one(self, query: str, *values) -> dict:
        row = self.database.execute(query, values).fetchone()
        if row is None:
            raise AssertionError(f"nothing to copy: {query}")
        return dict(row)

    def insert(self, table: str, like: dict, selected: dict[str, str], source: str, values=()) -> None:
        """Rows of `table` made by `INSERT … SELECT … FROM source`: the columns of `selected` are
        SQL, all others are as in `like`."""
        copied = {name: value for name, value in like.items() if name not in selected}
        columns = ", ".join([*selected, *copied])
        expressions = ", ".join([*selected.values(), *("?" for _ in copied)])
        self.database.execute(f"INSERT INTO {table} ({columns}) SELECT {expressions} FROM {source}",
                              [*copied.values(), *values])

    def fill(self, ids: list[bytes], source: bytes) -> int:
        indexes = self.database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
            "AND tbl_name IN ('transfer', 'api_key', 'usage_batch')").fetchall()
        self.database.execute("BEGIN")
        for index in indexes:
            self.database.execute(f"DROP INDEX {index['name']}")
        self.database.execute("CREATE TEMP TABLE new_key (i INTEGER PRIMARY KEY, id BLOB)")
        self.database.executemany("INSERT INTO new_key VALUES (?, ?)", enumerate(ids))
        self.fill_keys(source)
        self.fill_books(len(ids))
        self.seal()
        for index in indexes:
            self.database.execute(index["sql"])
        self.database.execute("COMMIT")
        return self.one("SELECT COUNT(*) AS n FROM transfer")["n"]

    def fill_keys(self, source: bytes) -> None:
        like = self.one("SELECT * FROM api_key WHERE id = ?", source)
        spent = str(CHARGES_PER_KEY * self.charge["amount"])
        selected = {"id": "id"}
        for name in ("limit_spent", "total_spent"):
            if like.get(name):
                selected[name] = spent
        if like.get("total_requests"):
            selected["total_requests"] = str(CHARGES_PER_KEY)
        self.insert("api_key", like, selected, "new_key")

    def fill_books(self, count: int) -> None:
        funds, cost = FUNDS_MSAT // count, self.charge["amount"]
        first = self.one("SELECT MAX(id) + 1 AS n FROM account")["n"]
        number = self.one("SELECT MAX(number) + 1 AS n FROM transfer")["n"]
        self.insert("account", {**self.sources[0], "held": 0}, {
            "id": f"{first} + i", "name": "lower(hex(id))", "debits": str(CHARGES_PER_KEY * cost),
            "credits": str(funds)}, "new_key")
        self.database.execute("CREATE TEMP TABLE source (i INTEGER PRIMARY KEY, account INTEGER)")
        self.database.executemany("INSERT INTO source VALUES (?, ?)", enumerate(
            row["id"] for row in self.sources))
        self.insert("transfer", self.charge, {
            "number": f"{number} + new_key.i", "id": "randomblob(32)", "debit": "source.account",
            "credit": f"{first} + new_key.i", "amount": str(funds), "reason": "'payment'",
        }, f"new_key JOIN source ON source.i = new_key.i % {SOURCES} ORDER BY new_key.i")
        for turn in range(CHARGES_PER_KEY):
            charge = f"{number} + {(turn + 1) * count} + i"
            self.insert("transfer", self.charge, {"number": charge, "debit": f"{first} + i"},
                        "new_key ORDER BY i")
            self.insert("usage_batch", self.usage, {"transfer": charge, "payer": "id"},
                        "new_key ORDER BY i")
        self.database.execute(
            "UPDATE account SET debits = debits + ? * (SELECT COUNT(*) FROM new_key JOIN source "
            f"ON source.i = new_key.i % {SOURCES} WHERE source.account = account.id) "
            "WHERE id IN (SELECT account FROM source)", (funds,))
        self.database.execute("UPDATE account SET credits = credits + ? WHERE id = ?",
                              (count * CHARGES_PER_KEY * cost, self.charge["credit"]))

    def seal(self) -> None:
        self.database.execute("DELETE FROM sealed")
        self.database.execute("INSERT INTO sealed (account, debits, credits) "
                              "SELECT id, debits, credits FROM account WHERE debits + credits > 0")
        self.database.execute("DELETE FROM checkpoint")
        self.database.execute("INSERT INTO checkpoint (id, number, at) "
                              "SELECT 1, MAX(number), MAX(at) FROM transfer")


def on_keys(path: pathlib.Path) -> int:
    """What all keys of a node that is stopped have, in msat."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(
            "SELECT SUM(credits - debits) FROM account WHERE kind = "
            "(SELECT kind FROM account WHERE name = (SELECT lower(hex(id)) FROM api_key LIMIT 1))",
        ).fetchone()[0]


def drop_from_memory(path: pathlib.Path) -> None:
    """As far as one program may: the file's pages leave the page cache."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
