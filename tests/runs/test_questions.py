"""Questions about word vectors: at flags, from a pipe, at a prompt."""

import io
import json

import numpy as np
import pytest
from scripts import start

from experiments.runs import query_command, questions
from experiments.runs.questions import Asked, answer
from w2v_jax.types import UserError
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.word_vectors import WordVectors

WORDS = ("king", "queen", "man", "woman", "New York", "odd", "rank")
VECTORS = np.array(
    [[2, 1, 0], [2, 0, 1], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [-1, 0.2, 0], [-1, 0, 0.3]], "f"
)
WV = WordVectors(WORDS, VECTORS)


def predict(ids):
    return np.log(np.arange(1, 8) / 28)


ASKED = Asked(WV, 2, "cosine", predict)


def first(line):
    return answer(ASKED, line).values["answers"][0]["word"]


def test_each_kind_of_question():
    assert first("king") == "queen" and first('"New York"') == "odd"
    assert first("king - man + woman") == first("- man + king + woman") == "queen"
    for line in ("man : king = woman", "man : king = woman :", "man : king = woman : ?"):
        assert first(line) == "queen" and answer(ASKED, line).kind == "analogy"
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    assert answer(ASKED, "king ~ man").values["score"] == pytest.approx(unit[0] @ unit[2], abs=1e-6)
    assert answer(ASKED, 'odd king queen "New York"').values == {"word": "New York"}
    assert answer(ASKED, "rank king queen").values["rank"] == 1
    assert answer(ASKED, "rank queen rank").values["of"] == 6
    assert first("predict king man") == "rank"
    assert first("odd") == "New York"  # a word of its own


def test_a_sum_is_of_unit_vectors_without_its_own_words():
    unit = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(float)
    total = unit[0] - unit[2]
    cosines = unit @ total / np.linalg.norm(total)
    cosines[[0, 2]] = -2
    order = np.argsort(-cosines)
    found = WV.most_similar(["king"], topn=9, negative=["man"])
    assert [word for word, _ in found] == [WORDS[i] for i in order[:5]]
    np.testing.assert_allclose([score for _, score in found], cosines[order[:5]], atol=1e-6)


def test_sums_and_ranks_are_gensims():
    models = pytest.importorskip("gensim.models")
    rng = np.random.default_rng(1)
    wv = WordVectors(tuple(f"w{i}" for i in range(30)), rng.normal(size=(30, 6)).astype("f"))
    keyed = models.KeyedVectors(6)
    keyed.add_vectors(list(wv.words), wv.vectors)
    for positive, negative in ((["w1", "w2"], ["w3"]), (["w4"], []), (["w5", "w6", "w7"], [])):
        theirs = keyed.most_similar(positive=positive, negative=negative, topn=5)
        ours = wv.most_similar(positive, topn=5, negative=negative)
        assert [word for word, _ in ours] == [word for word, _ in theirs]
        np.testing.assert_allclose([s for _, s in ours], [s for _, s in theirs], atol=1e-5)
    for other in ("w2", "w9", "w20"):
        assert wv.rank("w1", other) == keyed.rank("w1", other)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("king queen", "is no question"),
        ("king +", "a sign between two words each"),
        ("king + - man", "a sign between two words each"),
        ("king ~", "is no question"),
        ("king : man", "is no question"),
        ("kin", "'kin' is not in the vocabulary; near: king"),
        ("king - kin", "'kin' is not in the vocabulary"),
        ("rank king", "is no question"),
        ('""', "no word is in it"),
    ],
)
def test_what_is_no_question_is_told(line, said):
    with pytest.raises(UserError, match=said.replace("+", r"\+")):
        answer(ASKED, line)


def test_vectors_alone_predict_nothing():
    with pytest.raises(UserError, match="--run=OUT"):
        answer(ASKED._replace(predict=None), "predict king man")


@pytest.fixture
def file(tmp_path):
    vectors_io.save(tmp_path / "v.npz", WV)
    return f"--vectors={tmp_path / 'v.npz'}"


def test_a_pipe_has_a_question_a_line(file, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("king\n\nkin\nking ~ man\n"))
    assert start("query", file, "--topk=1") == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == ["  king -> queen 0.800", "  king ~ man -> 0.447"]
    assert err.splitlines()[-1] == "error: 'kin' is not in the vocabulary; near: king"
    monkeypatch.setattr("sys.stdin", io.StringIO("?\n" + "kin\nkong\n" * 3))
    assert start("query", file) == 1
    out, err = capsys.readouterr()
    assert questions.HELP in out
    lines = err.splitlines()
    assert lines[-1] == "error: 6 questions of 7 without an answer"
    assert sum(line.startswith("  kin -> 'kin' is not in") for line in lines) == 3


def test_answers_as_json(file, capsys):
    asked = ["--ask=king - man + woman", "--similar=king", "--analogy=man,king,woman", "--ask=kin"]
    assert start("query", file, "--topk=1", "--json", *asked) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("kind") for line in lines] == ["similar", "analogy", "sum", None]
    assert lines[2]["answers"][0]["word"] == "queen" and "kin" in lines[3]["error"]


def test_the_prompt_goes_on_after_a_fault(capsys, monkeypatch):
    given = iter(["?", "", "kin", "king"])

    def line(prompt):
        try:
            return next(given)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", line)
    query_command._prompt(ASKED)
    out = capsys.readouterr().out
    assert questions.HELP in out and "near: king" in out and "king -> queen" in out


def test_a_limit_leaves_the_first_words(file, capsys):
    assert start("query", file, "--limit=2", "--similar=king") == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  king -> queen 0.800"]
