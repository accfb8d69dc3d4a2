"""The one frozen Config, and the absl flags that fill it."""

import dataclasses
import math
import os
import sys
from collections.abc import Iterable

from absl import flags

from experiments import quoted
from w2v_jax import checks
from w2v_jax.checks import ENGINES, NAMES, REGISTRIES
from w2v_jax.corpus import DATASETS
from w2v_jax.losses import LOSSES
from w2v_jax.model import INITS
from w2v_jax.noise import NOISE
from w2v_jax.optimizers import OPTIMIZERS, SCHEDULES
from w2v_jax.types import Static, UserError

EXPORTED = ("input", "output", "sum")


def _flag(default, help_, *, choices=None, low=None, high=None, result=True, of="", before=None):
    """A field with what its flag needs; result: whether it can change what a run computes.

    of: the flag of a registry whose entries tell whether this one has an effect. before: what
    versions without the flag behaved like (None: like the default). It stays what it is where the
    default changes.
    """
    metadata = {"help": help_, "choices": choices, "low": low, "high": high, "result": result}
    metadata |= {"of": of, "before": default if before is None else before}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """A run, resolved. Field names are flag names."""

    # The text
    dataset: str = _flag("ptb", "Named corpus.", choices=DATASETS)
    fallback_dataset: str = _flag(
        "", "Dataset to use where PTB can't be had.", choices=("", "wiki_sample"), result=False
    )
    corpus: str = _flag("", "Text to train on instead: file or glob, UTF-8, .gz/.xz/.bz2 too.")
    data_dir: str = _flag("", "Folder with PTB's files (default: $W2V_JAX_DATA, else download).")
    cache_dir: str = _flag(
        "",
        "Folder for downloads, texts as ids and compiled programs (default: w2v_jax in "
        "$XDG_CACHE_HOME or ~/.cache); none: neither ids nor programs are kept.",
        result=False,
    )
    reading: str = _flag(
        "sentences",
        "sentences: windows stop at line ends; stream: one line, <eos> at the line ends.",
        choices=("sentences", "stream"),
    )
    unk: str = _flag(
        "keep",
        "keep: rare words become <unk>; drop: they and <unk> leave the text.",
        choices=("keep", "drop"),
    )
    min_count: int = _flag(1, "Words that occur less often are rare.", low=1)
    max_vocab: int = _flag(0, "Largest vocabulary (0: any).", low=0)
    max_words: int = _flag(0, "Train on the corpus's first so many words (0: all).", low=0)
    max_types: int = _flag(
        0, "Forget rare words while reading, so that no more types are held (0: all).", low=0
    )
    continue_from: str = _flag(
        "", "Go on from word vectors (a file) or from another run's checkpoint (its folder)."
    )
    continue_schedule: bool = _flag(
        False,
        "With --continue_from=RUN: the rate and the optimiser go on as in one longer run, instead "
        "of beginning anew.",
    )
    # The model and its loss
    model: str = _flag("skipgram", "Architecture.", choices=NAMES["model"])
    engine: str = _flag(
        "pairs",
        "How a step is computed: pairs, the reference; blocks, the fast one.",
        choices=ENGINES,
    )
    dim: int = _flag(100, "Embedding size D.", low=1, high=2**16)
    init: str = _flag("gensim", "Whose initial tables.", choices=INITS)
    loss: str = _flag("negative_sampling", "What a centre minimises.", choices=LOSSES)
    reduction: str = _flag("sum", "A batch's loss over its centres.", choices=NAMES["reduction"])
    cbow_legacy_gradient: bool = _flag(False, "CBOW's inputs get the hidden gradient undivided.")
    # Windows, noise, subsampling
    window: int = _flag(5, "Largest window W, words to each side.", low=1, high=1000)
    dynamic_window: bool = _flag(True, "Draw each centre's window from U{1..W}.")
    expected_window: bool = _flag(
        False,
        "Weigh a context by the chance that a drawn window holds it, instead of drawing windows "
        "(CBOW: in the mean of the contexts).",
    )
    full_windows: bool = _flag(False, "Leave out centres whose window is cut short by the edges.")
    negatives: int = _flag(5, "Noise words K a positive.", low=1, high=10_000, of="loss")
    window_limit: int = _flag(
        0,
        "Largest window that the program has room for (0: --window), as in a sweep; with more "
        "room other random numbers may be drawn.",
        low=0,
        high=1000,
    )
    negatives_limit: int = _flag(
        0, "The same for --negatives (0: --negatives).", low=0, high=10_000, of="loss"
    )
    noise_power: float = _flag(
        0.75, "Noise is drawn from count^power.", low=0.0, high=4.0, of="noise"
    )
    noise: str = _flag("exclude_target", "Law of the noise words.", choices=NOISE, of="loss")
    subsample: float = _flag(1e-4, "Subsampling threshold t (0: none).", low=0.0)
    subsample_rule: str = _flag(
        "paper",
        "Keep a word with sqrt(t/f) (paper) or sqrt(t/f) + t/f.",
        choices=("paper", "word2vec_c"),
    )
    block: int = _flag(16, "Centres a block L.", low=1, high=4096, of="engine")
    group: int = _flag(128, "Centres that share noise words.", low=1, high=2**20, of="engine")
    shared_noise: int = _flag(
        64, "Noise words M a group; they weigh as K a positive.", low=1, high=2**20, of="engine"
    )
    redraw: str = _flag(
        "epoch",
        "Draw subsampling, windows and noise anew each epoch, or once.",
        choices=NAMES["redraw"],
    )
    # Optimisation
    epochs: int = _flag(5, "Passes over the corpus.", low=1, high=10**6)
    batch_size: int = _flag(512, "Centres a step T.", low=1, high=2**24)
    drop_last: bool = _flag(False, "Leave out an epoch's last batch where it is not full.")
    optimizer: str = _flag(
        "adam", "Optax's; row_adagrad: one accumulator a row.", choices=OPTIMIZERS
    )
    rows: str = _flag(
        "dense", "Rows that the optimiser sees: all, or those of the batch.", choices=NAMES["rows"]
    )
    learning_rate: float = _flag(0.002, "Rate at the start.", low=0.0)
    schedule: str = _flag("constant", "The rate falls to 0, or not.", choices=SCHEDULES)
    beta1: float = _flag(0.9, "Decay of the first moment.", low=0.0, high=1.0, of="optimizer")
    beta2: float = _flag(0.999, "Decay of the second moment.", low=0.0, high=1.0, of="optimizer")
    epsilon: float = _flag(
        1e-8, "Adam's, beside the root; Adagrad's, under the root.", low=0.0, of="optimizer"
    )
    epsilon_hat: bool = _flag(False, "Adam's epsilon beside the root of the raw second moment.")
    weight_decay: float = _flag(1e-4, "Decay of the weights a step.", low=0.0, of="optimizer")
    seed: int = _flag(1, "Seed of everything drawn.", low=0, high=2**32 - 1)
    # What is left behind
    export_vectors: str = _flag("input", "Which embeddings are the word vectors.", choices=EXPORTED)
    export_formats: tuple = _flag(
        ("text",),
        "Any of text, binary, npz, projector.",
        choices=("text", "binary", "npz", "projector"),
        result=False,
    )
    objective: str = _flag(
        "none",
        "Log the mean objective a centre since the last line (interval; the book's accounting) "
        "or since the start (running; d2l's).",
        choices=("none", "interval", "running"),
    )
    workdir: str = _flag("", "Run directory (default: runs/SCRIPT-TIME).", result=False)
    overwrite: bool = _flag(False, "Replace the run that workdir holds.", result=False)
    resume: bool = _flag(
        True, "Go on with the run that workdir holds, if this is it.", result=False
    )
    checkpoint_every_sec: float = _flag(
        600.0,
        "Seconds between checkpoints, which are saved at a line of metrics (0: none; with no "
        "--checkpoint_every_steps either the end isn't saved).",
        low=0,
        result=False,
    )
    checkpoint_every_steps: int = _flag(
        0,
        "Steps between checkpoints, which are saved at a line of metrics (0: none).",
        low=0,
        result=False,
    )
    keep_checkpoints: int = _flag(2, "Checkpoints that stay.", low=1, high=1000, result=False)
    resident_gb: float = _flag(
        0.0,
        "Text that stays on the device, 8 bytes a token; the rest is read ahead of use.",
        low=0,
        result=False,
    )
    memory_gb: float = _flag(
        0.0,
        "Memory that training may take (0: all that the device has; a sweep: half of it).",
        low=0,
        result=False,
    )
    log_every_steps: int = _flag(
        100, "Steps a line of metrics.jsonl.", low=1, high=10**6, result=False
    )
    evaluate: bool = _flag(True, "Word pairs and analogies at the end.", result=False)
    plots: bool = _flag(True, "Draw plots/ at the end.", result=False)
    tensorboard: bool = _flag(False, "Also write TensorBoard events.", result=False)
    show_similar: tuple = _flag(
        ("you", "year", "car", "toyota"), "Words to print neighbours of.", result=False
    )
    show_analogies: tuple = _flag(
        ("king:man:queen", "take:took:go", "car:cars:child", "good:better:bad"),
        "Analogies a:b:c to print (a is to b as c is to ?).",
        result=False,
    )
    analogy_score: str = _flag(
        "cosine",
        "How to rank them: 3CosAdd, 3CosMul, or the book's dot of rows that are not normalised.",
        choices=("cosine", "mul", "dot"),
        result=False,
    )

    def static(self) -> Static:
        """What shapes the compiled program; where it is compiled it gets its devices' platform."""
        values = {name: getattr(self, name) for name in Static._fields if name != "platform"}
        values["window"] = max(self.window, self.window_limit)
        values["negatives"] = max(self.negatives, self.negatives_limit)
        return Static(**values)


