"""Two searches: the best of each, chosen on one half of the word pairs, judged on the other."""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.cli import earlier_flags
from experiments.report import over_items, stats
from experiments.runs.store import LINES, SETTINGS
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation, judgements

MEASURES = {"wordsim353": "WordSim-353", "simlex999": "SimLex-999"}
SUM = "sum"
SEARCHES = {"ours": "w2v_jax", "gensim": "gensim"}  # flags, and names in text and plot
APART = ("seed", "window_limit", "negatives_limit", "data_dir")  # no part of a setting


class Half(NamedTuple):
    """Half of the word pairs of each file."""

    people: dict[str, np.ndarray]  # people's scores [N], by MEASURES
    used: dict[str, np.ndarray]  # [N] bool: in this half, and known to the trials


class Trial(NamedTuple):
    """One training of a search, or one that judges it."""

    line: dict  # of results.jsonl
    cosines: dict[str, np.ndarray]  # [N] of each of MEASURES, NaN where a word is unknown
    setting: dict  # with all that the folder's settings.json tells, where it tells it


class Search(NamedTuple):
    """A search, and what judges its choice."""

    tried: list[Trial]  # in their order
    choosing: np.ndarray  # [tried] score on the choosing half, NaN where it can't be chosen
    judging: np.ndarray  # [tried] the same on the judging half
    best: int  # index of the chosen one
    judges: list[Trial]  # its setting with other seeds

    @property
    def runs(self) -> list[Trial]:
        """What the judgement rests on: the other seeds, or the chosen trial where none are."""
        return self.judges or [self.tried[self.best]]


def chooses(first: str, second: str) -> bool:
    """Whether a word pair is in the choosing half: the first byte of sha256("a b") is even.

    a, b: the words in lower case, in the order of the alphabet, so that (b, a) is in (a, b)'s half.
    """
    pair = " ".join(sorted((first.lower(), second.lower())))
    return hashlib.sha256(pair.encode()).digest()[0] % 2 == 0


def halves(known: Mapping[str, np.ndarray] | None = None) -> tuple[Half, Half]:
    """The choosing and the judging half of the pairs [N] that are known (all where not given).

    Raises UserError where SimLex-999 is not installed.
    """
    people, used = evaluation.standard_people(), ({}, {})
    for name in evaluation.PAIR_SETS:
        pairs = judgements.pairs(evaluation.standard_file(name))
        chosen = np.array([chooses(first, second) for first, second, _ in pairs])
        of = np.ones(len(pairs), bool) if known is None else known[name]
        used[0][name], used[1][name] = chosen & of, ~chosen & of
    return Half(people, used[0]), Half(people, used[1])


def measured(cosines: Mapping[str, np.ndarray], half: Half) -> dict[str, float]:
    """Spearman's rho on a half, for each of MEASURES and summed; NaN where it is undefined.

    It is undefined where a pair of the half has no cosine, or all have the same.
    """
    found = {}
    for name in MEASURES:
        x, y = (values[half.used[name]] for values in (cosines[name], half.people[name]))
        rho = evaluation.correlation("spearman", x, y) if np.isfinite(x).all() else None
        found[name] = np.nan if rho is None else rho
    return {**found, SUM: sum(found.values())}


def read(folders: Mapping[str, tuple[str, str]]) -> tuple[dict[str, Search], Half]:
    """name of SEARCHES -> (its folder, its judges' folder or '') -> the searches, judging half.

    Raises UserError for a folder without results, or judges of another setting than the chosen.
    """
    tried, extra = {}, {}
    for name, (folder, judge) in folders.items():
        found = _trials(f"--{name}", folder)
        tried[name] = [m for m in found if m.line.get("role") != "judge"]
        extra[name] = [m for m in found if m.line.get("role") == "judge"]
        if not tried[name]:
            raise UserError(f"--{name}={folder}: holds no trials of a search")
        if judge:
            extra[name] = _trials(f"--{name}_judge", judge)
    every = [m for trials in tried.values() for m in trials]
    known = {n: np.any([np.isfinite(m.cosines[n]) for m in every], axis=0) for n in MEASURES}
    choosing, judging = halves(known)
    searches = {}
    for name, (folder, judge) in folders.items():
        search = choose(tried[name], extra[name], choosing, judging)
        if search is None:
            raise UserError(f"--{name}={folder}: no trial knows all words that others know")
        if judge and not search.judges:
            raise UserError(
                f"--{name}_judge={judge}: holds no trial with new seeds of the chosen setting, "
                f"trial {search.tried[search.best].line['member']} of {folder}"
            )
        if any(np.isnan(measured(m.cosines, judging)[SUM]) for m in search.judges):
            raise UserError(f"--{name}_judge={judge or folder}: a trial lacks words of the search")
        searches[name] = search
    return searches, judging


