"""The scripts, end to end: the run directory, reruns, flags, and what asks a run."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from scripts import QUICK, ROOT, SMALL, WORDS, start, text_of

from experiments.cli import console
from w2v_jax import resources, training
from w2v_jax.data import corpus as corpora
from w2v_jax.data.vocab import load_counts
from w2v_jax.defaults import resolve
from w2v_jax.engines import blocks
from w2v_jax.optimizers import OPTIMIZERS
from w2v_jax.types import UserError
from w2v_jax.vectors import io as vectors_io

FILES = {
    *("flags.cfg", "run.json", "lock", "metrics.jsonl", "summary.json", "vectors.txt", "vocab.tsv"),
    "checkpoints",
}
pytestmark = pytest.mark.usefixtures("compiled_once")

# What a run leaves behind


def test_a_run_ends_with_status_0_and_a_closing_screen(skipgram):
    done, _ = skipgram
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for part in (
        "skipgram on ptb: 180 words x 2 epochs",
        "loss ",
        "words/s",
        "w1 -> ",
        "w1 : w2 = w3 :",
    ):
        assert part in done.stdout
    assert done.stdout.endswith("written to out\n")


def test_a_run_directory_holds_the_files_of_the_contract(skipgram, cbow):
    assert {p.name for p in cbow[1].iterdir()} == FILES
    more = {"vectors.bin", "vectors.npz", "projector", "plots", "tensorboard"}
    assert {p.name for p in skipgram[1].iterdir()} == FILES | more
    assert {p.name for p in (skipgram[1] / "plots").iterdir()} == {"loss.png", "embedding.png"}
    assert all(p.stat().st_size > 1000 for p in (skipgram[1] / "plots").iterdir())


def test_flags_cfg_holds_what_affects_results_and_where_the_text_came_from(skipgram, text_folder):
    lines = (skipgram[1] / "flags.cfg").read_text().splitlines()
    values = dict(line.removeprefix("--").split("=", 1) for line in lines)
    assert len(values) == len(lines) and all(line.startswith("--") for line in lines)
    wanted = {"dim": "4", "model": "skipgram", "noise": "with_replacement", "dataset": "ptb"}
    assert wanted.items() <= values.items() and values["data_dir"] == str(text_folder)
    unwanted = ("workdir", "overwrite", "log_every_steps", "evaluate", "plots", "tensorboard")
    assert not values.keys() & {*unwanted, "corpus"}


def test_metrics_are_a_line_a_dispatch_with_words_counted_to_the_end(skipgram):
    lines = [json.loads(line) for line in (skipgram[1] / "metrics.jsonl").read_text().splitlines()]
    fields = "step epoch words loss loss_error objective learning_rate words_per_sec elapsed_sec"
    assert all(set(line) == set(fields.split()) for line in lines)
    # 180 centres are 12 steps of 16 an epoch, 3 a dispatch.
    assert [line["step"] for line in lines] == list(range(3, 25, 3))
    assert [line["epoch"] for line in lines] == [1] * 4 + [2] * 4
    assert [line["words"] for line in lines] == list(range(45, 361, 45))
    assert all(0 < line["loss"] < 3 and line["objective"] > 0 for line in lines)
    assert all(line["loss_error"] == 0 for line in lines)  # every pair is measured
    assert all(line["learning_rate"] == pytest.approx(0.002) for line in lines)


def test_summary_has_the_fields_of_the_contract(skipgram):
    _, out = skipgram
    summary = json.loads((out / "summary.json").read_text())
    fields = (
        "format dataset corpus_sha256 vocab_size words_per_epoch epochs train_sec compile_sec "
        "total_sec words_per_sec final_loss objective evaluation devices versions seed"
    )
    assert set(fields.split()) <= set(summary)
    assert summary["words_per_epoch"] * summary["epochs"] == 360
    assert summary["format"] == 2 and summary["dataset"] == "ptb" and summary["seed"] == 1
    assert summary["vocab_size"] == 12 and len(summary["corpus_sha256"]) == 64
    times = summary["train_sec"] + summary["compile_sec"]
    assert summary["train_sec"] > 0 and times < summary["total_sec"]
    assert summary["words_per_sec"] == pytest.approx(360 / summary["train_sec"])
    assert summary["evaluation"] and all(
        set(measure) == {"value", "covered", "total", "folded"}
        for measure in summary["evaluation"].values()
    )
    assert {"jax", "numpy", "python"} <= set(summary["versions"])
    last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert summary["objective"] == last["objective"]


def test_final_loss_is_the_mean_of_the_last_epoch(cbow):
    summary = json.loads((cbow[1] / "summary.json").read_text())
    lines = [json.loads(line) for line in (cbow[1] / "metrics.jsonl").read_text().splitlines()]
    # Dispatches of 48, 48, 48 and 36 centres; in CBOW a centre is a positive.
    losses = [line["loss"] for line in lines if line["epoch"] == 2]
    assert summary["final_loss"] == pytest.approx(np.average(losses, weights=[48, 48, 48, 36]))
    assert summary["objective"] is None and summary["evaluation"] == {}
    assert summary["final_loss_error"] == 0


def test_vectors_are_the_vocabulary_in_order_and_gensim_reads_them(skipgram):
    keyed = pytest.importorskip("gensim.models").KeyedVectors
    found = keyed.load_word2vec_format(str(skipgram[1] / "vectors.txt"))
    counts = load_counts(str(skipgram[1] / "vocab.tsv"))
    assert tuple(found.index_to_key) == counts.words and sum(counts.counts) == 180
    assert found.vectors.shape == (12, 4)
    for name in ("vectors.bin", "vectors.npz"):
        wv = vectors_io.load(str(skipgram[1] / name))
        assert wv.words == counts.words
        np.testing.assert_array_equal(wv.vectors, found.vectors)


def test_ptb_cbow_trains_cbow(cbow):
    status, out = cbow
    assert status == 0 and "--model=cbow\n" in (out / "flags.cfg").read_text()


# Running again


@pytest.mark.bits
def test_a_rerun_from_flags_cfg_gives_the_same_vectors_bit_for_bit(skipgram, tmp_path, capsys):
    _, out = skipgram
    again = [f"--flagfile={out / 'flags.cfg'}", f"--workdir={tmp_path}", "--log_every_steps=5"]
    assert start("ptb_skipgram", *again, "--noevaluate", "--noplots") == 0
    assert (tmp_path / "vectors.txt").read_bytes() == (out / "vectors.txt").read_bytes()
    for name in ("flags.cfg", "vocab.tsv"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def test_another_seed_gives_other_vectors_and_a_replaced_run_leaves_nothing(
    text_folder, cbow, tmp_path
):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "loss.png").write_bytes(b"old")
    for name in ("vectors.bin", "metrics.jsonl", "flags.cfg"):
        (tmp_path / name).write_bytes(b"old\n")
    (tmp_path / "notes.md").write_text("mine")
    flagfile = f"--flagfile={cbow[1] / 'flags.cfg'}"
    other = [f"--workdir={tmp_path}", "--seed=2", "--overwrite", "--noevaluate", "--noplots"]
    assert start("ptb_cbow", flagfile, *other) == 0
    assert {p.name for p in tmp_path.iterdir()} == FILES | {"notes.md"}
    assert (tmp_path / "metrics.jsonl").read_text()[0] == "{"
    assert (tmp_path / "vectors.txt").read_bytes() != (cbow[1] / "vectors.txt").read_bytes()


@pytest.mark.parametrize("spelling", ["plain", "a space after the comma", "a comma", "home"])
def test_flags_cfg_names_the_same_files_from_another_folder(
    text_folder, tmp_path, monkeypatch, spelling
):
    (tmp_path / "a.txt").write_text(text_of(seed=1))
    (tmp_path / "b,c.txt").write_text(text_of(seed=2))
    (tmp_path / "d.gz").write_bytes(gzip.compress(text_of(seed=3).encode()))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    corpus = {
        "plain": "a.txt,*.gz",
        "a space after the comma": "a.txt, d.gz",
        "a comma": "b,c.txt",
        "home": "~/a.txt",
    }[spelling]
    hashes = []
    for folder, args in ((".", [f"--corpus={corpus}"]), ("elsewhere", ["--flagfile=../flags.cfg"])):
        monkeypatch.chdir(tmp_path / folder)
        hashes.append(read_by_train_corpus(monkeypatch, args))
    assert hashes[0] == hashes[1]


def read_by_train_corpus(monkeypatch, args):
    """The sha256 of the text that a run reads; it stops there and writes ~/flags.cfg."""
    from experiments.cli import config
    from experiments.runs import reading
    from experiments.runs import run as wiring

    found = []

    def run(settings, *_):
        settings, _, corpus = reading.read_corpus(settings)
        path = Path.home() / "flags.cfg"
        path.write_text(config.to_flagfile(config.resolved(settings)))
        found.append(corpus.sha256)

    with monkeypatch.context() as patch:
        patch.setattr(wiring, "run", run)
        assert start("train_corpus", *args) == 0
    return found[0]


def test_train_corpus_reads_any_text_and_drops_rare_words(tmp_path, capsys):
    (tmp_path / "text.txt").write_text(text_of() + "rare\n")
    args = [f"--corpus={tmp_path / 'text.txt'}", f"--workdir={tmp_path / 'out'}", "--model=cbow"]
    assert start("train_corpus", *QUICK, *args, "--epochs=1") == 0, capsys.readouterr().err
    assert set(load_counts(str(tmp_path / "out" / "vocab.tsv")).words) == set(WORDS)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["dataset"] == "files" and summary["words_per_epoch"] == 181
    last = json.loads((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["words"] == 181


def test_exported_vectors_are_the_table_asked_for():
    from experiments.runs.newest import exported
    from w2v_jax.types import Params

    params = Params(np.ones((2, 3)), np.full((2, 3), 2.0))
    assert [exported(params, which)[0, 0] for which in ("input", "output", "sum")] == [1, 2, 3]


# Flags


def test_help_shows_the_flags_and_ends_with_status_0(capsys):
    assert start("ptb_skipgram", "--help") == 0
    out = capsys.readouterr().out
    assert "--window" in out and "--workdir" in out and "Penn Treebank" in out


SWEEPS = ("study", "search")
BASELINES = ("word2vec_c", "gensim", "fasttext", "koan")  # of test_baseline_flagfiles


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("study_skipgram", 22),
        ("study_optimizers", 14),
        ("search_skipgram", 100),
        ("search_best", 1),
    ],
)
def test_every_sweeps_flagfile_gives_its_settings(monkeypatch, name, count):
    from experiments.sweeps import design, folder

    seen = []
    monkeypatch.setattr(folder, "run", lambda base: seen.extend(design.settings(base)[1]))
    monkeypatch.chdir(ROOT)
    assert start("ptb_ablation", f"--flagfile=experiments/flagfiles/{name}.cfg") == 0
    assert len(seen) == count


def test_every_flagfile_parses(text_folder, monkeypatch):
    from experiments.runs import run as wiring

    seen = {}
    monkeypatch.setattr(wiring, "run", lambda config, *_: seen.setdefault(script, config))
    for path in sorted((ROOT / "experiments" / "flagfiles").glob("*.cfg")):
        if path.stem.startswith(SWEEPS):
            continue
        seen.clear()
        script = "ptb_cbow" if "cbow" in path.stem else "ptb_skipgram"
        of_text = path.stem.startswith("corpus") or path.stem in BASELINES
        text = ["--corpus=any.txt"] if of_text else []
        script = "train_corpus" if text else script
        assert start(script, f"--flagfile={path}", *text) == 0, path
        assert text or path.stem.startswith("quickstart") or seen[script].dataset == "ptb"
        used = {"epsilon"} & {*OPTIMIZERS[seen[script].optimizer].uses}
        for flag in ("engine", "update", "optimizer", "learning_rate", *used):
            assert f"--{flag}=" in path.read_text(), (path, flag)  # scripts' defaults differ


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.slow
def test_the_blocks_engine_runs_from_text_to_vectors(
    text_folder, tmp_path, monkeypatch, capsys, model
):
    monkeypatch.setattr(blocks, "MEASURED", 16)  # of the 64 centres of a step
    args = [*QUICK, f"--corpus={text_folder / 'corpus.txt'}", f"--workdir={tmp_path / 'out'}"]
    args += ["--engine=blocks", "--update=sparse", "--noise=with_replacement", *SMALL]
    args += ["--init=xavier"]  # losses differ from the start
    assert start("ptb_skipgram", *args, f"--model={model}", "--log_every_steps=3") == 0
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert all(json.loads(line)["loss"] > 0 for line in lines)  # every step is measured
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    loss, half = summary["final_loss"], summary["final_loss_error"]
    assert 0 < half < loss and (tmp_path / "out" / "vectors.txt").exists()
    assert f"loss {console.estimate(loss, half)} per positive" in capsys.readouterr().out


def test_a_loss_is_shown_in_the_digits_that_its_interval_allows():
    shown = {
        (2.01474, 0.0091): "2.015 ± 0.009",
        (2.01474, 0.0149): "2.015 ± 0.015",
        (2.01474, 0.03): "2.01 ± 0.03",
        (2.01474, 0.4): "2.0 ± 0.4",
        (2.01474, 3.0): "2 ± 3",
        (2.01474, 1e-6): "2.0147",
        (2.01474, 0.0): "2.0147",
        (2.01474, None): "2.0",
        (None, None): "nan",
    }
    assert {key: console.estimate(*key) for key in shown} == shown


def test_train_corpus_takes_the_rate_of_the_model_unless_told(text_folder, monkeypatch):
    from experiments.runs import run as wiring

    seen = []
    monkeypatch.setattr(wiring, "run", lambda config, *_: seen.append(resolve(config)))
    text = f"--corpus={text_folder / 'corpus.txt'}"
    for args in (
        [],
        ["--model=cbow"],
        ["--epsilon=3"],
        ["--optimizer=adam", "--negatives_per_group=7"],
    ):
        assert start("train_corpus", text, *args) == 0
    found = [(config.learning_rate, config.epsilon, config.negatives_per_group) for config in seen]
    assert found == [(1.2, 500, 48), (0.9, 10, 32), (1.2, 3, 48), (0.002, 1e-8, 7)]
    assert all(config.expected_window for config in seen)
    for args in (["--engine=pairs"], ["--model=cbow", "--cbow_legacy_gradient"]):
        assert start("train_corpus", text, *args) == 0
        assert not seen[-1].expected_window


# Asking a run


def test_query_and_evaluate_read_a_run(capsys, skipgram):
    where = f"--run={skipgram[1]}"
    assert start("query", where, "--similar=w1,absent", "--analogy=w1,w2,w3", "--topk=2") == 1
    told = capsys.readouterr()
    assert "w1 -> " in told.out and "w1 : w2 = w3 :" in told.out and "'absent'" in told.err
    assert start("query", where, "--similar=absent") == 1
    assert capsys.readouterr().err == "error: 'absent' is not in the vocabulary\n"
    assert start("query", where, "--analogy=w1,w2") == 1
    assert capsys.readouterr().err.startswith("error: --analogy=w1,w2")
    assert start("query", f"--run={skipgram[1].parent}", "--similar=w1") == 1
    assert capsys.readouterr().err.startswith("error: --run=")


@pytest.mark.slow
def test_without_simlex_a_line_says_so_and_the_rest_is_measured(
    skipgram, text_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(resources, "find_spec", lambda name: None)
    args = [*QUICK, f"--corpus={text_folder / 'corpus.txt'}", f"--workdir={tmp_path / 'out'}"]
    for measured, *command in (
        (True, "evaluate", f"--run={skipgram[1]}"),
        (True, "ptb_skipgram", *args, "--evaluate"),
        (False, "ptb_skipgram", *args, "--overwrite"),
    ):
        assert start(*command) == 0
        told = capsys.readouterr()
        assert told.err.count("note: no SimLex-999: ") == measured
        assert ("wordsim353_spearman" in told.out) == measured
        assert "simlex999" not in told.out


def test_help_lists_the_flags_of_the_script(capsys):
    assert start("query", "--help") == 0
    assert "--similar" in capsys.readouterr().out


def test_a_run_outlives_its_plots_and_the_same_command_draws_them(
    text_folder, tmp_path, monkeypatch, capsys
):
    def no_plots(*args, **more):
        raise UserError("no ink")

    args = [*QUICK, f"--corpus={text_folder / 'corpus.txt'}", f"--workdir={tmp_path}", "--plots"]
    with monkeypatch.context() as patch:
        patch.setattr("experiments.runs.outputs.draw_plots", no_plots)
        assert start("ptb_skipgram", *args) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: no plots: no ink") and "the same command draws them" in line
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["final_loss"] > 0 and summary["complete"]
    monkeypatch.setattr(training, "compile_program", None)
    assert start("ptb_skipgram", *args) == 0
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {"loss.png", "embedding.png"}


def test_an_idle_flag_is_noted_and_left_out_of_the_flags(text_folder, tmp_path, capsys):
    args = [*QUICK, f"--corpus={text_folder / 'corpus.txt'}", f"--workdir={tmp_path}"]
    assert start("ptb_skipgram", *args, "--optimizer=sgd", "--beta1=0.5") == 0
    assert "note: --beta1 has no effect with --optimizer=sgd" in capsys.readouterr().err
    assert "--beta1" not in (tmp_path / "flags.cfg").read_text()


def test_chunks_are_larger_than_the_sources_texts():
    assert corpora.CHUNK > 929_589 + 42_068  # PTB's words with an <eos> a line
