"""The command line, and flagfiles on it, as any version wrote them -> today's."""

import os
import re
from collections.abc import Callable, Collection, Iterator

from experiments.cli import earlier_flags
from experiments.cli.config import FLAGS
from experiments.cli.earlier_flags import REMOVED, RENAMED
from w2v_jax.data import files
from w2v_jax.types import UserError


def today(
    args: list[str], known: Collection[str], expand: Callable[[list[str]], list[str]]
) -> tuple[list[str], list[str]]:
    """The arguments by today's names, and what to tell of it.

    known: the script's flags; expand: puts the lines of flagfiles in their places. Raises UserError
    for a removed flag that has another value than this version behaves like.
    """
    done, notes = [], []
    rest = iter(expand(list(_completed(args, known))))
    for arg in rest:
        name, text = earlier_flags.split(arg) or ("", "")
        if name in known or name not in {**RENAMED, **REMOVED}:
            done.append(arg)
            continue
        if "=" not in arg and not _is_switch(name):
            text = next(rest, "")
        if name in REMOVED:
            notes.append(_removed(name, text))
        else:
            new, text = earlier_flags.today(name, text, known)
            done.append(f"--{new}={text}")
            notes.append(f"--{name} is now --{new}")
    return done, list(dict.fromkeys(notes))


def _is_switch(name: str) -> bool:
    if name in REMOVED:
        return REMOVED[name] in ("true", "false")
    return earlier_flags.is_switch(RENAMED[name].name)


def _removed(name: str, text: str) -> str:
    if text != REMOVED[name]:
        raise UserError(
            f"--{name}={text}: this version has no such flag and does what {REMOVED[name]} did"
        )
    return f"--{name} is no flag any more: what {text} did is done"


def _completed(args: list[str], known: Collection[str]) -> Iterator[str]:
    """Before a flagfile that a run left: the flags that it lacks because they weren't there yet."""
    for i, arg in enumerate(args):
        if match := re.fullmatch(r"--?flagfile(?:=(.*))?", arg):
            path = match[1] if match[1] is not None else "".join(args[i + 1 : i + 2])
            if os.path.basename(path) == FLAGS:
                meant = earlier_flags.lacking(earlier_flags.stored(_text(path)))
                yield from (f"--{name}={text}" for name, text in meant.items() if name in known)
        yield arg


def _text(path: str) -> str:
    """A flagfile's text; none where it can't be read, which is told where it is."""
    try:
        return files.text(path)
    except UserError:
        return ""
