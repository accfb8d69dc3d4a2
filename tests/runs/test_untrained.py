"""Words that never have a context are counted, and are no one's neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripts import QUICK, start, text_of

from w2v_jax.data import trainable
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors import similarity

ALONE = "lone", "lonely", "twice"


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
def test_words_without_a_context_are_those_of_a_loop(make_corpus, lines):
    corpus = make_corpus(lines, vocab_size=6)
    has, occurs = np.zeros(6, bool), np.zeros(6, bool)
    for line in lines:
        for i, word in enumerate(line):
            occurs[word] = True
            has[word] |= len(line[:i] + line[i + 1 :]) > 0
    assert (trainable.without_context(corpus) == (occurs & ~has)).all()


def test_a_text_longer_than_is_looked_at_once(monkeypatch, make_corpus):
    lines = [[0], [1, 2], [3], [0], [4, 4], [5], [1], [0]] * 5
    whole = trainable.without_context(make_corpus(lines))
    monkeypatch.setattr(trainable, "SPAN", 3)
    assert (trainable.without_context(make_corpus(lines)) == whole).all()
    assert whole.tolist() == [True, False, False, True, False, True]


@pytest.mark.parametrize("score", similarity.ANALOGY_SCORES)
def test_words_left_out_are_no_answers_and_the_others_stay(score):
    vectors = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    out = [3, 7, 30]
    for search in (
        lambda k, **more: similarity.most_similar(vectors, [1, 3], k, **more),
        lambda k, **more: similarity.analogy(vectors, [(1, 2, 3), (4, 5, 7)], k, score, **more),
    ):
        every, scores = search(40)
        ids, found = search(40, left_out=out)
        assert np.isfinite(found).all() and not np.isin(ids, out).any()
        for row, of_all, own, values in zip(ids, every, found, scores, strict=True):
            here = [i for i in of_all.tolist() if i not in out]
            # A query that is left out has one place less to give, and it is never an answer.
            assert row.tolist() == here[: len(row)]
            kept = [v for i, v in zip(of_all, values, strict=True) if i not in out]
            assert own.tolist() == kept[: len(row)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrained")
    (folder / "text.txt").write_text(text_of() + "lone\nlonely\ntwice\ntwice\n")
    args = [*QUICK, f"--corpus={folder / 'text.txt'}", "--min_count=1", "--show_similar=w1,lone"]
    assert start("train_corpus", *args, f"--workdir={folder / 'out'}") == 0
    return folder


@pytest.mark.parametrize("source", ["--run={}", "--vectors={}/vectors.txt"])
def test_the_screen_and_queries_leave_them_out(run, capsys, source):
    args = source.format(run / "out"), "--similar=w1,lone", "--analogy=w1,w2,w3", "--topk=20"
    assert start("query", *args) == 0
    said = capsys.readouterr().out
    near, lone = (line for line in said.splitlines() if " -> " in line)
    answers = next(line for line in said.splitlines() if line.startswith("  w1 : w2 = w3"))
    assert not any(word in line for word in ALONE for line in (near, answers))
    assert len(near.split("->")[1].split(",")) == 11  # w0 to w11, without itself
    assert lone.endswith("(never had a context: untrained)")


def test_they_are_counted_and_written_and_the_vectors_are_all_there(run, capsys):
    args = [*QUICK, f"--corpus={run / 'text.txt'}", "--min_count=1", f"--workdir={run / 'again'}"]
    assert start("train_corpus", *args, "--show_similar=w1,lone") == 0
    out, err = capsys.readouterr()
    assert "note: 3 types without a context" in err
    near = next(line for line in out.splitlines() if line.startswith("  w1 -> "))
    assert not any(word in near for word in ALONE)
    assert "lone -> (never had a context" in out
    assert set((run / "again" / "untrained.txt").read_text().split()) == set(ALONE)
    assert set(ALONE) < set(vectors_io.load(run / "again" / "vectors.txt").words)


@pytest.mark.slow
def test_they_are_trained_once_a_text_gives_them_a_context(run):
    (run / "more.txt").write_text("lone w1 w2\nnew\nlonely\n" * 9)
    args = [*QUICK, f"--corpus={run / 'more.txt'}", "--min_count=1", "--continue_from"]
    assert start("train_corpus", *args, run / "out", f"--workdir={run / 'more'}") == 0
    assert set((run / "more" / "untrained.txt").read_text().split()) == {"lonely", "twice", "new"}


def test_a_text_without_any_leaves_no_file(skipgram):
    assert not (skipgram[1] / "untrained.txt").exists()
