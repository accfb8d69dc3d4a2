"""One step of a training, in words: its examples, its loss, and the rows that it moves."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from textwrap import wrap
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.report import chance
from experiments.report.tables import counted
from experiments.runs import reading
from w2v_jax import beginning, checks, subword_rows, training, visits
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import resolve
from w2v_jax.engines import ENGINES
from w2v_jax.losses import LOSSES
from w2v_jax.training import Report
from w2v_jax.types import Batch, BlockBatch, Params, PathBatch, StaticConfig, UserError, Vocab

WIDTH = 100  # letters a line, of lists of words
ROWS, NUMBERS = 4, 3  # shown of each table


class Step(NamedTuple):
    """What one step of a training saw and did."""

    batch: Batch | PathBatch | BlockBatch
    before: Params  # the tables, [V, D] float32 on the host
    after: Params
    report: Report  # of this step alone


class Example(NamedTuple):
    """What predicts what: words as (id, weight)."""

    inputs: list[tuple[int, float]]  # skip-gram: the centre; CBOW: its contexts
    outputs: list[tuple[int, float]]  # a positive; blocks, skip-gram: all contexts of the centre
    negatives: list[tuple[int, float]]  # of the positive; blocks: of the centre's group
    path: tuple[int, ...] = ()  # of hierarchical softmax the positive's, `huffman.paths`


def show_step(config: RunConfig, number: int, examples: int) -> None:
    """Prints step `number` (from 1) of the training that the flags describe."""
    config, _, corpus = reading.read_corpus(config)
    config = resolve(config, corpus)
    step = take(config, corpus, number)
    print("\n".join(lines(config, corpus.vocab, step, examples)))


def take(config: RunConfig, corpus: Corpus, number: int) -> Step:
    """Trains `number` steps and keeps the last one.

    The steps are those of `training.train`. Its batch is made once more: a function of (seed,
    epoch, chunk, step). Raises UserError where the training has no such step, or the text nothing
    to train on.
    """
    beginning.check(config, corpus)
    checks.check_alone(config.static(), "a training that is shown")
    hyper, key = beginning.make_hyper(config, corpus.vocab), jax.random.key(config.seed)
    first = beginning.tables(config, corpus)
    state = beginning.initial_state(config, len(corpus.vocab.words), key, hyper, first)
    static = config.static()._replace(platform=training.platform_of(state))
    with console.compiling():
        program = training.compile_program(state, key, corpus.chunk_size, hyper, static, 1)
    whole = training.Training(key, corpus, program, hyper, static, config.epochs)
    reports = training.train(state, whole)
    tables = partial(_tables, config=config, vocab=corpus.vocab)
    before, taken = tables(state.params), 0
    for state, report in islice(reports, number):
        taken = report.step
        if taken == number - 1:
            before = tables(state.params)
    if taken < number:
        raise UserError(f"--step={number}: the training has {counted(taken, 'step')}")
    visit = next(visits.visits(whole, report.position))
    make = ENGINES[static.engine].make_batch
    in_chunk = jnp.int32(report.position.done - 1)
    batch = jax.jit(make, static_argnames="static")(visit.sampled, in_chunk, hyper, static=static)
    return Step(jax.device_get(batch), before, tables(state.params), report)


def _tables(params: Params, config: RunConfig, vocab: Vocab) -> Params:
    """Those of words on the host: what is yielded is gone with the next step."""
    words, _ = subword_rows.word_tables(params, config, vocab)
    return jax.tree.map(lambda table: np.array(table, copy=True), words)


def examples_of(batch: Batch | PathBatch | BlockBatch, static: StaticConfig) -> Iterator[Example]:
    """A batch's examples, in its order; slots that weigh nothing are left out."""
    if isinstance(batch, BlockBatch):
        return _of_blocks(batch, static)
    return _of_pairs(batch)


def _of_pairs(batch: Batch | PathBatch) -> Iterator[Example]:
    """An example a positive."""
    for row, slot in zip(*np.nonzero(batch.weights), strict=True):
        inputs = _weighted(batch.inputs[row], batch.input_weights[row])
        positive = _weighted(
            batch.positives[row, slot : slot + 1], batch.weights[row, slot : slot + 1]
        )
        if isinstance(batch, PathBatch):
            path = tuple(int(turn) for turn in batch.paths[row, slot] if turn)
            yield Example(inputs, positive, [], path)
            continue
        negatives = _weighted(batch.negatives[row, slot], batch.negative_weights[row, slot])
        yield Example(inputs, positive, negatives)


