"""Articles of a Wikipedia dump -> lines of plain words, one a paragraph."""

import contextlib
import gzip
import lzma
import re
import time
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, NamedTuple

from absl import flags

from experiments.cli import console
from experiments.cli.errors import Stopped
from experiments.report.tables import counted
from experiments.runs import signals
from w2v_jax.data import files
from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError

LEAST = 5  # words of a paragraph
_LEFT_OUT = (  # tags whose content is no running text
    *("ref", "references", "table", "math", "gallery", "timeline", "code", "pre", "source"),
    *("syntaxhighlight", "score", "chem", "imagemap", "graph", "templatestyles", "hiero"),
)
_ITEM = "\ufdd0"  # no character: where an item of a list begins
_PACK = {".gz": gzip.open, ".xz": lzma.open}
# A link to another language's Wikipedia is no text of the paragraph.
_LANGUAGE = re.compile(r":?[a-z]{2,3}(-[a-z]+)*:\S")
_SPACES = frozenset(("file", "image", "category", "media"))  # as every Wikipedia knows them
_SWITCH = re.compile("__[A-Z]+__")
_NOT_WORDS = re.compile("[^a-z0-9]+")


class Written(NamedTuple):
    """What was written."""

    articles: int
    lines: int
    words: int


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("dump", "", "pages-articles.xml of a Wikipedia, .bz2/.gz/.xz too.")
    flags.DEFINE_integer("words", 17_000_000, "Words after which it ends (0: all).", 0)
    flags.DEFINE_string("output", "", "Text to write, .gz/.xz too.")
    flags.DEFINE_boolean("overwrite", False, "Replace the file that is there.")


def main() -> None:
    """Reads the dump, writes the text, tells how much it is."""
    values = flags.FLAGS
    for name in ("dump", "output"):
        if not values[name].value:
            raise UserError(f"--{name}=FILE is missing")
    if find_spec("mwparserfromhell") is None:
        raise UserError("a dump is read by mwparserfromhell: pip install mwparserfromhell")
    output = Path(values.output).expanduser()
    if output.suffix in (".bz2", ".zst", ".zip"):
        raise UserError(f"--output={output}: is packed as .gz or .xz, or plain")
    if output.exists() and not values.overwrite:
        raise UserError(f"--output={output}: is there; another file, or --overwrite")
    began = time.perf_counter()
    with files.opened(values.dump, f"--dump={values.dump}") as dump, whole_file(output) as file:
        packed = _PACK[output.suffix](file, "wb") if output.suffix in _PACK else None
        with packed or contextlib.nullcontext(file) as text:
            written = write(articles(dump, f"--dump={values.dump}"), text, values.words)
        if not written.words:
            raise UserError(f"--dump={values.dump}: holds no article")
    print(
        f"{counted(written.words, 'word')} in {counted(written.lines, 'line')} of "
        f"{counted(written.articles, 'article')}, {time.perf_counter() - began:.0f} s: {output}"
    )


def write(texts: Iterable[tuple[str, frozenset]], file: BinaryIO, words: int) -> Written:
    """The paragraphs of articles' markup, up to and with the one that reaches so many words.

    texts: markup, and the namespaces that its links may lead to. Raises Stopped on a signal, which
    the parser of markup would swallow.
    """
    articles = lines = total = 0
    with console.progress_bar(words) as bar, signals.watched() as asked:
        for markup, namespaces in texts:
            if asked.number:
                raise Stopped(asked.number, "nothing is written")
            articles += 1
            for line in paragraphs(markup, namespaces):
                count = line.count(" ") + 1
                file.write(f"{line}\n".encode())
                bar.update(count)
                lines, total = lines + 1, total + count
                if words and total >= words:
                    return Written(articles, lines, total)
    return Written(articles, lines, total)


def articles(dump: BinaryIO, called: str) -> Iterator[tuple[str, frozenset]]:
    """The markup of each article, in the dump's order, without redirects, and its namespaces.

    Raises UserError for what is no dump.
    """
    spaces = set(_SPACES)
    try:
        events = ET.iterparse(dump, events=("start", "end"))
        _, root = next(events)
        for event, element in events:
            if event == "end" and _name(element) == "namespace" and element.text:
                spaces.add(element.text.lower())
            if event != "end" or _name(element) != "page":
                continue
            found = {_name(e): e.text or "" for e in element.iter()}
            if found.get("ns") == "0" and "redirect" not in found:
                yield found.get("text", ""), frozenset(spaces)
            root.clear()
    except ET.ParseError as error:
        raise UserError(f"{called}: no XML of a dump ({error})") from error


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]  # without the dump's namespace


def paragraphs(markup: str, namespaces: frozenset = _SPACES) -> Iterator[str]:
    """The paragraphs of an article as words of a-z and single digits, those of LEAST or more."""
    import mwparserfromhell

    code = mwparserfromhell.parse(_SWITCH.sub(" ", markup))
    for paragraph in _plain(code, namespaces).split("\n"):
        line = "" if _ITEM in paragraph else normalised(paragraph)
        if line.count(" ") + 1 >= LEAST:
            yield line


def normalised(text: str) -> str:
    """Small letters a-z without accents, digits one by one, single blanks between.

    An apostrophe joins what it parts, as in "zhuangzis"; all else parts.
    """
    text = unicodedata.normalize("NFKD", text.replace("'", "").replace("’", "")).lower()
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub("([0-9])", r" \1 ", text)
    return _NOT_WORDS.sub(" ", text).strip()


def _plain(code, namespaces: frozenset) -> str:
    """What a reader sees of parsed markup, without headings, tables, notes and templates.

    A line that is an item of a list holds _ITEM.
    """
    return "".join(_of_node(node, namespaces) for node in code.nodes)


def _of_node(node, namespaces: frozenset) -> str:
    from mwparserfromhell import nodes

    if isinstance(node, nodes.Text):
        return str(node.value)
    if isinstance(node, nodes.Wikilink):
        title = str(node.title).strip()
        space, colon, _ = title.lstrip(":").partition(":")
        if _LANGUAGE.match(title) or (colon and space.strip().lower() in namespaces):
            return ""
        return _plain(node.text if node.text is not None else node.title, namespaces)
    if isinstance(node, nodes.ExternalLink):
        return _plain(node.title, namespaces) if node.title is not None else ""
    if isinstance(node, nodes.Heading):
        return "\n"
    if isinstance(node, nodes.HTMLEntity):
        return _letter(node)
    if isinstance(node, nodes.Tag):
        name = str(node.tag).strip().lower()
        if name in ("li", "dt", "dd"):
            return _ITEM
        if name in _LEFT_OUT or not str(node.contents or ""):
            return " "  # a <br> parts words
        return _plain(node.contents, namespaces)
    return ""  # templates, their arguments, comments


def _letter(entity) -> str:
    try:
        return entity.normalize()
    except (ValueError, OverflowError):  # a number of no character
        return " "
