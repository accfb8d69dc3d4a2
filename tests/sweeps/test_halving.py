"""--design=halving against a plain simulation of its rule, and the sweep of all settings."""

import json
import math
import os
import signal

import numpy as np
import pytest
from fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st
from scripts import QUICK, start, text_of

from experiments.sweeps import run as sweep_run
from experiments.sweeps.compare import STANDARD
from experiments.sweeps.halving_rule import Rule

pytestmark = pytest.mark.usefixtures("compiled_once")
EPOCHS, POINTS, SEEDS = 9, 10, 2
LOSS = STANDARD[0]
SEARCH = (
    *("--sweep=learning_rate=log_uniform(0.001,1)", f"--points={POINTS}", f"--seeds={SEEDS}"),
    *(f"--epochs={EPOCHS}", "--noplots", "--noperplexity"),
)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    (folder / "text.txt").write_text(text_of())
    (folder / "heldout.txt").write_text(text_of(8, seed=1))
    return folder


def sweep(texts, out, *more, status=0):
    given = [*QUICK, f"--corpus={texts / 'text.txt'}", f"--heldout={texts / 'heldout.txt'}"]
    assert start("ptb_ablation", *given, *SEARCH, *more, f"--workdir={out}") == status
    return lines_of(out) if (out / "results.jsonl").exists() else []


def lines_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(texts, tmp_path_factory):
    """Every setting trained to its end, its held-out loss after each epoch."""
    return sweep(texts, tmp_path_factory.mktemp("whole"), "--design=random", "--early_stopping=99")


