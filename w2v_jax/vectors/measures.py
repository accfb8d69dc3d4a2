"""All measures of one table of vectors, as a table of their own."""

from collections.abc import Sequence

from w2v_jax.counting import counted
from w2v_jax.types import UserError
from w2v_jax.vectors.evaluation import LEAST, Measure
from w2v_jax.vectors.item_sets import ItemSet, measured
from w2v_jax.vectors.word_vectors import WordVectors


class Measures(tuple[Measure, ...]):
    """Measures of one table of vectors; printed, a line each."""

    def __getitem__(self, which):
        """A measure by its name or its index."""
        if isinstance(which, str):
            found = next((m for m in self if m.name == which), None)
            if found is None:
                names = ", ".join(m.name for m in self)
                raise UserError(f"`{which}`: is no measure; there are {names}")
            return found
        return super().__getitem__(which)

    def __repr__(self) -> str:
        width = max((len(m.name) for m in self), default=0)
        return "\n".join(_shown(m, width) for m in self)


def _shown(m: Measure, width: int) -> str:
    value = "  -  " if m.value is None else f"{m.value:5.3f}"
    few = ": too few" if 0 < m.covered < LEAST else ""
    return f"{m.name:<{width}}  {value}  ({m.covered:,} of {counted(m.total, 'item')}{few})"


def measures(wv: WordVectors, own: Sequence[ItemSet] = ()) -> Measures:
    """All of `item_sets.measured`."""
    return Measures(measured(wv, own))
