"""Tables split by columns: two all-reduces a step and nothing else, and one device's result."""

import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack

import jax
import numpy as np
import pytest
import split_training
from jax.sharding import PartitionSpec as P
from scripts import ROOT

import w2v_jax as w2v
from experiments.benchmarks.ahead import hlo
from w2v_jax import beginning, columns, memory, training
from w2v_jax.config import Config
from w2v_jax.defaults import resolve
from w2v_jax.engines import pairs
from w2v_jax.model import INITS
from w2v_jax.types import UserError

KEY = jax.random.key(3)
SMALL = {"dim": 8, "batch_size": 128, "epochs": 2, "min_count": 1}
KINDS = {  # settings, and the all-reduces of a step
    "blocks, skip-gram": ({}, 2),
    "blocks, CBOW": ({"model": "cbow"}, 2),
    "pairs, skip-gram": ({"engine": "pairs"}, 2),
    "pairs, CBOW, adam": ({"engine": "pairs", "model": "cbow", "optimizer": "adam"}, 1),
    "blocks, adagrad": ({"optimizer": "adagrad"}, 1),
    "blocks, dense": ({"update": "dense"}, 2),
    "pairs, softmax": (
        {"engine": "pairs", "loss": "softmax", "update": "dense", "optimizer": "sgd"},
        1,
    ),
}


@pytest.fixture(scope="module")
def corpus():
    return w2v.Corpus.from_sentences(split_training.sentences(), min_count=1)


def begun(corpus, **fields):
    """What a training of these settings starts from: config, hyperparameters, state."""
    config = resolve(Config(**SMALL, **fields), corpus)
    hyper = beginning.make_hyper(config, corpus.vocab)
    first, size = beginning.tables(config, corpus), len(corpus.vocab.words)
    return config, hyper, beginning.initial_state(config, size, KEY, hyper, first)


def lowered(corpus, **fields):
    config, hyper, state = begun(corpus, **fields)
    size, static = corpus.chunk_size, config.static()
    return training.lower(state, KEY, size, hyper, static, 10), state, static


def collectives(module, computation):
    """Opcodes of the instructions that speak to other devices, with those of loops in it."""
    found = []
    for one in module[computation]:
        found += [one.opcode] * one.opcode.startswith(hlo.COLLECTIVES)
        for inner in one.called:
            found += collectives(module, inner)
    return found


# The program


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_has_its_all_reduces_and_nothing_else(corpus, kind):
    fields, count = KINDS[kind]
    program, state, static = lowered(corpus, mesh="columns:2", **fields)
    compiled = program.train_steps.compile()
    module = hlo.parse(compiled.as_text())
    assert collectives(module, "ENTRY") == ["all-reduce"] * count
    outside = [one.opcode for one in module["ENTRY"] if one.opcode.startswith(hlo.COLLECTIVES)]
    assert not outside  # all are of the loop
    slots = static.batch_size * (1 if static.model == "cbow" else 2 * static.window)
    inputs = 2 * static.window if static.model == "cbow" else 1
    assert pairs.part_size(slots, inputs, SMALL["dim"], static) == slots  # a loop of one round
    tables = 2 * state.params.input.nbytes // 2  # of a device
    assert compiled.memory_analysis().alias_size_in_bytes >= tables  # donated


def test_what_is_drawn_is_drawn_by_each_device(corpus):
    program, _, _ = lowered(corpus, mesh="columns:2")
    assert not collectives(hlo.parse(program.draw.compile().as_text()), "ENTRY")
    assert not collectives(hlo.parse(program.shuffle.compile().as_text()), "ENTRY")


def test_without_a_mesh_nothing_is_said_to_a_program(corpus):
    _, _, state = begun(corpus)
    static = Config().static()
    assert columns.of_draws(state, static) == columns.of_steps(state, 5, static) == {}
    assert columns.putting(state, static) is jax.device_put


# The first tables


@pytest.mark.bits
@pytest.mark.parametrize("init", INITS)
def test_first_tables_are_one_devices_to_the_bit(corpus, init):
    _, _, one = begun(corpus, init=init)
    _, _, split = begun(corpus, init=init, mesh="columns:4")
    jax.tree.map(np.testing.assert_array_equal, one, split)
    for table in split.params:
        assert table.sharding.spec == P(None, "columns")
        assert {shard.data.shape for shard in table.addressable_shards} == {(len(table), 2)}
    assert split.opt_state.input.representative.sharding.is_fully_replicated


