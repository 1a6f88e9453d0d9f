"""One key that everybody uses, against as many keys as a busy node has at a time."""
from generators import BODY, Wanted, in_rounds, run_load
from measures import Report, cells_of
from tables import medians_of, mib, ratio, table, us

ABOUT = "one hot key against 200 keys in turn, 32 connections"
TAKES = "1 min"

KEYS, SATS_PER_KEY, CONNECTIONS = 200, 20_000, 32


def add_options(_parser) -> None:
    pass


def run(field, options) -> Report:
    many = field.buy_keys(KEYS, SATS_PER_KEY) if field.node else []

    def cell(count, target) -> dict:
        keys = [] if not target.keys else target.keys[:1] if count == 1 else many
        return run_load(field, target, Wanted(BODY, keys=keys), CONNECTIONS, options.seconds)
    cells = in_rounds(options.rounds, [1, KEYS], field.proxies(), cell)
    medians = medians_of(cells)
    rows = []
    for count in (1, KEYS):
        nginx = medians[count, "nginx"]
        for target in field.proxies():
            mine = medians[count, target.name]
            rows.append([count if target.keys else "–", target.name, f"{mine['per_second']:,.0f}",
                         ratio(mine["per_second"], nginx["per_second"]), us(mine["p50_us"]),
                         us(mine["p99_us"]), f"{mine['cpu_us']:.0f}",
                         ratio(mine["cpu_us"], nginx["cpu_us"]), mib(mine["rss_kib"]),
                         f"{mine['errors']:,.0f}"])
    text = table(["keys", "target", "requests/s", "of nginx", "p50", "p99", "CPU-µs/request",
                  "of nginx", "RSS MiB", "errors"], rows)
    return Report(text, cells_of(cells, medians, ("keys",)))