@pytest.fixture(scope="module")
def halved(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("halved")
    sweep(texts, folder, "--design=halving")
    return folder


def simulated(lines, concurrent, factor, first=1):
    """rate -> the epoch after which it is stopped, None at the end, and its curve of means."""
    curves = {}
    for line in lines:
        curves.setdefault(line["setting"]["learning_rate"], []).append(line["heldout_curve"])
    curves = {rate: np.mean(curve, axis=0) for rate, curve in curves.items()}
    waiting, going, found, seen = list(curves), {}, {}, {}
    while waiting or going:
        while waiting and len(going) < concurrent:
            going[waiting.pop(0)] = 0
        rungs = []
        for rate in going:
            going[rate] += 1
            power = math.log(going[rate] / first) / math.log(factor)
            if going[rate] >= first and abs(power - round(power)) < 1e-9 and going[rate] < EPOCHS:
                rungs.append(rate)
                seen.setdefault(going[rate], []).append(curves[rate][going[rate] - 1])
        for rate in rungs:
            among = seen[going[rate]]
            rank = sorted(among).index(curves[rate][going[rate] - 1])
            if rank >= max(len(among) // factor, 1):
                found[rate] = going.pop(rate)
        for rate in [rate for rate, epochs in going.items() if epochs == EPOCHS]:
            found[rate] = None
            del going[rate]
    return found


def lost(lines):
    return {line["setting"]["learning_rate"]: line["lost_rung"] for line in lines}


@pytest.mark.parametrize(
    ("more", "concurrent", "factor", "first"),
    [
        ([], 4, 3, 1),
        (["--reduction_factor=2", "--concurrent=3"], 3, 2, 1),
        (["--first_rung=2", "--concurrent=10"], 10, 3, 2),
        (["--concurrent=1"], 1, 3, 1),
    ],
    ids=["default", "by two", "all at once", "one at a time"],
)
def test_the_settings_that_are_stopped_are_those_of_the_rule(
    texts, whole, tmp_path, more, concurrent, factor, first
):
    lines = sweep(texts, tmp_path / "out", "--design=halving", *more)
    expected = simulated(whole, concurrent, factor, first)
    assert lost(lines) == expected and len(lines) == POINTS * SEEDS
    assert 0 < sum(rung is not None for rung in expected.values()) < POINTS
    by_key = {(line["setting"]["learning_rate"], line["seed"]): line for line in whole}
    for line in lines:
        other = by_key[line["setting"]["learning_rate"], line["seed"]]
        epochs = line["lost_rung"] or EPOCHS
        assert line["curve"] == other["curve"][:epochs]
        assert line["stopped_epoch"] == line["lost_rung"]
        assert line["heldout_loss"] == pytest.approx(other["heldout_curve"][epochs - 1], abs=1e-9)
        rungs = {int(rung): figure for rung, figure in line["rungs"].items()}
        expected = [first * factor**k for k in range(9)]
        assert list(rungs) == [n for n in expected if n <= min(epochs, EPOCHS - 1)]
        for rung, figure in rungs.items():
            assert figure == pytest.approx(other["heldout_curve"][rung - 1], abs=1e-9)


def test_vmapped_trials_and_one_device_choose_alike(texts, halved, tmp_path):
    ours = lost(lines_of(halved))
    for number, more in enumerate((["--vmap_width=4"], ["--cpu_devices=1"])):
        assert lost(sweep(texts, tmp_path / str(number), "--design=halving", *more)) == ours


def without_times(lines):
    return sorted(
        ({n: x for n, x in line.items() if not n.startswith("program_")} for line in lines),
        key=lambda line: line["member"],
    )


@pytest.mark.parametrize("stops", [1, 4, 9])
def test_a_signal_loses_nothing(monkeypatch, capsys, texts, halved, tmp_path, stops):
    own, epochs = sweep_run.epoch_more, []

    def epoch_more(*args):
        epochs.append(None)
        if len(epochs) == stops:
            os.kill(os.getpid(), signal.SIGTERM)
        return own(*args)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(sweep_run, "epoch_more", epoch_more)
        sweep(texts, out, "--design=halving", status=143)
    assert "the same command" in capsys.readouterr().err
    sweep(texts, out, "--design=halving")
    assert "going on after epoch" in capsys.readouterr().err
    assert without_times(lines_of(out)) == without_times(lines_of(halved))
    assert (out / "table.md").read_text() == (halved / "table.md").read_text()
    assert not (out / "checkpoints").exists()


def test_lines_behind_a_checkpoint_are_not_written_twice(monkeypatch, texts, halved, tmp_path):
    """As of a process that was killed a while after its last checkpoint."""
    own, saved, out = sweep_run.epoch_more, [], tmp_path / "out"

    def epoch_more(*args):
        saved.append(None)
        if len(saved) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return own(*args)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_run, "epoch_more", epoch_more)
        sweep(texts, out, "--design=halving", status=143)
    later = (halved / "results.jsonl").read_text().splitlines(keepends=True)
    there = len(lines_of(out))
    assert lines_of(out) and len(later) - there > 4
    (out / "results.jsonl").write_text("".join(later[: there + 4]))
    sweep(texts, out, "--design=halving")
    assert without_times(lines_of(out)) == without_times(lines_of(halved))


def test_more_settings_are_compared_with_all_that_came_before(texts, halved, tmp_path, capsys):
    out = tmp_path / "out"
    sweep(texts, out, "--design=halving", "--points=6")
    first = lines_of(out)
    more = sweep(texts, out, "--design=halving")
    assert more[: len(first)] == first and len(more) == POINTS * SEEDS
    first_rung = {}
    for line in more:
        first_rung.setdefault(line["setting"]["learning_rate"], []).append(line["rungs"]["1"])
    costs = [np.mean(figures) for figures in first_rung.values()]
    later = list(first_rung)[6:]
    for number, rate in enumerate(later):  # four at a time, which end together at the first rung
        among = costs[: 6 + len(later)]
        rank = sorted(among).index(costs[6 + number])
        assert (lost(more)[rate] == 1) == (rank >= len(among) // 3)
    capsys.readouterr()
    sweep(texts, out, "--design=halving", "--reduction_factor=2", status=1)
    assert "holds results with reduction_factor = 3, not 2" in capsys.readouterr().err
    sweep(texts, out, "--design=halving", "--seeds=3", status=1)
    assert "error: --seeds=3: the folder's settings have 2 seeds each" in capsys.readouterr().err
    sweep(texts, out, "--design=random", status=1)
    assert "error: --design=random: the folder's settings were stopped" in capsys.readouterr().err


def test_the_table_parts_those_that_came_to_the_end(halved):
    table = (halved / "table.md").read_text()
    assert "### Trained to the end, by held-out loss" in table
    assert "### Stopped after epoch 1, by held-out loss" in table
    assert "in part the luckiest" in table


def test_word_pairs_can_decide(texts, tmp_path):
    draw = np.random.default_rng(5)
    words = sorted(set(text_of().split()))
    pairs = "".join(
        f"{' '.join(draw.choice(words, 2, False))} {draw.integers(1, 90) / 10}\n" for _ in range(40)
    )
    (tmp_path / "mine.txt").write_text(pairs)
    own = "--evaluate", f"--pairs={tmp_path / 'mine.txt'}"
    lines = sweep(texts, tmp_path / "out", "--design=halving", "--halving_by=mine", *own)
    at_end = [line for line in lines if line["lost_rung"] is None]
    assert at_end and all(line["rungs"]["1"] is not None for line in lines)
    first = {}
    for line in lines:
        first.setdefault(line["setting"]["learning_rate"], []).append(line["rungs"]["1"])
    means = {rate: np.mean(values) for rate, values in first.items()}
    stopped = {rate for rate, rung in lost(lines).items() if rung == 1}
    assert max(means, key=means.get) not in stopped
    for line in lines:
        if line["lost_rung"] == 1:
            assert line["mine_spearman"] == line["rungs"]["1"]


def test_a_setting_that_diverges_is_stopped(texts, tmp_path):
    out = tmp_path / "out"
    args = ["--sweep=learning_rate=0.01,0.02,0.03,1e30", "--optimizer=sgd", "--points=12"]
    given = [*QUICK, f"--corpus={texts / 'text.txt'}", f"--heldout={texts / 'heldout.txt'}"]
    args = [*given, "--design=halving", "--epochs=4", "--seeds=2", "--noplots", *args]
    assert start("ptb_ablation", *args, f"--workdir={out}") == 0
    lines = lines_of(out)
    wild = [line for line in lines if line["setting"]["learning_rate"] == 1e30]
    assert wild and all(line["frozen_step"] is not None for line in wild)
    assert any(line["lost_rung"] is None and line["frozen_step"] is None for line in lines)
    table = (out / "table.md").read_text()
    assert "### Diverged" in table and "1e+30" not in table.split("### Diverged")[0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--distributed=localhost:1,2,0"], "not together with --distributed"),
        (["--early_stopping=2"], "not together with --early_stopping"),
        (["--processes=2"], "not together with --processes"),
        (["--nocommon_random_numbers"], "not together with --nocommon_random_numbers"),
        (["--first_rung=9"], "--first_rung=9: no rung below --epochs=9"),
        (["--sweep=negatives=2,3"], "doesn't compare between settings that differ in negatives"),
        (["--halving_by=nothing"], "--halving_by=nothing: one of heldout_loss, perplexity,"),
        (["--halving_by=wordsim353"], "not with --noevaluate"),
        (["--halving_by=perplexity"], "not with --noperplexity"),
    ],
)
def test_what_halving_cannot_do_is_refused(capsys, texts, tmp_path, more, said):
    sweep(texts, tmp_path / "out", "--design=halving", *more, status=1)
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("error: ") and said in error[-1]
    assert not (tmp_path / "out").exists()


def test_a_folder_of_whole_trainings_is_no_folder_of_halving(capsys, texts, tmp_path):
    sweep(texts, tmp_path, "--design=random", "--epochs=1", "--points=2")
    sweep(texts, tmp_path, "--design=halving", "--points=3", status=1)
    assert "error: --design=halving: the folder holds a sweep" in capsys.readouterr().err


def test_bootstrap_is_refused(capsys, texts, tmp_path):
    given = [*QUICK, f"--corpus={texts / 'text.txt'}", f"--heldout={texts / 'heldout.txt'}"]
    args = ["--sweep=dim=4,5", "--epochs=4", "--design=halving", "--bootstrap=3", "--noplots"]
    assert start("ptb_ablation", *given, *args, f"--workdir={tmp_path / 'out'}") == 1
    assert "not together with --bootstrap" in capsys.readouterr().err


def test_a_measure_of_the_text_needs_one(capsys, texts, tmp_path):
    given = [*QUICK, f"--corpus={texts / 'text.txt'}", *SEARCH, "--design=halving"]
    assert start("ptb_ablation", *given, f"--workdir={tmp_path / 'out'}") == 1
    assert "--halving_by=heldout_loss needs a held-out text" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_too_few_items_decide_nothing(capsys, texts, tmp_path):
    sweep(texts, tmp_path, "--design=halving", "--halving_by=wordsim353", "--evaluate", status=1)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: --halving_by=wordsim353: the vocabulary covers 0 of 353 items")


def test_figures_of_stopped_settings_are_told_apart(halved, whole, tmp_path):
    rows = json.loads((halved / "table.json").read_text())["rows"]
    stopped = {row["learning_rate"]: row["stopped_after_epoch"] for row in rows}
    assert stopped == lost(lines_of(halved))
    assert "stopped after epoch" in (halved / "table.tex").read_text()
    assert "stopped_after_epoch" in (halved / "table.csv").read_text()


def test_a_join_takes_the_training_that_came_to_its_end(texts, halved, tmp_path):
    sweep(texts, tmp_path / "whole", "--design=random")
    joined = tmp_path / "joined"
    folders = f"--sweep={halved}", f"--sweep={tmp_path / 'whole'}"
    assert start("ablation_report", *folders, f"--workdir={joined}", "--noplots") == 0
    found = lines_of(joined)
    assert len(found) == POINTS * SEEDS and not any(line.get("lost_rung") for line in found)


def test_flags_of_halving_are_idle_without_it(capsys, texts, tmp_path):
    args = ["--design=random", "--points=1", "--concurrent=2", "--first_rung=2", "--epochs=1"]
    sweep(texts, tmp_path / "out", *args)
    said = "note: no effect without --design=halving: --first_rung, --concurrent"
    assert said in capsys.readouterr().err


@cases(200)
@given(st.integers(2, 5), st.integers(1, 4), st.integers(1, 60), st.integers(1, 60))
def test_rungs_are_the_first_times_powers_of_the_factor(factor, first, epochs, of):
    rungs = {first * factor**k for k in range(10)}
    assert Rule(factor, first, LOSS).is_rung(epochs, of) == (epochs in rungs and epochs < of)


@cases(200)
@given(st.lists(st.floats(0, 9) | st.just(math.inf), min_size=1, max_size=30), st.integers(2, 5))
def test_the_best_share_goes_on(costs, factor):
    rule = Rule(factor, 1, LOSS)
    going = [cost for cost in costs if rule.goes_on(cost, costs)]
    share = max(len(costs) // factor, 1)
    assert all(math.isfinite(cost) for cost in going)
    if len(set(costs)) == len(costs):
        assert len(going) == min(share, sum(map(math.isfinite, costs)))
    assert not going or max(going) <= min(set(costs) - set(going), default=math.inf)
    assert rule.cost([1.0, None]) == rule.cost([math.nan]) == math.inf
    assert Rule(factor, 1, LOSS._replace(lowest=False)).cost([1.0, 3.0]) == -2.0
