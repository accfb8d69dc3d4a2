"""An earlier training's words and rows in a new one: vocabularies merged, rows transferred."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax.checkpoint import names_of, without_column
from w2v_jax.data import id_cache
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import TrainState, UserError, Vocab


class Pretrained(NamedTuple):
    """What a training starts from."""

    vocab: Vocab  # V words, counts 0 where they are not known
    arrays: dict[str, np.ndarray]  # by the names of `checkpoint.flat`; tables at least
    words: int  # corpus words it was trained on, all epochs
    sha256: str  # of all of this


INPUT, OUTPUT, NGRAMS = "params.input", "params.output", "params.ngrams"


def merged(old: Vocab, new: Vocab) -> tuple[Vocab, np.ndarray, np.ndarray]:
    """Both vocabularies as one: counts added, most frequent first, ties old before new.

    Returns (vocab [V], index of each old word [V_old], index of each new word [V_new]), int32.
    """
    number = {word: i for i, word in enumerate(old.words)}
    for word in new.words:
        number.setdefault(word, len(number))
    counts = np.zeros(len(number), np.int64)
    counts[: len(old.words)] = old.counts
    of_new = np.fromiter((number[word] for word in new.words), np.int64, len(new.words))
    counts[of_new] += new.counts
    order = np.argsort(-counts, kind="stable")
    index = np.empty(len(order), np.int32)
    index[order] = np.arange(len(order), dtype=np.int32)
    words = tuple(number)
    vocab = Vocab(tuple(words[i] for i in order.tolist()), counts[order])
    return vocab, index[: len(old.words)], index[of_new]


def merge_vocabs(corpus: Corpus, earlier: Pretrained) -> tuple[Corpus, np.ndarray]:
    """The corpus in the merged vocabulary, and the index of each earlier word in it [V_old]."""
    vocab, old_index, new_index = merged(earlier.vocab, corpus.vocab)
    if isinstance(corpus.ids, id_cache.Ids):
        ids = corpus.ids.renumbered(new_index)
    else:
        ids = new_index[corpus.ids]
    return dataclasses.replace(corpus, ids=ids, vocab=vocab), old_index


def transfer_rows(
    state: TrainState, earlier: Pretrained, index: np.ndarray, optimizer: bool
) -> TrainState:
    """A first state with the earlier rows at their indices; the other words stay as they are.

    index [V_old]: of the earlier words' rows. optimizer: with the optimiser's state,
    otherwise the tables alone. Raises UserError where shapes don't agree.
    """
    new_size, old_size = len(state.params.input), len(earlier.vocab.words)
    names, leaves = names_of(state), []
    if optimizer and not set(names) <= set(earlier.arrays) <= {*names, "key"}:
        raise UserError(
            "`continue_schedule`: the earlier run had another `optimizer` or `update`, or is of an "
            "older version"
        )
    for name, leaf in zip(names, jax.tree.leaves(state), strict=True):
        old = earlier.arrays.get(name) if optimizer or name in (INPUT, OUTPUT) else None
        if old is None:
            leaves.append(leaf)
            continue
        old = without_column(old, (old_size, *leaf.shape[1:]) if leaf.ndim else ())
        if leaf.ndim and leaf.shape[0] == new_size and old.shape == (old_size, *leaf.shape[1:]):
            leaves.append(leaf.at[index].set(jnp.asarray(old, leaf.dtype)))
        elif old.shape == leaf.shape:
            leaves.append(jnp.array(old, leaf.dtype))
        else:
            raise UserError(
                f"`continue_from`: {name} is {list(old.shape)}, which does not go with "
                f"{list(leaf.shape)} (`dim`, `optimizer`)"
            )
    return jax.tree.unflatten(jax.tree.structure(state), leaves)
