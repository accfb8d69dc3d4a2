"""Members whose texts' lines are drawn anew: the runs alone, to the bit; texts as they must be."""

import json

import numpy as np
import pytest
from scripts import QUICK, start, text_of

import w2v_jax as w2v
from w2v_jax.data import resampling
from w2v_jax.data.corpus import CHUNK, Corpus
from w2v_jax.types import Vocab

pytestmark = pytest.mark.usefixtures("compiled_once")


def lines_of(corpus):
    ends = np.asarray(corpus.line_ends)
    return [tuple(corpus.ids[a:b].tolist()) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


@pytest.fixture
def corpus():
    rng = np.random.default_rng(0)
    sentences = [[f"w{i}" for i in rng.integers(0, 40, rng.integers(1, 9))] for _ in range(500)]
    return Corpus.from_sentences(sentences, 1)


def test_a_drawn_text_is_lines_of_the_text(corpus):
    own, drawn = lines_of(corpus), corpus.resampled(3)
    lines = lines_of(drawn)
    assert len(lines) == len(own) and set(lines) <= set(own)
    assert drawn.vocab is corpus.vocab and drawn.ids.dtype == np.int32
    expected = [own[i] for i in resampling.drawn_lines(np.asarray(corpus.line_ends), 3)]
    assert lines == expected
    assert corpus.resampled(0) is corpus
    assert drawn.sha256 != corpus.resampled(4).sha256 != corpus.sha256
    assert drawn.chunk_size == corpus.resampled(4).chunk_size >= len(drawn.ids)
    np.testing.assert_array_equal(drawn.ids, corpus.resampled(3).ids)


def test_lines_are_drawn_with_equal_chances():
    """A line's count is Poisson(1) nearly: mean 1, variance 1 - 1/n; e^-1 of them are left out."""
    ends = np.arange(1, 1001)
    counts = np.stack(
        [np.bincount(resampling.drawn_lines(ends, seed), minlength=1000) for seed in range(200)]
    )
    assert (counts.sum(axis=1) == 1000).all()
    # 200 draws a line: standard error of a mean .07, of which 1000 are looked at: 5 of them.
    assert np.abs(counts.mean(axis=0) - 1).max() < 5 * np.sqrt(1 / 200)
    assert abs(np.mean(counts == 0) - np.exp(-1)) < 0.005
    assert abs(counts.var() - 1) < 0.02


def test_a_text_of_one_line_is_drawn_in_parts():
    words = [f"w{i}" for i in range(7000)]
    corpus = Corpus.from_sentences([words], 1)
    drawn = corpus.resampled(1)
    assert len(drawn.line_ends) == 1 and drawn.line_ends[0] == len(drawn.ids)
    assert 5000 < len(drawn.ids) < 9000
    steps = np.flatnonzero(np.diff(drawn.ids) != 1)
    assert 1 <= len(steps) <= 7  # parts that follow each other go on


def test_a_large_text_keeps_chunks_that_fit():
    ends = np.cumsum(np.full(3000, 1000))
    corpus = Corpus(
        np.zeros(3_000_000, np.int32), ends, Vocab(("a",), np.array([3_000_000])), 1, ""
    )
    drawn = corpus.resampled(2)
    assert drawn.chunk_size == CHUNK
    assert np.diff(drawn.bounds).max() <= CHUNK and drawn.bounds[-1] == len(drawn.ids)


@pytest.mark.parametrize("seed", range(5))
def test_words_that_a_drawn_text_has_lost_are_untrained(corpus, seed):
    from w2v_jax.data import trainable

    lines = [["a", "b"]] * 3 + [["c"], ["d", "e"], ["c", "c"]]
    drawn = Corpus.from_sentences(lines, 1).resampled(seed + 1)
    words = drawn.vocab.words
    kept = [[words[i] for i in line] for line in lines_of(drawn)]
    trained = {word for line in kept if len(line) > 1 for word in line}
    never = {words[i] for i in trainable.untrained(drawn)}
    assert never == set(words) - trained


@pytest.mark.bits
@pytest.mark.parametrize("chunk", [None, 128])
def test_a_member_is_the_run_alone(tmp_path, monkeypatch, chunk):
    if chunk:  # several chunks, and not of every member as many
        monkeypatch.setattr("w2v_jax.data.corpus.CHUNK", chunk)
    (tmp_path / "text.txt").write_text(text_of(64))
    args = [*QUICK, f"--corpus={tmp_path / 'text.txt'}", "--cpu_devices=2"]
    out = tmp_path / "out"
    args += ["--bootstrap=3", "--save_vectors", "--noplots", f"--workdir={out}"]
    assert start("ptb_ablation", *args) == 0
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["flags"] for line in lines] == [
        "--resample=1",
        *(f"--resample={i} --seed={i}" for i in (2, 3)),
    ]
    for line in lines:
        alone = tmp_path / str(line["member"])
        more = [f"--flagfile={out / 'flags.cfg'}", *line["flags"].split()]
        assert start("ptb_skipgram", *more, f"--workdir={alone}", "--noplots", "--noevaluate") == 0
        one, other = (alone / "vectors.txt", out / "vectors" / f"{line['member']}.txt")
        assert one.read_bytes() == other.read_bytes()


def test_vmapped_members_are_nearly_those_alone(tmp_path):
    (tmp_path / "text.txt").write_text(text_of(64))
    args = [*QUICK, f"--corpus={tmp_path / 'text.txt'}", "--bootstrap=4", "--save_vectors"]
    tables = []
    for width in (1, 2):
        out = tmp_path / str(width)
        more = [f"--vmap_width={width}", "--cpu_devices=2", "--noplots", f"--workdir={out}"]
        assert start("ptb_ablation", *args, *more) == 0
        tables.append([w2v.load(out / "vectors" / f"{i}.txt").vectors for i in range(4)])
    for one, other in zip(*tables, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_library_draws_too(corpus):
    config = w2v.Config(dim=4, min_count=1, epochs=1, engine="pairs", update="dense")
    made = {"progress": False, "subsample": 0.0, "batch_size": 16}
    runs = [w2v.train(corpus, config, resample=seed, **made) for seed in (0, 1, 1)]
    assert not (runs[0].vectors.vectors == runs[1].vectors.vectors).all()
    np.testing.assert_array_equal(runs[1].vectors.vectors, runs[2].vectors.vectors)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--bootstrap=1"], "--bootstrap=1: one text says nothing"),
        (["--bootstrap=3", "--seeds=2"], "--bootstrap stands in place of --seeds"),
        (["--sweep=resample=1,2"], "--resample can't be swept: --bootstrap=N"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, args, said):
    (tmp_path / "text.txt").write_text(text_of())
    corpus = f"--corpus={tmp_path / 'text.txt'}"
    assert start("ptb_ablation", *QUICK, corpus, f"--workdir={tmp_path / 'out'}", *args) == 1
    assert said in capsys.readouterr().err
