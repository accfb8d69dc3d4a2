"""XLA_FLAGS: `configure` adds where GPU and jaxlib need it, never against the user's own."""

import warnings

import jax
import jax.numpy as jnp
import pytest
from scripts import start

import w2v_jax
from w2v_jax import sweeping, training, xla_flags
from w2v_jax.types import StaticConfig


@pytest.fixture
def machine(monkeypatch):
    """Has a CUDA plugin and a jaxlib of some version, and JAX has started nothing."""

    def pretend(jaxlib="0.10.2", plugin=True, own="", started=False):
        monkeypatch.setattr(xla_flags, "version", lambda name: jaxlib)
        monkeypatch.setattr(
            xla_flags, "find_spec", lambda name: plugin and name == "jax_cuda13_plugin"
        )
        monkeypatch.setattr(xla_flags, "has_started", lambda: started)
        monkeypatch.setenv("XLA_FLAGS", own)
        xla_flags._warn.cache_clear()

    yield pretend
    xla_flags._warn.cache_clear()


def flags():
    return xla_flags.os.environ["XLA_FLAGS"]


@pytest.mark.parametrize("own", ["", "--xla_dump_to=/nowhere"])
def test_the_option_stands_behind_the_users_flags(machine, own):
    machine(own=own)
    (note,) = w2v_jax.configure()
    assert flags().split() == [*own.split(), xla_flags.SCATTER]
    assert xla_flags.SCATTER in note
    assert w2v_jax.configure() == []  # it is there now
    assert flags().split() == [*own.split(), xla_flags.SCATTER]


@pytest.mark.parametrize("jaxlib", ["0.10.2", "0.10.3", "0.11.0", "0.11.0.dev20260101", "0.10.2+x"])
def test_affected_versions_get_it(machine, jaxlib):
    machine(jaxlib)
    assert w2v_jax.configure() and xla_flags.SCATTER in flags()


@pytest.mark.parametrize("jaxlib", ["0.9.9", "0.10.1", "0.11.1", "0.11.1.dev1", "0.12.0", "1.0.0"])
def test_other_versions_are_left_alone(machine, jaxlib):
    machine(jaxlib)
    assert w2v_jax.configure() == [] and flags() == ""


@pytest.mark.parametrize(
    ("own", "plugin"), [("--xla_backend_extra_options=other", True), ("--xla_dump_to=/x", False)]
)
def test_nothing_is_changed_where_the_user_set_it_or_there_is_no_gpu(machine, own, plugin):
    machine(own=own, plugin=plugin)
    assert w2v_jax.configure() == [] and flags() == own


def test_nothing_is_changed_where_it_is_not_wanted(machine):
    machine()
    assert w2v_jax.configure(fast_scatter=False) == [] and flags() == ""


def test_a_file_of_flags_is_the_users(machine, tmp_path):
    path = tmp_path / "flags.txt"
    machine(own=str(path))
    (note,) = w2v_jax.configure()  # the file is not there: XLA tells that
    assert note.startswith("XLA_FLAGS names a file") and flags() == str(path)
    path.write_text(xla_flags.SCATTER)
    assert w2v_jax.configure() == [] and flags() == str(path)


def test_a_command_calls_it_before_jax_starts_and_tells(machine, capsys):
    machine()
    assert start("train_corpus") == 1  # the text is missing
    assert xla_flags.SCATTER in flags()
    note, error = capsys.readouterr().err.splitlines()
    assert note.startswith("note: XLA_FLAGS: ") and error.startswith("error: --corpus")


def test_too_late_is_said(machine):
    machine(started=True)
    with pytest.warns(UserWarning, match="before JAX computes"):
        assert w2v_jax.configure() == []
    assert flags() == ""


def test_jax_itself_tells_that_it_has_started():
    jax.devices()
    assert xla_flags.has_started()


def compile_a_run():
    training.compile_program(
        None, None, 4, None, StaticConfig(), 1
    )  # refused before these are looked at


def compile_a_sweep():
    sweeping.compile_over(lambda x: x + 1, [(jnp.ones(2),)], 1)


@pytest.mark.parametrize("compile_one", [compile_a_run, compile_a_sweep])
def test_who_compiles_for_a_gpu_without_it_is_warned(machine, monkeypatch, compile_one):
    machine()
    monkeypatch.setattr(training, "platform_of", lambda tree: "gpu")
    with warnings.catch_warnings(), pytest.raises(UserWarning, match=r"w2v_jax\.configure\(\)"):
        warnings.simplefilter("error")
        compile_one()


def test_the_warning_comes_once_and_not_where_there_is_no_need(machine, monkeypatch):
    machine()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        compile_a_sweep()  # for the CPU
        assert not seen
        monkeypatch.setattr(training, "platform_of", lambda tree: "gpu")
        compile_a_sweep()
        compile_a_sweep()
        assert len(seen) == 1
        machine(own=xla_flags.SCATTER)
        compile_a_sweep()
        machine(jaxlib="0.11.1")
        compile_a_sweep()
    assert len(seen) == 1


ASKED = f"{xla_flags.DETERMINISTIC}=true {xla_flags.NO_TRITON}"


@pytest.mark.parametrize("own", ["", "--xla_dump_to=/nowhere"])
def test_deterministic_operations_are_asked_for_once(machine, own):
    machine("0.12.0", own=own)
    (note,) = w2v_jax.configure(deterministic=True)
    assert flags() == f"{own} {ASKED}".strip() and ASKED in note
    assert w2v_jax.configure(deterministic=True) == []
    machine("0.10.2", own=own)
    assert len(w2v_jax.configure(deterministic=True)) == 2
    assert flags() == f"{own} {ASKED} {xla_flags.SCATTER}".strip()


@pytest.mark.parametrize("own", [ASKED, xla_flags.DETERMINISTIC, f"{ASKED} --xla_dump_to=/x"])
def test_who_asked_xla_for_them_is_left_alone(machine, own):
    machine("0.12.0", own=own, started=True)
    assert w2v_jax.configure(deterministic=True) == [] and flags() == own


@pytest.mark.parametrize(
    ("made", "line"),
    [
        ({"own": f"{xla_flags.DETERMINISTIC}=false"}, "XLA_FLAGS has --xla_gpu_deterministic_ops"),
        ({"own": f"{ASKED} {xla_flags.DETERMINISTIC}=0"}, "XLA_FLAGS has"),  # the last one counts
        ({"own": "/nowhere/flags.txt"}, "XLA_FLAGS names a file"),
        ({"started": True}, "before JAX computes"),
    ],
)
def test_deterministic_is_refused_where_it_cannot_be_kept(machine, made, line):
    machine("0.12.0", **made)
    before = flags()
    with pytest.raises(w2v_jax.UserError, match=f"`deterministic`: .*{line}"):
        w2v_jax.configure(deterministic=True)
    assert flags() == before


def test_a_command_that_is_to_be_deterministic_tells_xla(machine, capsys):
    machine("0.12.0")
    assert start("train_corpus", "--deterministic") == 1  # the text is missing
    assert flags() == ASKED
    machine("0.12.0", own=f"{xla_flags.DETERMINISTIC}=false")
    assert start("train_corpus", "--deterministic") == 1
    assert "error: --deterministic: XLA_FLAGS has" in capsys.readouterr().err
