"""What word2vec.c, gensim and fastText call our flags: for whoever types theirs."""

from absl import flags

_OURS = {
    "dim": "size vector_size layer1_size embedding_size",
    "corpus": "train input corpus_file sentences",
    "epochs": "iter epoch niter n_iter",
    "negatives": "negative neg num_neg",
    "learning_rate": "alpha lr start_alpha",
    "subsample": "sample t",
    "window": "ws window_size",
    "min_count": "mincount minCount mincounts",
    "max_vocab": "max_final_vocab max_vocab_size",
    "noise_power": "ns_exponent",
    "batch_size": "batch_words",
    "topk": "topn",
    "workdir": "output save out",
    "continue_from": "pretrainedVectors pretrained",
    "vectors": "model_file",
    "min_n": "minn",
    "max_n": "maxn",
    "buckets": "bucket",
}
_SENTENCES = {
    "cbow": "--model=cbow or --model=skipgram",
    "sg": "--model=skipgram (1) or --model=cbow (0)",
    "hs": "--loss=hierarchical_softmax --engine=pairs (1), or leave it out (0)",
    "binary": "--export_formats=binary",
    "threads": "leave it out: all cores are used",
    "thread": "leave it out: all cores are used",
    "workers": "leave it out: all cores are used",
    "debug": "leave it out",
    "limit": "leave it out: vectors are read whole",
    "min_alpha": "--final_rate, its share of --learning_rate",
    "cbow_mean": "leave it out: CBOW takes the mean",
    "classes": "leave it out: there are no word classes",
    "read_vocab": "leave it out: texts are cached as ids (--cache_dir)",
    "read-vocab": "leave it out: texts are cached as ids (--cache_dir)",
    "save_vocab": "leave it out: a run keeps its vocab.tsv",
    "save-vocab": "leave it out: a run keeps its vocab.tsv",
    "min-count": "--min_count",
}
THEIRS = {name: f"--{ours}" for ours, names in _OURS.items() for name in names.split()} | _SENTENCES


def hint(name: str) -> str:
    """What to write here instead, behind the message about an unknown flag; '' for any other."""
    ours = THEIRS.get(name, "")
    flag = ours[2:].partition("=")[0].split(" ")[0]
    if not ours or (ours.startswith("--") and flag not in flags.FLAGS):
        return ""
    return f" Here: {ours}."
