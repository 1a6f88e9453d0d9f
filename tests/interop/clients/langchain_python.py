"""LangChain's packages for OpenAI (chats or responses, embeddings) and Anthropic, with their own retries."""
import anthropic
import langchain_anthropic
import langchain_openai
import openai
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from steps import FACE, HELLO, KEY, MODEL, POOR_KEY, QUESTION, SAID, SCHEMA, URL, WRONG_KEY, equal, refused, step

ERRORS = anthropic if FACE == "messages" else openai
# What is written to a cache is part of a prompt here.
COUNTS = (110 if MODEL == "claude" else 100, 20)


def llm_of(key: str, model: str = MODEL):
    if FACE == "messages":
        return langchain_anthropic.ChatAnthropic(model=model, api_key=key, base_url=URL, max_tokens=100)
    return langchain_openai.ChatOpenAI(model=model, api_key=key, base_url=f"{URL}/v1", stream_usage=True,
                                       use_responses_api=FACE == "responses")


llm = llm_of(KEY)


def said(message) -> str:
    """Its text, whether it came as text or in blocks."""
    content = message.content
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def counts(message) -> tuple:
    return message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]


def chat() -> None:
    answer = llm.invoke("hello")
    equal((said(answer), counts(answer)), (HELLO, COUNTS))


def stream() -> None:
    pieces, whole = 0, None
    for piece in llm.stream("hello"):
        pieces += bool(said(piece))
        whole = piece if whole is None else whole + piece
    equal((pieces > 5, said(whole), counts(whole)), (True, HELLO, COUNTS))


@tool
def get_weather(city: str) -> str:
    """Tells the weather."""
    return "18 degrees" if city == "Paris" else "unknown"


def loop(is_streamed: bool) -> None:
    with_tools = llm.bind_tools([get_weather])
    messages = [SystemMessage("Be brief."), HumanMessage(QUESTION)]

    def turn():
        if not is_streamed:
            return with_tools.invoke(messages)
        first, *rest = with_tools.stream(messages)
        return sum(rest, first)
    called = turn()
    [call] = called.tool_calls
    equal((call["name"], call["args"]), ("get_weather", {"city": "Paris"}))
    result = get_weather.invoke(call)
    equal(isinstance(result, ToolMessage), True)
    messages += [called, result]
    equal(said(turn()), SAID)


def structured() -> None:
    shape = {"title": "place", "description": "Where it is.", **SCHEMA}
    equal(llm.with_structured_output(shape).invoke(QUESTION), {"city": "Paris"})


def embeddings() -> None:
    # Its own way to cut texts wants a tokenizer of OpenAI's from the net; a server of another's gets texts.
    embedder = langchain_openai.OpenAIEmbeddings(model="embed", api_key=KEY, base_url=f"{URL}/v1",
                                                 check_embedding_ctx_length=False)
    equal(embedder.embed_documents(["one", "three"]), [[3, 0.5, -0.25], [5, 0.5, -0.25]])


def no_money() -> None:
    error = refused(ERRORS.APIStatusError, lambda: llm_of(POOR_KEY).invoke("hello"))
    said_why = error.body["error"] if FACE == "messages" else error.body
    equal((error.status_code, said_why["code"]), (402, "insufficient_balance"))


step("chat", chat)
step("stream", stream)
step("tools", lambda: loop(False))
step("tools streamed", lambda: loop(True))
step("object", structured)
if (FACE, MODEL) == ("chat", "small"):
    step("embeddings", embeddings)
step("wrong key", lambda: refused(ERRORS.AuthenticationError, lambda: llm_of(WRONG_KEY).invoke("hello")))
step("no money", no_money)
step("no such model", lambda: refused(ERRORS.BadRequestError, lambda: llm_of(KEY, "nobody").invoke("hello")))
step("busy, then not", lambda: equal(said(llm.invoke("once 429 busy")), HELLO))
step("broken, then not", lambda: equal(said(llm.invoke("once 500 broken")), HELLO))
