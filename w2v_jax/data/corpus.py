"""A text as ids, from sentences or files, and the chunks that training takes it in."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.data import loader, preparation, resampling, sources
from w2v_jax.data.phrases import Phrases, joined_lines
from w2v_jax.data.sentences import checked
from w2v_jax.data.vocab import EOS, choose
from w2v_jax.types import TextSettings, TokenizedText, UserError, Vocab

CHUNK = 2**20  # tokens that one epoch's view is drawn for at a time


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """A text as ids of its vocabulary, on the host; it is never changed."""

    ids: np.ndarray  # [N] int32, tokens in text order; or id_cache.Ids, whose slices are arrays
    line_ends: np.ndarray  # [lines] int64, line i is ids[line_ends[i-1]:line_ends[i]]
    vocab: Vocab
    words: int  # words read, those that the vocabulary leaves out included
    sha256: str  # of the text read, uncompressed
    settings: TextSettings | None = None  # what made it of a text; None where it isn't known
    room: int = 0  # tokens of each chunk, of a text that `resampled` drew; 0: of its largest

    @classmethod
    def from_sentences(
        cls,
        sentences: Iterable[Iterable[str]],
        min_count: int = 5,
        *,
        max_vocab: int = 0,
        unk: str = "drop",
        reading: str = "sentences",
        lower: bool = False,
        phrases: Phrases | None = None,
    ) -> "Corpus":
        """Sentences, each a list of words; they are read once and may be a generator.

        The same corpus as of a file with a sentence a line. Words that occur fewer than `min_count`
        times are rare, as are all but the `max_vocab` most frequent (0: no limit); unk, "keep" or
        "drop": they become "<unk>", or leave the text. reading = "stream": one line, with "<eos>"
        behind each sentence. lower: in small letters. phrases: joined, after that. Raises
        UserError where a sentence is no list of words, or none is left.
        """
        settings = TextSettings(reading, unk, min_count, max_vocab, lower=lower).check()
        _check_phrases(phrases, lower)
        how = preparation.checked(lower, settings.tokens, settings.encoding)
        numbers: dict[str, int] = {}
        ids: list[int] = []
        ends: list[int] = []
        digest = hashlib.sha256()
        for words in checked(sentences):
            words = list(map(how.words, words))
            words = phrases.joined(words) if phrases else words
            digest.update((" ".join(words) + "\n").encode("utf-8", "surrogatepass"))
            words += [EOS] * (reading == "stream")
            ids.extend([numbers.setdefault(word, len(numbers)) for word in words])
            ends.append(len(ids))
        types = [word.encode("utf-8", "surrogatepass") for word in numbers]
        numbered = np.array(ids, np.int32)
        counts = np.bincount(numbered, minlength=len(types)).astype(np.int64)
        vocab, new_id = choose(
            types, counts, min_count=min_count, max_vocab=max_vocab, unk=unk, text="the text"
        )
        numbered = new_id[numbered]
        kept = np.concatenate([[0], np.cumsum(numbered >= 0)])
        line_ends = np.unique(kept[ends]) if reading == "sentences" else kept[-1:]
        text = numbered[numbered >= 0], line_ends[line_ends > 0].astype(np.int64)
        return cls(*text, vocab, len(ids), digest.hexdigest(), settings)

    @classmethod
    def from_files(
        cls,
        files: str | Path | Iterable[str | Path],
        min_count: int = 5,
        *,
        max_vocab: int = 0,
        unk: str = "drop",
        reading: str = "sentences",
        max_words: int = 0,
        max_types: int = 0,
        lower: bool = False,
        tokens: str = "words",
        encoding: str = "utf-8",
        phrases: Phrases | None = None,
        cache_dir: str = "",
        progress: Callable[[int], None] = lambda count: None,
    ) -> "Corpus":
        """Text, a sentence a line, plain or packed: a file, a folder, a glob, or several of them.

        As `from_sentences`; max_words cuts the text, max_types bounds memory (rare words are
        forgotten while it is read; 0: neither). tokens="simple" leaves punctuation out; encoding:
        the files', as Python names it. phrases: joined, of a text without these limits, and kept in
        memory. The ids are kept on disk in cache_dir ("": the
        default folder, "none": nowhere), where a second call finds them. progress is called with
        the bytes done since its last call. Raises UserError where the text can't be read.
        """
        paths = [files] if isinstance(files, str | Path) else list(files)
        found = [_located(path) for path in paths]
        source = sources.Source("files", tuple(dict.fromkeys(sum(found, ()))), "")
        if not source.paths:
            raise UserError("`files`: none is given")
        given = TextSettings(
            *(reading, unk, min_count, max_vocab, max_words, max_types, lower, tokens, encoding)
        )
        settings = given._replace(encoding=preparation.encoding_of(encoding)).check()
        _check_phrases(phrases, lower)
        if phrases:
            return cls._with_phrases(source, settings, phrases, progress)
        return cls.load(source, settings, cache_dir=cache_dir, progress=progress)

    @classmethod
    def _with_phrases(
        cls,
        source: sources.Source,
        settings: TextSettings,
        phrases: Phrases,
        progress: Callable[[int], object],
    ) -> "Corpus":
        """A located text, its phrases joined. Raises UserError for limits that need a file."""
        for name in ("max_words", "max_types"):
            if getattr(settings, name):
                raise UserError(f"`{name}={getattr(settings, name)}`: not together with `phrases`")
        how = preparation.checked(settings.lower, settings.tokens, settings.encoding)
        rows = joined_lines(source.paths, how, phrases, progress)
        made = cls.from_sentences(
            rows,
            settings.min_count,
            max_vocab=settings.max_vocab,
            unk=settings.unk,
            reading=settings.reading,
        )
        return replace(made, settings=settings)

    @classmethod
    def load(cls, source: sources.Source, settings: TextSettings, **more) -> "Corpus":
        """A located text; more: cache_dir, known, note and progress, as of `loader.load`."""
        text = loader.load(
            source,
            min_count=settings.min_count,
            max_vocab=settings.max_vocab,
            unk=settings.unk,
            eos=settings.reading == "stream",
            max_words=settings.max_words,
            max_types=settings.max_types,
            how=preparation.checked(settings.lower, settings.tokens, settings.encoding),
            **more,
        )
        return cls.of(text, settings)

    @classmethod
    def of(cls, text: TokenizedText, settings: TextSettings | None = None) -> "Corpus":
        """What was read, with what it was read by."""
        return cls(*text, settings)

    def __repr__(self) -> str:
        return f"Corpus({counted(self.words, 'word')}, {counted(len(self.vocab.words), 'type')})"

    @property
    def bounds(self) -> np.ndarray:
        """Where its chunks begin and end, [chunks + 1] tokens."""
        return cut(self.line_ends, self.room or CHUNK)

    @property
    def chunk_size(self) -> int:
        """Tokens of its largest chunk."""
        return self.room or int(np.max(np.diff(self.bounds)))

    def resampled(self, seed: int) -> "Corpus":
        """As many lines, each drawn from all of them: a bootstrap's text, by the seed; 0: itself.

        A text of one line is drawn in parts of about 1,000 tokens. Vocabulary and counts stay,
        and with them the noise distribution and what subsampling keeps.
        """
        if not seed:
            return self
        ends = resampling.parts(np.asarray(self.line_ends))
        lines = resampling.drawn_lines(ends, seed)
        ids, line_ends = resampling.gathered(np.asarray(self.ids[:]), ends, lines)
        return replace(
            self,
            ids=ids,
            line_ends=line_ends if len(self.line_ends) > 1 else line_ends[-1:],
            words=max(round(self.words * len(ids) / len(self.ids)), 1),
            sha256=hashlib.sha256(f"{self.sha256} resample {seed}".encode()).hexdigest(),
            room=min(resampling.longest(ends), CHUNK),
        )

    def arrays(self, begin: int, end: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens [size] and their lines [size] of ids[begin:end]; padding has line -1."""
        tokens = np.zeros(size, np.int32)
        tokens[: end - begin] = self.ids[begin:end]
        line = np.full(size, -1, np.int32)
        first, last = np.searchsorted(self.line_ends, [begin, end - 1], side="right")
        ends = np.minimum(self.line_ends[first : last + 1], end)
        lengths = np.diff(ends, prepend=begin)
        line[: end - begin] = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        return tokens, line


