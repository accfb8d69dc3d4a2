"""--pairs and --analogies count in sweeps, single runs and benchmarks."""

import json

import numpy as np
import pytest
from scripts import QUICK, start, text_of

from w2v_jax.vectors import evaluation
from w2v_jax.vectors import io as vectors_io

pytestmark = pytest.mark.usefixtures("compiled_once")
ARGS = ("--evaluate", "--sweep=learning_rate=0.1,0.2", "--seeds=3", "--epochs=1")


@pytest.fixture
def files(tmp_path):
    """The text, and a file of pairs and one of analogies of its words."""
    text, draw = text_of(), np.random.default_rng(5)
    (tmp_path / "text.txt").write_text(text)
    words = sorted(set(text.split()))
    pairs = [(*draw.choice(words, 2, False), draw.integers(1, 90) / 10) for _ in range(40)]
    (tmp_path / "mine.tsv").write_text("".join(f"{a}\t{b}\t{s}\n" for a, b, s in pairs))
    rows = [" ".join(draw.choice(words, 4, False)) for _ in range(30)]
    (tmp_path / "quest.txt").write_text("".join(f"{row}\n" for row in rows))
    return tmp_path


def sweep(files, *more, out="out", status=0):
    given = [*QUICK, f"--corpus={files / 'text.txt'}", f"--workdir={files / out}"]
    assert start("ptb_ablation", *given, "--noplots", *ARGS, *more) == status
    path = files / out / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_sweep_compares_by_ones_own_sets(files):
    own = f"--pairs={files / 'mine.tsv'}", f"--analogies={files / 'quest.txt'}"
    lines = sweep(files, "--save_vectors", *own)
    for line in lines:
        wv = vectors_io.load(files / "out" / "vectors" / f"{line['member']}.txt")
        spearman, _ = evaluation.word_pairs(wv, files / "mine.tsv")
        assert line["mine_spearman"] == pytest.approx(spearman.value, abs=1e-6)
        assert line["coverage"]["mine_spearman"] == [spearman.covered, 40]
        *_, accuracy = evaluation.analogies(wv, files / "quest.txt")
        assert line["quest_accuracy"] == accuracy.value
    rows = json.loads((files / "out" / "table.json").read_text())["rows"]
    ours = [row for row in rows if row["measure"] == "mine_spearman"]
    assert (
        len(ours) == 3 and sum(row["difference_half_over_items"] is not None for row in ours) == 2
    )
    table = (files / "out" / "table.md").read_text()
    assert " mine |" in table.splitlines()[2]
    assert "- mine. " in table and "mine " + f"{spearman.covered} of 40" in table


def test_a_folder_keeps_its_sets_and_takes_more(capsys, files):
    first = sweep(files, f"--pairs={files / 'mine.tsv'}", "--save_vectors")
    more = sweep(files, f"--analogies={files / 'quest.txt'}", "--save_vectors", "--seeds=4")
    assert len(more) == len(first) + 3
    assert all({"mine_spearman", "quest_accuracy"} <= line.keys() for line in more)
    at_once = sweep(
        files,
        *(f"--pairs={files / 'mine.tsv'}", f"--analogies={files / 'quest.txt'}"),
        *("--seeds=4", "--save_vectors"),
        out="at_once",
    )

    def known(lines):
        named = {(line["seed"], str(line["setting"])): line for line in lines}
        return {k: (v["mine_spearman"], v["quest_accuracy"]) for k, v in named.items()}

    for key, values in known(at_once).items():
        assert known(more)[key] == pytest.approx(values, abs=1e-6)
    # the file is gone: what is there stays with its intervals, and nothing new is trained
    table = (files / "out" / "table.md").read_text()
    (files / "mine.tsv").rename(files / "elsewhere.tsv")
    assert start("ablation_report", f"--workdir={files / 'out'}", "--noplots") == 0
    assert (files / "out" / "table.md").read_text() == table
    capsys.readouterr()
    sweep(files, "--seeds=5", status=1)
    assert "mine.tsv: the folder's trials are measured with it" in capsys.readouterr().err
    moved = sweep(files, "--seeds=5", "--save_vectors", f"--pairs={files / 'elsewhere.tsv'}")
    assert len(moved) == 15 and all("mine_spearman" in line for line in moved)


def test_a_folder_of_something_else_is_refused(capsys, files):
    (files / "out").mkdir()
    (files / "out" / "settings.json").write_text('{"corpus_sha256": "a", "words": 3}')
    (files / "out" / "results.jsonl").write_text('{"peer": "gensim", "member": 1}\n')
    sweep(files, status=1)
    assert "holds results of something else (settings.json)" in capsys.readouterr().err


def test_trials_without_vectors_are_not_measured_later(capsys, files):
    sweep(files)
    sweep(files, f"--pairs={files / 'mine.tsv'}", status=1)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: --pairs: --workdir=") and "or without --pairs" in error
    sweep(files, f"--pairs={files / 'nothere.tsv'}", status=1)
    assert "error: --pairs=" in capsys.readouterr().err


def test_a_run_tells_ones_own_sets_and_measures_what_is_new(capsys, files):
    args = [*QUICK, f"--corpus={files / 'text.txt'}", f"--workdir={files / 'run'}", "--noplots"]
    pairs = f"--pairs={files / 'mine.tsv'}"
    assert start("train_corpus", *args, "--evaluate", pairs) == 0
    out = capsys.readouterr().out
    assert "mine_spearman" in out and "mine_pearson" in out

    def evaluated():
        return json.loads((files / "run" / "summary.json").read_text())["evaluation"]

    first = evaluated()
    assert first["mine_spearman"]["total"] == 40
    quest = f"--analogies={files / 'quest.txt'}"
    assert start("train_corpus", *args, "--evaluate", pairs, quest) == 0
    assert "quest_accuracy" in capsys.readouterr().out
    assert evaluated() == {**first, "quest_accuracy": evaluated()["quest_accuracy"]}
    assert start("train_corpus", *args, "--evaluate") == 0
    assert "quest_accuracy" in evaluated()
