"""Commands on runs of hierarchical softmax, whose output embeddings are a tree's nodes."""

import json

import numpy as np
import pytest
from scripts import QUICK, start, text_of

from w2v_jax.vectors import io as vectors_io

pytestmark = pytest.mark.usefixtures("compiled_once")
TREE = "--loss=hierarchical_softmax"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text and two runs on it: of a tree, and by negative sampling."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "text.txt").write_text(text_of())
    for name, loss in (("tree", [TREE]), ("sampled", [])):
        assert start("train_corpus", *given(folder, name), *loss) == 0
    return folder


def given(folder, name):
    return [*QUICK, f"--corpus={folder / 'text.txt'}", f"--workdir={folder / name}"]


@pytest.mark.parametrize(
    ("before", "loss"), [("tree", [TREE]), ("tree", []), ("sampled", [TREE])], ids=str
)
def test_input_embeddings_alone_go_on(capsys, tmp_path, folder, before, loss):
    args = [*given(folder, "x")[:-1], f"--workdir={tmp_path / 'on'}", *loss, "--learning_rate=1e-9"]
    args += [f"--continue_from={folder / before}"]
    assert start("train_corpus", *args) == 0
    assert "the input embeddings alone go on" in capsys.readouterr().err
    old, new = (vectors_io.load(run / "vectors.txt") for run in (folder / before, tmp_path / "on"))
    for word in old.words:
        np.testing.assert_allclose(new[word], old[word], atol=1e-5)
    args[args.index(f"--workdir={tmp_path / 'on'}")] = f"--workdir={tmp_path / 'no'}"
    assert start("train_corpus", *args, "--continue_schedule") == 1
    assert "error: --continue_schedule: of " in capsys.readouterr().err


def test_nodes_are_not_written_as_words(capsys, tmp_path, folder):
    for which in ("output", "sum"):
        args = [*given(folder, "x")[:-1], f"--workdir={tmp_path / 'x'}", TREE]
        assert start("train_corpus", *args, f"--export_vectors={which}") == 1
        assert f"error: --export_vectors={which}: with --loss=" in capsys.readouterr().err
        args = f"--run={folder / 'tree'}", f"--output={tmp_path / 'out'}"
        assert start("export", *args, f"--export_vectors={which}") == 1
        assert "are a tree's nodes, not words" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_a_batch_shows_its_paths(capsys, folder, model):
    args = [arg for arg in QUICK if not arg.startswith(("--log", "--no"))]
    args += [f"--corpus={folder / 'text.txt'}", f"--model={model}", TREE]
    assert start("show_batch", *args) == 0
    told = capsys.readouterr().out
    assert "code of its path" in told and " at nodes 10 " in told  # 12 types: the root is node 10
    assert "  node 10 " in told and "  no node " in told


def test_a_run_measures_and_predicts(capsys, tmp_path, folder):
    (tmp_path / "heldout.txt").write_text(text_of(8, seed=1))
    args = [*given(folder, "x")[:-1], f"--workdir={tmp_path / 'run'}", TREE, "--model=cbow"]
    assert start("train_corpus", *args, f"--heldout={tmp_path / 'heldout.txt'}") == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert np.exp(summary["heldout_loss"]) == pytest.approx(summary["perplexity"], rel=1e-5)
    word = (folder / "text.txt").read_text().split()[0]
    assert start("query", f"--run={tmp_path / 'run'}", f"--ask=predict {word}") == 0
    assert f"predict {word} -> " in capsys.readouterr().out
