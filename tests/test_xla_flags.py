"""XLA_FLAGS: added to where a GPU can be there, never against the user's own."""

import pytest

from experiments import xla_flags


@pytest.mark.parametrize("own", ["", "--xla_dump_to=/nowhere"])
def test_the_option_stands_behind_the_users_flags(monkeypatch, own):
    monkeypatch.setattr(xla_flags, "find_spec", lambda name: name == "jax_cuda13_plugin")
    monkeypatch.setenv("XLA_FLAGS", own)
    note = xla_flags.avoid_slow_scatter()
    assert xla_flags.os.environ["XLA_FLAGS"].split() == [*own.split(), xla_flags.SCATTER]
    assert xla_flags.SCATTER in note


@pytest.mark.parametrize(
    ("own", "plugin"),
    [("--xla_backend_extra_options=other", True), ("--xla_dump_to=/x", False), ("a.txt", True)],
)
def test_nothing_is_changed_where_the_user_set_it_or_there_is_no_gpu(monkeypatch, own, plugin):
    monkeypatch.setattr(xla_flags, "find_spec", lambda name: plugin)
    monkeypatch.setenv("XLA_FLAGS", own)
    assert xla_flags.avoid_slow_scatter() == ""
    assert xla_flags.os.environ["XLA_FLAGS"] == own
