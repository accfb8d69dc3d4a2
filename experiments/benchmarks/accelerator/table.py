"""One table of all items, of at most 60 lines, to be read as plain text."""

from collections.abc import Mapping, Sequence

from experiments.benchmarks.accelerator.items import ITEMS, Column, Item

DONE, FAILED, OVER = "done", "failed", "over its limit"
WIDEST = 60  # characters of a cell
LONGEST = 150  # characters of a reason
DASH = "–"


def document(
    lines: Mapping[int, dict | None], left_out: Mapping[int, str], settings: Mapping
) -> str:
    """The table; lines: each item's last line of results, or None."""
    parts = [head(settings)]
    for item in ITEMS:
        parts += section(item, lines.get(item.number), left_out.get(item.number, ""))
    return "\n".join(parts)


def head(settings: Mapping) -> str:
    """Which machine, and whether it was a rehearsal."""
    what = f"{settings['count']} x {settings['kind']}, jax {settings['jax']}"
    what += f"; {settings['machine']}"
    rehearsed = "REHEARSAL with tiny sizes, no measurement: " if settings["tiny"] else ""
    return f"{rehearsed}{what}"


def section(item: Item, line: dict | None, left_out: str) -> list[str]:
    """An item's lines: what it is and how it ended, the names of its columns, its rows."""
    title = f"{item.number}. {item.title}"
    if line is None:
        return [f"{title}: not measured{f' ({left_out})' if left_out else ''}"]
    told = f"{title}: {line['sec']:.0f} s"
    if line["status"] != DONE:
        told += f"; {line['status']}: {' '.join(line['error'].split())[:LONGEST]}"
    rows = line["rows"]
    notes = [row["note"] for row in rows if set(row) == {"note"}]
    told += "".join(f"; {note}" for note in notes)
    rows = [row for row in rows if set(row) != {"note"} and row.get("rank", 0) <= item.most_rank]
    if item.module == "sanity":
        wrong = [str(row.get("operation")) for row in rows if not row.get("right")]
        told += f"; {len(rows) - len(wrong)} of {len(rows)} right"
        told += f"; wrong: {'; '.join(wrong)[:LONGEST]}" if wrong else ""
        rows = []
    more = len(rows) - item.most_rows
    if more > 0:
        told += f"; {more} more in results.jsonl"
    return [told, *table_of(item.columns, rows[: item.most_rows])]


def table_of(columns: Sequence[Column], rows: Sequence[Mapping]) -> list[str]:
    """Rows under the names of their columns, right-justified; nothing for no rows."""
    if not rows:
        return []
    cells = [[column.heading for column in columns]]
    cells += [[cell(row.get(column.field), column.digits) for column in columns] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    return [
        "   " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
        for row in cells
    ]


def cell(value, digits: int) -> str:
    """A value as text: yes and no, figures with their digits, small ones with a power of ten."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value and abs(value) < 10.0**-digits:
            return f"{value:.1e}"
        return f"{value:,.{digits}f}"
    return " ".join(str(value).split())[:WIDEST]
