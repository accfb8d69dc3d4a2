"""The benchmarks of cost: the softmax variants' mathematics, refusals, growth."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scripts import start

from experiments.benchmarks import (
    child_process,
    durability,
    softmax,
    softmax_variants,
    sweeping,
    zipf,
)
from experiments.runs.store import Results
from w2v_jax import model

V, D = 50, 6


@pytest.fixture(scope="module")
def params():
    return jax.tree.map(lambda x: 30 * x, model.init_params(jax.random.key(0), V, D, "book"))


@pytest.fixture(scope="module")
def batch():
    return softmax_variants.draw_centres(V, batch_size=8, window=3, negatives=4, seed=1)


def test_the_two_softmax_variants_are_the_same_step(params, batch):
    rate = jnp.float32(0.5)
    hot, hot_loss = jax.jit(softmax_variants.one_hot_softmax)(params, batch, rate)
    gathered, loss = jax.jit(softmax_variants.gather_softmax)(params, batch, rate)
    np.testing.assert_allclose(hot_loss, loss, rtol=1e-6)
    for a, b, before in zip(hot, gathered, params, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert np.abs(a - before).max() > 1e-3


def test_the_softmax_loss_is_the_books(params, batch):
    _, loss = jax.jit(softmax_variants.gather_softmax)(params, batch, jnp.float32(0))
    w_in, w_out = (np.asarray(table, np.float64) for table in params)
    scores = w_in[np.asarray(batch.contexts)].mean(axis=1) @ w_out.T
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    target = np.asarray(batch.targets)[:, 0]
    assert float(loss) == pytest.approx(-np.log(p[np.arange(8), target]).mean(), rel=1e-5)


def test_sampling_moves_the_touched_rows_by_the_gradient_of_whole_tables(params, batch):
    def of_tables(params):
        ids = jnp.concatenate([batch.targets, batch.negatives], axis=1)
        h = jnp.mean(params.input[batch.contexts], axis=1)
        signs = jnp.where(jnp.arange(5) == 0, 1.0, -1.0)[None, :]
        scores = jnp.einsum("td,tod->to", h, params.output[ids])
        return jnp.mean(jnp.sum(jnp.log1p(jnp.exp(-signs * scores)), axis=1))

    expected, grads = jax.jit(jax.value_and_grad(of_tables))(params)
    moved, loss = jax.jit(softmax_variants.gather_sampling)(params, batch, jnp.float32(0.5))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for table, before, grad in zip(moved, params, grads, strict=True):
        np.testing.assert_allclose(table, before - 0.5 * grad, rtol=1e-4, atol=1e-6)


def test_the_compiler_tells_what_a_step_needs(batch):
    tables = 2 * V * D * 4
    for variant in softmax_variants.VARIANTS:
        assert softmax_variants.compile_step(variant, V, D, batch).needed >= tables


SMALL = ["--dim=4", "--window=2", "--negatives=2", "--batch_size=4"]
SMALL += ["--timed_sec=0", "--rounds=1"]


def lines_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_step_beyond_the_bounds_is_told_instead_of_run(tmp_path, capsys):
    args = [*SMALL, f"--workdir={tmp_path}", "--memory_gb=0.0003", "--max_step_sec=30"]
    assert start("benchmark_softmax", *args, "--vocab_sizes=20") == 0
    found = lines_of(tmp_path)
    slow = {**found[-1], "vocab_size": 200, "ms": 2000.0}  # so 40 s at V = 4,000
    with open(tmp_path / "results.jsonl", "a") as file:
        file.writelines(json.dumps({**slow, "variant": line["variant"]}) + "\n" for line in found)
    args.append("--vocab_sizes=20,200,4e3")
    assert start("benchmark_softmax", *args) == 0
    reasons = {line["variant"]: line["reason"] for line in lines_of(tmp_path)[6:]}
    assert reasons["one-hot + softmax"] == "needs 0.0 GB"
    assert reasons["gather + negative sampling"] == "about 40 s a step, 0.0 GB"
    assert "not run: about 40 s a step" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "softmax.png").stat().st_size > 10_000
    assert start("benchmark_softmax", *args) == 0  # nothing is measured or told again
    assert len(lines_of(tmp_path)) == 9
    nothing = [*SMALL, f"--workdir={tmp_path / 'none'}", "--memory_gb=0", "--vocab_sizes=20"]
    assert start("benchmark_softmax", *nothing) == 0
    assert "not run: needs" in (tmp_path / "none" / "table.md").read_text()
    assert start("benchmark_softmax", *SMALL, f"--workdir={tmp_path}", "--vocab_sizes=many") == 1
    assert "--vocab_sizes=many" in capsys.readouterr().err


def test_each_round_measures_every_step_and_tells_once_what_it_leaves_out(tmp_path):
    args = [*SMALL, f"--workdir={tmp_path}", "--memory_gb=0.0003", "--vocab_sizes=20,4e3"]
    assert start("benchmark_softmax", *args) == 0
    assert start("benchmark_softmax", *args, "--rounds=3") == 0
    found = lines_of(tmp_path)
    small = [line for line in found if line["vocab_size"] == 20]
    assert sorted(line["round"] for line in small) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    refused = [line["variant"] for line in found if line["ms"] is None]
    assert len(found) == 4 * 3 + 2 and refused == ["one-hot + softmax", "gather + softmax"]
    times = [line["ms"] for line in small if line["variant"] == "gather + softmax"]
    low, middle, high = (f"{t:.2f}" for t in sorted(times))
    text = (tmp_path / "table.md").read_text()
    assert f"{middle} ({low} to {high}) ms" in text and "confidence of 75%" in text


def test_growths_corpus_is_zipfs_in_lines():
    corpus = zipf.corpus(40, 1010, seed=0)
    assert len(corpus.ids) == corpus.words == corpus.line_ends[-1] == 1010
    assert np.diff(corpus.line_ends, prepend=0).tolist() == [25] * 40 + [10]
    counts = corpus.vocab.counts
    assert len(counts) == 40 and (np.diff(counts) <= 0).all() and counts.min() >= 1
    drawn = np.bincount(corpus.ids, minlength=40)
    assert np.abs(drawn - counts).max() < 5 * np.sqrt(counts.max())


@pytest.mark.slow
def test_growth_measures_each_point_once_and_tells_what_does_not_fit(tmp_path, capsys):
    args = [f"--workdir={tmp_path}", "--axes=vocab_size,dim", "--vocab_size=30", "--words=600"]
    args += ["--dim=4", "--window=2", "--negatives=2", "--batch_size=16", "--optimizer=sgd"]
    args += ["--noise=with_replacement", "--sweep_vocab_size=30,1e6", "--sweep_dim=4"]
    args += ["--log_every_steps=3", "--timed_sec=0", "--memory_gb=0.01", "--subsample=0"]
    args.append("--rounds=2")
    assert start("benchmark_growth", *args) == 0, capsys.readouterr().err
    lines = lines_of(tmp_path)
    assert [line["vocab_size"] for line in lines] == [30, 10**6, 30]
    least, most = sorted(lines[i]["words_per_sec"] for i in (0, 2))
    assert f"({least:,.0f} to {most:,.0f})" in (tmp_path / "table.md").read_text()
    assert lines[0]["words_per_sec"] > 0 and lines[0]["bytes"] == 4 * 30 * 4 * 4 + 4
    assert lines[1]["reason"] == "not run: needs 0.1 GB"
    assert "not run" in capsys.readouterr().out
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    assert start("benchmark_growth", "--axes=depth", f"--workdir={tmp_path}") == 1
    assert "--axes=depth" in capsys.readouterr().err


@pytest.mark.slow
def test_a_round_of_reading_has_an_empty_cache_and_then_a_full_one(tmp_path, capsys, monkeypatch):
    cached, run = [], child_process.run

    def spied(argv, log, threads):
        cache = next(arg.split("=")[1] for arg in argv if arg.startswith("--times_of_one"))
        cached.append(len(list(Path(cache).rglob("*.npy"))) > 0 or any(Path(cache).rglob("ids*")))
        return run(argv, log, threads)

    monkeypatch.setattr(child_process, "run", spied)
    text, out = tmp_path / "text.txt", tmp_path / "out"
    text.write_text("one two two\nthree two one\n" * 50)
    args = [f"--corpus={text}", f"--workdir={out}", "--min_count=60"]
    assert start("benchmark_reading", *args, "--rounds=1") == 0
    assert start("benchmark_reading", *args, "--rounds=2") == 0
    assert cached == [False, True] * 2
    found = lines_of(out)
    assert [line["round"] for line in found] == [1, 2]
    assert all((line["words"], line["types"]) == (300, 2) for line in found)
    left = ["log.txt", "results.jsonl", "settings.json", "table.md"]
    assert sorted(path.name for path in out.iterdir()) == left
    assert (out / "table.md").read_text() in capsys.readouterr().out
    with open(out / "results.jsonl", "a") as file:
        file.write('{"round": 3}\n')
    capsys.readouterr()
    assert start("benchmark_reading", *args, "--rounds=3") == 1
    assert f"{out / 'results.jsonl'}: a line without 'first_sec'" in capsys.readouterr().err
    text.write_bytes(b"\xff\n")
    assert start("benchmark_reading", f"--corpus={text}", f"--workdir={tmp_path / 'o'}") == 1
    assert f"{text}" in (told := capsys.readouterr().err) and "UTF-8" in told


def test_the_softmax_table_has_medians_and_ratios_within_a_round(capsys):
    lines = []
    for turn, times in enumerate([(10.0, 5.0, 1.0), (30.0, 6.0, 2.0), (20.0, 7.0, 4.0)], 1):
        for variant, ms in zip(softmax_variants.VARIANTS, times, strict=True):
            line = {"round": turn, "variant": variant, "vocab_size": 10, "ms": ms}
            lines.append({**line, "bytes": 3e6, "reason": ""})
    shared = {"batch_size": 4, "window": 2, "negatives": 2, "dim": 4}
    text = softmax.document(lines, shared)
    assert "| 20 (10 to 30) ms, 3 MB | 6.00 (5.00 to 7.00) ms, 3 MB |" in text
    assert "| 2.00 (1.00 to 4.00) ms, 3 MB | 10 (5 to 15) x |" in text  # 10, 15 and 5 times
    assert "Medians of 3 runs" in text


def test_tables_of_a_sweep_and_of_durability_compare_within_a_round():
    def sides(turn, sweep, peak):
        figures = {"train_sec": turn, "total_sec": 2 * turn, "peak_mb": peak}
        return {"in turn": figures, "sweep": {**figures, "train_sec": sweep}}

    text = sweeping.table([sides(10.0, 5.0, 100.0), sides(40.0, 10.0, 300.0)], 8)
    assert "25.0 (10.0 to 40.0)" in text and "0.38 (0.25 to 0.50)" in text
    assert "200 (100 to 300)" in text and "Medians of 2 runs" in text
    lines = []
    for turn, rates in enumerate([(100.0, 50.0), (400.0, 100.0)], 1):
        for way, rate in zip(("plain", "saving"), rates, strict=True):
            line = {"round": turn, "way": way, "words": 7, "train_sec": rate / 100}
            lines.append({**line, "words_per_sec": rate, "peak_mb": rate})
    text = durability.table(lines, ["plain", "saving"])
    assert "0.375 (0.250 to 0.500)" in text and "Medians of 2 runs" in text


def test_rounds_of_an_older_folder_or_beyond_those_asked_for_are_left_out(tmp_path):
    results = Results(tmp_path, {})
    for turn in (None, 1, 3, 2):
        results.add({"round": turn} if turn else {"ms": 5.0})
    assert [line["round"] for line in results.of_rounds(2)] == [1, 2]


def test_what_is_there_is_not_measured_again(tmp_path, capsys):
    times = iter((1.0, 2.0, 3.0))
    for turn in (1, 2, 1):
        Results(tmp_path, {}).once(lambda: {"ms": next(times)}, round=turn)
    assert Results(tmp_path, {}).lines == [{"round": 1, "ms": 1.0}, {"round": 2, "ms": 2.0}]
    assert capsys.readouterr().err.count("\n") == 2
