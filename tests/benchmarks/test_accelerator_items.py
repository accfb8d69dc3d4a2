"""The check of an accelerator: what its items measure, and that their programs lower for CUDA."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from scripts import ROOT, in_a_process

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator import (
    against_cpu,
    bits,
    epochs,
    kernels,
    moves,
    profile,
    programs,
    sanity,
    steps,
    sweeps,
    texts,
)
from experiments.benchmarks.accelerator.items import ITEMS, Given
from experiments.benchmarks.accelerator.profile import Event, Kernel
from experiments.benchmarks.accelerator.sizes import REAL, TINY
from w2v_jax import sweeping
from w2v_jax.types import UserError

PACKED = ROOT / "w2v_jax" / "resources" / "wiki_sample.txt.xz"


def lines_in(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_two_items_are_rehearsed(tmp_path):
    done = in_a_process(tmp_path, "accelerator_check", "--tiny", "--workdir=out", "--items=1,6")
    assert done.returncode == 0, done.stderr
    sane, moved = lines_in(tmp_path / "out")
    assert sane["status"] == moved["status"] == "done", done.stderr
    assert len(sane["rows"]) >= 20 and all(row["right"] for row in sane["rows"])
    assert [row.get("ids") for row in moved["rows"]] == [None, "uniform", "Zipf", "one"]
    assert done.stdout == (tmp_path / "out" / "table.txt").read_text()
    assert "REHEARSAL" in done.stdout and "20 of 20 right" in done.stdout


# A process that a shell starts in the background ignores Ctrl-C.
HEARS_CTRL_C = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = "accelerator_check"
runpy.run_module("experiments.accelerator_check", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.rehearsal
def test_the_whole_rehearsal_is_interrupted_and_completes(tmp_path):
    argv = [sys.executable, "-m", "experiments.accelerator_check", "--tiny", "--workdir=out"]
    argv += [f"--corpus={PACKED}"]
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    heard = [sys.executable, "-c", HEARS_CTRL_C, *argv[3:]]
    first = subprocess.Popen(heard, cwd=tmp_path, env=env, stdout=-1, stderr=-1, text=True)
    path = tmp_path / "out" / "results.jsonl"
    while first.poll() is None and not (path.exists() and len(lines_in(tmp_path / "out")) == 2):
        time.sleep(0.2)
    first.send_signal(signal.SIGINT)
    told, errors = first.communicate(timeout=30)
    assert first.returncode == 130 and errors.endswith("interrupted\n") and not told
    before = path.read_text()
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert path.read_text().startswith(before)
    found = lines_in(tmp_path / "out")
    assert [line["item"] for line in found] == list(range(1, 12))
    assert all(line["status"] == "done" for line in found), done.stderr
    assert sum(line["sec"] for line in found) < time.perf_counter() - began
    rows = {line["item"]: line["rows"] for line in found}
    assert all(row["same_ids"] and row["sparse"] == row["dense"] == 0 for row in rows[2])
    assert all(row["moved"] > 1e-3 for row in rows[2])
    assert [row["batch_size"] for row in rows[3]] == list(TINY.batch_sizes)
    assert [row["deterministic"] for row in rows[4]] == ["no", "yes"]
    assert rows[5][0]["us"] > rows[5][1]["us"] > 0
    assert rows[8][0]["loss_apart"] < 1e-3
    rates = [row for row in rows[10] if row.get("rank") == 1]
    assert [row["learning_rate"] for row in rates] == list(TINY.rates)
    assert [row["cores"] for row in rows[11]][:1] == [1]
    assert len(done.stdout.splitlines()) <= 60


def test_a_text_is_needed_for_quality_alone(tmp_path, monkeypatch):
    def trained(*given):
        kept = ("words_per_sec", "train_sec", "compile_sec", "total_sec", "words_per_epoch")
        return {**dict.fromkeys(kept, 1.0), "final_loss": 2.0}

    monkeypatch.setattr(texts, "trained", trained)
    epoch, note = epochs.measure(TINY, Given(tmp_path, ""))
    assert epoch["loss"] == 2.0 and note == {"note": "quality needs --corpus"}
    drawn = (tmp_path / texts.DRAWN).read_text().splitlines()
    assert sum(len(line.split()) for line in drawn) == TINY.text_words
    assert {len(line.split()) for line in drawn} == {zipf.LINE}
    ids = zipf.corpus(TINY.vocab_size, TINY.text_words, 1).ids
    assert drawn[1].split() == [f"w{i}" for i in ids[zipf.LINE : 2 * zipf.LINE]]


def test_an_error_is_the_largest_and_what_is_no_number_is_infinite():
    one = np.array([100.0, 0.5, np.inf, np.nan])
    assert sanity.error(one, one) == 0
    assert sanity.error(np.array([101.0, 0.5]), np.array([100.0, 0.4])) == pytest.approx(0.1)
    assert sanity.error(np.array([101.0]), np.array([100.0])) == pytest.approx(0.01)
    for wrong in ([100.0, np.nan, np.inf, np.nan], [100.0, 0.5, -np.inf, np.nan]):
        assert sanity.error(np.array(wrong), one) == np.inf
    assert sanity.error(one[:3], one) == np.inf
    assert sanity.error(np.zeros(0), np.zeros(0)) == 0


def test_threefry_is_that_of_jax():
    for seed, count in ((0, 3), (7, 4097)):
        drawn = jax.random.bits(jax.random.key(seed), (count,))
        assert np.array_equal(sanity.threefry_bits(seed, count), drawn)


def test_an_operation_that_is_wrong_in_one_way_is_told():
    def only_compiled(x):
        wrong = isinstance(x, jax.core.Tracer)
        return x + 1 if wrong else x

    x = np.arange(3, dtype=np.float32)
    assert sanity._row(sanity.Check(only_compiled, (x,), x)) == {
        **{"op_by_op": 0.0, "jit": 1.0, "right": False}
    }


@pytest.fixture(scope="module")
def ready():
    """One training on two devices, and one of another rate and seed."""
    config = steps.config_of(**TINY.blocks(64))
    corpus = zipf.corpus(TINY.vocab_size, TINY.chunk_words, 1)
    devices = jax.devices()
    return [steps.prepare(config, corpus, device, 5) for device in devices[:2]]


def test_what_differs_between_devices_is_found(ready):
    one, other = ready
    assert one.device != other.device
    same = against_cpu.compared(one, other)
    assert same["same_ids"] and same["difference"] == 0 and same["steps"] == 5
    assert same["moved"] > 1e-3
    faster = other._replace(hyper=other.hyper.replace(learning_rate=jnp.float32(0.5)))
    apart = against_cpu.compared(one, faster)
    assert apart["same_ids"] and apart["difference"] > against_cpu.MOST
    row = against_cpu.joined("a case", {"sparse": apart, "dense": same})
    assert row["same_ids"] and not row["within"] and row["moved"] == apart["moved"]
    assert against_cpu.joined("a case", {"sparse": same})["within"]
    tokens = other.sampled.tokens.at[3].add(1)
    assert not against_cpu.same_ids(
        one, other._replace(sampled=other.sampled._replace(tokens=tokens))
    )
    key = jax.random.key(9)
    drawn = other._replace(sampled=other.sampled._replace(negatives_key=key))
    assert not against_cpu.same_ids(one, drawn)
    broken = other.state.params._replace(input=other.state.params.input * jnp.nan)
    assert against_cpu.largest(*jax.device_get((one.state.params, broken))) == np.inf


def test_words_a_second_count_those_of_the_steps_that_were_taken(ready):
    row = steps.row_of(ready[0], 2)
    whole = steps.steps_of(ready[0])
    assert row["steps"] == 5 < whole == -(-int(ready[0].sampled.centres) // 64)
    words_a_step = row["steps_words_per_sec"] * row["ms"] / 1000
    assert words_a_step * whole == pytest.approx(TINY.chunk_words)


def test_a_training_with_other_options_is_the_same(ready):
    other = steps.compiled_with(ready[0], bits.OPTIONS["yes"])
    assert other.program.train_steps is not ready[0].program.train_steps
    assert against_cpu.compared(ready[0], other)["difference"] == 0 and bits.same_bits(other)


def test_a_flag_that_xla_refuses_is_told(ready, monkeypatch):
    wrong = {"first": {"xla_no_such_flag": True}}
    monkeypatch.setattr(bits, "OPTIONS", {**wrong, "second": bits.OPTIONS["yes"]})
    row = bits.deterministic(ready[0], TINY)
    assert row["deterministic"] == "second" and row["same_bits"] and row["ms"] > 0
    assert "xla_no_such_flag" in row["refused"]["first"]
    monkeypatch.setattr(bits, "OPTIONS", wrong)
    row = bits.deterministic(ready[0], TINY)
    assert row["deterministic"] == "does not compile" and row["same_bits"] is None


def test_bits_that_differ_are_told(ready):
    calls = []

    def drifting(state, *given):
        calls.append(1)
        result = ready[0].program.train_steps(state, *given)
        moved = jax.tree.map(lambda x: x + 1e-7 * len(calls), result[0].params)
        return (result[0].replace(params=moved), *result[1:])

    program = ready[0].program._replace(train_steps=drifting)
    assert not bits.same_bits(ready[0]._replace(program=program))


def line(name, *events):
    made = [SimpleNamespace(name=n, start_ns=s, duration_ns=d) for n, s, d in events]
    return SimpleNamespace(name=name, events=made)


def plane(name, *lines):
    return SimpleNamespace(name=name, lines=list(lines))


def test_a_loop_is_not_counted_with_its_body():
    events = [Event("step", 10, 30), Event("while", 0, 100), Event("add", 15, 10)]
    events += [Event("step", 50, 20), Event("add", 100, 5)]
    found = profile.summed([events])
    assert found == [Kernel("while", 50, 1), Kernel("step", 40, 2), Kernel("add", 15, 2)]
    assert sum(kernel.ns for kernel in found) == 105


def test_kernels_are_those_of_the_devices_lines():
    host = plane(
        "/host:CPU", line("tf_XLAPjRtCpuClient/1", ("fusion", 0, 5), ("end: fusion", 5, 1))
    )
    gpu = plane(
        "/device:GPU:0",
        line("Stream #13(Kernel)", ("loop_scatter", 0, 7)),
        line("Stream #14(MemcpyD2H)", ("MemcpyD2H", 1, 2)),
        line("XLA Ops", ("scatter.1", 0, 9)),
    )
    tpu = plane("/device:TPU:0", line("XLA Modules", ("jit_f", 0, 9)), line("XLA Ops", ("f", 0, 8)))

    def names(*planes):
        return {kernel.name for kernel in profile.summed(profile.lines_of_device(planes))}

    assert names(host) == {"fusion"}
    assert names(host, gpu) == {"loop_scatter", "MemcpyD2H"}
    assert names(host, tpu) == {"f"}


def test_a_real_trace_is_read(tmp_path):
    function = jax.jit(lambda x: jnp.sin(x @ x).sum()).lower(jnp.ones((200, 200))).compile()
    with jax.profiler.trace(str(tmp_path)):
        for _ in range(3):
            jax.block_until_ready(function(jnp.ones((200, 200))))
    found = profile.kernels(tmp_path)
    assert 3 in {kernel.calls for kernel in found} and found[0].ns >= found[-1].ns >= 0
    with pytest.raises(UserError, match="left no trace"):
        profile.kernels(tmp_path / "nowhere")


def test_rows_of_kernels_add_up():
    rows = list(kernels.rows([Kernel("a", 3e6, 100), Kernel("b", 1e6, 50)], 50))
    assert [row["rank"] for row in rows] == [0, 1, 2]
    assert [row["us"] for row in rows] == [80, 60, 20]
    assert [row["share"] for row in rows] == [1, 0.75, 0.25]
    assert [row["calls"] for row in rows] == [3, 2, 1]


def test_rates_of_moves_count_what_is_read_and_written():
    assert moves.rate(moves.bytes_moved(10**9, 2), 4.0) == 2.0  # GB/s
    laws = moves.ids_by_law(TINY)
    assert all(len(ids) == TINY.moved_rows and ids.dtype == np.int32 for ids in laws.values())
    assert set(laws["one"]) == {0} and len(set(laws["uniform"])) > len(set(laws["Zipf"])) > 50


def test_the_best_rate_has_the_greatest_sum_of_measures():
    def row(rate, loss, **measures):
        return {"learning_rate": rate, "loss": loss, **measures}

    rows = [
        row(1, 2.0, wordsim353=0.5, analogies=0.1),
        row(2, 3.0, wordsim353=0.4, analogies=0.3),
        row(3, 1.0, wordsim353=0.9, analogies=None),
        row(4, None),
    ]
    assert epochs.best(rows)["learning_rate"] == 2
    assert epochs.best([row(1, None), row(2, 3.0), row(3, 2.0)])["learning_rate"] == 3


def test_ways_of_a_sweep_are_compared_trial_by_trial():
    def way(rate, losses):
        return {
            **{"trials": 2, "words_per_sec": rate, "compile_sec": 1.0, "peak_mb": 5.0},
            "losses": np.array(losses),
        }

    row = sweeps.joined(way(300.0, [2.0, 3.3]), way(100.0, [2.0, 3.0]))
    assert row["times"] == 3 and row["loss_apart"] == pytest.approx(0.1)


QUICK, LONG = (1, 6), (2, 3, 5, 7, 8, 9)  # item 4 has the programs of item 5


def lowered(number):
    """What an item's programs at their real sizes are for CUDA, by name."""
    for program in programs.of_item(number, REAL, "gpu"):
        made = export.export(jax.jit(program.function), platforms=["cuda"])(*program.shapes)
        yield program.name, made.mlir_module()


