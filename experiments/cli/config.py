"""RunConfig, a Config with what a command beside it needs, and the absl flags that fill it."""

import dataclasses
import os
import sys
from collections.abc import Iterable

from absl import flags

from experiments.cli import datasets, idle, quoted
from experiments.cli.errors import as_flags
from w2v_jax import config as checking
from w2v_jax.beginning import OF_TEXT, check_init
from w2v_jax.config import Config, field
from w2v_jax.data.preparation import encoding_of
from w2v_jax.data.sources import DATASETS, OWN
from w2v_jax.losses import LOSSES
from w2v_jax.types import TextSettings, UserError
from w2v_jax.vectors.io import FORMATS, check_packages

FLAGS = "flags.cfg"  # what a run calls the file of its own flags
EXPORTED, PICTURES = ("input", "output", "sum"), ("png", "svg", "pdf")


def _as_in_papers(name: str, default):
    """A field of Config with another default."""
    about = Config.__dataclass_fields__[name].metadata
    return dataclasses.field(default=default, metadata={**about, "before": default})


@dataclasses.dataclass(frozen=True)
class RunConfig(Config):
    """A run of a command. Field names are flag names."""

    # The papers' setting, with which the commands for PTB begin
    reading: str = _as_in_papers("reading", "sentences")
    unk: str = _as_in_papers("unk", "keep")
    min_count: int = _as_in_papers("min_count", 1)
    max_vocab: int = _as_in_papers("max_vocab", 0)
    max_words: int = _as_in_papers("max_words", 0)
    max_types: int = _as_in_papers("max_types", 0)
    engine: str = _as_in_papers("engine", "pairs")
    update: str = _as_in_papers("update", "dense")
    optimizer: str = _as_in_papers("optimizer", "adam")
    learning_rate: float = _as_in_papers("learning_rate", 0.002)
    epsilon: float = _as_in_papers("epsilon", 1e-8)
    schedule: str = _as_in_papers("schedule", "constant")
    epochs: int = _as_in_papers("epochs", 5)
    batch_size: int = _as_in_papers("batch_size", 512)
    noise: str = _as_in_papers("noise", "exclude_target")
    negatives_per_group: int = _as_in_papers("negatives_per_group", 64)
    expected_window: bool = _as_in_papers("expected_window", False)
    subsample: float = _as_in_papers("subsample", 1e-4)
    subsample_rule: str = _as_in_papers("subsample_rule", "paper")
    # The text
    dataset: str = field("ptb", "Named corpus.", choices=DATASETS)
    fallback_dataset: str = field(
        "", "Dataset to use where PTB can't be had.", choices=("", "wiki_sample"), result=False
    )
    corpus: str = field(
        "", "Text to train on instead: file, folder or glob; .gz/.xz/.bz2/.zst/.zip too."
    )
    data_dir: str = field(
        "", "Folder with PTB's files or text8 (default: $W2V_JAX_DATA, else PTB is downloaded)."
    )
    cache_dir: str = field(
        "",
        "Folder for downloads, texts as ids and compiled programs (default: w2v_jax in "
        "$XDG_CACHE_HOME or ~/.cache); none: neither ids nor programs are kept.",
        result=False,
    )
    continue_from: str = field(
        "", "Go on from word vectors (a file) or from another run's checkpoint (its folder)."
    )
    continue_schedule: bool = field(
        False,
        "With --continue_from=RUN: the rate and the optimiser go on as in one longer run, instead "
        "of beginning anew.",
    )
    seed: int = field(1, "Seed of everything drawn.", low=0, high=2**32 - 1)
    processes: int = field(
        0,
        "Processes that carry --replicas on CPUs (0: one a core), or share a sweep's trials (0: "
        "one).",
        low=0,
        result=False,
    )
    distributed: str = field(
        "off",
        "Processes of several machines carry --replicas, each by the same command: HOST:PORT,N,I "
        "(of process 0, how many there are, which this is), or auto (SLURM, Open MPI, Kubernetes, "
        "TPU pods).",
        result=False,
    )
    deterministic: bool = field(
        False, "The same bits each time on a GPU too, at a price in speed.", result=False
    )
    # Text that is not trained on
    heldout: str = field(
        "",
        "Text that is not trained on, measured at each epoch's end: a file or glob, or valid, "
        "PTB's valid.txt (empty: none; with --early_stopping and in sweeps PTB's).",
    )
    early_stopping: int = field(
        0,
        "Stop after so many epochs on end without a better held-out loss, and keep the best tables "
        "(0: never).",
        low=0,
        high=10**6,
    )
    perplexity_window: int = field(5, "Window of the held-out measures.", low=1, high=1000)
    perplexity: bool = field(True, "Exact perplexity of the held-out text.", result=False)
    # What is left behind
    export_vectors: str = field("input", "Which embeddings are the word vectors.", choices=EXPORTED)
    export_formats: tuple = field(
        ("text",),
        f"Any of {', '.join((*FORMATS, 'projector'))}.",
        choices=(*FORMATS, "projector"),
        result=False,
    )
    objective: str = field(
        "none",
        "Log the mean objective a centre since the last line (interval; the book's accounting) "
        "or since the start (running; d2l's).",
        choices=("none", "interval", "running"),
    )
    workdir: str = field("", "Run directory (default: runs/SCRIPT-TIME).", result=False)
    overwrite: bool = field(False, "Replace the run that workdir holds.", result=False)
    resume: bool = field(True, "Go on with the run of workdir, if this is it.", result=False)
    checkpoint_every_sec: float = field(
        600.0,
        "Seconds between checkpoints, which are saved at a line of metrics (0: none; with no "
        "--checkpoint_every_steps either the end isn't saved).",
        low=0,
        result=False,
    )
    checkpoint_every_steps: int = field(
        0,
        "Steps between checkpoints, which are saved at a line of metrics (0: none).",
        low=0,
        result=False,
    )
    keep_checkpoints: int = field(2, "Checkpoints that stay.", low=1, high=1000, result=False)
    resident_gb: float = field(
        0.0,
        "Text that stays on the device, 8 bytes a token; the rest is read ahead of use.",
        low=0,
        result=False,
    )
    memory_gb: float = field(
        0.0,
        "Memory that training may take (0: all that the device has; a sweep: half of it).",
        low=0,
        result=False,
    )
    log_every_steps: int = field(
        100, "Steps a line of metrics.jsonl.", low=1, high=10**6, result=False
    )
    evaluate: bool = field(True, "Word pairs and analogies at the end.", result=False)
    pairs: tuple = field(
        (), "Own word pairs, lines `word word score`: measured too; may be repeated.", result=False
    )
    analogies: tuple = field(
        (), "Own analogies, a file or a folder: measured too; may be repeated.", result=False
    )
    score_column: str = field(
        "", "Column of --pairs' scores: its name or number, from 1.", result=False
    )
    plots: bool = field(True, "Draw plots/ at the end.", result=False)
    picture_formats: tuple = field(
        ("png",), f"Any of {', '.join(PICTURES)}.", choices=PICTURES, result=False
    )
    tensorboard: bool = field(False, "Also write TensorBoard events.", result=False)
    show_similar: tuple = field(
        ("you", "year", "car", "toyota"), "Words to print neighbours of.", result=False
    )
    show_similar_each_epoch: bool = field(
        False, "Their neighbours at each epoch's end too, and in epochs.jsonl.", result=False
    )
    show_analogies: tuple = field(
        ("king:man:queen", "take:took:go", "car:cars:child", "good:better:bad"),
        "Analogies a:b:c to print (a is to b as c is to ?).",
        result=False,
    )
    analogy_score: str = field(
        "cosine",
        "How to rank them: 3CosAdd, 3CosMul, or the book's dot of rows that are not normalised.",
        choices=("cosine", "mul", "dot"),
        result=False,
    )

    def __post_init__(self):
        """Not checked: it may be of another version's flags, or of values still to be compared."""


