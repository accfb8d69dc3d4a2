"""Defaults that depend on other flags, on the dataset or on the text's size: shown, resolved."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from absl import flags

from experiments import show
from experiments.config import Config
from experiments.tables import counted
from w2v_jax import vocab
from w2v_jax.types import Corpus


class Case(NamedTuple):
    """A default, and the values of other flags with which it is one."""

    value: object
    given: Mapping[str, tuple]  # flag -> any of these values


class BySize(NamedTuple):
    """What is made of flags by the tokens of a text; of larger texts the flags' own defaults."""

    tiny: int = 10_000  # below: no subsampling, and a rate that few types bear
    small: int = 5_000_000  # below: subsample
    subsample: float = 1e-3
    learning_rate: float = 0.3  # at most
    few: int = 300_000  # below: batch_size
    batch_size: int = 256
    updates: int = 2000  # at least, by more epochs
    epochs: int = 1000  # at most


# Of a dataset, before a command's own: the book's, for its sentence of eight words.
TOY = {"dataset": ("toy",)}
OF_DATASET = {
    "min_count": (Case(1, TOY),),
    "unk": (Case("keep", TOY),),
    "dim": (Case(10, TOY),),
    "window": (Case(1, TOY),),
    "subsample": (Case(0.0, TOY),),
    "epochs": (Case(1000, TOY),),
    "show_similar": (Case("you,i,say", TOY),),
}
SIZED = ("subsample", "learning_rate", "batch_size", "epochs")
NONE: Mapping[str, tuple[Case, ...]] = {}
ENOUGH = 1000  # updates below which a warning is due


def show_in_help(cases: Mapping[str, tuple[Case, ...]] = NONE, size: BySize | None = None) -> None:
    """Sets what --help says of the defaults of flags that are defined."""
    for name, own in _with_datasets(cases).items():
        told = [f"{_text(case.value)} with {_conditions(case.given)}" for case in own]
        _say(name, "; ".join(told))
    if size:
        _say(
            "subsample",
            f"0 for texts below {size.tiny:,} tokens, {size.subsample:g} below {size.small:,}",
        )
        told = f"at most {size.learning_rate:g} for texts below {size.tiny:,} tokens"
        _say("learning_rate", told)
        _say("batch_size", f"{size.batch_size} for texts below {size.few:,} tokens")
        told = f"as many as make {size.updates:,} updates, up to {size.epochs:,}, where that is"
        _say("epochs", f"{told} more")


def _say(name: str, told: str) -> None:
    flag = flags.FLAGS[name]
    flag.default_as_str = f"{flag.default_as_str}; {told}"


def _conditions(given: Mapping[str, tuple]) -> str:
    return " ".join(f"--{name}={' or '.join(map(_text, values))}" for name, values in given.items())


def _text(value: object) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def of_flags(cases: Mapping[str, tuple[Case, ...]] = NONE) -> None:
    """Sets flags that were not given to their first case that holds; a dataset's come first."""
    for name, own in _with_datasets(cases).items():
        case = next(filter(_holds, own), None)
        if case and not flags.FLAGS[name].present:
            flags.FLAGS.set_default(name, case.value)


def _with_datasets(cases: Mapping[str, tuple[Case, ...]]) -> dict[str, tuple[Case, ...]]:
    """The cases of each flag that is defined, a dataset's first."""
    names = [name for name in dict.fromkeys([*cases, *OF_DATASET]) if name in flags.FLAGS]
    return {name: (*OF_DATASET.get(name, ()), *cases.get(name, ())) for name in names}


def _holds(case: Case) -> bool:
    """Whether the flags are as given; a dataset beside --corpus is not read."""
    values = {name: flags.FLAGS[name].value for name in case.given}
    if flags.FLAGS.corpus:
        values.pop("dataset", None)
    return all(name in values and values[name] in case.given[name] for name in case.given)


def open_by_size(config: Config) -> tuple[str, ...]:
    """Flags that the text's size decides: neither given nor the dataset's, of a run begun anew."""
    if config.continue_from:
        return ()
    settled = {name for name, own in OF_DATASET.items() if any(map(_holds, own))}
    return tuple(n for n in SIZED if n not in settled and not flags.FLAGS[n].present)


def of_size(config: Config, corpus: Corpus, names: Collection[str], size: BySize) -> Config:
    """The config with its flags of these names as the text's size makes them."""
    tokens = len(corpus.ids)
    if "subsample" in names and tokens < size.small:
        subsample = 0.0 if tokens < size.tiny else size.subsample
        config = dataclasses.replace(config, subsample=subsample)
    if "learning_rate" in names and tokens < size.tiny:
        rate = min(config.learning_rate, size.learning_rate)
        config = dataclasses.replace(config, learning_rate=rate)
    fits = config.engine != "blocks" or size.batch_size % config.group == 0
    if "batch_size" in names and tokens < size.few and fits:
        config = dataclasses.replace(config, batch_size=size.batch_size)
    if "epochs" in names:
        needed = -(-size.updates // steps(config, corpus))
        epochs = max(config.epochs, min(needed, size.epochs))
        config = dataclasses.replace(config, epochs=epochs)
    return config


def kept(config: Config, corpus: Corpus) -> float:
    """Tokens that subsampling is expected to keep an epoch."""
    counts = corpus.vocab.counts
    keep = vocab.keep_probability(counts, config.subsample, config.subsample_rule)
    return float(np.sum(counts * keep))


def steps(config: Config, corpus: Corpus) -> int:
    """Updates an epoch, about."""
    return max(1, -(-int(kept(config, corpus)) // config.batch_size))


def tell(config: Config, corpus: Corpus) -> None:
    """Says what is trained on, and warns where it is little."""
    tokens, left, each = len(corpus.ids), kept(config, corpus), steps(config, corpus)
    updates = each * config.epochs
    show.say(
        f"about {left:,.0f} of {counted(tokens, 'token')} kept an epoch "
        f"(--subsample={config.subsample:g}); {counted(each, 'step')} of {config.batch_size} x "
        f"{counted(config.epochs, 'epoch')}: {counted(updates, 'update')}"
    )
    if updates < ENOUGH:
        show.say(
            f"warning: {counted(updates, 'update')}: vectors may stay near their random start; "
            "more --epochs or a smaller --batch_size make more"
        )
    if tokens < BySize().tiny:
        show.say(f"warning: of {counted(tokens, 'token')} little can be learned but frequent words")