def _of_blocks(batch: BlockBatch, static: StaticConfig) -> Iterator[Example]:
    """An example a centre."""
    for number in range(static.batch_size):
        block, position = divmod(number, static.block)
        group, row = divmod(number, static.group_size)
        contexts = _weighted(batch.tokens[block], batch.context_weights[block, position])
        centre = [(int(batch.tokens[block, static.window + position]), 1.0)]
        noise = batch.negatives[group]
        weights = np.broadcast_to(batch.negative_weights[group, row], noise.shape)
        negatives = list(zip(noise.tolist(), weights.tolist(), strict=True))
        if contexts and static.model == "skipgram":
            yield Example(centre, contexts, negatives)
        elif contexts:
            yield Example(contexts, centre, negatives)


def _weighted(ids: np.ndarray, weights: np.ndarray) -> list[tuple[int, float]]:
    return [(int(i), float(w)) for i, w in zip(ids, weights, strict=True) if w]


def lines(config: RunConfig, vocab: Vocab, step: Step, count: int) -> list[str]:
    """What is printed of a step: `count` examples, the loss, rows of both tables, what moved."""
    static = config.static()
    shown = list(islice(examples_of(step.batch, static), count))
    told = [_head(config, step, len(shown)), "", *_examples(vocab, shown, static), ""]
    told += [_loss(config, vocab, step)]
    words = _words_of_tables(shown)
    names = ("input embeddings (the word vectors)", "output embeddings")
    rows = vocab.words, _nodes(vocab) if LOSSES[config.loss].paths else vocab.words
    tables = zip(names, words, step.before, step.after, rows, strict=True)
    for name, ids, before, after, named in tables:
        told += ["", *_rows(name, ids, before, after, named)]
    return told


def _nodes(vocab: Vocab) -> tuple[str, ...]:
    """What a tree's output embeddings belong to; no node has the last."""
    return *(f"node {number}" for number in range(len(vocab.words) - 1)), "no node"


def _head(config: RunConfig, step: Step, shown: int) -> str:
    name = {"skipgram": "skip-gram", "cbow": "CBOW"}[config.model]
    what = "centre" if config.engine == "blocks" else "positive"
    count = _count(step.batch, config.static())
    first = "" if shown == count else f"the first {shown:,} of "
    return (
        f"{name}, {config.engine} engine, window {config.window}: step {step.report.step:,} "
        f"(epoch {step.report.epoch:,}), {first}{counted(count, what)}"
    )


def _count(batch: Batch | PathBatch | BlockBatch, static: StaticConfig) -> int:
    """How many examples a batch has."""
    if isinstance(batch, BlockBatch):
        return np.count_nonzero(batch.context_weights.any(axis=-1))
    return np.count_nonzero(batch.weights)


def _examples(vocab: Vocab, shown: Sequence[Example], static: StaticConfig) -> list[str]:
    """inputs -> outputs | negatives, in columns; the blocks engine's negatives once a group."""
    shared = static.engine == "blocks"
    heads = ("centre", "contexts" if shared else "context")
    heads = heads if static.model == "skipgram" else ("contexts", "centre")
    heads = tuple(h + "*weight" if shared and h == "contexts" else h for h in heads)
    last = "code of its path" if LOSSES[static.loss].paths else "negatives"
    cells = [(*heads, "weight of each negative" if shared else last)]
    width = max((_width(vocab.words[i]) for one in shown for i, _ in one.negatives), default=0)
    for one in shown:
        text = _range(one.negatives) if shared else _words(vocab, one.negatives, width)
        text = "all other words" if LOSSES[static.loss].vocabulary else text
        text = _code(one.path) if one.path else text
        cells.append((_words(vocab, one.inputs), _words(vocab, one.outputs), text))
    first, second = (max(_width(row[i]) for row in cells) for i in (0, 1))
    told = [f"{_padded(a, first)} -> {_padded(b, second)} | {c}".rstrip() for a, b, c in cells]
    if not shared:
        return told
    lines, group = told[:1], None
    for line, one in zip(told[1:], shown, strict=True):
        ids = [i for i, _ in one.negatives]
        lines += _group(vocab, ids, static) if ids != group else []
        lines.append(line)
        group = ids
    return lines


