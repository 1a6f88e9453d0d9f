#!/usr/bin/env python3
"""How long a durable write takes at the moment, on this machine and under this load.

usage: disk_probe.py FILE     prints `ready`, then for each write `BEGIN SECONDS` (CLOCK_MONOTONIC)

In a process of its own: beside two dozen threads of one interpreter it would measure their lock.
"""
import os
import sys
import time


def main() -> None:
    file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
    print("ready probe", flush=True)
    while True:
        begin = time.monotonic()
        os.pwrite(file, b"x" * 4096, 0)
        os.fsync(file)
        print(f"{begin} {time.monotonic() - begin}", flush=True)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
