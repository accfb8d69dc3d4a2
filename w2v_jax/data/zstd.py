"""zstd's streams, unpacked by whatever is installed."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, BinaryIO

from w2v_jax.data import stream

WINDOW = 31  # log2 of the bytes that a frame may look back: `zstd --long=31`
_READ = 1 << 10  # packed bytes at a time: of 32 MB at most, beside the frame's window


def opened(file: BinaryIO, mode: str = "rb") -> BinaryIO:
    """The bytes of zstd's frames, one behind the other. Raises ModuleNotFoundError."""
    del mode
    for package in ("compression.zstd", "zstandard"):  # Python has it from 3.14 on
        if _has(package):
            return stream.of(_unpacked(file, import_module(package)))
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


def _unpacked(file: BinaryIO, module) -> Iterator[bytes]:
    """The frames as they are read. Raises EOFError or OSError, as gzip does."""
    packed, frame = b"", None
    while packed := packed or file.read(_READ):
        frame = frame or _frame(module)
        try:
            yield frame.decompress(packed)
        except module.ZstdError as error:
            raise OSError(f"damaged: {error}") from error
        packed = frame.unused_data if frame.eof else b""
        frame = None if frame.eof else frame
    if frame:
        raise EOFError("the file ends before its last frame does")
