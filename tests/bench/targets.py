"""What is measured: the upstream itself, nginx in front of it, and Nutgate in front of it.

A `Field` has all three on loopback. It also keeps the books of the run: what the answers that were
asked for cost, and what the keys were charged for them.
"""
import hashlib
import os
import pathlib
import resource
import secrets
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / os.environ.get("BENCH_BUILD", "release")
PROGRAMS = ROOT / "build" / "release" / "tests" / "bench"
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
os.environ.setdefault("E2E_NUTGATE", str(BUILD / "nutgate"))
import harness  # noqa: E402  (needs the path and the binary above)

THREADS = os.cpu_count() or 1

# What every answer of tests/bench/upstream.cpp reports, and what it costs at these prices: exactly
# 13 * 1000 / 1000 + 64 * 2000 / 1000 msat where 64 tokens are generated.
PROMPT_TOKENS, COMPLETION_TOKENS = 13, 64
INPUT_MSAT_PER_1K, OUTPUT_MSAT_PER_1K = 1000, 2000


def cost_msat(completion_tokens: int = COMPLETION_TOKENS) -> int:
    return (PROMPT_TOKENS * INPUT_MSAT_PER_1K + completion_tokens * OUTPUT_MSAT_PER_1K) // 1000


# A stream takes two descriptors of its proxy. Debian's limit for services, and that of many
# containers, is about this; the rest is for upstreams that are kept, the store and the listeners.
STREAMS_MAX = 9_000
CONNECTIONS_MAX = 9_800

NGINX = """
daemon off; worker_processes {threads}; pid {folder}/nginx.pid; error_log stderr error;
worker_rlimit_nofile {files}; {user}
events {{ worker_connections {connections}; }}
http {{
    access_log off; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 1h;
    client_max_body_size 16m; client_body_buffer_size 2m; proxy_buffers 32 8k;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream mock {{
        server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        location /v1/ {{
            proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
        }}
        location /unbuffered/ {{
            proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_buffering off;
        }}
        location /refused/401 {{ return 401; }}
        location /refused/402 {{ return 402; }}
    }}
}}
"""

# "bench" is as small as a model can be; "bench-wide" takes long prompts and long streams.
NUTGATE = """
[[upstream]]
name = "mock"
dialect = "openai"
url = "http://127.0.0.1:{upstream}/v1"
calls_max = {connections}

[[model]]
id = "bench"
upstreams = ["mock"]
context = 4096
output_max = 64
price = {{ input_msat_per_1k = {input}, output_msat_per_1k = {output} }}

[[model]]
id = "bench-wide"
upstreams = ["mock"]
context = 4000000
output_max = 100000
price = {{ input_msat_per_1k = {input}, output_msat_per_1k = {output} }}

[lightning.simulated]
settle_ms = 0

[limits]
connections_max = {connections}
invoices_per_client_per_minute = 1000000
status_per_client_per_minute = 1000000
"""


