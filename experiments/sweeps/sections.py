"""Which settings stand in which of a sweep's tables, and in what order."""

from collections.abc import Sequence

import numpy as np

from experiments.sweeps.compare import (
    Group,
    baseline,
    changed_axes,
    measures_of,
    names,
    of_axis,
)

BEST_SHOWN = 20  # rows of a table of settings that were drawn


def sections(
    every: Sequence[Group], settings: dict
) -> list[tuple[str, Sequence[Group], Sequence[str]]]:
    """The tables: title, rows, and the swept axes that are columns."""
    base, swept = settings.get("base", {}), names(every, settings)
    if settings.get("design") == "axes":
        found = [(name, of_axis(every, name, base), [name]) for name in swept]
        several = [group for group in every if len(changed_axes(group.setting, base)) > 1]
        if several:
            found.append(("several at once", several, swept))
        return found
    rungs = {group.lost_rung for group in every} - {None}
    if rungs:
        return _by_rungs(every, sorted(rungs, reverse=True), swept, settings)
    if settings.get("design") == "random":
        ranked = sorted(every, key=_likeness, reverse=True)
        top = [g for i, g in enumerate(ranked) if i < BEST_SHOWN or g is baseline(every, settings)]
        return [("", top, swept)]
    return [("", every, swept)]


def _by_rungs(
    every: Sequence[Group], rungs: Sequence[int], swept: Sequence[str], settings: dict
) -> list[tuple[str, Sequence[Group], Sequence[str]]]:
    """Settings that halving let go on to the end, then those that it stopped, the best first."""
    by = settings.get("halving_by", "")
    decides = next((m for m in measures_of(settings) if m.items == by), measures_of(settings)[0])
    titles = {None: "Trained to the end", **{n: f"Stopped after epoch {n}" for n in rungs}}

    def cost(group):
        values = list(group.by_seed(decides.field).values())
        return np.mean(values) * (1 if decides.lowest else -1) if values else np.inf

    found = []
    lost = [group for group in every if not group.runs]
    for rung, title in titles.items():
        some = sorted((g for g in every if g.lost_rung == rung and g.runs), key=cost)
        if some:
            found.append((f"{title}, by {decides.name}", some[:BEST_SHOWN], swept))
    return found + [("Diverged", lost[:BEST_SHOWN], swept)] * bool(lost)


def _likeness(group: Group) -> float:
    """Mean of the two correlations' means; least where neither is known."""
    fields = ("wordsim353_spearman", "simlex999_spearman")
    known = [np.mean(list(v.values())) for v in map(group.by_seed, fields) if v]
    return float(np.mean(known)) if known else -np.inf
