"""The benchmark against other programs: plan, parsing, continuing, tables, a tiny real run."""

import gzip
import hashlib
import json
import re
import stat
import sys

import numpy as np
import pytest
from messages import told
from scripts import start, text_of

import w2v_jax as w2v
from experiments.benchmarks import child_process, plain_corpus
from experiments.benchmarks import table as benchmark_table
from experiments.benchmarks.baselines import gensim_training, ppmi_training
from experiments.benchmarks.baselines.commands import BASELINES, Run, Task, Tools
from experiments.benchmarks.baselines.entries import entry, order, particular
from experiments.report import over_items, tables
from experiments.runs.store import Results
from w2v_jax.data.sources import Source
from w2v_jax.vectors import io as vectors_io

TASK = Task("text.txt", "", 1000, 50, "skipgram", 10, 5, 5, 1e-4, 1, 5, 2)


def test_interval_is_students():
    mean, half = tables.interval([1.0, 2.0, 3.0])
    assert mean == 2 and half == pytest.approx(4.302653 / 3**0.5)
    assert tables.interval([7.0]) == (7.0, None)
    assert tables.mean_and_interval([1.0, None, 3.0], 1) == "2.0 ± 12.7"
    assert tables.mean_and_interval([None]) == "–"


def test_the_range_of_n_runs_encloses_their_median_as_often_as_is_said():
    assert tables.spread([3.0, None, 1.0, 8.25], 1) == "3.0 (1.0 to 8.2)"
    assert (tables.spread([7.0]), tables.spread([None])) == ("7", "–")
    for runs in (2, 5, 8):
        draws = np.random.default_rng(0).exponential(size=(20_000, runs))  # median log 2
        held = np.mean((draws.min(axis=1) < np.log(2)) & (np.log(2) < draws.max(axis=1)))
        told = float(re.search(r"confidence of ([\d.]+)%", tables.enclosed(runs))[1])
        assert abs(held - told / 100) < 4 * np.sqrt(held * (1 - held) / 20_000) + 0.0005
    assert "over 99.9%" in tables.enclosed(12)
    assert "chance" in tables.enclosed(1)


def test_markdown_pads_its_cells():
    table = "| a   |  b |\n| --- | -: |\n| one | 10 |\n"
    assert tables.markdown(["a", "b"], [["one", "10"]]) == table


def test_the_order_turns_round_from_seed_to_seed():
    entries = [entry(name, TASK, Tools()) for name in ("w2v_jax", "gensim", "d2l")]
    seen = [(seed, one.name) for seed, one in order(entries, 3)]
    there = ["w2v_jax", "gensim", "d2l"]
    assert seen == [(s, n) for s in (1, 2, 3) for n in (there[::-1] if s == 2 else there)]


def test_baselines_are_named_with_epochs_and_flagfiles(tmp_path):
    path = tmp_path / "a.cfg"
    path.write_text("# about\n--dim=3\n")
    assert entry("gensim@7", TASK, Tools()) == ("gensim@7", "gensim", "", 7)
    assert entry("w2v_jax", TASK, Tools(ours=str(path)))[2:] == (str(path), 5)
    one = entry(f"w2v_jax:{path}@2", TASK, Tools())
    assert one[1:] == ("w2v_jax", str(path), 2)
    own = particular(one, Tools(ours_flags=("--batch_size=8",)))
    assert own == "--dim=3 --batch_size=8"
    for wrong in ("glove", "gensim@0", "gensim:a.cfg", "w2v_jax:absent.cfg", ""):
        with told("--baselines"):
            entry(wrong, TASK, Tools())


def test_times_are_read_from_what_the_c_programs_print(tmp_path):
    run = Run(TASK, Tools(), 4, "", 1, tmp_path)
    printed = "Vocab size: 9\nWords in train file: 1050\n"
    printed += "\rAlpha: 0.02  Progress: 1.00%  Words/thread/sec: 9.00k  "
    printed += "\rAlpha: 0.01  Progress: 90.00%  Words/thread/sec: 0.35k  "
    found = BASELINES["word2vec_c"].times(run, printed)
    assert found == {"train_sec": pytest.approx(1050 * 4 / 700), "estimated": True}
    printed = "Read 0M words\rProgress:   1.0% words/sec/thread:     7 lr:  0.02\r"
    printed += "Progress: 100.0% words/sec/thread:     420 lr:  0.0 avg.loss:  4.1 ETA: 0h\n"
    found = BASELINES["fasttext"].times(run, printed)
    assert found == {"train_sec": pytest.approx(4 * 1050 / 840), "estimated": True}
    for name in ("word2vec_c", "fasttext"):
        assert BASELINES[name].times(run, "it printed nothing of use") == {"train_sec": None}


