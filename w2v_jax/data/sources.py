"""Names and files to text, as lines of words or as chunks of bytes, on the host."""

import glob
import hashlib
import http.client
import io
import os
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple

from w2v_jax import resources
from w2v_jax.data import archives, files, kinds
from w2v_jax.data.files import UNREADABLE, reason_of
from w2v_jax.data.preparation import LONGEST, PLAIN, UTF8, Preparation, prepared
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import UserError

PACKAGED = {"wiki_sample": "wiki_sample.txt.xz", "toy": "toy.txt"}  # datasets in the package
DATASETS = ("ptb", "text8", *PACKAGED)
OWN = ("ptb", "text8")  # read from a folder of the user's
PTB_ADDRESS = "https://raw.githubusercontent.com/tomsercu/lstm/master/data/ptb.{split}.txt"
PTB_SHA256 = {
    "train": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
    "valid": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
    "test": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
}
_DOWNLOAD_LIMIT = 16 << 20  # bytes; the largest split has 5.1 MB
_TIMEOUT = 15  # seconds
_SPACES = (b" ", b"\n", b"\t", b"\r")  # where a chunk may end


class Source(NamedTuple):
    """Where a text comes from."""

    name: str  # the dataset's, or 'files'
    paths: tuple[str, ...]  # read in this order
    note: str  # a sentence for the user, or ''


def locate(
    dataset: str,
    *,
    corpus: str = "",
    data_dir: str = "",
    fallback: str = "",
    cache_dir: str | None = None,
    split: str = "train",
    argument: str = "corpus",
) -> Source:
    """Finds the files of a dataset, or of `corpus` where that is given.

    `corpus` is a file or glob (** too), or several with commas between: in the order given, the
    matches of each sorted, no file twice. `ptb` is looked for in `data_dir` or its folder ptb and
    never downloaded then; without `data_dir` it comes from the cache or is downloaded into it.
    `text8` is looked for there too. `fallback` names the dataset to use where PTB cannot be
    downloaded. `wiki_sample`, 67 articles of Wikipedia, and `toy`, the sentence of Deep Learning
    from Scratch 2, come with the package. Only `ptb` has splits beside 'train'. `argument` is what
    messages call `corpus`.

    Raises UserError where there is no such text.
    """
    cache = os.path.expanduser(cache_dir or "") or cache_folder()
    if not corpus and dataset not in DATASETS:
        raise UserError(f"`dataset={dataset}`: not one of {', '.join(DATASETS)}")
    if split not in PTB_SHA256 or (split != "train" and (corpus or dataset != "ptb")):
        raise UserError(f"{f'`{argument}={corpus}`' if corpus else dataset} has no split '{split}'")
    if corpus:
        return Source("files", _match(corpus, argument), "")
    if dataset == "text8":
        return Source(dataset, _text8(data_dir), "")
    if dataset in PACKAGED:
        return Source(dataset, (str(resources.packaged(PACKAGED[dataset])),), "")
    if data_dir:
        return Source(dataset, (_in_folder(data_dir, f"ptb.{split}.txt"),), "")
    try:
        return Source(dataset, (_cached_ptb(cache, split),), "")
    except _NotDownloaded as error:
        if not fallback or split != "train":
            raise UserError(
                f"{error}: give `data_dir=FOLDER` with ptb.{split}.txt, "
                "or `dataset=wiki_sample`, or `corpus=FILE`"
            ) from error
        found = locate(fallback, cache_dir=cache)
        return found._replace(note=f"{error}, so {fallback} is used instead.")


def read_lines(
    paths: Iterable[str], digest, mark: str = "\ufeff", how: Preparation = PLAIN
) -> Iterator[list[str]]:
    """The words of each line of each file: what str.split() gives, a blank line as [].

    Files are UTF-8, or prepared as `how` says, plain or packed; `mark`, a byte-order mark, is left
    out at the start. `digest`, a hashlib object, takes in the uncompressed, prepared bytes of each
    line as read.
    Raises UserError naming the file, and the line and byte (from 1) of what is not UTF-8.
    """
    for path in paths:
        number = 0
        try:
            with _text(path, how, None) as file:
                for number, line in enumerate(file, 1):
                    digest.update(line)
                    text = line.decode()
                    yield (text.removeprefix(mark) if number == 1 else text).split()
        except UnicodeDecodeError as error:
            where = f"line {number}, byte {error.start + 1}"
            raise UserError(f"{path}: {where}: {kinds.not_utf8(error.object)}") from error
        except UNREADABLE as error:
            raise UserError(f"{path}: cannot be read ({reason_of(error)})") from error


