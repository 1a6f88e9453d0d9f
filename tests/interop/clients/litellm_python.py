"""LiteLLM as a client: chats or responses as of an OpenAI, messages as of an Anthropic; embeddings and
images; with its own retries."""
import base64
import json
import os

# Else it asks the net for a list of models when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402  (needs the line above)
from steps import (FACE, HELLO, KEY, MODEL, POOR_KEY, QUESTION, SAID, SCHEMA, URL, WRONG_KEY,  # noqa: E402
                   equal, refused, step)

litellm.suppress_debug_info = True
# Of models that it does not know it asks for whole responses, and makes a stream of them itself.
litellm.register_model({"openai/small": {"litellm_provider": "openai", "mode": "responses",
                                         "supports_native_streaming": True}})
# What is written to a cache is part of a prompt here.
COUNTS = (110 if MODEL == "claude" else 100, 20)
ABOUT = {"name": "get_weather", "description": "Tells the weather.", "parameters": SCHEMA}


def place(key: str = KEY, model: str = MODEL) -> dict:
    if FACE == "messages":
        return {"model": f"anthropic/{model}", "api_base": URL, "api_key": key, "max_tokens": 100}
    return {"model": f"openai/{model}", "api_base": f"{URL}/v1", "api_key": key}


class Chats:
    @staticmethod
    def ask(text: str, key: str = KEY, model: str = MODEL, **more):
        return litellm.completion(**place(key, model), messages=[{"role": "user", "content": text}], **more)

    @staticmethod
    def object():
        shape = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}
        return litellm.completion(**place(), messages=[{"role": "user", "content": QUESTION}], response_format=shape)

    @staticmethod
    def text(answer) -> str:
        return answer.choices[0].message.content

    @staticmethod
    def counts(usage) -> tuple:
        return usage.prompt_tokens, usage.completion_tokens

    @staticmethod
    def stream(text: str) -> tuple:
        pieces, usage = [], None
        for chunk in litellm.completion(**place(), messages=[{"role": "user", "content": text}], stream=True,
                                        stream_options={"include_usage": True}):
            usage = getattr(chunk, "usage", None) or usage
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        return pieces, usage

    @staticmethod
    def loop(is_streamed: bool) -> tuple:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]

        def turn():
            answer = litellm.completion(**place(), messages=messages, stream=is_streamed,
                                        tools=[{"type": "function", "function": ABOUT}])
            if is_streamed:
                answer = litellm.stream_chunk_builder(list(answer), messages=messages)
            return answer.choices[0].message
        called = turn()
        [call] = called.tool_calls
        messages += [called.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}]
        return call.function.name, call.function.arguments, turn().content


class Responses:
    @staticmethod
    def ask(text: str, key: str = KEY, model: str = MODEL, **more):
        return litellm.responses(**place(key, model), input=text, **more)

    @staticmethod
    def object():
        shape = {"type": "json_schema", "name": "place", "strict": True, "schema": SCHEMA}
        return litellm.responses(**place(), input=QUESTION, text={"format": shape})

    @staticmethod
    def text(answer) -> str:
        return "".join(part.text for item in answer.output if item.type == "message" for part in item.content)

    @staticmethod
    def counts(usage) -> tuple:
        return usage.input_tokens, usage.output_tokens

    @staticmethod
    def stream(text: str) -> tuple:
        pieces, usage = [], None
        for event in litellm.responses(**place(), input=text, stream=True):
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
            if event.type == "response.completed":
                usage = event.response.usage
        return pieces, usage

    @staticmethod
    def loop(is_streamed: bool) -> tuple:
        given = [{"role": "user", "content": QUESTION}]

        def turn():
            answer = litellm.responses(**place(), input=given, stream=is_streamed,
                                       tools=[{"type": "function", "strict": False, **ABOUT}])
            if is_streamed:
                [answer] = [event.response for event in answer if event.type == "response.completed"]
            return answer
        output = turn().output
        [call] = [item for item in output if item.type == "function_call"]
        given += [item.model_dump() for item in output]
        given.append({"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"})
        return call.name, call.arguments, Responses.text(turn())


face = Responses if FACE == "responses" else Chats


def chat() -> None:
    answer = face.ask("hello")
    equal((face.text(answer), face.counts(answer.usage)), (HELLO, COUNTS))


def stream() -> None:
    pieces, usage = face.stream("hello")
    equal(("".join(pieces), len(pieces) > 5, face.counts(usage)), (HELLO, True, COUNTS))


def loop(is_streamed: bool) -> None:
    name, argument, answer = face.loop(is_streamed)
    equal((name, json.loads(argument), answer), ("get_weather", {"city": "Paris"}, SAID))


def embeddings() -> None:
    answer = litellm.embedding(**place(model="embed"), input=["one", "three"])
    equal([item["embedding"] for item in answer.data], [[3, 0.5, -0.25], [5, 0.5, -0.25]])
    equal(answer.usage.prompt_tokens, 16)


def images() -> None:
    answer = litellm.image_generation(**place(model="paint"), prompt="a cat", size="1024x1024")
    equal(base64.b64decode(answer.data[0].b64_json)[1:4], b"PNG")


def no_money() -> None:
    # Of OpenAI's kind, and of Anthropic's.
    kinds = (litellm.exceptions.APIError, litellm.exceptions.PaymentRequiredError)
    error = refused(kinds, lambda: face.ask("hello", key=POOR_KEY))
    equal((error.status_code, "1000 msats) available" in str(error)), (402, True))


step("chat", chat)
step("stream", stream)
step("tools", lambda: loop(False))
step("tools streamed", lambda: loop(True))
step("object", lambda: equal(json.loads(face.text(face.object())), {"city": "Paris"}))
if (FACE, MODEL) == ("chat", "small"):
    step("embeddings", embeddings)
    step("images", images)
step("wrong key", lambda: refused(litellm.AuthenticationError, lambda: face.ask("hello", key=WRONG_KEY)))
step("no money", no_money)
step("no such model", lambda: refused(litellm.BadRequestError, lambda: face.ask("hello", model="nobody")))
# Asked to try again it does so whatever the error is, so it is asked only here; and at once, unless told.
RETRIES = {"num_retries": 3, "retry_strategy": "exponential_backoff_retry"}
step("busy, then not", lambda: equal(face.text(face.ask("once 429 busy", **RETRIES)), HELLO))
step("broken, then not", lambda: equal(face.text(face.ask("once 500 broken", **RETRIES)), HELLO))
