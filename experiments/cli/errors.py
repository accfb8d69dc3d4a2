"""Messages of the library, which name arguments -> messages of a command, which name flags."""

import re

_ARGUMENT = re.compile(r"`([a-z_]+(?:=[^`]*)?)`")


def as_flags(text: str) -> str:
    """`name` and `name=value` in backticks -> --name and --name=value."""
    return _ARGUMENT.sub(r"--\1", text)
