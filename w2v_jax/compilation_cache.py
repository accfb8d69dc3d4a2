"""Compiled programs kept on disk, so that each is compiled once on a machine.

JAX's persistent cache does it. Its key covers the program, the compiler's version and flags, and
the processor's features; a folder for each number of threads, among which XLA divides the work of a
program for the CPU, does the rest: what is loaded is what would be compiled.
"""

import glob
import os
from collections.abc import Callable
from contextlib import suppress

import jax

PROGRAMS = "programs"
LIMIT = 2**29  # bytes of programs that stay; a run's take one or two million
_DUMPS = "--xla_dump_to"  # what is loaded is not compiled, and so not dumped


def keep_programs(folder: str, note: Callable[[str], None]) -> str:
    """Keeps what is compiled from now on below `folder`/programs; returns where, or '' if nowhere.

    For commands: it configures JAX for the whole process. A cache that is configured already, or
    switched off (JAX_COMPILATION_CACHE_DIR, JAX_ENABLE_COMPILATION_CACHE), stays as it is. Programs
    are code: none are read from a folder that others may write to. Where all take more than LIMIT,
    those used longest ago are deleted. What hinders it goes to `note`; none of it is an error.
    """
    config = jax.config
    if config.jax_compilation_cache_dir or not config.jax_enable_compilation_cache:
        return ""
    if _DUMPS in os.environ.get("XLA_FLAGS", ""):
        return ""
    base = os.path.join(folder, PROGRAMS)
    programs = os.path.join(base, f"{_threads()}-threads")
    try:
        os.makedirs(folder, exist_ok=True)
        for made in (base, programs):
            with suppress(FileExistsError):
                os.mkdir(made, mode=0o700)
            about = os.stat(made)
            if about.st_uid not in (os.geteuid(), 0) or about.st_mode & 0o022:
                note(f"compiled programs are not kept: {made}: others may write to it")
                return ""
        os.listdir(programs)  # or it is no folder
    except OSError as error:
        note(f"compiled programs are not kept: {base}: {error.strerror}")
        return ""
    writable = os.access(programs, os.W_OK)
    if writable:
        _prune(base, LIMIT)
    else:
        note(f"compiled programs are read, but not kept: {programs} is read-only")
    config.update("jax_compilation_cache_dir", programs)
    config.update("jax_persistent_cache_min_compile_time_secs", 0 if writable else float("inf"))
    # XLA's own files beside them, on GPUs: where they can't be written, it may not compile.
    config.update("jax_persistent_cache_enable_xla_caches", "none")
    return programs


def forget(programs: str, name: str) -> None:
    """Deletes the programs of a name: JAX leaves one that can't be read where it is."""
    for path in glob.glob(os.path.join(glob.escape(programs), f"{glob.escape(name)}-*")):
        with suppress(OSError):
            os.unlink(path)


def _threads() -> int:
    """Threads that XLA's CPU backend has: it reads NPROC too."""
    with suppress(ValueError):
        return int(os.environ.get("NPROC", ""))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _prune(base: str, limit: int) -> None:
    """Deletes files, those first that were used longest ago, until all take at most `limit`.

    JAX's own limit needs a package that it doesn't require, and locks the folder at each reading.
    """
    with suppress(OSError):
        paths = [os.path.join(folder, name) for folder, _, names in os.walk(base) for name in names]
        files = [(os.stat(path), path) for path in paths]
        total = sum(about.st_size for about, _ in files)
        for about, path in sorted(files, key=lambda file: max(file[0].st_atime, file[0].st_mtime)):
            if total <= limit:
                break
            with suppress(OSError):
                os.unlink(path)
            total -= about.st_size
