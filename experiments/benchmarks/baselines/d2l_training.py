"""The PyTorch loop of Dive into Deep Learning 15.3-15.4, in a process of its own.

TORCH_PYTHON -m experiments.benchmarks.baselines.d2l_training --corpus=FILE --vectors=FILE ..

Needs torch alone. As the chapter has it: words rarer than min_count and <unk> leave the text;
subsampling, windows and noise (from count^0.75, none of the centre's contexts) are drawn once, in
Python; batches of 512 padded centres come from a DataLoader; Xavier tables, Adam 0.002; what is
minimised is the sum over a batch of each centre's masked mean cross entropy. On the CPU.
"""

import argparse
import collections
import json
import math
import random
import time

import torch
from torch import nn
from torch.nn import functional


def read(path: str, min_count: int) -> tuple[list[list[str]], collections.Counter]:
    """Sentences without rare words and <unk>, and the counts of what is left."""
    with open(path, encoding="utf-8") as file:
        sentences = [line.split() for line in file]
    counts = collections.Counter(word for words in sentences for word in words)
    known = {word for word, n in counts.items() if n >= min_count and word != "<unk>"}
    sentences = [[word for word in words if word in known] for words in sentences]
    return sentences, collections.Counter(word for words in sentences for word in words)


def subsample(sentences, counts, threshold: float):
    """Keeps an occurrence of w with probability sqrt(t / f(w)) (15.3.2); all of them for t = 0."""
    if not threshold:
        return sentences
    total = sum(counts.values())
    keep = {word: math.sqrt(threshold * total / n) for word, n in counts.items()}
    return [[word for word in words if random.random() < keep[word]] for words in sentences]


def windows(sentences: list[list[int]], largest: int) -> tuple[list[int], list[list[int]]]:
    """Every centre and its contexts, the window drawn from U{1..largest} (15.3.3)."""
    centres, contexts = [], []
    for words in sentences:
        if len(words) < 2:
            continue
        centres += words
        for i in range(len(words)):
            size = random.randint(1, largest)
            contexts.append(words[max(0, i - size) : i] + words[i + 1 : i + 1 + size])
    return centres, contexts


def noise(contexts: list[list[int]], weights: list[float], k: int) -> list[list[int]]:
    """K negatives a context, none of the centre's contexts (15.3.4), ids from 1."""
    ids = range(1, len(weights) + 1)

    def draws():
        while True:
            yield from random.choices(ids, weights, k=10_000)

    stream, drawn = draws(), []
    for words in contexts:
        chosen = []
        while len(chosen) < len(words) * k:
            word = next(stream)
            if word not in words:
                chosen.append(word)
        drawn.append(chosen)
    return drawn


class Centres(torch.utils.data.Dataset):
    """(centre, its contexts, its negatives), a centre an example."""

    def __init__(self, *columns):
        self.columns = columns

    def __getitem__(self, i):
        return tuple(column[i] for column in self.columns)

    def __len__(self):
        return len(self.columns[0])


def collate(examples):
    """Pads to the longest of the batch: centre, contexts and noise, mask, labels (15.3.5)."""
    longest = max(len(context) + len(negative) for _, context, negative in examples)
    centres, outputs, masks, labels = [], [], [], []
    for centre, context, negative in examples:
        used = len(context) + len(negative)
        centres.append(centre)
        outputs.append(context + negative + [0] * (longest - used))
        masks.append([1] * used + [0] * (longest - used))
        labels.append([1] * len(context) + [0] * (longest - len(context)))
    columns = torch.tensor(outputs), torch.tensor(masks), torch.tensor(labels)
    return torch.tensor(centres).reshape(-1, 1), *columns


def loss_of(net, centres, outputs, masks, labels) -> torch.Tensor:
    """Each centre's mean cross entropy over its unmasked entries [T] (15.4.2)."""
    scores = torch.bmm(net[0](centres), net[1](outputs).permute(0, 2, 1)).squeeze(1)
    entropy = functional.binary_cross_entropy_with_logits(
        scores, labels.float(), weight=masks.float(), reduction="none"
    )
    return entropy.mean(dim=1) / masks.float().sum(dim=1) * masks.shape[1]


def train(net, batches, epochs: int) -> float:
    """Trains; returns the loss as the chapter prints it, a mean over all epochs."""
    optimizer = torch.optim.Adam(net.parameters(), lr=0.002)
    total, count = 0.0, 0
    for _ in range(epochs):
        for batch in batches:
            optimizer.zero_grad()
            loss = loss_of(net, *batch)
            loss.sum().backward()
            optimizer.step()
            total, count = total + float(loss.sum()), count + loss.numel()
    return total / count


def arguments() -> argparse.Namespace:
    """The command line: names are our flags'."""
    parser = argparse.ArgumentParser()
    for name in ("corpus", "vectors", "report"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("dim", "window", "negatives", "min_count", "epochs", "threads", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--loader_workers", type=int, required=True)
    parser.add_argument("--subsample", type=float, required=True)
    return parser.parse_args()


def main() -> None:
    """Text, training, vectors in word2vec's text format."""
    args = arguments()
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    began = time.perf_counter()
    sentences, counts = read(args.corpus, args.min_count)
    words = [word for word, _ in counts.most_common()]
    ids = {word: i for i, word in enumerate(words, 1)}  # 0 is <unk> and padding
    kept = subsample(sentences, counts, args.subsample)
    centres, contexts = windows([[ids[w] for w in line] for line in kept], args.window)
    negatives = noise(contexts, [counts[w] ** 0.75 for w in words], args.negatives)
    batches = torch.utils.data.DataLoader(
        Centres(centres, contexts, negatives),
        batch_size=512,
        shuffle=True,
        collate_fn=collate,
        num_workers=args.loader_workers,
    )
    net = nn.Sequential(*(nn.Embedding(len(words) + 1, args.dim) for _ in range(2)))
    for table in net:
        nn.init.xavier_uniform_(table.weight)
    prepared = time.perf_counter()
    loss = train(net, batches, args.epochs)
    trained = time.perf_counter()
    with open(args.vectors, "w", encoding="utf-8") as file:
        file.write(f"{len(words)} {args.dim}\n")
        for word, row in zip(words, net[0].weight.tolist()[1:], strict=True):
            file.write(f"{word} {' '.join(f'{x:.6g}' for x in row)}\n")
    with open(args.report, "w") as file:
        times = {"vocab_sec": prepared - began, "train_sec": trained - prepared}
        json.dump({**times, "loss": loss}, file)


if __name__ == "__main__":
    main()
