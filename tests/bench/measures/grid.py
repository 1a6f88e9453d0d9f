"""JSON and SSE answers at several numbers of connections, each as fast as it is answered."""
from generators import BODY, Wanted, in_rounds, run_load
from measures import Report, cells_of
from tables import medians_of, mib, ratio, table, us

ABOUT = "JSON and SSE answers at 1, 32 and 128 connections (the default)"
TAKES = "3 min"


def add_options(parser) -> None:
    parser.add_argument("--connections", default="1,32,128", help="of grid")
    parser.add_argument("--kinds", default="json,sse", help="of grid")


def run(field, options) -> Report:
    kinds = options.kinds.split(",")
    connections = [int(count) for count in options.connections.split(",")]
    return measure(field, field.targets, kinds, connections, options, {kind: BODY for kind in kinds})


def measure(field, targets: list, kinds: list[str], connections: list[int], options,
            bodies: dict) -> Report:
    variants = [(kind, count) for kind in kinds for count in connections]

    def cell(variant, target) -> dict:
        kind, count = variant
        return run_load(field, target, Wanted(bodies[kind], stream=kind == "sse"), count, options.seconds)
    cells = in_rounds(options.rounds, variants, targets, cell)
    medians = medians_of(cells)
    text = throughput(medians, variants, targets)
    if "sse" in kinds:
        text += "\n\n" + pace(medians, connections, targets)
    return Report(text, cells_of(cells, medians, ("kind", "connections")))


def throughput(medians: dict, variants: list, targets: list) -> str:
    rows = []
    for variant in variants:
        for target in targets:
            cell, nginx = medians[variant, target.name], medians[variant, "nginx"]
            row = ["JSON" if variant[0] == "json" else "SSE", variant[1], target.name,
                   f"{cell['per_second']:,.0f}", ratio(cell["per_second"], nginx["per_second"]),
                   us(cell["p50_us"]), us(cell["p99_us"])]
            proxied = [f"{cell['cpu_us']:.0f}", ratio(cell["cpu_us"], nginx["cpu_us"]), mib(cell["rss_kib"])]
            rows.append(row + (["", "", ""] if not target.pids else proxied))
    return table(["answers", "connections", "target", "requests/s", "of nginx", "p50", "p99",
                  "CPU-µs/request", "of nginx", "RSS MiB"], rows)


def pace(medians: dict, connections: list[int], targets: list) -> str:
    rows = []
    for count in connections:
        for target in targets:
            cell = medians[("sse", count), target.name]
            rows.append([count, target.name, us(cell["first_p50_us"]), us(cell["first_p99_us"]),
                         us(cell["late_p99_us"]), f"{cell['stalls']:,.0f}"])
    return table(["paced streams (64 frames, 20 ms)", "target", "first frame p50", "p99",
                  "frame late by p99", "stalled frames"], rows)
