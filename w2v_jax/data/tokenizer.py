"""Bytes of text to numbered words: str.split() and a dict of words, for whole arrays at once."""

import re
from typing import NamedTuple

import numpy as np

_WIDE_SPACES = [c.encode() for c in map(chr, range(128, 0x3001)) if c.isspace()]
_NEWLINE = 10
# What fills a part that holds so many bytes of its word: 0xff, which no UTF-8 text holds. A word
# then differs from a longer one that begins with it.
_FILL = np.array([(1 << 64) - (1 << 8 * n) for n in range(9)], np.uint64)
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: Knuth's multiplicative hash
_HALF = np.uint64(32)


class Tokens(NamedTuple):
    """Where words stand in a text."""

    text: bytes  # UTF-8
    starts: np.ndarray  # [n] int64, byte of each
    lengths: np.ndarray  # [n] int64, bytes, at least 1


def tokens(text: bytes) -> tuple[Tokens, np.ndarray]:
    """The words that str.split() finds in UTF-8, and how many stand before each newline [lines]."""
    array = np.frombuffer(text, np.uint8)
    space = array <= 32
    if not text.isascii():
        _mark_wide_spaces(array, space)
    ends = np.flatnonzero(space)
    what = array[ends]
    control = (what < 9) | ((what > 13) & (what < 28))  # no spaces, though below b" "
    if control.any():
        ends, what = ends[~control], what[~control]
    newlines = np.flatnonzero(what == _NEWLINE) + 1
    if not len(ends) or ends[-1] != len(text) - 1:
        ends = np.append(ends, len(text))
    starts = np.empty_like(ends)
    starts[:1] = 0
    np.add(ends[:-1], 1, out=starts[1:])
    lengths = ends - starts
    full = lengths > 0
    if not full.all():
        newlines = np.concatenate([[0], np.cumsum(full)])[newlines]
        starts, lengths = starts[full], lengths[full]
    return Tokens(text, starts, lengths), newlines


def _tables_of_wide_spaces() -> dict[int, np.ndarray]:
    """By the first byte of a space beyond ASCII: which two behind it [256, 256] make one."""
    tables = {}
    for first, *rest in _WIDE_SPACES:
        table = tables.setdefault(first, np.zeros((256, 256), bool))
        table[tuple(rest)] = True  # whatever follows a space of two bytes
    return tables


_SPACE_BY_REST = _tables_of_wide_spaces()


def _mark_wide_spaces(text: np.ndarray, space: np.ndarray) -> None:
    """Sets `space` at every byte of white space beyond ASCII, in UTF-8 [bytes] uint8."""
    for first, table in _SPACE_BY_REST.items():
        index = np.flatnonzero(text == first)  # in UTF-8 no character begins inside another
        second, third = (text.take(index + i, mode="clip") for i in (1, 2))
        index = index[table[second, third]]
        for i in range(2 if first < 0xE0 else 3):
            space[index + i] = True


