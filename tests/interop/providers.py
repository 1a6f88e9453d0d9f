"""Two providers of models, one in OpenAI's words and one in Anthropic's, written from their references.

Both are strict about what they are sent, write down what came, and answer by what the last user said:
`once 429 TAG` and `once 500 TAG` fail the first time that they hear that TAG. Where tools are offered they
call the first, where its result comes back they repeat it, and where an object is asked for it is ARGUMENTS. Their counts never vary, so what a client's
step costs can be said on paper.
"""
import base64
import http.server
import json
import struct
import threading

KEY = "sk-provider"
ARGUMENTS = {"city": "Paris"}
GREETING = "Hello there."
# Told by each answer: 100 tokens in, of them 60 out of a cache; 20 out. Anthropic's count the cache
# beside the rest, and 10 are written to it.
CHAT_USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
              "prompt_tokens_details": {"cached_tokens": 60}}
RESPONSE_USAGE = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
                  "input_tokens_details": {"cached_tokens": 60},
                  "output_tokens_details": {"reasoning_tokens": 0}}
MESSAGE_USAGE = {"input_tokens": 40, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10,
                 "output_tokens": 20}
TOKENS_PER_TEXT = 8
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

CHAT_FIELDS = {
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "temperature",
    "top_p", "stop", "presence_penalty", "frequency_penalty", "tools", "tool_choice", "parallel_tool_calls",
    "response_format", "seed", "user", "metadata", "store", "service_tier", "reasoning_effort", "logit_bias",
}
MESSAGE_FIELDS = {
    "model", "messages", "max_tokens", "system", "stream", "tools", "tool_choice", "temperature", "top_p", "top_k",
    "stop_sequences", "metadata", "thinking", "service_tier", "cache_control", "output_config", "output_format",
}


class Refusal(Exception):
    """What this provider's own documentation would call wrong with a request."""


