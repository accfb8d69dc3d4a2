"""What an older or a newer version left goes on, or is refused with the flag's name."""

import json
import shutil
import signal
from dataclasses import fields

import pytest
from absl import flags
from hypothesis import given, settings
from hypothesis import strategies as st
from interrupted import arguments, metrics_of, signalled
from scripts import QUICK, contents, start

from experiments.benchmarks.baselines.entries import Entry, same
from experiments.cli import command, earlier_flags
from experiments.cli.config import RunConfig, of_library, resolved, to_flagfile
from experiments.cli.earlier_flags import Renamed
from experiments.runs import fingerprint
from experiments.runs.store import Results
from w2v_jax import sweeping
from w2v_jax.types import UserError

pytestmark = pytest.mark.usefixtures("compiled_once")

# What every version so far has behaved like that lacks one of these flags. A default may change; a
# value here may not, for runs that lack the flag were trained with it. A new flag may be added.
BEFORE = {
    "dataset": "ptb",
    "corpus": "",
    "data_dir": "",
    "reading": "sentences",
    "unk": "keep",
    "min_count": 1,
    "max_vocab": 0,
    "max_words": 0,
    "max_types": 0,
    "continue_from": "",
    "continue_schedule": False,
    "model": "skipgram",
    "engine": "pairs",
    "dim": 100,
    "init": "gensim",
    "loss": "negative_sampling",
    "reduction": "sum",
    "cbow_legacy_gradient": False,
    "window": 5,
    "dynamic_window": True,
    "expected_window": False,
    "full_windows": False,
    "negatives": 5,
    "window_limit": 0,
    "negatives_limit": 0,
    "noise_power": 0.75,
    "noise": "exclude_target",
    "subsample": 1e-4,
    "subsample_rule": "paper",
    "block": 16,
    "group": 128,
    "shared_noise": 64,
    "redraw": "epoch",
    "epochs": 5,
    "batch_size": 512,
    "drop_last": False,
    "optimizer": "adam",
    "rows": "dense",
    "learning_rate": 0.002,
    "schedule": "constant",
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "epsilon_hat": False,
    "weight_decay": 1e-4,
    "seed": 1,
    "export_vectors": "input",
    "objective": "none",
}


def test_what_older_versions_behaved_like_stays():
    known = {f.name: f.metadata["before"] for f in fields(RunConfig) if f.metadata["result"]}
    names = {earlier_flags.today(name, "")[0]: name for name in BEFORE}
    assert set(names) - set(known) <= set(earlier_flags.REMOVED)
    for name, old in names.items():
        if name in known:
            new = earlier_flags.text_of(name, known[name])
            assert (name, new) == earlier_flags.today(old, earlier_flags.text_of(old, BEFORE[old]))


# Runs


@pytest.fixture(scope="module")
def whole(text_folder):
    """A run that nothing stopped."""
    out = text_folder / "whole"
    assert start("ptb_skipgram", *arguments(text_folder, out)) == 0
    return out


@pytest.fixture
def left(monkeypatch, text_folder, tmp_path):
    """What a version left that writes other flags: a run, saved and stopped."""

    def leave(change, *more):
        own = fingerprint.of_flags
        with monkeypatch.context() as patch:
            patch.setattr(fingerprint, "of_flags", lambda config: change(own(config)))
            args = arguments(text_folder, tmp_path, *more)
            assert signalled(patch, 6, signal.SIGTERM, *args) == 143
        return tmp_path

    return leave


def goes_on(text_folder, out, whole, capsys, *more):
    assert start("ptb_skipgram", *arguments(text_folder, out, *more)) == 0
    assert "going on from step" in capsys.readouterr().err
    assert (out / "vectors.txt").read_bytes() == (whole / "vectors.txt").read_bytes()
    assert metrics_of(out) == metrics_of(whole)


def refused(text_folder, out, capsys, *more):
    before = contents(out)
    assert start("ptb_skipgram", *arguments(text_folder, out, *more)) == 1
    assert contents(out) == before
    return capsys.readouterr().err.splitlines()[-1]


def without(*names):
    return lambda flags: {name: text for name, text in flags.items() if name not in names}


@pytest.mark.slow
def test_a_run_that_lacks_flags_goes_on_to_the_same_bits(text_folder, left, whole, capsys):
    goes_on(text_folder, left(without("drop_last", "noise_power")), whole, capsys)


def test_a_run_that_lacks_a_flag_is_another_where_it_is_set(text_folder, left, capsys):
    line = refused(text_folder, left(without("drop_last")), capsys, "--drop_last")
    assert "--drop_last is false there, true here" in line
    assert line.count(" there, ") == 1


