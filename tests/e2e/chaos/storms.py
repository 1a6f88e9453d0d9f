"""Short faults of the environment, while the load goes on: nothing may be lost for them, nor left."""
import contextlib
import os
import random
import resource
import signal
import sqlite3
import time

import harness


def last(rng: random.Random, seconds_max: float) -> None:
    """How long a fault lasts is what is drawn; there is no event to wait for."""
    time.sleep(rng.random() * seconds_max)


def disk_full(rng: random.Random, node: harness.Nutgate) -> None:
    pid = node.process.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        last(rng, 1.5)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def database_locked(rng: random.Random, node: harness.Nutgate) -> None:
    with contextlib.closing(sqlite3.connect(node.data_dir / "nutgate.db", isolation_level=None,
                                            timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        last(rng, 1.5)
        other.execute("ROLLBACK")


def stands_still(rng: random.Random, node: harness.Nutgate) -> None:
    """As a laptop that is closed, or a virtual machine that is moved."""
    pid = node.process.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        last(rng, 1.5)
    finally:
        os.kill(pid, signal.SIGCONT)


def storm(rng: random.Random, node: harness.Nutgate) -> None:
    rng.choice((disk_full, database_locked, stands_still))(rng, node)