DURABLE = (
    *("resident_gb", "resume", "checkpoint_every_sec", "checkpoint_every_steps"),
    *("keep_checkpoints", "processes", "distributed"),
)
CONTINUED = ("continue_from", "continue_schedule")
OWN_SETS = ("pairs", "analogies", "score_column")
REPEATED = ("pairs", "analogies")  # flags that stand once for each value
HELDOUT = ("heldout", "early_stopping", "perplexity_window", "perplexity")


def define_flags(without: Iterable[str] = (), **defaults) -> None:
    """One absl flag a field, but of those `without` effect; defaults differ by script."""
    for one in dataclasses.fields(RunConfig):
        if one.name in without:
            continue
        about, default = one.metadata, defaults.get(one.name, one.default)
        help_ = as_flags(about["help"]) + idle.users(one.name, about["of"])
        bounds = {"lower_bound": about["low"], "upper_bound": about["high"]}
        if one.type is bool:
            flags.DEFINE_boolean(one.name, default, help_)
        elif one.type is int:
            flags.DEFINE_integer(one.name, default, help_, **bounds)
        elif one.type is float:
            flags.DEFINE_float(one.name, default, help_, **bounds)
        elif one.name in REPEATED:
            flags.DEFINE_multi_string(one.name, list(default), help_)
        elif one.type is tuple:
            flags.DEFINE_list(one.name, list(default), help_)
        elif about["choices"]:
            flags.DEFINE_enum(one.name, default, list(about["choices"]), help_)
        else:
            flags.DEFINE_string(one.name, default, help_)


