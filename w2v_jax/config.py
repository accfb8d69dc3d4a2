"""Config: what one sets of text, model and training. It checks itself."""

import dataclasses
import difflib
import math
from typing import Any

import numpy as np

from w2v_jax import checks, columns, defaults
from w2v_jax.checks import ENGINES, NAMES
from w2v_jax.data import preparation
from w2v_jax.data.preparation import TOKENS
from w2v_jax.losses import LOSSES
from w2v_jax.model import INITS
from w2v_jax.noise import NOISE
from w2v_jax.optimizers import OPTIMIZERS, SCHEDULES
from w2v_jax.types import StaticConfig, TextSettings, UserError

BASELINES = {  # other programs' names -> ours
    **dict.fromkeys(("vector_size", "size", "embed_size", "embedding_dim"), "dim"),
    **dict.fromkeys(("epoch", "iter", "num_epochs", "max_epoch"), "epochs"),
    **dict.fromkeys(("negative", "num_noise_words", "ns_k"), "negatives"),
    **dict.fromkeys(("window_size", "ws", "max_window_size"), "window"),
    **dict.fromkeys(("alpha", "lr"), "learning_rate"),
    **dict.fromkeys(("sample", "t"), "subsample"),
    **dict.fromkeys(("sg", "cbow"), "model"),
    **dict.fromkeys(("max_vocab_size", "max_final_vocab"), "max_vocab"),
    "ns_exponent": "noise_power",
    "batch": "batch_size",
    "minCount": "min_count",
    **{"minn": "min_n", "maxn": "max_n", "bucket": "buckets"},
    **dict.fromkeys(("sentences", "corpus_file", "input"), "text"),
}


