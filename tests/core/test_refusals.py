"""What is refused, and how: a line that names the mistake, status 1, nothing lost."""

import builtins
import errno
import io
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from messages import told
from scripts import QUICK, SMALL, WORDS, contents, in_a_process, start

from experiments.cli.config import RunConfig
from experiments.report import item_files
from experiments.runs import rundir
from experiments.runs.store import Results
from w2v_jax import beginning, checks, sweeping, training
from w2v_jax.types import StaticConfig, UserError, Vocab

pytestmark = pytest.mark.usefixtures("compiled_once")


def refused(capsys, workdir, script, *args):
    """The one error line of a run that ends with status 1 and leaves no new file in workdir."""
    before = contents(workdir) if workdir.exists() else None
    assert start(script, f"--workdir={workdir}", *args) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert "Traceback" not in err and not out
    assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (contents(workdir) if workdir.exists() else None) == before
    return lines[-1]


def test_a_workdir_that_holds_a_run_is_refused_and_untouched(capsys, text_folder, cbow):
    for args in (["--noresume"], ["--seed=2"]):
        line = refused(capsys, cbow[1], "ptb_cbow", *QUICK, f"--data_dir={text_folder}", *args)
        assert "--workdir=" in line and "--overwrite" in line


@pytest.mark.slow
def test_an_error_is_a_line_on_stderr_and_status_1_in_a_process_too(text_folder):
    done = in_a_process(text_folder, "train_corpus", "--corpus=absent.txt", "--workdir=none")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.splitlines() == ["error: --corpus=absent.txt: no such file"]
    assert not (text_folder / "none").exists()