def raise_file_limit() -> int:
    """As many descriptors as the machine lets us have; the children inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Target:
    def __init__(self, name: str, port: int, pids: list[int], stream_path: str = "", headers=()):
        self.name, self.port, self.pids, self.headers = name, port, pids, list(headers)
        self.path = "/v1/chat/completions"
        self.stream_path = stream_path or self.path
        self.keys: list[str] = []
        self.answered = 0
        self.expected_msat = 0

    def cpu_seconds(self) -> float:
        """Time on a core of all threads of its processes, to the nanosecond. Their pools are fixed:
        no thread ends within a cell and takes its time with it."""
        nanoseconds = 0
        for pid in self.pids:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((task / "schedstat").read_text().split()[0])
        return nanoseconds / 1e9

    def rss_kib(self) -> int:
        total = 0
        for pid in self.pids:
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total


def start_upstream(folder: pathlib.Path) -> tuple[harness.Process, int]:
    upstream = harness.Process([PROGRAMS / "bench_upstream"], folder / "upstream.log")
    return upstream, int(upstream.wait_ready())


def start_nginx(folder: pathlib.Path, upstream: int, streams: bool) -> tuple[subprocess.Popen, Target]:
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(
        threads=THREADS, folder=folder, upstream=upstream, port=port,
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        # It takes the memory of all of them at start.
        connections=2 * STREAMS_MAX + 1000 if streams else 8192,
        user="user root;" if os.getuid() == 0 else "",
    ))
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", configuration])
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    harness.until(lambda: len(children.read_text().split()) >= THREADS, "nginx has its workers")

    def answers() -> bool:
        try:
            return harness.request(f"http://127.0.0.1:{port}/v1/chat/completions", "POST", {}).status == 200
        except OSError:
            return False
    harness.until(answers, "nginx answers")
    pids = [process.pid, *map(int, children.read_text().split())]
    return process, Target("nginx", port, pids, stream_path="/unbuffered/v1/chat/completions")


def start_nutgate(folder: pathlib.Path, upstream: int) -> tuple[harness.Nutgate, Target]:
    configuration = folder / "nutgate.toml"
    configuration.write_text(NUTGATE.format(
        upstream=upstream, input=INPUT_MSAT_PER_1K, output=OUTPUT_MSAT_PER_1K,
        connections=CONNECTIONS_MAX))
    node = harness.Nutgate(folder / "nutgate", "--config", configuration).start()
    return node, target_of(node)


def target_of(node: harness.Nutgate) -> Target:
    return Target("nutgate", int(node.url.rpartition(":")[2]), [node.process.process.pid])


class Field:
    """The three targets; a context, at whose end all of it is gone."""

    def __init__(self, folder: pathlib.Path, with_nutgate: bool, with_streams: bool):
        self.folder = folder
        self.node = self.nginx_process = self.upstream = None
        self.funded: dict[str, int] = {}
        try:
            self.upstream, self.upstream_port = start_upstream(folder)
            self.nginx_process, self.nginx = start_nginx(folder, self.upstream_port, with_streams)
            self.direct = Target("direct", self.upstream_port, [])
            self.targets = [self.direct, self.nginx]
            if with_nutgate:
                self.node, self.nutgate = start_nutgate(folder, self.upstream_port)
                self.renew_key()
                self.targets.append(self.nutgate)
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> "Field":
        return self

    def __exit__(self, *_) -> None:
        self.end()

    def end(self) -> None:
        if self.node and self.node.process.running:
            self.node.stop()
        if self.nginx_process:
            self.nginx_process.terminate()
            self.nginx_process.wait()
        if self.upstream:
            self.upstream.kill()

    def proxies(self) -> list[Target]:
        return [target for target in self.targets if target is not self.direct]

    def buy_keys(self, count: int, sats: int) -> list[str]:
        keys = [self.node.buy_key(sats) for _ in range(count)]
        self.funded |= {key: self.node.balance(key) for key in keys}
        return keys

    def renew_key(self) -> None:
        """The key that Nutgate is asked with unless a measure says otherwise: as much as one invoice
        can put on a key, which is millions of answers, and more than one measure needs."""
        if self.node:
            self.nutgate.keys = self.buy_keys(1, 1_000_000)

    def file_of(self, text: str, kind: str) -> pathlib.Path:
        """A file that holds `text`; the same one for the same text."""
        path = self.folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        if not path.exists():
            path.write_text(text)
        return path

    def charged_msat(self) -> int:
        """What all keys together have paid until now."""
        return sum(funded - self.node.balance(key) for key, funded in self.funded.items())

    def books(self) -> dict:
        """What was sold since the start, and what was charged for it. The audit raises on a fault."""
        if not self.node:
            return {}
        charged = self.charged_msat()
        self.node.audit()
        return {"answered": self.nutgate.answered, "expected_msat": self.nutgate.expected_msat,
                "charged_msat": charged}


def wrong_keys(count: int) -> list[str]:
    """Well formed, and nobody's."""
    return ["sk-" + secrets.token_hex(32) for _ in range(count)]
