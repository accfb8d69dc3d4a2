"""PPMI and truncated SVD: word vectors by counting, through training's windows and subsampling.

Sources: Levy & Goldberg 2014 (NIPS), on what skip-gram factorises; Levy, Goldberg & Dagan 2015
(TACL), on smoothing, shift and weighting; Musco & Musco 2015 (NIPS), on block Krylov iteration.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from w2v_jax.config import Config
from w2v_jax.counting import counted
from w2v_jax.data import vocab
from w2v_jax.data.corpus import Corpus
from w2v_jax.losses import LOSSES
from w2v_jax.types import Params, UserError, Vocab

USES = ("window", "noise_power", "subsample", "subsample_rule")  # traced fields that `tables` uses
LEAST = 1e-3  # a context's weight below which words further away are left out
DENSE = 1000  # words of which the whole matrix is factorised
PAIRS = 2**22  # of words at a time that windows without subsampling hold, on one side
ROWS = 2**16  # of a table that are multiplied in float64 at a time
ROUNDS, PARTS = 20, 5  # of the iteration, each of D / PARTS vectors


def check(config: Config, vocabulary: Vocab) -> None:
    """Raises UserError where a text has too few words for D dimensions."""
    if config.dim >= len(vocabulary.words):
        types = counted(len(vocabulary.words), "type")
        raise UserError(
            f"`dim={config.dim}`: `init={config.init}` needs a text of more types; it has {types}"
        )


def tables(config: Config, corpus: Corpus) -> Params:
    """The first tables of a training: U sqrt(S) and V sqrt(S) of its text's PPMI, [V, D] float32.

    By window, subsampling and noise_power of a resolved config. Of hierarchical softmax, whose
    output table is of nodes, the second is 0. A function of text and config alone: all seeds begin
    alike.

    Not shifted by log K: on 1.5 million words of Wikipedia that cost the vectors 0.01 of SimLex-999
    and 0.04 of the analogies, and gave a start nothing clear. Not scaled: there one epoch (one
    seed) from smaller tables, or from output 0, had the less of WordSim-353 and of the analogies,
    the smaller they were; twice as large was alike. Raises UserError as `check`.
    """
    check(config, corpus.vocab)
    given = {name: getattr(config, name) for name in ("dim", "dynamic_window", *USES)}
    found = _tables(corpus, **given)
    return found._replace(output=found.output * 0) if LOSSES[config.loss].paths else found


@lru_cache(maxsize=1)  # a sweep's trials share their text
def _tables(
    corpus: Corpus,
    dim: int,
    dynamic_window: bool,
    window: int,
    noise_power: float,
    subsample: float,
    subsample_rule: str,
) -> Params:
    keep = vocab.keep_probability(corpus.vocab.counts, subsample, subsample_rule)
    found = ppmi(counts(corpus, keep, window, dynamic_window), noise_power)
    left, values, right = truncated_svd(found, dim)
    rank = int(np.sum(values > 1e-5 * values[0]))
    if rank < dim:  # a column that is 0 in both tables would stay so
        raise UserError(
            f"`dim={dim}`: `init=ppmi_svd` finds {counted(rank, 'dimension')} in the text"
        )
    made = Params(left * np.sqrt(values), right * np.sqrt(values))
    for table in made:
        table.flags.writeable = False
    return made


def counts(corpus: Corpus, keep: np.ndarray, window: int, dynamic: bool) -> Any:
    """Expected number of times that an epoch pairs two words: CSR [V, V] float32, symmetric.

    #(c, o) = sum over positions i, j of one line with words c, o: keep_c keep_o sum_b P(b) w(b + 1)

    P(b): chance that b words between them are kept, as windows are laid over what is left. w(d):
    chance that a window holds a distance, (W + 1 - d) / W if dynamic, else 1; 0 above W. keep [V]:
    chance that an occurrence is kept. Lines end where training's do; edges' cut windows count.
    """
    from scipy import sparse

    size = len(corpus.vocab.words)
    total = sparse.csr_matrix((size, size), dtype=np.float32)
    distance = np.arange(1, window + 1, dtype=np.float32)
    weights = (window + 1 - distance) / window if dynamic else np.ones_like(distance)
    keep, bounds = keep.astype(np.float32), corpus.bounds
    piece = max(1, PAIRS // window)
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        tokens, line = corpus.arrays(begin, end, end - begin)
        for first in range(0, len(tokens), piece):
            centres = np.arange(first, min(first + piece, len(tokens)), dtype=np.int32)
            of_piece = list(_pairs(centres, tokens, line, keep, weights))
            if of_piece:
                one, other, value = map(np.concatenate, zip(*of_piece, strict=True))
                total += sparse.coo_matrix((value, (one, other)), (size, size)).tocsr()
    return (total + total.T).tocsr()


def _pairs(
    first: np.ndarray, tokens: np.ndarray, line: np.ndarray, keep: np.ndarray, weights: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each distance behind `first`: two words' ids, the lesser first, and the pair's weight."""
    kept, size = keep[tokens], len(tokens)
    # [W, n], P(b words between are kept)
    between = np.zeros((len(weights), len(first)), np.float32)
    between[0] = 1
    for distance in range(1, size):
        second = first + distance
        share = weights @ between
        goes_on = (second < size) & (share > LEAST)
        goes_on &= line[np.minimum(second, size - 1)] == line[first]
        first, second, share = first[goes_on], second[goes_on], share[goes_on]
        if not len(first):
            return
        one, other = tokens[first], tokens[second]
        yield np.minimum(one, other), np.maximum(one, other), share * kept[first] * kept[second]
        between, passed = between[:, goes_on], kept[second]
        between[1:] += passed * (between[:-1] - between[1:])
        between[0] *= 1 - passed


