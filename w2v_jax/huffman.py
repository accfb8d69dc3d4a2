"""Hierarchical softmax: a Huffman tree over the vocabulary, whose leaves are the words.

A word is as probable as the turns of its path: p(w | h) = prod_j sigma(s_j), s_j = (1 - 2 code_j)
u_j . h, where u_j is the output embedding of the path's j-th inner node. Frequent words have short
paths. Sources: Mikolov et al. 2013b, 2.1; word2vec.c's CreateBinaryTree; Dive into Deep Learning
15.2.2.
"""

from collections.abc import Sequence
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import model
from w2v_jax.table_ops import look_up
from w2v_jax.types import UserError


def paths(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Each word's path from the root, by word2vec.c's tree: counts [V] -> [V, L] int32.

    node + 1 where the code is 0, -(node + 1) where it is 1, and 0 behind the path's end; nodes are
    0 to V - 2, the root V - 2. L is the longest path. Counts are in the vocabulary's order, the
    most frequent first. Raises UserError for fewer than two words.
    """
    return _paths(tuple(int(count) for count in counts))


@lru_cache(maxsize=1)  # a sweep's trials share their text
def _paths(counts: tuple[int, ...]) -> np.ndarray:
    size = len(counts)
    if size < 2:
        raise UserError("`loss=hierarchical_softmax`: a tree needs at least two words")
    parent, code = _tree(list(counts))
    word, turns = np.arange(size), []
    root = 2 * size - 2
    while (word != root).any():  # from the leaves upward; a word that has arrived turns no more
        above = parent[word]
        signed = np.where(code[word] == 1, -1, 1) * (above - size + 1)
        turns.append(np.where(word == root, 0, signed))
        word = np.where(word == root, root, above)
    upward = np.stack(turns, axis=1)
    lengths = (upward != 0).sum(axis=1)
    index = lengths[:, None] - 1 - np.arange(upward.shape[1])
    downward = np.take_along_axis(upward, np.maximum(index, 0), axis=1)
    return np.where(index >= 0, downward, 0).astype(np.int32)


def _tree(counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Parent and code of each node: words 0 to V - 1, then inner nodes as they are made, [2V - 1].

    The two nodes of the least count become one's children, V - 1 times, the lesser with code 0.
    Equal counts: an inner node goes before a word. Words are taken from the end of the vocabulary.
    """
    size = len(counts)
    count = counts + [0] * (size - 1)
    parent, code = [2 * size - 2] * (2 * size - 1), [0] * (2 * size - 1)
    word, inner = size - 1, size  # the next of each kind

    def least(made: int) -> int:
        nonlocal word, inner
        if word >= 0 and (inner == made or count[word] < count[inner]):
            word -= 1
            return word + 1
        inner += 1
        return inner - 1

    for made in range(size, 2 * size - 1):
        one, other = least(made), least(made)
        count[made] = count[one] + count[other]
        parent[one] = parent[other] = made
        code[other] = 1
    return np.array(parent), np.array(code)


def nodes(path: jax.Array) -> jax.Array:
    """The inner nodes of paths, [..] -> [..] int32; 0 behind a path's end."""
    return jnp.maximum(jnp.abs(path) - 1, 0)


def labels(path: jax.Array) -> jax.Array:
    """1 where the code is 0, so that sigma(u . h) is the turn's probability: [..] -> [..] float."""
    return (path > 0).astype(jnp.float32)


def log_probs(h: jax.Array, output: jax.Array, path: jax.Array) -> jax.Array:
    """log p(w | h) of words by their paths: [r, D], [V, D], [r, P, L] -> [r, P]."""
    rows = model.gather(output, nodes(path))  # [r, P, L, D]
    scores = jnp.einsum("rpld,rd->rpl", rows, h, precision=model.PRECISION)
    turns = jax.nn.log_sigmoid(jnp.where(path < 0, -scores, scores))
    return jnp.sum(jnp.where(path != 0, turns, 0), axis=-1)


def all_log_probs(h: jax.Array, output: jax.Array, path: jax.Array) -> jax.Array:
    """The same of as many words for each of several h: [r, D], [V, D], [w, L] -> [r, w].

    Each node's score is computed once. They sum to 1 over the vocabulary: a node's two turns do.
    """
    scores = jnp.matmul(output, h.T, precision=model.PRECISION)  # [V, r]
    size, of_code_0 = len(scores), jax.nn.log_sigmoid(scores)
    turns = jnp.concatenate([of_code_0, of_code_0 - scores, jnp.zeros_like(scores[:1])])
    index = jnp.where(path > 0, nodes(path), jnp.where(path < 0, size + nodes(path), 2 * size))

    def add(sums, turn):
        return sums + look_up(turns, turn), None

    start = jnp.zeros((path.shape[0], h.shape[0]), jnp.float32)
    return jax.lax.scan(add, start, index.T)[0].T
