"""What bytes are, by how they begin: archives that are unpacked, and files that are no text."""

import codecs
import re

import numpy as np

HEAD = 4096  # bytes that are looked at
PACKED = {  # what is unpacked on the way
    **{".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\0"},
    ".zst": b"\x28\xb5\x2f\xfd",
}

_UNZIP = "a zip archive: unpack it, as `unzip -p FILE > NEW`"
PICKLE = (
    "a Python pickle, which is never opened (but gensim's KeyedVectors); in the program that wrote "
    "it save text, "
    "as gensim's wv.save_word2vec_format(NEW)"
)
_KINDS = {
    b"PK\x03\x04": _UNZIP,
    b"PK\x05\x06": _UNZIP,
    b"\x04\x22\x4d\x18": "packed by lz4: unpack it, as `lz4 -d FILE NEW`",
    b"\x1f\x9d": "packed by compress: unpack it, as `uncompress -c FILE > NEW`",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it, as `7z x FILE`",
    b"Rar!\x1a\x07": "a rar archive: unpack it, as `unrar x FILE`",
    b"\xba\x16\x4f\x2f": "a fastText model: give the .vec file that fastText wrote beside it",
    b"%PDF-": "a PDF: take its text, as `pdftotext FILE NEW`",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file: save its vectors as text or npz",
    b"\x93NUMPY": "a NumPy array without words: save words and vectors in one npz",
    b"PAR1": "a Parquet file: save its text column as lines of UTF-8",
    b"ARROW1\0": "an Arrow file: save its text column as lines of UTF-8",
    b"SQLite format 3\0": "an SQLite database: save its text as lines of UTF-8",
    b"\x7fELF": "a program",
    b"\x89PNG\r\n": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)*(<!doctype\s+html|<html|<head)\b", re.I | re.S)


def packing(head: bytes) -> str:
    """.gz, .bz2, .xz or .zst, whatever the file is called; '' where it isn't packed so."""
    for suffix, magic in PACKED.items():
        if head.startswith(magic) and (suffix != ".bz2" or (head[3:4].isdigit() and _bzip2(head))):
            return suffix
    if head[1:4] == b"*M\x18" and 0x50 <= head[0] <= 0x5F:  # a frame that zstd passes over
        return ".zst"
    return ""


def _bzip2(head: bytes) -> bool:
    """Whether it goes on as bzip2's first block, or its end, does: text may begin with BZh9."""
    return any(magic.startswith(head[4:10]) for magic in (b"1AY&SY", b"\x17rE8P\x90"))


def foreign(head: bytes, encoding: str | None = None) -> str:
    """What a file is that is neither text nor vectors, and what to do; '' where nothing shows it.

    Whoever reads vectors asks `is_zip`, `is_pickle` and `is_parquet` first. encoding: of a
    text that may be in another than UTF-8, '' where none was named.
    """
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it, as `tar -xOf FILE > NEW`"
    if is_pickle(head):
        return PICKLE
    if not encoding and (name := _wide(head)):
        named = _named(name, encoding is not None)
        return f"{name} text: {named}`iconv -f {name} -t UTF-8 FILE > NEW`"
    return ""


def is_pickle(head: bytes) -> bool:
    """Whether it is a Python pickle, of protocol 2 or later."""
    return bool(re.match(rb"\x80[\x02-\x05]", head))


def is_parquet(head: bytes) -> bool:
    """Whether it is a Parquet file."""
    return head.startswith(b"PAR1")


def is_zip(head: bytes) -> bool:
    """Whether it is a zip archive, as an npz is."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_text(head: bytes) -> bool:
    """Whether it may be UTF-8 text: no control characters but white space, nothing undecodable."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not re.search(r"[\x00-\x08\x0e-\x1b\x7f]", text)


def is_html(head: bytes) -> bool:
    """Whether it is a web page."""
    return bool(_HTML.match(head.removeprefix(codecs.BOM_UTF8)))


