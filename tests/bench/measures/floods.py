"""Refusals as fast as they can be had: keys that nobody has, and a key with too little money."""
from generators import BODY, Wanted, in_rounds, ordered_body, run_load
from measures import Report, cells_of
from targets import wrong_keys
from tables import medians_of, mib, ratio, table, us

ABOUT = "wrong keys (401) and empty keys (402) against nginx's `return 401` and `return 402`"
TAKES = "1 min"

CONNECTIONS = 32
WRONG_KEYS = 10_000
# More than one sat can pay, so that the key that has one is refused before anything is sold.
DEAR = ordered_body(frames=4096)


def add_options(_parser) -> None:
    pass


def run(field, options) -> Report:
    wrong = wrong_keys(WRONG_KEYS)
    empty = field.buy_keys(1, 1) if field.node else []

    def cell(status, target) -> dict:
        path = f"/refused/{status}" if target is field.nginx else target.path
        keys = wrong if status == 401 else empty or wrong[:1]
        body = BODY if status == 401 else DEAR
        return run_load(field, target, Wanted(body, status=status, keys=keys, path=path), CONNECTIONS,
                        options.seconds)
    cells = in_rounds(options.rounds, [401, 402], field.proxies(), cell)
    medians = medians_of(cells)
    rows = []
    for status, what in ((401, "401, keys that nobody has"), (402, "402, a key that has too little")):
        nginx = medians[status, "nginx"]
        for target in field.proxies():
            mine = medians[status, target.name]
            rows.append([what, target.name, f"{mine['per_second']:,.0f}",
                         ratio(mine["per_second"], nginx["per_second"]), us(mine["p50_us"]),
                         us(mine["p99_us"]), f"{mine['cpu_us']:.0f}",
                         ratio(mine["cpu_us"], nginx["cpu_us"]), mib(mine["rss_kib"]),
                         f"{mine['reopened']:,.0f}", f"{mine['errors']:,.0f}"])
    text = table(["refusal", "target", "refusals/s", "of nginx", "p50", "p99", "CPU-µs/refusal",
                  "of nginx", "RSS MiB", "connections closed", "errors"], rows)
    return Report(text, cells_of(cells, medians, ("status",)))
