"""What a field of Config that is None becomes: by other fields, or by the text's size."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from w2v_jax.data import vocab
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import TextSettings, UserError

ADAGRAD = ("adagrad", "row_adagrad")


class Case(NamedTuple):
    """A default, and the values of other fields with which it is one."""

    value: Any
    given: Mapping[str, tuple] = {}  # field -> any of these values


# The first case that holds; the last holds always.
CASES = {
    "expected_window": (
        Case(True, {"engine": ("blocks",), "cbow_legacy_gradient": (False,)}),
        Case(False),
    ),
    # The fastest number that costs no quality
    "negatives_per_group": (Case(48, {"model": ("skipgram",)}), Case(32, {"model": ("cbow",)})),
    "learning_rate": (
        Case(0.3, {"loss": ("hierarchical_softmax",), "optimizer": ADAGRAD}),
        Case(1.2, {"model": ("skipgram",), "optimizer": ADAGRAD}),
        Case(0.9, {"model": ("cbow",), "optimizer": ADAGRAD}),
        Case(0.002),
    ),
    "epsilon": (
        # A word's gradient goes to some 24 rows, a share each. A smaller epsilon has more of
        # WordSim-353 and less of analogies.
        Case(3.0, {"subwords": (True,), "model": ("skipgram",), "optimizer": ADAGRAD}),
        Case(0.005, {"subwords": (True,), "model": ("cbow",), "optimizer": ADAGRAD}),
        Case(10.0, {"loss": ("hierarchical_softmax",), "optimizer": ADAGRAD}),
        Case(500.0, {"model": ("skipgram",), "optimizer": ADAGRAD}),
        Case(10.0, {"model": ("cbow",), "optimizer": ADAGRAD}),
        Case(1e-8),
    ),
}


class BySize(NamedTuple):
    """What the tokens of a text make of fields; of larger texts LARGE."""

    tiny: int = 10_000  # below: no subsampling, and a rate that few types bear
    small: int = 5_000_000  # below: subsample
    subsample: float = 1e-3
    learning_rate: float = 0.3  # at most
    few: int = 300_000  # below: batch_size
    batch_size: int = 256
    updates: int = 4000  # at least, by more epochs
    short: int = 200_000  # below: fewer are enough, and more cost analogies
    short_updates: int = 2000
    epochs: int = 1000  # at most


SIZE = BySize()
LARGE = {"subsample": 1e-4, "batch_size": 1024, "epochs": 3}  # three are as good as gensim's five
SIZED = ("learning_rate", *LARGE)


def resolve(config, corpus: Corpus | None = None):
    """The config with a value in each field, by its other fields and the size of the corpus.

    Without a corpus as of a large text. Fields that are not None stay. Raises UserError where the
    corpus was made with other fields of the text.
    """
    settings = (corpus and corpus.settings) or TextSettings()
    if corpus and corpus.settings:
        check_same(config, corpus.settings)
    found = LARGE | settings._asdict()
    names = tuple(n for n in (*CASES, *found) if getattr(config, n) is None)
    if not names:
        return config
    found |= {name: _case(config, name) for name in CASES}
    config = dataclasses.replace(config, **{name: found[name] for name in names})
    return _by_size(config, corpus, names) if corpus else config


def check_same(config, settings: TextSettings) -> None:
    """Raises UserError where a corpus was made with another min_count, say, than the config has."""
    for name, own in settings._asdict().items():
        given = getattr(config, name)
        if given is not None and given != own:
            raise UserError(f"`{name}={given}`: the corpus was made with `{name}={own}`")


def _case(config, name: str) -> Any:
    for case in CASES[name]:
        if all(getattr(config, field) in values for field, values in case.given.items()):
            return case.value
    raise LookupError(name)


def _by_size(config, corpus: Corpus, names: tuple[str, ...]):
    """The fields of these names as a text's size makes them."""
    tokens = len(corpus.ids)
    if "subsample" in names and tokens < SIZE.small:
        subsample = 0.0 if tokens < SIZE.tiny else SIZE.subsample
        config = dataclasses.replace(config, subsample=subsample)
    if "learning_rate" in names and tokens < SIZE.tiny:
        rate = min(config.learning_rate, SIZE.learning_rate)
        config = dataclasses.replace(config, learning_rate=rate)
    fits = config.engine != "blocks" or SIZE.batch_size % config.group_size == 0
    if "batch_size" in names and tokens < SIZE.few and fits:
        config = dataclasses.replace(config, batch_size=SIZE.batch_size)
    if "epochs" in names:
        updates = SIZE.short_updates if tokens < SIZE.short else SIZE.updates
        needed = -(-updates // steps(config, corpus))
        epochs = max(config.epochs, min(needed, SIZE.epochs))
        config = dataclasses.replace(config, epochs=epochs)
    return config


def kept(config, corpus: Corpus) -> float:
    """Tokens that subsampling is expected to keep an epoch."""
    counts = corpus.vocab.counts
    keep = vocab.keep_probability(counts, config.subsample, config.subsample_rule)
    return float(np.sum(counts * keep))


def steps(config, corpus: Corpus) -> int:
    """Updates an epoch, about."""
    return max(1, -(-int(kept(config, corpus)) // config.batch_size))
