"""Thousands of paced streams at a time: whether any stalls, and what a frame costs."""
import math

from generators import Wanted, in_rounds, ordered_body, run_streams
from measures import Report, cells_of
from targets import STREAMS_MAX
from tables import medians_of, mib, ratio, table, us

ABOUT = "2,000 streams with a frame each 40 ms, 9,000 with one each 200 ms; 50 keys in turn"
TAKES = "4 min"

KEYS, SATS_PER_KEY = 50, 100_000
BEGIN_PER_SECOND = 2_000
SETTLE_MS = 1_000


def add_options(parser) -> None:
    parser.add_argument("--streams", default="2000@40,9000@200", help="of streams: N@MILLISECONDS, …")
    parser.add_argument("--stream-seconds", type=float, default=10.0, help="of each window of streams")
    parser.add_argument("--stream-rounds", type=int, default=2, help="of streams")


def orders(text: str) -> list[tuple[int, int]]:
    found = [tuple(int(part) for part in order.split("@")) for order in text.split(",")]
    if any(count > STREAMS_MAX for count, _ in found):
        raise SystemExit(f"bench: at most {STREAMS_MAX} streams")
    return found


def run(field, options) -> Report:
    variants = orders(options.streams)
    keys = field.buy_keys(KEYS, SATS_PER_KEY) if field.node else []

    def cell(variant, target) -> dict:
        count, milliseconds = variant
        lasts = count / BEGIN_PER_SECOND + SETTLE_MS / 1000 + options.stream_seconds + 0.5
        frames = math.ceil(1000 * lasts / milliseconds)
        body = ordered_body(frames=frames, interval_us=1000 * milliseconds)
        wanted = Wanted(body, stream=True, tokens=frames, interval_us=1000 * milliseconds,
                        keys=keys if target.keys else [])
        return run_streams(field, target, wanted, count, BEGIN_PER_SECOND, options.stream_seconds,
                           SETTLE_MS)
    cells = in_rounds(options.stream_rounds, variants, field.targets, cell)
    medians = medians_of(cells)
    rows = []
    for variant in variants:
        nginx = medians[variant, "nginx"]
        for target in field.targets:
            mine = medians[variant, target.name]
            cpu = [f"{mine['cpu_us']:.1f}", ratio(mine["cpu_us"], nginx["cpu_us"]), mib(mine["rss_kib"])]
            rows.append([f"{variant[0]:,} at {variant[1]} ms", target.name,
                         f"{mine['frames_per_second']:,.0f}",
                         ratio(mine["frames_per_second"], nginx["frames_per_second"]),
                         f"{mine['stalls']:,.0f}", f"{mine['stalls_outside']:,.0f}",
                         us(mine["late_p50_us"]), us(mine["late_p99_us"]), us(mine["late_max_us"]),
                         us(mine["first_p99_us"]), *(["", "", ""] if target is field.direct else cpu),
                         f"{mine['errors']:,.0f}", f"{mine['frames_missing']:,.0f}"])
    text = table(["streams", "target", "frames/s", "of nginx", "stalls", "while they began and ended",
                  "late p50", "late p99", "late max", "first frame p99", "CPU-µs/frame", "of nginx",
                  "RSS MiB", "errors", "frames missing"], rows)
    text += "\n\n" + smooth(medians, variants, field)
    return Report(text, cells_of(cells, medians, ("streams", "interval_ms")))


def smooth(medians: dict, variants: list, field) -> str:
    """Of what was tried, the most that every round did without a stall, an error or a lost frame."""
    most = {}
    for target in field.targets:
        tried = [medians[variant, target.name] for variant in variants]
        most[target.name] = max((mine["frames_per_second"] for mine in tried if not (
            mine["stalls"] or mine["stalls_outside"] or mine["errors"] or mine["frames_missing"])),
            default=0)
    shown = ", ".join(f"{name} {rate:,.0f} ({ratio(rate, most['nginx'])} of nginx)"
                      for name, rate in most.items())
    return f"Most frames/s without a stall: {shown}."