class WordTable:
    """Numbers words by a hash table (open addressing, triangular probing) of NumPy arrays.

    A lookup compares whole words, eight bytes at a time, so equal hashes don't matter.
    """

    def __init__(self):
        self.size = 0  # types
        self._table = np.full(1 << 10, -1, np.int32)  # a type or -1
        self._hash = np.empty(1 << 8, np.uint64)  # of each type
        self._first = np.empty(1 << 8, np.uint64)  # its first part
        self._part_index = np.empty(1 << 8, np.int64)  # of its first part in _parts
        self._parts = np.empty(1 << 8, np.uint64)  # of all types
        self._filled = 0
        self._appeared = []  # types by first appearance, in arrays

    def number(self, words: "Words") -> np.ndarray:
        """Ids [n] int32 of words, from 0, that stay the same from call to call."""
        self._make_room(len(words))
        begin, new = self.size, []
        shift, mask = self._shift_and_mask()
        slots = (words.hash >> shift).view(np.int64)
        ids = self._table.take(slots, mode="clip")  # clip: without a check of every index
        index = np.flatnonzero(ids < 0)
        if len(index):
            new.append(self._insert(words, slots[index], index))
            ids[index] = self._table[slots[index]]
        index, step = np.flatnonzero(~self._equal_all(ids, words)), 1  # which words are left
        slots = (slots[index] + step) & mask
        while len(index):
            types = self._table[slots]
            empty = np.flatnonzero(types < 0)
            if len(empty):
                new.append(self._insert(words, slots[empty], index[empty]))
                types = self._table[slots]
            found = self._equal(types, words, index)
            ids[index[found]] = types[found]
            index, step = index[~found], step + 1
            slots = (slots[~found] + step) & mask
        if new:
            self._appeared.append(begin + np.argsort(np.concatenate(new)))
        return ids

    def find(self, words: "Words") -> np.ndarray:
        """Ids [n] int32 of words as `number` gave them, -1 for those that it never met."""
        ids, index, step = np.full(len(words), -1, np.int32), np.arange(len(words)), 0
        shift, mask = self._shift_and_mask()
        slots = (words.hash >> shift).view(np.int64)
        while len(index):
            types = self._table[slots]
            met = types >= 0
            types, index, slots = types[met], index[met], slots[met]
            found = self._equal(types, words, index)
            ids[index[found]] = types[found]
            index, step = index[~found], step + 1
            slots = (slots[~found] + step) & mask
        return ids

    def keep(self, kept: np.ndarray) -> np.ndarray:
        """Forgets all types but those of a mask [types]; their new ids [types] int32, else -1."""
        number = np.where(kept, np.cumsum(kept, dtype=np.int32) - 1, np.int32(-1))
        order = self.order()
        self._appeared = [number[order[kept[order]]]]
        part_index = self._part_index[: self.size]
        parts = np.diff(part_index, append=self._filled)
        self._parts = self._parts[: self._filled][np.repeat(kept, parts)]
        self._part_index = np.cumsum(parts[kept]) - parts[kept]
        self._hash, self._first = self._hash[: self.size][kept], self._first[: self.size][kept]
        self.size, self._filled = len(self._part_index), len(self._parts)
        self._fill_table(len(self._table))
        return number

    def order(self) -> np.ndarray:
        """Ids [types] in the order of first appearance."""
        return np.concatenate([np.zeros(0, np.int64), *self._appeared])

    def by_appearance(self) -> tuple[list[bytes], np.ndarray]:
        """All words met, in the order of their first appearance, and the id [types] of each."""
        text = self._parts[: self._filled].astype("<u8").tobytes()
        words = re.findall(rb"[^\xff]+", text)
        order = self.order()
        return [words[i] for i in order.tolist()], order

    def _equal_all(self, types: np.ndarray, words: "Words") -> np.ndarray:
        """Whether each word of the text is its type [n] bool."""
        equal = self._first.take(types, mode="clip") == words.first
        for j, (index, part) in enumerate(words.more, 1):
            # A type of fewer parts: whatever stands there, an earlier part differs.
            indices = self._part_index.take(types.take(index, mode="clip"), mode="clip")
            indices += j
            mine = self._parts.take(indices, mode="clip")
            equal[index] &= mine == part
        return equal

    def _equal(self, types: np.ndarray, words: "Words", index: np.ndarray) -> np.ndarray:
        """Whether each of the words `index` is its type [len(index)] bool."""
        equal = self._first[types] == words.first[index]
        for j in range(1, len(words.more) + 1):
            left = np.flatnonzero(equal & (words.lengths[index] >= 8 * j))
            if not len(left):
                break
            mine = self._parts[self._part_index[types[left]] + j]
            equal[left] = mine == words.part(j, index[left])
        return equal

    def _insert(self, words: "Words", slots: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Makes types of words whose slots are empty: of those that share one, the first.

        Returns which words became types, in the order of their ids.
        """
        rank = np.arange(len(index), dtype=np.int32)
        self._table[slots[::-1]] = rank[::-1]  # the last assignment stays
        won = self._table[slots] == rank
        index, slots = index[won], slots[won]
        size = self.size + len(index)
        self._table[slots] = np.arange(self.size, size, dtype=np.int32)
        parts = words.lengths[index] // 8 + 1
        begin = self._filled
        part_index = begin + np.cumsum(parts) - parts
        self._filled += int(parts.sum())
        self._parts = grown(self._parts, self._filled)
        j = np.arange(begin, self._filled) - np.repeat(part_index, parts)
        self._parts[begin : self._filled] = words.part(j, np.repeat(index, parts))
        self._hash = grown(self._hash, size)
        self._first = grown(self._first, size)
        self._part_index = grown(self._part_index, size)
        self._hash[self.size : size] = words.hash[index]
        self._first[self.size : size] = words.first[index]
        self._part_index[self.size : size] = part_index
        self.size = size
        return index

    def _make_room(self, count: int) -> None:
        """Keeps the table at most half full if so many words are new."""
        size = len(self._table)
        while size < 2 * (self.size + count):
            size *= 2
        if size > len(self._table):
            self._fill_table(size)

    def _fill_table(self, size: int) -> None:
        """Makes the table anew, of a size, from the types' hashes."""
        self._table = np.full(size, -1, np.int32)
        shift, mask = self._shift_and_mask()
        types = np.arange(self.size, dtype=np.int32)
        slots = (self._hash[: self.size] >> shift).view(np.int64)
        step = 0
        while len(types):
            free = np.flatnonzero(self._table[slots] < 0)[::-1]  # an early type is a frequent one
            self._table[slots[free]] = types[free]
            left = self._table[slots] != types
            step += 1
            types, slots = types[left], (slots[left] + step) & mask

    def _shift_and_mask(self) -> tuple[np.uint64, int]:
        """Of the table: a hash's first slot is hash >> shift; slots wrap by & mask."""
        size = len(self._table)
        return np.uint64(65 - size.bit_length()), size - 1


class Words:
    """The words of a text in parts of eight bytes, as integers; 0xff after a word's last byte."""

    def __init__(self, tokens: Tokens):
        text, starts, lengths = tokens
        self.lengths, self._starts = lengths, starts
        # A part at every byte: NumPy reads unaligned ones too.
        self._at_byte = np.ndarray((len(text) + 1,), "<u8", text + bytes(8), strides=(1,))
        self.first = self._at_byte[starts]
        self.first |= _FILL.take(lengths, mode="clip")
        self.hash = self.first >> _HALF
        self.hash ^= self.first
        self.hash *= _MIX
        self.more = []  # for part 1, 2, ..: the words that have it, and it
        index = np.flatnonzero(lengths >= 8)
        while len(index):
            j = len(self.more) + 1
            part = self.part(j, index)
            value = self.hash[index]
            self.hash[index] = (value ^ (value >> _HALF) ^ part) * _MIX
            self.more.append((index, part))
            index = index[lengths[index] >= 8 * (j + 1)]

    def __len__(self) -> int:
        return len(self.lengths)

    def part(self, j: int | np.ndarray, index: np.ndarray) -> np.ndarray:
        """Bytes 8 j .. 8 j + 7 of the words `index`, none shorter than 8 j, as uint64."""
        part = self._at_byte[self._starts.take(index, mode="clip") + 8 * j]
        part |= _FILL.take(self.lengths.take(index, mode="clip") - 8 * j, mode="clip")
        return part


def grown(array: np.ndarray, size: int) -> np.ndarray:
    """The array, with room for `size` values; the new ones are 0."""
    if size <= len(array):
        return array
    return np.concatenate([array, np.zeros(max(size, 2 * len(array)) - len(array), array.dtype)])
