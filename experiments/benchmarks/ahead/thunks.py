"""What XLA leaves of a program for a GPU: what its host starts, in order, and the kernels' PTX."""

import re
from typing import NamedTuple

SEQUENCE = "*.thunk_sequence_after_thunk_passes.txt"
LOOPS = ("kWhile", "kConditional", "kSequential")
_LINE = re.compile(r"^(?P<indent> *)\d+: (?P<kind>k\w+)")


class Started(NamedTuple):
    """What the host starts in a round of the innermost loop."""

    kernels: int  # copies and memsets too
    command_buffers: int
    outside: int  # kernels that are in none


def of_a_step(text: str, depth: int) -> Started | None:
    """What a round of a loop starts that lies so deep in loops, the largest of them; or None.

    text: the sequence of thunks, a line each, deeper ones indented. What loops in it start counts
    once.
    """
    bodies: list[int] = []  # how far those of the loops around are indented
    found, counted, buffer = [], Started(0, 0, 0), None
    for line in [*text.splitlines(), "0: kEnd"]:
        indent = len(line) - len(line.lstrip())
        if line.strip() == "body:":
            bodies.append(indent)
            if len(bodies) == depth:
                counted, buffer = Started(0, 0, 0), None
            continue
        thunk = _LINE.match(line)
        while thunk and bodies and indent <= bodies[-1]:
            if len(bodies) == depth:
                found.append(counted)
            bodies.pop()
        if not thunk or len(bodies) < depth:
            continue
        kernels, buffers, outside = counted
        if thunk["kind"] == "kCommandBuffer":
            counted, buffer = Started(kernels, buffers + 1, outside), indent
        elif thunk["kind"] not in LOOPS:
            buffer = buffer if buffer is not None and indent > buffer else None
            counted = Started(kernels + 1, buffers, outside + (buffer is None))
    return max(found, default=None)


def compare_and_swaps(ptx: str) -> int:
    """Atomic operations that are loops of compare-and-swap."""
    return len(re.findall(r"\batom\.[\w.]*\bcas\b", ptx))