DURABLE = (
    "resident_gb",
    "resume",
    "checkpoint_every_sec",
    "checkpoint_every_steps",
    "keep_checkpoints",
)
CONTINUED = ("continue_from", "continue_schedule")


def define_flags(without: Iterable[str] = (), **defaults) -> None:
    """One absl flag a field, but of those `without` effect; defaults differ by script."""
    for field in dataclasses.fields(Config):
        if field.name in without:
            continue
        about, default = field.metadata, defaults.get(field.name, field.default)
        help_ = about["help"] + _users(field.name, about["of"])
        bounds = {"lower_bound": about["low"], "upper_bound": about["high"]}
        if field.type is bool:
            flags.DEFINE_boolean(field.name, default, help_)
        elif field.type is int:
            flags.DEFINE_integer(field.name, default, help_, **bounds)
        elif field.type is float:
            flags.DEFINE_float(field.name, default, help_, **bounds)
        elif field.type is tuple:
            flags.DEFINE_list(field.name, list(default), help_)
        elif about["choices"]:
            flags.DEFINE_enum(field.name, default, list(about["choices"]), help_)
        else:
            flags.DEFINE_string(field.name, default, help_)


def _users(name: str, of: str) -> str:
    """For a flag's help: with which choices of the flag `of` it has an effect, if not with all."""
    entries = REGISTRIES[of] if of else {}
    users = [choice for choice, entry in entries.items() if _base(name) in entry.uses]
    return "" if len(users) == len(entries) else f" Has an effect with --{of}={', '.join(users)}."


