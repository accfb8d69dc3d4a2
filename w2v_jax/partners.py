"""The processes that carry the replicas of one training, and how they find each other."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Partners(NamedTuple):
    """The processes that carry a training's replicas, an equal share each."""

    processes: int = 1  # a power of two, at most R
    number: int = 0  # of this one
    swap: Callable[[int, Any], Any] | None = None  # (level, arrays) -> the partner's there

    def share(self, replicas: int) -> range:
        """The numbers of the replicas that this process carries."""
        each = replicas // self.processes
        return range(self.number * each, (self.number + 1) * each)

    def pair(self, level: int, tree: Any) -> tuple[Any, Any]:
        """A tree and the partner's at a level, in the order of their processes."""
        return self.in_order(level, tree, self.swap(level, tree))

    def in_order(self, level: int, own: Any, other: Any) -> tuple[Any, Any]:
        """What this process has and what its partner at a level has, in their order."""
        return (other, own) if self.number >> level & 1 else (own, other)

    def levels(self) -> range:
        """At level l the partner is the process whose number differs in bit l."""
        return range(self.processes.bit_length() - 1)


ALONE = Partners()
