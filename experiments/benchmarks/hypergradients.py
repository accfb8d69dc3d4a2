"""The learning rate and the noise power, derived: held-out loss through a whole short run."""

import math
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.benchmarks import hypergradients_report
from experiments.cli import command, console
from experiments.report.tables import counted
from experiments.runs.store import Results
from w2v_jax import hypergradients, model, sampling, subsampling, update
from w2v_jax.data import loader, vocab
from w2v_jax.data import sources as corpora
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import Batch, HyperParams, StaticConfig, TextSettings, UserError

CURVE_POINTS = 25
LARGEST_STEP = (0.5, 0.15)  # of the descent, in log rate and in power
HALVINGS = 12  # of a step of the descent that doesn't lower the loss
SETTINGS = (
    *("max_vocab", "max_words", "heldout_share", "heldout_centres", "window", "negatives", "dim"),
    *("batch_size", "steps", "learning_rate", "noise_power", "epsilon", "descent_steps"),
    "seed",
)


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_enum("dataset", "ptb", corpora.DATASETS, "Named text.")
    flags.DEFINE_string("corpus", "", "Text instead: file or glob, UTF-8, .gz/.xz/.bz2 too.")
    flags.DEFINE_string("data_dir", "", "Folder with PTB's files (default: $W2V_JAX_DATA).")
    flags.DEFINE_string("cache_dir", "", "Folder of texts and compiled programs; none: no cache.")
    flags.DEFINE_integer("max_words", 100_000, "The text's first so many words (0: all).", 0)
    flags.DEFINE_integer("max_vocab", 300, "Most frequent words V; others are left out.", 2, 5000)
    flags.DEFINE_float("heldout_share", 0.1, "Share of the text, its end, held out.", 0.0, 1.0)
    flags.DEFINE_integer("heldout_centres", 2048, "Centres measured there, at most.", 1)
    flags.DEFINE_integer("window", 1, "Largest window W.", 1)
    flags.DEFINE_integer("negatives", 5, "Negatives K a positive.", 1)
    flags.DEFINE_integer("dim", 16, "Embedding size D.", 1)
    flags.DEFINE_integer("batch_size", 512, "Centres a step T.", 1)
    flags.DEFINE_integer("steps", 50, "Steps that are derived through.", 1)
    flags.DEFINE_list("optimizers", ["sgd", "adam"], f"Of {', '.join(update.OPTIMIZERS)}.")
    flags.DEFINE_float("learning_rate", 0.005, "Where the descent starts.")
    flags.DEFINE_float("noise_power", 0.0, "Where the descent starts: 0 is uniform noise.")
    flags.DEFINE_float("epsilon", 1e-8, "Adam's and Adagrad's, beside the root.")
    flags.DEFINE_integer("descent_steps", 12, "Steps of gradient descent on both, at most.", 0)
    flags.DEFINE_integer("seed", 1, "Seed of windows, batches and tables.", 0)
    flags.DEFINE_string("workdir", "", "Folder of the results; what is found there is kept.")


class Programs(NamedTuple):
    """One optimiser's run as functions of (log rate, power) [2]."""

    loss: Callable  # [2] -> []
    derivatives: Callable  # [2] -> Point


class Point(NamedTuple):
    """The loss after training and its derivatives at one (log rate, power)."""

    x: np.ndarray  # [2]
    loss: float
    by_step: np.ndarray  # [steps] in the log rate of each step
    by_training: float  # in the power of the noise that trains
    by_scoring: float  # in the power of the Pn that corrects the scores

    @property
    def slope(self) -> np.ndarray:
        """In log rate and power [2]."""
        return np.array([self.by_step.sum(), self.by_training + self.by_scoring])


def main() -> None:
    """Measures what is not measured yet, then writes table and figure."""
    values = flags.FLAGS
    check()
    shared = {name: values[name].value for name in SETTINGS}
    corpus = read_corpus()
    settings = {**shared, "corpus_sha256": corpus.sha256}
    results = Results(Path(values.workdir).expanduser(), settings)
    with jax.enable_x64(False):
        text = prepare(corpus)
    with jax.enable_x64(True):
        run, hyper = float64(text)
        unigram = float(unigram_loss(run))
        for optimizer in values.optimizers:
            if not results.find(optimizer=optimizer):
                results.add(measure(optimizer, run, hyper))
    lines = [results.find(optimizer=optimizer) for optimizer in values.optimizers]
    document = hypergradients_report.table(lines, shared, len(corpus.vocab.words), unigram)
    results.write("table.md", document)
    print(document)
    hypergradients_report.draw(results.folder / "hypergradients.png", lines, unigram)


