"""Files to lines of words, and where the files come from."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import urllib.error
import urllib.request
from email.message import Message

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.cli.errors import as_flags
from w2v_jax.data import sources, writing
from w2v_jax.types import UserError

TEXT = b"the quick fox\n\n jumps\tover \xc3\xa9t\xc3\xa9\r\nlast"
LINES = [["the", "quick", "fox"], [], ["jumps", "over", "été"], ["last"]]


def read(*paths):
    digest = hashlib.sha256()
    return list(sources.read_lines([str(path) for path in paths], digest)), digest.hexdigest()


def error_of(function, *args, **kwargs):
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return as_flags(str(caught.value))


# Reading


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)],
)
def test_reads_words_of_lines_and_digests_the_unpacked_bytes(tmp_path, suffix, pack):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(pack(TEXT))
    assert read(path) == (LINES, hashlib.sha256(TEXT).hexdigest())


def test_reads_files_in_order_and_drops_each_ones_byte_order_mark(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    (tmp_path / "b").write_bytes(b"\xef\xbb\xbfthree\n")
    lines, _ = read(tmp_path / "b", tmp_path / "a")
    assert lines == [["three"], ["one"], ["\ufefftwo"]]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))))
def test_any_text_comes_back(tmp_path, lines):
    data = "".join(f"{line}\n" for line in lines).encode()
    (tmp_path / "any").write_bytes(data)
    expected = [line.split() for line in lines]
    if lines and lines[0].startswith("\ufeff"):
        expected[0] = lines[0][1:].split()
    assert read(tmp_path / "any") == (expected, hashlib.sha256(data).hexdigest())


def test_digest_takes_in_only_what_was_read(tmp_path):
    (tmp_path / "a").write_bytes(b"one\ntwo\n")
    digest = hashlib.sha256()
    assert next(sources.read_lines([str(tmp_path / "a")], digest)) == ["one"]
    assert digest.digest() == hashlib.sha256(b"one\n").digest()


def test_names_the_line_and_byte_that_is_not_utf8(tmp_path):
    path = tmp_path / "latin1"
    path.write_bytes(b"ok\nfine\n" + b"x" * 16 + "é\n".encode("latin-1"))
    assert error_of(read, path).startswith(f"{path}: line 3, byte 17: not UTF-8")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.gz", gzip.compress(TEXT * 99, mtime=0)[:-20]),
        ("cut.xz", lzma.compress(os.urandom(9999).hex().encode())[:-500]),
        ("cut.bz2", bz2.compress(os.urandom(9999).hex().encode())[:-500]),
        ("broken.gz", gzip.compress(TEXT * 99, mtime=0)[:12] + b"\xff" * 40),
    ],
)
def test_names_a_damaged_archive(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    message = error_of(read, tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: cannot be read (")


def test_names_a_missing_file_and_a_folder(tmp_path):
    missing = tmp_path / "missing"
    expected = f"{missing}: cannot be read (No such file or directory)"
    assert error_of(read, missing) == expected
    assert error_of(read, tmp_path) == f"{tmp_path}: is a folder, not a file"


# Files of one's own


def test_corpus_wins_and_keeps_the_order_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.txt", "a.txt", "sub/c.txt", "sub/deep/d.txt", "e,f.txt", "g.md"):
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        open(name, "w").close()

    def paths(corpus_flag):
        return sources.locate("ptb", corpus=corpus_flag, data_dir="nowhere").paths

    assert paths("b.txt") == ("b.txt",)
    assert paths("g.md,*.txt") == ("g.md", "a.txt", "b.txt", "e,f.txt")
    assert paths("b.txt, ./b.txt,[ab].txt,") == ("b.txt", "a.txt")
    assert paths("e,f.txt") == ("e,f.txt",)
    assert paths("sub/**") == ("sub/c.txt", "sub/deep/d.txt")
    assert paths("**/?.txt") == ("a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt")
    assert sources.locate("ptb", corpus="b.txt")[::2] == ("files", "")


def test_corpus_that_is_not_there(tmp_path):
    for pattern in (f"{tmp_path}/missing.txt", f"{tmp_path}/*.txt"):
        message = error_of(sources.locate, "ptb", corpus=pattern)
        assert message == f"--corpus={pattern}: no such file"
    message = error_of(sources.locate, "ptb", corpus=str(tmp_path))
    assert message == f"--corpus={tmp_path}: a folder without a text"
    assert error_of(sources.locate, "ptb", corpus=",") == "--corpus=,: names no file"


def test_unknown_names():
    names = "ptb, text8, wiki_sample, toy"
    assert error_of(sources.locate, "text9") == f"--dataset=text9: not one of {names}"
    assert error_of(sources.locate, "ptb", split="dev") == "ptb has no split 'dev'"
    message = error_of(sources.locate, "wiki_sample", split="valid")
    assert message == "wiki_sample has no split 'valid'"
    message = error_of(sources.locate, "ptb", corpus="a.txt", split="test")
    assert message == "--corpus=a.txt has no split 'test'"


# PTB


class Web:
    """Stands in for the https transport: what each address answers, and what was asked."""

    def __init__(self, monkeypatch):
        self.answers, self.asked = {}, []
        monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", self.open)
        monkeypatch.setattr(urllib.request.HTTPHandler, "http_open", self.open)
        for name in list(os.environ):
            if name.lower().endswith("_proxy"):
                monkeypatch.delenv(name)

    def open(self, request):
        self.asked.append((request.full_url, request.timeout))
        answer = self.answers.get(request.full_url, OSError("the network\nis off"))
        if isinstance(answer, Exception):
            raise answer
        headers, code, body = Message(), 200, answer
        if answer is None:
            code, body = 404, b""
        elif isinstance(answer, str):
            headers["Location"], code, body = answer, 302, b""
        response = urllib.request.addinfourl(io.BytesIO(body), headers, request.full_url, code)
        response.msg = {200: "OK", 302: "Found", 404: "Not Found"}[code]
        return response


BODY = b" no it was n't black monday \n"


@pytest.fixture
def web(monkeypatch):
    for split in sources.PTB_SHA256:
        monkeypatch.setitem(sources.PTB_SHA256, split, hashlib.sha256(BODY).hexdigest())
    return Web(monkeypatch)


def address(split="train"):
    return f"https://raw.githubusercontent.com/tomsercu/lstm/master/data/ptb.{split}.txt"


def test_downloads_once_into_the_cache(tmp_path, web):
    web.answers[address("valid")] = BODY
    cache = str(tmp_path / "new" / "cache")
    for _ in range(2):
        source = sources.locate("ptb", cache_dir=cache, split="valid")
        assert source == ("ptb", (f"{cache}/ptb.valid.txt",), "")
    assert web.asked == [(address("valid"), 15)]
    assert os.listdir(cache) == ["ptb.valid.txt"]
    assert read(source.paths[0])[0] == [["no", "it", "was", "n't", "black", "monday"]]


def test_cache_folder_follows_xdg(tmp_path, web, monkeypatch):
    web.answers[address()] = BODY
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert sources.locate("ptb").paths == (f"{tmp_path}/.cache/w2v_jax/ptb.train.txt",)
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/xdg")
    assert sources.locate("ptb").paths == (f"{tmp_path}/xdg/w2v_jax/ptb.train.txt",)


REFUSED = {
    "wrong checksum": BODY + b"more",
    "too large": b"x" * (sources._DOWNLOAD_LIMIT + 1),
    "redirected": "http://example.org/ptb.train.txt",
    "off": OSError("the network\nis off"),
    "unknown host": urllib.error.URLError(OSError(-2, "Name or service not known")),
    "gone": None,
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_download_leaves_nothing_and_says_what_to_do(tmp_path, web, case):
    web.answers[address()] = REFUSED[case]
    web.answers["http://example.org/ptb.train.txt"] = BODY
    message = error_of(sources.locate, "ptb", cache_dir=str(tmp_path))
    why = {
        "wrong checksum": "is another file",
        "too large": "is larger than 16777216 bytes",
        "redirected": "redirected to http://example.org/ptb.train.txt, which is not https",
        "off": "the network is off",
        "unknown host": "(Name or service not known)",
        "gone": "(HTTP Error 404: Not Found)",
    }[case]
    assert message.startswith("PTB could not be downloaded (") and why in message
    assert message.endswith(
        "): give --data_dir=FOLDER with ptb.train.txt, or --dataset=wiki_sample, or --corpus=FILE"
    )
    assert os.listdir(tmp_path) == []
    assert [url for url, _ in web.asked] == [address()]


def test_follows_a_redirect_to_https(tmp_path, web):
    web.answers[address()] = "https://example.org/x"
    web.answers["https://example.org/x"] = BODY
    assert sources.locate("ptb", cache_dir=str(tmp_path)).paths == (f"{tmp_path}/ptb.train.txt",)


def test_asks_no_address_that_is_not_https(web):
    for bad in ("http://example.org/a", "file:///etc/hostname", "ftp://example.org/a"):
        with pytest.raises(OSError, match="not https"):
            sources._download(bad, "")
    assert web.asked == []


def test_a_damaged_cache_is_an_error_even_with_a_fallback(tmp_path, web):
    path = tmp_path / "ptb.train.txt"
    path.write_bytes(BODY[:-1])
    message = error_of(sources.locate, "ptb", cache_dir=str(tmp_path), fallback="wiki_sample")
    assert message.startswith(f"{path}: damaged") and "delete it" in message
    assert web.asked == []


def test_fallback_is_used_and_told(tmp_path, web):
    source = sources.locate("ptb", cache_dir=str(tmp_path), fallback="wiki_sample")
    assert source == (
        *sources.locate("wiki_sample")[:2],
        "PTB could not be downloaded (the network is off), so wiki_sample is used instead.",
    )
    assert os.listdir(tmp_path) == []


def test_fallback_does_not_stand_in_for_another_split(tmp_path, web):
    message = error_of(
        sources.locate, "ptb", cache_dir=str(tmp_path), fallback="wiki_sample", split="test"
    )
    assert "give --data_dir=FOLDER with ptb.test.txt" in message


def test_data_dir_is_used_as_it_is_and_never_softened(tmp_path, web):
    message = error_of(sources.locate, "ptb", data_dir=str(tmp_path), fallback="wiki_sample")
    assert message == f"--data_dir={tmp_path}: holds neither ptb.train.txt nor ptb/ptb.train.txt"
    (tmp_path / "ptb").mkdir()
    (tmp_path / "ptb" / "ptb.train.txt").write_text("mine\n")
    assert sources.locate("ptb", data_dir=str(tmp_path)).paths == (f"{tmp_path}/ptb/ptb.train.txt",)
    (tmp_path / "ptb.train.txt").write_text("mine\n")
    assert sources.locate("ptb", data_dir=str(tmp_path)).paths == (f"{tmp_path}/ptb.train.txt",)
    assert web.asked == []


# The Wikipedia sample and writing


def test_wiki_sample_comes_with_the_package(tmp_path):
    source = sources.locate("wiki_sample", cache_dir=str(tmp_path), data_dir="nowhere")
    lines, _ = read(*source.paths)
    assert source.name == "wiki_sample" and source.note == ""
    assert (len(lines), sum(map(len, lines))) == (67, 290_974)
    assert lines[0][:4] == ["anarchism", "is", "political", "philosophy"]
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_wiki_sample_is_what_wikicorpus_reads():
    wikicorpus = pytest.importorskip("gensim.corpora.wikicorpus")
    dump = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
    texts = []
    with bz2.open(f"{os.path.dirname(wikicorpus.__file__)}/../test/test_data/{dump}") as file:
        for title, text, number in wikicorpus.extract_pages(file, ("0",)):
            words, _, _ = wikicorpus.process_article((text, title, number))
            texts += [words] * (len(words) >= wikicorpus.ARTICLE_MIN_WORDS)
            if len(texts) == 67:
                break
    assert read(*sources.locate("wiki_sample").paths)[0] == texts


def test_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    writing.write_atomically(str(path), b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    message = error_of(writing.write_atomically, str(path), b"new")
    assert message == f"{path}: cannot be written (No space left on device)"
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"old"
