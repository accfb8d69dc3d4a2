"""zstd's streams, unpacked by whatever is installed."""

import io
from importlib import import_module
from importlib.util import find_spec
from typing import BinaryIO

from w2v_jax.types import UserError

_READ = 1 << 10  # packed bytes at a time: 32 MB at most, whoever made them


def opened(file: BinaryIO, mode: str = "rb") -> BinaryIO:
    """The bytes of zstd's frames, one behind the other. Raises UserError without a package."""
    del mode
    for package in ("compression.zstd", "zstandard"):  # Python has it from 3.14 on
        if find_spec(package.partition(".")[0]) and _has(package):
            return io.BufferedReader(_Unpacked(file, import_module(package)), 1 << 16)
    told = "is packed by zstd: pip install zstandard, or `zstd -d FILE -o NEW`"
    raise UserError(f"{file.name}: {told}")


def _has(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of what is above it
        return False


class _Unpacked(io.RawIOBase):
    """Frames unpacked as they are read; what is cut short or damaged is an error."""

    def __init__(self, file: BinaryIO, module):
        super().__init__()
        own = module.__name__ == "compression.zstd"
        self._new = module.ZstdDecompressor if own else module.ZstdDecompressor().decompressobj
        self._error = module.ZstdError
        self._file, self._frame = file, None
        self._packed, self._ready = b"", memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer) -> int:
        """Unpacked bytes; 0 at the end. Raises EOFError or OSError as gzip does."""
        while not self._ready:
            self._packed = self._packed or self._file.read(_READ)
            if not self._packed:
                if self._frame:
                    raise EOFError("the file ends before its last frame does")
                return 0
            self._frame = self._frame or self._new()
            try:
                self._ready = memoryview(self._frame.decompress(self._packed))
            except self._error as error:
                raise OSError(f"damaged: {error}") from error
            self._packed = self._frame.unused_data if self._frame.eof else b""
            self._frame = None if self._frame.eof else self._frame
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count
