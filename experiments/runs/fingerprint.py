"""What makes two runs the same run: flags that affect the result, text and vocabulary."""

import hashlib

from experiments.cli import earlier_flags, quoted
from experiments.cli.config import RunConfig
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.vocab import counts_text
from w2v_jax.types import UserError, Vocab

# What is compared beside the flags: what it tells of, and what runs without it behaved like.
_HASHES = {
    "corpus_sha256": ("the text", None),
    "vocab_sha256": ("the vocabulary", None),
    "began_sha256": ("what --continue_from names", ""),
    "heldout_sha256": ("the held-out text", ""),
}


def of_flags(config: RunConfig) -> dict[str, str]:
    """The flags that affect the result, but where the text and earlier vectors lie."""
    found = earlier_flags.of(config)
    return {name: text for name, text in found.items() if name not in earlier_flags.LOCATIONS}


def config_of(about: dict) -> RunConfig:
    """The config of a run, from its fingerprint: what doesn't affect the result as by default."""
    fields = RunConfig.__dataclass_fields__
    values = {}
    for name, text in earlier_flags.by_today(about["flags"]).items():
        if name in fields:
            kind = fields[name].type
            read = {bool: "true".__eq__, tuple: lambda text: tuple(quoted.words(text, ","))}
            values[name] = read.get(kind, kind)(text)
    return RunConfig(**values)


def of(config: RunConfig, corpus: Corpus, began: str = "", heldout: str = "") -> dict:
    """A run's fingerprint, as JSON.

    began: hash of what it was continued from, if it was; heldout: of the text that stops it early.
    """
    return {
        "flags": of_flags(config),
        "corpus_sha256": corpus.sha256,
        "vocab_sha256": of_vocab(corpus.vocab),
        "began_sha256": began,
        "heldout_sha256": heldout,
    }


def of_vocab(vocab: Vocab) -> str:
    """sha256 of words, counts and their order: of the file vocab.tsv."""
    return hashlib.sha256(counts_text(vocab)).hexdigest()


def differences(one: dict, other: dict) -> list[str]:
    """What two processes of a run would train that differs, a phrase each: the other's last."""
    flags = earlier_flags.differences(one["flags"], other["flags"])
    found = [f"--{name} is {theirs} and {own}" for name, theirs, own in flags]
    for name in (name for name in one if name != "flags" and one[name] != other[name]):
        known = name in _HASHES
        found.append(
            f"{_HASHES[name][0]} is another"
            if known
            else f"{name} is {one[name]} and {other[name]}"
        )
    return found


def check(source: str, old: dict, new: dict) -> None:
    """Raises UserError, which names what differs, where a folder holds another run's.

    source: the flag that names it; old: as any version left it; new: this version's, or as much
    of it as is known.
    """
    there = earlier_flags.by_today(old["flags"])
    flags = earlier_flags.differences(there, new["flags"])
    differ = [f"--{name} is {theirs} there, {own} here" for name, theirs, own in flags]
    ways = "give another folder, or --overwrite to replace it"
    if flags and all(own != earlier_flags.UNKNOWN for _, _, own in flags):
        ways += "; with its flags.cfg as --flagfile it goes on"
    for name, (what, before) in _HASHES.items():
        if name in new and old.get(name, before) != new[name]:
            differ.append(f"{what} is another")
    if differ:
        raise UserError(f"{source}: holds another run ({'; '.join(differ)}); {ways}")
