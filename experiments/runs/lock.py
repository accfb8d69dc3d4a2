"""One process at a time in a run directory."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from w2v_jax.types import UserError

LOCK = "lock"


@contextlib.contextmanager
def held(workdir: Path, flag: str = "--workdir") -> Iterator[None]:
    """Holds a folder, which is made where it is missing, and taken away again if it stays empty.

    The system lets go of the lock when the process ends, however it ends. flag: names the folder.
    Raises UserError where another process holds it, or where it cannot be made or written.
    """
    made = not workdir.exists()
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(workdir, flag)
    except FileExistsError as error:
        raise UserError(f"{flag}={workdir}: is not a folder") from error
    except OSError as error:
        raise UserError(f"{flag}={workdir}: {error.strerror or error}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # another process has come by, or it is gone
            if made and os.listdir(workdir) == [LOCK]:
                os.unlink(workdir / LOCK)
                workdir.rmdir()
        os.close(descriptor)


def _locked(workdir: Path, flag: str) -> int:
    """The lock's descriptor. Raises OSError, or UserError where another process has it."""
    while True:
        descriptor = os.open(workdir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(workdir / LOCK)):
                return descriptor
        except FileNotFoundError:  # whoever held it took it away: there is a new one to be had
            pass
        except BlockingIOError as error:
            os.close(descriptor)
            raise UserError(f"{flag}={workdir}: another process is at work in it") from error
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        workdir.mkdir(parents=True, exist_ok=True)
