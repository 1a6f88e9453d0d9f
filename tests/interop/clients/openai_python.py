"""PyPI's `openai`: chats or responses, embeddings and images, with its own retries."""
import base64
import json

import openai
from steps import (FACE, HELLO, KEY, MODEL, POOR_KEY, QUESTION, SAID, SCHEMA, URL, WRONG_KEY, equal, refused, step)

# What is written to a cache is part of a prompt here.
COUNTS = (110 if MODEL == "claude" else 100, 60, 20)
ABOUT = {"name": "get_weather", "description": "Tells the weather.", "parameters": SCHEMA}


def client_of(key: str) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=f"{URL}/v1")


client = client_of(KEY)


class Chats:
    @staticmethod
    def ask(text: str, asker=client, model: str = MODEL):
        return asker.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])

    @staticmethod
    def object():
        shape = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}}
        return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": QUESTION}],
                                              response_format=shape)

    @staticmethod
    def text(answer) -> str:
        return answer.choices[0].message.content

    @staticmethod
    def counts(usage) -> tuple:
        return usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens

    @staticmethod
    def stream(text: str) -> tuple:
        pieces, usage = [], None
        for chunk in client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}],
                                                    stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            pieces += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        return pieces, usage

    @staticmethod
    def loop(is_streamed: bool) -> tuple:
        tools = [{"type": "function", "function": ABOUT}]
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]

        def turn():
            if not is_streamed:
                return client.chat.completions.create(model=MODEL, messages=messages, tools=tools)
            with client.chat.completions.stream(model=MODEL, messages=messages, tools=tools) as stream:
                return stream.get_final_completion()
        choice = turn().choices[0]
        equal(choice.finish_reason, "tool_calls")
        [call] = choice.message.tool_calls
        messages += [choice.message.to_dict(),
                     {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}]
        return call.function.name, call.function.arguments, Chats.text(turn())


class Responses:
    @staticmethod
    def ask(text: str, asker=client, model: str = MODEL):
        return asker.responses.create(model=model, input=text)

    @staticmethod
    def object():
        shape = {"type": "json_schema", "name": "place", "strict": True, "schema": SCHEMA}
        return client.responses.create(model=MODEL, input=QUESTION, text={"format": shape})

    @staticmethod
    def text(answer) -> str:
        return answer.output_text

    @staticmethod
    def counts(usage) -> tuple:
        return usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens

    @staticmethod
    def stream(text: str) -> tuple:
        with client.responses.stream(model=MODEL, input=text) as stream:
            pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
            return pieces, stream.get_final_response().usage

    @staticmethod
    def loop(is_streamed: bool) -> tuple:
        tools = [{"type": "function", "strict": False, **ABOUT}]
        given = [{"role": "user", "content": QUESTION}]

        def turn():
            if not is_streamed:
                return client.responses.create(model=MODEL, input=given, tools=tools)
            with client.responses.stream(model=MODEL, input=given, tools=tools) as stream:
                return stream.get_final_response()
        output = turn().output
        [call] = [item for item in output if item.type == "function_call"]
        given += [item.to_dict() for item in output]
        given.append({"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"})
        return call.name, call.arguments, turn().output_text


face = Responses if FACE == "responses" else Chats


def chat() -> None:
    answer = face.ask("hello")
    equal(face.text(answer), HELLO)
    equal(face.counts(answer.usage), COUNTS)


def stream() -> None:
    pieces, usage = face.stream("hello")
    equal((len(pieces) > 5, "".join(pieces)), (True, HELLO))
    equal(face.counts(usage), COUNTS)


def loop(is_streamed: bool) -> None:
    name, argument, said = face.loop(is_streamed)
    equal((name, json.loads(argument), said), ("get_weather", {"city": "Paris"}, SAID))


def embeddings() -> None:
    answer = client.embeddings.create(model="embed", input=["one", "three"])
    equal([item.embedding for item in answer.data], [[3, 0.5, -0.25], [5, 0.5, -0.25]])
    equal(answer.usage.prompt_tokens, 16)


def images() -> None:
    answer = client.images.generate(model="paint", prompt="a cat", size="1024x1024")
    equal(base64.b64decode(answer.data[0].b64_json)[1:4], b"PNG")


def wrong_key() -> None:
    error = refused(openai.AuthenticationError, lambda: face.ask("hello", client_of(WRONG_KEY)))
    equal(error.code, "invalid_api_key")


def no_money() -> None:
    error = refused(openai.APIStatusError, lambda: face.ask("hello", client_of(POOR_KEY)))
    equal((error.status_code, error.code, error.type), (402, "insufficient_balance", "insufficient_quota"))


def no_such_model() -> None:
    error = refused(openai.BadRequestError, lambda: face.ask("hello", model="nobody"))
    equal((error.code, error.param), ("invalid_model", "model"))


step("chat", chat)
step("stream", stream)
step("tools", lambda: loop(False))
step("tools streamed", lambda: loop(True))
step("object", lambda: equal(json.loads(face.text(face.object())), {"city": "Paris"}))
if (FACE, MODEL) == ("chat", "small"):
    step("embeddings", embeddings)
    step("images", images)
step("wrong key", wrong_key)
step("no money", no_money)
step("no such model", no_such_model)
step("busy, then not", lambda: equal(face.text(face.ask("once 429 busy")), HELLO))
step("broken, then not", lambda: equal(face.text(face.ask("once 500 broken")), HELLO))
