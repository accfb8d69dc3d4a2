"""Phrases against gensim's, word for word and score for score."""

import gzip
import math
from itertools import pairwise

import numpy as np
import pytest
from fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st
from scripts import start

import w2v_jax as w2v
from w2v_jax.data import phrases
from w2v_jax.data.phrases import LONGEST, Phrases
from w2v_jax.types import UserError

PAIRS = (("new", "york"), ("bank", "of", "america"), ("ice", "cream"), ("the", "end"))


def text_of(lines=400, seed=0):
    """Words of a Zipf law, among which some stand together more often than by chance."""
    draw = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(40)] + ["of", "the", "new", "york", "ice", "cream"]
    p = 1 / np.arange(2, len(words) + 2)
    found = []
    for _ in range(lines):
        line = draw.choice(words, draw.integers(0, 12), p=p / p.sum()).tolist()
        if draw.random() < 0.5:
            line[3:3] = PAIRS[draw.integers(len(PAIRS))]
        found.append(line)
    return found


def gensims(sentences, **given):
    models = pytest.importorskip("gensim.models.phrases")
    given = {"max_vocab_size": 40_000_000, **given}
    return models.Phrases(sentences, **given)


@pytest.mark.parametrize("connectors", [(), ("of", "the")])
@pytest.mark.parametrize(("score", "threshold"), [("default", 2.0), ("npmi", 0.3)])
def test_phrases_and_scores_are_gensims(score, threshold, connectors):
    sentences = text_of()
    theirs = gensims(
        sentences,
        min_count=3,
        threshold=threshold,
        scoring=score,
        connector_words=frozenset(connectors),
    )
    ours = Phrases.learn(sentences, 3, threshold, score=score, connectors=connectors)
    assert ours.counts == theirs.vocab and ours.words == theirs.corpus_word_count
    pairs = {(a, b) for line in sentences for a, b in pairwise(line)}
    for first, second in pairs:
        _, found = theirs.score_candidate(first, second, [])
        if first in connectors or second in connectors:
            continue
        own = ours.score_of(first, second)
        assert (own if own > threshold else None) == (found and pytest.approx(found, rel=1e-12))
    _, of_bank = theirs.score_candidate("bank", "america", ["of"])
    assert (of_bank is not None) == bool(connectors)
    joined = [ours.joined(line) for line in sentences]
    assert joined == [theirs[line] for line in sentences]
    assert any("new_york" in line for line in joined)
    assert any("bank_of_america" in line for line in joined) == bool(connectors)
    again = Phrases.learn(joined, 3, threshold, score=score, connectors=connectors)
    twice = gensims(
        joined,
        min_count=3,
        threshold=threshold,
        scoring=score,
        connector_words=frozenset(connectors),
    )
    assert [again.joined(line) for line in joined] == [twice[line] for line in joined]


def test_rare_types_are_forgotten_as_gensim_does():
    sentences = text_of()
    theirs = gensims(sentences, min_count=1, threshold=1, max_vocab_size=120)
    ours = Phrases.learn(sentences, 1, 1, max_types=120)
    assert ours.counts == theirs.vocab and len(ours.counts) < 400


def test_the_two_scores_are_their_formulas():
    sentences = [["a", "b", "c"]] * 4 + [["a", "c"]] * 3 + [["b"]] * 2
    ours = Phrases.learn(sentences, 2, 0.1)
    types = 3 + 3  # a, b, c; a_b, b_c, a_c
    assert ours.score_of("a", "b") == (4 - 2) / (7 * 6) * types
    npmi = Phrases.learn(sentences, 2, 0.1, score="npmi")
    p = {"a": 7 / 20, "b": 6 / 20, "ab": 4 / 20}
    expected = math.log(p["ab"] / (p["a"] * p["b"])) / -math.log(p["ab"])
    assert npmi.score_of("a", "b") == pytest.approx(expected, rel=1e-12)
    assert npmi.score_of("b", "a") == ours.score_of("b", "a") == -math.inf
    assert Phrases.learn(sentences, 5, 0.1, score="npmi").score_of("a", "b") == -math.inf


@cases(200)
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=8), min_size=1, max_size=20))
def test_joining_leaves_the_words_in_their_order(sentences):
    if not any(sentences):
        return
    ours = Phrases.learn(sentences, 1, 0.0, connectors=["d"])
    for line in sentences:
        joined = ours.joined(line)
        assert "_".join(joined).split("_") == line or not line
        assert all(word not in ("", "_") for word in joined)
        for word in joined:
            parts = word.split("_")
            assert len(parts) == 1 or (parts[0] != "d" and parts[-1] != "d")


