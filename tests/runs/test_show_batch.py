"""What show_batch prints is what the batch's arrays hold and what the step did."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from batches import flat
from scripts import start

from experiments.runs import batch as shown
from w2v_jax import training as training
from w2v_jax import update
from w2v_jax.data import corpus as corpora
from w2v_jax.engines import blocks

TOY = "you say goodbye and i say hello .\n"
SMALL = ("--block=4", "--group_size=8", "--negatives_per_group=6", "--batch_size=16", "--dim=6")
WAYS = [(model, engine) for model in ("skipgram", "cbow") for engine in ("pairs", "blocks")]


class Printed:
    """What a command printed, taken apart, and the arrays that it was made of."""

    def __init__(self, text, config, vocab, step):
        self.text, self.config, self.vocab, self.step = text, config, vocab, step
        rows = [re.split(r" -> | \| ", line) for line in text.splitlines() if " | " in line]
        self.examples = [tuple(cell.split() for cell in row) for row in rows[1:]]
        self.loss = float(re.search(r"^loss (\S+) per positive", text, re.M).group(1))
        moved = re.findall(r"^  (\d+) of (\d+) rows moved(?:: (.*))?$", text, re.M)
        self.moved = [(int(n), int(of), set(words.split())) for n, of, words in moved]
        self.numbers = re.findall(
            r"^  (\S+) +([-. \d]+) -> ([-. \d]+)  changed by (\S+)$", text, re.M
        )

    @property
    def static(self):
        return self.config.static()

    def row_sets(self):
        """The batch by the reference engine's layout, a centre a row, by plain loops.

        -> for each centre its inputs, {output: weight} of positives, {output: weight} of negatives,
        words for ids.
        """
        batch, static, words = self.step.batch, self.static, self.vocab.words
        if self.config.engine == "blocks":
            hyper = shown.beginning.make_hyper(self.config, self.vocab)
            batch = blocks.expand(jax.tree.map(jnp.asarray, batch), len(words), hyper, static)
        batch = flat(batch)
        for t in range(len(batch.inputs)):
            inputs = [
                words[i] for i, w in zip(batch.inputs[t], batch.input_weights[t], strict=True) if w
            ]
            outputs = [
                (words[batch.outputs[t, o]], batch.labels[t, o], float(batch.weights[t, o]))
                for o in range(batch.outputs.shape[1])
                if batch.weights[t, o]
            ]
            if outputs:
                yield inputs, outputs


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """(model, engine, further flags) -> Printed; each is run once."""
    folder, made = tmp_path_factory.mktemp("toy"), {}
    (folder / "toy.txt").write_text(TOY)

    def show(model, engine, *more):
        key = model, engine, *more
        if key not in made:
            kept, lines = [], shown.lines

            def keep(*args):
                kept.append((*args, lines(*args)))
                return kept[0][-1]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(shown, "lines", keep)
                args = [f"--corpus={folder / 'toy.txt'}", "--window=2", "--negatives=3", *SMALL]
                args += [f"--model={model}", f"--engine={engine}", "--examples=100", *more]
                assert start("show_batch", *args) == 0
            ((config, vocab, step, _, text),) = kept
            made[key] = Printed("\n".join(text), config, vocab, step)
        return made[key]

    return show


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.slow
def test_pairs_are_printed_as_the_batch_has_them(printed, model):
    """Each positive on a line of its own with its three negatives, in the batch's order."""
    it = printed(model, "pairs")
    expected = []
    for inputs, outputs in it.row_sets():
        for first in range(0, len(outputs), 4):
            (word, label, _), *rest = outputs[first : first + 4]
            assert label == 1 and [(label, weight) for _, label, weight in rest] == [(0, 1)] * 3
            expected.append((inputs, [word], [word for word, *_ in rest]))
    assert it.examples == expected and len(expected) >= 8


