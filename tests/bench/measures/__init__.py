"""The measures of scripts/bench: one file each, with ABOUT, TAKES, add_options(parser) and run(field,
options), which gives a `Report`."""
import dataclasses


@dataclasses.dataclass
class Report:
    text: str  # Markdown.
    cells: list  # For the JSON file: each with what it was and what every round gave.
    failures: list = dataclasses.field(default_factory=list)  # What could not be measured, and why.
    books: dict | None = None  # Of nodes of its own; otherwise those of the field's node count.


def cells_of(cells: dict, medians: dict, names: tuple[str, ...]) -> list:
    """`cells` by (variant, target) as a list of objects; `names` are those of the variant's parts."""
    def parts(variant) -> dict:
        return dict(zip(names, variant if isinstance(variant, tuple) else (variant,)))
    return [{**parts(variant), "target": target, "median": medians[variant, target], "rounds": rounds}
            for (variant, target), rounds in cells.items()]