def _wide(head: bytes) -> str:
    """UTF-16 or UTF-32, with a byte-order mark or by where its NULs are; '' where it's neither."""
    if head.startswith(_UTF32):
        return "UTF-32"
    if head.startswith(_UTF16):
        return "UTF-16"
    pairs = head[: len(head) // 2 * 2]
    if len(pairs) >= 8:
        even, odd = (pairs[i::2].count(0) / (len(pairs) // 2) for i in (0, 1))
        if max(even, odd) > 0.4 and min(even, odd) < 0.05:
            return "UTF-16LE" if odd > even else "UTF-16BE"
    return ""


def not_utf8(sample: bytes, nameable: bool = False) -> str:
    """`not UTF-8`, with the encoding that the bytes most probably have, and what to do.

    nameable: whether the encoding can be named, as that of a text to train on.
    """
    if name := likely_encoding(sample):
        shown = f"{_named(name, nameable)}`iconv -f {name} -t UTF-8 FILE > NEW`"
        return f"not UTF-8, probably {name}: {shown}"
    return "not UTF-8"


def _named(encoding: str, nameable: bool) -> str:
    return f"`encoding={encoding}`, or " * nameable


def likely_encoding(sample: bytes) -> str:
    """The likeliest of some encodings that iconv knows; '' where none fits.

    By the share of what decodes that is the script's usual letters: kana, hangul, the commoner
    Chinese characters, Cyrillic small letters, accented Latin ones.
    """
    if kind := _wide(sample):
        return kind
    best, name = 0.5, ""
    for encoding, (codec, usual) in _ENCODINGS.items():
        share = _share(sample, codec, usual)
        if share > best:
            best, name = share, encoding
    return name


def _share(sample: bytes, codec: str, usual: str) -> float:
    """Share of the characters beyond ASCII that are usual; what doesn't decode is none."""
    text = sample.decode(codec, "replace")
    beyond = len(re.findall(r"[^\x00-\x7f]", text))
    return len(re.findall(usual, text)) / beyond if beyond else 0.0


_KANA = "[\u3001-\u30ff]|[\u4e00-\u9fff](?=[\u4e00-\u9fff]{0,5}[\u3041-\u30ff])"
_CHINESE = "(?<=[\u4e00-\u9fff])[\u4e00-\u9fff]|[\u4e00-\u9fff](?=[\u4e00-\u9fff])"
_CYRILLIC = "(?<=[\u0410-\u044f])[\u0430-\u044f]"  # small letters within words
_LATIN = "(?<![\u00c0-\u00ff])[\u00df-\u00f6\u00f8-\u00ff](?![\u00c0-\u00ff])|[\u2013-\u2026€£«»°]"
_ENCODINGS = {  # iconv's name: Python's codec, usual characters; equal shares: the first
    "EUC-JP": ("euc_jp", _KANA),
    "SHIFT_JIS": ("shift_jis", _KANA),
    "EUC-KR": ("euc_kr", "[\uac00-\ud7a3]"),
    "GB18030": ("gb2312", _CHINESE),  # its common characters alone
    "BIG5": ("big5", _CHINESE),
    "WINDOWS-1251": ("cp1251", _CYRILLIC),
    "KOI8-R": ("koi8_r", _CYRILLIC),
    "WINDOWS-1252": ("cp1252", _LATIN),
    "ISO-8859-2": ("iso8859_2", "[ąćęłńóśźżáčďéěíňřšťúůýžőű]"),
}


def is_swapped(rows: np.ndarray) -> bool:
    """Whether the numbers are big-endian: absurd as they stand, and usual with bytes swapped."""
    most = rows.ravel()[:4096]
    return most.size >= 64 and _magnitude(most) > 24 and _magnitude(most.byteswap()) < 12


def _magnitude(values: np.ndarray) -> float:
    """The median of |log2 |x||, of what isn't finite or is subnormal 128."""
    _, exponent = np.frexp(values)
    usual = np.isfinite(values) & (np.abs(values) >= np.finfo(np.float32).tiny)
    sizes = np.where(usual, np.abs(exponent), 128)[values != 0]
    return float(np.median(sizes)) if sizes.size else 0.0
