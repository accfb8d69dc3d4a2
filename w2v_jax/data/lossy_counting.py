"""Words numbered and counted in bounded memory: rare ones are forgotten while a text is read."""

import os
from collections.abc import Iterable

import numpy as np

from w2v_jax.data.tokenizer import Words, WordTable, grown, tokens
from w2v_jax.data.vocab import EOS, FORGOTTEN, UNK, encoded


class LossyCounter:
    """Words numbered and counted; with more than `max_types` types (0: any number), rare ones go.

    A text is read in parts. Before a part, where more than max_types types are known beside those
    never forgotten ('<unk>', '<eos>', the words of `known`), the smallest threshold c is taken that
    at most max_types / 2 of them exceed, and those that occurred c times or fewer are forgotten.
    The others get new numbers: a generation of them ends. A forgotten word that is met again starts
    anew, so that no count is short by more than the sum of the thresholds.

    After Manku & Motwani 2002, section 4.2 (lossy counting), with thresholds by what there is.
    """

    def __init__(self, folder: str, max_types: int = 0, known: Iterable[str] = ()):
        self.generation = 0
        self.lost = 0  # occurrences of words when they were forgotten
        self.short = 0  # sum of the thresholds
        self._max_types = max_types
        self._table, self._counts = WordTable(), np.zeros(0, np.int64)
        self._ended = IdRemap(os.path.join(folder, "generations.i4"))
        self._lost_at = 0  # types by first appearance before the first that was forgotten
        never = {UNK, EOS, *(word for word in known if word.split() == [word])}
        text = b"\n".join(encoded(never)) if max_types else b""
        self._never = Words(tokens(text)[0])

    def add(self, words: Words, room: int) -> np.ndarray:
        """The numbers [min(words, room)] int32, of this generation, of a part's words."""
        if self._max_types and self._table.size > self._max_types and len(words):
            self._forget()
        ids = self._table.number(words)[:room]
        self._counts = grown(self._counts, self._table.size)
        np.add.at(self._counts, ids, 1)
        return ids

    def types(self) -> tuple[list[bytes], np.ndarray]:
        """Words by first appearance, and how often [types] int64 each was met since it last was.

        0 for those that stand only after the last word read. FORGOTTEN stands for all that were
        forgotten, where the first of them was met.
        """
        types, order = self._table.by_appearance()
        counts = self._counts[order]
        if self.generation:
            types.insert(self._lost_at, FORGOTTEN)
            counts = np.insert(counts, self._lost_at, self.lost)
        return types, counts

    def indices(self, index: np.ndarray) -> "IdRemap":
        """For each generation what its numbers become, from the id of each of `types()`.

        `index` [types], or fewer where the last occur 0 times; all int32.
        """
        order = self._table.order()
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        forgotten = np.int32(-1)
        if self.generation:
            forgotten = index[self._lost_at]
            rank[rank >= self._lost_at] += 1
        index = index.take(rank, mode="clip")
        self._ended.compose(index, forgotten)
        return self._ended

    def report(self, unk: str) -> str:
        """What was lost, as a line; '' if nothing was."""
        if not self.generation:
            return ""
        times = "once" if self.generation == 1 else f"{self.generation:,} times"
        fate = f"became '{UNK}'" if unk == "keep" else "are left out"
        return (
            f"`max_types={self._max_types}`: rare words were forgotten {times} while reading: "
            f"{self.lost:,} occurrences of them {fate}; the count of a word in the vocabulary may "
            f"be up to {self.short:,} short"
        )

    def _forget(self) -> None:
        counts = self._counts[: self._table.size]
        found = self._table.find(self._never)
        keep = np.zeros(len(counts), bool)
        keep[found[found >= 0]] = True
        others = counts[~keep]
        if len(others) <= self._max_types:
            return
        below = len(others) - 1 - self._max_types // 2
        threshold = np.partition(others, below)[below]
        keep |= counts > threshold
        gone = np.flatnonzero(~keep[self._table.order()])
        first = int(gone[0])
        self._lost_at = min(first, self._lost_at) if self.generation else first
        self.lost += int(counts[~keep].sum())
        self.short += int(threshold)
        self._ended.append(self._table.keep(keep))
        self._counts = counts[keep]
        self.generation += 1


class IdRemap:
    """Arrays of int32, a generation of numbers each: all but the last in a file."""

    def __init__(self, path: str):
        self._path = path
        self._bounds = [0]  # of the arrays in the file
        self._last = None

    def __getitem__(self, generation: int) -> np.ndarray:
        if generation == len(self._bounds) - 1:
            return self._last
        begin, end = self._bounds[generation : generation + 2]
        return np.fromfile(self._path, np.int32, end - begin, offset=4 * begin)

    def append(self, number: np.ndarray) -> None:
        """Adds what the numbers of a generation are in the next; -1: forgotten."""
        with open(self._path, "ab") as file:
            file.write(number.data)
        self._bounds.append(self._bounds[-1] + len(number))

    def compose(self, index: np.ndarray, forgotten: np.int32) -> None:
        """Replaces each number by its `index` [types of the last generation], or by `forgotten`."""
        self._last = index
        for generation in reversed(range(len(self._bounds) - 1)):
            number = self[generation]
            index = np.where(number < 0, forgotten, index.take(number, mode="clip"))
            with open(self._path, "r+b") as file:
                file.seek(4 * self._bounds[generation])
                file.write(index.data)

    def delete(self) -> None:
        """Deletes the file."""
        if len(self._bounds) > 1:
            os.unlink(self._path)
