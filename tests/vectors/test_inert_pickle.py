"""Pickles read as data: plain values as Python's own reader has them; nothing is called."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2v_jax.vectors import inert_pickle
from w2v_jax.vectors.inert_pickle import Global, Made

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=300).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=3), inner, max_size=5)
        | st.tuples(inner, inner)
        | st.tuples(inner, inner, inner, inner)
    ),
    max_leaves=20,
)


@given(PLAIN, st.integers(3, 5))
@settings(max_examples=300, deadline=None)
def test_plain_values_are_read_as_python_reads_them(value, protocol):
    assert inert_pickle.read(pickle.dumps(value, protocol)) == value


def test_many_items_and_what_is_named_twice():
    words = [f"w{i}" for i in range(3000)]
    value = {"words": words, "ids": {word: i for i, word in enumerate(words)}, "again": words}
    for protocol in (2, 3, 4, 5):
        found = inert_pickle.read(pickle.dumps(value, protocol))
        assert found == value and found["again"] is found["words"]


def test_objects_are_described_and_nothing_is_called(tmp_path):
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    for protocol in (2, 3, 4, 5):
        found = inert_pickle.read(pickle.dumps({"x": Evil()}, protocol))["x"]
        assert isinstance(found, Made) and found.of.name == "mkdir" and found.args == (str(mark),)
        assert isinstance(found.of, Global) and not mark.exists()
    array = inert_pickle.read(pickle.dumps(np.arange(3), 4))
    assert array.of.name == "_reconstruct" and array.state[1] == (3,)


@given(st.binary(max_size=60), st.integers(0, 200))
@settings(max_examples=500, deadline=None)
def test_damaged_pickles_are_refused(rest, cut):
    whole = pickle.dumps({"words": ["a", "b"], "table": np.ones(3)}, 4)
    for data in (rest, whole[:cut] + rest, b"\x80\x04" + rest):
        try:
            inert_pickle.read(data)
        except ValueError as error:
            assert str(error)


def test_an_operation_that_is_not_known_is_named():
    with pytest.raises(ValueError, match="operation 0x50 at byte 2"):
        inert_pickle.read(b"\x80\x02Pid\n.")
