"""Defaults that a named dataset brings, before a command's own."""

from absl import flags

# Of the book's sentence of eight words: nothing is rare, and an epoch is a step.
OF_DATASET = {
    "toy": {
        "min_count": 1,
        "unk": "keep",
        "dim": 10,
        "window": 1,
        "subsample": 0.0,
        "epochs": 1000,
        "show_similar": "you,i,say",
    }
}


def set_defaults() -> None:
    """Sets the flags that were not given to what the dataset chosen brings for them.

    A dataset beside --corpus is not read, and brings nothing.
    """
    values = flags.FLAGS
    if "dataset" not in values or ("corpus" in values and values.corpus):
        return
    for name, value in OF_DATASET.get(values.dataset, {}).items():
        if name in values and not values[name].present:
            values.set_default(name, value)


def show_in_help() -> None:
    """Adds what datasets bring to what --help says of the defaults of flags."""
    for dataset, values in OF_DATASET.items():
        for name, value in values.items():
            if name in flags.FLAGS:
                flag, text = flags.FLAGS[name], f"{value:g}" if isinstance(value, float) else value
                flag.default_as_str = f"{flag.default_as_str}; {text} with --dataset={dataset}"
