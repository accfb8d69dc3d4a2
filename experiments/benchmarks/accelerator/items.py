"""What is measured, most valuable first, and what each line of the table tells of it."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from experiments.benchmarks.accelerator.sizes import Sizes


class Column(NamedTuple):
    """A column of an item's part of the table."""

    field: str  # of a row
    heading: str
    digits: int = 0  # behind a figure's point


class Item(NamedTuple):
    """A process of its own."""

    number: int
    module: str  # its `measure`, in this package, yields rows
    title: str
    needs_sec: float  # seconds that it is expected to take on an accelerator
    limit_sec: float  # seconds after which it is ended
    columns: tuple[Column, ...]
    most_rows: int  # that the table shows
    most_rank: int = 0  # of a row that it shows, where rows have ranks
    on_cpu: bool = False  # it measures the CPU alone
    beside_cpu: bool = False  # it needs the CPU as a device of JAX too

    def measure(self) -> Callable[[Sizes, "Given"], Iterator[dict]]:
        """The function that measures; its module is imported by the item's process alone."""
        return import_module(f"{__package__}.{self.module}").measure


class Given(NamedTuple):
    """What an item gets beside its sizes."""

    workdir: Path
    corpus: str  # file or glob; "": none


T = Column("batch_size", "T")
MS = Column("ms", "ms a step", 3)
STEPS = Column("steps_words_per_sec", "words/s of steps")
COMPILE = Column("compile_sec", "compile s", 1)
TEMP = Column("temp_mb", "temp MB", 1)
PEAK = Column("peak_mb", "peak MB")

ITEMS = (
    Item(
        *(1, "sanity", "operations of this JAX against NumPy", 25, 90),
        (),
        0,
    ),
    Item(
        *(2, "against_cpu", "the device's steps against the CPU's", 70, 150),
        (
            *(Column("case", "case"), Column("same_ids", "same ids")),
            *(Column("sparse", "apart: sparse, row_adagrad"), Column("dense", "dense, adam")),
            *(Column("within", "within 1e-4"), Column("moved", "moved by", 3)),
        ),
        4,
        beside_cpu=True,
    ),
    Item(
        *(3, "blocks", "skip-gram, blocks", 60, 120),
        (T, MS, STEPS, Column("epoch_words_per_sec", "of an epoch"), COMPILE, TEMP, PEAK),
        4,
    ),
    Item(
        *(4, "bits", "the same bits twice, and the price of deterministic operations", 45, 90),
        (T, Column("deterministic", "deterministic"), Column("same_bits", "same bits"), MS),
        4,
    ),
    Item(
        *(5, "kernels", "a profile of steps: kernels", 45, 100),
        (
            *(T, Column("us", "us a step", 1), Column("share", "share", 3)),
            *(Column("calls", "calls a step", 1), Column("kernel", "kernel")),
        ),
        6,
        most_rank=2,
    ),
    Item(
        *(6, "moves", "gather and scatter-add alone, GB/s", 25, 60),
        (
            *(Column("ids", "ids"), Column("gather_100", "gather, D 100")),
            *(Column("gather_128", "D 128"), Column("scatter_add_100", "scatter-add, D 100")),
            Column("scatter_add_128", "D 128"),
        ),
        3,
    ),
    Item(*(7, "pairs", "skip-gram, pairs", 45, 100), (T, MS, STEPS, COMPILE, TEMP, PEAK), 3),
    Item(
        *(8, "sweeps", "a sweep vmapped against in turn", 60, 120),
        (
            *(Column("trials", "trials"), Column("vmapped", "words/s in all, vmapped")),
            *(Column("in_turn", "in turn"), Column("times", "times as fast", 2)),
            *(Column("loss_apart", "losses apart"), PEAK),
        ),
        2,
    ),
    Item(
        *(9, "large", "blocks, large tables", 45, 100),
        (T, Column("vocab_size", "V"), Column("dim", "D"), MS, STEPS, COMPILE, PEAK),
        2,
    ),
    Item(
        *(10, "epochs", "an epoch end to end; quality by batch size", 80, 200),
        (
            *(T, Column("learning_rate", "rate", 1), Column("words_per_sec", "words/s")),
            *(Column("total_sec", "s in all", 1), Column("loss", "loss", 3)),
            *(Column("wordsim353", "WordSim", 3), Column("simlex999", "SimLex", 3)),
            *(Column("analogies", "analogies", 3), Column("of_rates", "of rates")),
        ),
        4,
    ),
    Item(
        *(11, "cores", "the CPU cores of this machine", 70, 200),
        (
            *(Column("cores", "cores"), Column("words_per_sec", "words/s")),
            *(COMPILE, Column("gensim_words_per_sec", "gensim's words/s")),
        ),
        5,
        on_cpu=True,
    ),
)


def by_number(number: int) -> Item:
    """The item of a number."""
    return next(item for item in ITEMS if item.number == number)
