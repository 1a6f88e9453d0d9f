"""Puts the load on a node that the trained build is compiled by: `scripts/build trained` runs it.

usage: tests/bench/train.py NUTGATE

What is worth to be fast, in about the parts in which it is met: answers at once and in streams,
over few connections and many, one key and many, bodies of all sizes, keys that nobody has.
"""
import os
import pathlib
import sys
import tempfile

if len(sys.argv) != 2:
    sys.exit(__doc__)
os.environ["E2E_NUTGATE"] = str(pathlib.Path(sys.argv[1]).resolve())
sys.dont_write_bytecode = True
from generators import BODY, Wanted, ordered_body, run_load  # noqa: E402  (needs the binary above)
from targets import Field, raise_file_limit, wrong_keys  # noqa: E402

KEYS = 100


def loads(field: Field) -> list[tuple[Wanted, int, float]]:
    """What is asked for, over how many connections, for how many seconds."""
    keys = field.buy_keys(KEYS, 2_000)
    large = ordered_body(prompt_bytes=100_000, answer_bytes=100_000)
    return [
        (Wanted(BODY), 1, 1),
        (Wanted(BODY), 32, 6),
        (Wanted(BODY), 128, 2),
        (Wanted(BODY, stream=True), 64, 4),
        (Wanted(BODY, keys=keys), 32, 3),
        (Wanted(large), 8, 2),
        (Wanted(BODY, keys=wrong_keys(KEYS), status=401), 32, 2),
    ]


def main() -> None:
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="nutgate-train-") as name, \
            Field(pathlib.Path(name), with_nutgate=True, with_streams=False) as field:
        for wanted, connections, seconds in loads(field):
            done = run_load(field, field.nutgate, wanted, connections, seconds)
            if done["errors"] or not done["answered"]:
                raise SystemExit(f"train: {done}")
        books = field.books()
    if books["charged_msat"] != books["expected_msat"]:
        raise SystemExit(f"train: the books differ: {books}")


if __name__ == "__main__":
    main()
