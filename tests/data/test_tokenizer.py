"""Words of bytes and their numbers against str.split() and a dict."""

import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from w2v_jax.data.tokenizer import Words, WordTable, tokens


def test_every_character_that_splits_does_and_no_other(tmp_path):
    assert not any(chr(i).isspace() for i in range(0x3001, sys.maxunicode + 1))
    text = "".join(f"a{chr(i)}b\n" for i in range(0x3400))
    found, newlines = tokens(text.encode())
    spans = zip(found.starts.tolist(), (found.starts + found.lengths).tolist(), strict=True)
    assert [found.text[a:b].decode() for a, b in spans] == text.split()
    ends = [len(line.split()) for line in text.split("\n")[:-1]]
    assert newlines.tolist() == np.cumsum(ends).tolist()


@settings(max_examples=200, deadline=None)
@example("a\u2003", 1)
@example("\x85\xa0", 1)
@example("é\u205f\u2060\u1680\u2028", 2)
@given(
    st.text(
        st.one_of(
            st.characters(exclude_categories=["Cs"]),
            st.characters(min_codepoint=0x1FF0, max_codepoint=0x2070),
            st.sampled_from("  \n\x1c\x85\xa0\u1680\u3000"),
        ),
        max_size=60,
    ),
    st.integers(1, 9),
)
def test_any_unicode_text_is_split_and_numbered_as_by_split_and_a_dict(text, parts):
    pieces, table, dictionary, size = [], WordTable(), {}, len(text) // parts + 1
    for i in range(0, len(text), size):
        piece = text[i : i + size]
        pieces.append((numbered(table, piece.encode()), piece.split()))
        for word in pieces[-1][1]:
            dictionary.setdefault(word, len(dictionary))
    types, id_of = table.by_appearance()
    assert [word.decode() for word in types] == list(dictionary)
    for ids, words in pieces:
        assert ids == [id_of[dictionary[word]] for word in words]


def numbered(table, text):
    return table.number(Words(tokens(text)[0])).tolist()


def test_words_of_equal_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr("w2v_jax.data.tokenizer._MIX", np.uint64(0))
    words = [b"a", b"b", b"abcdefgh", b"abcdefghi", b"abcdefgh" * 3, b"abcdefgh" * 2 + b"abcdefgi"]
    table, order = WordTable(), [0, 1, 0, 2, 3, 4, 5, 4, 3, 2, 1]
    for _ in range(2):
        ids = numbered(table, b" ".join(words[i] for i in order))
        types, id_of = table.by_appearance()
        assert types == words and ids == [id_of[i] for i in order]


def test_ids_stay_while_the_table_grows():
    words = [f"{'x' * (i % 20)}{i}".encode() for i in range(5000)]
    table, ids = WordTable(), []
    for i in range(0, len(words), 700):
        ids += numbered(table, b"\n".join(words[: i + 700]))[i:]
    types, id_of = table.by_appearance()
    assert types == words and ids == id_of.tolist()
    assert sorted(ids) == list(range(5000))
    assert numbered(table, b"") == []


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([0x9E3779B97F4A7C15, 1 << 62, 0]))
@pytest.mark.slow
def test_types_are_found_and_forgotten_as_in_a_dict(data, mix):
    words = [*"abcdé", *("abcdefgh"[:i] * j for i in (7, 8) for j in (1, 2, 3)), "abcdefghi"]
    texts = data.draw(st.lists(st.lists(st.sampled_from(words), max_size=12), max_size=6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("w2v_jax.data.tokenizer._MIX", np.uint64(mix))
        table, id_of = WordTable(), {}  # by first appearance
        for text in texts:
            ids = numbered(table, " ".join(text).encode())
            id_of |= {word: ids[text.index(word)] for word in dict.fromkeys(text)}
            assert ids == [id_of[word] for word in text]
            assert sorted(id_of.values()) == list(range(table.size))
            sought = Words(tokens(" ".join(words).encode())[0])
            assert table.find(sought).tolist() == [id_of.get(word, -1) for word in words]
            gone = data.draw(st.sets(st.sampled_from(words)))
            kept = np.ones(table.size, bool)
            kept[[i for word, i in id_of.items() if word in gone]] = False
            new = table.keep(kept)
            assert new.tolist() == [
                i if k else -1 for i, k in zip(np.cumsum(kept) - 1, kept, strict=True)
            ]
            id_of = {word: new[i] for word, i in id_of.items() if word not in gone}
            types, order = table.by_appearance()
            assert [t.decode() for t in types] == list(id_of)
            assert order.tolist() == list(id_of.values())
