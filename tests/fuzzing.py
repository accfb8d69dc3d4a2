"""How hostile input is drawn: arbitrary bytes, and valid files that were tampered with.

`cases(n)` makes a property test of n cases, the same in every run. W2V_JAX_FUZZ=N multiplies them
and draws others each time, for long runs by hand.
"""

import os
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FACTOR = int(os.environ.get("W2V_JAX_FUZZ", "0"))
drawn = Counter()  # cases by test module

SPACES = [" ", "\n", "\t", "\r", "\r\n", "\x0b", "\x1c", "\x85", "\xa0", "\u2028", "\u3000"]
PIECES = [
    *(space.encode() for space in SPACES),
    *(b"\0", b"\xff", b"\xc2", b"\xed\xa0\x80", "\ufeff".encode(), "é木".encode(), b"\x1b[2J"),
    *(b"nan", b"inf", b"-1", b"0", b"1e400", b"99999999999", b"1_0", b"9" * 400, b".", b"-"),
    *(b"#", b":", b",", b"=", b"(", b"'", b'"', b"\\", b"--", b"a", b"uniform(1,2)"),
]
KINDS = ("flip", "cut", "end", "insert", "repeat", "replace")


def _pieces(choice: bytes) -> bytes:
    """A piece for each byte, or the byte itself: one draw gives a whole file."""
    return b"".join(PIECES[i] if i < len(PIECES) else bytes([i]) for i in choice)


def _edits(choice: bytes) -> list[tuple[str, int, int, bytes]]:
    """An edit for each five bytes: its kind, where, how many bytes, and what is put there."""
    fives = [choice[i : i + 5] for i in range(0, len(choice) - 4, 5)]
    return [
        (KINDS[kind % len(KINDS)], high << 8 | low, size % 40, _pieces(bytes([piece])))
        for kind, high, low, size, piece in fives
    ]


BYTES = st.one_of(st.binary(max_size=60), st.binary(max_size=16).map(_pieces))
EDITS = st.binary(min_size=5, max_size=19).map(_edits)
TEXT = st.text(  # as a corpus may hold it
    st.one_of(
        st.characters(exclude_categories=["Cs"]), st.sampled_from("    \n\0\ufeff\u200b\x1b,:#_-ab")
    ),
    max_size=24,
)


def cases(count: int):
    """Settings of a test that is given so many cases."""

    def decorate(test):
        drawn[test.__module__] += count
        return settings(
            max_examples=count * max(FACTOR, 1),
            derandomize=not FACTOR,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(test)

    return decorate


def tampered(data: bytes, edits) -> bytes:
    """A file with its edits: a bit flipped, a slice cut, repeated or replaced, an end cut off."""
    data = bytearray(data)
    for kind, offset, size, piece in edits:
        offset %= len(data) + 1
        if kind == "flip" and offset < len(data):
            data[offset] ^= 1 << size % 8
        elif kind == "cut":
            del data[offset : offset + size]
        elif kind == "end":
            del data[offset:]
        elif kind == "insert":
            data[offset:offset] = piece
        elif kind == "repeat":
            data[offset:offset] = data[offset : offset + size]
        elif kind == "replace":
            data[offset : offset + len(piece)] = piece
    return bytes(data)


def one_line(error: Exception) -> str:
    """A message, which must be a line whatever the input was."""
    text = str(error)
    assert len(text.splitlines()) == 1 and len(text) < 1000, text
    return text
