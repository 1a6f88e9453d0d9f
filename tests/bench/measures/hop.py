"""What one hop adds to a request, at a fixed rate that nobody's pauses slow down."""
from generators import BODY, Wanted, in_rounds, ordered_body, run_arrivals
from measures import Report, cells_of
from tables import medians_of, mib, ratio, table, us

ABOUT = "added latency at one connection and added time to first token, at a fixed rate (open loop)"
TAKES = "3 min"

# A stream as short as can be measured: what counts is its first frame.
FRAMES, FRAME_US = 8, 1000
STREAM_CONNECTIONS = 4


def add_options(parser) -> None:
    parser.add_argument("--hop-rate", type=float, default=500.0, help="JSON requests/s of hop")
    parser.add_argument("--hop-stream-rate", type=float, default=200.0, help="streams/s of hop")
    parser.add_argument("--hop-seconds", type=float, default=8.0,
                        help="of each cell of hop: a p99 wants more requests than a median")


def run(field, options) -> Report:
    short = Wanted(ordered_body(frames=FRAMES, interval_us=FRAME_US), stream=True, tokens=FRAMES)

    def cell(kind, target) -> dict:
        if kind == "json":
            return run_arrivals(field, target, Wanted(BODY), 1, options.hop_rate,
                                options.hop_seconds)
        return run_arrivals(field, target, short, STREAM_CONNECTIONS, options.hop_stream_rate,
                            options.hop_seconds)
    cells = in_rounds(options.rounds, ["json", "sse"], field.targets, cell)
    medians = medians_of(cells)
    rows = []
    for kind, what, timed in (("json", f"JSON answer, {options.hop_rate:,.0f}/s, 1 connection", "whole"),
                              ("sse", f"first frame, {options.hop_stream_rate:,.0f} streams/s", "first")):
        direct, nginx = medians[kind, "direct"], medians[kind, "nginx"]
        for target in field.targets:
            mine = medians[kind, target.name]
            proxied = [us(mine[f"{timed}_{share}_us"] - direct[f"{timed}_{share}_us"])
                       for share in ("p50", "p99")]
            proxied += [f"{mine['cpu_us']:,.0f}", ratio(mine["cpu_us"], nginx["cpu_us"]),
                        mib(mine["rss_kib"])]
            rows.append([what, target.name, us(mine[f"{timed}_p50_us"]), us(mine[f"{timed}_p99_us"]),
                         *([""] * len(proxied) if target is field.direct else proxied),
                         us(mine[f"{timed}_max_us"]), f"{mine['queued']:,.0f}",
                         us(mine["sent_late_p99_us"]), f"{mine['errors']:,.0f}"])
    text = table(["what", "target", "p50", "p99", "added p50", "added p99", "CPU-µs/request", "of nginx",
                  "RSS MiB", "max", "waited for a connection", "generator late p99", "errors"], rows)
    return Report(text, cells_of(cells, medians, ("kind",)))