def _code(path: Sequence[int]) -> str:
    """A word's code, and the nodes at which it turns."""
    code = "".join("1" if turn < 0 else "0" for turn in path)
    return f"{code} at nodes {' '.join(str(abs(turn) - 1) for turn in path)}"


def _group(vocab: Vocab, ids: Sequence[int], static: StaticConfig) -> list[str]:
    """The negatives that a group of centres shares."""
    times = Counter(vocab.words[i] for i in ids)
    names = " ".join(word if n == 1 else f"{word}({n})" for word, n in times.items())
    head = f"the next {static.group_size} centres share {len(ids)} negatives: "
    return wrap(head + names, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _range(negatives: Sequence[tuple[int, float]]) -> str:
    weights = [weight for _, weight in negatives]
    low, high = f"{min(weights):.3f}", f"{max(weights):.3f}"
    return low if low == high else f"{low} to {high}"


def _words(vocab: Vocab, weighted: Sequence[tuple[int, float]], width: int = 0) -> str:
    """Words with blanks between, of a width; with their weights where these differ."""
    alike = len({weight for _, weight in weighted}) == 1
    texts = (vocab.words[i] + ("" if alike else f"*{w:.2g}") for i, w in weighted)
    return " ".join(_padded(text, width) for text in texts)


def _loss(config: RunConfig, vocab: Vocab, step: Step) -> str:
    metrics = step.report.metrics
    of_chance = chance.of(config.loss, config.negatives, len(vocab.words))
    told = f"loss {metrics.loss / metrics.positives:.4f} per positive"
    if of_chance is not None:
        told += f" ({of_chance:.4f} where all scores are 0)"
    if metrics.steps and metrics.rows < _count(step.batch, config.static()):
        told += f", of {metrics.rows:.0f} of its centres"
    return f"{told}; learning rate {step.report.learning_rate:.4g}"


def _words_of_tables(shown: Sequence[Example]) -> tuple[list[int], list[int]]:
    """Ids of the examples' words in each table, the first example's first."""
    of_input = (i for one in shown for i, _ in one.inputs)
    of_output = (
        i
        for one in shown
        for i in [abs(turn) - 1 for turn in one.path]
        or [word for word, _ in [*one.outputs, *one.negatives]]
    )
    return list(dict.fromkeys(of_input)), list(dict.fromkeys(of_output))


def _rows(
    name: str, ids: Sequence[int], before: np.ndarray, after: np.ndarray, named: Sequence[str]
) -> list[str]:
    """Rows of a table before and after, at last one that stayed; and which moved."""
    moved = np.any(before != after, axis=1)
    stayed = np.flatnonzero(~moved)[:1].tolist()
    ids = [*[i for i in ids if i not in stayed][: ROWS - len(stayed)], *stayed]
    width = max((_width(named[i]) for i in ids), default=0)
    numbers = min(NUMBERS, before.shape[1])
    changes = np.abs(after - before).max(axis=1)
    digits = _digits(changes[ids])
    told = [f"{name}: {numbers} of the {before.shape[1]} numbers of a row, before -> after"]
    for i in ids:
        old, new = (
            " ".join(f"{x:{digits + 4}.{digits}f}" for x in table[i, :numbers])
            for table in (before, after)
        )
        change = f"changed by {changes[i]:.1e}" if moved[i] else "stayed"
        told.append(f"  {_padded(named[i], width)} {old} -> {new}  {change}")
    return [*told, _moved(np.flatnonzero(moved), len(moved), named)]


def _digits(changes: np.ndarray) -> int:
    """Digits behind the point in which the largest change shows."""
    most = np.max(changes, initial=0.0)
    return int(np.clip(1 - np.floor(np.log10(most)), 4, 7)) if most else 4


def _moved(ids: np.ndarray, rows: int, named: Sequence[str]) -> str:
    """How many rows moved, and which, as far as a line holds them."""
    head = f"  {len(ids):,} of {rows:,} rows moved"
    words = " ".join(named[i] for i in ids[:WIDTH])
    listed = wrap(words, WIDTH - len(head), break_on_hyphens=False, break_long_words=False)
    more = " .." if len(listed) > 1 or len(ids) > WIDTH else ""
    return head + (f": {listed[0]}{more}" if listed else "")


def _width(text: str) -> int:
    """Columns of a terminal."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
