"""The spine: what a token passes through on its way from text to vector.

Letters, in every docstring and shape comment:
  V vocabulary rows     D embedding size       N corpus tokens
  T centres a step      W largest window       C input slots a row
  K negatives a positive (largest)             O output slots a row
  B blocks a step      L centres a block       X = L + 2W, a block and its margin
  G groups a step      M shared negatives a group
  S sweep trials
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


class UserError(ValueError):
    """A mistake of the user's: one line that names the argument, file or line."""


class Registry(dict):
    """Name -> entry: all that one field of a setting may be; the code looks entries up by name."""

    def __init__(self, field: str, **entries):
        super().__init__(entries)
        self.field = field

    def __missing__(self, name):
        raise UserError(f"`{self.field}={name}`: not one of {', '.join(self)}")


class Vocab(NamedTuple):
    """Word types, most frequent first; the id of a word is its index."""

    words: tuple[str, ...]  # [V]
    counts: np.ndarray  # [V] int64, occurrences in the corpus


class TextSettings(NamedTuple):
    """What makes a text a corpus."""

    reading: str = "sentences"  # windows stop at line ends; stream: one line, <eos> at line ends
    unk: str = "drop"  # rare words leave the text; keep: they become <unk>
    min_count: int = 5  # words that occur less often are rare
    max_vocab: int = 0  # largest vocabulary (0: any)
    max_words: int = 0  # of the text's first so many words (0: all)
    max_types: int = 0  # kept while it is read (0: all)
    lower: bool = False  # small letters
    tokens: str = "words"  # what white space parts; simple: without punctuation
    encoding: str = "utf-8"  # of the files

    def check(self) -> "TextSettings":
        """Itself. Raises UserError for a value that is none."""
        for name, values in (("reading", ("sentences", "stream")), ("unk", ("drop", "keep"))):
            if getattr(self, name) not in values:
                raise UserError(f"`{name}={getattr(self, name)}`: not one of {', '.join(values)}")
        for name in ("min_count", "max_vocab", "max_words", "max_types"):
            value, least = getattr(self, name), int(name == "min_count")
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise UserError(f"`{name}={value}`: must be a whole number, at least {least}")
        return self


class TokenizedText(NamedTuple):
    """A text as ids, as it was read."""

    ids: np.ndarray  # [N] int32, tokens in text order; or id_cache.Ids, whose slices are arrays
    line_ends: np.ndarray  # [lines] int64, line i is ids[line_ends[i-1]:line_ends[i]]
    vocab: Vocab
    words: int  # words read, those that the vocabulary leaves out included
    sha256: str  # of the text read, uncompressed


class Params(NamedTuple):
    """The two embedding tables."""

    input: jax.Array  # [V, D] the word vectors: centres (skip-gram), contexts (CBOW)
    output: jax.Array  # [V, D] output embeddings: contexts (skip-gram), centres (CBOW); or nodes


class SubwordParams(NamedTuple):
    """The embedding tables with subwords, whose rows make up a word's input embedding."""

    input: jax.Array  # [V, D] the words' own rows
    output: jax.Array  # [V, D]
    ngrams: jax.Array  # [U, D] of the n-grams


class Batch(NamedTuple):
    """T rows of weighted inputs, their positives, and the negatives of each positive."""

    inputs: jax.Array  # [T, C] int32 ids
    input_weights: jax.Array  # [T, C] float32, a row sums to 1, or to 0 where there is no input
    positives: jax.Array  # [T, P] int32 ids
    weights: jax.Array  # [T, P] float32, of the positives: 0 where a slot is empty
    negatives: jax.Array  # [T, P, K] int32 ids; K is 0 for a loss over the vocabulary
    negative_weights: jax.Array  # [T, P, K] float32, 0 where a slot is empty

    def where(self, trains: jax.Array, vocab_size: int) -> "Batch":
        """The batch, or where `trains` [] is false one without inputs and outputs."""
        del vocab_size
        shares, weights, of_negatives = (
            jnp.where(trains, x, 0)
            for x in (self.input_weights, self.weights, self.negative_weights)
        )
        return self._replace(input_weights=shares, weights=weights, negative_weights=of_negatives)


