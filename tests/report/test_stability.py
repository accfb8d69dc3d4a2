"""Overlap of neighbours over members, with intervals that are right; the mean of aligned tables."""

import itertools
import json

import numpy as np
import pytest
from scripts import QUICK, start, text_of

from experiments.report import stability as report
from w2v_jax.types import UserError
from w2v_jax.vectors import stability
from w2v_jax.vectors.word_vectors import WordVectors


def test_overlaps_are_shares_of_common_neighbours():
    lists = np.array([[[1, 2, 3]], [[3, 4, 1]], [[7, 8, 9]]])
    found = stability.overlaps(lists)[:, :, 0]
    np.testing.assert_allclose(found, [[1, 2 / 3, 0], [2 / 3, 1, 0], [0, 0, 1]])


def test_the_mean_over_pairs_and_its_jackknife_by_loops():
    rng = np.random.default_rng(0)
    values = rng.random((6, 6, 3))
    values = (values + values.swapaxes(0, 1)) / 2
    found = stability.over_pairs(values)

    def mean(chosen):
        return np.mean([values[i, j] for i, j in itertools.combinations(chosen, 2)], axis=0)

    without = [mean([i for i in range(6) if i != left]) for left in range(6)]
    error = np.sqrt(5 / 6 * np.sum((without - np.mean(without, axis=0)) ** 2, axis=0))
    np.testing.assert_allclose(found.mean, mean(range(6)))
    np.testing.assert_allclose(found.half, 2.570582 * error, rtol=1e-6)  # t of 5 degrees


def test_two_members_have_no_interval():
    assert np.isnan(stability.over_pairs(np.ones((2, 2))).half)
    with pytest.raises(ValueError, match="two members"):
        stability.over_pairs(np.ones((1, 1)))


@pytest.mark.parametrize("size", [5, 16])
def test_the_interval_over_pairs_covers(size):
    """Members are draws z; a pair's value is a + b (z_i + z_j) + c e_ij: its mean is known."""
    rng, covered, draws = np.random.default_rng(1), 0, 600
    for _ in range(draws):
        z = rng.normal(size=size)
        noise = np.triu(rng.normal(size=(size, size)), 1)
        values = 0.4 + 0.1 * (z[:, None] + z[None, :]) + 0.1 * (noise + noise.T)
        mean, half = stability.over_pairs(values)
        covered += abs(mean - 0.4) <= half
    # 95% of 600 draws, within 4 standard errors; above it as pairs' own noise is counted twice.
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / draws) <= covered / draws <= 0.995


def test_alignment_undoes_turns():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(200, 8)).astype(np.float32)
    turns = [np.linalg.qr(rng.normal(size=(8, 8)))[0] for _ in range(4)]
    turned = stability.aligned([table @ turn * (i + 1) for i, turn in enumerate(turns)])
    for one in turned[1:]:
        np.testing.assert_allclose(one, turned[0], atol=1e-5)
    mean, without = stability.means(turned)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    np.testing.assert_allclose(mean @ mean.T, unit @ unit.T, atol=1e-4)
    np.testing.assert_allclose(without[2], mean, atol=1e-5)


def test_alignment_is_the_best_rotation():
    rng = np.random.default_rng(3)
    one, other = (rng.normal(size=(50, 3)) for _ in range(2))
    rotation = stability._rotation(one, other)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    best = np.linalg.norm(one @ rotation - other)
    for seed in range(50):
        q = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
        assert np.linalg.norm(one @ q - other) >= best - 1e-9


@pytest.fixture(scope="module")
def noisy():
    """Members that are a table with noise, less of it in frequent words."""
    rng, words = np.random.default_rng(4), [f"w{i}" for i in range(300)]
    counts = np.repeat([2000, 200, 20], 100)
    table = rng.normal(size=(300, 10))
    scale = np.repeat([0.1, 0.4, 1.5], 100)[:, None]
    tables = [
        WordVectors(tuple(words), np.float32(table + scale * rng.normal(size=table.shape)))
        for _ in range(6)
    ]
    return tables, counts, table


def test_bands_and_words_are_those_of_their_members(noisy):
    tables, counts, _ = noisy
    found = report.of_ensemble(tables, counts, 5, 1000)
    assert [(b.low, b.words, b.asked) for b in found.strata] == [
        *((10, 100, 100), (100, 100, 100), (1000, 100, 100))
    ]
    rare, middle, frequent = (stratum.overlap for stratum in found.strata)
    assert frequent > middle + 0.1 > rare + 0.2
    for stratum in found.strata:
        of_stratum = [
            w.overlap for w in found.words if stratum.low <= w.count < (stratum.high or 1e9)
        ]
        assert stratum.overlap == pytest.approx(np.mean(of_stratum))
    fewer = report.of_ensemble(tables, counts, 5, 40)
    for one, other in zip(fewer.strata, found.strata, strict=True):
        assert one.asked == 40 and abs(one.overlap - other.overlap) < one.half + 1e-9
        assert one.half > other.half  # the words are a draw, too


