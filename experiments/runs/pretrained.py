"""--continue_from: an earlier run's checkpoint, or word vectors, as what training begins with."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.runs import fingerprint, rundir
from w2v_jax import subword_rows
from w2v_jax.checkpoint import Checkpoints, checksum
from w2v_jax.counting import counted
from w2v_jax.data.vocab import counts_text, load_counts
from w2v_jax.losses import LOSSES
from w2v_jax.types import SubwordParams, UserError, Vocab
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.warm_start import INPUT, NGRAMS, OUTPUT, Pretrained


def absolute(config: RunConfig) -> RunConfig:
    """With a path that means the same from any folder."""
    if not config.continue_from:
        return config
    path = str(Path(config.continue_from).expanduser().absolute())
    return dataclasses.replace(config, continue_from=path)


def earlier(config: RunConfig) -> Pretrained | None:
    """What --continue_from names; None without it. Raises UserError where it can't be used."""
    if not config.continue_from:
        return None
    if config.subwords:
        raise UserError("--continue_from: no rows of n-grams go on; give --nosubwords")
    path = Path(config.continue_from)
    if not path.exists():
        raise UserError(f"--continue_from={path}: no such file or folder")
    found = _of_run(path, config) if path.is_dir() else _of_vectors(path, None)
    table = found.arrays[INPUT]
    if table.shape[1] != config.dim:
        raise UserError(
            f"--dim={config.dim}: --continue_from={path} has vectors of {table.shape[1]}"
        )
    if table.shape[0] != len(found.vocab.words):
        raise UserError(f"--continue_from={path}: its vocabulary is another than its checkpoint's")
    if config.continue_schedule and not found.words:
        raise UserError("--continue_schedule needs a run with a checkpoint (--continue_from=RUN)")
    return found


def _of_run(path: Path, config: RunConfig) -> Pretrained:
    """A run directory: its newest checkpoint, or its vectors where it has none."""
    about = rundir.fingerprint_of(path)  # or it is of a newer format
    if not (path / rundir.VOCAB).exists():
        raise UserError(f"--continue_from={path}: holds no run ({rundir.VOCAB})")
    vocab = load_counts(str(path / rundir.VOCAB))
    checkpoints = Checkpoints(str(path / rundir.CHECKPOINTS), None)
    saved = checkpoints.newest(console.note)
    checkpoints.close()
    if saved is None:
        console.log(f"note: {path} has no checkpoint: its vectors alone are carried over")
        return _of_vectors(rundir.vectors_path(path), vocab)
    if rundir.is_trained(path) and not saved.about.get("ended", True):
        console.log(
            f"note: the newest checkpoint of {path} is of step {saved.step:,}, not of its end"
        )
    arrays = {name.removeprefix("state."): array for name, array in saved.arrays.items()}
    try:
        words = saved.about["ledger"]["words"] + saved.about["words_before"]
    except KeyError as error:
        raise UserError(f"--continue_from={path}: its checkpoint is no single run's") from error
    before = (about or {"flags": {}})["flags"].get("loss", config.loss)
    if LOSSES[config.loss].paths or (before in LOSSES and LOSSES[before].paths):
        arrays = _without_nodes(path, config, arrays)
    if NGRAMS in arrays:
        arrays = _made_up(path, config, arrays, vocab, about)
    return _earlier(vocab, arrays, words)


def _without_nodes(path: Path, config: RunConfig, arrays: dict) -> dict:
    """The input embeddings alone: a tree's output embeddings are its nodes', not words'.

    Raises UserError where the optimiser is to go on.
    """
    told = f"of {path} the input embeddings alone go on, as with hierarchical softmax output rows "
    told += "belong to a tree's nodes"
    if config.continue_schedule:
        raise UserError(f"--continue_schedule: {told}")
    console.note(told)
    return {INPUT: arrays[INPUT]}


def _made_up(path: Path, config: RunConfig, arrays: dict, vocab: Vocab, about) -> dict:
    """The tables of words where the earlier run had subwords.

    Raises UserError where the optimiser is to go on.
    """
    if config.continue_schedule:
        raise UserError(f"--continue_schedule: {path} was trained with --subwords")
    params = SubwordParams(arrays[INPUT], arrays[OUTPUT], arrays[NGRAMS])
    tables, _ = subword_rows.word_tables(params, fingerprint.config_of(about), vocab)
    return {INPUT: np.asarray(tables.input), OUTPUT: np.asarray(tables.output)}


def _of_vectors(path, vocab: Vocab | None) -> Pretrained:
    """A file of vectors; their counts, where they are known."""
    wv = vectors_io.load(path, note=console.note)
    if vocab is None:
        wv = _tokens(path, wv)
        vocab = Vocab(wv.words, np.zeros(len(wv.words), np.int64))
    elif vocab.words != wv.words:
        raise UserError(f"{path}: its words are others than those of {rundir.VOCAB}")
    return _earlier(vocab, {INPUT: wv.vectors}, 0)


def _tokens(path, wv: WordVectors) -> WordVectors:
    """Without the words that hold white space, as no token of a text does."""
    kept = [i for i, word in enumerate(wv.words) if word.split() == [word]]
    if not kept:
        raise UserError(f"{path}: all its words hold white space: none can be a text's")
    if left := len(wv) - len(kept):
        console.note(f"{path}: {counted(left, 'word')} that hold white space are left out")
    return WordVectors(tuple(wv.words[i] for i in kept), wv.vectors[kept]) if left else wv


def _earlier(vocab: Vocab, arrays: dict, words: int) -> Pretrained:
    text = f"{words} {checksum(arrays, {})} ".encode() + counts_text(vocab)
    return Pretrained(vocab, arrays, words, hashlib.sha256(text).hexdigest())
