"""A model behind Anthropic's API, sold to the npm package `openai`, unmodified.

The upstream here is written from Anthropic's reference: it refuses what that refuses, signs its
thoughts and wants them back unchanged.
"""
import http.server
import json
import threading
import unittest

import harness

SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"
THOUGHT = {"type": "thinking", "thinking": "I need the weather.", "signature": SIGNATURE}
CALL = {"type": "tool_use", "id": "toolu_01", "name": "get_weather", "input": {"city": "Paris"}}
USAGE = {"input_tokens": 40, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 0,
         "output_tokens": 20}


def fault_of(headers, body: dict) -> str:
    if headers.get("x-api-key") != "sk-ant" or headers.get("anthropic-version") != "2023-06-01":
        return "headers"
    if headers.get("authorization") or not isinstance(body.get("max_tokens"), int):
        return "authorization, max_tokens"
    if set(body) - {"model", "max_tokens", "messages", "system", "tools", "stream"}:
        return f"unknown fields in {sorted(body)}"
    roles = [message["role"] for message in body["messages"]]
    if roles[0] != "user" or any(a == b for a, b in zip(roles, roles[1:])):
        return f"roles {roles}"
    blocks = [block for message in body["messages"] for block in message["content"]]
    if any(block["type"] == "thinking" and block != THOUGHT for block in blocks):
        return "thinking blocks cannot be modified"
    return ""


def answer_to(body: dict) -> tuple:
    """The content and the reason to stop."""
    last = body["messages"][-1]["content"][-1]
    if last["type"] == "tool_result":
        return [{"type": "text", "text": "The tool said: " + last["content"][0]["text"]}], "end_turn"
    if "tools" in body:
        return [THOUGHT, {"type": "text", "text": "One moment."}, CALL], "tool_use"
    return [{"type": "text", "text": "Hello."}], "end_turn"


def events_of(body: dict, content: list, reason: str) -> list:
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
             "content": [], "stop_reason": None, "stop_sequence": None,
             "usage": {**USAGE, "output_tokens": 1}}
    events = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(content):
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""},
                 "tool_use": {"input": {}}}[block["type"]]
        deltas = {
            "text": lambda: [{"type": "text_delta", "text": c} for c in block["text"]],
            "thinking": lambda: [{"type": "thinking_delta", "thinking": block["thinking"]},
                                 {"type": "signature_delta", "signature": block["signature"]}],
            "tool_use": lambda: [{"type": "input_json_delta", "partial_json": c}
                                 for c in json.dumps(block["input"])],
        }[block["type"]]()
        events.append({"type": "content_block_start", "index": index,
                       "content_block": {**block, **empty}})
        events += [{"type": "content_block_delta", "index": index, "delta": delta}
                   for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "usage": {"output_tokens": USAGE["output_tokens"]},
                   "delta": {"stop_reason": reason, "stop_sequence": None}})
    return events + [{"type": "message_stop"}]


class Anthropic(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def reply(self, status: int, kind: str, data: bytes, promised: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(promised or len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, kind: str, message: str) -> None:
        error = {"type": "error", "error": {"type": kind, "message": message}}
        self.reply(status, "application/json", json.dumps(error).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        fault = "path" if self.path != "/v1/messages" else fault_of(self.headers, body)
        said = body["messages"][0]["content"][0].get("text")
        if fault:
            return self.refuse(400, "invalid_request_error", fault)
        if said == "too long":
            return self.refuse(400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum")
        if said == "overload":
            return self.refuse(529, "overloaded_error", "Overloaded")
        content, reason = answer_to(body)
        if not body.get("stream"):
            answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
                      "content": content, "stop_reason": reason, "stop_sequence": None,
                      "usage": USAGE}
            return self.reply(200, "application/json", json.dumps(answer).encode())
        events = events_of(body, content, reason)
        data = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                       for event in (events[:5] if said == "break off" else events)).encode()
        self.reply(200, "text/event-stream", data, len(data) + (said == "break off"))
        if said == "break off":
            self.close_connection = True


class AnthropicUpstream(harness.NodeCase):
    def test_a_model_of_anthropics_behind_the_openai_sdk(self) -> None:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Anthropic)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        key_file = self.folder / "key"
        key_file.write_text("sk-ant")
        config = self.config(
            f'[[upstream]]\nname = "a"\ndialect = "anthropic"\n'
            f'url = "http://127.0.0.1:{server.server_port}/v1"\napi_key_file = "{key_file}"\n'
            f'[[model]]\nid = "small"\nupstreams = ["a"]\ncontext = 1000\noutput_max = 100\n'
            f'price = {{ input_msat_per_1k = 1000, output_msat_per_1k = 1000 }}\n')
        node = self.nutgate("--config", config)
        key = node.buy_key(1000)
        before = node.balance(key)
        said = harness.run_node_script("anthropic_upstream.mjs",
                                       {"NUTGATE_URL": node.url, "NUTGATE_KEY": key})
        told = int(said.rsplit("cost_msats ", 1)[1])
        # Four answers of 100 tokens in and 20 out, at a msat each.
        self.assertEqual(told, 4 * 120)
        # And a stream that broke: 100 tokens in by Anthropic's word, and two pieces that came.
        self.assertEqual(before - node.balance(key), told + 102)
        node.stop()
        node.audit()


if __name__ == "__main__":
    unittest.main()
