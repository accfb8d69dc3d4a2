"""zstd's streams, unpacked by whatever is installed."""

import io
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, BinaryIO

WINDOW = 31  # log2 of the bytes that a frame may look back: `zstd --long=31`
_READ = 1 << 10  # packed bytes at a time: 32 MB at most, whoever made them


def opened(file: BinaryIO, mode: str = "rb") -> BinaryIO:
    """The bytes of zstd's frames, one behind the other. Raises ModuleNotFoundError."""
    del mode
    for package in ("compression.zstd", "zstandard"):  # Python has it from 3.14 on
        if _has(package):
            return io.BufferedReader(_Unpacked(file, import_module(package)), 1 << 16)
    raise ModuleNotFoundError("zstandard")


def _has(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of what is above it
        return False


def _frame(module) -> Any:
    """What unpacks one frame, also of a long window."""
    if module.__name__ == "compression.zstd":
        longest = {module.DecompressionParameter.window_log_max: WINDOW}
        return module.ZstdDecompressor(options=longest)
    return module.ZstdDecompressor(max_window_size=2**WINDOW).decompressobj()


class _Unpacked(io.RawIOBase):
    """Frames unpacked as they are read; what is cut short or damaged is an error."""

    def __init__(self, file: BinaryIO, module):
        super().__init__()
        self._new = partial(_frame, module)
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