@pytest.mark.parametrize("words", [0, 1, LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST])
@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_long_lines_are_parted_as_gensims_reader_does(monkeypatch, tmp_path, words, chunk):
    monkeypatch.setattr(phrases, "_CHUNK", chunk if words < LONGEST else max(chunk, 4001))
    path = tmp_path / "text.txt"
    text = f"a b\n\n{' '.join('xyz'[i % 3] for i in range(words))}\nlast line"
    path.write_text(text)
    found = list(phrases.lines([str(path)]))
    reader = pytest.importorskip("gensim.models.word2vec").LineSentence
    assert [line.words for line in found if line.words] == [s for s in reader(str(path)) if s]
    whole = "".join(" ".join(line.words) + ("\n" if line.ends else " ") for line in found)
    assert whole.split("\n") == [" ".join(line.split()) for line in f"{text}\n".split("\n")]


def test_files_are_read_as_texts_are(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffA b\r\nc\u3000d\n".encode())
    assert [line.words for line in phrases.lines([str(path)])] == [["A", "b"], ["c", "d"]]
    path.write_bytes(b"a b\nc \xff d\n")
    with pytest.raises(UserError, match=r"text\.txt: line 2: not UTF-8"):
        list(phrases.lines([str(path)]))


def test_the_library_joins_phrases(tmp_path):
    sentences = text_of()
    path = tmp_path / "text.txt"
    path.write_text("".join(" ".join(line) + "\n" for line in sentences))
    ours, of_file = Phrases.learn(sentences, 3, 2.0), Phrases.learn(path, 3, 2.0)
    assert ours.counts == of_file.counts
    lines = [ours.joined(line) for line in sentences]
    expected = w2v.Corpus.from_sentences(lines, min_count=2)
    for text in (sentences, str(path)):
        run = w2v.train(text, phrases=ours, dim=4, epochs=1, min_count=2, progress=False)
        assert run.vectors.words == expected.vocab.words and "new_york" in run.vectors.words
    found = w2v.Corpus.from_files(path, min_count=2, phrases=ours)
    assert found.ids.tolist() == expected.ids.tolist() and found.sha256 == expected.sha256
    heldout = tmp_path / "heldout.txt"
    heldout.write_text("".join(" ".join(line) + "\n" for line in sentences[:40]))
    given = dict(dim=4, epochs=1, min_count=2, progress=False, phrases=ours)
    joined = [ours.joined(line) for line in sentences[:40]]
    expected_loss = w2v.train(lines, heldout=joined, **{**given, "phrases": None}).history[-1]
    for text in (sentences[:40], str(heldout)):
        found_loss = w2v.train(sentences, heldout=text, **given).history[-1]
        assert found_loss["heldout_loss"] == expected_loss["heldout_loss"]
    with pytest.raises(UserError, match="`phrases`: a Corpus has its words"):
        w2v.train(expected, phrases=ours)
    with pytest.raises(UserError, match=r"`phrases`: give what Phrases\.learn"):
        w2v.train(sentences, phrases=True)
    with pytest.raises(UserError, match="`max_words=10`: not together with `phrases`"):
        w2v.Corpus.from_files(path, max_words=10, phrases=ours)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(threshold="3"), "`threshold=3`: not a number"),
        (dict(delimiter=3), "`delimiter=3`: must be letters"),
        (dict(connectors=None), "`connectors`: give a list of words"),
        (dict(connectors=["of the"]), "`connectors`: holds 'of the', which is no word"),
        (dict(score=["npmi"]), "`score=['npmi']`: not one of"),
        (dict(text=" "), "`text`: names no file"),
        (dict(encoding="no"), "`encoding=no`: no encoding"),
        (dict(score="pmi"), "`score=pmi`: not one of default, npmi"),
        (dict(min_count=0), "`min_count=0`: must be a whole number"),
        (dict(max_types=0), "`max_types=0`: must be a whole number"),
        (dict(score="npmi", threshold=2), "`threshold=2`: npmi lies between -1 and 1"),
        (dict(threshold=math.nan), "`threshold=nan`: not a number"),
        (dict(delimiter=" "), "`delimiter= `: must be letters"),
        (dict(connectors="of the"), "`connectors`: give a list of words"),
        (dict(text=[[]]), "`text`: holds no words"),
        (dict(text=[["a b"]]), "`text`: sentence 1 holds 'a b'"),
    ],
)
def test_what_cannot_be_is_refused(given, said):
    with pytest.raises(UserError) as caught:
        Phrases.learn(**{"text": [["a", "b"]], **given})
    assert str(caught.value).startswith(said)


