"""One client's connection to the node, and the moments at which a kill may be asked for."""
import http.client
import json
import os
import random
import signal
import threading
import time
import urllib.parse

import harness
from chaos.books import Violation

# Nothing that works takes so long; a request that does is a failure, not a cut connection.
ANSWER_SECONDS = 45.0


class Cut(Exception):
    """The connection ended before the answer did: what became of the request is not known."""


class NotSent(Exception):
    """Nobody was there: certainly not received."""


class Moments:
    """Events that clients see, counted; at the one that was asked for, its client kills the node.

    The client that counts to zero kills by itself, after `offset` seconds of looking at the clock:
    a message to another thread, or a sleep, would always come at the same late phases."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts: dict[str, int] = {}
        self.pid = self.left = 0
        self.kind = ""
        self.offset = 0.0
        self.killed = threading.Event()
        self.killed_at = 0.0

    def arm(self, pid: int, kind: str, count: int, offset: float) -> None:
        with self.lock:
            self.killed.clear()
            self.pid, self.kind, self.left, self.offset = pid, kind, count, offset

    def hit(self, kind: str) -> None:
        with self.lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if self.pid == 0 or kind != self.kind:
                return
            self.left -= 1
            if self.left > 0:
                return
            pid, self.pid = self.pid, 0
        deadline = time.monotonic() + self.offset
        while time.monotonic() < deadline:
            pass
        self.kill(pid)

    def kill(self, pid: int) -> None:
        self.killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.killed.set()

    def kill_now(self) -> None:
        """If the moment does not come."""
        with self.lock:
            pid, self.pid = self.pid, 0
        if pid:
            self.kill(pid)


class Stream:
    """A streamed answer, read event by event. Its chunks are read here: http.client takes a
    connection that was cut between two of them for the regular end."""

    def __init__(self, line: "Line", answer: http.client.HTTPResponse, kind: str):
        self.line, self.answer, self.kind = line, answer, kind
        self.status, self.headers = answer.status, answer.headers
        self.text, self.is_over = b"", False

    def event(self) -> bytes | None:
        """The data of the next event; none at the regular end."""
        while True:
            text, found, rest = self.text.partition(b"\n\n")
            if found:
                self.text = rest
                if text.startswith(b"data: "):
                    self.line.moments.hit(self.kind + " event")
                    return text[len(b"data: "):]
                continue
            if self.is_over:
                return None
            try:
                self.read_chunk()
            except TimeoutError:
                raise Violation(f"{self.kind}: no event for {ANSWER_SECONDS:.0f} s") from None
            except OSError:
                self.cut()

    def read_chunk(self) -> None:
        head = self.answer.fp.readline()
        if not head.endswith(b"\r\n"):
            self.cut()
        size = int(head, 16)
        data = self.answer.fp.read(size + 2)
        if len(data) < size + 2:
            self.cut()
        self.text += data[:-2]
        if size == 0:
            self.is_over = True
            self.answer.close()

    def cut(self) -> None:
        self.line.drop()
        raise Cut from None

    def rest(self) -> bytes:
        return self.line.rest_of(self.answer)


class Line:
    """A kept-alive connection of one client's. Not thread-safe."""

    def __init__(self, url: str, moments: Moments, generation):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.moments, self.generation = moments, generation
        self.connection: http.client.HTTPConnection | None = None
        self.made_in = -1

    def drop(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def connected(self) -> http.client.HTTPConnection:
        # One that was made before the last kill only tells that it is gone.
        if self.connection is not None and self.made_in != self.generation():
            self.drop()
        if self.connection is None:
            self.made_in = self.generation()
            connection = http.client.HTTPConnection(self.host, self.port, timeout=ANSWER_SECONDS)
            try:
                connection.connect()
            except OSError:
                raise NotSent from None
            self.connection = connection
        return self.connection

    def send(self, path: str, method: str, body, key: str | None, kind: str,
             headers: dict | None = None) -> None:
        connection = self.connected()
        headers = dict(headers or {})
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["content-type"] = "application/json"
        try:
            connection.request(method, path, data, headers)
        except (OSError, http.client.HTTPException):
            self.drop()
            raise Cut from None
        self.moments.hit(kind + " sent")

    def begin(self, kind: str) -> http.client.HTTPResponse:
        try:
            return self.connection.getresponse()
        except TimeoutError:
            raise Violation(f"{kind}: no answer for {ANSWER_SECONDS:.0f} s") from None
        except (OSError, http.client.HTTPException):
            self.drop()
            raise Cut from None

    def rest_of(self, answer: http.client.HTTPResponse) -> bytes:
        try:
            return answer.read()
        except TimeoutError:
            raise Violation("an answer that does not end") from None
        except (OSError, ValueError, http.client.HTTPException):
            self.drop()
            raise Cut from None

    def ask(self, path: str, method: str | None = None, body=None, key: str | None = None,
            kind: str = "question", headers: dict | None = None) -> harness.Answer:
        self.send(path, method or ("GET" if body is None else "POST"), body, key, kind, headers)
        answer = self.begin(kind)
        whole = harness.Answer(answer.status, answer.headers, self.rest_of(answer))
        self.moments.hit(kind + " answered")
        return whole

    def stream(self, path: str, body, key: str, kind: str) -> Stream:
        self.send(path, "POST", body, key, kind)
        answer = self.begin(kind)
        self.moments.hit(kind + " head")
        return Stream(self, answer, kind)

    def leave(self) -> None:
        """Hangs up in the middle of whatever is going on."""
        self.drop()


# What a kill may wait for, and how often it must come before. Those about money are rare beside
# chats, so they are named rather than drawn from everything that happens.
KINDS = [
    ("chat sent", 40), ("chat answered", 40), ("stream head", 10), ("stream event", 120),
    ("stream done", 10), ("refund sent", 4), ("refund answered", 4), ("create sent", 4),
    ("create answered", 4), ("top-up sent", 3), ("top-up answered", 3), ("invoice sent", 3),
    ("invoice answered", 3), ("offer sent", 2), ("offer answered", 2), ("status sent", 6),
    ("bearer sent", 2), ("once sent", 2), ("once answered", 2), ("left", 4), ("question sent", 20),
]


def draw_moment(rng: random.Random) -> tuple[str, int, float]:
    kind, most = rng.choice(KINDS)
    # Most of what a request does takes between 20 us and 8 ms: each decade is as likely.
    offset = rng.choice([0.0, 20e-6 * 400 ** rng.random(), 20e-6 * 400 ** rng.random()])
    return kind, rng.randint(1, most), offset
