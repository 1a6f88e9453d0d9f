"""Upstreams that lie: about lengths, about chunks, about ever coming to an end.

Whatever one sends, its client gets an answer in the contract's words, pays for what came and never
more than was held, and the next client's answer is the next client's own.
"""
import contextlib
import json
import socket
import threading
import unittest
import urllib.parse

import harness

GAP_MS = 500
OUTPUT_MAX = 50
HELD_MAX = 5000  # More than a request below can hold, in msat.

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
COST = 15  # At the prices below.
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"ab "},"finish_reason":null}]}\n\n'
LAST = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
WHOLE = json.dumps({"id": "x", "object": "chat.completion", "model": "small", "usage": USAGE,
                    "choices": [{"index": 0, "finish_reason": "stop",
                                 "message": {"role": "assistant", "content": "fine"}}]}).encode()
OTHERS = WHOLE.replace(b"fine", b"somebody else's")


def sized(body: bytes, length) -> bytes:
    return (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %s\r\n\r\n%s"
            % (str(length).encode(), body))


def headed(*headers: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


JSON, EVENTS, CHUNKED = (b"content-type: application/json", b"content-type: text/event-stream",
                         b"transfer-encoding: chunked")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# What is sent, and then the connection ends. No client may get a 200 for one of these.
BROKEN = {
    "says nothing": b"",
    "garbage": b"\x00\xff\x16\x03 not HTTP at all\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-len",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"x: " + b"a" * 200_000,
    "a thousand headers": headed(*[b"x%d: y" % n for n in range(1000)], b"content-length: 2") + b"{}",
    "interim answers for ever": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100 + sized(WHOLE, len(WHOLE)),
    "more promised than sent": sized(WHOLE, len(WHOLE) + 100),
    "less promised than sent": sized(WHOLE, len(WHOLE) - 20),
    "nothing promised": sized(WHOLE, 0),
    "a negative length": sized(WHOLE, -1),
    "a length beyond all numbers": sized(WHOLE, "9" * 30),
    "a length of words": sized(WHOLE, "many"),
    "two lengths": headed(JSON, b"content-length: 5", b"content-length: %d" % len(WHOLE)) + WHOLE,
    "a length and chunks": headed(JSON, CHUNKED, b"content-length: 5") + chunk(WHOLE) + chunk(b""),
    "a chunk of no size": headed(JSON, CHUNKED) + b"zz\r\n" + WHOLE + b"\r\n0\r\n\r\n",
    "a chunk of negative size": headed(JSON, CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk beyond all numbers": headed(JSON, CHUNKED) + b"f" * 17 + b"\r\n" + WHOLE,
    "a chunk that is longer than it says": headed(JSON, CHUNKED) + b"5\r\n" + WHOLE + b"\r\n0\r\n\r\n",
    "chunks without an end": headed(JSON, CHUNKED) + chunk(WHOLE),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not JSON": sized(b"<html>", 6),
    "half of a JSON": sized(WHOLE[:40], 40),
    "an array": sized(b"[1,2]", 5),
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
}

# Streams that begin well, with three words, and then do not end as they should.
BROKEN_STREAMS = {
    "ends in mid-stream": b"",
    "a bad chunk in mid-stream": b"zz\r\n\r\n",
    "a huge chunk in mid-stream": b"ffffffffffffffff\r\nabc",
    "half an event": chunk(b'data: {"choices":[{"index":0,"del')[:-2],
    "an error in mid-stream": chunk(b'data: {"error":{"message":"out of memory"}}\n\n') + chunk(b""),
}


class Liar:
    """An upstream in this process; the last message of a request is the name of the lie."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.over = threading.Event()
        self.endless = 0  # Endless streams that are being written at the moment.
        self.sent = 0     # Bytes of such.
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self.listener.close()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(line,), daemon=True).start()

    def serve(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError), line.makefile("rb") as reader:
            while head := self.head(reader):
                size = int(head["content-length"])
                name = json.loads(reader.read(size))["messages"][-1]["content"]
                if not self.answer(line, name):
                    return

    @staticmethod
    def head(reader) -> dict:
        fields = {}
        while (text := reader.readline().strip()):
            name, _, value = text.partition(b":")
            fields[name.decode().lower()] = value.decode().strip()
        return fields

    def answer(self, line: socket.socket, name: str) -> bool:
        if name == "fine":
            line.sendall(sized(WHOLE, len(WHOLE)))
            return True
        if name == "an answer too many":
            line.sendall(sized(WHOLE, len(WHOLE)) + sized(OTHERS, len(OTHERS)))
            return True
        if name == "a stream and an answer too many":
            line.sendall(headed(EVENTS, CHUNKED) + chunk(WORD) + chunk(LAST)
                         + chunk(b"data: [DONE]\n\n") + chunk(b"") + sized(OTHERS, len(OTHERS)))
            return True
        if name == "silence":
            self.over.wait(30)
        elif name == "silence in mid-stream":
            line.sendall(headed(EVENTS, CHUNKED) + 3 * chunk(WORD))
            self.over.wait(30)
        elif name == "a stream without an end":
            self.write_on(line, chunk(WORD))
        elif name == "a line without an end":
            self.write_on(line, chunk(b"data: " + b"a" * 65536), first=chunk(WORD))
        elif name == "a body without an end":
            self.write_on(line, chunk(b" " * 65536), head=headed(JSON, CHUNKED))
        elif name in BROKEN_STREAMS:
            line.sendall(headed(EVENTS, CHUNKED) + 3 * chunk(WORD) + BROKEN_STREAMS[name])
        else:
            line.sendall(BROKEN[name])
        return False

    def write_on(self, line: socket.socket, piece: bytes, first: bytes = b"",
                 head: bytes = headed(EVENTS, CHUNKED)) -> None:
        with self.lock:
            self.endless += 1
        try:
            line.sendall(head + first)
            while not self.over.is_set():
                line.sendall(piece)
                self.sent += len(piece)
        finally:
            with self.lock:
                self.endless -= 1


class LyingUpstream(harness.NodeCase):
    def setUp(self) -> None:
        super().setUp()
        self.liar = Liar()
        self.addCleanup(self.liar.close)
        path = self.folder / "nutgate.toml"
        path.write_text(
            f'[[upstream]]\nname = "liar"\ndialect = "openai"\nurl = "http://{self.liar.address}/v1"\n'
            f'head_timeout_ms = {GAP_MS}\ngap_timeout_ms = {GAP_MS}\n'
            f'[[model]]\nid = "small"\nupstreams = ["liar"]\ncontext = 4096\n'
            f'output_max = {OUTPUT_MAX}\n'
            'price = { input_msat_per_1k = 1000, output_msat_per_1k = 1000 }\n')
        self.node = self.nutgate("--config", path)
        self.key = self.node.buy_key(1000)
        self.right = self.node.balance(self.key)

    def ask(self, lie: str, **more) -> harness.Answer:
        return self.node.chat(self.key, lie, model="small", **more)

    def assert_fine(self) -> None:
        answer = self.ask("fine")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["choices"][0]["message"]["content"], "fine")
        self.right -= COST
        self.assertEqual(self.node.balance(self.key), self.right)

    def assert_ends_well(self) -> None:
        self.assert_fine()
        self.assertEqual(self.node.stop(), 0)
        self.node.audit()

    def assert_grew_less(self, before: float, mib: float) -> None:
        if not self.node.process.is_sanitized():
            self.assertLess(self.node.process.resident_mib() - before, mib)

    def test_an_answer_that_is_none_costs_nothing(self) -> None:
        for lie in BROKEN:
            for stream in (False, True):
                with self.subTest(lie=lie, stream=stream):
                    answer = self.ask(lie, stream=stream)
                    self.assertEqual(answer.status, 502, answer)
                    error = answer.json()["error"]
                    self.assertIn(error["code"], ("upstream_broken", "upstream_error",
                                                  "upstream_unreachable"))
                    self.assertEqual(self.node.balance(self.key), self.right)
                    self.assert_fine()
        self.assert_ends_well()

    def test_silence_is_a_time_out_and_costs_nothing(self) -> None:
        for stream in (False, True):
            answer = self.ask("silence", stream=stream)
            self.assertEqual(answer.status, 504, answer)
            self.assertEqual(answer.json()["error"]["code"], "upstream_timeout")
        self.assertEqual(self.node.balance(self.key), self.right)
        self.assert_ends_well()

    def test_a_stream_that_breaks_off_costs_what_came(self) -> None:
        for lie in [*BROKEN_STREAMS, "silence in mid-stream"]:
            with self.subTest(lie=lie):
                answer = self.ask(lie, stream=True)
                if answer.status == 502:
                    # It came in one piece with the words before it, so that none of them was read.
                    self.assertEqual(self.node.balance(self.key), self.right)
                    continue
                self.assertEqual(answer.status, 200, answer)
                events = harness.events_of(answer.body)
                self.assertNotIn("[DONE]", events)
                self.assertTrue(any("error" in event for event in events), events)
                costs = [event["usage"]["cost"]["total_msats"] for event in events
                         if event.get("usage")]
                self.assertEqual(len(costs), 1, events)
                self.assertGreaterEqual(costs[0], 3)
                self.assertLess(costs[0], 100)
                self.right -= costs[0]
                self.assertEqual(self.node.balance(self.key), self.right)
        self.assert_ends_well()

    def test_an_answer_too_many_is_nobodys(self) -> None:
        """What lies behind an answer on its connection is not the answer to the next request."""
        for lie, stream in (("an answer too many", False), ("a stream and an answer too many", True)):
            for _ in range(5):
                self.assertEqual(self.ask(lie, stream=stream).status, 200)
                self.right = self.node.balance(self.key)
                self.assert_fine()
        self.assert_ends_well()

    @contextlib.contextmanager
    def asked(self, lie: str, stream: bool):
        """A connection on which this was asked for, and nothing was read."""
        body = json.dumps({"model": "small", "stream": stream,
                           "messages": [{"role": "user", "content": lie}]}).encode()
        parts = urllib.parse.urlsplit(self.node.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as line:
            line.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer "
                         b"%s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                         % (self.key.encode(), len(body), body))
            yield line

    def assert_let_go(self) -> None:
        harness.until(lambda: self.liar.endless == 0, "the upstream is let go")
        left = self.node.balance(self.key)
        self.assertLess(left, self.right)
        self.assertGreaterEqual(left, self.right - HELD_MAX)
        self.right = left

    def test_a_stream_without_an_end_costs_what_was_held(self) -> None:
        """Its client may listen as long as they like; the charge has its bound, and the upstream is
        let go with the client."""
        with self.asked("a stream without an end", True) as line:
            seen = 0
            while seen < 10_000:
                seen += line.recv(65536).count(b"data:")
        self.assert_let_go()
        self.assert_ends_well()

    def test_a_client_that_reads_nothing_holds_its_upstream_back(self) -> None:
        before = self.node.process.resident_mib()
        with self.asked("a stream without an end", True):
            def stands_still() -> bool:
                sent = self.liar.sent
                self.assert_fine_beside()
                return 0 < sent == self.liar.sent
            harness.until(stands_still, "the upstream can send no more")
        self.assert_grew_less(before, 32)
        self.assert_let_go()
        self.assert_ends_well()

    def test_a_line_without_an_end_takes_no_memory(self) -> None:
        before = self.node.process.resident_mib()
        with self.asked("a line without an end", True) as line:
            taken = 0
            while taken < 200 * 2**20 and (piece := line.recv(2**20)):
                taken += len(piece)
                self.assert_grew_less(before, 32)
        self.assert_let_go()
        self.assert_ends_well()

    def test_a_body_without_an_end_is_refused(self) -> None:
        before = self.node.process.resident_mib()
        answer = self.ask("a body without an end")
        self.assertEqual(answer.status, 502, answer)
        harness.until(lambda: self.liar.endless == 0, "the upstream is let go")
        self.assertEqual(self.node.balance(self.key), self.right)
        self.assert_grew_less(before, 200)
        self.assert_ends_well()

    def assert_fine_beside(self) -> None:
        for _ in range(20):
            answer = self.ask("fine")
            self.assertEqual(answer.status, 200, answer)
            self.right -= COST


if __name__ == "__main__":
    unittest.main()
