"""gensim's random search as a user starts it, on a tiny text."""

import json
import shutil

import numpy as np
import pytest
from scripts import start

from experiments.benchmarks import gensim_search

pytest.importorskip("gensim")
pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")


def lines_of(folder):
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "train_sec"} for line in lines]


@pytest.fixture(scope="module")
def searched(text_folder):
    """Two settings, and the second again with two seeds."""
    text = "the old king saw a queen\nmoney and cash in the bank\nking queen money bank old cash\n"
    (text_folder / "ptb" / "ptb.train.txt").write_text(text * 20)
    out = text_folder / "search"
    args = [f"--data_dir={text_folder}", "--threads=1", f"--workdir={out}"]
    assert start("gensim_search", *args, "--points=2") == 0
    assert start("gensim_search", *args, "--only=1", "--seeds=2") == 0
    return out


def test_a_line_and_items_a_trial(searched):
    lines = lines_of(searched)
    assert [line["role"] for line in lines] == ["search", "search", "judge", "judge"]
    assert [line["member"] for line in lines] == [0, 1, 10_000, 10_001]
    assert [line["seed"] for line in lines] == [1, 1, 2, 3]
    assert lines[1]["setting"] == lines[2]["setting"] == lines[3]["setting"] != lines[0]["setting"]
    for line in lines:
        with np.load(searched / "items" / f"{line['member']}.npz", allow_pickle=False) as items:
            shapes = {name: (items[name].shape, items[name].dtype) for name in items}
            known = np.isfinite(items["wordsim353"])
        assert shapes == {
            "wordsim353": ((353,), np.float64),
            "simlex999": ((999,), np.float64),
            "google_analogies": ((19544,), np.int8),
        }
        assert known.sum() == 5  # king queen, money cash (twice), money bank, bank money
        assert line["wordsim353_spearman"] is None  # of so few pairs
    settings = json.loads((searched / "settings.json").read_text())
    assert settings["axes"].keys() == settings["base"].keys() == lines[0]["setting"].keys()


def test_it_goes_on_where_it_stopped_with_the_same_lines(searched, text_folder, capsys):
    again = text_folder / "again"
    shutil.copytree(searched, again)
    whole = (again / "results.jsonl").read_text().splitlines()
    (again / "results.jsonl").write_text(whole[0] + '\n{"member": 1, "pro')
    args = [f"--data_dir={text_folder}", "--threads=1", f"--workdir={again}"]
    assert start("gensim_search", *args, "--points=2") == 0
    assert capsys.readouterr().err.count(" of 1: trial 1,") == 1
    assert start("gensim_search", *args, "--only=1", "--seeds=2") == 0
    assert lines_of(again) == lines_of(searched)
    before = (again / "results.jsonl").read_bytes()
    assert start("gensim_search", *args, "--points=2") == 0
    assert (again / "results.jsonl").read_bytes() == before


def test_a_line_names_the_flags_that_train_its_trial_again(searched, text_folder):
    line = lines_of(searched)[1]
    args = [*line["flags"].split(), "--threads=1", f"--data_dir={text_folder}"]
    assert start("gensim_search", *args, f"--workdir={text_folder / 'alone'}") == 0
    (alone,) = lines_of(text_folder / "alone")
    differing = ("member", "program", "role")
    assert {k: v for k, v in alone.items() if k not in differing} == {
        k: v for k, v in line.items() if k not in differing
    }


def test_draws_are_a_function_of_seed_and_trial_and_follow_their_laws():
    drawn = [gensim_search.draw(0, trial) for trial in range(2000)]
    assert drawn[7] == gensim_search.draw(0, 7) != gensim_search.draw(1, 7)
    of = {name: np.array([setting[name] for setting in drawn]) for name in drawn[0]}
    bounds = {
        **{"sg": (0, 1), "window": (1, 10), "negative": (1, 20), "epochs": (5, 15)},
        **{"sample": (0, 1e-2), "alpha": (0.005, 0.5), "ns_exponent": (0, 1)},
    }
    for name, (low, high) in bounds.items():
        assert low <= of[name].min() and of[name].max() <= high, name
    for name in ("window", "epochs"):
        counts = np.unique(of[name], return_counts=True)[1]
        size = bounds[name][1] - bounds[name][0] + 1
        assert len(counts) == size and np.abs(counts * size / 2000 - 1).max() < 0.35
    assert of["sg"].mean() == pytest.approx(0.8, abs=0.04)
    assert (of["sample"] == 0).mean() == pytest.approx(0.1, abs=0.03)
    assert np.median(of["alpha"]) == pytest.approx(0.05, rel=0.15)
    assert np.median(of["sample"][of["sample"] > 0]) == pytest.approx(10**-3.5, rel=0.25)
    ones = (of["negative"] == 1).mean()
    assert ones == pytest.approx(np.log(2) / np.log(21), abs=0.04)
    assert (of["negative"] == 20).any()


@pytest.mark.parametrize("fault", ["no_workdir", "no_text", "other_seed"])
def test_refusals(searched, text_folder, fault, capsys):
    args = {"data_dir": text_folder, "workdir": searched, "threads": 1, "points": 1}
    if fault == "no_workdir":
        del args["workdir"]
    if fault == "no_text":
        args["data_dir"] = text_folder / "nowhere"
    if fault == "other_seed":
        args["seed"] = 1
    assert start("gensim_search", *(f"--{n}={v}" for n, v in args.items())) == 1
    error = capsys.readouterr().err.strip()
    named = {"no_workdir": "--workdir", "no_text": "--data_dir", "other_seed": "draw_seed"}
    assert named[fault] in error and "\n" not in error
