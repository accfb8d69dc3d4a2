"""What the processes beside a run's first one do: the same training, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.cli.errors import Stopped
from experiments.runs import epochs, fingerprint, memory, pretrained, processes, reading, signals
from experiments.runs.checkpointing import Start
from experiments.runs.group import Group
from w2v_jax import beginning, replicas, training, warm_start
from w2v_jax import processes as all_processes
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import resolve
from w2v_jax.replicas import Partners
from w2v_jax.visits import Position


def lead(start: Start, partners: Partners) -> Start:
    """Tells the others from where the run goes on; the first process calls it."""
    if partners.processes == 1:
        return start
    state, *_ = _from_first(start.state, start.position, start.words_before, start.ended, partners)
    return start._replace(state=state)


def follow(config: RunConfig) -> None:
    """Trains with the process that started this one and has read the text: a share of replicas."""
    given = processes.wait_for_the_first()
    earlier = pretrained.earlier(config)
    config, _, corpus = reading.read_corpus(config, earlier.vocab.words if earlier else ())
    config = resolve(config, corpus)
    corpus = _merged(corpus, earlier)
    with processes.joined_with_the_first(given) as partners:
        _train(config, corpus, partners, given.processes)


def follow_in(group: Group, config: RunConfig) -> None:
    """Trains with the processes of --distributed: a share of the replicas. Process 0 speaks.

    Raises Stopped where a signal ended the training, as process 0 does.
    """
    console.silence()
    if not group.trains():
        return
    earlier = pretrained.earlier(config)
    with group.reading():
        config, _, corpus = reading.read_corpus(config, earlier.vocab.words if earlier else ())
    config = resolve(config, corpus)
    group.agree(fingerprint.of(config, corpus, earlier.sha256 if earlier else ""))
    corpus = _merged(corpus, earlier)
    with processes.joined(processes.Others(group=group)) as partners:
        stopped = _train(config, corpus, partners, group.here())
        if stopped:
            raise Stopped(stopped, f"process {group.given.number}, with process 0")


def _merged(corpus: Corpus, earlier) -> Corpus:
    """With the words of what a run goes on from; its state comes from process 0."""
    if not earlier:
        return corpus
    earlier.arrays.clear()
    return warm_start.merge_vocabs(corpus, earlier)[0]


def _train(config: RunConfig, corpus: Corpus, partners: Partners, sharing: int) -> int:
    """Trains to the end, or to a signal, whose number it returns; 0: the end."""
    hyper, key = beginning.make_hyper(config, corpus.vocab), jax.random.key(config.seed)
    resident = memory.check(config, corpus, hyper, partners, sharing)
    blank = beginning.blank(config, len(corpus.vocab.words))
    state = beginning.initial_state(config, len(corpus.vocab.words), key, hyper, blank)
    state, position, before, ended = _from_first(state, Position(), 0, False, partners)
    if ended:
        return 0
    static = config.static()
    steps = replicas.dispatch_steps(config.log_every_steps, config.replicas, config.sync_every)
    program = training.compile_program(state, key, corpus.chunk_size, hyper, static, steps)
    all_processes.total(0, partners)
    whole = training.Training(
        *(key, corpus, program, hyper, static, config.epochs, config.sync_every),
        *(before, resident),
    )
    with signals.watched() as asked:
        for _, report in replicas.train(state, whole, position, partners):
            if epochs.agreed(False, report, config, corpus, partners):
                return 0
            if stopped := signals.agreed(asked, partners):
                return stopped
    return 0


def _from_first(state, position: Position, before: int, ended: bool, partners: Partners):
    """What a training goes on from, as the first process has it."""
    numbers = np.array([*position, before, int(ended)], np.int64)
    state, found = all_processes.from_first((state, jnp.array(numbers.view(np.int32))), partners)
    *position, before, ended = np.asarray(found).view(np.int64).tolist()
    return state, Position(*position), before, bool(ended)
