"""Other gateways for language models, in the same rounds as nginx and Nutgate."""
import sys

from generators import BODY, Wanted, run_load
from measures import Report, grid
from other_gateways import STARTS, NotInstalled

ABOUT = "Portkey's gateway and LiteLLM in the same rounds (installs them below build/bench)"
TAKES = "4 min, and their installation"

KINDS, CONNECTIONS = ["json", "sse"], [1, 32]
# LiteLLM tells the usage of a stream only when it is asked for.
ASKING = {**BODY, "stream_options": {"include_usage": True}}


def add_options(_parser) -> None:
    pass


def run(field, options) -> Report:
    running, failures = [], []
    try:
        for name, start in STARTS.items():
            print(f"bench: starting {name}", file=sys.stderr)
            try:
                gateway = start(field.folder, field.upstream_port, BODY)
            except (NotInstalled, AssertionError) as error:
                failures.append(f"{name} was NOT MEASURED, it could not be installed or started: {error}")
                continue
            running.append(gateway)
            run_load(field, gateway.target, Wanted(BODY), 8, 2.0)
        targets = field.targets + [gateway.target for gateway in running]
        report = grid.measure(field, targets, KINDS, CONNECTIONS, options,
                              {"json": BODY, "sse": ASKING})
    finally:
        for gateway in running:
            gateway.end()
    report.failures = failures
    return report