@pytest.mark.parametrize(
    ("model", "noise"),
    [("skipgram", "exclude_target"), ("cbow", "with_replacement")],
)
@pytest.mark.slow
def test_blocks_are_printed_as_the_batch_has_them(printed, model, noise):
    """A centre a line, its contexts with their weights, and what its group's negatives weigh."""
    it = printed(model, "blocks", f"--noise={noise}")
    (group,) = re.findall(r"the next 8 centres share 6 negatives: (.*)", it.text)
    names = []
    for word, times in re.findall(r"(\S+?)(?:\((\d+)\))?(?= |$)", group):
        names += [word] * int(times or 1)
    assert sorted(names) == sorted(it.vocab.words[i] for i in it.step.batch.negatives[0])
    expected = []
    for inputs, outputs in it.row_sets():
        positives = [(word, weight) for word, label, weight in outputs if label]
        sums = np.zeros(6)  # of the slots of the group's negatives
        for word, label, weight in outputs:
            drawn = [
                i for i, n in enumerate(it.step.batch.negatives[0]) if it.vocab.words[n] == word
            ]
            sums[drawn] += 0 if label else weight / len(drawn)
        expected.append((inputs, positives, sums))
    assert len(it.examples) == len(expected) == 8
    for (left, right, weights), (inputs, positives, sums) in zip(
        it.examples, expected, strict=True
    ):
        centre, contexts = (left, right) if model == "skipgram" else (right, left)
        found = [word.partition("*") for word in contexts]
        if model == "skipgram":
            assert centre == inputs and [word for word, *_ in found] == [w for w, _ in positives]
            told = [float(weight or 1) for *_, weight in found]
            assert len(set(told)) == 1 or told == pytest.approx([w for _, w in positives], rel=0.01)
        else:
            assert centre == [positives[0][0]] and [word for word, *_ in found] == inputs
        low, *high = [float(x) for x in weights if x != "to"]
        assert low == pytest.approx(sums.min(), abs=6e-4)
        assert (high or [low])[0] == pytest.approx(sums.max(), abs=6e-4)


def log_sigmoid(score):
    return -np.log1p(np.exp(-np.float64(score)))


@pytest.mark.parametrize(("model", "engine"), WAYS)
def test_the_loss_is_that_of_what_is_printed(printed, model, engine):
    """Weighted log-sigmoids of the words' rows before the step, in float64."""
    it = printed(model, engine)
    index = {word: i for i, word in enumerate(it.vocab.words)}
    total = positives = 0.0
    for number, (inputs, outputs) in enumerate(it.row_sets()):
        rows = it.step.before.input[[index[word] for word in inputs]].astype(np.float64)
        shares = np.ones(len(inputs))
        if model == "cbow" and engine == "blocks":
            contexts = it.examples[number][0]
            shares = np.array([float(word.partition("*")[2] or 1) for word in contexts])
        h = shares @ rows / shares.sum()
        for word, label, weight in outputs:
            score = h @ it.step.before.output[index[word]]
            total -= weight * log_sigmoid(score if label else -score)
            positives += weight * label
    assert it.loss == pytest.approx(total / positives, abs=1e-4)


@pytest.mark.parametrize(("model", "engine"), [("skipgram", "blocks"), ("cbow", "pairs")])
@pytest.mark.slow
def test_rows_before_and_after_are_those_of_an_update_with_the_batch(printed, model, engine):
    it = printed(model, engine)
    hyper = shown.beginning.make_hyper(it.config, it.vocab)
    key = jax.random.key(it.config.seed)
    state = shown.beginning.initial_state(it.config, len(it.vocab.words), key, hyper)
    corpus = shown.run.read_corpus(it.config)[2]
    static = it.static._replace(platform="cpu")
    program = training.compile_program(state, key, len(corpus.ids), hyper, static, 1)
    whole = training.Training(key, corpus, program, hyper, static, it.config.epochs)
    steps = training.train(state, whole)
    state, _ = next(steps)
    for before, table in zip(it.step.before, state.params, strict=True):
        assert np.array_equal(before, table)
    batch = jax.tree.map(jnp.asarray, it.step.batch)
    rate = jnp.float32(it.step.report.learning_rate)
    after, metrics = update.update_step(state, batch, rate, hyper, static)
    for own, table in zip(it.step.after, after.params, strict=True):
        np.testing.assert_allclose(own, table, atol=1e-6)
    assert it.loss == pytest.approx(float(metrics.loss / metrics.positives), abs=1e-4)
    for word, old, new, change in it.numbers:
        i = it.vocab.words.index(word)
        old, new = (np.array(text.split(), float) for text in (old, new))
        found = [
            np.allclose(before[i, :3], old, atol=6e-5)
            and np.allclose(own[i, :3], new, atol=6e-5)
            and np.abs(own[i] - before[i]).max() == pytest.approx(float(change), rel=0.06)
            for before, own in zip(it.step.before, it.step.after, strict=True)
        ]
        assert any(found)
    assert len(it.numbers) >= 4