def ppmi(counts: Any, power: float = 0.75, shift: float = 0.0) -> Any:
    """max(0, log(#(c, o) / (#(c) P(o))) - shift), P(o) = #(o)^power / sum: CSR [V, V] of counts.

    With P the noise and shift log K this is the positive part of what skip-gram's negative sampling
    factorises (Levy & Goldberg 2014, eq. 11 and 12; smoothing: Levy et al. 2015, 3.2).
    """
    of_words = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    noise = np.where(of_words > 0, of_words**power, 0)
    with np.errstate(divide="ignore"):  # words without a context have no entry
        log_words, log_noise = np.log(of_words) + shift, np.log(noise / noise.sum())
    found = counts.copy()
    np.log(found.data, out=found.data)
    found.data -= np.repeat(log_words.astype(np.float32), np.diff(found.indptr))
    found.data -= log_noise.astype(np.float32)[found.indices]
    np.maximum(found.data, 0, out=found.data)
    found.eliminate_zeros()
    return found


def truncated_svd(matrix: Any, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U [V, D], S [D], V [V, D] of a sparse matrix's D greatest singular values, float32.

    Exact for small matrices. Else the best of the space that ROUNDS rounds of block Krylov
    iteration span, from fixed random vectors (Musco & Musco 2015, algorithm 2). Each column of U
    has its greatest element positive.
    """
    size = matrix.shape[0]
    width = -(-dim // PARTS)
    if size <= max(DENSE, 2 * ROUNDS * width):
        left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
        right = right.T
    else:
        basis = _krylov(matrix, width)
        across = matrix.T @ basis
        turn, values = _principal(across)
        left, right = basis @ turn, across @ (turn * _inverse(values, 1e-5 * values[0]))
    left, values, right = left[:, :dim], values[:dim], right[:, :dim]
    signs = np.sign(left[np.argmax(np.abs(left), axis=0), np.arange(dim)])
    signs = np.where(signs == 0, 1, signs).astype(np.float32)
    return left * signs, values, right * signs


def _krylov(matrix: Any, width: int) -> np.ndarray:
    """An orthonormal basis [V, ROUNDS width] of M X, (M M^T) M X, ..; X [V, width] is random.

    Columns are 0 where these have no further direction.
    """
    size = matrix.shape[0]
    basis = np.zeros((size, ROUNDS * width), np.float32)
    block = matrix @ np.random.default_rng(0).standard_normal((size, width), np.float32)
    for i in range(ROUNDS):
        before = basis[:, : i * width]
        # Twice, as rounding leaves some of what was taken away.
        for least in (1e-5 * np.linalg.norm(block), 0.1):
            block -= before @ (before.T @ block)
            turn, values = _principal(block)
            block = block @ (turn * _inverse(values, least))
        basis[:, i * width : (i + 1) * width] = block
        block = matrix @ (matrix.T @ block)
    return basis


def _principal(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right singular vectors [n, n] of a tall table [V, n], and its singular values, falling.

    By its columns' products: LAPACK's own ways through a tall table take many small steps, each of
    which waits for all threads.
    """
    products = np.zeros((table.shape[1],) * 2)
    for first in range(0, len(table), ROWS):
        part = table[first : first + ROWS].astype(np.float64)
        products += part.T @ part
    squares, vectors = np.linalg.eigh(products)
    values = np.sqrt(np.maximum(squares[::-1], 0))
    return vectors[:, ::-1].astype(np.float32), values.astype(np.float32)


def _inverse(values: np.ndarray, least: float) -> np.ndarray:
    """1 / values, and 0 where they are no greater than `least`."""
    return np.divide(1, values, out=np.zeros_like(values), where=values > least)
