#!/usr/bin/env python3
"""An upstream whose every answer has a cost that is known before it is asked for.

usage: upstream.py     prints `ready HOST:PORT`

The last message of a chat says what to answer, as words `name=number`:

    tokens=N   N words, one delta and one token each; usage says PROMPT_TOKENS and N
    head=MS    begin the answer after so long
    gap=MS     so long between two words of a stream
    die=K      end the connection after K words of the stream
    fail=S     answer with the status S

One thread for each connection and no library on the way: it must not be what a test waits for.
"""
import json
import socket
import threading
import time

PROMPT_TOKENS = 40
# Three bytes and one delta: whatever an estimate goes by, it finds no more tokens than there are.
WORD = "ab "
HEAD = {"id": "chatcmpl-chaos", "created": 1700000000, "model": "small"}


def data_of(event: dict) -> bytes:
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def delta(text: str) -> bytes:
    return data_of({**HEAD, "object": "chat.completion.chunk", "choices": [
        {"index": 0, "delta": {"content": text}, "finish_reason": None}]})


DELTA = delta(WORD)


def usage_of(tokens: int) -> dict:
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens,
            "total_tokens": PROMPT_TOKENS + tokens}


def sized(status: int, body: dict) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        status, len(data), data)


class Line:
    """One connection of the node's, from its first request to its end."""

    def __init__(self, line: socket.socket):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.line, self.buffer = line, b""

    def run(self) -> None:
        try:
            while request := self.request():
                if not self.answer(request):
                    break
        except OSError:
            pass  # A node that was killed.
        finally:
            self.line.close()

    def read(self, enough) -> bool:
        while not enough():
            piece = self.line.recv(65536)
            if not piece:
                return False
            self.buffer += piece
        return True

    def request(self) -> dict | None:
        if not self.read(lambda: b"\r\n\r\n" in self.buffer):
            return None
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        size = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        if not self.read(lambda: len(self.buffer) >= size):
            return None
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return json.loads(body)

    def answer(self, request: dict) -> bool:
        """True if the connection goes on."""
        words = request["messages"][-1]["content"].split()
        asked = {name: int(value) for name, _, value in (word.partition("=") for word in words)
                 if value}
        if "head" in asked:
            time.sleep(asked["head"] / 1000)
        if "fail" in asked:
            self.line.sendall(sized(asked["fail"], {"error": {"message": "as asked"}}))
            return True
        if request.get("stream"):
            return self.stream(asked)
        choice = {"index": 0, "finish_reason": "stop",
                  "message": {"role": "assistant", "content": WORD * asked["tokens"]}}
        self.line.sendall(sized(200, {**HEAD, "object": "chat.completion", "choices": [choice],
                                      "usage": usage_of(asked["tokens"])}))
        return True

    def stream(self, asked: dict) -> bool:
        self.line.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                          b"transfer-encoding: chunked\r\n\r\n")
        for number in range(asked["tokens"]):
            if number == asked.get("die"):
                return False
            self.line.sendall(DELTA)
            if asked.get("gap"):
                time.sleep(asked["gap"] / 1000)
        usage = {**HEAD, "object": "chat.completion.chunk", "choices": [],
                 "usage": usage_of(asked["tokens"])}
        done = b"data: [DONE]\n\n"
        self.line.sendall(data_of(usage) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done))
        return True


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(f"ready 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        line, _ = listener.accept()
        threading.Thread(target=Line(line).run, daemon=True).start()


if __name__ == "__main__":
    main()
