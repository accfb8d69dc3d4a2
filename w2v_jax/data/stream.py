"""Blocks of bytes, made one after the other, as a file that is read."""

import io
from collections.abc import Iterable

_BUFFER = 1 << 16


def of(blocks: Iterable[bytes]) -> io.BufferedReader:
    """The blocks as one file; what making them raises is raised where it is read."""
    return io.BufferedReader(_Blocks(blocks), _BUFFER)


class _Blocks(io.RawIOBase):
    """Blocks as a stream."""

    def __init__(self, blocks: Iterable[bytes]):
        super().__init__()
        self._blocks, self._ready = iter(blocks), memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer) -> int:
        """What comes next; 0 at the end."""
        while not self._ready:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._ready = memoryview(block)
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count