MISTAKES = {
    "an unknown flag": (["--windw=3"], "windw"),
    "a number out of range": (["--dim=0"], "dim"),
    "not a number": (["--epochs=many"], "epochs"),
    "not finite": (["--learning_rate=nan"], "--learning_rate"),
    "too large for the device": (["--window=3000000000"], "--window"),
    "an unknown choice": (["--noise=some"], "noise"),
    "an unknown dataset": (["--dataset=text9"], "dataset"),
    "an unknown export format": (["--export_formats=text,pickle"], "pickle"),
    "an analogy of two words": (["--show_analogies=a:b"], "--show_analogies=a:b"),
    "a positional argument": (["dim=3"], "dim=3"),
    "a value where none goes": (["--noplots=3"], "--noplots"),
    "an absent flagfile": (["--flagfile=absent.cfg"], "absent.cfg"),
    "beta of 1": (["--beta2=1"], "--beta2"),
    "blocks and softmax": (["--engine=blocks", "--loss=softmax"], "--loss=softmax"),
    "blocks and contexts excluded": (["--engine=blocks", "--noise=exclude_contexts"], "--noise"),
    "blocks drawn once": (["--engine=blocks", "--redraw=once", *SMALL], "--redraw=once"),
    "blocks and full windows": (["--engine=blocks", "--full_windows", *SMALL], "--full_windows"),
    "a group of no whole blocks": (
        ["--engine=blocks", *SMALL, "--group_size=24"],
        "--group_size=24",
    ),
    "a batch of no whole groups": (["--engine=blocks", "--batch_size=100"], "--batch_size=100"),
    "touched rows and softmax": (["--update=sparse", "--loss=softmax"], "--update=sparse"),
    "skip-gram with CBOW's gradient": (["--model=skipgram", "--cbow_legacy_gradient"], "legacy"),
    "Adam's epsilon for sgd": (["--optimizer=sgd", "--epsilon_hat"], "--epsilon_hat"),
    "no epsilon": (["--epsilon=0"], "--epsilon"),
    "contexts that CBOW has as inputs": (
        ["--model=cbow", "--noise=exclude_contexts"],
        "--noise=exclude_contexts",
    ),
    "expected windows and d2l's loss": (["--expected_window", "--loss=masked_mean"], "masked_mean"),
    "expected windows and full ones": (["--expected_window", "--full_windows"], "--full_windows"),
    "expected windows and contexts excluded": (
        ["--expected_window", "--noise=exclude_contexts"],
        "--noise=exclude_contexts",
    ),
    "expected windows and CBOW's legacy gradient": (
        ["--model=cbow", "--cbow_legacy_gradient", "--expected_window"],
        "--cbow_legacy_gradient",
    ),
    "corpus and data_dir": (["--data_dir=."], "--data_dir"),
    "a rare word limit that leaves nothing": (["--min_count=1000"], "--min_count=1000"),
    "no replacement in few words": (["--noise=without_replacement", "--negatives=12"], "--noise"),
    "contexts that leave no noise": (["--noise=exclude_contexts", "--window=6"], "--noise"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(capsys, text_folder, tmp_path, case):
    args, named = MISTAKES[case]
    corpus = f"--corpus={text_folder / 'corpus.txt'}"
    assert named in refused(capsys, tmp_path / "out", "ptb_skipgram", *QUICK, corpus, *args)


TEXTS = {
    "missing": (None, "no such file"),
    "not UTF-8": (b"one two\nthree \xff four\n", "line 2"),
    "empty": (b"", "no words"),
    "blank": (b"\n \n", "no words"),
    "not gzip": (b"\x1f\x8bone two\n", "cannot be read"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_bad_text_is_one_line_that_names_the_file(capsys, tmp_path, case):
    data, named = TEXTS[case]
    path = tmp_path / ("text.gz" if case == "not gzip" else "text.txt")
    if data is not None:
        path.write_bytes(data)
    line = refused(capsys, tmp_path / "out", "train_corpus", *QUICK, f"--corpus={path}")
    assert named in line and str(path) in line


def test_train_corpus_without_a_text_says_what_is_missing(capsys, tmp_path):
    assert "--corpus" in refused(capsys, tmp_path / "out", "train_corpus", *QUICK)


def test_a_data_dir_without_the_files_is_an_error_and_no_download(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("urllib.request.OpenerDirector.open", None)
    line = refused(capsys, tmp_path / "out", "ptb_skipgram", *QUICK, f"--data_dir={tmp_path}")
    assert "--data_dir" in line and "ptb.train.txt" in line


def test_a_workdir_that_is_a_file_is_refused(capsys, text_folder, tmp_path):
    (tmp_path / "out").write_text("mine")
    assert (
        start("ptb_cbow", *QUICK, f"--data_dir={text_folder}", f"--workdir={tmp_path / 'out'}") == 1
    )
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: --workdir=")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_text_with_nothing_to_train_on_leaves_the_run_it_was_to_replace(
    capsys, tmp_path, cbow, text_folder
):
    (tmp_path / "lone.txt").write_text("".join(f"{word}\n" for word in WORDS * 15))
    out = tmp_path / "out"
    shutil.copytree(cbow[1], out)
    corpus = f"--corpus={tmp_path / 'lone.txt'}"
    line = refused(capsys, out, "ptb_cbow", *QUICK, corpus, "--overwrite")
    assert "nothing to train on" in line


@pytest.mark.slow
def test_divergence_ends_with_status_2_and_no_vectors(capsys, text_folder, tmp_path):
    args = [f"--data_dir={text_folder}", f"--workdir={tmp_path}", "--optimizer=sgd", "--epochs=20"]
    assert start("ptb_cbow", *QUICK, *args, "--batch_size=180", "--learning_rate=1e30") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("diverged: ") and "step" in line and "--learning_rate" in line
    assert not {p.name for p in tmp_path.iterdir()} & {"vectors.txt", "summary.json"}


def test_tables_that_the_last_step_made_infinite_are_a_divergence_too(
    capsys, text_folder, tmp_path
):
    args = [f"--data_dir={text_folder}", f"--workdir={tmp_path}", "--optimizer=sgd", "--epochs=2"]
    assert start("ptb_cbow", *QUICK, *args, "--batch_size=180", "--learning_rate=1e30") == 2
    assert not (tmp_path / "summary.json").exists()


def test_overwrite_spares_a_folder_that_holds_no_run(capsys, text_folder, tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "mine.png").write_bytes(b"mine")
    corpus = f"--corpus={text_folder / 'corpus.txt'}"
    assert "plots" in refused(capsys, tmp_path, "ptb_skipgram", *QUICK, "--overwrite", corpus)


def test_noise_that_float32_cannot_draw_is_refused():
    vocab = Vocab(("a", "b"), np.array([10**6, 1]))
    beginning.check_negatives(RunConfig(noise="exclude_target", noise_power=0.5), vocab)
    flat = Vocab(tuple(map(str, range(10**6))), np.full(10**6, 3))
    beginning.check_negatives(RunConfig(noise="exclude_target"), flat)
    with told("--noise_power=4"):
        beginning.check_negatives(RunConfig(noise="exclude_target", noise_power=4.0), vocab)


@pytest.mark.parametrize("trials", [0, 3])
def test_the_library_refuses_noise_that_it_would_draw_for_ever(trials):
    static = StaticConfig(noise="exclude_contexts", window=3)  # of 5 words, 2 + 2 W = 8 are needed
    hyper = beginning.make_hyper(RunConfig(window=3), Vocab(tuple("abcde"), np.full(5, 9)))
    if trials:
        hyper = jax.tree.map(lambda x: jnp.stack([x] * trials), hyper)
    with pytest.raises(UserError, match="needs 8 words that noise can hit, there are 5"):
        checks.check_noise(static, hyper)
    checks.check_noise(static, hyper.replace(window=jnp.ones_like(hyper.window)))
    checks.check_noise(static._replace(loss="softmax"), hyper)
    checks.check_noise(static, jax.eval_shape(lambda: hyper))
    with pytest.raises(UserError, match="needs 8 words"):
        if trials:
            key = jax.random.split(jax.random.key(0), trials)
            made = sweeping.Trials(key, hyper, None, jnp.ones(trials, bool))
            sweeping.compile_train_chunk((made,), (), static, 1)
        else:
            key = jax.random.key(0)
            training.compile_program(key, key, 8, hyper, static, 1)


def test_a_folder_that_has_got_a_run_meanwhile_is_not_written_over(tmp_path):
    vocab = Vocab(("a", "b"), np.array([2, 1]))
    rundir.create(tmp_path, False, "--seed=1\n", {"flags": {"seed": "1"}}, vocab)
    with pytest.raises(UserError, match="holds a run"):
        rundir.create(tmp_path, False, "--seed=2\n", {"flags": {"seed": "2"}}, vocab)
    assert (tmp_path / "flags.cfg").read_text() == "--seed=1\n"


@pytest.mark.parametrize("content", [b"[" * 100_000, b"3", b"\xff", b"{"])
def test_results_that_are_damaged_are_refused(tmp_path, content):
    Results(tmp_path, {"a": 1}).add({"b": 2})
    (tmp_path / "results.jsonl").write_bytes(content + b"\n")
    with pytest.raises(UserError, match=r"results\.jsonl: not"):
        Results(tmp_path, {"a": 1})
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(UserError, match=r"settings\.json: not"):
        Results(tmp_path, {"a": 1})


def test_items_of_a_trial_that_are_damaged_are_refused(tmp_path):
    path = tmp_path / "0.npz"
    for content in (b"", b"PK\x03\x04", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"0\.npz"):
            item_files.read(path)


BELOW = {
    "--workdir": ("train_corpus", ["--corpus={text}"]),
    "--continue_from": ("train_corpus", ["--corpus={text}", "--workdir={here}/out"]),
    "--corpus": ("train_corpus", ["--workdir={here}/out"]),
    "--heldout": ("ptb_ablation", ["--corpus={text}", "--seeds=2", "--workdir={here}/out"]),
    "--configurations": ("ptb_ablation", ["--corpus={text}", "--workdir={here}/out"]),
    "--flagfile": ("train_corpus", ["--corpus={text}", "--workdir={here}/out"]),
    "--data_dir": ("ptb_skipgram", ["--workdir={here}/out"]),
    "--vectors": ("query", ["--similar=a"]),
    "--pairs": ("evaluate", ["--run={run}"]),
    "--analogies": ("evaluate", ["--run={run}"]),
    "--run": ("query", ["--similar=a"]),
    "--output": ("export", ["--run={run}"]),
}


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder that nothing may look into; for root, whom no mode stops, the system's answer."""
    folder = tmp_path / "locked"
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0)
        yield folder
        folder.chmod(0o700)
        return

    def refusing(call):
        def instead(path, *args, **more):
            named = isinstance(path, str | bytes | os.PathLike)
            if named and os.path.abspath(os.fsdecode(path)).startswith(f"{folder}/"):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return call(path, *args, **more)

        return instead

    names = ("stat", "lstat", "open", "mkdir", "scandir", "listdir", "unlink", "readlink")
    for module, name in [*((os, name) for name in names), (builtins, "open"), (io, "open")]:
        monkeypatch.setattr(module, name, refusing(getattr(module, name)))
    yield folder


@pytest.mark.parametrize("flag", BELOW)
def test_a_path_below_a_locked_folder_is_one_line_that_names_the_flag(
    capsys, text_folder, cbow, locked, tmp_path, flag
):
    script, given = BELOW[flag]
    text = text_folder / "corpus.txt"
    more = [arg.format(text=text, here=tmp_path, run=cbow[1]) for arg in given]
    quick = QUICK if script in ("train_corpus", "ptb_skipgram", "ptb_ablation") else []
    assert start(script, *quick, f"{flag}={locked}/below", *more) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: ") and "Permission denied" in lines[-1]
    assert f"{flag}={locked}" in lines[-1]
    assert not any("Traceback" in line for line in lines)
