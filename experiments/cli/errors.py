"""What ends a command before its end, and the words in which it is told."""

import re


class Stopped(Exception):
    """A signal ended the training; the text says what was saved.

    at_once: work goes on in another thread, which the process must not wait for.
    """

    def __init__(self, number: int, text: str, at_once: bool = False):
        super().__init__(text)
        self.number, self.at_once = number, at_once


class Diverged(Exception):
    """Training left the finite numbers; the text says where and what to try."""


_ARGUMENT = re.compile(r"`([a-z_][a-z0-9_]*(?:=[^`]*)?)`")


def as_flags(text: str) -> str:
    """`name` and `name=value` in backticks -> --name and --name=value."""
    return _ARGUMENT.sub(r"--\1", text)
