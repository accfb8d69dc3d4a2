"""The exact spelling first, then others of case and accents; how many, is told."""

from unicodedata import normalize

import numpy as np
import pytest

from experiments.cli import console
from w2v_jax.vectors import similarity
from w2v_jax.vectors.evaluation import analogies, analogy_items, pair_items, word_pairs
from w2v_jax.vectors.word_vectors import WordVectors

VECTORS = np.random.default_rng(3).normal(size=(9, 5)).astype("f")
WORDS = ("STRASSE", "straße", "Polish", "polish", "Über", "weg", normalize("NFD", "café"), "x", "y")
WV = WordVectors(WORDS, VECTORS)


def cosine(a, b):
    a, b = (VECTORS[WORDS.index(w)].astype(float) for w in (a, b))
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("straße", "straße"),
        ("STRASSE", "STRASSE"),
        ("Strasse", "STRASSE"),  # the most frequent other spelling
        ("polish", "polish"),
        ("POLISH", "Polish"),
        ("ÜBER", "Über"),
        ("café", WORDS[6]),
        ("CAFÉ", WORDS[6]),
    ],
)
def test_exact_spelling_first_then_the_most_frequent_other(tmp_path, asked, meant):
    (tmp_path / "p.txt").write_text(f"{asked} weg 1\nx weg 2\ny weg 3\n")
    _, cosines = pair_items(WV, tmp_path / "p.txt")
    assert cosines[0] == pytest.approx(cosine(meant, "weg"), abs=1e-6)
    for measure in word_pairs(WV, tmp_path / "p.txt"):
        assert (measure.covered, measure.folded) == (3, int(asked != meant))
    said = "1 by another spelling" in console.quality(word_pairs(WV, tmp_path / "p.txt"))
    assert said == (asked != meant)


def test_analogies_take_the_exact_spelling(tmp_path):
    d = VECTORS[5] / np.linalg.norm(VECTORS[5])
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    vectors = VECTORS.copy()
    vectors[3] = unit[1] - unit[7] + unit[5]  # x : straße = weg : polish
    wv = WordVectors(WORDS, vectors)
    assert np.linalg.norm(d) > 0
    (tmp_path / "q.txt").write_text(": s\nx straße weg polish\nX straße weg polish\n", "utf-8")
    assert analogy_items(wv, tmp_path / "q.txt").tolist() == [1, 1]
    assert list(analogies(wv, tmp_path / "q.txt"))[-1].folded == 1


def test_a_query_is_answered_however_its_accents_are_composed():
    for form in ("NFC", "NFD"):
        assert similarity.find(WORDS, normalize(form, "café")) == 6
        assert similarity.find(WORDS, normalize(form, "Über")) == 4


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(("asked", "near"), [("CAFÉ", WORDS[6]), ("über", "Über"), ("X", "x")])
def test_an_unknown_spelling_is_answered_with_the_known_one(form, asked, near):
    _, (line,) = similarity.find_all(WORDS, [normalize(form, asked)])
    assert line.endswith(f"is not in the vocabulary; near: {near}")
