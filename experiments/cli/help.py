"""--help: what a command does, then its flags by topic, what matters first."""

import sys
from collections.abc import Iterable

from absl import flags

TOPICS = {
    "what one sets first": (
        *("corpus", "dataset", "data_dir", "run", "vectors", "workdir", "model", "dim", "window"),
        *("negatives", "min_count", "epochs", "learning_rate", "seed", "seeds", "sweep", "design"),
    ),
    "the text": (
        *("lower", "tokens", "encoding", "resample", "reading", "unk", "max_vocab"),
        *("max_words", "max_types", "fallback_dataset"),
        *("cache_dir", "continue_from", "continue_schedule"),
    ),
    "model and loss": (
        *("engine", "init", "loss", "reduction", "cbow_legacy_gradient", "export_vectors"),
        *("subwords", "min_n", "max_n", "buckets", "subword_legacy_gradient"),
    ),
    "windows, negatives, subsampling": (
        *("dynamic_window", "expected_window", "full_windows", "window_limit", "negatives_limit"),
        *("noise_power", "noise", "subsample", "subsample_rule", "block", "group_size"),
        *("negatives_per_group", "redraw"),
    ),
    "optimisation": (
        *("batch_size", "order", "drop_last", "optimizer", "update", "schedule", "final_rate"),
        *("replicas", "sync_every"),
        *("beta1", "beta2", "epsilon", "epsilon_hat", "weight_decay"),
    ),
    "text that is not trained on": (
        *("heldout", "early_stopping", "perplexity", "perplexity_window"),
    ),
    "what is left behind": (
        *("export_formats", "evaluate", "pairs", "analogies", "score_column", "plots"),
        *("picture_formats", "tensorboard", "show_similar", "show_similar_each_epoch"),
        *("show_analogies", "analogy_score", "objective", "log_every_steps", "save_vectors"),
    ),
    "going on, memory, devices": (
        *("overwrite", "resume", "checkpoint_every_sec", "checkpoint_every_steps"),
        *("keep_checkpoints", "resident_gb", "memory_gb", "cpu_devices", "vmap_width"),
        *("mesh", "deterministic", "processes", "distributed"),
    ),
}


def text(doc: str) -> str:
    """The help of the command that runs; doc: what it does."""
    own = _own()
    known = {name for names in TOPICS.values() for name in names}
    groups = {topic: [n for n in names if n in own] for topic, names in TOPICS.items()}
    groups["further flags"] = [name for name in sorted(own) if name not in known]
    parts = [f"{topic}:\n{_shown(names)}" for topic, names in groups.items() if names]
    return "\n\n".join([doc.strip(), *parts])


def _own() -> set[str]:
    """Flags of this project's modules, absl's own left out."""
    modules = flags.FLAGS.flags_by_module_dict().items()
    return {
        flag.name
        for module, found in modules
        if module.startswith("experiments") or module == sys.argv[0]
        for flag in found
    }


def _shown(names: Iterable[str]) -> str:
    """absl's lines about these flags, in this order."""
    lines = []
    for name in names:
        alone = flags.FlagValues()
        alone[name] = flags.FLAGS[name]
        lines.append(alone.get_help("  ", include_special_flags=False).strip("\n"))
    return "\n".join(lines)