def test_no_device_ever_holds_a_whole_table():
    rows, mesh = 1000, columns.devices("columns:4")

    def make(key):
        return INITS["xavier"](*jax.random.split(key), (rows, 8))

    lying = columns.shardings(jax.eval_shape(make, KEY), mesh)
    text = jax.jit(make, out_shardings=lying).lower(KEY).compile().as_text()
    assert re.search(r"\[1000,2\]", text) and not re.search(r"\[1000,8\]|\[8000\]", text)


# The result


@pytest.fixture(scope="module")
def alone():
    return split_training.trained("")


def assert_close(found, expected):
    for name, table in found.items():
        np.testing.assert_allclose(table, expected[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("size", "names"), [(1, ["skipgram"]), (2, ["skipgram", "cbow"]), (4, ["skipgram"])]
)
def test_the_result_is_one_devices(alone, size, names):
    assert_close(split_training.trained(f"columns:{size}", names), alone)
    assert np.ptp(alone["skipgram_output"]) > 0.1  # of tables that have moved


def test_a_state_stays_as_it_lies(corpus):
    config, hyper, state = begun(corpus, mesh="columns:2", optimizer="adam")
    static, size = config.static(), corpus.chunk_size
    program = training.compile_program(state, KEY, size, hyper, static, 10)
    lying, first = jax.tree.map(lambda leaf: leaf.sharding, state), state.params.input
    whole = training.Training(KEY, corpus, program, hyper, static, 1)
    for after, _ in training.train(state, whole):
        assert jax.tree.map(lambda leaf: leaf.sharding, after) == lying
    assert first.is_deleted()


def test_runs_of_steps_as_accelerators_take_them_give_it_too(alone, monkeypatch):
    monkeypatch.setattr(training, "platform_of", lambda tree: "gpu")
    assert_close(split_training.trained("columns:2", ["skipgram"]), alone)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "names"), [(2, ["cbow"]), (4, ["skipgram"])])
def test_processes_share_a_training(alone, tmp_path, count, names):
    """One device each: equal among themselves, and what one device gets."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    script = ROOT / "tests" / "split_training.py"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    given = [(address, count, own, tmp_path / f"{own}.npz") for own in range(count)]
    with ExitStack() as stack:
        processes = []
        for one in given:
            args = [sys.executable, script, *map(str, one), *names]
            process = subprocess.Popen(args, env=environment, stderr=subprocess.PIPE, text=True)
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
    first, *others = [np.load(file) for *_, file in given]
    assert_close(first, alone)
    for other in others:
        for name in first:
            np.testing.assert_array_equal(first[name], other[name])


# What is refused, and what memory it takes


@pytest.mark.parametrize(
    "mesh", ["2", "columns", "columns:0", "columns:-1", "columns:2.0", "rows:2"]
)
def test_what_is_no_mesh_is_refused(mesh):
    with pytest.raises(UserError, match=f"^`mesh={re.escape(mesh)}`: must be columns:S"):
        Config(mesh=mesh)


LINES = [["a", "b", "c", "d", "e", "f"]] * 30


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda c: Config(mesh="columns:3"), "`mesh=columns:3`: `dim=100` is not a multiple of 3"),
        (lambda c: Config(mesh="columns:2", replicas=2), "does not go with `replicas=2`"),
        (
            lambda c: Config(mesh="columns:9999"),
            "must be columns:S, with S devices from 1 to 1,024",
        ),
        (lambda c: w2v.train(c, mesh="columns:5", dim=5), "there are 4 devices of cpu here"),
        (
            lambda c: w2v.make_train(c, mesh="columns:2"),
            "a training as one function has one device",
        ),
        (lambda c: w2v.sweep(c, mesh="columns:2", seeds=2), "`mesh=columns:2`: .* has one device"),
    ],
)
def test_what_cant_be_split_is_refused(call, line):
    with pytest.raises(UserError, match=line):
        call(w2v.Corpus.from_sentences(LINES, min_count=1))


def test_a_state_that_lies_otherwise_is_refused(corpus):
    config, hyper, state = begun(corpus)
    static = config.static()._replace(mesh="columns:2")
    with pytest.raises(UserError, match="`mesh=columns:2`: the state is not split so"):
        training.compile_program(state, KEY, corpus.chunk_size, hyper, static, 10)


def test_each_device_is_expected_to_hold_its_columns(corpus):
    config, hyper, _ = begun(corpus)
    shape, size = (10**6, 100, hyper), corpus.chunk_size

    def needed(mesh):
        static = config.static()._replace(mesh=mesh)
        return memory.memory_needed(1, static, *shape, size, 1, jax.devices()[:1], 1, 1)

    tables = 2 * 2 * 4 * 10**6 * 100  # of two states
    assert needed("") - needed("columns:4") == pytest.approx(tables * 3 / 4, rel=0.01)
