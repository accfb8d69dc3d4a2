"""The front door: texts in, words out, mistakes in one line."""

import importlib
import io
import os
import pkgutil
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
from scripts import ROOT

import w2v_jax as w2v
from w2v_jax.data.sources import locate

GROUPS = ("a", "b", "c"), ("x", "y", "z")
QUICK = {"dim": 8, "epochs": 2, "batch_size": 128, "min_count": 1, "progress": False}


def planted(lines=1200, seed=0):
    """Two groups of three words that never share a sentence: 8 tokens a line."""
    draw = random.Random(seed)
    return [draw.choices(draw.choice(GROUPS), k=8) for _ in range(lines)]


@pytest.fixture(scope="module")
def sentences():
    return planted(60)


@pytest.fixture(scope="module")
def run(sentences):
    return w2v.train(sentences, **QUICK)


def test_importing_every_module_leaves_the_names_functions():
    for module in pkgutil.walk_packages(w2v.__path__, "w2v_jax."):
        importlib.import_module(module.name)
    assert all(hasattr(w2v, name) for name in w2v.__all__)
    assert callable(w2v.train) and callable(w2v.sweep) and callable(w2v.load)


def test_a_run_answers_in_words(run):
    assert set(run.vectors.words) == {"a", "b", "c", "x", "y", "z"} and "a" in run.vectors
    assert run.vectors["a"].shape == (8,) and len(run.vectors) == 6
    near = run.most_similar("a", topn=2)
    assert len(near) == 2 and all(isinstance(w, str) and isinstance(c, float) for w, c in near)
    assert near[0][1] >= near[1][1]
    u, v = run.vectors["a"].astype(float), run.vectors[near[0][0]].astype(float)
    cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
    assert near[0][1] == pytest.approx(cosine, abs=1e-5)
    assert run.vectors.similarity("a", near[0][0]) == pytest.approx(cosine, abs=1e-6)
    assert run.vectors.analogy("a", "b", "x", topn=1)[0][0] in ("c", "y", "z")


def test_doesnt_match_is_the_word_farthest_from_the_mean():
    table = np.array([[1, 0], [0.9, 0.1], [0, 1], [1, 0.2]], np.float32)
    vectors = w2v.WordVectors(("p", "q", "r", "s"), table)
    assert vectors.doesnt_match(["p", "q", "r", "s"]) == "r"


def test_loss_and_history_are_of_the_training(run):
    last = [line for line in run.history if line["epoch"] == 2]
    assert [line["step"] for line in run.history] == sorted(line["step"] for line in run.history)
    assert run.history[-1]["words"] == 2 * 480
    assert run.loss == pytest.approx(np.mean([line["loss"] for line in last]), rel=0.1)
    assert 0 < run.loss < 6 * np.log(2) * 1.01


@pytest.mark.slow
def test_sentences_a_file_and_a_corpus_are_one_text(sentences, run, tmp_path):
    (tmp_path / "text.txt").write_text("".join(" ".join(s) + "\n" for s in sentences))
    corpus = w2v.Corpus.from_sentences((s for s in sentences), min_count=1)
    for text in (tmp_path / "text.txt", str(tmp_path / "*.txt"), corpus):
        other = w2v.train(text, **QUICK)
        np.testing.assert_array_equal(run.vectors.vectors, other.vectors.vectors)


@pytest.mark.parametrize(
    "settings",
    [
        {"min_count": 1},
        {"min_count": 9},
        {"min_count": 9, "unk": "keep"},
        {"min_count": 1, "unk": "keep", "reading": "stream", "max_vocab": 50},
    ],
)
def test_sentences_make_the_corpus_that_their_file_makes(tmp_path, settings):
    rng = np.random.default_rng(1)
    lines = [[f"w{i}" for i in rng.zipf(1.5, n) % 90] for n in rng.integers(0, 9, 200)]
    (tmp_path / "text.txt").write_text("".join(" ".join(line) + "\n" for line in lines))
    ours = w2v.Corpus.from_sentences(lines, **settings)
    files = w2v.Corpus.from_files(tmp_path / "text.txt", cache_dir="none", **settings)
    assert ours.vocab.words == files.vocab.words and ours.words == files.words
    for name in ("ids", "line_ends"):
        np.testing.assert_array_equal(np.asarray(getattr(ours, name)), getattr(files, name)[:])
    np.testing.assert_array_equal(ours.vocab.counts, files.vocab.counts)


