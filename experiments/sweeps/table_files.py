"""A sweep's figures for other programs: table.csv, table.json, and table.tex for a paper."""

import csv
import io
import json
from collections.abc import Mapping, Sequence

from experiments.report import over_items, stats
from experiments.report.tables import plus_minus
from experiments.sweeps.compare import (
    Comparison,
    Group,
    Measure,
    comparisons,
    groups,
    measures_of,
    names,
    shown,
)

COLUMNS = (
    *("measure", "seeds", "mean", "half", "difference", "difference_half"),
    *("difference_half_over_items", "p", "p_holm"),
)
STOPPED = "stopped_after_epoch"  # of a setting that halving stopped
_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "\\": "\\textbackslash{}",
}


def rows(
    lines: Sequence[dict], items: Mapping[str, over_items.Items], settings: dict
) -> list[dict]:
    """A row a setting and measure: its values, mean, difference from the baseline, intervals, p.

    Halves are of 95% intervals: over seeds, and over seeds and items. p: what decides, over items
    too where they are known; p_holm: corrected for all comparisons of the measure. None where there
    is none.
    """
    every = groups(lines)
    compared = comparisons(every, items, settings)
    swept = names(every, settings)
    found = []
    for group in every:
        for measure in measures_of(settings):
            values = list(group.by_seed(measure.field).values())
            if values:
                own = next((c for c in compared[measure.field] if c.group is group), None)
                setting = {name: group.setting.get(name) for name in swept}
                setting |= {STOPPED: group.lost_rung} if halved(every) else {}
                found.append({**setting, **_figures(measure, values, own)})
    return found


def halved(every: Sequence[Group]) -> bool:
    """Whether some settings were stopped at a rung, so that figures are of other epochs."""
    return any(group.lost_rung is not None for group in every)


def _figures(measure: Measure, values: Sequence[float], own: Comparison | None) -> dict:
    mean = stats.over_seeds(values)
    found = dict.fromkeys(COLUMNS)
    found |= {"measure": measure.field, "seeds": len(values), "mean": mean.mean, "half": mean.half}
    if own:
        wide = own.over_items
        found |= {
            "difference": own.over_seeds.mean,
            "difference_half": own.over_seeds.half,
            "difference_half_over_items": wide and wide.half,
            "p": own.estimate.p if own.holm is not None else None,
            "p_holm": own.holm,
        }
    return found


def as_csv(found: Sequence[dict]) -> str:
    """The rows with a header, empty where there is no figure."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(found[0]) if found else COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return file.getvalue()


def as_json(found: Sequence[dict], settings: dict) -> str:
    """The rows, with what they share."""
    shared = {name: settings.get(name) for name in ("flags", "corpus_sha256", "heldout_sha256")}
    finite = [{n: _finite(value) for n, value in row.items()} for row in found]
    return json.dumps({**shared, "rows": finite}, indent=1, allow_nan=False) + "\n"


def _finite(value):
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def as_latex(lines: Sequence[dict], items: Mapping[str, over_items.Items], settings: dict) -> str:
    """A tabular of booktabs, a row a setting, `mean +- half`; * and ** as in table.md."""
    every = groups(lines)
    compared = comparisons(every, items, settings)
    swept = names(every, settings)
    measures = [m for m in measures_of(settings) if any(group.by_seed(m.field) for group in every)]
    told = ["stopped after epoch"] if halved(every) else []
    header = [*swept, *told, *(m.name for m in measures)]
    words = len(swept) + len(told)
    text = [f"\\begin{{tabular}}{{{'l' * words}{'r' * len(measures)}}}", "\\toprule"]
    text += [_line(map(_escaped, header)), "\\midrule"]
    for group in sorted(every, key=lambda group: -(group.lost_rung or 10**9)):
        values = [_escaped(shown(group.setting.get(name, "--"))) for name in swept]
        values += ["--" if group.lost_rung is None else str(group.lost_rung)] * len(told)
        text.append(_line([*values, *(_cell(group, m, compared[m.field]) for m in measures)]))
    return "\n".join([*text, "\\bottomrule", "\\end{tabular}", ""])


def _line(cells) -> str:
    return " & ".join(cells) + " \\\\"


def _cell(group: Group, measure: Measure, compared: Sequence[Comparison]) -> str:
    values = list(group.by_seed(measure.field).values())
    if not values:
        return "--"
    mean = stats.over_seeds(values)
    text = plus_minus(mean.mean, mean.half, measure.digits).replace("±", "\\pm")
    own = next((c for c in compared if c.group is group), None)
    marks = "**" if own and own.significant else "*" if own and own.alone else ""
    return f"${text}{f'^{{{marks}}}' * bool(marks)}$"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text)