@pytest.mark.slow
def test_a_run_that_lacks_what_it_began_with_began_with_nothing(text_folder, left, whole, capsys):
    out = left(lambda flags: flags)
    about = json.loads((out / "run.json").read_text())
    del about["identity"]["began_sha256"]
    (out / "run.json").write_text(json.dumps(about))
    goes_on(text_folder, out, whole, capsys)


def test_a_flag_of_a_newer_version_is_named(text_folder, left, capsys):
    out = left(lambda flags: {**flags, "novelty": "2"})
    assert "--novelty is 2 there, unknown here" in refused(text_folder, out, capsys)


@pytest.mark.slow
def test_a_renamed_flag_is_the_same_flag(text_folder, left, whole, capsys, monkeypatch):
    def older(flags):
        flags = without("update", "drop_last")(flags)
        return {**flags, "touch": "all", "skip_last": "false"}

    out = left(older)
    monkeypatch.setitem(
        earlier_flags.RENAMED, "touch", Renamed("update", {"all": "dense", "touched": "sparse"})
    )
    monkeypatch.setitem(earlier_flags.RENAMED, "skip_last", Renamed("drop_last"))
    assert "--update is dense there, sparse" in refused(text_folder, out, capsys, "--update=sparse")
    goes_on(text_folder, out, whole, capsys)


@pytest.mark.slow
def test_a_removed_flag_must_have_had_the_value_that_is_left(
    text_folder, left, whole, capsys, monkeypatch
):
    out = left(lambda flags: {**flags, "haste": "2"})
    monkeypatch.setitem(earlier_flags.REMOVED, "haste", "1")
    assert "--haste is 2 there, 1 here" in refused(text_folder, out, capsys)
    monkeypatch.setitem(earlier_flags.REMOVED, "haste", "2")
    goes_on(text_folder, out, whole, capsys)


@pytest.mark.slow
def test_the_flags_of_a_refused_run_go_on_with_it(text_folder, left, capsys):
    out = left(lambda flags: flags, "--epochs=3")
    assert "with its flags.cfg as --flagfile it goes on" in refused(text_folder, out, capsys)
    assert (
        start("ptb_skipgram", *arguments(text_folder, out, f"--flagfile={out / 'flags.cfg'}")) == 0
    )
    assert "going on from step" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_any_version_can_be_continued(text_folder, left, tmp_path, capsys):
    out = left(lambda flags: {**without("drop_last")(flags), "novelty": "2"})
    more = [f"--continue_from={out}", f"--workdir={tmp_path / 'next'}"]
    assert start("ptb_skipgram", *arguments(text_folder, out, *more)) == 0
    summary = json.loads((tmp_path / "next" / "summary.json").read_text())
    assert summary["complete"]


# What a flag means that is idle, or was


def test_idle_flags_make_no_difference_of_their_own():
    sgd, adam = RunConfig(optimizer="sgd"), RunConfig(optimizer="adam", beta1=0.5)
    there, here = (fingerprint.of_flags(config) for config in (sgd, adam))
    assert [d.name for d in earlier_flags.differences(there, here)] == ["optimizer", "beta1"]
    assert [d.name for d in earlier_flags.differences(here, there)] == ["optimizer"]
    # A version that took a flag for idle, or one for effective that is idle now.
    assert not earlier_flags.differences(without("beta2")(here), here)
    assert not earlier_flags.differences({**there, "beta1": "0.5"}, there)
    assert earlier_flags.differences({**there, "window_limit": "7"}, there)  # absent is 0


def values_of(field):
    about = field.metadata
    if field.type is bool:
        return st.booleans()
    if about["choices"]:
        return st.sampled_from(list(about["choices"]))
    if field.type in (int, float):
        low = about["low"] or 0
        return st.sampled_from([field.default, field.type(low + 1), field.type(low)])
    return st.sampled_from(["", "some text"])


CONFIGS = st.fixed_dictionaries(
    {}, optional={f.name: values_of(f) for f in fields(RunConfig) if f.metadata["result"]}
)


@settings(max_examples=200, deadline=None)
@given(CONFIGS, CONFIGS)
@pytest.mark.slow
def test_a_run_says_all_that_it_means(values, others):
    config, other = RunConfig(**values), RunConfig(**others)
    text = to_flagfile(resolved(config))
    there = earlier_flags.stored(text)
    assert there == earlier_flags.of(config) and earlier_flags.lacking(there) == {}
    assert earlier_flags.stored(" ".join(text.splitlines())) == there
    differ = {d.name for d in earlier_flags.differences(there, earlier_flags.of(other), ())}
    changed = set(resolved(config)) ^ set(resolved(other))
    assert bool(differ) == bool(changed) and differ <= {name for name, _ in changed}


