"""--pairs, --analogies: one's own sets, measured beside the standard ones."""

from collections.abc import Sequence
from pathlib import Path

from experiments.cli.config import RunConfig
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation, item_sets
from w2v_jax.vectors.evaluation import Measure
from w2v_jax.vectors.item_sets import ItemSet
from w2v_jax.vectors.suites import ANALOGIES


def of(config: RunConfig) -> tuple[ItemSet, ...]:
    """The sets of a run's flags, none where it measures nothing.

    Raises UserError, which names flag, file and line.
    """
    if not config.evaluate:
        return ()
    return item_sets.read_all(config.pairs, config.analogies, config.score_column)


def without_sections(measures: Sequence[Measure], own: Sequence[ItemSet]) -> list[Measure]:
    """Of analogies the measure over all, which stands behind its sections."""
    analogies = (*evaluation.ANALOGY_SETS, *(one.name for one in own if one.kind == ANALOGIES))
    whole = {f"{name}_accuracy" for name in analogies} | {one.headline for one in own}
    sections = tuple(f"{name}_" for name in analogies)
    return [m for m in measures if m.name in whole or not m.name.startswith(sections)]


def together(there: Sequence[ItemSet], here: Sequence[ItemSet]) -> tuple[ItemSet, ...]:
    """Those of a folder and those that are given, each once, under the folder's names.

    A set is the same where its items are. Raises UserError for a set of the folder that is not
    given again and can't be read any more.
    """
    known = {(one.kind, one.sha256): one for one in here}
    found = []
    for one in there:
        again = known.pop((one.kind, one.sha256), None)
        if again is None and not item_sets.unchanged(one):
            gone = "holds other items now" if Path(one.path).exists() else "isn't there any more"
            raise UserError(
                f"--{one.kind}={one.path}: the folder's trials are measured with it, and it {gone};"
                f" name a file with these items by --{one.kind}, or give another folder"
            )
        found.append((again or one)._replace(name=one.name))
    for one in known.values():
        found.append(item_sets.renamed(one, found))
    return tuple(found)


def in_json(own: Sequence[ItemSet]) -> list[dict]:
    """Sets as settings.json has them."""
    return [one._asdict() for one in own]


def of_json(found: Sequence[dict]) -> tuple[ItemSet, ...]:
    """Sets of settings.json. Raises UserError where they are none."""
    try:
        return tuple(ItemSet(**one) for one in found)
    except TypeError as error:
        raise UserError(f"settings.json: own_sets: {error}") from error
