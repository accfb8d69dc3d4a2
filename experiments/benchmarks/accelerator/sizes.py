"""How large each item's work is: as it is measured, and as it is rehearsed on a CPU."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Sizes of all items; letters as in `w2v_jax.types`."""

    vocab_size: int  # V of the drawn ids
    dim: int  # D
    group_size: int  # centres that share negatives
    negatives_per_group: int  # M
    chunk_words: int  # words of a single chunk, at most 2^20
    epoch_words: int  # words of an epoch whose rate is measured
    repeats: int  # dispatches of which the median is told
    batch_sizes: tuple[int, ...]  # T of the blocks engine
    pairs_batch_sizes: tuple[int, ...]  # T of the pairs engine
    profiled_batch_sizes: tuple[int, ...]
    profiled_steps: int
    compared_vocab_size: int  # V where the device is compared with the CPU
    compared_batch_size: int
    compared_steps: int
    moved_rows: int  # rows that one gather or scatter moves
    moved_dims: tuple[int, ...]  # D of these rows
    copied_floats: int  # of the copy that they are held against
    trials: tuple[int, ...]  # S of the sweeps
    large_vocab_size: int  # V and D of tables that no cache holds
    large_dim: int
    large_batch_sizes: tuple[int, ...]
    text_words: int  # of a text that is drawn where none is given
    text_epochs: int  # of a training whose vectors are judged
    judged_batch_sizes: tuple[int, ...]
    rates: tuple[float, ...]  # learning rates tried for each of them
    max_words: int  # of a given text (0: all)
    cores: tuple[int, ...]  # CPUs of one run
    cores_words: int  # words that it trains on

    def blocks(self, batch_size: int) -> dict:
        """Fields of a Config for the blocks engine's step of so many centres."""
        return {
            "dim": self.dim,
            "batch_size": batch_size,
            "group_size": self.group_size,
            "negatives_per_group": self.negatives_per_group,
        }

    def pairs(self, batch_size: int) -> dict:
        """Fields of a Config for the pairs engine's step of so many centres."""
        return {"engine": "pairs", "dim": self.dim, "batch_size": batch_size}


REAL = Sizes(
    vocab_size=69_893,  # the Wikipedia text's, whose figures lie in results/accelerator
    dim=100,
    group_size=128,
    negatives_per_group=48,
    chunk_words=2**20,
    epoch_words=2**23,
    repeats=5,
    batch_sizes=(1024, 4096, 16384, 65536),
    pairs_batch_sizes=(512, 2048, 16384),
    profiled_batch_sizes=(1024, 16384),
    profiled_steps=50,
    compared_vocab_size=20_000,
    compared_batch_size=1024,
    compared_steps=200,
    moved_rows=2**20,
    moved_dims=(100, 128),
    copied_floats=2**27,
    trials=(8, 64),
    large_vocab_size=10**6,
    large_dim=300,
    large_batch_sizes=(1024, 16384),
    text_words=17_000_000,
    text_epochs=3,
    judged_batch_sizes=(1024, 4096, 16384),
    rates=(0.6, 1.2, 2.4, 4.8),
    max_words=0,
    cores=(1, 2, 4, 8, 16),
    cores_words=4_000_000,
)

TINY = Sizes(
    vocab_size=500,
    dim=16,
    group_size=32,
    negatives_per_group=8,
    chunk_words=4000,
    epoch_words=4000,  # the same chunk: programs that items share are compiled once
    repeats=2,
    batch_sizes=(64, 128),
    pairs_batch_sizes=(64,),
    profiled_batch_sizes=(64,),
    profiled_steps=5,
    compared_vocab_size=500,
    compared_batch_size=64,
    compared_steps=5,
    moved_rows=2**10,
    moved_dims=(100, 128),
    copied_floats=2**16,
    trials=(2,),
    large_vocab_size=1000,
    large_dim=32,
    large_batch_sizes=(64,),
    text_words=20_000,
    text_epochs=1,
    judged_batch_sizes=(64,),
    rates=(0.3, 0.6),
    max_words=20_000,
    cores=(1, 2),
    cores_words=10_000,
)