@pytest.mark.parametrize(
    "number", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in LONG)]
)
def test_programs_lower_for_cuda_at_their_real_sizes(number):
    found = dict(lowered(number))
    assert len(found) >= 2
    trained = [text for name, text in found.items() if "train_steps" in name or "sweep" in name]
    assert bool(trained) == (number in LONG)
    assert all("stablehlo.while" in text and "stablehlo.scatter" in text for text in trained)
    if number == 9:
        assert all("tensor<1000000x300xf32>" in text for text in trained)


def shapes(tree):
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def test_what_is_lowered_is_what_the_items_compile(ready):
    one = ready[0]
    size = one.corpus.chunk_size
    parts = dict(
        (name, given)
        for name, _, given in steps.parts(one.config, one.corpus.vocab, size, "cpu", 5)
    )
    zero, ids = jnp.int32(0), jnp.zeros(size, jnp.int32)
    expected = {
        "draw": (one.key, zero, zero, ids, ids, one.hyper),
        "train_steps": (one.state, one.sampled, zero, one.progress, one.hyper),
    }
    assert {name: shapes(given) for name, given in parts.items()} == {
        name: shapes(given) for name, given in expected.items()
    }
    ahead = next(programs.of_item(8, TINY, "cpu"))
    config, count = sweeps.config_of(TINY), TINY.trials[0]
    trials = sweeps.trials_of(config, one.corpus, count, one.device)[0]
    empty = np.zeros((count, 2), np.int32), np.zeros((count, 2), np.float32)
    work = trials.state, trials.replace(state=None), *empty
    assert shapes(ahead.shapes[0]) == shapes(work)
    assert shapes(ahead.shapes[1]) == shapes(sweeping.text_of(one.corpus, [one.device])[0])


def test_each_item_that_trains_lists_its_programs():
    for item in ITEMS:
        made = list(programs.of_item(item.number, TINY, "gpu"))
        assert bool(made) == (item.number < 10), item.title