# Sweeps


@pytest.mark.slow
def test_an_older_sweep_goes_on_to_the_same_results(monkeypatch, text_folder, tmp_path, capsys):
    listed = tmp_path / "rates"
    listed.write_text("--learning_rate=0.1\n")
    args = [
        *QUICK,
        f"--data_dir={text_folder}",
        "--epochs=3",
        "--seeds=2",
        f"--configurations={listed}",
    ]
    args += ["--save_vectors", f"--heldout={text_folder / 'corpus.txt'}", "--noperplexity"]
    args += ["--cpu_devices=1"]
    out, old = tmp_path / "out", tmp_path / "old"
    assert start("ptb_ablation", *args, f"--workdir={out}") == 0
    with monkeypatch.context() as patch:
        stop_at_epoch(patch, 2)
        begun = [arg.replace("--configurations=", "--members=") for arg in args]
        assert start("ptb_ablation", *begun, f"--workdir={old}") == 143
    assert "note: --members is now --configurations" in capsys.readouterr().err
    shared = json.loads((old / "settings.json").read_text())
    shared["flags"] = shared["flags"].replace("--drop_last=false\n", "")
    del shared["early_stopping"], shared["heldout_sha256"]
    (old / "settings.json").write_text(json.dumps(shared))
    capsys.readouterr()

    for more in (["--drop_last"], ["--early_stopping=2"]):
        assert start("ptb_ablation", *args, f"--workdir={old}", *more) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert more[0].strip("-").partition("=")[0] in line and "holds results with" in line

    moved = text_folder / "moved"
    shutil.copytree(
        text_folder / "ptb", moved / "ptb"
    )  # where the text lies may change, as of a run
    args.remove(f"--data_dir={text_folder}")
    assert start("ptb_ablation", *args, f"--data_dir={moved}", f"--workdir={old}") == 0
    assert "going on after epoch" in capsys.readouterr().err
    for name in ("0", "1", "2", "3"):
        one, other = (folder / "vectors" / f"{name}.txt" for folder in (out, old))
        assert one.read_bytes() == other.read_bytes()


def stop_at_epoch(monkeypatch, count):
    own, epochs = sweeping.train_epoch, []

    def train_epoch(*args):
        epochs.append(args[4])
        if len(epochs) == count:
            signal.raise_signal(signal.SIGTERM)
        return own(*args)

    def end(status):
        raise SystemExit(status)

    monkeypatch.setattr(sweeping, "train_epoch", train_epoch)
    monkeypatch.setattr(command.os, "_exit", end)  # this process is to stay


CONFIGURATIONS = [RunConfig(seed=seed, optimizer="adam") for seed in (1, 2)]


@pytest.mark.parametrize(
    ("stored", "are_these"),
    [
        ([" #0", "--seed=2 #1"], True),
        (["#0", "--seed=2 --beta1=0.9 #1"], True),
        (["--weight_decay=0.5 #0", "--seed=2 #1"], True),  # idle
        ([" #0", "--seed=2 #2"], False),
        ([" #0"], False),
        ([" #0", "--seed=3 #1"], False),
        ([" #0", "--seed=2 --beta1=0.8 #1"], False),
        ([" #0", "--seed=2 --novelty=1 #1"], False),
    ],
)
def test_a_checkpoints_trials_are_those_of_any_version(tmp_path, stored, are_these):
    from experiments.sweeps.checkpointing import Source, written
    from experiments.sweeps.plan import Trial

    trials = [Trial(i, {}, config) for i, config in enumerate(CONFIGURATIONS)]
    own = [written(trial, CONFIGURATIONS[0]) for trial in trials]
    for names, found in (own, True), (stored, are_these):
        source = Source(tmp_path, names, 1, 0.0, {})
        assert source.rows(trials, CONFIGURATIONS[0]) == ([0, 1] if found else [])


