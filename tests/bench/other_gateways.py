"""Other gateways for the same work, installed below build/bench/gateways and nowhere else, in the
versions that tests/bench/gateways pins. Each forwards, as nginx does; neither charges anybody: LiteLLM's
budgets want a PostgreSQL server, Portkey's are not in what is published.
"""
import filecmp
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import harness
from targets import ROOT, THREADS, Target, free_port

PINNED = ROOT / "tests" / "bench" / "gateways"
INSTALLED = ROOT / "build" / "bench" / "gateways"
LITELLM_KEY = "sk-bench"

LITELLM = """
model_list:
  - model_name: bench
    litellm_params: {{ model: openai/bench, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none }}
"""


class NotInstalled(Exception):
    pass


def install(folder: pathlib.Path, pinned: pathlib.Path, commands: list[list]) -> None:
    """Runs the commands unless the folder has what `pinned` says, of which it keeps a copy."""
    mark = folder / ".installed"
    if mark.exists() and filecmp.cmp(mark, pinned, shallow=False):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for command in commands:
        print(f"bench: {' '.join(map(str, command))}", file=sys.stderr)
        try:
            done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)
        except OSError as error:
            raise NotInstalled(str(error)) from None
        if done.returncode != 0:
            raise NotInstalled((done.stderr or done.stdout)[-2000:])
    shutil.copyfile(pinned, mark)


class Gateway:
    """A gateway that runs; its log is in the folder of the run."""

    def __init__(self, name: str, folder: pathlib.Path, command: list, environment: dict, port: int,
                 body: dict, key: str, headers=()):
        self.log = folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **environment}, cwd=folder, start_new_session=True)
        self.target = Target(name, port, [], headers=headers)
        self.target.keys = [key]

        def answers() -> bool:
            if self.process.poll() is not None:
                raise NotInstalled(f"ended: {self.log.read_text(errors='replace')[-2000:]}")
            try:
                return harness.request(f"http://127.0.0.1:{port}/v1/chat/completions", "POST", body, key=key,
                                       headers=dict(line.split(": ", 1) for line in headers)).status == 200
            except OSError:
                return False
        try:
            harness.until(answers, f"{name} answers", 180)
        except BaseException:
            self.end()
            raise
        self.target.pids = family(self.process.pid)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    pids = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            pids += family(int(child))
    return pids


def start_portkey(folder: pathlib.Path, upstream: int, body: dict) -> Gateway:
    installed = INSTALLED / "portkey"
    lock = PINNED / "package-lock.json"
    install(installed, lock, [["cp", PINNED / "package.json", lock, "."],
                              ["npm", "ci", "--no-audit", "--no-fund", "--no-update-notifier",
                               "--loglevel=error"]])
    port = free_port()
    server = installed / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return Gateway(
        "portkey", folder, ["node", server, f"--port={port}", "--headless"],
        {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"}, port, body, "none",
        ["x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1"])


def start_litellm(folder: pathlib.Path, upstream: int, body: dict) -> Gateway:
    installed = INSTALLED / "litellm"
    pinned = PINNED / "requirements.txt"
    install(installed, pinned, [[sys.executable, "-m", "venv", "."],
                                ["bin/pip", "install", "-q", "--disable-pip-version-check", "--no-deps",
                                 "-r", pinned]])
    configuration = folder / "litellm.yaml"
    configuration.write_text(LITELLM.format(upstream=upstream))
    port = free_port()
    return Gateway(
        "litellm", folder, [installed / "bin" / "litellm", "--config", configuration, "--host", "127.0.0.1",
                            "--port", port, "--num_workers", THREADS, "--run_gunicorn"],
        # Its prices come with it, and are not fetched.
        {"LITELLM_MASTER_KEY": LITELLM_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}, port, body,
        LITELLM_KEY)


STARTS = {"portkey": start_portkey, "litellm": start_litellm}
