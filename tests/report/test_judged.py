"""Figures of sets of judgements: their intervals cover, differences are of the items in common."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from scripts import start

from experiments.report import judged
from experiments.report.judged import Tables
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors import suites
from w2v_jax.vectors.word_vectors import WordVectors

RHO, N, DRAWS = 0.5, 120, 300


def of_cosines(cosines):
    """Vectors of pairs of words, a pair with each of these cosines."""
    angles = np.arccos(np.clip(cosines, -1, 1))
    rows = np.empty((2 * len(cosines), 2))
    rows[::2] = [1, 0]
    rows[1::2] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return WordVectors(tuple(f"w{i}" for i in range(len(rows))), rows.astype("f"))


def file_of(path, scores):
    path.write_text("".join(f"w{2 * i} w{2 * i + 1} {s:.6f}\n" for i, s in enumerate(scores)))
    return path


def drawn(rng, count, noise):
    """Scores and as many tables' cosines as `noise` has entries, correlated with them."""
    truth = rng.normal(size=count)
    scores = truth + rng.normal(size=count)
    return scores, [np.tanh((truth + rng.normal(size=count) * n) / 3) for n in noise]


def spearman(path, *cosines):
    row, _ = judged.rows(Tables(*map(of_cosines, cosines)), suites.PAIRS, path, "x")
    return row


def test_the_interval_of_a_correlation_covers(tmp_path):
    """Of 300 sets drawn from one law, 95% cover its rho: 280 to 293 at a risk of 1 in 100."""
    rng = np.random.default_rng(1)
    scores, (cosines,) = drawn(rng, 200_000, [1.0])
    truth = spearmanr(scores, cosines).statistic
    covered = 0
    for i in range(DRAWS):
        scores, (cosines,) = drawn(rng, N, [1.0])
        row = spearman(file_of(tmp_path / f"{i}.txt", scores), cosines)
        assert row.needed == pytest.approx(2**0.5 * row.half)
        covered += abs(row.measure.value - truth) <= row.half
    assert 274 <= covered <= 295


def test_the_interval_of_a_difference_covers(tmp_path):
    rng = np.random.default_rng(2)
    scores, both = drawn(rng, 200_000, [0.8, 1.4])
    truth = spearmanr(scores, both[0]).statistic - spearmanr(scores, both[1]).statistic
    covered = 0
    for i in range(DRAWS):
        scores, both = drawn(rng, N, [0.8, 1.4])
        row = spearman(file_of(tmp_path / f"{i}.txt", scores), *both)
        covered += abs(row.difference - truth) <= row.difference_half
        assert (row.p < 0.05) == (abs(row.difference) > row.difference_half)
    assert 274 <= covered <= 295


def test_a_difference_is_of_the_items_that_both_know(tmp_path):
    rng = np.random.default_rng(3)
    scores, (a, b) = drawn(rng, 60, [0.5, 1.0])
    path = file_of(tmp_path / "x.txt", scores)
    few = of_cosines(b)
    few = WordVectors(few.words[:80], few.vectors[:80])
    row, _ = judged.rows(Tables(of_cosines(a), few), suites.PAIRS, path, "x")
    assert row.measure.covered == 60
    expected = spearmanr(a[:40], scores[:40]).statistic - spearmanr(b[:40], scores[:40]).statistic
    assert row.difference == pytest.approx(expected, abs=1e-5)
    same, _ = judged.rows(Tables(few, few), suites.PAIRS, path, "x")
    assert same.difference == 0 and same.difference_half is None


def analogies_of(tmp_path, count, sections=("gram-x", "capitals")):
    lines, rows, words = [], [], []
    rng = np.random.default_rng(4)
    for s, section in enumerate(sections):
        lines.append(f": {section}\n")
        offset = rng.normal(size=20)
        for i in range(count):
            base = rng.normal(size=20)
            words += [f"a{s}_{i}", f"b{s}_{i}"]
            rows += [base, base + offset + rng.normal(size=20) * (0.1 + 0.6 * s)]
        for i in range(count):
            j = (i + 1) % count
            lines.append(f"a{s}_{i} b{s}_{i} a{s}_{j} b{s}_{j}\n")
    path = tmp_path / "analogies.txt"
    path.write_text("".join(lines))
    return path, WordVectors(tuple(words), np.array(rows, "f"))


def test_googles_parts_are_told_and_their_intervals(tmp_path):
    path, wv = analogies_of(tmp_path, 40)
    found = {
        r.measure.name: r
        for r in judged.rows(Tables(wv), suites.ANALOGIES, path, "google_analogies")
    }
    assert [name.removeprefix("google_analogies_") for name in found] == [
        *("gram-x_accuracy", "capitals_accuracy", "semantic_accuracy", "syntactic_accuracy"),
        "accuracy",
    ]
    for part, section in (("semantic", "capitals"), ("syntactic", "gram-x")):
        part, section = (found[f"google_analogies_{name}_accuracy"] for name in (part, section))
        assert part.measure.value == section.measure.value and part.measure.covered == 40
    whole = found["google_analogies_accuracy"]
    assert whole.measure.covered == 80 and 0 < whole.half < 0.5


def test_the_command_tells_differences_hints_and_coverage(tmp_path, capsys):
    path, wv = analogies_of(tmp_path, 30)
    vectors_io.save(tmp_path / "v.txt", wv)
    rows = wv.vectors + np.random.default_rng(5).normal(size=wv.vectors.shape).astype("f")
    vectors_io.save(tmp_path / "w.txt", WordVectors(wv.words, rows))
    files = [f"--vectors={tmp_path}/v.txt", f"--against={tmp_path}/w.txt", "--nostandard"]
    assert start("evaluate", *files, f"--analogies={path}") == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split()[0] == "analogies_accuracy" and "60 of 60 items" in line and "+0." in line
    (tmp_path / "men.txt").write_text("sun-n sunlight-n 50\ncat-n dog-n 40\n")
    pairs = [f"--vectors={tmp_path}/v.txt", "--nostandard", f"--pairs={tmp_path}/men.txt"]
    assert start("evaluate", *pairs) == 0
    assert "words end in -n, as 'sun-n'" in capsys.readouterr().err
    (tmp_path / "text.txt").write_text("tiger cat " * 9)
    text = [f"--corpus={tmp_path}/text.txt", "--suite"]
    assert start("evaluate", *text) == 0
    out, err = capsys.readouterr()
    assert "wordsim353_spearman" in out and "2 of 353 items" in out and "not there: " in err
    assert "0.000" not in out
    assert start("evaluate", f"--corpus={tmp_path}/none") == 1
    assert f"error: --corpus={tmp_path}/none: no such file" in capsys.readouterr().err
    assert start("evaluate", f"--vectors={tmp_path}/v.txt", f"--against={tmp_path}/none") == 1
    assert f"error: --against={tmp_path}/none: No such file" in capsys.readouterr().err
    assert start("evaluate", *text, f"--vectors={tmp_path}/v.txt") == 1
    assert start("evaluate", f"--vectors={tmp_path}/v.txt", f"--suite_dir={tmp_path}/none") == 1
    assert "--suite_dir" in capsys.readouterr().err
