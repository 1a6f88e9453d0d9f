#!/usr/bin/env python3
"""How long a durable write takes at the moment, on this machine and under this load, from when it
was due: with how late the processor came, and how slow the disk was.

usage: disk_probe.py FILE     prints `ready`, then for each write `DUE SECONDS` (CLOCK_MONOTONIC)

In a process of its own: beside two dozen threads of one interpreter it would measure their lock.
"""
import os
import sys
import time


def main() -> None:
    file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
    print("ready probe", flush=True)
    while True:
        due = time.monotonic() + 0.005
        time.sleep(0.005)
        os.pwrite(file, b"x" * 4096, 0)
        os.fsync(file)
        print(f"{due} {time.monotonic() - due}", flush=True)


if __name__ == "__main__":
    main()