def test_commands_hold_the_shared_settings(tmp_path):
    run = Run(TASK, Tools(word2vec_c="w2v", fasttext="ft", torch_python="py"), 3, "", 8, tmp_path)
    for baseline in BASELINES.values():
        line = " ".join(baseline.command(run))
        of_training = (
            ("--epochs=3", "-iter 3", "-epoch 3"),
            ("--negatives=5", "-negative 5", "-neg 5"),
        )
        for spellings in (
            *(of_training if baseline.trains else ()),
            ("--dim=10", "-size 10", "-dim 10"),
            ("--subsample=0.0001", "-sample 0.0001", "-t 0.0001"),
            ("--min_count=1", "-min-count 1", "-minCount 1"),
            ("--window=5", "-window 5", "-ws 5"),
        ):
            assert any(spelling in line for spelling in spellings), (line, spellings)
    command = BASELINES["w2v_jax"].command(run)
    assert f"--cache_dir={tmp_path / 'cache'}" in command  # a new one: raw text, as the others read
    assert "skip-gram" in BASELINES["d2l"].missing(Tools(), TASK._replace(model="cbow"))
    assert BASELINES["fasttext"].missing(Tools(), TASK) == "no --fasttext=PATH"


def test_counting_gives_the_tables_that_a_training_may_begin_with(tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    lines = np.random.default_rng(0).integers(0, 9, (30, 6)).tolist()
    text.write_text("".join(" ".join(map(str, line)) + "\n" for line in lines))
    task = TASK._replace(corpus=str(text), dim=4, window=2, subsample=0.1, min_count=1)
    command = BASELINES["ppmi_svd"].command(Run(task, Tools(), 1, "", 3, tmp_path))
    monkeypatch.setattr(sys, "argv", command[2:])
    ppmi_training.main()
    found = vectors_io.load(tmp_path / "vectors.bin")
    fields = dict(init="ppmi_svd", dim=4, window=2, subsample=0.1, min_count=1)
    still = dict(optimizer="sgd", learning_rate=0.0, epochs=1)
    run = w2v.train(str(text), progress=False, **fields, **still)
    assert found.words == run.vectors.words
    np.testing.assert_array_equal(found.vectors, run.vectors.vectors)
    assert set(BASELINES["ppmi_svd"].times(Run(task, Tools(), 1, "", 3, tmp_path), "")) == {
        "vocab_sec",
        "train_sec",
    }
    assert entry("ppmi_svd", TASK, Tools()).epochs == 1
    with told("--baselines=ppmi_svd@2: ppmi_svd has no epochs"):
        entry("ppmi_svd@2", TASK, Tools())


def test_gensims_export_is_its_input_rows_or_both_tables_summed(tmp_path, monkeypatch):
    word2vec = pytest.importorskip("gensim.models.word2vec")
    text = tmp_path / "text.txt"
    text.write_text("one two three four\n" * 30)
    model = word2vec.Word2Vec(
        word2vec.LineSentence(str(text)),
        **dict(vector_size=4, window=2, negative=2, sample=0, min_count=1, epochs=2, sg=1),
        **dict(workers=1, seed=3),
    )
    expected = {"input": model.wv.vectors, "sum": model.wv.vectors + model.syn1neg}
    task = TASK._replace(corpus=str(text), window=2, negatives=2, subsample=0, threads=1)
    task = task._replace(dim=4, min_count=1, model="skipgram")
    for export_, rows in expected.items():
        run = Run(task, Tools(gensim_export=export_), 2, "", 3, tmp_path)
        monkeypatch.setattr(sys, "argv", BASELINES["gensim"].command(run)[2:])
        gensim_training.main()
        np.testing.assert_array_equal(vectors_io.load(tmp_path / "vectors.bin").vectors, rows)
    assert not np.array_equal(*expected.values())
    one = entry("gensim", TASK, Tools())
    assert particular(one, Tools()) == "sentences"
    assert particular(one, Tools(gensim_export="sum")) == "sentences export=sum"


# Tables


def line_of(baseline, seed, train_sec, total_sec, quality, epochs=5, **more):
    line = {"peer": baseline, "seed": seed, "epochs": epochs, "peak_mb": 100.0 * seed}
    line |= {"words_per_sec": 1000 * epochs / train_sec if train_sec else None}
    line |= {"train_sec": train_sec, "total_sec": total_sec, **more}
    for field in benchmark_table.QUALITY:
        line |= {field: quality, f"{field}_covered": 1234}
    return line


LINES = [
    line_of("gensim", 1, 10.0, 20.0, 0.3),
    line_of("gensim", 2, 30.0, 40.0, 0.4),
    line_of("gensim", 3, 20.0, 30.0, 0.5),
    line_of("w2v_jax@1", 1, 5.0, 40.0, 0.2, epochs=1),
    line_of("w2v_jax@1", 2, 10.0, 20.0, None, epochs=1),
    line_of("w2v_jax@1", 3, 4.0, 10.0, 0.4, epochs=1),
    line_of("fasttext", 1, 5.0, 5.0, 0.1, estimated=True),
    line_of("word2vec_c", 1, None, 8.0, 0.1),
]


def cells(table):
    rows = [[c.strip() for c in row.strip("|\n ").split("|")] for row in table.splitlines()]
    return {row[0]: row[1:] for row in rows[2:]}


def test_the_table_of_speed_equals_hand_computed_values():
    found = cells(benchmark_table.speed(LINES))
    assert list(found) == ["w2v_jax@1", "fasttext", "gensim", "word2vec_c"]
    # ratios of one seed: words/s .4, .6, 1.0; training 2, 3, 5; in all .5, 2, 3
    expected = ["1", "3", "200 (100 to 250)", "5.0 (4.0 to 10.0)", "20.0 (10.0 to 40.0)"]
    expected += ["200 (100 to 300)"]
    expected += ["0.60 (0.40 to 1.00)", "3.00 (2.00 to 5.00)", "2.00 (0.50 to 3.00)"]
    assert found["w2v_jax@1"] == expected
    assert found["gensim"][2:4] == ["250 (167 to 500)", "20.0 (10.0 to 30.0)"]
    assert found["gensim"][-3:] == ["1.00", "1.00", "1.00"]
    assert found["fasttext"] == ["5", "1", "~1,000", "~5.0", "5.0", "100", "2.00", "2.00", "4.00"]
    assert found["word2vec_c"] == ["5", "1", "–", "–", "8.0", "100", "–", "–", "2.50"]


def test_the_table_of_quality_equals_hand_computed_values():
    found = cells(benchmark_table.quality(LINES))
    assert found["gensim"][2] == f"0.400 ± {4.302653 * 0.1 / 3**0.5:.3f} (1,234)"
    assert found["w2v_jax@1"][3] == f"0.300 ± {12.7062 * 0.1:.3f} (1,234)"
    assert found["fasttext"][4] == "0.100 (1,234)"


def test_differences_are_to_gensims_means():
    found = cells(benchmark_table.gaps(LINES, {}))
    assert list(found) == ["w2v_jax@1", "fasttext", "word2vec_c"]
    assert found["w2v_jax@1"][0].startswith("-0.100 ± ")
    assert found["fasttext"] == ["-0.300", "–"] * 3


def test_differences_over_items_too_take_what_both_programs_have_in_common():
    draw, influences = np.random.default_rng(0), {}
    common = draw.normal(size=40)
    for line in LINES[:6]:
        name = benchmark_table.run_name(line["peer"], line["seed"])
        own = 0.1 * draw.normal(size=40) * (1 if line["peer"] == "gensim" else 2)
        influences[name] = common + own - np.mean(common + own)
    items = over_items.of_trials(influences, np.arange(40)[:, None])
    lines = [{**line, "wordsim353": 0.3 + 0.01 * line["seed"]} for line in LINES[:6]]
    found = cells(benchmark_table.gaps(lines, {"wordsim353": items, "google_analogies": items}))
    alone, wide = (float(cell.split("± ")[1]) for cell in found["w2v_jax@1"][:2])
    assert 0 < alone < wide < 2.5 * np.sqrt(items.covariance.min())
    assert found["w2v_jax@1"][3] == "–"  # SimLex-999 has no items
    assert found["w2v_jax@1"][5] == "–"  # of the analogies one run has no figure


def test_ratios_are_to_gensim_or_to_the_only_other_program():
    ours, d2l = [line for line in LINES if line["peer"] == "w2v_jax@1"], []
    for line in ours:
        d2l.append({**line, "peer": "d2l", "train_sec": 4 * line["train_sec"]})
    assert benchmark_table.reference([*LINES, *d2l]) == "gensim"
    assert cells(benchmark_table.speed([*ours, *d2l]))["w2v_jax@1"][-2] == "4.00 (4.00 to 4.00)"
    assert benchmark_table.reference(ours) is None
    several = [{**line, "peer": f"d2l@{n}", "epochs": n} for n in (10, 5) for line in d2l]
    assert benchmark_table.reference([*ours, *several]) == "d2l@5"
    alone = [line for line in LINES if line["peer"] == "word2vec_c"]  # whose rate is unknown
    assert cells(benchmark_table.speed(alone))["word2vec_c"][-3:] == ["–", "–", "1.00"]


def test_with_several_others_and_no_gensim_there_are_no_ratios():
    lines = [line for line in LINES if line["peer"] != "gensim"]
    assert cells(benchmark_table.speed(lines))["w2v_jax@1"][-3:] == ["–", "–", "–"]
    assert "w2v_jax@1" in benchmark_table.document(lines, {}, TASK, "a machine")


# Folders, texts, processes


def test_results_go_on_where_they_stopped(tmp_path):
    results = Results(tmp_path, {"dim": 3})
    results.add({"peer": "a", "seed": 1})
    with open(tmp_path / "results.jsonl", "a") as file:
        file.write('{"peer": "a", "se')  # cut off in the middle
    results = Results(tmp_path, {"dim": 3})
    assert results.lines == [{"peer": "a", "seed": 1}]
    assert results.find(peer="a", seed=1) and not results.find(baseline="a", seed=2)
    results.add({"peer": "a", "seed": 2})
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 2
    with told(r"--workdir=.*dim = 3, not 4"):
        Results(tmp_path, {"dim": 4})


def test_any_corpus_becomes_one_plain_file(tmp_path):
    text = text_of(lines=10)
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "b.gz").write_bytes(gzip.compress(text.encode()))
    lone = Source("files", (str(tmp_path / "a.txt"),), "")
    both = Source("files", (str(tmp_path / "a.txt"), str(tmp_path / "b.gz")), "")
    found = plain_corpus.plain(lone, 0, tmp_path / "out")
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    assert found == (tmp_path / "a.txt", 60, 10, sha256)
    found = plain_corpus.plain(both, 0, tmp_path / "out")
    assert found[1:3] == (120, 20) and found.path.read_text() == 2 * text
    found = plain_corpus.plain(lone, 8, tmp_path / "out")
    assert found[1:3] == (8, 2) and found.path.read_text().split() == text.split()[:8]


