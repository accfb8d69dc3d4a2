"""Settings of every test: the CPU, strict types and ranks, quick compilation."""

import gc
import os
from importlib.metadata import version

# Compiled in a third of the time; XLA_FLAGS="" compiles as a user does.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    # XLA ends where it does not know a flag.
    + " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    * version("jaxlib").startswith("0.10."),
)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from scripts import QUICK, in_a_process, start, text_of

from w2v_jax.data.corpus import Corpus
from w2v_jax.data.vocab import cumulative
from w2v_jax.types import HyperParams, Vocab

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)  # sweeps split their trials over them
jax.devices()  # from now on there are so many
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session", autouse=True)
def what_is_imported_is_no_garbage():
    """The collector passes over modules and collected tests no more: a tenth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Tests leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def make_hyper():
    """(noise, **fields) -> HyperParams; everything is kept, the window and K are 2 unless told."""

    def make(noise, **fields):
        noise = np.asarray(noise, np.float64)
        values = {
            "learning_rate": 0.01,
            "keep_prob": np.ones(len(noise)),
            "noise": noise / noise.sum(),
            "beta1": 0.9,
            "beta2": 0.999,
            "epsilon": 1e-8,
            "weight_decay": 1e-4,
        }
        counts = {"window": 2, "negatives": 2}
        for name, value in fields.items():
            (counts if name in counts else values)[name] = value
        return HyperParams(
            **{name: jnp.asarray(value, jnp.float32) for name, value in values.items()},
            **{name: jnp.int32(value) for name, value in counts.items()},
            noise_cdf=jnp.asarray(cumulative(noise)),
        )

    return make


@pytest.fixture
def added(monkeypatch):
    """The registries with the entries that a reader may add."""
    from entries import add  # draws a key: not before the settings above

    add(monkeypatch)


@pytest.fixture(scope="module")
def hyper(make_hyper):
    """Of the text that `entries` has."""
    from entries import K, V

    return make_hyper(np.arange(1, V + 1), learning_rate=0.1, window=2, negatives=K)


@pytest.fixture(scope="session")
def make_corpus():
    """(lines of ids, words read, V) -> Corpus."""

    def make(lines, words=None, vocab_size=None):
        ids = np.concatenate([np.asarray(line, np.int32) for line in lines])
        size = vocab_size or int(ids.max()) + 1
        vocab = Vocab(tuple(f"w{i}" for i in range(size)), np.bincount(ids, minlength=size))
        ends = np.cumsum([len(line) for line in lines]).astype(np.int64)
        return Corpus(ids, ends, vocab, len(ids) if words is None else words, "")

    return make


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory, worker_id):
    """What is compiled twice in a session, by whichever worker, is compiled once."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent
    jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    reset_cache()
    yield
    jax.config.update("jax_compilation_cache_dir", None)
    reset_cache()


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    """A folder with a text as PTB's training file and as corpus.txt."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "ptb").mkdir()
    for path in ("ptb/ptb.train.txt", "corpus.txt"):
        (folder / path).write_text(text_of())
    return folder


@pytest.fixture(scope="module")
def skipgram(text_folder):
    """A run of ptb_skipgram in a process of its own, with all that a run leaves behind."""
    args = [*QUICK, "--data_dir=.", "--workdir=out", "--plots", "--evaluate", "--objective=running"]
    args += ["--show_similar=w1,absent", "--show_analogies=w1:w2:w3", "--tensorboard"]
    formats = "--export_formats=text,binary,npz,projector"
    return in_a_process(text_folder, "ptb_skipgram", *args, formats), text_folder / "out"


@pytest.fixture(scope="module")
def cbow(text_folder):
    """A run of ptb_cbow, CBOW by default."""
    args = [*QUICK, f"--data_dir={text_folder}", f"--workdir={text_folder / 'cbow'}"]
    return start("ptb_cbow", *args), text_folder / "cbow"