def field(
    default: Any,
    help_: str,
    *,
    choices=None,
    low: float | None = None,
    high: float | None = None,
    result: bool = True,
    of: str = "",
    before=None,
) -> Any:
    """A field of a config: its default, what it is, and which values it may have.

    choices, low, high: its values. result: whether it can change what a run computes. of: the field
    of a registry whose entries tell whether this one has an effect. before: what versions without
    it behaved like (None: like the default). It stays what it is where the default changes.
    """
    metadata = {"help": help_, "choices": choices, "low": low, "high": high, "result": result}
    metadata |= {"of": of, "before": default if before is None else before}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Config:
    """Text, model and training of a run; the defaults are those of `experiments.train_corpus`.

    A field that is None depends on the model or on the text's size: `defaults.resolve` says what
    it becomes. Raises UserError, which names the field, for a value that is none or that does not
    go with the others.
    """

    # The text
    reading: str = field(
        None,
        "sentences: windows stop at line ends; stream: one line, with <eos> at each line end.",
        choices=("sentences", "stream"),
    )
    unk: str = field(
        None,
        "keep: rare words become <unk>; drop: they and <unk> leave the text.",
        choices=("keep", "drop"),
    )
    min_count: int = field(None, "Words that occur less often are rare.", low=1)
    max_vocab: int = field(None, "Largest vocabulary (0: any).", low=0)
    max_words: int = field(None, "Train on the corpus's first so many words (0: all).", low=0)
    max_types: int = field(
        None, "Forget rare words while reading, so that no more types are held (0: all).", low=0
    )
    lower: bool = field(False, "Small letters alone.")
    tokens: str = field(
        "words",
        "words: what white space parts; simple: letters and digits, without punctuation.",
        choices=TOKENS,
    )
    encoding: str = field("utf-8", "The files' encoding, as Python names it.")
    resample: int = field(
        0,
        "Draw the text's lines anew, with replacement, by this seed (0: the text as it is).",
        low=0,
        high=2**32 - 1,
    )
    # The model and its loss
    model: str = field("skipgram", "Architecture.", choices=NAMES["model"])
    engine: str = field(
        "blocks",
        "How a step is computed: pairs, the reference; blocks, the fast one.",
        choices=ENGINES,
    )
    dim: int = field(100, "Embedding size D.", low=1, high=2**16)
    init: str = field("gensim", "Initialisation scheme.", choices=INITS)
    loss: str = field("negative_sampling", "Loss.", choices=LOSSES)
    reduction: str = field("sum", "A batch's loss over its centres.", choices=NAMES["reduction"])
    cbow_legacy_gradient: bool = field(False, "CBOW's inputs get the hidden gradient undivided.")
    subwords: bool = field(
        False, "Words are made up of their character n-grams too, as fastText's: rare ones learn."
    )
    min_n: int = field(3, "Letters of the shortest n-grams.", low=1, high=100)
    max_n: int = field(6, "Letters of the longest n-grams.", low=1, high=100)
    buckets: int = field(2_000_000, "Buckets that n-grams are hashed into.", low=1, high=2**31 - 1)
    subword_legacy_gradient: bool = field(
        False, "A word's rows get its gradient undivided, as fastText's and gensim's."
    )
    # Windows, negatives, subsampling
    window: int = field(5, "Largest window W, words to each side.", low=1, high=1000)
    dynamic_window: bool = field(True, "Draw each centre's window from U{1..W}.")
    expected_window: bool = field(
        None,
        "Weigh a context by the chance that a drawn window holds it, instead of drawing windows "
        "(CBOW: in the mean of the contexts).",
    )
    full_windows: bool = field(False, "Leave out centres whose window is cut short by the edges.")
    negatives: int = field(5, "Negatives K per positive.", low=1, high=10_000, of="loss")
    window_limit: int = field(
        0,
        "Largest window that the program has room for (0: `window`), as in a sweep; with more "
        "room other random numbers may be drawn.",
        low=0,
        high=1000,
    )
    negatives_limit: int = field(
        0, "The same for `negatives` (0: `negatives`).", low=0, high=10_000, of="loss"
    )
    noise_power: float = field(
        0.75, "Power of the noise distribution, count^power.", low=0.0, high=4.0, of="noise"
    )
    noise: str = field("with_replacement", "How negatives are drawn.", choices=NOISE, of="loss")
    subsample: float = field(None, "Subsampling threshold t (0: none).", low=0.0)
    subsample_rule: str = field(
        "word2vec_c",
        "Keep a word with sqrt(t/f) (paper) or sqrt(t/f) + t/f.",
        choices=("paper", "word2vec_c"),
    )
    block: int = field(16, "Centres a block L.", low=1, high=4096, of="engine")
    group_size: int = field(128, "Centres that share negatives.", low=1, high=2**20, of="engine")
    negatives_per_group: int = field(
        None,
        "Negatives M that a group of centres shares; they weigh as K per positive.",
        low=1,
        high=2**20,
        of="engine",
    )
    redraw: str = field(
        "epoch",
        "Draw subsampling, windows and negatives anew each epoch, or once.",
        choices=NAMES["redraw"],
    )
    # Optimisation
    epochs: int = field(None, "Passes over the corpus.", low=1, high=10**6)
    batch_size: int = field(None, "Centres a step T.", low=1, high=2**24)
    order: str = field(
        "random",
        "Order of an epoch's centres: random within chunks of 2^20 tokens, chunks in random order; "
        "text: as the text has them.",
        choices=NAMES["order"],
    )
    drop_last: bool = field(False, "Leave out an epoch's last batch where it is not full.")
    replicas: int = field(
        1,
        "Replicas R of the tables, a power of two: each takes every R-th step, and runs on a core "
        "of its own where there are as many.",
        low=1,
        high=1024,
    )
    sync_every: int = field(
        2000, "Steps of a replica after which all are combined.", low=1, high=10**9
    )
    mesh: str = field(
        "",
        "columns:S splits the tables by columns over S devices, for vocabularies that one does not "
        "hold (empty: one device).",
    )
    optimizer: str = field(
        "row_adagrad",
        "Optimiser, of optax; row_adagrad: Adagrad with one accumulator a row.",
        choices=OPTIMIZERS,
    )
    update: str = field(
        "sparse",
        "Rows that the optimiser sees: all (dense), or those of the batch (sparse).",
        choices=NAMES["update"],
    )
    learning_rate: float = field(None, "Learning rate, at the start.", low=0.0)
    schedule: str = field("linear", "Learning-rate schedule.", choices=SCHEDULES)
    final_rate: float = field(
        0.0,
        "Rate at the schedule's end, as a share of `learning_rate`.",
        low=0.0,
        high=1.0,
        of="schedule",
    )
    beta1: float = field(0.9, "Decay of the first moment.", low=0.0, high=1.0, of="optimizer")
    beta2: float = field(0.999, "Decay of the second moment.", low=0.0, high=1.0, of="optimizer")
    epsilon: float = field(
        None, "Adam's, beside the root; Adagrad's, under the root.", low=0.0, of="optimizer"
    )
    epsilon_hat: bool = field(False, "Adam's epsilon beside the root of the raw second moment.")
    weight_decay: float = field(1e-4, "Decay of the weights a step.", low=0.0, of="optimizer")

    def __post_init__(self):
        check(self)
        # An encoding goes by one name; the dataclass is frozen for all others.
        object.__setattr__(self, "encoding", preparation.encoding_of(self.encoding))

    def text_settings(self) -> TextSettings:
        """What makes a text a corpus; a field that is None has its default."""
        given = {name: getattr(self, name) for name in TextSettings._fields}
        return TextSettings(**{name: x for name, x in given.items() if x is not None})

    def static(self) -> StaticConfig:
        """What shapes the compiled program; where it is compiled it gets its devices' platform."""
        values = {name: getattr(self, name) for name in StaticConfig._fields if name != "platform"}
        values["window"] = max(self.window, self.window_limit)
        values["negatives"] = max(self.negatives, self.negatives_limit)
        return StaticConfig(**values)


