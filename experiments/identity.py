"""What makes two runs the same run: flags that affect the result, text and vocabulary."""

import hashlib

from experiments.config import Config, resolved, to_flagfile
from w2v_jax.types import Corpus, UserError, Vocab
from w2v_jax.vocab import counts_text

_PLACES = ("dataset", "corpus", "data_dir", "continue_from")  # where a text lies: its hash tells


def of_flags(config: Config) -> dict[str, str]:
    """The flags that affect the result, but where the text and earlier vectors lie."""
    lines = to_flagfile(flag for flag in resolved(config) if flag[0] not in _PLACES).splitlines()
    return dict(line.removeprefix("--").split("=", 1) for line in lines)


def of(config: Config, corpus: Corpus, began: str = "") -> dict:
    """A run's identity, as JSON; began: hash of what it was continued from, if it was."""
    return {
        "flags": of_flags(config),
        "corpus_sha256": corpus.sha256,
        "vocab_sha256": of_vocab(corpus.vocab),
        "began_sha256": began,
    }


def of_vocab(vocab: Vocab) -> str:
    """sha256 of words, counts and their order: of the file vocab.tsv."""
    return hashlib.sha256(counts_text(vocab)).hexdigest()


def check(place: str, old: dict, new: dict) -> None:
    """Raises UserError, which names what differs, where a place holds another run's."""
    differ = []
    for name in {**old["flags"], **new["flags"]}:
        there, here = (flags.get(name, "(unset)") for flags in (old["flags"], new["flags"]))
        if there != here:
            differ.append(f"--{name} is {there} there, {here} here")
    for name, what in (
        ("corpus_sha256", "the text"),
        ("vocab_sha256", "the vocabulary"),
        ("began_sha256", "what --continue_from names"),
    ):
        if name in new and old.get(name) != new[name]:
            differ.append(f"{what} is another")
    if differ:
        raise UserError(
            f"{place}: holds another run ({'; '.join(differ)}); "
            "give another folder, or --overwrite to replace it"
        )
