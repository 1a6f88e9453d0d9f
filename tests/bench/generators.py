"""Runs the load generators against a target, and adds what the target's processes spent meanwhile."""
import json
import subprocess
import sys

from targets import COMPLETION_TOKENS, PROGRAMS, Field, Target, cost_msat

# The answer of tests/bench/upstream.cpp where the request orders nothing else.
INTERVAL_US = 20_000

QUESTION = [
    {"role": "system", "content": "You answer every question in sixty-four tokens."},
    {"role": "user", "content": "What does a metered request cost more than a plain one?"},
]
BODY = {"model": "bench", "max_tokens": COMPLETION_TOKENS, "messages": QUESTION}


def ordered_body(prompt_bytes: int = 0, **order: int) -> dict:
    """A request that orders an answer of the upstream: frames=, interval_us=, answer_bytes=; its
    prompt is text of that length, or short."""
    words = "bench:" + ",".join(f"{name}={value}" for name, value in order.items())
    text = words + " What does a metered request cost more than a plain one? "
    text += ("It is a question of bytes. " * (prompt_bytes // 27 + 1))[:max(prompt_bytes - len(text), 0)]
    return {"model": "bench-wide", "max_tokens": order.get("frames", COMPLETION_TOKENS),
            "messages": [{"role": "user", "content": text}]}


class Wanted:
    """One kind of request: what is sent, and what a good answer is."""

    def __init__(self, body: dict, stream: bool = False, tokens: int = COMPLETION_TOKENS,
                 interval_us: int = INTERVAL_US, status: int = 200, keys: list[str] | None = None,
                 path: str = "", needle: str = ""):
        self.body = {**body, "stream": True} if stream else body
        self.stream, self.tokens, self.interval_us = stream, tokens, interval_us
        self.status, self.keys, self.path = status, keys, path
        self.needle = needle or (f'"completion_tokens":{tokens}' if status == 200 else "")

    def arguments(self, field: Field, target: Target) -> list:
        path = self.path or (target.stream_path if self.stream else target.path)
        body = json.dumps(self.body, separators=(",", ":"))
        arguments = ["--port", target.port, "--path", path, "--body-file", field.file_of(body, "body"),
                     "--expect-status", self.status, "--must-contain", self.needle,
                     "--stream", "yes" if self.stream else "no", "--interval-us", self.interval_us]
        for header in target.headers:
            arguments += ["--header", header]
        keys = target.keys if self.keys is None else self.keys
        if keys:
            arguments += ["--keys-file", field.file_of("\n".join(keys) + "\n", "keys")]
        return arguments


def finish(target: Target, wanted: Wanted, result: dict, errors: str) -> dict:
    if result["errors"]:
        print(f"bench: {target.name}: {result['errors']} errors\n{errors}", file=sys.stderr)
    if wanted.status == 200:
        target.answered += result["answered"]
        target.expected_msat += result["answered"] * cost_msat(wanted.tokens)
    return result


def command(program: str, arguments: list) -> list[str]:
    return [str(part) for part in [PROGRAMS / f"bench_{program}", *arguments]]


def run_once(program: str, field: Field, target: Target, wanted: Wanted, arguments: list) -> dict:
    before = target.cpu_seconds()
    done = subprocess.run(command(program, wanted.arguments(field, target) + arguments),
                          capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(f"bench: {target.name}: {done.stderr}")
    result = finish(target, wanted, json.loads(done.stdout), done.stderr)
    result["cpu_us"] = 1e6 * (target.cpu_seconds() - before) / max(result["answered"], 1)
    result["rss_kib"] = target.rss_kib()
    return result


def run_load(field: Field, target: Target, wanted: Wanted, connections: int, seconds: float) -> dict:
    """As fast as it answers: requests per second, and what each costs."""
    return run_once("load", field, target, wanted, ["--connections", connections, "--seconds", seconds])


def run_arrivals(field: Field, target: Target, wanted: Wanted, connections: int, per_second: float,
                 seconds: float) -> dict:
    """At a fixed rate, each latency from when its request was due."""
    return run_once("arrivals", field, target, wanted, [
        "--connections", connections, "--per-second", per_second, "--seconds", seconds])


def run_streams(field: Field, target: Target, wanted: Wanted, streams: int, per_second: float,
                seconds: float, settle_ms: int) -> dict:
    """Streams at a time, measured in the window in which all of them run. Every frame of every
    stream must have come."""
    arguments = wanted.arguments(field, target) + [
        "--connections", streams, "--begin-per-second", per_second, "--seconds", seconds,
        "--settle-ms", settle_ms]
    cpu, rss, result = {}, 0, None
    with subprocess.Popen(command("streams", arguments), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            word = line.strip()
            if word in ("open", "closed"):
                cpu[word], rss = target.cpu_seconds(), target.rss_kib()
            else:
                result = json.loads(line)
        errors = process.stderr.read()
    if result is None or len(cpu) != 2:
        raise SystemExit(f"bench: {target.name}: {errors}")
    finish(target, wanted, result, errors)
    result["frames_missing"] = streams * wanted.tokens - result["frames"]
    result["cpu_us"] = 1e6 * (cpu["closed"] - cpu["open"]) / max(result["frames_in_window"], 1)
    result["rss_kib"] = rss
    return result


def in_rounds(rounds: int, variants: list, targets: list[Target], run) -> dict:
    """`run(variant, target)` for each of both, each round in turning order, so that what else the
    machine does falls on all alike. By (variant, target's name): the results of the rounds."""
    cells: dict = {}
    for number in range(rounds):
        order = targets if number % 2 == 0 else targets[::-1]
        for variant in variants:
            for target in order:
                cells.setdefault((variant, target.name), []).append(run(variant, target))
        print(f"bench: round {number + 1} of {rounds}", file=sys.stderr)
    return cells