def check() -> None:
    """Raises UserError for flags that can't be used, before anything is read."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=OUT is missing")
    for name in ("learning_rate", "epsilon"):
        if not 0 < values[name].value < math.inf:
            raise UserError(f"--{name}={values[name].value}: not a positive number")
    if not math.isfinite(values.noise_power):
        raise UserError(f"--noise_power={values.noise_power}: not a number")
    if not 0 < values.heldout_share < 1:
        raise UserError(f"--heldout_share={values.heldout_share}: not between 0 and 1")
    for name in values.optimizers:
        if name not in update.OPTIMIZERS:
            raise UserError(f"--optimizers={name}: not one of {', '.join(update.OPTIMIZERS)}")
    if not values.optimizers:
        raise UserError("--optimizers: names none")


def read_corpus() -> Corpus:
    """The text that the flags name, rare words left out."""
    values = flags.FLAGS
    data_dir = values.data_dir
    if values.dataset == "ptb":
        data_dir = data_dir or os.environ.get("W2V_JAX_DATA", "")
    cache_dir = "" if values.cache_dir == loader.NO_CACHE else values.cache_dir
    source = corpora.locate(
        values.dataset, corpus=values.corpus, data_dir=data_dir, cache_dir=cache_dir
    )
    settings = TextSettings(min_count=1, max_vocab=values.max_vocab, max_words=values.max_words)
    return Corpus.load(
        source,
        settings,
        cache_dir=values.cache_dir,
        note=console.note,
    )


def prepare(corpus: Corpus) -> tuple[hypergradients.Unrolled, HyperParams]:
    """Batches of the text's beginning and end, the tables they start from, counts, constants."""
    values = flags.FLAGS
    size, end = len(corpus.vocab.words), len(corpus.ids)
    cut = end - math.ceil(values.heldout_share * end)
    counts = np.bincount(corpus.ids[:cut], minlength=size)
    unseen = corpus.ids[cut:][counts[corpus.ids[cut:]] == 0]
    if len(unseen):
        raise UserError(
            f"--max_vocab={values.max_vocab}: '{corpus.vocab.words[unseen[0]]}' stands in the "
            "held-out part alone; give a smaller one, or more --max_words"
        )
    hyper = make_hyper(counts)
    rows = values.batch_size
    batches, centres = draw_batches(corpus, 0, cut, rows, values.steps, hyper)
    if centres < rows * values.steps:
        raise UserError(
            f"--steps={values.steps} of --batch_size={rows}: the text has "
            f"{counted(centres, 'centre')}"
        )
    heldout, centres = draw_batches(corpus, cut, end, values.heldout_centres, 1, hyper)
    if not centres:
        raise UserError(f"--heldout_share={values.heldout_share}: no two words side by side there")
    start = model.init_params(jax.random.key(values.seed), size, values.dim, "xavier")
    heldout = jax.tree.map(lambda x: x[0], heldout)
    return hypergradients.Unrolled(start, batches, heldout, jnp.asarray(counts, jnp.float32)), hyper


def make_hyper(counts: np.ndarray) -> HyperParams:
    """Constants of a run: nothing is subsampled, Adam's as usual. Rate and noise are not used."""
    values = flags.FLAGS
    noise = vocab.noise_distribution(counts, values.noise_power)
    return HyperParams(
        learning_rate=jnp.float32(values.learning_rate),
        keep_prob=jnp.ones(len(counts), jnp.float32),
        noise=jnp.asarray(noise, jnp.float32),
        noise_cdf=jnp.asarray(vocab.cumulative(noise)),
        window=jnp.int32(values.window),
        negatives=jnp.int32(values.negatives),
        beta1=jnp.float32(0.9),
        beta2=jnp.float32(0.999),
        epsilon=jnp.float32(values.epsilon),
        weight_decay=jnp.float32(0),
        final_rate=jnp.float32(0),
    )


def draw_batches(
    corpus: Corpus, begin: int, end: int, rows: int, steps: int, hyper: HyperParams
) -> tuple[Batch, int]:
    """The first batches of ids[begin:end], stacked, as training draws them; and its centres."""
    values = flags.FLAGS
    # Under the softmax a batch's outputs are the positives alone.
    static = StaticConfig(loss="softmax", window=values.window, batch_size=rows)
    tokens, line = map(jnp.asarray, corpus.arrays(begin, end, end - begin))
    key, first = jax.random.key(values.seed), jnp.int32(0)

    @jax.jit
    def draw(tokens, line):
        stream = subsampling.sample_chunk(key, first, first, tokens, line, hyper, static)
        make = partial(sampling.make_batch, stream, hyper=hyper, static=static)
        return jax.vmap(make)(jnp.arange(steps)), stream.centres

    batches, centres = draw(tokens, line)
    return batches, int(centres)


def float64(tree):
    """Every float32 array as float64."""

    def wide(x):
        return jnp.asarray(np.asarray(x), jnp.float64) if x.dtype == jnp.float32 else x

    return jax.tree.map(wide, tree)


