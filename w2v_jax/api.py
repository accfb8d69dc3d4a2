"""The front door: what `import w2v_jax` gives, composed of the modules behind it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from w2v_jax import heldout_text, runs
from w2v_jax.config import Config, make
from w2v_jax.data import preparation, sources
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.phrases import Phrases, joined_lines
from w2v_jax.data.sentences import checked
from w2v_jax.defaults import resolve
from w2v_jax.types import TextSettings, UserError
from w2v_jax.vectors import io, item_sets
from w2v_jax.vectors.measures import Measures, measures
from w2v_jax.vectors.word_vectors import WordVectors

WINDOW = 5  # of held-out measures, as the commands have it
Text = Corpus | str | Path | Iterable[Iterable[str]]


def train(
    text: Text | None = None,
    config: Config | None = None,
    *,
    heldout: Text | None = None,
    early_stopping: int = 0,
    phrases: Phrases | None = None,
    seed: int = 1,
    progress: bool | Callable[[dict[str, Any]], None] | None = None,
    **changes: Any,
) -> runs.Run:
    """Trains word vectors on sentences, files or a corpus.

    text: sentences, each a list of words; a file, a folder or a glob, a sentence a line; or a
    Corpus, whose vocabulary is fixed. config: a Config (None: its defaults), with the fields in
    `changes`: train(text, dim=200, model="cbow"). heldout: a text that is not trained on; its loss
    and perplexity are in the history where an epoch ends. early_stopping: end after so many epochs
    on end without a better one, with the tables of the best (0: never). phrases: of
    `Phrases.learn`, joined in both texts. progress: True, a bar; False, none; None, a bar in a
    notebook or a terminal; or a function of each line of the history.
    Raises UserError, which names the argument, for values that a Config can't have, and where there
    is nothing to train on.
    """
    config = make(config, changes)
    if text is None:
        raise UserError("`text`: is missing: lists of words, a file or a glob, or a Corpus")
    corpus = corpus_of(text, config, phrases)
    config = resolve(config, corpus)
    corpus = corpus.resampled(config.resample)
    stopping = checked_patience(early_stopping, heldout is not None)
    windows = None if heldout is None else windows_of(heldout, corpus, config, phrases)
    return runs.run(corpus, config, seed, progress, windows, stopping)


def windows_of(
    text: Text, corpus: Corpus, config: Config, phrases: Phrases | None = None
) -> heldout_text.Windows:
    """The windows of a text that is not trained on, as ids of the corpus's vocabulary.

    phrases: joined in it, unless it is a Corpus.

    Raises UserError where it can't be read, or where no window is left.
    """
    unk, eos = config.unk, config.reading == "stream"
    how = preparation.checked(config.lower, config.tokens, config.encoding)

    def prepared(words):
        words = how.words(" ".join(words)).split()
        return phrases.joined(words) if phrases else words

    if isinstance(text, str | Path) and not str(text).strip():
        raise UserError("`heldout`: names no file")
    lines: Iterable[list[str]]
    if isinstance(text, str | Path):
        paths = sources.locate("", corpus=str(text), argument="heldout").paths
        if phrases:
            lines = joined_lines(paths, how, phrases)
            found = heldout_text.of_lines(lines, corpus.vocab, unk=unk, eos=eos, name=str(text))
            return heldout_text.windows(found, WINDOW)
        found = heldout_text.read(paths, corpus.vocab, unk=unk, eos=eos, how=how)
        return heldout_text.windows(found, WINDOW)
    if isinstance(text, Corpus):
        if text.settings and text.settings.reading != config.reading:
            made = text.settings.reading
            raise UserError(f"`heldout`: was read as {made}, the text as {config.reading}")
        eos = eos and text.settings is None  # else it has them
        words, ends = text.vocab.words, text.line_ends.tolist()
        begins = [0, *ends[:-1]]
        lines = ([words[i] for i in text.ids[a:b]] for a, b in zip(begins, ends, strict=True))
    else:
        lines = checked(text, "heldout")
    phrases = None if isinstance(text, Corpus) else phrases
    found = heldout_text.of_lines(map(prepared, lines), corpus.vocab, unk=unk, eos=eos)
    return heldout_text.windows(found, WINDOW)


def checked_patience(early_stopping: int, measured: bool) -> int:
    """`early_stopping`. Raises UserError where it is no count, or nothing is measured."""
    shown = f"`early_stopping={early_stopping}`"
    whole = isinstance(early_stopping, int | np.integer)
    if isinstance(early_stopping, bool) or not whole:
        raise UserError(f"{shown}: not a whole number")
    if early_stopping < 0:
        raise UserError(f"{shown}: must be at least 0")
    if early_stopping and not measured:
        raise UserError(f"{shown}: needs a held-out text: give `heldout`")
    return int(early_stopping)


def corpus_of(text: Text, config: Config, phrases: Phrases | None = None) -> Corpus:
    """A text as a corpus by the config's fields, its phrases joined; a Corpus as it is."""
    if isinstance(text, Corpus):
        if phrases is not None:
            raise UserError("`phrases`: a Corpus has its words: give the text")
        return text
    settings = config.text_settings()
    if isinstance(text, str | Path):
        if not str(text).strip():
            raise UserError("`text`: names no file")
        return Corpus.from_files(text, **settings._asdict(), phrases=phrases)
    for name in ("max_words", "max_types"):
        if getattr(settings, name):
            raise UserError(f"`{name}`: is for files; shorten the list of sentences")
    for name in ("tokens", "encoding"):
        if getattr(settings, name) != getattr(TextSettings(), name):
            raise UserError(f"`{name}`: is for files; sentences are lists of words already")
    names = ("min_count", "max_vocab", "unk", "reading", "lower")
    made = {name: getattr(settings, name) for name in names}
    return Corpus.from_sentences(text, **made, phrases=phrases)


def load(path: str | Path, limit: int | None = None) -> WordVectors:
    """Vectors of any program, known by the file's bytes, plain or packed.

    word2vec's text and binary, GloVe's and fastText's text, npz, safetensors, Parquet and gensim's
    KeyedVectors; .gz, .bz2, .xz, .zst, .zip (FILE.zip/MEMBER where it holds several). limit: the
    first so many words; no more is read of text and binary files. Rows that cannot be used are left
    out, and told in one warning. Raises UserError, which names file and line.
    """
    return io.load(path, limit)


def evaluate(
    vectors: WordVectors | runs.Run,
    *,
    pairs: str | Sequence[str] = (),
    analogies: str | Sequence[str] = (),
    score_column: str = "",
) -> Measures:
    """WordSim-353, SimLex-999 (where it is installed) and Google's analogies, with coverage.

    pairs, analogies: files of one's own, measured too; score_column: of pairs, a name or a number
    from 1. A figure of fewer than 20 covered items is None. Raises UserError for a file that can't
    be read.
    """
    found = vectors.vectors if isinstance(vectors, runs.Run) else vectors
    if not isinstance(found, WordVectors):
        raise UserError("`vectors`: give WordVectors (load(..) reads a file) or a Run")
    return measures(found, item_sets.read_all(pairs, analogies, score_column))
