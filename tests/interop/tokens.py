"""What a Cashu token says of itself (NUT-00, V3 and V4): enough of both formats to check sums by."""
import base64
import json
import math


def decode(text: str) -> dict:
    """{"mint", "unit", "proofs": [{"id", "amount", "secret"}]}; the ids of V4 may be short ones."""
    body = base64.urlsafe_b64decode(text[6:] + "=" * (-len(text[6:]) % 4))
    if text.startswith("cashuA"):
        said = json.loads(body)
        return {"mint": said["token"][0]["mint"], "unit": said.get("unit", "sat"),
                "proofs": [proof for entry in said["token"] for proof in entry["proofs"]]}
    if not text.startswith("cashuB"):
        raise AssertionError(f"no token: {text[:20]}")
    said, end = _cbor(body, 0)
    if end != len(body):
        raise AssertionError("something follows the token")
    return {"mint": said["m"], "unit": said["u"],
            "proofs": [{"id": entry["i"].hex(), "amount": proof["a"], "secret": proof["s"]}
                       for entry in said["t"] for proof in entry["p"]]}


def worth(token: str) -> int:
    return sum(proof["amount"] for proof in decode(token)["proofs"])


def fee(token: str, keysets: list) -> int:
    """What the mint takes from whoever swaps the token, by the rates of its keysets (NUT-02)."""
    def ppk(short: str) -> int:
        return next(keyset["input_fee_ppk"] or 0 for keyset in keysets
                    if keyset["id"].startswith(short))
    return math.ceil(sum(ppk(proof["id"]) for proof in decode(token)["proofs"]) / 1000)


def keyset_ids(token: str) -> set:
    return {proof["id"] for proof in decode(token)["proofs"]}


def forged(token: str) -> str:
    """A V3 token whose first two proofs have each other's signature."""
    said = json.loads(base64.urlsafe_b64decode(token[6:] + "=" * (-len(token[6:]) % 4)))
    one, other = said["token"][0]["proofs"][:2]
    one["C"], other["C"] = other["C"], one["C"]
    for proof in (one, other):
        proof.pop("dleq", None)
    return "cashuA" + base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


def _cbor(data: bytes, at: int) -> tuple:
    """The value at `at`, and where it ends. Tokens have integers, strings, lists and maps."""
    major, argument = data[at] >> 5, data[at] & 31
    at += 1
    if argument >= 24:
        size = {24: 1, 25: 2, 26: 4, 27: 8}[argument]
        argument, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major == 0:
        return argument, at
    if major in (2, 3):
        chunk = data[at:at + argument]
        return (chunk if major == 2 else chunk.decode()), at + argument
    if major == 4:
        items = []
        for _ in range(argument):
            item, at = _cbor(data, at)
            items.append(item)
        return items, at
    if major == 5:
        pairs = {}
        for _ in range(argument):
            key, at = _cbor(data, at)
            pairs[key], at = _cbor(data, at)
        return pairs, at
    if major == 7 and argument in (20, 21, 22):
        return {20: False, 21: True, 22: None}[argument], at
    raise AssertionError(f"CBOR type {major} is in no token")
