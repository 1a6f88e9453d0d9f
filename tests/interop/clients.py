#!/usr/bin/env python3
"""The clients that buyers bring, unmodified, against a node that sells both providers: prints what each did
and what it paid, and a table.

usage: clients.py [--peer NAME] [--only WORD]     exit code 1 if one failed, or none ran

Each client is a program in clients/. It says `step NAME` when it has done one, and goes on when told to:
in between the key's balance must have moved by what counts and prices say on paper (to the msat), the
provider must have been asked as often as that step needs, and the node must have answered as many
errors. INTEROP_CLIENTS is where `scripts/peers clients` put them.
"""
import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
import harness  # noqa: E402  (needs the path above)
import providers  # noqa: E402

PRICE = {"input": 3, "cached_input": 1, "cache_write": 5, "output": 7}  # msat a token
EMBEDDING_MSAT_PER_TOKEN = 2
PICTURE_MSAT = 5000
# 40 tokens that are new, 60 out of a cache, 20 out; and of Anthropic's 10 that go into it.
ANSWER_MSAT = {"small": 40 * 3 + 60 * 1 + 20 * 7, "claude": 40 * 3 + 60 * 1 + 10 * 5 + 20 * 7}


@dataclasses.dataclass(frozen=True)
class Step:
    """What one costs, in answers of a model or in msat, and what it takes."""
    answers: int = 0
    msat: int = 0
    asked: int = 0  # How often the provider is.
    refused: int = 0  # Answers of the node's of 400 to 499.
    failed: int = 0  # And of 500 and more.
    is_early: bool = False  # Who asks again before it was told to is refused more often, by the node itself.


STEPS = {
    "chat": Step(answers=1, asked=1),
    "stream": Step(answers=1, asked=1),
    "tools": Step(answers=2, asked=2),
    "tools streamed": Step(answers=2, asked=2),
    "object": Step(answers=1, asked=1),
    "beta": Step(answers=1, asked=1),
    "count": Step(asked=1),
    "count by estimate": Step(),
    "embeddings": Step(msat=2 * providers.TOKENS_PER_TEXT * EMBEDDING_MSAT_PER_TOKEN, asked=1),
    "images": Step(msat=PICTURE_MSAT, asked=1),
    "wrong key": Step(refused=1),
    "no money": Step(refused=1),
    "no such model": Step(refused=1),
    "busy, then not": Step(answers=1, asked=2, refused=1, is_early=True),
    "broken, then not": Step(answers=1, asked=2, failed=1),
}
TALK = ("chat", "stream", "tools", "tools streamed", "object")
ERRORS = ("wrong key", "no money", "no such model", "busy, then not", "broken, then not")
MORE = ("embeddings", "images")


@dataclasses.dataclass(frozen=True)
class Setup:
    client: str
    program: str
    face: str  # The path it talks to: chat, responses, messages.
    model: str  # "small" is behind OpenAI's wire format, "claude" behind Anthropic's.
    steps: tuple

    def __str__(self) -> str:
        return f"{self.client}, {self.face}, {self.model}"


def setups() -> list:
    plan = []
    for client, program in (("openai (node)", "openai_node.mjs"), ("openai (Python)", "openai_python.py"),
                            ("AI SDK", "ai_sdk.mjs"), ("LangChain", "langchain_python.py"),
                            ("LiteLLM", "litellm_python.py")):
        # LangChain's package for OpenAI has no pictures.
        more = MORE if client != "LangChain" else ("embeddings",)
        plan += [Setup(client, program, "chat", "small", TALK + more + ERRORS),
                 Setup(client, program, "chat", "claude", TALK + ERRORS),
                 Setup(client, program, "responses", "small", TALK + ERRORS)]
    for client, program in (("@anthropic-ai/sdk", "anthropic_node.mjs"), ("AI SDK", "ai_sdk.mjs"),
                            ("LangChain", "langchain_python.py"), ("LiteLLM", "litellm_python.py")):
        is_own = client == "@anthropic-ai/sdk"
        plan += [Setup(client, program, "messages", "claude", TALK + (("count", "beta") if is_own else ()) + ERRORS),
                 Setup(client, program, "messages", "small",
                       TALK + (("count by estimate",) if is_own else ()) + ERRORS)]
    return plan


class Program:
    """A client that is running. It sees the node's address and two keys, and nothing else of us."""

    def __init__(self, setup: Setup, folder: pathlib.Path, environment: dict):
        home = pathlib.Path(os.environ.get("INTEROP_CLIENTS") or "no-clients")
        if not (home / ".complete").exists():
            raise AssertionError("no clients: scripts/interop clients installs them")
        # Node.js looks for packages from where a program lies.
        shutil.copytree(HERE / "clients", folder / "programs")
        (folder / "programs" / "node_modules").symlink_to(home / "node_modules")
        runner = home / ("node" if setup.program.endswith(".mjs") else "bin/python")
        self.errors = folder / "errors"
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [runner, folder / "programs" / setup.program], text=True, cwd=folder,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1",
                     "NUTGATE_FACE": setup.face, "NUTGATE_MODEL": setup.model, **environment})
        self.watch = threading.Timer(5 * harness.PATIENCE, self.process.kill)
        self.watch.start()

    def steps(self):
        """The name of each step that it has done; asking for the next lets it go on."""
        for line in self.process.stdout:
            if line.startswith("step "):
                yield line[len("step "):].strip()
                self.process.stdin.write("\n")
                self.process.stdin.flush()

    def end(self) -> int:
        self.process.stdin.close()
        self.process.stdout.close()
        code = self.process.wait()
        self.watch.cancel()
        return code

    def said(self) -> str:
        return self.errors.read_text(errors="replace")[-6000:]