def make(config: Config | None, changes: dict[str, Any]) -> Config:
    """A config with some fields changed. Raises UserError for a name that is no field."""
    if config is not None and not isinstance(config, Config):
        raise UserError("`config`: give a Config, or its fields: dim=100")
    for name in changes:
        if name not in Config.__dataclass_fields__:
            hint = f": it is `{BASELINES[name]}` here" if name in BASELINES else _near(name)
            raise UserError(f"`{name}` is not a field of Config{hint}")
    return dataclasses.replace(config or Config(), **changes)


def _near(name: str) -> str:
    found = difflib.get_close_matches(name, Config.__dataclass_fields__, 1)
    return f"; near: `{found[0]}`" if found else ""


def check(config: Config) -> None:
    """Raises UserError for a value that is none, and for values that don't go together."""
    for about in dataclasses.fields(config):
        check_value(about, getattr(config, about.name))
    for name in ("window", "negatives"):
        limit = getattr(config, f"{name}_limit")
        if limit and limit < getattr(config, name):
            raise UserError(f"`{name}_limit={limit}`: below `{name}={getattr(config, name)}`")
    for name in ("beta1", "beta2"):
        if getattr(config, name) >= 1:
            raise UserError(f"`{name}={getattr(config, name)}`: must be below 1")
    if config.max_n < config.min_n:
        raise UserError(f"`max_n={config.max_n}`: below `min_n={config.min_n}`")
    preparation.checked(config.lower, config.tokens, config.encoding)
    columns.check(config.mesh, config.dim)
    whole = defaults.resolve(config)
    checks.check(whole.static())
    for name in OPTIMIZERS[whole.optimizer].above_zero:
        if getattr(whole, name) == 0:
            raise UserError(f"`{name}=0`: rows without a gradient yet would be divided by 0")


def check_value(about: dataclasses.Field, value: Any) -> None:
    """Raises UserError where a field, by its type, bounds and choices, can't have a value."""
    limits, shown = about.metadata, f"`{about.name}={value}`"
    if value is None:
        own = Config.__dataclass_fields__.get(about.name)
        if own and own.default is not None:  # nothing resolves it
            raise UserError(f"{shown}: must have a value")
        return
    if about.type is bool and not isinstance(value, bool):
        raise UserError(f"{shown}: neither True nor False")
    if about.type is str and not isinstance(value, str):
        raise UserError(f"{shown}: not a text")
    if about.type in (int, float):
        _check_number(about, value, shown)
    if limits["choices"]:
        given = (value,) if isinstance(value, str) else tuple(value)
        for one in sorted(set(given) - set(limits["choices"])):
            raise UserError(f"`{about.name}={one}`: not one of {', '.join(limits['choices'])}")


def _check_number(about: dataclasses.Field, value: Any, shown: str) -> None:
    kinds = (int, np.integer) if about.type is int else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise UserError(f"{shown}: not a {'whole ' if about.type is int else ''}number")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        finite = False
    if not finite:
        raise UserError(f"{shown}: not a finite number")
    low, high = about.metadata["low"], about.metadata["high"]
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"from {low:,} to {high:,}" if high is not None else f"at least {low:,}"
        raise UserError(f"{shown}: must be {bounds}")
