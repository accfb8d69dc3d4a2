"""A sweep that grows trains what is new, keeps what it has, and is the sweep made at once."""

import json
import shutil

import pytest
from scripts import QUICK, start, text_of

from experiments.sweeps import run as sweep_run

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def trained(monkeypatch):
    """The flags and numbers of the trials that are trained from now on."""
    own, found = sweep_run.train, []

    def train(program, *rest):
        found.extend((trial.config.seed, trial.setting) for trial in program.trials)
        return own(program, *rest)

    monkeypatch.setattr(sweep_run, "train", train)
    return found


@pytest.fixture
def grow(tmp_path, trained):
    (tmp_path / "text.txt").write_text(text_of())

    def sweep(*args, out="out", status=0):
        trained.clear()
        given = [*QUICK, f"--corpus={tmp_path / 'text.txt'}", f"--workdir={tmp_path / out}"]
        assert start("ptb_ablation", *given, "--noplots", *args) == status
        return list(trained)

    return sweep


def lines_of(folder, *names):
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    found = {}
    for line in lines:
        key = json.dumps([line["setting"], line["seed"]], sort_keys=True)
        assert key not in found
        found[key] = {name: line[name] for name in names}
    return found


MEASURES = ("loss", "steps", "epochs")


def test_values_seeds_and_axes_are_added(grow, tmp_path):
    first = grow("--sweep=learning_rate=0.1,0.2", "--seeds=2")
    assert len(first) == 6  # with the baseline
    assert grow("--sweep=learning_rate=0.1,0.2", "--seeds=2") == []
    value = grow("--sweep=learning_rate=0.1,0.2,0.3", "--seeds=2")
    assert [(seed, s["learning_rate"]) for seed, s in value] == [(1, 0.3), (2, 0.3)]
    seed = grow("--sweep=learning_rate=0.1,0.2,0.3", "--seeds=3")
    assert [seed for seed, _ in seed] == [3] * 4
    axis = grow("--sweep=learning_rate=0.1,0.2,0.3", "--sweep=dim=4,5", "--seeds=3")
    assert len(axis) == 9 and {s["dim"] for _, s in axis} == {5}
    again = grow("--sweep=dim=4,5", "--seeds=3")  # of the baseline's rate, which was not in it
    assert [(seed, s["dim"]) for seed, s in again] == [(1, 5), (2, 5), (3, 5)]
    grow("--sweep=learning_rate=0.1,0.2,0.3", "--sweep=dim=4,5", "--seeds=3", out="at_once")
    grow("--sweep=dim=4,5", "--seeds=3", out="at_once")
    ours, theirs = (lines_of(tmp_path / name, *MEASURES) for name in ("out", "at_once"))
    assert ours == theirs and len(ours) == 24
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["axes"] == {"learning_rate": [0.002, 0.1, 0.2, 0.3], "dim": [4, 5]}
    assert settings["seeds"] == 3
    table = (tmp_path / "out" / "table.md").read_text()
    assert "8 settings, 24 trials" in table


def test_a_lines_flags_are_its_trial_whatever_the_base_became(grow, tmp_path):
    grow("--sweep=learning_rate=0.1,0.2", "--seeds=1")
    grow("--sweep=learning_rate=0.1", "--seeds=1", "--learning_rate=0.2")
    lines = lines_of(tmp_path / "out", "flags")
    assert "--learning_rate=0.2" in (tmp_path / "out" / "flags.cfg").read_text()
    for key, line in lines.items():
        rate = json.loads(key)[0]["learning_rate"]
        assert line["flags"] == ("" if rate == 0.2 else f"--learning_rate={rate}")


