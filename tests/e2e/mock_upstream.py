#!/usr/bin/env python3
"""The smallest OpenAI-compatible upstream: what a seller would have in front of a model.

usage: mock_upstream.py [PORT]     prints `ready HOST:PORT`

It answers every chat with the words it was asked, counts a token per word, and reports its usage. What the
last user message says decides about errors, so that tests can ask for them: `fail 503` answers with
that status, `leak 401` repeats what it was sent, as some do, `hang` says so on standard output and
never answers.
"""
import http.server
import json
import sys
import threading


def counted(words: list[str], messages: list) -> dict:
    prompt = sum(len(str(message.get("content", "")).split()) for message in messages)
    return {"prompt_tokens": prompt, "completion_tokens": len(words),
            "total_tokens": prompt + len(words)}


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    over = threading.Event()

    def log_message(self, *_) -> None:
        pass

    def answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.answer(200, {"object": "list", "data": [{"id": "small", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = str(body["messages"][-1]["content"]).split()
        if asked[:1] == ["fail"]:
            return self.answer(int(asked[1]), {"error": {"message": "as asked", "type": "mock"}})
        if asked[:1] == ["leak"]:
            return self.answer(int(asked[1]), {"error": {
                "message": f"{' '.join(asked)} {self.headers['authorization']}", "type": "mock"}})
        if asked[:1] == ["hang"]:
            print("hanging", flush=True)
            self.over.wait()
            return None
        words = ["You", "said:", *asked][: body.get("max_tokens") or 1000]
        usage = counted(words, body["messages"])
        head = {"id": "chatcmpl-mock", "created": 1700000000, "model": body["model"]}
        if body.get("stream"):
            return self.stream(head, words, usage)
        return self.answer(200, {**head, "object": "chat.completion", "usage": usage, "choices": [
            {"index": 0, "message": {"role": "assistant", "content": " ".join(words)},
             "finish_reason": "stop"}]})

    def stream(self, head: dict, words: list[str], usage: dict) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        head = {**head, "object": "chat.completion.chunk"}
        for word in words:
            self.event({**head, "choices": [{"index": 0, "delta": {"content": word + " "},
                                             "finish_reason": None}]})
        self.event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.event({**head, "choices": [], "usage": usage})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def event(self, body: dict) -> None:
        self.chunk(b"data: " + json.dumps(body).encode() + b"\n\n")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Upstream)
    server.daemon_threads = True
    print(f"ready 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
