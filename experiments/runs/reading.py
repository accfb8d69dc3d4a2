"""A run's text: found, read or taken from the cache, and said what it is."""

import dataclasses
from pathlib import Path

import numpy as np

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.report.tables import counted
from w2v_jax.data import loader, trainable
from w2v_jax.data import sources as corpora
from w2v_jax.data.corpus import Corpus

TEXT8_WORDS = 17_005_207


def absolute(names: str) -> str:
    """Files or globs, commas between, so that flags.cfg means the same from any folder."""
    one = Path(names).exists()  # a name may hold a comma
    given = [names] if one else [n.strip() for n in names.split(",")]
    return ",".join(str(Path(n).expanduser().absolute()) for n in given if n)


def read_corpus(
    config: RunConfig, known: tuple[str, ...] = ()
) -> tuple[RunConfig, corpora.Source, Corpus]:
    """The text as ids; the RunConfig with the dataset that was really used.

    known: words that have an id wherever they occur, however rare.
    """
    source = corpora.locate(
        config.dataset,
        corpus=config.corpus,
        data_dir=config.data_dir,
        fallback=config.fallback_dataset,
        cache_dir="" if config.cache_dir == loader.NO_CACHE else config.cache_dir,
    )
    if source.note:
        console.log(f"note: {source.note}")
    if config.corpus:
        config = dataclasses.replace(config, corpus=absolute(config.corpus))
    elif config.data_dir:
        folder = Path(config.data_dir).expanduser().absolute()
        config = dataclasses.replace(config, data_dir=str(folder))
    if source.name != "files":
        config = dataclasses.replace(config, dataset=source.name)
    with console.reading_bar(source.paths) as bar:
        corpus = Corpus.load(
            source,
            config.text_settings(),
            cache_dir=config.cache_dir,
            note=console.note,
            progress=bar.update,
            known=known,
        )
    console.log(
        f"{source.name}: {counted(corpus.words, 'word')}, of which {len(corpus.ids):,} are in the "
        f"vocabulary of {counted(len(corpus.vocab.words), 'type')}"
    )
    ends = config.reading == "stream"  # each line's is a word there
    other = corpus.words - ends != TEXT8_WORDS
    if source.name == "text8" and not config.max_words and other and config.tokens == "words":
        console.log(f"note: text8 has {counted(TEXT8_WORDS, 'word')}: this is another text")
    corpus = corpus.resampled(config.resample)
    never = int(np.sum(trainable.without_context(corpus)))
    if never:
        console.log(
            f"note: {counted(never, 'type')} without a context (alone on every line): untrained, "
            "and left out where neighbours are looked for"
        )
    return config, source, corpus
