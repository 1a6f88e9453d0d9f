"""Long prompts with short answers, and a long answer to a short prompt."""
from generators import Wanted, in_rounds, ordered_body, run_load
from measures import Report, cells_of
from tables import medians_of, mib, ratio, table, us

ABOUT = "prompts of 1 KB, 100 KB and 1 MB; an answer of 100 KB; 32 connections"
TAKES = "2 min"

CONNECTIONS = 32
SIZES = [(1_000, 384), (100_000, 384), (1_000_000, 384), (1_000, 100_000)]  # Prompt, answer.


def add_options(_parser) -> None:
    pass


def shown(count: int) -> str:
    return f"{count // 1_000_000} MB" if count >= 1_000_000 else f"{count // 1000} KB" if count >= 1000 \
        else f"{count} B"


def run(field, options) -> Report:
    wanted = {size: Wanted(ordered_body(prompt_bytes=size[0], answer_bytes=size[1])) for size in SIZES}

    def cell(size, target) -> dict:
        return run_load(field, target, wanted[size], CONNECTIONS, options.seconds)
    cells = in_rounds(options.rounds, SIZES, field.targets, cell)
    medians = medians_of(cells)
    rows = []
    for size in SIZES:
        nginx = medians[size, "nginx"]
        for target in field.targets:
            mine = medians[size, target.name]
            proxied = [f"{mine['cpu_us']:,.0f}", ratio(mine["cpu_us"], nginx["cpu_us"]),
                       mib(mine["rss_kib"])]
            rows.append([shown(size[0]), shown(size[1]), target.name, f"{mine['per_second']:,.0f}",
                         ratio(mine["per_second"], nginx["per_second"]), us(mine["p50_us"]),
                         us(mine["p99_us"]), *(["", "", ""] if target is field.direct else proxied),
                         f"{mine['errors']:,.0f}"])
    text = table(["prompt", "answer", "target", "requests/s", "of nginx", "p50", "p99",
                  "CPU-µs/request", "of nginx", "RSS MiB", "errors"], rows)
    return Report(text, cells_of(cells, medians, ("prompt_bytes", "answer_bytes")))