def test_a_sweeps_settings_and_lines_go_by_todays_names(monkeypatch, tmp_path):
    monkeypatch.setitem(
        earlier_flags.RENAMED, "touch", Renamed("update", {"all": "dense", "touched": "sparse"})
    )

    def opened(update):
        here = {"flags": f"--update={update}\n", "axes": {"update": ["dense", "sparse"]}}
        here["settings"] = [{"update": "dense"}]
        flags = earlier_flags.of(RunConfig(update=update))
        return Results(tmp_path, here, False, lambda there: earlier_flags.differences(there, flags))

    older = {"flags": "--touch=all\n", "axes": {"touch": ["all", "touched"]}}
    older["settings"] = [{"touch": "all"}]
    (tmp_path / "settings.json").write_text(json.dumps(older))
    (tmp_path / "results.jsonl").write_text('{"member": 0, "setting": {"touch": "all"}}\n')
    results = opened("dense")
    assert results.settings["axes"] == {"update": ["dense", "sparse"]}
    assert results.settings["settings"] == [{"update": "dense"}]
    assert results.lines[0]["setting"] == {"update": "dense"}
    with pytest.raises(UserError, match="update = dense, not sparse"):
        opened("sparse")


# Measurements


@pytest.fixture
def thickness():
    """A measurement's own flag."""
    flags.DEFINE_integer("thickness", 3, "")
    yield "thickness"
    delattr(flags.FLAGS, "thickness")


def test_results_that_lack_a_flag_have_its_default_of_then(tmp_path, thickness):
    Results(tmp_path, {"dim": 5})
    assert Results(tmp_path, {"dim": 5, thickness: 3, "novelty": 1}).settings[thickness] == 3
    with pytest.raises(UserError, match="thickness = 3, not 4"):
        Results(tmp_path, {"dim": 5, thickness: 4})


def test_results_with_a_flag_that_is_not_known_are_refused(tmp_path, thickness, monkeypatch):
    Results(tmp_path, {"dim": 5, thickness: 4})
    with pytest.raises(UserError, match="thickness = 4, not unknown"):
        Results(tmp_path, {"dim": 5})
    monkeypatch.setitem(earlier_flags.REMOVED, thickness, "4")
    Results(tmp_path, {"dim": 5})


SCRIPTS = {
    "benchmark_softmax": (
        ["--vocab_sizes=20", "--dim=3", "--batch_size=4", "--timed_sec=0"],
        "negatives",
        "--negatives=7",
    ),
    "benchmark_growth": (
        ["--axes=dim", "--sweep_dim=3", "--timed_sec=0", "--words=500", "--vocab_size=20"],
        "drop_last",
        "--drop_last",
    ),
}


def test_a_flag_of_the_scripts_own_is_read_by_its_old_name(tmp_path):
    """As `members` of benchmark_sweep, which ptb_ablation has another name for."""
    flags.DEFINE_integer("trials", 8, "")
    try:
        (tmp_path / "settings.json").write_text('{"members": 4, "rows": "touched"}')
        results = Results(tmp_path, {"trials": 4}, differences=lambda there: [])
        assert results.settings["trials"] == 4 and "members" not in results.settings
        with pytest.raises(UserError, match="trials = 4, not 8"):
            Results(tmp_path, {"trials": 8}, differences=lambda there: [])
    finally:
        delattr(flags.FLAGS, "trials")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.slow
def test_a_benchmark_goes_on_with_an_older_folder(script, tmp_path, capsys):
    args, lacking, other = SCRIPTS[script]
    args = [*args, "--rounds=1", f"--workdir={tmp_path}"]
    assert start(script, *args) == 0
    shared = json.loads((tmp_path / "settings.json").read_text())
    del shared[lacking]
    (tmp_path / "settings.json").write_text(json.dumps(shared))
    measured = (tmp_path / "results.jsonl").read_bytes()
    assert start(script, *args) == 0
    assert (tmp_path / "results.jsonl").read_bytes() == measured
    capsys.readouterr()
    assert start(script, *args, other) == 1
    assert f"{lacking} = " in capsys.readouterr().err.splitlines()[-1]
    assert (tmp_path / "results.jsonl").read_bytes() == measured


@pytest.mark.parametrize(
    ("there", "here", "alike"),
    [
        ("--dim=5", "--dim=5 --drop_last=false", True),
        ("--dim=5", "--dim=5 --nodrop_last", True),
        ("--subsample=1e-4 --dim=5", "--dim=5 --subsample=0.0001", True),
        ("--dim=5", "--dim=5 --drop_last", False),
        ("--dim=5", "--dim=6", False),
        ("--dim=5", "--dim=5 --batch_size=512", False),  # train_corpus has a default of its own
        ("--corpus=a b", "--corpus=a c", False),
    ],
)
def test_a_baselines_flags_are_compared_as_flags(there, here, alike):
    ours = Entry("w2v_jax", "w2v_jax", "", 1)
    assert same(ours, there, here) is alike and same(ours, here, there) is alike
    assert same(Entry("gensim", "gensim", "", 1), there, here) == (there == here)


def test_the_scripts_own_defaults_are_known():
    assert set(of_library()) <= {field.name for field in fields(RunConfig)}
