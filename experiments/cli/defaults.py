"""Defaults that depend on other flags or on the text's size, as --help and a run show them."""

from collections.abc import Mapping

from absl import flags

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.report.tables import counted
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import CASES, LARGE, SIZE, kept, steps

ENOUGH = 1000  # updates below which a warning is due


def show_in_help() -> None:
    """Sets what --help says of the defaults of flags that have none of their own."""
    told = {name: [_case(case) for case in cases] for name, cases in CASES.items()}
    told |= {name: [_text(value)] for name, value in LARGE.items()}
    told["subsample"] += [
        f"0 for texts below {SIZE.tiny:,} tokens",
        f"{SIZE.subsample:g} below {SIZE.small:,}",
    ]
    told["learning_rate"] += [
        f"at most {SIZE.learning_rate:g} for texts below {SIZE.tiny:,} tokens"
    ]
    told["batch_size"] += [f"{SIZE.batch_size} for texts below {SIZE.few:,} tokens"]
    told["epochs"] += [
        f"as many as make {SIZE.updates:,} updates, below {SIZE.short:,} tokens "
        f"{SIZE.short_updates:,}, up to {SIZE.epochs:,} epochs, if more"
    ]
    for name, lines in told.items():
        if flags.FLAGS[name].default is None:
            flags.FLAGS[name].default_as_str = f"{'; '.join(lines)}"


def _case(case) -> str:
    return f"{_text(case.value)} {_conditions(case.given)}"


def _conditions(given: Mapping[str, tuple]) -> str:
    if not given:
        return "otherwise"
    of = [f"--{name}={' or '.join(map(_text, values))}" for name, values in given.items()]
    return f"with {' '.join(of)}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def tell(config: RunConfig, corpus: Corpus) -> None:
    """Says what is trained on, and warns where it is little."""
    tokens, left, each = len(corpus.ids), kept(config, corpus), steps(config, corpus)
    updates = each * config.epochs
    console.log(
        f"about {left:,.0f} of {counted(tokens, 'token')} kept an epoch "
        f"(--subsample={config.subsample:g}); {counted(each, 'step')} of {config.batch_size} x "
        f"{counted(config.epochs, 'epoch')}: {counted(updates, 'update')}"
    )
    if updates < ENOUGH:
        console.log(
            f"warning: {counted(updates, 'update')}: vectors may stay near their random start; "
            "more --epochs or a smaller --batch_size make more"
        )
    if tokens < SIZE.tiny:
        console.log(
            f"warning: of {counted(tokens, 'token')} little can be learned but frequent words"
        )