@contextmanager
def _text(path: str, how: Preparation, unnamed: str | None) -> Iterator[BinaryIO]:
    """A file's prepared text; unnamed: `files.unpacked`'s encoding where none was named."""
    encoding = unnamed if how.encoding == UTF8 else how.encoding
    with files.unpacked(path, encoding=encoding) as file:
        yield prepared(file, how, path)


class Chunk(NamedTuple):
    """A piece of a file, uncompressed, that ends behind white space or with the file."""

    path: str
    data: bytes
    first: bool  # the file begins with it
    last: bool  # the file ends with it
    open_line: bool  # last, of a file that doesn't end with a newline


def read_chunks(paths: Iterable[str], size: int, how: Preparation = PLAIN) -> Iterator[Chunk]:
    """Each file, prepared, in chunks of about `size` bytes, the last of which may be empty.

    A word longer than that makes a longer chunk. Raises UserError naming the file that cannot be
    read, or that has a word of over LONGEST bytes: it is no text, and perhaps without an end.
    """
    for path in paths:
        try:
            with _text(path, how, "") as file:
                rest, first, end, waiting = [], True, b"\n", 0
                while block := file.read(size):
                    end = block[-1:]
                    cut = 1 + max(map(block.rfind, _SPACES))
                    if cut:
                        yield Chunk(path, b"".join([*rest, block[:cut]]), first, False, False)
                        rest, first, block, waiting = [], False, block[cut:], 0
                    rest.append(block)
                    waiting += len(block)
                    if waiting > LONGEST:
                        raise UserError(f"{path}: has a word of over {LONGEST:,} bytes: no text")
                yield Chunk(path, b"".join(rest), first, True, end != b"\n")
        except UNREADABLE as error:
            raise UserError(f"{path}: cannot be read ({reason_of(error)})") from error


def cache_folder() -> str:
    """Where downloads and read corpora are kept: w2v_jax in $XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.cache"), "w2v_jax")


def _match(corpus: str, argument: str) -> tuple[str, ...]:
    found = {}  # by real path: no file is read twice
    for name in [corpus] if os.path.exists(corpus) else filter(None, corpus.split(",")):
        pattern = name if os.path.exists(name) else os.path.expanduser(name.strip())
        for path in _files(pattern, f"{argument}={name}", argument):
            for part in _parts(path):
                found.setdefault(os.path.realpath(part), part)
    if not found:
        raise UserError(f"`{argument}={corpus}`: names no file")
    return tuple(found.values())


def _files(pattern: str, shown: str, argument: str) -> list[str]:
    """The files that a name stands for, sorted: of a folder all in it. Raises UserError."""
    if os.path.isdir(pattern):
        matches = _below(pattern)
    elif os.path.exists(pattern) or archives.split(pattern)[1]:
        matches = [pattern]
    else:
        matches = _matches(pattern, argument)
    found = sorted(path for path in matches if not os.path.isdir(path))
    if not found:
        why = "a folder without a text" if os.path.isdir(pattern) else _unseen(pattern)
        raise UserError(f"`{shown}`: {why}")
    return found


def _below(folder: str) -> list[str]:
    """The regular files in a folder and those below it, through links too, without hidden ones.

    Raises UserError for a folder that can't be looked at, and for a link to nothing: what is left
    out silently makes another text.
    """

    def refuse(error):
        raise UserError(f"{error.filename}: cannot be read ({reason_of(error)})") from error

    found, seen = [], set()
    for here, below, names in os.walk(folder, onerror=refuse, followlinks=True):
        about = os.stat(here)
        if (about.st_dev, about.st_ino) in seen:  # a link to where it lies
            below.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        below[:] = [name for name in below if not name.startswith(".")]
        for path in (os.path.join(here, name) for name in names if not name.startswith(".")):
            if not os.path.exists(path):
                raise UserError(f"{path}: {_unseen(path)}")
            if os.path.isfile(path):
                found.append(path)
    return found


def _parts(path: str) -> list[str]:
    """A file; of a zip archive the files in it, as ARCHIVE/FILE, by their names."""
    if not os.path.isfile(path):
        return [path]
    with open(path, "rb") as file:
        if not kinds.is_zip(file.read(4)):
            return [path]
        file.seek(0)
        with archives.opened(path, io.BufferedReader(file)) as archive:
            names = sorted(archives.names(archive))
    if not names:
        raise UserError(f"{path}: holds no file")
    return [f"{path}/{name}" for name in names]


def _unseen(path: str) -> str:
    """Why a path names nothing that can be read: it isn't there, or may not be looked at."""
    if os.path.islink(path) and not os.path.exists(path):
        return f"a link to {os.readlink(path)}, which is not there"
    try:
        os.stat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        return reason_of(error)
    return "no such file"


