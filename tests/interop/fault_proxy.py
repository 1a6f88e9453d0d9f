"""Stands between a wallet and its mint, passes HTTP on, and breaks on order what passes.

    with FaultProxy(("127.0.0.1", 3338)) as proxy:            # proxy.url is the mint's URL from now on
        rule = proxy.on("POST", "/v1/swap", drop_answer)      # the next one only
        ...
        rule.wait_met()                                       # it has happened

A fault is a function of an Exchange: it may forward the request (once, twice, never), answer (as the
mint did, otherwise, in part) or close. Exchanges that no rule wants are passed on as they are.
WebSockets are tunnelled. One request per connection, on both sides, so nothing outlives its fault.

With `tls`, a pair of files, it listens as who has that key, and trusts nobody else to be the one behind
it. With `streams` an answer that no rule wants goes on piece by piece, as it comes, however long.
"""
import dataclasses
import http.client
import http.server
import re
import select
import socket
import ssl
import struct
import threading
import time

# Longer than any client of ours waits for a mint.
FORWARD_SECONDS = 120.0
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclasses.dataclass
class Reply:
    status: int
    headers: list
    body: bytes


class MintAway(Exception):
    """The mint can't be reached, or went away within its answer."""


class Exchange:
    """One request on its way, in the hands of a fault."""

    def __init__(self, handler: "_Handler", proxy: "FaultProxy", body: bytes):
        self.method, self.path, self.body = handler.command, handler.path, body
        self._handler, self._proxy = handler, proxy
        self._headers = {name: value for name, value in handler.headers.items()
                         if name.lower() not in HOP_BY_HOP}

    def forward(self) -> Reply:
        """Asks the mint, now; asks again if called again."""
        try:
            connection = self._proxy.connection()
        except OSError as error:
            raise MintAway(str(error)) from error
        try:
            connection.request(self.method, self.path, self.body or None,
                               {**self._headers, "connection": "close"})
            answer = connection.getresponse()
            reply = Reply(answer.status, answer.getheaders(), answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise MintAway(str(error)) from error
        finally:
            connection.close()
        self._proxy.note(self, reply)
        return reply

    def answer(self, reply: Reply) -> None:
        self._write(self._head(reply) + reply.body)

    def answer_part(self, reply: Reply, share: float) -> None:
        """The head, which promises all of the body, and the first `share` of it."""
        self._write(self._head(reply) + reply.body[:int(len(reply.body) * share)])
        self.close()

    def close(self) -> None:
        """As a machine that lost its power: a reset, no last words."""
        connection = self._handler.connection
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # The client has left.

    def _head(self, reply: Reply) -> bytes:
        lines = [f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in reply.headers
                  if name.lower() not in HOP_BY_HOP]
        lines += [f"content-length: {len(reply.body)}", "connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _write(self, data: bytes) -> None:
        try:
            self._handler.wfile.write(data)
        except OSError:
            pass  # The client has left; that is its right.


# Faults.

def pass_on(exchange: Exchange) -> None:
    exchange.answer(exchange.forward())


def drop_request(exchange: Exchange) -> None:
    """The mint never sees it."""
    exchange.close()


def drop_answer(exchange: Exchange) -> None:
    """The mint acts on it, and nobody hears of that."""
    exchange.forward()
    exchange.close()


def duplicate(exchange: Exchange) -> None:
    """The mint gets it twice; what it says to the second is the answer."""
    exchange.forward()
    exchange.answer(exchange.forward())


def duplicate_at_once(exchange: Exchange) -> None:
    """Twice at the same time; the answer that comes last is the answer."""
    replies: list = []
    twin = threading.Thread(target=lambda: replies.append(exchange.forward()))
    twin.start()
    reply = exchange.forward()
    twin.join()
    exchange.answer(replies[-1] if replies else reply)


def answer_instead(status: int, body: bytes = b"", headers: tuple = ()):
    """Somebody between us and the mint answers, and the mint never sees it."""
    def fault(exchange: Exchange) -> None:
        exchange.answer(Reply(status, list(headers), body))
    return fault


def replace_answer(status: int, body: bytes = b""):
    """The mint acts on it, and somebody between us answers otherwise."""
    def fault(exchange: Exchange) -> None:
        exchange.forward()
        exchange.answer(Reply(status, [], body))
    return fault


def cut_answer(share: float = 0.5):
    """The mint acts on it; its answer breaks off in mid-body."""
    def fault(exchange: Exchange) -> None:
        exchange.answer_part(exchange.forward(), share)
    return fault


def late_answer(seconds: float):
    """The mint acts on it at once; the answer comes after `seconds`."""
    def fault(exchange: Exchange) -> None:
        reply = exchange.forward()
        time.sleep(seconds)
        exchange.answer(reply)
    return fault


def late_request(seconds: float):
    """The mint gets it after `seconds`, when whoever sent it has long given up."""
    def fault(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.answer(exchange.forward())
    return fault


class Hold:
    """Stops an exchange before the mint sees it, or when the mint has acted on it, until told to go
    on. What a test kills meanwhile, it kills at exactly that point."""

    def __init__(self, after_the_mint: bool, then_lose: bool = False):
        self.after_the_mint, self.then_lose = after_the_mint, then_lose
        self.reached, self.released = threading.Event(), threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        reply = exchange.forward() if self.after_the_mint else None
        self.reached.set()
        self.released.wait(FORWARD_SECONDS)
        if self.then_lose:
            exchange.close()
        else:
            exchange.answer(reply or exchange.forward())

    def wait_reached(self, seconds: float = 60.0) -> None:
        if not self.reached.wait(seconds):
            raise AssertionError("no request came that far")

    def release(self) -> None:
        self.released.set()


class Rule:
    """A fault and the exchanges that it is for."""

    def __init__(self, method: str, path: str, fault, times: int, after: int):
        self.method, self.path, self.fault = method, re.compile(path), fault
        self.times, self.after = times, after
        self.met = 0
        self.changed = threading.Condition()

    def takes(self, method: str, path: str) -> bool:
        """Under the proxy's lock."""
        if self.times == 0 or method != self.method or not self.path.match(path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True

    def done(self) -> None:
        with self.changed:
            self.met += 1
            self.changed.notify_all()

    def wait_met(self, times: int = 1, seconds: float = 60.0) -> None:
        with self.changed:
            if not self.changed.wait_for(lambda: self.met >= times, seconds):
                raise AssertionError(f"{self.method} {self.path.pattern}: came by {self.met} times")


class FaultProxy:
    def __init__(self, upstream: tuple, listen: tuple = ("127.0.0.1", 0), tls: tuple | None = None,
                 streams: bool = False):
        self.upstream, self.tls, self.streams = upstream, tls, streams
        # (method, path, body, status) of what the mint was asked and answered, in order.
        self.seen: list = []
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._listen = listen
        self._server: _Server | None = None
        self.open()
        self.url = f"http{'s' if tls else ''}://{self._listen[0]}:{self._listen[1]}"

    def connection(self) -> http.client.HTTPConnection:
        """To whoever is behind it."""
        if self.tls is None:
            return http.client.HTTPConnection(*self.upstream, timeout=FORWARD_SECONDS)
        return http.client.HTTPSConnection(*self.upstream, timeout=FORWARD_SECONDS,
                                           context=ssl.create_default_context(cafile=self.tls[0]))

    def as_server(self, connection: socket.socket) -> socket.socket:
        if self.tls is None:
            return connection
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.tls)
        return context.wrap_socket(connection, server_side=True)

    def on(self, method: str, path: str, fault, times: int = 1, after: int = 0) -> Rule:
        """The fault, for the next `times` requests whose path begins as the pattern says, after
        `after` of them went by untouched."""
        rule = Rule(method, path, fault, times, after)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def open(self) -> None:
        """Listens, always on the same port."""
        self._server = _Server(self._listen, self)
        self._listen = self._server.server_address
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()

    def close(self) -> None:
        """Connections are refused from here on: the one failure that is certainly before the mint."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> "FaultProxy":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def note(self, exchange: Exchange, reply: Reply) -> None:
        with self._lock:
            self.seen.append((exchange.method, exchange.path, exchange.body, reply.status))

    def rule_for(self, method: str, path: str) -> Rule | None:
        with self._lock:
            return next((rule for rule in self._rules if rule.takes(method, path)), None)

    def handle(self, exchange: Exchange, rule: Rule | None) -> None:
        try:
            (rule.fault if rule else pass_on)(exchange)
        except MintAway:
            exchange.close()
        finally:
            if rule:
                rule.done()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listen: tuple, proxy: FaultProxy):
        self.proxy = proxy
        super().__init__(listen, _Handler)

    def shutdown_request(self, request) -> None:
        self.close_request(request)  # Without the polite end, which close() of an exchange must not have.

    def handle_error(self, request, client_address) -> None:
        pass  # Connections that break are what this is for.


def _relay(one: socket.socket, other: socket.socket) -> None:
    """By one thread: TLS is no two-way street for threads."""
    ends = {one: other, other: one}
    while True:
        ready = [end for end in ends if isinstance(end, ssl.SSLSocket) and end.pending()]
        ready = ready or select.select(list(ends), [], [], FORWARD_SECONDS)[0]
        if not ready:
            return
        for end in ready:
            end.settimeout(0)
            try:
                data = end.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                continue  # TLS's own, or nothing.
            if not data:
                return
            ends[end].settimeout(FORWARD_SECONDS)
            ends[end].sendall(data)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        self.request = self.server.proxy.as_server(self.request)
        super().setup()

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.request.close()

    def _any(self) -> None:
        self.close_connection = True
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        is_socket = bool(self.headers.get("upgrade"))
        rule = None if is_socket else proxy.rule_for(self.command, self.path)
        if is_socket or (proxy.streams and rule is None):
            self._tunnel(body, is_socket)
        else:
            proxy.handle(Exchange(self, proxy, body), rule)

    do_GET = do_POST = do_OPTIONS = do_HEAD = do_PUT = do_DELETE = _any

    def _tunnel(self, body: bytes, is_socket: bool) -> None:
        """Bytes both ways until either side ends."""
        behind = self.server.proxy.connection()
        try:
            behind.connect()
            headers = [(name, value) for name, value in self.headers.items()
                       if is_socket or name.lower() != "connection"]
            if not is_socket:
                headers.append(("Connection", "close"))
            lines = [self.requestline, *(f"{name}: {value}" for name, value in headers), "", ""]
            behind.sock.sendall("\r\n".join(lines).encode("latin-1") + body)
            _relay(self.connection, behind.sock)
        except OSError:
            pass  # Either side has left.
        finally:
            behind.close()

    def log_message(self, *_) -> None:
        pass
