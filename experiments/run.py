"""Config -> run directory: the wiring that the training scripts share."""

import contextlib
import dataclasses
import importlib.metadata
import itertools
import os
import platform
import time
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments import STARTED, rundir, show
from experiments.config import Config, resolved, to_flagfile
from experiments.entry import Diverged
from experiments.ledger import Ledger
from w2v_jax import corpus as corpora
from w2v_jax import evaluation, ingest, model, plots, train, update, vocab
from w2v_jax.types import Corpus, Hyper, UserError, Vocab, WordVectors

REACHABLE = 1e-6  # a word's share of the noise below which float32 draws may never hit it


def run(config: Config, script: str) -> None:
    """Trains as configured, leaves a run directory and prints the closing screen."""
    now = time.strftime("%Y%m%d-%H%M%S")
    workdir = Path(config.workdir or f"runs/{script}-{now}-{os.getpid()}").expanduser()
    rundir.check(workdir, config.overwrite)
    config = _without_missing_extras(config)
    config, source, corpus = read_corpus(config)
    static, hyper = config.static(), make_hyper(config, corpus.vocab)
    key = jax.random.key(config.seed)
    state = initial_state(config, len(corpus.vocab.words), key, hyper)
    size, steps = train.chunk_size(corpus), config.log_every_steps
    program = train.compile_program(state, key, size, hyper, static, steps)

    ledger = Ledger(config.objective, time.perf_counter())
    reports = train.train(state, key, corpus, program, hyper, static, config.epochs)
    first = next(reports)  # what cannot be trained leaves the run that it was to replace
    ledger.check(first[1])
    rundir.create(workdir, config.overwrite, to_flagfile(resolved(config)), corpus.vocab)
    state = follow(config, workdir, corpus, itertools.chain([first], reports), ledger)
    if not all(np.isfinite(table).all() for table in jax.tree.map(np.asarray, state.params)):
        raise Diverged("the embeddings are not finite: try a smaller --learning_rate")
    train_sec = time.perf_counter() - ledger.began

    wv = WordVectors(corpus.vocab.words, exported(state.params, config.export_vectors))
    rundir.write_vectors(workdir, wv, config.export_formats)
    summary = {
        "dataset": source.name,
        "note": source.note,
        "corpus_sha256": corpus.sha256,
        "vocab_sha256": rundir.vocab_sha256(workdir),
        "vocab_size": len(corpus.vocab.words),
        "words_per_epoch": corpus.words,
        "epochs": config.epochs,
        "train_sec": train_sec,
        "compile_sec": program.compile_sec,
        "words_per_sec": corpus.words * config.epochs / train_sec,
        "final_loss": ledger.final_loss(),
        "objective": ledger.final_objective(),
        "devices": [d.device_kind for d in jax.devices()],
        "versions": versions(),
        "seed": config.seed,
    }
    finish(config, workdir, summary, wv, ledger)


def finish(config: Config, workdir: Path, summary: dict, wv: WordVectors, ledger: Ledger) -> None:
    """Evaluates, draws and writes summary.json, first of all so that a failure loses nothing."""

    def write(measures):
        summary["evaluation"] = {
            m.name: {"value": m.value, "covered": m.covered, "total": m.total} for m in measures
        }
        summary["total_sec"] = time.time() - STARTED
        rundir.write_summary(workdir, summary)

    write([])
    measures = list(evaluation.standard(wv)) if config.evaluate else []
    write(measures)
    if config.plots:
        try:
            draw_plots(config, workdir, wv, ledger)
        except (UserError, OSError, ImportError) as error:
            show.say(f"note: no plots: {error}")
        write(measures)
    print(show.closing_screen(config, workdir, summary, measures, wv))


def read_corpus(config: Config) -> tuple[Config, corpora.Source, Corpus]:
    """The text as ids; the Config with the dataset that was really used."""
    source = corpora.locate(
        config.dataset,
        corpus=config.corpus,
        data_dir=config.data_dir,
        fallback=config.fallback_dataset,
        cache_dir="" if config.cache_dir == ingest.NO_CACHE else config.cache_dir,
    )
    if source.note:
        show.say(f"note: {source.note}")
    if config.corpus:  # absolute, so that flags.cfg means the same from any folder
        one = Path(config.corpus).exists()  # a name may hold a comma
        names = [config.corpus] if one else [n.strip() for n in config.corpus.split(",")]
        patterns = [str(Path(n).expanduser().absolute()) for n in names if n]
        config = dataclasses.replace(config, corpus=",".join(patterns))
    elif config.data_dir:
        folder = Path(config.data_dir).expanduser().absolute()
        config = dataclasses.replace(config, data_dir=str(folder))
    if source.name != "files":
        config = dataclasses.replace(config, dataset=source.name)
    with show.reading_bar(source.paths) as bar:
        corpus = ingest.load(
            source,
            cache_dir=config.cache_dir,
            note=lambda line: show.say(f"note: {line}"),
            progress=bar.update,
            min_count=config.min_count,
            max_vocab=config.max_vocab,
            unk=config.unk,
            eos=config.reading == "stream",
            max_words=config.max_words,
        )
    check_noise(config, corpus.vocab)
    show.say(
        f"{source.name}: {corpus.words:,} words, {len(corpus.ids):,} of the vocabulary's "
        f"{len(corpus.vocab.words):,} types"
    )
    return config, source, corpus