class Client(harness.NodeCase):
    setup: Setup

    def test_pays_what_it_uses(self) -> None:
        self.providers = {"small": providers.Running(providers.OpenAi),
                          "claude": providers.Running(providers.Anthropic)}
        for provider in self.providers.values():
            self.addCleanup(provider.server_close)
            self.addCleanup(provider.shutdown)
        node = self.nutgate("--config", self.configuration())
        key, poor = node.buy_key(1000), node.buy_key(1)
        self.counts, self.money = self.answered(node), node.balance(key)
        program = Program(self.setup, self.folder, {"NUTGATE_URL": node.url, "NUTGATE_KEY": key,
                                                    "NUTGATE_POOR_KEY": poor})
        done = []
        try:
            for name in program.steps():
                self.check(name, node, key)
                done.append(name)
        finally:
            code = program.end()
        self.assertEqual(code, 0, f"after {done}:\n{program.said()}")
        self.assertEqual(tuple(done), self.setup.steps)
        self.assertEqual(node.balance(poor), 1000)
        node.stop()
        node.audit()

    def configuration(self) -> pathlib.Path:
        key_file = self.folder / "provider.key"
        key_file.write_text(providers.KEY)
        price = ", ".join(f"{what}_msat_per_1k = {1000 * msat}" for what, msat in PRICE.items())
        # What is looked at is how clients take refusals: the node asks no provider twice for them.
        text = "[proxy]\nretries_max = 0\n"
        for model, dialect in (("small", "openai"), ("claude", "anthropic")):
            text += (f'[[upstream]]\nname = "{dialect}"\ndialect = "{dialect}"\napi_key_file = "{key_file}"\n'
                     f'url = "{self.providers[model].url}"\n[[model]]\nid = "{model}"\nupstreams = ["{dialect}"]\n'
                     f'context = 20000\noutput_max = 2000\nprice = {{ {price} }}\n')
        return self.config(
            text + '[[model]]\nid = "embed"\nupstreams = ["openai"]\ncontext = 1000\noutput_max = 1\n'
            'endpoints = ["embeddings"]\n'
            f'price = {{ input_msat_per_1k = {1000 * EMBEDDING_MSAT_PER_TOKEN}, output_msat_per_1k = 0 }}\n'
            '[[model]]\nid = "paint"\nupstreams = ["openai"]\ncontext = 1000\noutput_max = 1\n'
            f'endpoints = ["image_generations"]\nprice = {{ image_msat = {PICTURE_MSAT} }}\n')

    def check(self, name: str, node: harness.Nutgate, key: str) -> None:
        step = STEPS[name]
        money, counts = node.balance(key), self.answered(node)
        paid, self.money = self.money - money, money
        refused, failed = (now - before for now, before in zip(counts, self.counts))
        self.counts = counts
        asked = [call for provider in self.providers.values() for call in provider.taken()]
        print(f"    {name:<20} {paid:>6} msat, provider asked {len(asked)}, refused {refused}, failed {failed}",
              flush=True)
        self.assertEqual(paid, step.answers * ANSWER_MSAT[self.setup.model] + step.msat, name)
        if step.is_early:
            refused = min(refused, step.refused)
        self.assertEqual((len(asked), refused, failed), (step.asked, step.refused, step.failed), name)
        for _, headers, _ in asked:
            self.check_head(name, {header.lower(): value for header, value in headers.items()}, key)

    def check_head(self, name: str, headers: dict, key: str) -> None:
        """Nothing of the buyer's reaches the provider, but what was asked for by name."""
        self.assertNotIn(key, " ".join(headers.values()))
        self.assertEqual([header for header in headers if header.startswith("x-stainless")], [])
        if name == "beta":
            self.assertEqual(headers.get("anthropic-beta"), "interleaved-thinking-2025-05-14")

    @staticmethod
    def answered(node: harness.Nutgate) -> tuple:
        """Answers of the public face's of 4xx and 5xx."""
        token = (node.data_dir / "operator.token").read_text().strip()
        page = harness.request(node.operator_url() + "/metrics", key=token).body.decode()
        counts = re.findall(r'^nutgate_http_requests_total\{server="public",status="([45])xx"\} (\d+)', page, re.M)
        return tuple(int(count) for _, count in sorted(counts))


class Table(unittest.TestResult):
    """One row per setup."""

    def __init__(self):
        super().__init__()
        self.rows: list[str] = []
        self.began = 0.0

    def startTest(self, test) -> None:
        super().startTest(test)
        self.began = time.monotonic()
        print(f"... {test.setup}", flush=True)

    def stopTest(self, test) -> None:
        super().stopTest(test)
        bad = [text for failed, text in self.failures + self.errors if failed is test]
        for text in bad:
            print(text, flush=True)
        self.rows.append(f"{'FAIL' if bad else 'PASS'}  {str(test.setup):<40} {len(test.setup.steps):>3} steps "
                         f"{time.monotonic() - self.began:6.1f} s")
        print(self.rows[-1], flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="", help="a client in whose name this stands")
    parser.add_argument("--only", default="", help="setups in whose row this stands")
    arguments = parser.parse_args()
    every = setups()
    chosen = [setup for setup in every
              if arguments.peer.lower() in setup.client.lower() and arguments.only in str(setup)]
    table = Table()
    for setup in chosen:
        type("Client", (Client,), {"setup": setup})("test_pays_what_it_uses").run(table)
    print("\n" + "\n".join(table.rows))
    failed = sum(row.startswith("FAIL") for row in table.rows)
    others = len(every) - len(chosen)
    print(f"\n{len(table.rows) - failed} passed, {failed} failed"
          + (f"; {others} others were not asked for" if others else ""))
    return 1 if failed or not table.rows else 0


if __name__ == "__main__":
    sys.exit(main())
