"""The best of two searches: chosen on one half of the word pairs, judged on the other."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import flags

from experiments.report import tables
from experiments.sweeps.compare import shown
from experiments.sweeps.search_compare import (
    MEASURES,
    SEARCHES,
    SUM,
    Half,
    Search,
    gaps,
    measured,
    read,
)
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import UserError
from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure
from w2v_jax.vectors.style import INK

COLOURS = {"ours": style.BLUE, "gensim": style.RED}
TOP = 5  # settings of each search that are shown
PER_LINE = 100


def define_flags() -> None:
    """The folders."""
    for name in SEARCHES:
        flags.DEFINE_string(name, "", f"Folder of {SEARCHES[name]}'s search.")
        flags.DEFINE_string(f"{name}_judge", "", "Folder with its choice, trained with new seeds.")
    flags.DEFINE_string("workdir", "", "Folder of the report (default: --ours).")


def main() -> None:
    """Reads, chooses, judges; prints the report."""
    given = flags.FLAGS
    for name in SEARCHES:
        if not given[name].value:
            raise UserError(f"--{name}=OUT is missing")
    searches, judging = read({n: (given[n].value, given[f"{n}_judge"].value) for n in SEARCHES})
    folder = Path(given.workdir or given.ours).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--workdir={folder}: {error.strerror or error}") from error
    text = document(searches, judging)
    write_atomically(str(folder / "report.md"), text.encode())
    print(text)
    draw(folder / "search.png", searches, judging)
    print(f"written to {folder / 'report.md'}\nwritten to {folder / 'search.png'}")


def document(searches: Mapping[str, Search], judging: Half) -> str:
    """report.md."""
    pairs = {n: int(used.sum()) for n, used in judging.used.items()}
    known = " and ".join(f"{pairs[n]} of {title}'s" for n, title in MEASURES.items())
    parts = [
        "# The best of two searches\n",
        _wrapped(
            "Scores are sums of Spearman's rho on WordSim-353 and SimLex-999. Each search's best "
            "setting is chosen on half of the word pairs (by sha256 of the pair), and judged on "
            f"the other half: {known} pairs, of those that the vocabulary covers."
        ),
        _chosen(searches),
        "## Judged\n",
        _judged(searches, judging),
        _differences(searches, judging),
        *(part for name in SEARCHES for part in _top(name, searches[name])),
        _wrapped(
            "What the median changes by from half to half is the halves' own difference; what the "
            "best lose beyond it, they owed to chance."
        ),
    ]
    return "\n".join(parts)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, PER_LINE, break_long_words=False, break_on_hyphens=False) + "\n"


def _values(setting: Mapping) -> str:
    return ", ".join(f"{name}={shown(value)}" for name, value in setting.items())


def _chosen(searches: Mapping[str, Search]) -> str:
    text = []
    for name, search in searches.items():
        own, lost = search.tried[search.best].line, int(np.isnan(search.choosing).sum())
        without = f" ({lost} without a score: diverged, or words unknown)" if lost else ""
        words = (
            f"- {SEARCHES[name]}: {tables.counted(len(search.tried), 'trial')}{without}, "
            f"chosen is trial {own['member']}: {_values(own['setting'])}"
        )
        style = dict(subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        text.append(textwrap.fill(words, PER_LINE, **style))
    return "\n".join(text) + "\n"


def _judged(searches: Mapping[str, Search], judging: Half) -> str:
    rows = []
    for name, search in searches.items():
        own = measured(search.tried[search.best].cosines, judging)
        cells = [f"{own[m]:.3f}" for m in (*MEASURES, SUM)]
        rows.append([f"{SEARCHES[name]}, the search's trial", "1", *cells])
        if search.judges:
            runs = [measured(m.cosines, judging) for m in search.judges]
            cells = [tables.mean_and_interval([run[m] for run in runs]) for m in (*MEASURES, SUM)]
            rows.append([f"{SEARCHES[name]}, new seeds", str(len(runs)), *cells])
    return tables.markdown(["judging half", "seeds", *MEASURES.values(), SUM], rows)


def _differences(searches: Mapping[str, Search], judging: Half) -> str:
    found, columns = gaps(searches, judging), (*MEASURES, SUM)
    welch = all(len(search.runs) > 1 for search in searches.values())
    alone = [found[n].over_seeds for n in columns]
    rows = [
        [
            "± over seeds (Welch)" if welch else "difference",
            *(tables.plus_minus(e.mean, e.half, sign="+") for e in alone),
        ]
    ]
    wide = [found[n].over_items for n in columns]
    if all(wide):
        rows.append(["over items too", *(tables.half_width(e.half) for e in wide)])
    title = f"{SEARCHES['ours']} minus {SEARCHES['gensim']}"
    table = tables.markdown([title, *MEASURES.values(), SUM], rows)
    legend = [
        "±: half width of the 95% interval over seeds, items the same (Student's t; differences: "
        "Welch's).",
        "Over items too: that for other seeds and other word pairs; pairs that share a word vary "
        "together."
        if all(wide)
        else "Fewer than three seeds decide nothing.",
    ]
    for name, search in searches.items():
        if not search.judges:
            legend.append(
                f"{SEARCHES[name]} was not trained again with other seeds: its figures are of the "
                "search's own run."
            )
    return f"{table}\n{_wrapped(' '.join(legend))}"


def _top(name: str, search: Search) -> tuple[str, str]:
    """The head and table of a search's best settings on the choosing half."""
    indices = np.argsort(-search.choosing, kind="stable")[:TOP]  # NaN is last
    axes = list(search.tried[search.best].line["setting"])
    rows = []
    for index in indices[np.isfinite(search.choosing[indices])]:
        line = search.tried[index].line
        scores = [f"{half[index]:.3f}" for half in (search.choosing, search.judging)]
        rank = 1 + int(np.sum(search.judging > search.judging[index]))
        values = [shown(line["setting"].get(axis, "–")) for axis in axes]
        rows.append([str(line["member"]), *scores, str(rank), *values])
    medians = [f"{np.nanmedian(half):.3f}" for half in (search.choosing, search.judging)]
    rows.append([f"median of {len(search.tried)}", *medians, *[""] * (1 + len(axes))])
    header = ["trial", "choosing half", "judging half", "rank there", *axes]
    head = f"## {SEARCHES[name]}'s best on the choosing half\n"
    return head, tables.markdown(header, rows)