def without_result() -> set[str]:
    """Flags that have no effect where nothing is left behind."""
    names = {f.name for f in dataclasses.fields(RunConfig) if not f.metadata["result"]}
    own = {"objective", "export_vectors", *CONTINUED, *HELDOUT}
    return (names | own) - {"cache_dir", "fallback_dataset"}


def of_library() -> dict[str, object]:
    """The library's defaults where they are not those of RunConfig; None: by flags or text.

    What makes a text a corpus has its value at once.
    """
    text = TextSettings()._asdict()
    own = {f.name: text.get(f.name, f.default) for f in dataclasses.fields(Config)}
    fields = RunConfig.__dataclass_fields__
    return {name: value for name, value in own.items() if value != fields[name].default}


def from_flags() -> RunConfig:
    """The flags as a RunConfig, checked. Raises UserError for values that don't go together."""
    datasets.set_defaults()
    values = {}
    for one in dataclasses.fields(RunConfig):
        if one.name not in flags.FLAGS:
            continue
        value = flags.FLAGS[one.name].value
        values[one.name] = tuple(value) if one.type is tuple else value
    if values["data_dir"] and (values["corpus"] or values["dataset"] not in OWN):
        raise UserError(f"--data_dir is for --dataset={' and --dataset='.join(OWN)} alone")
    config = RunConfig(**values)
    check(config)
    config = dataclasses.replace(config, encoding=encoding_of(config.encoding))
    for name, cause in idle.without_effect(config):
        if name in flags.FLAGS and flags.FLAGS[name].present:
            print(f"note: --{name} has no effect with {cause}", file=sys.stderr)
    if config.dataset in OWN and not config.corpus and not config.data_dir:
        folder = os.environ.get("W2V_JAX_DATA", "")
        if folder and not os.path.isdir(os.path.expanduser(folder)):
            raise UserError(f"$W2V_JAX_DATA={folder}: is not a folder")
        config = dataclasses.replace(config, data_dir=folder)
    return config


def check(config: RunConfig) -> None:
    """Raises UserError for values that don't go together."""
    check_packages("--export_formats", config.export_formats)
    checking.check(config)
    if LOSSES[config.loss].paths and config.export_vectors != "input":
        raise UserError(
            f"`export_vectors={config.export_vectors}`: with `loss={config.loss}` the output "
            "embeddings are a tree's nodes, not words"
        )
    check_init(config)
    if config.continue_from and config.init in OF_TEXT:
        raise UserError(
            f"`init={config.init}`: does not go with `continue_from`, whose rows have other axes"
        )
    for analogy in config.show_analogies:
        if len(quoted.words(analogy, ":")) != 3:
            raise UserError(f"`show_analogies={analogy}`: not of the form a:b:c")


def to_flagfile(values: Iterable[tuple[str, object]]) -> str:
    """Names and values as absl flagfile lines, one --name=value a line."""
    lines = []
    for name, value in values:
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, tuple):
            value = ",".join(value)
        lines.append(f"--{name}={value}\n")
    return "".join(lines)


def resolved(config: RunConfig) -> list[tuple[str, object]]:
    """The flags that affect results, and where the corpus came from."""
    names = [f.name for f in dataclasses.fields(RunConfig) if f.metadata["result"]]
    skip = {"dataset"} if config.corpus else {"corpus"}
    skip |= {
        name for name in ("data_dir", "continue_from", "max_types") if not getattr(config, name)
    }
    skip |= {name for name in names if getattr(config, name) is None}  # the text will decide
    if not config.early_stopping:  # what is measured alone changes no result
        skip |= set(HELDOUT)
    elif not config.heldout:
        skip.add("heldout")
    skip |= {name for name, why in idle.without_effect(config)}
    skip |= {
        name for name in ("window_limit", "negatives_limit", "mesh") if not getattr(config, name)
    }
    return [(name, getattr(config, name)) for name in names if name not in skip]