def test_numbers_stay_and_files_lie_under_them(grow, tmp_path):
    grow("--sweep=learning_rate=0.1", "--seeds=1", "--save_vectors")
    before = lines_of(tmp_path / "out", "member")
    kept = (tmp_path / "out" / "vectors" / "1.txt").read_bytes()
    grow("--sweep=learning_rate=0.05,0.1", "--seeds=2", "--save_vectors")
    after = lines_of(tmp_path / "out", "member")
    assert before.items() <= after.items() and len({x["member"] for x in after.values()}) == 6
    assert (tmp_path / "out" / "vectors" / "1.txt").read_bytes() == kept
    # Of a version that had no list of numbers, the lines tell them.
    (tmp_path / "out" / "trials.json").unlink()
    assert grow("--sweep=learning_rate=0.05,0.1", "--seeds=2", "--save_vectors") == []
    assert lines_of(tmp_path / "out", "member") == after


def test_another_text_or_flag_is_another_sweep(grow, tmp_path, capsys):
    grow("--sweep=learning_rate=0.1", "--seeds=1")
    shutil.copytree(tmp_path / "out", tmp_path / "kept")
    grow("--sweep=learning_rate=0.1", "--seeds=1", "--dim=5", status=1)
    assert "holds results with --dim = 4, not 5" in capsys.readouterr().err
    grow("--sweep=learning_rate=0.1", "--bootstrap=2", status=1)
    assert "bootstrap = 0, not 2" in capsys.readouterr().err
    (tmp_path / "text.txt").write_text(text_of(seed=9))
    grow("--sweep=learning_rate=0.1", "--seeds=2", status=1)
    assert "corpus_sha256" in capsys.readouterr().err
    for name in ("results.jsonl", "settings.json", "trials.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "kept" / name).read_bytes()


def test_a_bootstrap_grows(grow, tmp_path):
    grow("--bootstrap=2")
    assert [seed for seed, _ in grow("--bootstrap=3")] == [3]
    table = (tmp_path / "out" / "table.md").read_text()
    assert "1 setting, 3 trials" in table and "each with lines drawn anew" in table


# Tables of several folders


def test_a_table_of_several_folders_is_that_of_one(grow, tmp_path, capsys):
    grow("--sweep=learning_rate=0.1,0.2", "--seeds=2", "--evaluate", out="one")
    grow("--sweep=dim=4,5", "--seeds=3", "--evaluate", out="other")
    grow("--sweep=learning_rate=0.1,0.2", "--seeds=2", "--evaluate", out="grown")
    grow("--sweep=dim=4,5", "--seeds=3", "--evaluate", out="grown")
    both = f"--workdir={tmp_path / 'both'}"
    folders = [f"--sweep={tmp_path / name}" for name in ("one", "other")]
    assert start("ablation_report", *folders, both, "--noplots") == 0
    ours, theirs = (lines_of(tmp_path / name, *MEASURES) for name in ("both", "grown"))
    assert ours == theirs and len(ours) == 10
    tables = [(tmp_path / name / "table.csv").read_text() for name in ("both", "grown")]
    assert sorted(tables[0].splitlines()) == sorted(tables[1].splitlines())
    assert start("ablation_report", *folders, both, "--noplots") == 1
    assert "holds something: a new folder" in capsys.readouterr().err
    assert start("ablation_report", both, "--noplots") == 0  # it is a sweep's folder


def test_folders_of_other_texts_are_not_joined(grow, tmp_path, capsys):
    grow("--sweep=dim=4,5", "--seeds=1", out="one")
    (tmp_path / "text.txt").write_text(text_of(seed=9))
    grow("--sweep=dim=4,5", "--seeds=1", out="other")
    folders = [f"--sweep={tmp_path / name}" for name in ("one", "other")]
    assert start("ablation_report", *folders, f"--workdir={tmp_path / 'both'}") == 1
    assert "corpus_sha256" in capsys.readouterr().err
    assert start("ablation_report", "--sweep=/no/such", f"--workdir={tmp_path / 'x'}") == 1
    assert "--sweep=/no/such: holds no settings.json of a sweep" in capsys.readouterr().err


def test_a_joined_folder_grows(grow, tmp_path):
    for window in (1, 2):
        grow(f"--sweep=window={window}", "--seeds=1", out=f"of{window}")
    folders = [f"--sweep={tmp_path / f'of{window}'}" for window in (1, 2)]
    both = tmp_path / "both"
    assert start("ablation_report", *folders, f"--workdir={both}", "--noplots") == 0
    before = lines_of(both, "member", "loss")
    trained = grow("--sweep=window=3", "--seeds=1", out="both")
    assert [setting["window"] for _, setting in trained] == [3]
    after = lines_of(both, "member", "loss")
    assert before.items() <= after.items() and len(after) == 3


def test_drawn_texts_are_not_joined_with_others(grow, tmp_path, capsys):
    grow("--bootstrap=2", out="drawn")
    grow("--seeds=2", out="plain")
    grow("--bootstrap=2", "--seed=2", out="shifted")
    for name, said in (("plain", "has drawn texts"), ("shifted", "with other texts")):
        folders = [f"--sweep={tmp_path / one}" for one in ("drawn", name)]
        assert start("ablation_report", *folders, f"--workdir={tmp_path / 'both'}") == 1
        assert said in capsys.readouterr().err


def test_a_sweep_without_common_draws_does_not_grow(grow, tmp_path, capsys):
    args = ["--nocommon_random_numbers", "--sweep=learning_rate=0.1"]
    grow(*args, "--seeds=2")
    assert grow(*args, "--seeds=2") == []
    grow(*args, "--seeds=3", status=1)
    assert "--nocommon_random_numbers: such a folder doesn't grow" in capsys.readouterr().err


def test_settings_that_differ_in_an_idle_flag_are_two(grow, tmp_path):
    (tmp_path / "c.txt").write_text("--optimizer=sgd --beta1=0.8\n--optimizer=sgd --beta1=0.7\n")
    args = [f"--configurations={tmp_path / 'c.txt'}", "--seeds=1"]
    assert len(grow(*args)) == 3
    path = tmp_path / "out" / "results.jsonl"
    whole = lines_of(tmp_path / "out", "member", "loss")
    path.write_text(path.read_text().splitlines(keepends=True)[0])  # interrupted there
    assert len(grow(*args)) == 2
    assert lines_of(tmp_path / "out", "member", "loss") == whole


def test_lines_are_read_by_their_own_flags_where_a_renewal_was_cut(grow, tmp_path):
    path = tmp_path / "out" / "results.jsonl"
    grow("--seeds=1", "--sweep=dim=6")
    before = path.read_text()
    grow("--seeds=1", "--window=1", "--sweep=window=1,2", "--sweep=dim=6")
    whole = lines_of(tmp_path / "out", "member", "flags", "loss")
    added = path.read_text().splitlines(keepends=True)
    numbers = {json.loads(line)["member"] for line in before.splitlines()}
    path.write_text(before + "".join(x for x in added if json.loads(x)["member"] not in numbers))
    assert grow("--seeds=1", "--window=1", "--sweep=window=1,2", "--sweep=dim=6") == []
    assert lines_of(tmp_path / "out", "member", "flags", "loss") == whole


def test_a_renamed_axis_grows(grow, tmp_path):
    args = ["--engine=blocks", "--update=sparse", "--block=8", "--group_size=16", "--seeds=1"]
    grow(*args, "--negatives_per_group=4", "--sweep=negatives_per_group=4,8")
    out = tmp_path / "out"
    (out / "trials.json").unlink()
    for name in ("settings.json", "results.jsonl", "flags.cfg"):
        text = (out / name).read_text().replace("negatives_per_group", "shared_noise")
        (out / name).write_text(text)
    more = grow(*args, "--negatives_per_group=4", "--sweep=negatives_per_group=4,8,2")
    assert [setting["negatives_per_group"] for _, setting in more] == [2]


def test_a_damaged_list_of_trials_is_named(grow, tmp_path, capsys):
    grow("--seeds=2")
    (tmp_path / "out" / "trials.json").write_text('{"0": 3}')
    grow("--seeds=2", status=1)
    assert "trials.json: damaged" in capsys.readouterr().err


def test_a_sweep_has_no_text_drawn_anew_for_all(grow, capsys):
    grow("--seeds=2", "--resample=1", status=1)
    assert "--resample is a single run's: here --bootstrap=N" in capsys.readouterr().err
