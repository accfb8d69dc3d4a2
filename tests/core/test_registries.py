"""Registries: each entry, and each that a reader may add, is what it says of itself."""

import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from entries import ADDED, EVERY, SMALL, V, drawing, lion, names, tables
from messages import told

from experiments.cli import config, idle
from experiments.runs import fingerprint
from experiments.sweeps import design
from w2v_jax import huffman, update
from w2v_jax.checks import ENGINES
from w2v_jax.losses import LOSSES
from w2v_jax.noise import NOISE
from w2v_jax.optimizers import OPTIMIZERS, SCHEDULES, Optimizer, Schedule

CONSTANTS = ("beta1", "beta2", "epsilon", "weight_decay")
ENTRIES = [(field, name) for field in EVERY for name in names(field)]
of = partial(pytest.mark.parametrize, "name")

# A tiny training


@cache
def program(static):
    """Twelve steps on four batches that are given."""

    @jax.jit
    def trained(params, batches, hyper):
        def step(i, state):
            rate = update.rate(hyper, static, i / 12)
            batch = jax.tree.map(lambda x: x[i % 4], batches)
            return update.update_step(state, batch, rate, hyper, static)[0]

        return jax.lax.fori_loop(0, 12, step, update.init_state(params, hyper, static)).params

    return trained


def with_entry(field, name):
    """A static in which the entry acts, and the tables to start from."""
    if field == "init":
        return SMALL, tables(name)
    return SMALL._replace(**{field: name}), tables()


def bits(static, params, hyper):
    """What a training ends at; as little as may be is compiled anew for it."""
    loss = LOSSES[static.loss]
    given = {"loss", "optimizer", "schedule"} - (set() if loss.draws_negatives else {"loss"})
    if loss.paths:
        hyper = hyper.replace(paths=jnp.asarray(huffman.paths(range(V, 0, -1))))
    same = static._replace(**{name: getattr(SMALL, name) for name in given})
    trained = program(static._replace(noise=SMALL.noise) if static.engine == "pairs" else static)
    found = trained(params, drawing(same)(hyper), hyper)
    found = np.concatenate([np.ravel(table) for table in found])
    assert np.isfinite(found).all()
    return found.tobytes()


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize("field", EVERY)
@pytest.mark.slow
def test_every_two_entries_of_a_registry_train_to_other_tables(hyper, field):
    ends = {name: bits(*with_entry(field, name), hyper) for name in names(field)}
    assert len(ends) >= 2 and len(set(ends.values())) == len(ends)


# Constants


@pytest.mark.usefixtures("added")
@of(names("optimizer"))
def test_an_optimisers_constants_have_an_effect_where_it_says_so(hyper, name):
    static, params = with_entry("optimizer", name)
    before = bits(static, params, hyper)
    for constant in CONSTANTS:
        other = hyper.replace(**{constant: jnp.float32(0.3)})
        has = bits(static, params, other) != before
        assert has == (constant in OPTIMIZERS[name].uses), constant


@of(["negative_sampling", "softmax", "hierarchical_softmax"])
def test_noise_has_an_effect_on_a_loss_where_it_says_so(hyper, name):
    static, params = with_entry("loss", name)
    before, uses = bits(static, params, hyper), LOSSES[name].uses
    fewer = hyper.replace(negatives=jnp.int32(1))
    assert (bits(static, params, fewer) != before) == ("negatives" in uses)
    other = static._replace(noise="exclude_target")
    assert (bits(other, params, hyper) != before) == ("noise" in uses)


@pytest.mark.usefixtures("added")
@of(names("noise"))
def test_the_noise_power_has_an_effect_on_a_law_where_it_says_so(hyper, name):
    static, params = with_entry("noise", name)
    flat = hyper.replace(noise=jnp.full((V,), 1 / V, jnp.float32))
    has = bits(static, params, flat) != bits(static, params, hyper)
    assert has == ("noise_power" in NOISE[name].uses)


