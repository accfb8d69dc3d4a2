"""The claim of Deep Learning from Scratch 2, chapter 4: milliseconds a step by vocabulary."""

import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.benchmarks import curves, softmax_variants
from experiments.cli import console, flag_types
from experiments.report.tables import enclosed, markdown, number, spread
from experiments.runs.store import Results, machine
from w2v_jax import model
from w2v_jax.types import UserError

RATE = 0.1


def define_flags() -> None:
    """The benchmark's flags."""
    sizes = ["1000", "3000", "10000", "30000", "100000", "300000", "1000000"]
    flags.DEFINE_list("vocab_sizes", sizes, "Vocabularies V, smallest first.")
    flags.DEFINE_integer("dim", 100, "Embedding size D.", 1)
    flags.DEFINE_integer("window", 5, "Context words to each side W.", 1)
    flags.DEFINE_integer("negatives", 5, "Negatives K.", 1)
    flags.DEFINE_integer("batch_size", 100, "Centres a step T.", 1)
    flags.DEFINE_integer("seed", 1, "Seed of the batch and the tables.", 0)
    flags.DEFINE_float("memory_gb", 8.0, "Steps that need more are not run.", 0.0)
    flags.DEFINE_float("max_step_sec", 20.0, "Steps that would take longer are not run.", 0.0)
    flags.DEFINE_float("timed_sec", 1.0, "Steps are repeated so long, three times at least.", 0.0)
    flags.DEFINE_integer("rounds", 6, "Times that all are measured.", 1)
    flags.DEFINE_string("workdir", "", "Folder of the results; steps found there are kept.")


def main() -> None:
    """Measures what is not measured yet, then writes table and plot."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=OUT is missing")
    sizes = flag_types.positive("vocab_sizes")
    shared = {name: values[name].value for name in ("dim", "window", "negatives", "batch_size")}
    settings = {**shared, "seed": values.seed, "timed_sec": values.timed_sec}
    results = Results(Path(values.workdir).expanduser(), settings)
    points = [(size, variant) for size in sizes for variant in softmax_variants.VARIANTS]
    for turn in range(1, values.rounds + 1):
        for size, variant in points[:: 1 if turn % 2 else -1]:
            add_measured(turn, variant, size, results)
        lines = [x for x in results.of_rounds(turn) if x["vocab_size"] in sizes]
        text = document(lines, shared)
        results.write("table.md", text)
    print(text)
    title = "CBOW, T {batch_size}, W {window}, K {negatives}, D {dim}: a step".format(**shared)
    curves.draw_softmax(results.folder / "softmax.png", lines, title)


def add_measured(turn: int, variant: str, size: int, results: Results) -> None:
    """Adds the line of a point in a round where it is not there yet.

    What would not fit or would take too long is told in the first round alone.
    """
    point = {"variant": variant, "vocab_size": size}
    expected = 0.0
    if turn == 1:
        expected = expected_sec(results.of_rounds(1), variant, size)
    elif results.find(round=1, **point)["reason"]:
        return
    found = results.find(round=turn, **point)
    if found and found["ms"] is not None:
        return
    line = {"round": turn, **point, **measure(variant, size, expected)}
    if line != found:
        results.add(line)
    console.log(f"round {turn}, V {size:,}, {variant}: {cell([line])}")


@cache
def compiled(variant: str, dim: int, *shape: int):
    """A variant's step, what memory it needs, and its batch; shape: V, T, W, K, seed."""
    batch = softmax_variants.draw_centres(*shape)
    return *softmax_variants.compile_step(variant, shape[0], dim, batch), batch


def expected_sec(lines: list[dict], variant: str, size: int) -> float:
    """Seconds a step if its cost grows as V does, from the largest V below; 0 without one."""
    known = [
        (line["vocab_size"], line["ms"])
        for line in lines
        if line["variant"] == variant and line["ms"] is not None and line["vocab_size"] < size
    ]
    below, ms = max(known, default=(1, 0.0))
    return ms / 1000 * size / below


def measure(variant: str, size: int, expected: float) -> dict:
    """Milliseconds of a step and its loss, or the reason why it was not run."""
    values = flags.FLAGS
    shape = size, values.batch_size, values.window, values.negatives, values.seed
    step, needed, batch = compiled(variant, values.dim, *shape)
    line = {"bytes": needed, "ms": None, "loss": None}
    if needed > values.memory_gb * 1e9:
        return {**line, "reason": f"needs {needed / 1e9:.1f} GB"}
    if expected > values.max_step_sec:
        return {**line, "reason": f"about {expected:.0f} s a step, {needed / 1e9:.1f} GB"}
    params = model.init_params(jax.random.key(values.seed), size, values.dim, "book")
    rate = jnp.float32(RATE)
    params, loss = jax.block_until_ready(step(params, batch, rate))
    first = float(loss)
    times: list[float] = []
    while len(times) < 3 or sum(times) < values.timed_sec:
        began = time.perf_counter()
        params, loss = jax.block_until_ready(step(params, batch, rate))
        times.append(time.perf_counter() - began)
    return {**line, "ms": float(np.median(times)) * 1000, "loss": first, "reason": ""}


def known(rounds: Iterable[dict]) -> list[float]:
    """The milliseconds that a point's rounds have."""
    return [line["ms"] for line in rounds if line["ms"] is not None]


def cell(rounds: list[dict]) -> str:
    """Milliseconds and megabytes of a point, or why there are none."""
    times = known(rounds)
    if not times:
        return f"not run: {rounds[-1]['reason']}"
    digits = 2 if max(times) < 10 else 0
    return f"{spread(times, digits)} ms, {number(rounds[-1]['bytes'] / 1e6)} MB"


def factors(slow: dict[int, dict], fast: dict[int, dict]) -> list[float]:
    """How many times as long a step takes, in each round that has both."""
    both = [(slow[r]["ms"], fast[r]["ms"]) for r in slow if r in fast]
    return [a / b for a, b in both if a and b]


def document(lines: list[dict], shared: dict) -> str:
    """table.md."""
    names = list(softmax_variants.VARIANTS)
    found: dict[tuple, dict] = {}
    for line in lines:  # a point's last line of a round counts
        rounds = found.setdefault((line["variant"], line["vocab_size"]), {})
        rounds[line["round"]] = line
    rows = []
    for size in sorted({line["vocab_size"] for line in lines}):
        of_size = [found[name, size] for name in names]
        ratios = factors(of_size[0], of_size[-1])
        factor = f"{spread(ratios)} x" if ratios else "–"
        rows.append([f"{size:,}", *(cell(list(rounds.values())) for rounds in of_size), factor])
    runs = min((len(x) for x in found.values() if known(x.values())), default=1)
    text = "CBOW, T {batch_size}, W {window}, K {negatives}, D {dim}, float32".format(**shared)
    return f"""{text}; {machine()}.

Milliseconds a step and the memory that it needs: forward, backward and the SGD update,
of whole tables where the gradient is dense and of the touched rows where it is not.
{enclosed(runs)}

{markdown(["V", *names, "first / last"], rows)}"""
