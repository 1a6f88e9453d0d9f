"""Medians over the rounds, and Markdown."""
import statistics

# What must not happen at all is that of the worst round: the others would hide it.
FAULTS = {"errors", "stalls", "stalls_outside", "streams_stalled", "frames_missing"}


def median_of(cells: list[dict]) -> dict:
    return {name: (max if name in FAULTS else statistics.median)([cell[name] for cell in cells])
            for name in cells[0]}


def medians_of(cells: dict) -> dict:
    return {which: median_of(rounds) for which, rounds in cells.items()}


def table(heads: list[str], rows: list[list]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += ["| " + " | ".join(str(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def us(value: float) -> str:
    return f"{value:,.0f} µs"


def mib(kib: float) -> str:
    return f"{kib / 1024:,.0f}"


def ratio(value: float, of: float) -> str:
    if not of:
        return "–"
    return f"{value / of:.2f}" if value / of >= 0.1 or value == 0 else f"{value / of:.4f}"