def test_the_mean_table_is_nearer_to_what_members_share(noisy):
    tables, counts, table = noisy
    mean = report.of_ensemble(tables, counts, 5, 10).mean.vectors

    def cosines(x):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        return unit @ unit.T

    def error(x):
        return np.mean((cosines(x) - cosines(table)) ** 2)

    assert error(mean) < 0.6 * min(error(wv.vectors) for wv in tables)


# The command


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stable")
    (folder / "text.txt").write_text(text_of(200))
    args = [*QUICK, f"--corpus={folder / 'text.txt'}", f"--workdir={folder / 'out'}"]
    args += ["--bootstrap=3", "--sweep=window=1,2", "--save_vectors", "--noplots"]
    assert start("ptb_ablation", *args) == 0
    return folder / "out"


def test_a_sweeps_settings_are_compared(sweep, capsys):
    assert start("stability", f"--sweep={sweep}", "--topn=3") == 0
    out = capsys.readouterr().out
    assert "## --window=2, lines drawn anew: 3 members" in out and "| 30 to 99" in out
    lines = [json.loads(line) for line in (sweep / "stability.jsonl").read_text().splitlines()]
    assert {line["setting"] for line in lines} == {
        *("--window=1, lines drawn anew", "--window=2, lines drawn anew")
    }
    assert len(lines) == 24 and all(0 <= line["overlap"] <= 1 for line in lines)
    assert (sweep / "stability.png").read_bytes().startswith(b"\x89PNG")
    assert (sweep / "mean-1.txt").exists()


def test_runs_are_compared(tmp_path, capsys):
    (tmp_path / "text.txt").write_text(text_of(100))
    runs = [tmp_path / f"run{seed}" for seed in (1, 2)]
    for seed, run in enumerate(runs, 1):
        args = [*QUICK, f"--corpus={tmp_path / 'text.txt'}", f"--seed={seed}", f"--workdir={run}"]
        assert start("ptb_skipgram", *args) == 0
    named = [f"--run={run}" for run in runs]
    args = [*named, f"--workdir={tmp_path / 'both'}", "--topn=3", "--noplots"]
    assert start("stability", *args) == 0
    assert "2 members" in capsys.readouterr().out
    assert start("stability", named[0], f"--workdir={tmp_path / 'x'}") == 1
    assert "--run: give it several times" in capsys.readouterr().err


def test_what_tells_nothing_is_refused(noisy, sweep, capsys):
    tables, counts, _ = noisy
    with pytest.raises(UserError, match="--topn=299"):
        report.of_ensemble(tables, counts, 299, 10)
    few = [WordVectors(("a", "b", "c"), np.eye(3, dtype=np.float32))] * 3
    with pytest.raises(UserError, match="no range of frequencies has 5 words"):
        report.of_ensemble(few, np.array([9, 9, 9]), 1, 10)
    assert start("stability", f"--sweep={sweep}", f"--sweep={sweep}/") == 1
    assert "--sweep: one is given twice" in capsys.readouterr().err


def test_words_whose_members_agree_have_the_rule_of_three(noisy):
    tables, counts, _ = noisy
    found = report.of_ensemble([tables[0]] * 6, counts, 5, 20)
    assert {word.overlap for word in found.words} == {1.0}
    assert {word.half for word in found.words} == {6 / 30}
    assert {w.half for w in report.of_ensemble(tables[:3], counts, 5, 20).words} == {None}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "give --sweep=FOLDER, or --run=RUN several times"),
        (["--sweep=/no/such"], "--sweep=/no/such: holds no settings.json"),
        (["--run=a"], "--workdir=FOLDER is missing"),
    ],
)
def test_a_mistake_is_one_line(capsys, args, said):
    assert start("stability", *args) == 1
    assert said in capsys.readouterr().err


def test_a_sweep_without_vectors_is_named(sweep, capsys):
    (sweep / "vectors" / "1.txt").rename(sweep / "vectors" / "kept")
    assert start("stability", f"--sweep={sweep}") == 1
    assert "1.txt: --save_vectors writes it" in capsys.readouterr().err
    (sweep / "vectors" / "kept").rename(sweep / "vectors" / "1.txt")