def test_a_child_is_measured_alone(tmp_path):
    held = bytearray(200 << 20)  # ours, not the child's
    command = "import sys, experiments; print('said'); sys.exit(3)"
    child = child_process.run([sys.executable, "-S", "-c", command], tmp_path / "log.txt", 1)
    assert child.status == 3 and child.output == "said\n" and child.wall_sec > 0
    assert 0 < child.peak_mb < 100 < len(held)


# The script

FAKE_WORD2VEC = """#!{python}
import sys
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
open(args["-output"], "wb").write(b"2 1\\n" + b"".join(w + b" " + bytes(4) for w in (b"a", b"b")))
print("Words in train file: 210\\n\\rAlpha: 0.0  Progress: 99.0%  Words/thread/sec: 1.00k  ")
"""


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    """A text, and a program that pretends to be word2vec.c."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "text.txt").write_text(text_of())
    program = folder / "word2vec"
    program.write_text(FAKE_WORD2VEC.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.mark.slow
def test_a_benchmark_runs_all_that_is_there_and_goes_on(text_folder, capsys, monkeypatch):
    pytest.importorskip("gensim")
    args = [
        f"--corpus={text_folder / 'text.txt'}",
        f"--workdir={text_folder / 'out'}",
        "--threads=1",
    ]
    args += ["--dim=4", "--window=2", "--negatives=2", "--subsample=0", "--min_count=1"]
    args += ["--epochs=2", f"--word2vec_c={text_folder / 'word2vec'}", "--baselines"]
    baselines = "gensim,word2vec_c"
    ours = ["--ours_flag=--batch_size=128", "--ours_flag=--noise=with_replacement"]
    assert start("benchmark", *args, f"{baselines},fasttext", "--seeds=1") == 1
    assert "error: --baselines=fasttext: no --fasttext=PATH" in capsys.readouterr().err
    assert not (text_folder / "out").exists()
    assert start("benchmark", *args, f"{baselines},w2v_jax@1", *ours, "--seeds=1") == 0
    told = capsys.readouterr()
    assert (text_folder / "out" / "table.md").read_text() in told.out
    assert (text_folder / "out" / "benchmark.png").stat().st_size > 10_000
    lines = (text_folder / "out" / "results.jsonl").read_text().splitlines()
    found = {line["peer"]: line for line in map(json.loads, lines)}
    assert list(found) == ["gensim", "word2vec_c", "w2v_jax@1"]
    for line in found.values():
        assert line["words_per_sec"] == pytest.approx(180 * line["epochs"] / line["train_sec"])
        assert line["peak_mb"] > 5 and line["wordsim353"] is None
    assert found["w2v_jax@1"]["total_sec"] > found["w2v_jax@1"]["train_sec"]
    assert found["word2vec_c"]["estimated"] and found["gensim"]["vocab_size"] == 12

    assert start("benchmark", *args, "word2vec_c", "--seeds=2") == 0
    more = (text_folder / "out" / "results.jsonl").read_text().splitlines()
    assert more[:3] == lines and len(more) == 4  # what was there is kept, seed 2 is added
    added = [(line["peer"], line["seed"]) for line in map(json.loads, more[3:])]
    assert added == [("word2vec_c", 2)]
    capsys.readouterr()
    assert start("benchmark", *args, "w2v_jax@1", "--seeds=1") == 1  # without its flags
    assert "other epochs or flags" in capsys.readouterr().err


MISTAKES = {
    "no workdir": (["--corpus=CORPUS"], "--workdir"),
    "no text": (["--workdir=OUT"], "--corpus"),
    "two texts": (["--workdir=OUT", "--corpus=CORPUS", "--dataset=ptb"], "--dataset"),
    "absent text": (["--workdir=OUT", "--corpus=absent.txt"], "--corpus=absent.txt"),
    "unknown baseline": (
        ["--workdir=OUT", "--corpus=CORPUS", "--baselines=glove"],
        "--baselines=glove",
    ),
    "twice": (["--workdir=OUT", "--corpus=CORPUS", "--baselines=gensim,gensim"], "--baselines"),
    "threads": (["--workdir=OUT", "--corpus=CORPUS", "--threads=9999"], "--threads"),
    "no such program": (
        ["--workdir=OUT", "--corpus=CORPUS", "--baselines=fasttext", "--fasttext=/absent"],
        "--fasttext=/absent",
    ),
    "none is there": (["--workdir=OUT", "--corpus=CORPUS", "--baselines=fasttext"], "--baselines"),
    "a program that is none": (
        ["--workdir=OUT", "--corpus=CORPUS", "--baselines=fasttext", "--fasttext=BROKEN"],
        "--baselines=fasttext: exit status 126: [Errno 8]",
    ),
    "a baseline that fails": (
        ["--workdir=OUT", "--corpus=CORPUS", "--baselines=word2vec_c", "--word2vec_c=false"],
        "--baselines=word2vec_c: exit status 1",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_flag(case, text_folder, tmp_path, capsys):
    args, named = MISTAKES[case]
    args = [a.replace("CORPUS", str(text_folder / "text.txt")) for a in args]
    args = [a.replace("OUT", str(tmp_path / "out")) for a in args]
    (tmp_path / "broken").write_text("no program\n")
    (tmp_path / "broken").chmod(0o755)
    args = [a.replace("BROKEN", str(tmp_path / "broken")) for a in args]
    assert start("benchmark", *args) == 1
    out, err = capsys.readouterr()
    assert not out and err.splitlines()[-1].startswith("error: ") and named in err
