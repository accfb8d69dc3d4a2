"""A Wikipedia dump becomes paragraphs of plain words."""

import bz2
import lzma
import os
import signal

import pytest
from scripts import start

pytest.importorskip("mwparserfromhell")

from experiments.benchmarks import wikipedia_text

ARTICLE = """{{Infobox|a=b [[c]]}}
'''Anarchism''' is a [[political philosophy|philosophy]] of ''1984''.<ref>A long note of words</ref>
[[File:Tree.jpg|thumb|A caption of many words with a [[link]] in it]]
== A heading of more than five words ==
* an item of a list that is long enough
Étienne's café & the {{convert|5|km}} [http://x.org linked words] of O&#39;Brien &mdash; fin.
Too short here.
{| class="wikitable"
| a cell of a table with many words
|}
[[Category:Trees]] [[de:An]] A [[link]] to <math>x^2</math> H<sub>2</sub>O stays.<!-- no -->
"""


def page(text, ns=0, redirect=""):
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f"<page><title>T</title><ns>{ns}</ns>{redirect}"
        f"<revision><id>1</id><text>{text}</text></revision></page>"
    )


def dump(*pages):
    space = 'xmlns="http://www.mediawiki.org/xml/export-0.10/"'
    return f"<mediawiki {space}><siteinfo/>{''.join(pages)}</mediawiki>".encode()


LINES = [
    "anarchism is a philosophy of 1 9 8 4",
    "etiennes cafe the linked words of obrien fin",
    "a link to h 2 o stays",
]


def test_paragraphs_are_what_a_reader_sees():
    assert list(wikipedia_text.paragraphs(ARTICLE)) == LINES


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("a<br>b<br/>c d e f", "a b c d e f"),
        ("[[CSI: Miami]] is a [[de:Nein]] series [[:fr:Non]] of", "csi miami is a series of"),
        ("№ 5 is a scent __NOTOC__ of ™ old", "no 5 is a scent of tm old"),
        ("[[Datei:T.jpg|mini|Ein Text]] Danach kommt noch ein Satz", "danach kommt noch ein satz"),
    ],
)
def test_markup_of_many_kinds(markup, text):
    spaces = wikipedia_text._SPACES | {"datei", "kategorie"}
    assert list(wikipedia_text.paragraphs(markup, spaces)) == [text]


def test_a_dump_names_its_namespaces(tmp_path):
    names = '<siteinfo><namespaces><namespace key="6">Datei</namespace></namespaces></siteinfo>'
    text = page("[[Datei:T.jpg|mini|Ein langer Text von mir]] Danach kommt noch ein Satz")
    (tmp_path / "dump").write_text(f"<mediawiki>{names}{text}</mediawiki>")
    output = tmp_path / "out.txt"
    assert start("wikipedia_text", f"--dump={tmp_path / 'dump'}", f"--output={output}") == 0
    assert output.read_text() == "danach kommt noch ein satz\n"


def test_a_signal_ends_it_with_nothing_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "dump").write_bytes(dump(*[page(ARTICLE)] * 3))
    own = wikipedia_text.paragraphs

    def paragraphs(*given):
        os.kill(os.getpid(), signal.SIGTERM)
        return own(*given)

    monkeypatch.setattr(wikipedia_text, "paragraphs", paragraphs)
    output = tmp_path / "out.txt"
    assert start("wikipedia_text", f"--dump={tmp_path / 'dump'}", f"--output={output}") == 143
    assert "nothing is written" in capsys.readouterr().err and not output.exists()


@pytest.mark.parametrize("suffix", ["", ".xz"])
def test_a_dump_becomes_a_text(tmp_path, capsys, suffix):
    pages = [
        page(ARTICLE),
        page("a redirect of more than five words", redirect='<redirect title="X"/>'),
        page("a talk page of more than five words", ns=1),
        page("another article of five words\n\nand one more paragraph of it"),
    ]
    (tmp_path / "dump").write_bytes(bz2.compress(dump(*pages)))
    output = tmp_path / f"out.txt{suffix}"
    args = [f"--dump={tmp_path / 'dump'}", f"--output={output}"]
    assert start("wikipedia_text", *args) == 0
    data = output.read_bytes()
    text = (lzma.decompress(data) if suffix else data).decode()
    last = ["another article of five words", "and one more paragraph of it"]
    assert text.splitlines() == LINES + last
    assert "in 5 lines of 2 articles" in capsys.readouterr().out
    assert start("wikipedia_text", *args) == 1  # it is there
    assert start("wikipedia_text", *args, "--overwrite", "--words=10") == 0
    data = output.read_bytes()
    assert (lzma.decompress(data) if suffix else data).decode().splitlines() == LINES[:2]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no dump", "no XML of a dump"), (dump()[:-9], "no XML of a dump"), (dump(), "no article")],
)
def test_what_is_no_dump_is_refused_and_nothing_is_written(tmp_path, capsys, content, said):
    (tmp_path / "dump").write_bytes(content)
    output = tmp_path / "out.txt"
    assert start("wikipedia_text", f"--dump={tmp_path / 'dump'}", f"--output={output}") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: --dump=") and said in error
    assert not output.exists()