@pytest.mark.usefixtures("added")
def test_a_losss_constants_are_fields_of_static(hyper):
    static, params = with_entry("loss", "scaled")
    other = static._replace(group_size=4)
    assert bits(static, params, hyper) != bits(other, params, hyper)
    for name in ("scaled", "hinge"):
        kept = dict(config.resolved(config.RunConfig(loss=name)))
        assert ("group_size" in kept) == (name == "scaled") and "block" not in kept


@of(ENGINES)
def test_the_fields_of_an_engine_shape_its_program_alone(hyper, name):
    def text(static):
        return drawing(static).lower(hyper).as_text()

    static = SMALL._replace(engine=name)
    for field, value in (("block", 2), ("group_size", 4), ("negatives_per_group", 3)):
        other = text(static._replace(**{field: value})) != text(static)
        assert other == (field in ENGINES[name].uses)


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize(("field", "name"), ENTRIES)
def test_flags_cfg_and_identity_hold_what_an_entry_uses_and_no_other_constant(field, name):
    mine = config.RunConfig(**{field: name})
    kept = dict(config.resolved(mine))
    entry = EVERY[field][name]
    assert kept[field] == name and set(getattr(entry, "uses", ())) <= set(kept)
    if field == "optimizer":
        assert set(CONSTANTS) & set(kept) == set(entry.uses)
        for constant in entry.uses:
            other = fingerprint.of_flags(dataclasses.replace(mine, **{constant: 0.25}))
            with told(f"--{constant} is"):
                fingerprint.check("OUT", {"flags": fingerprint.of_flags(mine)}, {"flags": other})


def test_a_flag_that_no_entry_speaks_of_has_an_effect(monkeypatch):
    for name, entry in OPTIMIZERS.items():
        uses = tuple(constant for constant in entry.uses if constant != "weight_decay")
        monkeypatch.setitem(OPTIMIZERS, name, entry._replace(uses=uses))
    for name in OPTIMIZERS:
        assert "weight_decay" in dict(config.resolved(config.RunConfig(optimizer=name)))


def test_beside_a_choice_of_another_version_every_flag_has_an_effect():
    kept = dict(config.resolved(config.RunConfig(optimizer="another")))
    assert set(CONSTANTS) <= set(kept)


def test_a_flag_that_two_registries_speak_of_is_idle_where_neither_uses_it(monkeypatch):
    monkeypatch.setitem(
        SCHEDULES, "decaying", Schedule(lambda done, beta1: beta1**done, ("beta1",))
    )
    for schedule, kept in (("decaying", True), ("linear", False)):
        flags_of_run = dict(config.resolved(config.RunConfig(optimizer="sgd", schedule=schedule)))
        assert ("beta1" in flags_of_run) == kept


def test_a_choice_without_a_say_leaves_its_constants_idle_too():
    causes = dict(idle.without_effect(config.RunConfig(loss="softmax", noise="exclude_contexts")))
    for name in ("noise", "noise_power", "negatives", "negatives_limit"):
        assert causes[name] == "--loss=softmax"


def test_a_constant_that_is_not_declared_does_not_reach_the_optimiser(hyper, monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "lion", Optimizer(lion, ("beta1", "beta2")))
    with pytest.raises(TypeError, match="weight_decay"):
        update.init_state(tables(), hyper, SMALL._replace(optimizer="lion"))


# Flags and help


@pytest.fixture
def defined():
    before = set(flags.FLAGS)
    yield lambda: config.define_flags(model="skipgram")
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


@pytest.mark.usefixtures("added")
def test_what_was_added_is_a_choice_of_its_flag_and_of_a_sweep(defined):
    defined()
    for field, entries in ADDED.items():
        for name in entries:
            assert name in flags.FLAGS[field].parser.enum_values
            assert design.typed(field, name, "--sweep") == name
    assert "lion" in flags.FLAGS["beta2"].help and "lion" not in flags.FLAGS["epsilon"].help
    assert "adagrad" in flags.FLAGS["epsilon"].help