def draw(path: Path, searches: Mapping[str, Search], judging: Half) -> None:
    """search.png: every trial's score on both halves, sorted; the best against trials tried.

    Raises UserError without matplotlib or where path cannot be written.
    """
    figure = new_figure(11, 4.6)
    left, right = figure.subplots(1, 2, sharey=True)
    for name, search in searches.items():
        _sorted(left, search, COLOURS[name])
    _best_so_far(right, searches, judging)
    left.set_title("lines: choosing half; dots: the same trials, judging half", loc="left")
    left.set_xlabel("trials, sorted by the choosing half")
    left.set_ylabel("Spearman's rho, WordSim-353 + SimLex-999")
    right.set_title("lines: best so far, choosing half; points: judged", loc="left")
    right.set_xlabel("trials tried")
    right.legend(loc="lower right", frameon=False)
    for axes in (left, right):
        axes.title.set_color(INK)
        style.plain_axes(axes)
    save_figure(figure, path)


def _sorted(axes, search: Search, colour: str) -> None:
    order = np.argsort(-search.choosing, kind="stable")
    order = order[np.isfinite(search.choosing[order])]
    ranks = np.arange(1, len(order) + 1)
    axes.plot(ranks, search.choosing[order], color=colour, linewidth=2)
    axes.plot(ranks, search.judging[order], ".", color=colour, alpha=0.45, ms=5)


def _best_so_far(axes, searches: Mapping[str, Search], judging: Half) -> None:
    """The lines, and to their right what the choices are worth, with 95% intervals over seeds."""
    tried = max(len(search.tried) for search in searches.values())
    for number, (name, search) in enumerate(searches.items(), 1):
        style = {"color": COLOURS[name]}
        best = np.fmax.accumulate(search.choosing)
        axes.step(range(1, len(best) + 1), best, where="post", linewidth=2, **style)
        runs = [measured(m.cosines, judging)[SUM] for m in search.runs]
        mean, half = tables.interval(runs)
        x = tried * (1 + 0.06 * number)
        axes.plot([x] * len(runs), runs, ".", alpha=0.35, ms=5, **style)
        axes.errorbar(x, mean, half, fmt="o", capsize=3, label=SEARCHES[name], **style)
