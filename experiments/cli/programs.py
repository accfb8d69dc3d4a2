"""Compiled programs are kept in --cache_dir from a command's start on; what fails is told once."""

import functools
import os
import re
import warnings

from absl import flags

from experiments.cli import console
from w2v_jax import compilation_cache
from w2v_jax.data.loader import NO_CACHE
from w2v_jax.data.sources import cache_folder

_FAILED = re.compile(r"Error (reading|writing) persistent compilation cache .*?'(.*?)': (.*)")


def keep() -> None:
    """For commands that have --cache_dir."""
    given = flags.FLAGS["cache_dir"].value if "cache_dir" in flags.FLAGS else NO_CACHE
    if given == NO_CACHE:
        return
    folder = os.path.expanduser(given) or cache_folder()
    kept = compilation_cache.keep_programs(folder, console.note)
    if kept:
        warnings.filterwarnings("always", _FAILED.pattern)  # not the first of equal ones alone
        warnings.showwarning = functools.partial(_shown, warnings.showwarning, kept, [])


def _shown(others, folder: str, told: list, message, *where, **more) -> None:
    """Shows a warning; of JAX's about the cache, a line a command.

    What can't be read, or was written in part, is deleted: JAX would meet it again each time.
    """
    failed = _FAILED.match(str(message))
    if failed is None:
        others(message, *where, **more)
        return
    how, name, reason = failed.groups()
    compilation_cache.forget(folder, name)
    if not told:
        told.append(name)
        what = "is compiled anew" if how == "reading" else "is not kept"
        console.log(f"note: {folder}: a program {what}: {reason}")