def unigram_loss(run: hypergradients.Unrolled) -> jax.Array:
    """What scores of 0 and power 1 give: the words' frequencies, whatever the centre."""
    zeros = jax.tree.map(jnp.zeros_like, run.start)
    log_pn = hypergradients.log_noise(run.counts, jnp.float64(1))
    return hypergradients.heldout_loss(zeros, run.heldout, log_pn)


def compile_programs(optimizer: str, run: hypergradients.Unrolled, hyper: HyperParams) -> Programs:
    """One optimiser's loss, and one backward pass for all its derivatives."""
    static = StaticConfig(optimizer=optimizer)
    steps = run.batches.positives.shape[0]

    def after(log_rates, power, scoring_power, run, hyper):
        rates = jnp.exp(log_rates)
        return hypergradients.loss_after_training(rates, power, scoring_power, run, hyper, static)

    forward = jax.jit(after)
    backward = jax.jit(jax.value_and_grad(after, argnums=(0, 1, 2)))

    def arguments(x):
        power = jnp.float64(x[1])
        return jnp.full((steps,), x[0], jnp.float64), power, power, run, hyper

    def derivatives(x):
        loss, (by_step, by_training, by_scoring) = backward(*arguments(x))
        return Point(x, float(loss), np.asarray(by_step), float(by_training), float(by_scoring))

    return Programs(lambda x: float(forward(*arguments(x))), derivatives)


def measure(optimizer: str, run: hypergradients.Unrolled, hyper: HyperParams) -> dict:
    """All of one optimiser: its line of results."""
    values = flags.FLAGS
    console.log(
        f"{optimizer}: a run of {counted(values.steps, 'step')}, and the way back through it"
    )
    programs = compile_programs(optimizer, run, hyper)
    start = programs.derivatives(np.array([math.log(values.learning_rate), values.noise_power]))
    if not (math.isfinite(start.loss) and np.isfinite(start.slope).all()):
        raise command.Diverged(
            f"{optimizer} from --learning_rate={values.learning_rate}: try a smaller one"
        )
    points = descend(programs, start, values.descent_steps)
    end = points[-1]
    return {
        "optimizer": optimizer,
        "checks": [checked(programs, point) for point in (start, end)],
        "descent": [as_json(point) for point in points],
        "by_step": end.by_step.tolist(),
        "curves": [curve(programs, end, axis) for axis in (0, 1)],
        "run_ms": milliseconds(programs.loss, end.x),
        "derivatives_ms": milliseconds(programs.derivatives, end.x),
    }


def checked(programs: Programs, point: Point) -> dict:
    """Derivatives beside central differences (f(x + h) - f(x - h)) / 2h."""

    def difference(axis, width):
        h = width * np.eye(2)[axis]
        return (programs.loss(point.x + h) - programs.loss(point.x - h)) / (2 * width)

    widths = hypergradients_report.WIDTHS
    differences = [[difference(axis, width) for width in widths] for axis in (0, 1)]
    return {**as_json(point), "widths": widths, "differences": differences}


def as_json(point: Point) -> dict:
    """A point's fields for results.jsonl; null for what is not finite."""
    known = math.isfinite(point.loss) and np.isfinite(point.slope).all()
    return {
        "learning_rate": math.exp(point.x[0]),
        "noise_power": float(point.x[1]),
        "loss": point.loss if known else None,
        "derivatives": point.slope.tolist() if known else None,
        "power_by_training": point.by_training if known else None,
        "power_by_scoring": point.by_scoring if known else None,
    }


def descend(programs: Programs, start: Point, steps: int) -> list[Point]:
    """Gradient descent on (log rate, power): every point passed, the start among them.

    x <- x - clip(slope, LARGEST_STEP), halved until it lowers the loss; it ends where none does.
    """
    points, largest = [start], np.array(LARGEST_STEP)
    for _ in range(steps):
        here = points[-1]
        step = np.clip(here.slope, -largest, largest)
        trials = (here.x - step * 0.5**halvings for halvings in range(HALVINGS))
        lower = next((x for x in trials if programs.loss(x) < here.loss), None)
        found = None if lower is None else programs.derivatives(lower)
        if found is None or not np.isfinite(found.slope).all():
            break
        points.append(found)
    return points


def curve(programs: Programs, middle: Point, axis: int) -> list[dict]:
    """Points along one of (log rate, power), the other as it is in the middle."""
    offsets = hypergradients_report.CURVE_SPANS[axis] * np.linspace(-1, 1, CURVE_POINTS)
    return [as_json(programs.derivatives(middle.x + x * np.eye(2)[axis])) for x in offsets]


def milliseconds(function: Callable, x: np.ndarray) -> float:
    """Median of three calls."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        function(x)
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * 1000