@pytest.mark.parametrize("suffix", [".txt", ".vec", ".bin", ".npz", ""])
def test_what_is_saved_loads_to_the_bit_and_the_first_so_many_words(run, tmp_path, suffix):
    path = tmp_path / f"vectors{suffix}"
    run.save(path)
    whole, first = w2v.load(path), w2v.load(path, limit=4)
    assert whole.words == run.vectors.words and first.words == run.vectors.words[:4]
    np.testing.assert_array_equal(whole.vectors, run.vectors.vectors)
    np.testing.assert_array_equal(first.vectors, run.vectors.vectors[:4])


def test_vectors_are_written_straight_into_a_pipe(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    run.save(tmp_path / "pipe")
    reader.join()
    run.save(tmp_path / "file")
    assert read[0] == (tmp_path / "file").read_bytes() and (tmp_path / "pipe").is_fifo()


MISTAKES = {
    "a gensim name": ({"vector_size": 3}, "`vector_size` is not a field of Config: it is `dim`"),
    "another": ({"sg": 1}, "`sg` is not a field of Config: it is `model` here"),
    "no such field": ({"wndow": 1}, "`wndow` is not a field of Config; near: `window`"),
    "no config": ({"config": {"dim": 5}}, "`config`: give a Config"),
    "gensim's text": ({"corpus_file": "x"}, "`corpus_file` is not a field of Config: it is `text`"),
    "a bound": ({"window": 0}, "`window=0`: must be from 1 to 1,000"),
    "a type": ({"dim": "50"}, "`dim=50`: not a whole number"),
    "a choice": ({"model": "glove"}, "`model=glove`: not one of skipgram, cbow"),
    "two fields": ({"batch_size": 100}, "`batch_size=100`: not a multiple of `group_size=128`"),
    "nothing left": ({"min_count": 10**6}, "`min_count=1000000`: no word of the text is left"),
    "a seed": ({"seed": -1}, "`seed=-1`: must be a whole number"),
    "nothing": ({"dim": None}, "`dim=None`: must have a value"),
    "a reading": ({"reading": "line"}, "`reading=line`: not one of"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_a_value_error_that_names_the_argument(sentences, name):
    changes, said = MISTAKES[name]
    with pytest.raises(w2v.UserError) as caught:
        w2v.train(sentences, **{"progress": False, **changes})
    assert isinstance(caught.value, ValueError) and str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (["a sentence"], "`sentences`: sentence 1 is a text: give a list of words"),
        ([["a", 3]], "`sentences`: sentence 1 holds 3, which is no word"),
        ([["New York"]], "`sentences`: sentence 1 holds 'New York', which is no word"),
        ([["\ud800"]], "`sentences`: sentence 1: "),
        (b"a b c", "`sentences`: is a text"),
        ([], "the text: holds no words"),
        ("/no/such/file", "`files=/no/such/file`: no such file"),
        ([["a"], ["b"]], "nothing to train on"),
    ],
)
def test_a_text_that_is_none_is_told(text, said):
    with pytest.raises(w2v.UserError) as caught:
        w2v.train(text, min_count=1, progress=False)
    assert str(caught.value).startswith(said)


def test_a_corpus_with_another_min_count_is_refused(sentences):
    corpus = w2v.Corpus.from_sentences(sentences, min_count=2)
    with pytest.raises(w2v.UserError, match="`min_count=3`: the corpus was made with"):
        w2v.train(corpus, min_count=3)


def test_a_word_that_is_unknown_is_told_with_near_ones(run):
    with pytest.raises(w2v.UserError, match="'q' is not in the vocabulary"):
        run.most_similar("q")


@pytest.mark.slow
def test_progress_is_a_bar_a_function_or_nothing(sentences, capsys):
    lines = []
    w2v.train(sentences, **{**QUICK, "progress": lines.append})
    assert lines and lines[-1]["words"] == 960 and capsys.readouterr() == ("", "")
    w2v.train(sentences, **{**QUICK, "progress": True})
    assert "word" in capsys.readouterr().err


def test_evaluation_is_a_table_with_its_coverage():
    words = tuple(sorted({w for line in io.StringIO(_sample()) for w in line.split()}))
    table = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    found = w2v.evaluate(w2v.WordVectors(words, table))
    assert found["wordsim353_spearman"].total == 353
    assert f"({found['google_analogies_accuracy'].covered:,} of 19,544 items" in repr(found)


def _sample():
    import lzma

    with lzma.open(locate("wiki_sample").paths[0], "rt", encoding="utf-8") as file:
        return file.read(300_000)


PLANTED = """
import sys
import numpy as np
import w2v_jax as w2v
from test_api import GROUPS, planted
corpus = w2v.Corpus.from_sentences(planted())
for trial in w2v.sweep(corpus, seeds=5, model=["skipgram", "cbow"]).trials:
    unit = trial.vectors.vectors / np.linalg.norm(trial.vectors.vectors, axis=1, keepdims=True)
    cosines, group = unit @ unit.T, np.array([w in GROUPS[0] for w in trial.vectors.words])
    same = group[:, None] == group[None, :]
    assert cosines[same].min() > 0.5 + cosines[~same].max(), trial
    print(trial.seed, trial.values["model"])
"""


@pytest.mark.slow
def test_two_planted_groups_are_told_apart_by_the_defaults_on_five_seeds():
    """Compiled as a user compiles: what the tests compile runs five times as long."""
    paths = [str(ROOT), str(ROOT / "tests" / "core"), str(ROOT / "tests")]
    env = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", PLANTED], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 10


def test_what_leads_to_a_file_is_written_into(run, tmp_path):
    """/dev/stdout is a link: nothing may take its place."""
    with open(tmp_path / "out", "wb") as file:
        run.save(f"/dev/fd/{file.fileno()}")
    run.save(tmp_path / "whole")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_measure_that_is_none_is_told(run):
    with pytest.raises(w2v.UserError, match="`nosuch`: is no measure; there are wordsim353"):
        run.evaluate()["nosuch"]


def test_a_hand_built_static_config_is_checked():
    from w2v_jax import checks

    for bad in ({"window": 0}, {"batch_size": -3}, {"negatives": 2.5}, {"optimizer": "adamm"}):
        (name, value) = next(iter(bad.items()))
        with pytest.raises(w2v.UserError, match=f"`{name}={value}`"):
            checks.check(w2v.StaticConfig(**bad))


@pytest.mark.parametrize("topn", [0, -1, 1.5])
def test_a_number_of_neighbours_that_is_none_is_told(run, topn):
    with pytest.raises(w2v.UserError, match=f"`topn={topn}`: must be a whole number"):
        run.most_similar("a", topn=topn)


def test_what_is_printed_of_objects_is_a_line(run, sentences):
    corpus = w2v.Corpus.from_sentences(sentences, min_count=1)
    assert repr(corpus) == "Corpus(480 words, 6 types)"
    assert repr(run.vectors) == "WordVectors(6 words, D 8)"
    assert repr(run).startswith("Run(skipgram, WordVectors(6 words, D 8), loss ")
    with pytest.raises(w2v.UserError, match="`text`: is missing"):
        w2v.train()
    with pytest.raises(w2v.UserError, match="`vectors`: give WordVectors"):
        w2v.evaluate("vectors.txt")
