"""The front door as a typed program uses it: read by the type checker, not run."""

from collections.abc import Callable

import jax

import w2v_jax as w2v


def trained(sentences: list[list[str]]) -> list[tuple[str, float]]:
    run: w2v.Run = w2v.train(sentences, dim=50, seed=2, progress=False)
    run.save("vectors.bin")
    vectors: w2v.WordVectors = w2v.load("vectors.bin", limit=100)
    loss: float = run.loss
    print(loss, vectors.similarity("a", "b"), vectors.doesnt_match(["a", "b"]), run.evaluate())
    return vectors.most_similar("a", topn=3)


def swept(corpus: w2v.Corpus) -> str:
    config = w2v.Config(dim=50, window=2)
    train: Callable[[jax.Array, w2v.HyperParams], tuple[w2v.Params, w2v.Metrics]]
    train = w2v.make_train(corpus, config)
    hyper: w2v.HyperParams = w2v.stack([w2v.make_hyper(corpus, config, noise_power=0.5)])
    params, metrics = train(jax.random.key(1), hyper)
    print(params.input, metrics.loss)
    return w2v.sweep(corpus, config, seeds=2, noise_power=[0.5, 1]).table()
