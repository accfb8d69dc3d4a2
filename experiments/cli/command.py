"""How every script starts and ends: flags in, exit status out, no traceback for bad input."""

import os
import signal
import sys
from collections.abc import Callable

from absl import flags
from jax.errors import JaxRuntimeError

from experiments.cli import (
    baseline_flags,
    datasets,
    earlier_arguments,
    flag_lines,
    help,
    programs,
    quiet,
    streams,
)
from experiments.cli.errors import Diverged, Stopped, as_flags
from w2v_jax import configure
from w2v_jax.types import UserError

OK, BAD_INPUT, DIVERGED = 0, 1, 2


_at_once: list[bool] = []


def start(main: Callable[[], None], doc: str) -> None:
    """Parses the command line and runs main; the process ends with its exit status."""
    try:
        status = _status(main, sys.argv, doc)
    except SystemExit as error:
        if not _at_once:
            raise
        status = error.code
    if _at_once:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def end_at_once() -> None:
    """Once the status is known the process ends, and nothing that JAX holds is closed."""
    _at_once.append(True)


def _status(main: Callable[[], None], argv: list[str], doc: str) -> int:
    signal.signal(signal.SIGTERM, _terminated)
    with streams.guarded():
        return _run(main, argv, doc)


def _run(main: Callable[[], None], argv: list[str], doc: str) -> int:
    try:
        _parse(argv, doc)
        for line in configure(deterministic=_is_asked_for("deterministic")):
            print(f"note: {line}", file=sys.stderr)
        quiet.orbax()
        programs.keep()
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        return BAD_INPUT
    except (Exception, KeyboardInterrupt) as error:
        status, line = outcome(error)
        if not line:
            raise
        print(line, file=sys.stderr, flush=True)
        if isinstance(error, Stopped) and error.at_once:
            os._exit(status)
        return status
    return OK


def outcome(error: BaseException) -> tuple[int, str]:
    """The exit status of what ended a command, and its line; no line: the fault is ours."""
    if isinstance(error, UserError):
        return BAD_INPUT, f"error: {as_flags(' '.join(str(error).split()))}"
    if isinstance(error, Diverged):
        return DIVERGED, f"diverged: {error}"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in _of_jax(error):
        return BAD_INPUT, "error: out of memory: try a smaller --batch_size or --dim"
    if isinstance(error, Stopped):
        return 128 + error.number, f"stopped: {error}"
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # pathlib's, of ~nobody
        return BAD_INPUT, f"error: {error}"
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT, "interrupted"
    if isinstance(error, OSError):
        return BAD_INPUT, f"error: {_named(error)}"
    return BAD_INPUT, ""


def _of_jax(error: BaseException) -> str:
    return str(error) if isinstance(error, JaxRuntimeError) else ""


def _is_asked_for(name: str) -> bool:
    return name in flags.FLAGS and bool(flags.FLAGS[name].value)


def _named(error: OSError) -> str:
    """What the system refused, as the flag that names the path, where one does, and the cause."""
    cause, path = error.strerror or " ".join(str(error).split()), error.filename
    if path is None:
        return cause
    path = os.path.abspath(os.fsdecode(path))
    for name in flags.FLAGS:
        value = flags.FLAGS[name].value
        if isinstance(value, str) and value:
            whole = os.path.abspath(os.path.expanduser(value))
            if path == whole or path.startswith(f"{whole}/"):
                return f"--{name}={value}: {cause}" + (f" ({path})" if path != whole else "")
    return f"{path}: {cause}"


def _parse(argv: list[str], doc: str) -> None:
    flags.DEFINE_boolean("help", False, "Show the flags.", short_name="h")
    try:
        args, notes = earlier_arguments.today(argv[1:], flags.FLAGS, flag_lines.expanded)
        rest = flags.FLAGS([argv[0], *args])
    except flags.UnrecognizedFlagError as error:
        raise UserError(
            f"{' '.join(str(error).split())}{baseline_flags.hint(error.flagname)}"
        ) from error
    except flags.Error as error:
        raise UserError(" ".join(str(error).split())) from error
    except ValueError as error:  # --nostandard=3
        raise UserError(" ".join(str(error).split())) from error
    for name in flags.FLAGS:
        values = flags.FLAGS[name].value
        if any("\0" in str(v) for v in (values if isinstance(values, list) else [values])):
            raise UserError(f"--{name}: holds a NUL")
        texts = values if isinstance(values, list) else [values]
        if "workdir" in flags.FLAGS and any(not _encodes(str(text)) for text in texts):
            raise UserError(  # flags.cfg and the like are UTF-8
                f"--{name}={','.join(map(str, texts))}: the name is not UTF-8; "
                "rename it, or make a link of another name to it"
            )
    for line in notes:
        print(f"note: {line}", file=sys.stderr)
    if flags.FLAGS.help:
        datasets.show_in_help()
        print(help.text(doc), flush=True)
        sys.exit(OK)
    if sum(map(os.path.exists, rest[1:])):
        raise UserError(
            f"unexpected file {rest[1]!r}: several are one argument, quoted (--corpus='*.txt') or "
            "with commas between (--corpus=a.txt,b.txt)"
        )
    if len(rest) > 1:
        raise UserError(f"unexpected argument {rest[1]!r}: flags are written --name=value")


def _encodes(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _terminated(number, frame):
    sys.exit(128 + number)