def choose(
    tried: Sequence[Trial], extra: Sequence[Trial], choosing: Half, judging: Half
) -> Search | None:
    """The trial of the largest sum of both rho on the choosing half; None where none has one.

    extra: trials among which those that judge it are looked for: of its setting, another seed.
    Diverged trials are not chosen.
    """
    scores, later = (
        np.array([measured(m.cosines, half)[SUM] for m in tried]) for half in (choosing, judging)
    )
    scores[[m.line.get("frozen_step") is not None for m in tried]] = np.nan
    if np.isnan(scores).all():
        return None
    best = int(np.nanargmax(scores))
    own = tried[best]
    judges = [m for m in extra if _alike(m, own) and m.line["seed"] != own.line["seed"]]
    return Search(list(tried), scores, later, best, judges)


def _alike(a: Trial, b: Trial) -> bool:
    """Of one setting, as far as both folders tell."""
    shared = (a.setting.keys() & b.setting.keys()) - set(APART)
    return bool(shared) and all(a.setting[name] == b.setting[name] for name in shared)


def _trials(flag: str, folder: str) -> list[Trial]:
    """A folder's trials, the last line of each. Raises UserError where there are none."""
    path = Path(folder).expanduser()
    try:
        text = (path / LINES).read_bytes()
        whole = text[: text.rfind(b"\n") + 1]  # without what an interrupted write left
        lines = {line["member"]: line for line in map(json.loads, whole.splitlines())}
        settings = json.loads((path / SETTINGS).read_text()) if (path / SETTINGS).exists() else {}
    except OSError as error:
        raise UserError(f"{flag}={folder}: holds no results ({error.strerror})") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{flag}={folder}: not a sweep's results ({error})") from error
    if not lines:
        raise UserError(f"{flag}={folder}: holds no results")
    try:
        return [_trial(path, line, settings) for line in lines.values()]
    except UserError:
        raise
    except (OSError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise UserError(f"{flag}={folder}: items of its trials can't be read: {error}") from error


def _trial(path: Path, line: dict, settings: dict) -> Trial:
    with np.load(path / "items" / f"{int(line['member'])}.npz", allow_pickle=False) as file:
        cosines = {name: file[name] for name in MEASURES}
    if "flags" not in settings:
        return Trial(line, cosines, line["setting"])
    setting = earlier_flags.stored(f"{settings['flags']}\n{line.get('flags', '')}")
    return Trial(line, cosines, {**earlier_flags.lacking(setting), **setting})


class Gap(NamedTuple):
    """Ours minus gensim's on the judging half, in one measure."""

    over_seeds: stats.Estimate  # Welch's; without an interval where a side has one seed
    over_items: stats.Estimate | None  # over seeds and items; None for fewer than three seeds


def gaps(searches: Mapping[str, Search], judging: Half) -> dict[str, Gap]:
    """Ours minus gensim's: for each of MEASURES and the sum."""
    runs = {side: _numbered(side, search) for side, search in searches.items()}
    items = _items({key: m for side in runs.values() for key, m in side.items()}, judging)
    found = {}
    for name in (*MEASURES, SUM):
        sides = [
            {key: measured(m.cosines, judging)[name] for key, m in runs[side].items()}
            for side in SEARCHES
        ]
        estimate = stats.welch(*(list(side.values()) for side in sides))
        trials = [{key: key for key in side} for side in sides]
        found[name] = Gap(estimate, over_items.with_items(estimate, items[name], *trials))
    return found


def _numbered(side: str, search: Search) -> dict[tuple[str, int], Trial]:
    """The runs by names of their own: seeds of two programs have nothing in common."""
    return {(side, number): trial for number, trial in enumerate(search.runs)}


def _items(runs: Mapping[tuple, Trial], judging: Half) -> dict[str, over_items.Items]:
    """What the judging half's items tell of each of MEASURES and of the sum."""
    words, each = evaluation.standard_words(), {}
    for name in MEASURES:
        used, influences = judging.used[name], over_items.correlation_influences
        people = judging.people[name][used]
        each[name] = {key: influences(m.cosines[name][used], people) for key, m in runs.items()}
    groups = {name: words[name][judging.used[name]] for name in MEASURES}
    each[SUM] = {key: np.concatenate([each[name][key] for name in MEASURES]) for key in runs}
    groups[SUM] = np.concatenate([groups[name] for name in MEASURES])
    return {name: over_items.of_trials(each[name], groups[name]) for name in each}
