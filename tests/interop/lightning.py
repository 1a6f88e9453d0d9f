#!/usr/bin/env python3
"""Lightning backends against what others wrote: prints what was done, and a table.

usage: lightning.py [--peer NAME] [--only WORD]     exit code 1 if one failed, or none ran

lnd: three real lnd and a btcd, two channels, on a private chain (lnd_network.py); INTEROP_LND is where
`scripts/peers lnd` put them. lnbits: LNbits over one of them (lnbits_wallet.py), at INTEROP_LNBITS. nwc:
nostr_wallet.py. E2E_NUTGATE is the node.
"""
import argparse
import contextlib
import pathlib
import shutil
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
import lnbits_wallet  # noqa: E402  (needs the path above)
import lnd_kills  # noqa: E402
import lnd_money  # noqa: E402
import lnd_network  # noqa: E402
import nostr_wallet  # noqa: E402

PEERS = {"lnd": lnd_money.CASES + lnd_kills.CASES, "lnbits": lnbits_wallet.CASES, "nwc": nostr_wallet.CASES}


class Table(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[str] = []

    def startTest(self, test) -> None:
        super().startTest(test)
        self.began = time.monotonic()
        print(f"... {test.row}", flush=True)

    def stopTest(self, test) -> None:
        super().stopTest(test)
        bad = [text for failed, text in self.failures + self.errors if failed is test]
        for text in bad:
            print(text, flush=True)
        word = "FAIL" if bad else "SKIP" if any(test is one for one, _ in self.skipped) else "PASS"
        self.rows.append(f"{word}  {test.row:<70} {time.monotonic() - self.began:6.1f} s")
        print(self.rows[-1], flush=True)


@contextlib.contextmanager
def network():
    """One for all scenarios of lnd; its logs are shown if it does not come up."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nutgate-lnd-"))
    started = lnd_network.Network(folder)
    began = time.monotonic()
    try:
        yield started.start()
        print(f"\nthe network ran for {time.monotonic() - began:.0f} s", flush=True)
    except Exception:
        for program in (started.chain, *started.nodes):
            print(f"--- log of {program.name}\n{program.log_end()}", flush=True)
        raise
    finally:
        started.end()
        shutil.rmtree(folder, ignore_errors=True)


def selected(arguments: argparse.Namespace) -> tuple:
    """The scenarios, by peer, and how many others there are."""
    chosen: dict[str, list] = {peer: [] for peer in PEERS}
    others = 0
    for peer, cases in PEERS.items():
        for case in cases:
            for name in unittest.TestLoader().getTestCaseNames(case):
                test = case(name)
                test.row = f"{peer} {case.__name__}: {name.removeprefix('test_').replace('_', ' ')}"
                if arguments.peer not in peer or arguments.only not in test.row:
                    others += 1
                else:
                    chosen[peer].append(test)
    return chosen, others


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="", help="a backend in whose name this stands")
    parser.add_argument("--only", default="", help="scenarios in whose row this stands")
    chosen, others = selected(parser.parse_args())
    table = Table()
    if chosen["lnd"] or chosen["lnbits"]:
        with network() as lightning:
            for test in chosen["lnd"] + chosen["lnbits"]:
                test.network = lightning
                test.run(table)
    for test in chosen["nwc"]:
        test.run(table)
    print("\n" + "\n".join(table.rows))
    count = {word: sum(row.startswith(word) for row in table.rows) for word in ("PASS", "FAIL", "SKIP")}
    print(f"\n{count['PASS']} passed, {count['FAIL']} failed, {count['SKIP']} skipped"
          + (f"; {others} others were not asked for" if others else ""))
    return 1 if count["FAIL"] or not count["PASS"] else 0


if __name__ == "__main__":
    sys.exit(main())
