"""Measures, fits, and tells what the model makes of 1 to 64 devices."""

import itertools
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator import steps
from experiments.benchmarks.curves import draw_scaling
from experiments.benchmarks.scaling import exchange, model
from experiments.benchmarks.scaling.model import Device, Link, Shape, Text
from experiments.report.tables import markdown, number
from experiments.runs.store import Results
from w2v_jax.types import UserError

TYPES, WORDS = 69_893, 1_000_000
TEXT = Text(17_000_048, 9_190, TYPES, 100)  # the Wikipedia text, a step 1,024 centres
BATCH_SIZES, DIMS, NEGATIVES = (256, 1024, 4096), (50, 100, 200), (16, 48, 128)
DEVICES = (1, 2, 4, 8, 16, 32, 64)
# Steps, drawing: measured, experiments/results/accelerator/steps.md, 1,024 centres, in runs.
# Memory: 0.6 of the 4.8 TB/s that NVIDIA's data sheet names; assumed.
H200 = Device("H200", 65.5e-6, 17e6 / 24.3e6 - 17e6 / 29e6, 0.6 * 4.8e12)
# 0.8 of NVLink 4's 450 GB/s each way, 0.9 of the networks' bits; latencies: all assumed.
LINKS = (
    Link("NVLink", 10e-6, 0.8 * 450e9),
    Link("100 Gb/s", 30e-6, 0.9 * 12.5e9),
    Link("25 Gb/s", 50e-6, 0.9 * 3.125e9),
)


def define_flags() -> None:
    """The benchmark's flags."""
    flags.DEFINE_list("sync_every", ["10", "100", "1000"], "Steps n between meetings.")
    flags.DEFINE_list("batch_sizes", list(map(str, BATCH_SIZES)), "Centres of a step.")
    flags.DEFINE_list("dims", list(map(str, DIMS)), "Embedding sizes of a step.")
    flags.DEFINE_integer("repeats", 7, "Times that a step is measured; the median counts.", 1)
    flags.DEFINE_string("workdir", "", "Folder of the results; measurements there are kept.")


