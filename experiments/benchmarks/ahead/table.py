"""The figures of compiled programs, and the bounds on them, as tables."""

from experiments.report.tables import markdown, number

HEADER = (
    *("program", "device", "compile s", "arguments MB", "temporaries MB", "expected / taken"),
    *("table copies", "size V", "prefetched", "cycles", "kernels", "read-backs", "steps a run"),
    *("branches", "cas", "collectives"),
)


def of_programs(lines: list[dict]) -> str:
    """A row a program; a dash for what it doesn't have."""
    return markdown(HEADER, [_row(line) for line in lines])


def _row(line: dict) -> list[str]:
    sized, prefetched = line.get("sized_v"), line.get("prefetched")
    ratio = line["expected_mb"] / line["takes_mb"] if "expected_mb" in line else None
    return [
        line["program"],
        line["device"],
        number(line["compile_sec"], 1),
        number(line["arguments_mb"], 1),
        number(line["temporaries_mb"], 1),
        number(ratio, 2),
        number(line["table_copies"]),
        number(None if sized is None else len(sized)),
        number(None if prefetched is None else len(prefetched)),
        number(line.get("cycles") or None),
        number(line.get("kernels")),
        number(line["read_backs"] if line["device"] == "h100" else None),
        number(line.get("trip_count")),
        number(line.get("conditionals")),
        number(line.get("compare_and_swaps")),
        number(line["collectives"]),
    ]


def of_bounds(found: list[dict]) -> str:
    """A row a bound."""
    header = "bound", "program", "device", "figure", "at most", "met"
    rows = [
        [
            line["bound"],
            line["program"],
            line["device"],
            _brief(line["figure"]),
            _brief(line["most"]),
            "yes" if line["met"] else "NO",
        ]
        for line in found
    ]
    return markdown(header, rows)


def _brief(value: float) -> str:
    return number(value, 0 if value == int(value) else 1)