def _base(name: str) -> str:
    """The flag that a limit is of: negatives_limit -> negatives."""
    return name.removesuffix("_limit")


def from_flags() -> Config:
    """The flags as a Config, checked. Raises UserError for values that don't go together."""
    values = {}
    for field in dataclasses.fields(Config):
        if field.name not in flags.FLAGS:
            continue
        value = flags.FLAGS[field.name].value
        values[field.name] = tuple(value) if field.type is tuple else value
    if values["data_dir"] and (values["corpus"] or values["dataset"] != "ptb"):
        raise UserError("--data_dir is where PTB's files are: it goes with --dataset=ptb alone")
    config = Config(**values)
    check(config)
    for name, cause in without_effect(config):
        if name in flags.FLAGS and flags.FLAGS[name].present:
            print(f"note: --{name} has no effect with {cause}", file=sys.stderr)
    if config.dataset == "ptb" and not config.corpus and not config.data_dir:
        folder = os.environ.get("W2V_JAX_DATA", "")
        if folder and not os.path.isdir(os.path.expanduser(folder)):
            raise UserError(f"$W2V_JAX_DATA={folder}: is not a folder")
        config = dataclasses.replace(config, data_dir=folder)
    return config


def check(config: Config) -> None:
    """Raises UserError for values that don't go together."""
    for field in dataclasses.fields(Config):
        value, choices = getattr(config, field.name), field.metadata["choices"]
        if field.type is float and not math.isfinite(value):
            raise UserError(f"--{field.name}={value}: not a finite number")
        given = {value} if field.type is str and value is not None else value
        if choices and given and set(given) - set(choices):
            wrong = sorted(set(given) - set(choices))[0]
            raise UserError(f"--{field.name}={wrong}: not one of {', '.join(choices)}")
    for name in ("window", "negatives"):
        limit = getattr(config, f"{name}_limit")
        if limit and limit < getattr(config, name):
            raise UserError(f"--{name}_limit={limit}: below --{name}={getattr(config, name)}")
    for analogy in config.show_analogies:
        if len(quoted.words(analogy, ":")) != 3:
            raise UserError(f"--show_analogies={analogy}: not of the form a:b:c")
    for name in ("beta1", "beta2"):
        if getattr(config, name) >= 1:
            raise UserError(f"--{name}={getattr(config, name)}: must be below 1")
    checks.check(config.static())
    for name in OPTIMIZERS[config.optimizer].above_zero:
        if getattr(config, name) == 0:
            raise UserError(f"--{name}=0: rows without a gradient yet would be divided by 0")


