"""Invoices as a Lightning node signs them (BOLT11), without a library: secp256k1 as the textbook has
it, which is neither fast nor safe from an onlooker, and need be neither for a node that is none."""
import hashlib
import secrets
import time

FIELD = 2**256 - 2**32 - 977
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
BASE = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
        0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def plus(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % FIELD == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, FIELD)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, FIELD)
    x = (slope * slope - a[0] - b[0]) % FIELD
    return x, (slope * (a[0] - x) - a[1]) % FIELD


def times_base(scalar: int):
    sum_, power = None, BASE
    while scalar:
        if scalar & 1:
            sum_ = plus(sum_, power)
        power = plus(power, power)
        scalar >>= 1
    return sum_


# Of the one secret nonce below: an invoice signed with it is as good, and its key is nobody's purse.
NONCE = int.from_bytes(hashlib.sha256(b"bench").digest())
NONCE_POINT = times_base(NONCE)
NODE_KEY = 7


def sign(digest: bytes) -> bytes:
    r = NONCE_POINT[0] % ORDER
    s = pow(NONCE, -1, ORDER) * (int.from_bytes(digest) + r * NODE_KEY) % ORDER
    recovery = NONCE_POINT[1] & 1
    if s > ORDER // 2:
        s, recovery = ORDER - s, recovery ^ 1
    return r.to_bytes(32) + s.to_bytes(32) + bytes([recovery])


def fives(number: int, count: int) -> list[int]:
    return [number >> (5 * place) & 31 for place in reversed(range(count))]


def fives_of(data: bytes) -> list[int]:
    count = (8 * len(data) + 4) // 5
    return fives(int.from_bytes(data) << (5 * count - 8 * len(data)), count)


def field(letter: str, words: list[int]) -> list[int]:
    return [LETTERS.index(letter), *fives(len(words), 2), *words]


def checksum(prefix: str, words: list[int]) -> list[int]:
    state = 1
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    for word in expanded + words + [0] * 6:
        top, state = state >> 25, (state & 0x1FFFFFF) << 5 ^ word
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> bit & 1:
                state ^= generator
    return fives(state ^ 1, 6)


def invoice(payment_hash: bytes, msat: int, memo: str, expiry: int) -> str:
    """Of a node on regtest; `msat` in steps of 100."""
    prefix = f"lnbcrt{msat // 100}n"
    words = fives(int(time.time()), 7)
    words += field("p", fives_of(payment_hash)) + field("s", fives_of(secrets.token_bytes(32)))
    words += field("d", fives_of(memo.encode())) + field("x", fives(expiry, 4)) + field("9", fives(1 << 14 | 1 << 8, 3))
    bits = "".join(f"{word:05b}" for word in words)
    bits += "0" * (-len(bits) % 8)
    digest = hashlib.sha256(prefix.encode() + int(bits, 2).to_bytes(len(bits) // 8)).digest()
    words += fives_of(sign(digest))
    return prefix + "1" + "".join(LETTERS[word] for word in words + checksum(prefix, words))
