"""Flags that others make idle, and what --help says of it."""

import dataclasses

from w2v_jax.beginning import OF_TEXT
from w2v_jax.checks import REGISTRIES
from w2v_jax.config import Config

OF_SUBWORDS = "min_n", "max_n", "buckets", "subword_legacy_gradient"


def without_effect(config: Config) -> list[tuple[str, str]]:
    """Flags that the others make idle, each with the flag that does."""
    idle = [
        ("subsample_rule", "subsample", config.subsample == 0),
        ("continue_schedule", "continue_from", not config.continue_from),
        ("sync_every", "replicas", config.replicas == 1),
        ("expected_window", "dynamic_window", not config.dynamic_window),
        *((name, "subwords", not config.subwords) for name in OF_SUBWORDS),
        ("fallback_dataset", "corpus", bool(config.corpus)),
        ("fallback_dataset", "data_dir", bool(config.data_dir)),
        ("dataset", "corpus", bool(config.corpus)),
        ("analogy_score", "show_analogies", not config.show_analogies),
        ("show_similar_each_epoch", "show_similar", not config.show_similar),
        ("pairs", "evaluate", not config.evaluate),
        ("analogies", "evaluate", not config.evaluate),
        ("score_column", "pairs", not config.pairs),
    ]
    causes = [(name, cause) for name, cause, is_idle in idle if is_idle]
    return [
        (name, f"--{cause}={getattr(config, cause)}") for name, cause in _unused(config) + causes
    ]


def _unused(config: Config) -> list[tuple[str, str]]:
    """Flags that entries of a registry use, but none of those chosen, each with the flag at fault.

    A flag that no entry speaks of has an effect, and so has one that any chosen entry uses; all
    have beside a choice that is not known, as another version's may be.
    """
    of = {f.name: f.metadata["of"] for f in dataclasses.fields(config) if f.metadata["of"]}
    spoken_of = {
        n for entries in REGISTRIES.values() for entry in entries.values() for n in entry.uses
    }
    chosen = {flag: entries.get(getattr(config, flag)) for flag, entries in REGISTRIES.items()}
    uses = {flag: set(entry.uses) if entry else spoken_of for flag, entry in chosen.items()}

    def fault(flag):  # of the choice that leaves this one without a say: with softmax, of noise
        above = of.get(flag)
        return above and (fault(above) or ("" if flag in uses[above] else above))

    used = set().union(*(names for flag, names in uses.items() if not fault(flag)))
    if config.init in OF_TEXT:
        used |= set(OF_TEXT[config.init].USES)
    idle = [name for name in of if _base(name) in spoken_of - used]
    return [(name, fault(of[name]) or of[name]) for name in idle]


def users(name: str, of: str) -> str:
    """For a flag's help: with which choices of the flag `of` it has an effect, if not with all."""
    entries = REGISTRIES[of] if of else {}
    users = [choice for choice, entry in entries.items() if _base(name) in entry.uses]
    return "" if len(users) == len(entries) else f" Has an effect with --{of}={', '.join(users)}."


def _base(name: str) -> str:
    """The flag that a limit is of: negatives_limit -> negatives."""
    return name.removesuffix("_limit")