def main() -> None:
    """Measures what is not there yet; prints the tables."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=.. is missing")
    every, sizes, dims = map(_whole, ("sync_every", "batch_sizes", "dims"))
    results = Results(Path(values.workdir).expanduser(), {"repeats": values.repeats})
    for size, dim, count in itertools.product(sizes, dims, NEGATIVES):
        measure = partial(_step, size, dim, count, values.repeats)
        results.once(measure, what="step", T=size, D=dim, negatives=count)
    results.once(partial(_others, values.repeats), what="others")
    if results.find(what="exchange") is None:
        for line in exchange.measured():
            results.add({"what": "exchange", **line})
    told = text_of(results.lines, every)
    results.write("table.md", told)
    curves = {
        (link.name, n): [speed_up(count, n, H200, link) for count in DEVICES]
        for link in LINKS
        for n in every
    }
    draw_scaling(results.folder / "scaling.png", DEVICES, curves)
    print(told)


def _whole(name: str) -> list[int]:
    """The numbers of a flag. Raises UserError."""
    texts = flags.FLAGS[name].value
    for text in texts:
        if not text.strip().isdecimal() or int(text) < 1:
            raise UserError(f"--{name}={text}: not a whole number above 0")
    return list(map(int, texts))


def _step(batch_size: int, dim: int, negatives: int, repeats: int) -> dict:
    config = steps.config_of(batch_size=batch_size, dim=dim, negatives_per_group=negatives)
    corpus = zipf.corpus(TYPES, WORDS, 1)
    ready = steps.prepare(config, corpus, jax.devices("cpu")[0], 100)
    return {"seconds": steps.seconds_a_step(ready, repeats)}


def _others(repeats: int) -> dict:
    """A pass over a table in place, bytes/s read and written; and drawing, seconds a word."""
    table = jnp.zeros((TYPES, 100))
    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    ready = steps.prepare(steps.config_of(), zipf.corpus(TYPES, WORDS, 1), jax.devices("cpu")[0], 1)
    zero = jnp.int32(0)
    text = ready.corpus.arrays(0, int(ready.corpus.bounds[1]), ready.corpus.chunk_size)
    passes, draws = [], []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        table = jax.block_until_ready(add(table))
        passes.append(time.perf_counter() - began)
        began = time.perf_counter()
        jax.block_until_ready(ready.program.draw(ready.key, zero, zero, *text, ready.hyper))
        draws.append(time.perf_counter() - began)
    words = int(ready.corpus.bounds[1])
    return {
        "bytes_per_sec": 2 * table.nbytes / float(np.median(passes[1:])),
        "draw_sec_a_word": float(np.median(draws[1:])) / words,
    }


def speed_up(count: int, sync_every: int, device: Device, link: Link) -> float:
    """How many times as fast as one replica the model holds R of them to be."""
    one = model.epoch_seconds(TEXT, 1, sync_every, device, link)
    return one / model.epoch_seconds(TEXT, count, sync_every, device, link)


def text_of(lines: list[dict], every: list[int]) -> str:
    """table.md."""
    measured = [line for line in lines if line["what"] == "step"]
    shapes = [Shape(line["T"], line["D"], negatives=line["negatives"]) for line in measured]
    step, ratios = model.fit(shapes, [line["seconds"] for line in measured])
    others = next(line for line in lines if line["what"] == "others")
    links = [_link(way, lines) for way in ("memory", "loopback")]
    links = [link for link in links if link]
    here = Device(
        "a core of this machine",
        float(model.counts(Shape(1024, 100)) @ np.array(step)),
        others["draw_sec_a_word"] * TEXT.words,
        others["bytes_per_sec"],
    )
    parts = [
        "A step of skip-gram in blocks, V 69,893 by Zipf's law: measured, and by the model.\n",
        _steps_table(measured, ratios),
        f"A step: {_told(step)}.\nThe model over the measured: {ratios.min():.2f} to "
        f"{ratios.max():.2f}. What V costs (caches) is not in it.\n",
        f"A pass over a table: {here.memory / 1e9:.1f} GB/s. Drawing an epoch of the text below: "
        f"{here.draw:.2f} s.\n",
        "".join(
            f"An exchange through {link.name}: {1e3 * link.latency:.2f} ms and "
            f"{link.bandwidth / 1e9:.2f} GB/s each way.\n"
            for link in links
        ),
        f"By the model: {TEXT.words:,} words an epoch, {TEXT.steps:,} steps of 1,024 centres, "
        f"V {TEXT.types:,}, D {TEXT.dim}.\nTimes as fast as one replica; one makes "
        f"{_rate(here):,.0f} words/s here, {_rate(H200):,.0f} on an H200.\n",
        _speed_ups([(here, link) for link in links] + [(H200, link) for link in LINKS], every),
        "Each device is as free as if it were alone: cores that share memory are slower than "
        "this.\nH200: steps and drawing measured (one H200), memory and links assumed: 0.6 of 4.8 "
        "TB/s;\nNVLink 0.8 of 450 GB/s and 10 us; 0.9 of 100 and of 25 Gb/s, 30 and 50 us.\n",
    ]
    return "\n".join(parts)


def _link(way: str, lines: list[dict]) -> Link | None:
    own = [line for line in lines if line["what"] == "exchange" and line["way"] == way]
    if not own:
        return None
    return model.fit_link(way, [line["bytes"] for line in own], [line["seconds"] for line in own])


def _told(step: model.Step) -> str:
    parts = [f"{1e6 * step.latency:.0f} us"]
    if step.products:
        parts.append(f"{1e-9 / step.products:.0f} GFLOP/s")
    if step.rows:
        parts.append(f"{1e-9 / step.rows:.1f} GB/s of rows")
    parts.append(f"{1e9 * step.scores:.2f} ns a score")
    return ", ".join(parts)


def _steps_table(lines: list[dict], ratios: np.ndarray) -> str:
    rows = [
        [
            *(f"{line[name]:,}" for name in ("T", "D", "negatives")),
            *(f"{1e3 * line['seconds']:.2f}", f"{ratio:.2f}"),
        ]
        for line, ratio in zip(lines, ratios, strict=True)
    ]
    return markdown(["T", "D", "noise words", "ms a step", "model / measured"], rows)


def _rate(device: Device) -> float:
    return TEXT.words / model.epoch_seconds(TEXT, 1, 1, device, LINKS[0])


def _speed_ups(pairs: list[tuple[Device, Link]], every: list[int]) -> str:
    rows = [
        [device.name, link.name, f"{n:,}"]
        + [number(speed_up(count, n, device, link), 1) for count in DEVICES[1:]]
        for device, link in pairs
        for n in every
    ]
    return markdown(["device", "link", "n", *(f"R {count}" for count in DEVICES[1:])], rows)
