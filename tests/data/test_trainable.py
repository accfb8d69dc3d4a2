"""What leaves nothing to train on is refused before it is compiled, whatever the seed."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scripts import QUICK, start

from experiments.cli.errors import as_flags
from experiments.report import chance
from w2v_jax import losses, subsampling, training, visits
from w2v_jax.data import trainable
from w2v_jax.types import StaticConfig, UserError

PLAIN = StaticConfig(batch_size=4, noise="with_replacement", dynamic_window=False)


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
    assert told in as_flags(str(caught.value)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "static"),
    [
        ([1] * 20 + [2], {}),
        ([4] * 20 + [5], {"full_windows": True}),
        ([2] * 20 + [3] * 30, {"full_windows": True, "dynamic_window": True}),
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
@pytest.mark.parametrize("keep", [0.003, 0.02, 0.2, 0.6])
def test_what_is_not_refused_has_centres_on_every_seed(make_corpus, make_hyper, keep, epochs):
    """Of 200 seeds. What one of two has no centre on is refused."""
    corpus = make_corpus([range(6)] * 10, vocab_size=6)
    hyper = make_hyper(np.ones(6), keep_prob=np.full(6, keep))
    tokens, line = map(jnp.asarray, corpus.arrays(0, 60, 60))

    def centres(seed):
        draw = subsampling.sample_chunk(jax.random.key(seed), 0, 0, tokens, line, hyper, PLAIN)
        return draw.centres

    drawn = np.asarray(jax.jit(jax.vmap(centres))(np.arange(200 * epochs))).reshape(200, epochs)
    share = (drawn.sum(axis=1) > 0).mean()  # of seeds that have a centre in some epoch
    try:
        check(corpus, keep=keep, epochs=epochs)
    except UserError:
        assert keep < 0.6
    else:
        assert share == 1


@pytest.mark.parametrize("keep", [0.1, 0.4, 0.9])
def test_the_chance_of_a_line_is_that_drawn(monkeypatch, make_corpus, keep):
    """That two of a line's words are kept, against drawn lines: 6 sigma."""
    lengths = np.array([2, 3, 5, 8] * 50)
    corpus = make_corpus([[1] * n for n in lengths])
    kept = np.random.default_rng(0).binomial(lengths, keep, (2000, len(lengths)))
    drawn = (kept >= 2).sum(axis=1)
    seen = []
    own = trainable.betainc

    def betainc(*args):
        seen.append(own(*args))
        return seen[-1]

    monkeypatch.setattr(trainable, "betainc", betainc)
    check(corpus, keep=keep)
    assert abs(float(np.sum(seen[0])) - drawn.mean()) < 6 * drawn.std() / np.sqrt(2000)


TOY = "you say goodbye and i say hello .\n"


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("engine", ["blocks", "pairs"])
def test_a_toy_sentence_is_refused_before_anything_is_compiled(
    monkeypatch, capsys, tmp_path, engine, seed
):
    (tmp_path / "toy.txt").write_text(TOY)
    monkeypatch.setattr(training, "compile_program", None)
    args = [f"--corpus={tmp_path / 'toy.txt'}", "--min_count=1", f"--engine={engine}"]
    args += [
        "--subsample=1e-4",
        "--epochs=1",
        f"--seed={seed}",
        f"--workdir={tmp_path / 'out'}",
        "--noplots",
        "--noevaluate",
    ]
    assert start("train_corpus", *args) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: nothing to train on") and "--subsample" in line
    assert not (tmp_path / "out").exists()


def test_a_word_a_line_is_refused_by_runs_and_sweeps(monkeypatch, capsys, tmp_path):
    (tmp_path / "words.txt").write_text("".join(f"w{i}\n" for i in range(500)))
    monkeypatch.setattr("w2v_jax.sweeping.compile_over", None)
    monkeypatch.setattr(training, "compile_program", None)
    text = f"--corpus={tmp_path / 'words.txt'}", f"--workdir={tmp_path / 'out'}"
    for script, *more in (
        ("train_corpus", "--min_count=1"),
        ("ptb_ablation", *QUICK, "--engine=blocks", "--update=sparse", "--batch_size=128"),
    ):
        assert start(script, *text, *more) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: nothing to train on") and "500 lines has 1 " in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("engine", ["blocks", "pairs"])
