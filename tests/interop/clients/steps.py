"""What every program here has in common: its place, its keys, and steps that wait to be checked."""
import os
import sys

URL, KEY, POOR_KEY, FACE, MODEL = (os.environ[f"NUTGATE_{name}"]
                                   for name in ("URL", "KEY", "POOR_KEY", "FACE", "MODEL"))
WRONG_KEY = "sk-" + "0" * 64
HELLO = "Hello there."
SAID = "The tool said: 18 degrees"
QUESTION = "What is the weather in Paris?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def step(name: str, act) -> None:
    """Done; it goes on when the money was counted."""
    act()
    print(f"step {name}", flush=True)
    sys.stdin.readline()


def refused(kinds, act):
    """The error that this ends in, which has to be one of these."""
    try:
        act()
    except kinds as error:
        return error
    raise AssertionError("it was not refused")


def equal(found, wanted) -> None:
    if found != wanted:
        raise AssertionError(f"{found!r} is not {wanted!r}")