@pytest.mark.parametrize(("model", "engine"), WAYS)
def test_the_rows_that_moved_are_those_of_the_batch(printed, model, engine):
    it = printed(model, engine)
    inputs, outputs = set(), set()
    for of_inputs, of_outputs in it.row_sets():
        inputs |= set(of_inputs)
        outputs |= {word for word, *_ in of_outputs}
    size = len(it.vocab.words)
    assert it.moved == [(len(inputs), size, inputs), (len(outputs), size, outputs)]


@pytest.mark.parametrize("engine", ["pairs"])
@pytest.mark.slow
def test_a_later_step_of_a_later_chunk_is_shown_with_its_own_batch(monkeypatch, tmp_path, engine):
    """The batch is made anew: with it the tables before give those after."""
    monkeypatch.setattr(corpora, "CHUNK", 16)
    (tmp_path / "lines.txt").write_text("".join(f"a{i} b{i} c{i} d a{i} b{i}\n" for i in range(7)))
    taken, own = [], shown.take
    monkeypatch.setattr(
        shown, "take", lambda *args: taken.append((args, own(*args))) or taken[0][1]
    )
    args = f"--corpus={tmp_path / 'lines.txt'}", *SMALL, f"--engine={engine}", "--epochs=3"
    assert start("show_batch", *args, "--step=7") == 0
    (((config, corpus, _), step),) = taken
    assert step.report.step == 7 and step.report.position.slot > 0
    hyper = shown.beginning.make_hyper(config, corpus.vocab)
    state = shown.beginning.initial_state(config, len(corpus.vocab.words), jax.random.key(1), hyper)
    static = config.static()._replace(optimizer="sgd", platform="cpu")
    before = state.replace(params=jax.tree.map(jnp.asarray, step.before))
    batch = jax.tree.map(jnp.asarray, step.batch)
    _, metrics = update.update_step(before, batch, jnp.float32(0), hyper, config.static())
    assert float(metrics.loss) == pytest.approx(step.report.metrics.loss, rel=1e-5)
    grads, _ = update.gradient(before.params, batch, static)
    for old, new, grad in zip(step.before, step.after, grads, strict=True):
        moved = np.any(old != new, axis=1)
        assert np.all(np.any(np.asarray(grad) != 0, axis=1) == moved)
        assert np.all(np.sum((new - old) * np.asarray(grad), axis=1)[moved] < 0)


def test_the_first_step_moves_output_embeddings_alone(printed):
    assert [count for count, *_ in printed("skipgram", "pairs", "--step=1").moved] == [0, 7]


@pytest.mark.parametrize(("model", "engine"), [("skipgram", "pairs"), ("cbow", "blocks")])
@pytest.mark.slow
def test_a_screen_holds_the_toy(capsys, model, engine):
    assert start("show_batch", "--dataset=toy", f"--model={model}", f"--engine={engine}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert 15 < len(lines) <= 40 and max(map(len, lines)) <= 110


@pytest.mark.slow
def test_of_a_large_text_eight_examples_and_a_line_of_moved_rows_are_shown(capsys):
    args = "--dataset=wiki_sample", "--max_words=3000", "--dim=8", "--batch_size=128"
    assert start("show_batch", *args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40 and sum(" | " in line for line in lines) == 9
    told = [line.replace(",", "").split() for line in lines if line.endswith(" ..")]
    assert len(told) == 2 and all(8 < int(t[0]) < int(t[2]) for t in told)
    assert max(map(len, lines)) <= 110
    assert any(line.endswith("  stayed") for line in lines)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "--corpus=FILE_OR_GLOB is missing"),
        (["--corpus=nowhere.txt"], "--corpus=nowhere.txt: no such file"),
        (["--dataset=toy", "--step=0"], "--step"),
        (["--dataset=toy", "--examples=0"], "--examples"),
        (["--dataset=toy", "--step=9", "--epochs=3"], "--step=9: the training has 3 steps"),
        (["--dataset=toy", "--loss=softmax"], "--update=sparse"),
        (["--dataset=toy", "--workdir=out"], "workdir"),
    ],
)
@pytest.mark.slow
def test_wrong_input_is_one_line(capsys, args, told):
    assert start("show_batch", *args) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and told in line


@pytest.mark.slow
def test_a_loss_over_the_vocabulary_has_all_words_for_negatives(capsys):
    args = "--dataset=toy", "--loss=softmax", "--rows=dense", "--dim=4"
    assert start("show_batch", *args) == 0
    out = capsys.readouterr().out
    assert "goodbye -> " in out and "| all other words" in out