@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.slow
def test_a_run_whose_draws_hold_no_pair_fails_and_leaves_nothing(
    monkeypatch, capsys, tmp_path, engine, model
):
    """What the counts don't tell before: here they are not asked."""
    (tmp_path / "words.txt").write_text("".join(f"w{i}\n" for i in range(50)))
    monkeypatch.setattr(trainable, "check", lambda *args: None)
    text = f"--corpus={tmp_path / 'words.txt'}", f"--workdir={tmp_path / 'out'}"
    small = "--min_count=1", "--dim=4", "--batch_size=128", "--subsample=0", "--epochs=2"
    args = *text, *small, f"--engine={engine}", f"--model={model}", "--noevaluate", "--noplots"
    assert start("train_corpus", *args) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: nothing to train on: 2 epochs drew no pair")
    assert not (tmp_path / "out" / "summary.json").exists()
    update = "sparse" if engine == "blocks" else "dense"
    more = f"--engine={engine}", f"--update={update}", "--batch_size=128", f"--model={model}"
    assert start("ptb_ablation", *text, *QUICK, *more, "--seeds=2") == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "nothing to train on: 2 epochs drew no pair" in line
    lines = tmp_path / "out" / "results.jsonl"
    assert not lines.exists() or not lines.read_text()


def test_an_epoch_without_a_centre_is_passed_over(make_corpus, make_hyper):
    """At a share of 1 in 6 some epochs of a line of two have none: the run goes on."""
    corpus, hyper = make_corpus([[0, 1]]), make_hyper(np.ones(2), keep_prob=np.full(2, 0.4))
    key, static = jax.random.key(3), PLAIN._replace(platform="cpu")
    draw = jax.jit(lambda *args: subsampling.sample_chunk(*args, static))
    text = [jnp.asarray(x) for x in corpus.arrays(0, 2, 2)]
    program = training.Program(draw, None, None, 1, 0.0)
    whole = training.Training(key, corpus, program, hyper, static, 60)
    found = [v.epoch for v in visits.visits(whole)]
    drawn = [epoch for epoch in range(60) if draw(key, epoch, 0, *text, hyper).centres]
    assert found == drawn and 0 < len(found) < 60


@pytest.mark.parametrize("rate", ["1e-9", "1e6"])
@pytest.mark.slow
def test_a_run_no_better_than_chance_says_so_with_both_figures(capsys, text_folder, tmp_path, rate):
    args = [*QUICK, f"--corpus={text_folder / 'corpus.txt'}", "--init=gensim", "--optimizer=sgd"]
    args += [f"--learning_rate={rate}", "--min_count=1"]
    if start("train_corpus", *args, f"--workdir={tmp_path / 'run'}") == 2:
        return  # diverged, and said so
    figure = f"{3 * math.log(2):.4f}"
    said = capsys.readouterr().out
    assert "no better than chance" in said and figure in said
    if rate == "1e-9":
        sweep = [*QUICK, f"--corpus={text_folder / 'corpus.txt'}", "--optimizer=sgd", "--seeds=2"]
        assert (
            start("ptb_ablation", *sweep, f"--learning_rate={rate}", f"--workdir={tmp_path}") == 0
        )
        said = capsys.readouterr().out
        assert "no better than chance" in said and f"against {figure}" in said


@pytest.mark.parametrize(
    ("loss", "error", "told"),
    [(4.0, 0.0, False), (4.1589, 0.0, True), (1e10, 0.0, True), (4.1, 0.1, True), (None, 0, False)],
)
def test_only_a_loss_that_is_no_better_is_told(loss, error, told):
    assert chance.no_better(loss, error, chance.of("negative_sampling", 5, 10)) == told


@pytest.mark.parametrize("name", losses.LOSSES)
def test_chance_is_the_loss_of_scores_of_zero(name):
    loss, negatives, size = losses.LOSSES[name], 3, 7
    if loss.paths:
        assert loss.chance(negatives, size) is None  # the lengths of paths decide
        return
    if loss.vocabulary:
        found = loss(jnp.zeros(size), jnp.array([2]), jnp.ones(1))
    else:
        terms = loss.terms(jnp.zeros(1 + negatives), jnp.array([1.0, 0, 0, 0]))
        found = jnp.sum(terms)
    assert float(found) == pytest.approx(loss.chance(negatives, size), rel=1e-6)