def test_the_command_writes_the_text_with_its_phrases(capsys, tmp_path):
    sentences = text_of()
    text, output = tmp_path / "text.txt", tmp_path / "out.txt.gz"
    text.write_text("".join(" ".join(line) + "\n" for line in sentences))
    args = f"--corpus={text}", f"--output={output}", "--min_count=3", "--threshold=2"
    assert start("phrases", *args, "--connectors=english") == 0
    ours = Phrases.learn(sentences, 3, 2.0, connectors=phrases.CONNECTORS)
    expected = [ours.joined(line) for line in sentences]
    written = gzip.decompress(output.read_bytes()).decode()
    assert written == "".join(" ".join(line) + "\n" for line in expected)
    told = capsys.readouterr().out
    times = sum(line.count("bank_of_america") for line in expected)
    assert f"bank_of_america ({times})" in told and "ice_cream" in told
    assert start("phrases", *args) == 1
    assert f"--output={output}: is there" in capsys.readouterr().err
    (blank := tmp_path / "blank.txt").write_text("\n \n")
    for wrong, said in (
        ([f"--corpus={text}", f"--output={text}", "--overwrite"], "is the text itself"),
        ([f"--corpus={text}"], "--output=FILE is missing"),
        ([f"--corpus={text}", f"--output={tmp_path / 'x.zst'}"], "is packed as .gz or .xz"),
        ([f"--corpus={text}", f"--output={tmp_path}", "--overwrite"], "is a folder"),
        ([f"--corpus={text}", f"--output={tmp_path / 'no' / 'x'}"], "its folder isn't there"),
        ([f"--corpus={blank}", f"--output={tmp_path / 'x'}"], "blank.txt: holds no words"),
        ([f"--corpus={text}", f"--output={tmp_path / 'x'}", "--connectors=a b"], "is no word"),
        ([f"--corpus={tmp_path / 'nothere'}", f"--output={tmp_path / 'x'}"], "--corpus="),
        ([f"--corpus={text}", f"--output={tmp_path / 'x'}", "--score=npmi", "--threshold=3"],
         "--threshold=3: npmi lies"),
    ):  # fmt: skip
        assert start("phrases", *wrong) == 1
        assert said in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / "x").exists()


def test_a_long_line_is_one_sentence_of_the_library(tmp_path, capsys):
    words = [word for line in text_of(4000) for word in line]
    assert len(words) > 2 * LONGEST
    text, output = tmp_path / "text.txt", tmp_path / "out.txt"
    text.write_text(f"{' '.join(words)}\nnew york\n")
    assert start("phrases", f"--corpus={text}", f"--output={output}", "--threshold=2") == 0
    ours = w2v.Corpus.from_files(text, phrases=Phrases.learn(text, threshold=2), min_count=1)
    expected = w2v.Corpus.from_files(output, min_count=1)
    assert ours.line_ends.tolist() == expected.line_ends.tolist() and len(ours.line_ends) == 2
    assert ours.ids.tolist() == expected.ids[:].tolist() and ours.sha256 == expected.sha256


def test_letters_and_what_was_forgotten_are_told(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("New York is New York\n" * 9)
    learned = Phrases.learn(text, 1, 0.1, lower=True)
    assert learned.joined(["new", "york"]) == ["new_york"]
    run = w2v.train(
        str(text), phrases=learned, lower=True, dim=3, epochs=1, min_count=1, progress=False
    )
    assert "new_york" in run.vectors.words
    with pytest.raises(
        UserError, match="`lower=False`: the phrases were learned with `lower=True`"
    ):
        w2v.train(str(text), phrases=learned, dim=3, min_count=1)
    with pytest.raises(UserError, match="`sentence`: is a text"):
        learned.joined("new york")
    args = f"--corpus={text}", f"--output={tmp_path / 'out'}", "--max_types=2", "--lower"
    assert start("phrases", *args, "--connectors=is,english") == 0
    assert "--max_types: words and pairs of fewer than" in capsys.readouterr().out