def text_of(content) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or [])


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        try:
            body = json.loads(raw)
            self.server.note(self.path, dict(self.headers.items()), body)
            self.check_head()
            self.serve(self.path, body)
        except Refusal as why:
            self.refuse(400, str(why))

    def reply(self, status: int, body: dict, headers=()) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def reply_stream(self, events: list) -> None:
        """Each event is its text, sent in a piece of its own."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in [*events, ""]:
            data = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def refuse(self, status: int, why: str) -> None:
        self.reply(status, self.error(status, why), [("Retry-After", "1")] if status == 429 else [])

    def fails_once(self, said: str) -> bool:
        """Whether this was the first time of a `once STATUS TAG`, which is answered by then."""
        words = said.split()
        if words[:1] != ["once"] or not self.server.is_first(words[2]):
            return False
        self.refuse(int(words[1]), "As asked.")
        return True


class OpenAi(Provider):
    @staticmethod
    def error(_status: int, why: str) -> dict:
        return {"error": {"message": why, "type": "mock_error", "param": None, "code": None}}

    def check_head(self) -> None:
        if self.headers["authorization"] != f"Bearer {KEY}":
            raise Refusal("authorization")

    def serve(self, path: str, body: dict) -> None:
        routes = {"/v1/chat/completions": self.chat, "/v1/responses": self.response,
                  "/v1/embeddings": self.embed, "/v1/images/generations": self.paint}
        if path not in routes:
            raise Refusal(f"no such path: {path}")
        routes[path](body)

    def chat(self, body: dict) -> None:
        if unknown := set(body) - CHAT_FIELDS:
            raise Refusal(f"unknown fields: {sorted(unknown)}")
        asked = [text_of(message["content"]) for message in body["messages"] if message["role"] == "user"]
        if self.fails_once(asked[-1]):
            return
        message = {"role": "assistant", "content": GREETING, "refusal": None}
        last = body["messages"][-1]
        if last["role"] == "tool":
            calls = [call["id"] for message in body["messages"] for call in message.get("tool_calls") or []]
            if last["tool_call_id"] not in calls:
                raise Refusal("a tool's result without its call")
            message["content"] = "The tool said: " + text_of(last["content"])
        elif body.get("tools"):
            message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [
                {"id": "call_1", "type": "function",
                 "function": {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps(ARGUMENTS)}}]}
        elif body.get("response_format", {}).get("type") == "json_schema":
            message["content"] = json.dumps(ARGUMENTS)
        reason = "tool_calls" if "tool_calls" in message else "stop"
        head = {"id": "chatcmpl-1", "created": 1700000000, "model": body["model"]}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
            return self.reply(200, {**head, "object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE})
        if not (body.get("stream_options") or {}).get("include_usage"):
            raise Refusal("nobody asked what this stream uses")
        self.reply_stream(self.chunks(head, message, reason))

    @staticmethod
    def chunks(head: dict, message: dict, reason: str) -> list:
        deltas = [{"role": "assistant", "content": "" if message["content"] else None}]
        deltas += [{"content": letter} for letter in message["content"] or ""]
        for index, call in enumerate(message.get("tool_calls", [])):
            function = {**call["function"], "arguments": ""}
            deltas.append({"tool_calls": [{**call, "index": index, "function": function}]})
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": letter}}]}
                       for letter in call["function"]["arguments"]]
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": reason})
        head = {**head, "object": "chat.completion.chunk"}
        chunks = [{**head, "choices": [choice], "usage": None} for choice in choices]
        chunks.append({**head, "choices": [], "usage": CHAT_USAGE})
        return [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]

    def response(self, body: dict) -> None:
        if body.get("store") is not False:
            raise Refusal("this would be stored")
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        asked = [text_of(item["content"]) for item in items if item.get("role") == "user"]
        if self.fails_once(asked[-1]):
            return
        text = GREETING
        if items[-1].get("type") == "function_call_output":
            text = "The tool said: " + text_of(items[-1]["output"])
        elif body.get("text", {}).get("format", {}).get("type") == "json_schema":
            text = json.dumps(ARGUMENTS)
        item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]}
        if body.get("tools") and text == GREETING:
            item = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
                    "name": body["tools"][0]["name"], "arguments": json.dumps(ARGUMENTS)}
        answer = {"id": "resp_1", "object": "response", "created_at": 1700000000, "status": "completed",
                  "model": body["model"], "error": None, "incomplete_details": None, "instructions": None,
                  "metadata": {}, "output": [item], "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0,
                  "tool_choice": "auto", "tools": body.get("tools") or [], "usage": RESPONSE_USAGE}
        if not body.get("stream"):
            return self.reply(200, answer)
        self.reply_stream(self.response_events(answer, item))

    @staticmethod
    def response_events(answer: dict, item: dict) -> list:
        begun = {**answer, "status": "in_progress", "output": [], "usage": None}
        empty = {**item, "status": "in_progress", **({"arguments": ""} if "arguments" in item else {"content": []})}
        events = [{"type": "response.created", "response": begun},
                  {"type": "response.in_progress", "response": begun},
                  {"type": "response.output_item.added", "output_index": 0, "item": empty}]
        place = {"item_id": item["id"], "output_index": 0}
        if "arguments" in item:
            events += [{"type": "response.function_call_arguments.delta", **place, "delta": letter}
                       for letter in item["arguments"]]
            events.append({"type": "response.function_call_arguments.done", **place, "name": item["name"],
                           "arguments": item["arguments"]})
        else:
            part, place = item["content"][0], {**place, "content_index": 0}
            events.append({"type": "response.content_part.added", **place, "part": {**part, "text": ""}})
            events += [{"type": "response.output_text.delta", **place, "delta": letter, "logprobs": []}
                       for letter in part["text"]]
            events.append({"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []})
            events.append({"type": "response.content_part.done", **place, "part": part})
        events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
        events.append({"type": "response.completed", "response": answer})
        return [f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
                for number, event in enumerate(events)]

    def embed(self, body: dict) -> None:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if not all(isinstance(text, str) for text in texts):
            raise Refusal("texts only")
        data = []
        for index, text in enumerate(texts):
            vector = [float(len(text)), 0.5, -0.25]
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack("<3f", *vector)).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        tokens = TOKENS_PER_TEXT * len(texts)
        self.reply(200, {"object": "list", "model": body["model"], "data": data,
                         "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})

    def paint(self, body: dict) -> None:
        picture = base64.b64encode(PICTURE).decode()
        self.reply(200, {"created": 1700000000, "data": [{"b64_json": picture}] * (body.get("n") or 1)})


class Anthropic(Provider):
    @staticmethod
    def error(status: int, why: str) -> dict:
        kinds = {400: "invalid_request_error", 429: "rate_limit_error"}
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": why}}

    def check_head(self) -> None:
        if self.headers["x-api-key"] != KEY or self.headers["anthropic-version"] != "2023-06-01":
            raise Refusal("x-api-key, anthropic-version")
        if self.headers["authorization"]:
            raise Refusal("a key of somebody else's")

    def serve(self, path: str, body: dict) -> None:
        if path == "/v1/messages/count_tokens":
            if not set(body) <= {"model", "messages", "system", "tools", "tool_choice", "thinking"}:
                raise Refusal(f"unknown fields: {sorted(body)}")
            return self.reply(200, {"input_tokens": 17})
        if path != "/v1/messages":
            raise Refusal(f"no such path: {path}")
        if unknown := set(body) - MESSAGE_FIELDS:
            raise Refusal(f"unknown fields: {sorted(unknown)}")
        if not isinstance(body.get("max_tokens"), int):
            raise Refusal("max_tokens: required")
        self.message(body)

    def message(self, body: dict) -> None:
        turns = [(turn["role"], [{"type": "text", "text": turn["content"]}]
                  if isinstance(turn["content"], str) else turn["content"]) for turn in body["messages"]]
        said = [text for role, blocks in turns if role == "user" and (text := text_of(blocks))]
        if turns[0][0] != "user":
            raise Refusal("the first message is the user's")
        if self.fails_once(said[-1]):
            return
        last = turns[-1][1][-1]
        content, reason = [{"type": "text", "text": GREETING}], "end_turn"
        if last["type"] == "tool_result":
            calls = [block["id"] for _, blocks in turns for block in blocks if block["type"] == "tool_use"]
            if last["tool_use_id"] not in calls:
                raise Refusal("a tool's result without its call")
            content = [{"type": "text", "text": "The tool said: " + text_of(last["content"])}]
        elif body.get("tools"):
            reason = "tool_use"
            content = [{"type": reason, "id": "toolu_01", "name": body["tools"][0]["name"], "input": ARGUMENTS}]
        elif body.get("output_config", {}).get("format"):
            content = [{"type": "text", "text": json.dumps(ARGUMENTS)}]
        answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
                  "content": content, "stop_reason": reason, "stop_sequence": None, "usage": MESSAGE_USAGE}
        if not body.get("stream"):
            return self.reply(200, answer)
        self.reply_stream(self.events(answer))

    @staticmethod
    def events(answer: dict) -> list:
        begun = {**answer, "content": [], "stop_reason": None, "usage": {**MESSAGE_USAGE, "output_tokens": 1}}
        events = [{"type": "message_start", "message": begun}, {"type": "ping"}]
        for index, block in enumerate(answer["content"]):
            if block["type"] == "text":
                empty = {**block, "text": ""}
                deltas = [{"type": "text_delta", "text": letter} for letter in block["text"]]
            else:
                empty = {**block, "input": {}}
                deltas = [{"type": "input_json_delta", "partial_json": letter}
                          for letter in json.dumps(block["input"])]
            events.append({"type": "content_block_start", "index": index, "content_block": empty})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        events.append({"type": "message_delta", "usage": MESSAGE_USAGE,
                       "delta": {"stop_reason": answer["stop_reason"], "stop_sequence": None}})
        events.append({"type": "message_stop"})
        return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


class Running(http.server.ThreadingHTTPServer):
    """A provider on loopback: what came to it, and which TAGs it has heard of."""
    daemon_threads = True

    def __init__(self, provider):
        super().__init__(("127.0.0.1", 0), provider)
        self.lock = threading.Lock()
        self.calls: list[tuple] = []  # (path, headers, body)
        self.heard: set = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_) -> None:
        """A client that leaves is no error of ours."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def note(self, *call) -> None:
        with self.lock:
            self.calls.append(call)

    def is_first(self, tag: str) -> bool:
        with self.lock:
            first = tag not in self.heard
            self.heard.add(tag)
        return first

    def taken(self) -> list:
        """What came since the last time that this was asked."""
        with self.lock:
            calls, self.calls = self.calls, []
        return calls
