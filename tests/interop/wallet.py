#!/usr/bin/env python3
"""The node's wallet against the mints of others: runs every scenario, prints what happened and a table.

usage: wallet.py [--peer NAME] [--only WORD]      exit code 1 if one failed, or none ran

A peer that is not installed fails its scenarios. --peer and --only say in the table what they leave out.
"""
import argparse
import pathlib
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parent.parent / "e2e")]
import faults  # noqa: E402  (needs the path above)
import kills  # noqa: E402
import money  # noqa: E402
import rotation  # noqa: E402
import two_mints  # noqa: E402

GROUPS = [money.Money, money.Refused, money.Locked, rotation.Rotation, rotation.TwoFees, faults.Faults, faults.Late,
          faults.Away, kills.MintKilled, kills.NodeKilled, kills.Drawn, kills.Stuck,
          two_mints.Moves, two_mints.Foreign, two_mints.Private]


class Table(unittest.TestResult):
    """One row per peer and scenario; each is printed when it is over, and all again at the end."""

    def __init__(self):
        super().__init__()
        self.rows: list[tuple] = []
        self.began = 0.0

    def startTest(self, test) -> None:
        super().startTest(test)
        self.began = time.monotonic()
        print(f"... {test.setup}: {story(test)}", flush=True)

    def stopTest(self, test) -> None:
        super().stopTest(test)
        bad = [text for failed, text in self.failures + self.errors if failed is test]
        for text in bad:
            print(text, flush=True)
        self.rows.append(("FAIL" if bad else "PASS", str(test.setup), story(test),
                          time.monotonic() - self.began))
        print(row(self.rows[-1]), flush=True)


def story(test: unittest.TestCase) -> str:
    return f"{type(test).__name__.lower()}: {test._testMethodName[len('test_'):].replace('_', ' ')}"


def row(columns: tuple) -> str:
    return f"{columns[0]}  {columns[1]:<32} {columns[2]:<92} {columns[3]:6.1f} s"


def tests(arguments: argparse.Namespace) -> tuple:
    """Those asked for, and how many there are besides."""
    chosen, others = [], 0
    for group in GROUPS:
        for setup in group.setups:
            of_setup = type(group.__name__, (group,), {"setup": setup})
            for test in unittest.defaultTestLoader.loadTestsFromTestCase(of_setup):
                if arguments.peer in setup.peer.name and arguments.only in f"{setup}: {story(test)}":
                    chosen.append(test)
                else:
                    others += 1
    return chosen, others


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="", help="nutshell or cdk")
    parser.add_argument("--only", default="", help="scenarios in whose row this stands")
    chosen, others = tests(parser.parse_args())
    table = Table()
    for test in chosen:
        test.run(table)
    print()
    for columns in table.rows:
        print(row(columns))
    failed = sum(columns[0] == "FAIL" for columns in table.rows)
    print(f"\n{len(table.rows) - failed} passed, {failed} failed"
          + (f"; {others} others were not asked for" if others else ""))
    return 1 if failed or not table.rows else 0


if __name__ == "__main__":
    sys.exit(main())
