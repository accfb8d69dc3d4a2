"""Flagfiles: opened as every other file is, their lines put in their places."""

import io
import os
import re
from collections.abc import Iterator, Sequence

from absl import flags

from w2v_jax.data import files
from w2v_jax.types import UserError

_DIRECTIVE = re.compile(r"--?flagfile(?:=(.*))?", re.S)


def expanded(args: Sequence[str]) -> list[str]:
    """Arguments with the lines of flagfiles in their places, as absl puts them there.

    A flagfile may be packed or a pipe, have a byte-order mark, and name further ones. Raises
    UserError where one can't be read.
    """
    found, rest = [], iter(args)
    for arg in rest:
        if match := _DIRECTIVE.fullmatch(arg):
            path = match[1] if match[1] is not None else next(rest, None)
            if path is None:
                raise UserError("--flagfile: names no file")
            found += _lines(path.strip(), ())
            continue
        found.append(arg)
        if arg == "--" or not arg.startswith("-"):  # what follows are no flags
            break
        if "=" not in arg and _takes_a_value(arg):
            found += [value for value in [next(rest, None)] if value is not None]
    return [*found, *rest]


def _takes_a_value(arg: str) -> bool:
    name = arg.lstrip("-")
    return name in flags.FLAGS and not flags.FLAGS[name].boolean


def _lines(path: str, above: tuple[str, ...]) -> Iterator[str]:
    """A flagfile's lines but blank ones and comments; above: those that name it."""
    whole = os.path.realpath(os.path.expanduser(path))
    if not path or whole == os.devnull:
        return
    if whole in above:
        raise UserError(f"--flagfile={path}: names itself")
    for line in io.StringIO(files.text(path, f"--flagfile={path}"), newline=None):
        line = line.strip()
        if match := _DIRECTIVE.fullmatch(line):
            yield from _lines((match[1] or "").strip(), (*above, whole))
        elif line and not line.startswith(("#", "//")):
            yield line