def _check_phrases(phrases: Phrases | None, lower: bool) -> None:
    """Raises UserError for what are no phrases, or those of a text in other letters."""
    if phrases is None:
        return
    if not isinstance(phrases, Phrases):
        raise UserError("`phrases`: give what Phrases.learn(text) makes")
    if phrases.lower != lower:
        raise UserError(f"`lower={lower}`: the phrases were learned with `lower={phrases.lower}`")


def _located(path: str | Path) -> tuple[str, ...]:
    """The files of a path or a glob. Raises UserError for what looks like a text, too."""
    if not isinstance(path, str | Path):
        raise UserError(f"`files`: {path!r} is no path")
    try:
        return sources.locate("", corpus=str(path), argument="files").paths
    except UserError as error:
        if len(str(path).split()) > 2:
            raise UserError(f"{error} (sentences are given as lists of words)") from error
        raise


def cut(line_ends: np.ndarray, size: int) -> np.ndarray:
    """Bounds [chunks + 1] of chunks of at most `size` tokens that end where a line ends.

    A line longer than a chunk is cut, and no window crosses that cut.
    """
    total = int(line_ends[-1])
    bounds = [0]
    while bounds[-1] < total:
        reach = bounds[-1] + size
        last = np.searchsorted(line_ends, reach, side="right") - 1
        end = int(line_ends[last]) if last >= 0 else 0
        bounds.append(end if end > bounds[-1] else min(reach, total))
    return np.array(bounds, np.int64)
