"""What a user is told, whether a command names flags or the library arguments."""

import re
from contextlib import contextmanager

import pytest

from experiments.cli.errors import as_flags
from w2v_jax.types import UserError


@contextmanager
def told(match):
    """A UserError whose message, as a command prints it, matches."""
    with pytest.raises(UserError) as caught:
        yield caught
    said = as_flags(str(caught.value))
    assert re.search(match, said), said
