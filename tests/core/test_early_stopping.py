"""Early stopping: when a training has waited long enough, and that it has the best tables."""

import json

import numpy as np
import pytest
from scripts import text_of

import w2v_jax as w2v
from w2v_jax.early_stopping import EarlyStopping
from w2v_jax.types import Params, UserError


def test_early_stopping_waits_as_long_as_it_is_told():
    tables = [Params(np.full((2, 2), i), np.full((2, 2), i)) for i in range(6)]
    stopping = EarlyStopping(2, tables[0])
    losses = (3.0, 2.0, float("nan"), 1.0, 1.0, 1.5)
    stops = [stopping.update(i + 1, loss, tables[i]) for i, loss in enumerate(losses)]
    assert stops == [False, False, False, False, False, True]  # an equal loss is no better one
    assert (stopping.loss, stopping.epoch, stopping.worse) == (1.0, 4, 2)
    assert stopping.params is tables[3]
    again = EarlyStopping(2, tables[0])
    again.restore(json.loads(json.dumps(stopping.saved())), tables[3])
    assert again == stopping


def test_the_library_stops_early_with_the_best_tables():
    lines = [line.split() for line in text_of(30).splitlines()]
    held = [line.split() for line in text_of(10, seed=1).splitlines()]
    config = w2v.Config(dim=4, min_count=1, epochs=12, engine="pairs", update="dense")
    made = {
        "optimizer": "sgd",
        "learning_rate": 0.2,
        "window": 2,
        "negatives": 2,
        "schedule": "constant",
        "batch_size": 16,
    }
    made |= {"subsample": 0.0, "progress": False}
    run = w2v.train(lines, config, heldout=held, early_stopping=2, **made)
    ends = [line for line in run.history if "heldout_loss" in line]
    assert run.stopped_epoch == len(ends) == run.best_epoch + 2
    assert run.heldout_loss == min(line["heldout_loss"] for line in ends)
    short = w2v.train(lines, config, heldout=held, **{**made, "epochs": run.best_epoch})
    np.testing.assert_array_equal(short.vectors.vectors, run.vectors.vectors)
    assert short.heldout_loss == run.heldout_loss and short.loss == run.loss
    assert short.best_epoch is None
    corpus = w2v.Corpus.from_sentences(held, min_count=1)
    by_corpus = w2v.train(lines, config, heldout=corpus, early_stopping=2, **made)
    assert by_corpus.heldout_loss == run.heldout_loss


def test_heldout_sentences_are_prepared_as_the_text(tmp_path):
    (tmp_path / "text.txt").write_text("The cat, the mat. A dog; a log!\n" * 40)
    (tmp_path / "held.txt").write_text("A CAT. The dog, the log!\n" * 5)
    made = {"min_count": 1, "lower": True, "tokens": "simple", "dim": 4, "epochs": 1}
    made |= {"progress": False, "subsample": 0.0}
    sentences = [line.split() for line in (tmp_path / "held.txt").read_text().splitlines()]
    held = [tmp_path / "held.txt", sentences, w2v.Corpus.from_sentences(sentences, 1)]
    runs = [w2v.train(tmp_path / "text.txt", heldout=text, **made) for text in held]
    assert len({run.heldout_loss for run in runs}) == 1
    with pytest.raises(UserError, match="was read as stream, the text as sentences"):
        stream = w2v.Corpus.from_sentences(sentences, 1, reading="stream")
        w2v.train(tmp_path / "text.txt", heldout=stream, **made)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"heldout": ""}, "`heldout`: names no file"),
        ({"early_stopping": 1}, "`early_stopping=1`: needs a held-out text"),
        ({"early_stopping": -1, "heldout": [["a", "b"]]}, "must be at least 0"),
        ({"early_stopping": True, "heldout": [["a", "b"]]}, "not a whole number"),
        ({"heldout": "no_such"}, "`heldout=no_such`: no such file"),
        ({"heldout": ["a b"]}, "`heldout`: sentence 1 is a text"),
        ({"heldout": [["z"]]}, "`heldout`: holds no word of the vocabulary"),
    ],
)
def test_the_library_refuses_what_cannot_be_measured(given, said):
    with pytest.raises(UserError, match=said):
        w2v.train([["a", "b", "c"] * 20], min_count=1, progress=False, **given)