class PathBatch(NamedTuple):
    """T rows of weighted inputs and their positives, each as its path in the Huffman tree."""

    inputs: jax.Array  # [T, C] int32 ids
    input_weights: jax.Array  # [T, C] float32, as of a Batch
    positives: jax.Array  # [T, P] int32 ids
    weights: jax.Array  # [T, P] float32, of the positives: 0 where a slot is empty
    paths: jax.Array  # [T, P, L] int32, `huffman.paths` of the positives

    def where(self, trains: jax.Array, vocab_size: int) -> "PathBatch":
        """The batch, or where `trains` [] is false one without inputs and outputs."""
        del vocab_size
        shares, weights = (jnp.where(trains, x, 0) for x in (self.input_weights, self.weights))
        return self._replace(input_weights=shares, weights=weights)


class Rows(NamedTuple):
    """Rows of weighted inputs and labelled outputs: what a loss sees."""

    inputs: jax.Array  # [T, C] int32 ids
    input_weights: jax.Array  # [T, C] float32
    outputs: jax.Array  # [T, O] int32 ids, each positive with its K negatives, or its path's nodes
    labels: jax.Array  # [T, O] float32, 1 for a positive, 0 for a negative; of nodes 1 - code
    weights: jax.Array  # [T, O] float32, 0 where a slot is empty


class BlockBatch(NamedTuple):
    """The blocks engine's batch: windows as bands, negatives shared by a group of centres."""

    tokens: jax.Array  # [B, X] int32 ids, each block with its margin; V where there is no token
    context_weights: jax.Array  # [B, L, X] float32, of each in a window, 0 outside
    negatives: jax.Array  # [G, M] int32 ids
    negative_weights: jax.Array  # [G, T/G, M or 1] float32, K/M a positive

    def where(self, trains: jax.Array, vocab_size: int) -> "BlockBatch":
        """The batch, or where `trains` [] is false one without a token and a negative."""
        ids = (jnp.where(trains, x, vocab_size) for x in (self.tokens, self.negatives))
        weights = (jnp.where(trains, x, 0) for x in (self.context_weights, self.negative_weights))
        (tokens, noise), (context_weights, negative_weights) = ids, weights
        return BlockBatch(tokens, context_weights, noise, negative_weights)


class StaticConfig(NamedTuple):
    """What shapes a compiled program: a change of any field compiles anew."""

    model: str = "skipgram"  # skipgram | cbow
    engine: str = "pairs"  # pairs | blocks
    loss: str = "negative_sampling"  # one of losses.LOSSES
    reduction: str = "sum"  # sum | mean of the rows' objectives over a batch
    window: int = 5  # W
    negatives: int = 5  # K
    noise: str = "exclude_target"  # one of noise.NOISE
    dynamic_window: bool = True  # U{1..window} a centre, else window
    expected_window: bool = False  # a context weighs the chance that a drawn window holds it
    full_windows: bool = False  # only centres whose window is whole
    redraw: str = "epoch"  # epoch | once
    batch_size: int = 512  # T
    order: str = "random"  # random | text: in which order an epoch trains its centres
    drop_last: bool = False  # leave out the last batch of an epoch where it is not full
    block: int = 16  # L
    group_size: int = 128  # centres that share negatives, T / G
    negatives_per_group: int = 64  # M
    update: str = "dense"  # dense | sparse: the optimiser sees all rows, or those of the batch
    optimizer: str = "adam"  # one of optimizers.OPTIMIZERS
    epsilon_hat: bool = False  # epsilon beside the root of the raw second moment
    schedule: str = "constant"  # one of optimizers.SCHEDULES
    cbow_legacy_gradient: bool = False  # word2vec.c's: not divided by the number of contexts
    subwords: bool = False  # a word's input embedding has its n-grams' rows in it
    subword_legacy_gradient: bool = False  # fastText's: not divided by the number of rows
    replicas: int = 1  # R, each trains every R-th step of a chunk
    mesh: str = ""  # columns:S, tables split by columns over S devices; or one device
    platform: str = "cpu"  # cpu | gpu | tpu: of the devices that the program is compiled for