def check_noise(config: Config, vocabulary: Vocab) -> None:
    """Raises UserError where noise words don't exist: the sampler draws until it has them."""
    needed = {
        "with_replacement": 1,
        "exclude_target": 2,
        "exclude_contexts": 2 + 2 * config.window,
        "without_replacement": 1 + config.static().negatives,
    }[config.noise]
    noise = vocab.noise_distribution(vocabulary.counts, config.noise_power)
    reachable = int(np.sum(noise > REACHABLE))
    if config.loss != "softmax" and reachable < needed:
        raise UserError(
            f"--noise={config.noise} needs {needed} words that noise can hit, the text has "
            f"{reachable} (--min_count={config.min_count}, --noise_power={config.noise_power:g})"
        )


def make_hyper(config: Config, vocabulary: Vocab) -> Hyper:
    """The traced values; distributions are normalised in float64 on the host."""
    keep = vocab.keep_probability(vocabulary.counts, config.subsample, config.subsample_rule)
    noise = vocab.noise_distribution(vocabulary.counts, config.noise_power)
    return Hyper(
        learning_rate=jnp.float32(config.learning_rate),
        keep=jnp.asarray(keep, jnp.float32),
        noise=jnp.asarray(noise, jnp.float32),
        noise_cdf=jnp.asarray(vocab.cumulative(noise)),
        window=jnp.int32(config.window),
        negatives=jnp.int32(config.negatives),
        beta1=jnp.float32(config.beta1),
        beta2=jnp.float32(config.beta2),
        epsilon=jnp.float32(config.epsilon),
        weight_decay=jnp.float32(config.weight_decay),
    )


def initial_state(config: Config, vocab_size: int, key: jax.Array, hyper: Hyper):
    """The tables as --init draws them, and the optimiser's state."""
    init_key = jax.random.fold_in(key, 3)
    params = model.init_params(init_key, vocab_size, config.dim, config.init)
    return update.init_state(params, hyper, config.static())


def follow(config: Config, workdir: Path, corpus: Corpus, reports, ledger: Ledger):
    """Consumes the reports: each a line of metrics and a move of the progress bar."""
    with (
        rundir.metrics_writer(workdir) as write,
        _event_writer(config, workdir) as event,
        show.progress_bar(corpus.words * config.epochs) as bar,
    ):
        for state, report in reports:  # noqa: B007 (the last state is the result)
            line = ledger.line(report, time.perf_counter())
            write(line)
            event(line)
            loss = "" if line["loss"] is None else f"loss {line['loss']:.4f}, "
            bar.set_postfix_str(f"{loss}rate {line['learning_rate']:.2g}", False)
            bar.update(report.words - bar.n)
    return jax.block_until_ready(state)


@contextlib.contextmanager
def _event_writer(config: Config, workdir: Path):
    """Yields a function that adds a metrics line to TensorBoard's events, if asked for."""
    if not config.tensorboard:
        yield lambda line: None
        return
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(workdir / rundir.TENSORBOARD)) as writer:

        def event(line):
            for name in ("loss", "objective", "learning_rate", "words_per_sec"):
                if line[name] is not None:
                    writer.add_scalar(name, line[name], line["step"])

        yield event


def _without_missing_extras(config: Config) -> Config:
    """Says at the start what a run without the [eval] extra will leave out."""
    needs = (
        ("evaluate", "gensim"),
        ("plots", "matplotlib"),
        ("plots", "sklearn"),
    )
    if config.tensorboard and find_spec("tensorboardX") is None:
        raise UserError("--tensorboard needs tensorboardX: pip install 'w2v_jax[eval]'")
    for flag, package in needs:
        if getattr(config, flag) and find_spec(package) is None:
            show.say(f"note: no --{flag}: {package} is missing (pip install 'w2v_jax[eval]')")
            config = dataclasses.replace(config, **{flag: False})
    return config


def draw_plots(config: Config, workdir: Path, wv: WordVectors, ledger: Ledger) -> None:
    """plots/loss.png and plots/embedding.png."""
    folder = workdir / rundir.PLOTS
    folder.mkdir(exist_ok=True)
    measured = [line for line in ledger.lines if line["loss"] is not None]
    words = [line["words"] for line in measured]
    loss = [line["loss"] for line in measured]
    name = {"skipgram": "skip-gram", "cbow": "CBOW"}[config.model]
    plots.plot_loss(
        folder / "loss.png", words, loss, f"{name}, loss a positive", ledger.epoch_ends()
    )
    plots.plot_embedding(folder / "embedding.png", wv)


def exported(params, which: str) -> np.ndarray:
    """The word vectors [V, D]: input embeddings, output embeddings, or their sum."""
    tables = {"input": params.input, "output": params.output}
    return np.asarray(tables[which] if which in tables else params.input + params.output)


def versions() -> dict[str, str]:
    """What the result was computed with."""
    names = ("w2v_jax", "jax", "jaxlib", "optax", "flax", "numpy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout, not installed
            continue
    return found
