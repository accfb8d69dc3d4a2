"""gensim's Word2Vec or FastText in a process of its own; reports its times as JSON.

python -m experiments.benchmarks.baselines.gensim_training --corpus=FILE --vectors=FILE ..
"""

import argparse
import json
import time


def arguments() -> argparse.Namespace:
    """The command line: names are our flags', values go to gensim's parameters."""
    parser = argparse.ArgumentParser()
    for name in ("corpus", "vectors", "report", "model"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("dim", "window", "negatives", "min_count", "epochs", "threads", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--loss", default="negative_sampling")
    parser.add_argument("--subwords", action="store_true")
    parser.add_argument("--subsample", type=float, required=True)
    parser.add_argument("--input", choices=("sentences", "corpus_file"), required=True)
    parser.add_argument("--export", choices=("input", "sum"), required=True)
    return parser.parse_args()


def main() -> None:
    """Vocabulary, training, vectors in word2vec's binary format, or a model in fastText's."""
    args = arguments()
    from gensim.models.fasttext import FastText, save_facebook_model
    from gensim.models.word2vec import LineSentence, Word2Vec

    if args.input == "sentences":
        text = {"corpus_iterable": LineSentence(args.corpus)}
    else:
        text = {"corpus_file": args.corpus}
    in_tree = args.loss == "hierarchical_softmax"
    model = (FastText if args.subwords else Word2Vec)(
        vector_size=args.dim,
        window=args.window,
        negative=0 if in_tree else args.negatives,
        hs=int(in_tree),
        sample=args.subsample,
        min_count=args.min_count,
        epochs=args.epochs,
        sg=int(args.model == "skipgram"),
        workers=args.threads,
        seed=args.seed,
    )
    began = time.perf_counter()
    model.build_vocab(**text)
    scanned = time.perf_counter()
    model.train(
        **text,
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=model.epochs,
    )
    trained = time.perf_counter()
    if args.export == "sum":
        model.wv.vectors += model.syn1neg
    if args.subwords:
        save_facebook_model(model, args.vectors)
    else:
        model.wv.save_word2vec_format(args.vectors, binary=True)
    with open(args.report, "w") as file:
        json.dump({"vocab_sec": scanned - began, "train_sec": trained - scanned}, file)


if __name__ == "__main__":
    main()