@struct.dataclass
class NgramIndex:
    """The rows of the n-grams of each word: word w's are rows[begin[w]:begin[w + 1]]."""

    begin: jax.Array  # [V + 1] int32
    rows: jax.Array  # [n] int32, of the table of n-grams [U, D]
    count: int = struct.field(pytree_node=False)  # U
    most: tuple[int, ...] = struct.field(pytree_node=False)  # that 1, 2, 4 .. words have at most


@struct.dataclass
class HyperParams:
    """What may differ between trials of one compiled program: traced, never static."""

    learning_rate: jax.Array  # [] float32, the rate that the schedule starts from
    keep_prob: jax.Array  # [V] float32, probability that subsampling keeps an occurrence
    noise: jax.Array  # [V] float32, noise distribution Pn, sums to 1
    noise_cdf: jax.Array  # [V] uint32, Pn summed up to each word, in units of 2^-32
    window: jax.Array  # [] int32, at most W
    negatives: jax.Array  # [] int32, at most K
    beta1: jax.Array  # [] float32, Adam's
    beta2: jax.Array  # [] float32, Adam's
    epsilon: jax.Array  # [] float32, Adam's and Adagrad's
    weight_decay: jax.Array  # [] float32, AdamW's
    final_rate: jax.Array | np.floating = np.float32(0)  # [], the schedule's end over learning_rate
    paths: jax.Array | None = None  # [V, L] int32, `huffman.paths`, for a loss of paths alone
    ngrams: NgramIndex | None = None  # with subwords alone


class SampledChunk(NamedTuple):
    """A chunk of the corpus as one epoch sees it: subsampled, windows drawn, centres in order."""

    tokens: jax.Array  # [C] int32, the kept tokens, in text order, then padding
    line: jax.Array  # [C] int32, line of each; -1 in the padding
    position: jax.Array  # [C] int32, position in the chunk before subsampling
    window: jax.Array  # [C] int32, window of each as a centre
    centre_order: jax.Array  # [C] int32, where the centres stand, as trained; or [C/L], blocks
    centres: jax.Array  # [] int32, number of centres (blocks: of kept tokens)
    negatives_key: jax.Array  # [] folded with a centre's number (blocks: a step's)
    negatives: jax.Array  # int32 ids: blocks, [steps, G, M]; pairs, [C, P K] with redraw = once


@struct.dataclass
class TrainState:
    """All that a run must keep to be resumed."""

    params: Params  # with subwords SubwordParams
    opt_state: Params  # optax's state of each table; update = sparse: a RowState
    step: jax.Array  # [] int32, updates made


class Metrics(NamedTuple):
    """Sums and counts over rows, normalised once, when they are read."""

    loss: jax.Array  # [] sum over positives of the K-noise loss
    positives: jax.Array  # [] number of positives, by their weights
    objective: jax.Array  # [] sum over rows of what was minimised a row
    rows: jax.Array  # [] rows (centres) with at least one positive
    # Where the four are a sample of each step's rows; all 0 where they are all of them:
    steps: jax.Array  # [] steps with a positive in the sample
    loss_squares: jax.Array  # [] sums over steps of loss * loss, each times the share left out
    products: jax.Array  # [] of loss * positives
    positive_squares: jax.Array  # [] of positives * positives


def no_metrics() -> Metrics:
    """The sums of no rows."""
    return Metrics(*[jnp.zeros((), jnp.float32)] * len(Metrics._fields))


class Work(NamedTuple):
    """A batch ready for its gradient, as an engine makes it."""

    ids: Params  # [n] int32 each, the rows touched, an occurrence each
    rows: jax.Array  # [] centres with a positive
    add: Callable  # (where each is added, sums [n, D]) -> sums, Metrics
