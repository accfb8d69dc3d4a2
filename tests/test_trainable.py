"""What leaves nothing to train on is refused before it is compiled, whatever the seed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scripts import QUICK, start

from w2v_jax import sampling, train, trainable
from w2v_jax.types import Static, UserError

PLAIN = Static(batch_size=4, noise="with_replacement", dynamic_window=False)


def check(corpus, keep=1.0, window=2, epochs=1, **static):
    size = len(corpus.vocab.words)
    trainable.check(corpus, np.full(size, keep), PLAIN._replace(**static), window, epochs)


@pytest.mark.parametrize(
    ("lines", "static", "told"),
    [
        ([1] * 20, {}, "longest of 20 lines has 1 "),
        ([2] * 20, {"full_windows": True}, "5 words side by side"),
        ([4] * 20, {"full_windows": True}, "--full_windows"),
        ([2] * 20, {"full_windows": True, "dynamic_window": True}, "3 words side by side"),
        ([3, *[1] * 20], {"drop_last": True}, "about 3 centres an epoch fill no batch"),
    ],
)
def test_what_no_draw_can_mend_is_refused(make_corpus, lines, static, told):
    with pytest.raises(UserError, match="nothing to train on") as caught:
        check(make_corpus([[1] * n for n in lines]), **static)
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "static"),
    [
        ([1] * 20 + [2], {}),
        ([4] * 20 + [5], {"full_windows": True}),
        ([2] * 20 + [3], {"full_windows": True, "dynamic_window": True}),
        ([4, *[1] * 20], {"drop_last": True}),
    ],
)
def test_one_line_that_is_long_enough_is_enough(make_corpus, lines, static):
    check(make_corpus([[1] * n for n in lines]), **static)


def test_a_text_longer_than_is_looked_at_once_is_looked_at_to_its_end(monkeypatch, make_corpus):
    monkeypatch.setattr(trainable, "SPAN", 16)
    check(make_corpus([[1]] * 100 + [[1, 1, 1]]))
    check(make_corpus([[1]] * 100 + [[1] * 40]), full_windows=True)
    with pytest.raises(UserError, match="nothing to train on"):
        check(make_corpus([[1]] * 100 + [[1, 1]]), keep=0.01)


@pytest.mark.parametrize("epochs", [1, 30])
@pytest.mark.parametrize("keep", [0.003, 0.02, 0.2])
def test_what_is_refused_gives_no_centre_on_almost_any_seed(make_corpus, make_hyper, keep, epochs):
    """Of 200 seeds: where it is refused, most have none; where none has one, it is refused."""
    corpus = make_corpus([range(6)] * 10, vocab_size=6)
    hyper = make_hyper(np.ones(6), keep=np.full(6, keep))
    tokens, line = map(jnp.asarray, train.chunk_arrays(corpus, 0, 60, 60))

    def centres(seed):
        draw = sampling.draw_stream(jax.random.key(seed), 0, 0, tokens, line, hyper, PLAIN)
        return draw.centres

    drawn = np.asarray(jax.jit(jax.vmap(centres))(np.arange(200 * epochs))).reshape(200, epochs)
    share = (drawn.sum(axis=1) > 0).mean()  # of seeds that have a centre in some epoch
    # Centres come in twos, so that less than one expected is at most half of the seeds.
    try:
        check(corpus, keep=keep, epochs=epochs)
    except UserError:
        assert share < 0.5 + 5 * np.sqrt(0.25 / 200)
    else:
        assert share > 0.5 - 5 * np.sqrt(0.25 / 200)


@pytest.mark.parametrize("keep", [0.1, 0.4, 0.9])
def test_the_centres_expected_are_those_drawn(monkeypatch, make_corpus, keep):
    """By the number at which --drop_last is refused, against drawn lines: 6 sigma."""
    lengths = np.array([2, 3, 5, 8] * 50)
    corpus = make_corpus([[1] * n for n in lengths])
    kept = np.random.default_rng(0).binomial(lengths, keep, (2000, len(lengths)))
    drawn = np.where(kept >= 2, kept, 0).sum(axis=1)
    seen = []
    own = trainable.betainc

    def betainc(*args):
        seen.append(own(*args))
        return seen[-1]

    monkeypatch.setattr(trainable, "betainc", betainc)
    check(corpus, keep=keep)
    expected = float(np.sum(keep * lengths * seen[0]))
    assert abs(expected - drawn.mean()) < 6 * drawn.std() / np.sqrt(2000)


TOY = "you say goodbye and i say hello .\n"


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("engine", ["blocks", "pairs"])
def test_a_toy_sentence_is_refused_before_anything_is_compiled(
    monkeypatch, capsys, tmp_path, engine, seed
):
    (tmp_path / "toy.txt").write_text(TOY)
    monkeypatch.setattr(train, "compile_program", None)
    args = [f"--corpus={tmp_path / 'toy.txt'}", "--min_count=1", f"--engine={engine}"]
    args += [f"--seed={seed}", f"--workdir={tmp_path / 'out'}", "--noplots", "--noevaluate"]
    assert start("train_corpus", *args) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: nothing to train on") and "--subsample" in line
    assert not (tmp_path / "out").exists()


def test_a_word_a_line_is_refused_by_runs_and_sweeps(monkeypatch, capsys, tmp_path):
    (tmp_path / "words.txt").write_text("".join(f"w{i}\n" for i in range(500)))
    monkeypatch.setattr("w2v_jax.sweep.compile_over", None)
    monkeypatch.setattr(train, "compile_program", None)
    text = f"--corpus={tmp_path / 'words.txt'}", f"--workdir={tmp_path / 'out'}"
    for script, *more in (
        ("train_corpus", "--min_count=1"),
        ("ptb_ablation", *QUICK, "--engine=blocks", "--rows=touched", "--batch_size=128"),
    ):
        assert start(script, *text, *more) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: nothing to train on") and "500 lines has 1 " in line
    assert not (tmp_path / "out").exists()
