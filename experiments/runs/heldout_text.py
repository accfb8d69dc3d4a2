"""--heldout: the text that is not trained on, and whether it can be measured as asked."""

import dataclasses
from typing import NamedTuple

import numpy as np
from absl import flags

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.runs import reading
from w2v_jax import heldout, heldout_text
from w2v_jax.data import loader, preparation
from w2v_jax.data import sources as corpora
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.sources import Source
from w2v_jax.data.vocab import EOS, UNK
from w2v_jax.heldout_text import Windows
from w2v_jax.types import StaticConfig, UserError

VALID = "valid"  # PTB's
USUAL = 0.5  # share of a text's words that have an id


class Heldout(NamedTuple):
    """Text that is not trained on."""

    windows: Windows
    perplexity: bool  # whether it is asked for, beside the loss
    sha256: str


def checked(config: RunConfig) -> RunConfig:
    """With --heldout's files by their absolute names.

    Raises UserError, before the text is read, where it can't be measured as asked.
    """
    ptb = config.dataset == "ptb" and not config.corpus
    if config.heldout == VALID and not ptb:
        raise UserError("--heldout=valid: is PTB's; of another text give a file, --heldout=FILE")
    if config.heldout and config.heldout != VALID:
        corpora.locate("", corpus=config.heldout, argument="heldout")
    if config.early_stopping and not config.heldout and not ptb:
        raise UserError("--early_stopping needs a held-out text: --heldout=FILE")
    if config.heldout in ("", VALID):
        return config
    return dataclasses.replace(config, heldout=reading.absolute(config.heldout))


def is_asked(config: RunConfig) -> bool:
    """Whether a single run measures a held-out text."""
    return bool(config.heldout or config.early_stopping)


def read(config: RunConfig, source: Source, corpus: Corpus) -> Heldout | None:
    """The held-out text as ids of the corpus's vocabulary; None, with a note, where there is none.

    Raises UserError where it can't be read, or where --early_stopping would have none.
    """
    if config.heldout and config.heldout != VALID:
        found = corpora.locate("", corpus=config.heldout, argument="heldout")
    elif source.name == "ptb":
        cache = "" if config.cache_dir == loader.NO_CACHE else config.cache_dir
        found = corpora.locate("ptb", data_dir=config.data_dir, cache_dir=cache, split="valid")
    elif config.early_stopping:
        raise UserError("--early_stopping needs a held-out text: --heldout=FILE")
    else:
        console.log("note: no held-out loss and no perplexity: give --heldout=FILE")
        return None
    eos = config.reading == "stream"
    how = preparation.checked(config.lower, config.tokens, config.encoding)
    try:
        text = heldout_text.read(found.paths, corpus.vocab, unk=config.unk, eos=eos, how=how)
        windows = heldout_text.windows(text, config.perplexity_window)
    except UserError as error:
        raise UserError(f"--heldout={config.heldout or VALID}: {error}") from error
    tell_of_unknown(text)
    return Heldout(windows, config.perplexity, text.sha256)


def tell_of_unknown(text: Corpus) -> None:
    """Notes a text most of whose words have no id: its measures are of the others alone."""
    ids = np.asarray(text.ids)
    known = [i for i, word in enumerate(text.vocab.words) if word not in (UNK, EOS)]
    share = np.isin(ids, known).sum() / max(text.words - np.sum(ids == _id(text, EOS)), 1)
    if share < USUAL:
        console.note(f"--heldout: {share:.0%} of its words are in the vocabulary")


def _id(text: Corpus, word: str) -> int:
    return text.vocab.words.index(word) if word in text.vocab.words else -1


def say_what_is_not_measured(statics: list[StaticConfig], early_stopping: int) -> None:
    """Notes measures that these have none of. Raises UserError where early stopping needs one."""
    for cause in sorted({heldout.without_perplexity(static) for static in statics} - {""}):
        console.log(f"note: no perplexity with {cause}, whose scores are no log probabilities")
    for cause in sorted({heldout.without_loss(static) for static in statics} - {""}):
        if early_stopping:
            raise UserError(f"--early_stopping: no held-out loss with {cause}")
        console.log(f"note: no held-out loss with {cause}: it has no expectation over negatives")


def tell_of_idle(config: RunConfig) -> None:
    """Notes flags that were given, and that do nothing without a held-out text."""
    if is_asked(config):
        return
    for name in ("perplexity_window", "perplexity"):
        if name in flags.FLAGS and flags.FLAGS[name].present:
            console.log(f"note: --{name} has no effect without --heldout")