def _matches(pattern: str, argument: str) -> list[str]:
    """Paths that a glob names; ** goes into folders, not into hidden ones or through links."""
    if "**" not in pattern:
        return glob.glob(pattern)
    parts = PurePath(pattern).parts
    base = PurePath(pattern).anchor
    below = PurePath(pattern).relative_to(base)
    below = below / "*" if below.name == "**" else below  # files too
    try:
        found = list(Path(base or ".").glob(str(below)))
    except (ValueError, NotImplementedError) as error:
        raise UserError(f"`{argument}={pattern}`: {error}") from error
    hidden = [any(p.startswith(".") and p not in parts for p in path.parts) for path in found]
    return [str(path) for path, is_hidden in zip(found, hidden, strict=True) if not is_hidden]


def _text8(folder: str) -> tuple[str, ...]:
    """The first 10^8 bytes of a cleaned Wikipedia, as Matt Mahoney published them, or zipped."""
    if not folder:
        raise UserError("`dataset=text8`: is not downloaded: give `data_dir=FOLDER` with text8")
    folder = os.path.expanduser(folder)
    for name in ("text8", *(f"text8{suffix}" for suffix in (".zip", *kinds.PACKED))):
        for path in (os.path.join(folder, name), os.path.join(folder, "text8", name)):
            if os.path.isfile(path):
                return tuple(_parts(path))
    raise UserError(f"`data_dir={folder}`: holds neither text8 nor text8.zip")


def _in_folder(folder: str, name: str) -> str:
    folder = os.path.expanduser(folder)
    for path in (os.path.join(folder, name), os.path.join(folder, "ptb", name)):
        if os.path.isfile(path):
            return path
    if (cause := _unseen(path)) != "no such file":
        raise UserError(f"`data_dir={folder}`: {cause}")
    raise UserError(f"`data_dir={folder}`: holds neither {name} nor ptb/{name}")


class _NotDownloaded(Exception):
    pass


def _cached_ptb(cache: str, split: str) -> str:
    path = os.path.join(cache, f"ptb.{split}.txt")
    sha256 = PTB_SHA256[split]
    if not os.path.exists(path):
        try:
            data = _download(PTB_ADDRESS.format(split=split), sha256)
        except (OSError, http.client.HTTPException) as error:
            raise _NotDownloaded(f"PTB could not be downloaded ({reason_of(error)})") from error
        write_atomically(path, data)
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({reason_of(error)})") from error
    if found != sha256:
        raise UserError(f"{path}: damaged (sha256 is not {sha256}); delete it to download it again")
    return path


class _HttpsAlone(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not newurl.startswith("https://"):
            raise OSError(f"redirected to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(address: str, sha256: str) -> bytes:
    """The bytes at an https address; raises OSError or HTTPException."""
    if not address.startswith("https://"):
        raise OSError(f"{address} is not https")
    opener = urllib.request.build_opener(_HttpsAlone)
    with opener.open(address, timeout=_TIMEOUT) as response:
        data = response.read(_DOWNLOAD_LIMIT + 1)
    if len(data) > _DOWNLOAD_LIMIT:
        raise OSError(f"{address} is larger than {_DOWNLOAD_LIMIT} bytes")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise OSError(f"{address} is another file: its sha256 is not {sha256}")
    return data