def without_effect(config: Config) -> list[tuple[str, str]]:
    """Flags that the others make idle, each with the flag that does."""
    idle = [
        ("subsample_rule", "subsample", config.subsample == 0),
        ("continue_schedule", "continue_from", not config.continue_from),
        ("expected_window", "dynamic_window", not config.dynamic_window),
        ("fallback_dataset", "corpus", bool(config.corpus)),
        ("fallback_dataset", "data_dir", bool(config.data_dir)),
        ("dataset", "corpus", bool(config.corpus)),
        ("analogy_score", "show_analogies", not config.show_analogies),
    ]
    causes = [(name, cause) for name, cause, is_idle in idle if is_idle]
    return [
        (name, f"--{cause}={getattr(config, cause)}") for name, cause in _unused(config) + causes
    ]


def _unused(config: Config) -> list[tuple[str, str]]:
    """Flags that entries of a registry use, but none of those chosen, each with the flag at fault.

    A flag that no entry speaks of has an effect, and so has one that any chosen entry uses; all
    have beside a choice that is not known, as another version's may be.
    """
    of = {f.name: f.metadata["of"] for f in dataclasses.fields(Config) if f.metadata["of"]}
    spoken_of = {
        n for entries in REGISTRIES.values() for entry in entries.values() for n in entry.uses
    }
    chosen = {flag: entries.get(getattr(config, flag)) for flag, entries in REGISTRIES.items()}
    uses = {flag: set(entry.uses) if entry else spoken_of for flag, entry in chosen.items()}

    def fault(flag):  # of the choice that leaves this one without a say: with softmax, of noise
        above = of.get(flag)
        return above and (fault(above) or ("" if flag in uses[above] else above))

    used = set().union(*(names for flag, names in uses.items() if not fault(flag)))
    idle = [name for name in of if _base(name) in spoken_of - used]
    return [(name, fault(of[name]) or of[name]) for name in idle]


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


def resolved(config: Config) -> list[tuple[str, object]]:
    """The flags that affect results, and where the corpus came from."""
    names = [f.name for f in dataclasses.fields(Config) if f.metadata["result"]]
    skip = {"dataset"} if config.corpus else {"corpus"}
    skip |= {
        name for name in ("data_dir", "continue_from", "max_types") if not getattr(config, name)
    }
    skip |= {name for name, why in without_effect(config)}
    skip |= {name for name in ("window_limit", "negatives_limit") if not getattr(config, name)}
    return [(name, getattr(config, name)) for name in names if name not in skip]
