"""Names that no registry has, choices that don't go together, and README's additions."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from entries import add
from messages import told
from scripts import QUICK, ROOT, start

from experiments.cli import config
from experiments.runs import newest
from w2v_jax import heldout, losses, model, sampling, sweeping, training, update
from w2v_jax.checks import NAMES, REGISTRIES
from w2v_jax.engines import pairs
from w2v_jax.types import Params, Rows, StaticConfig

pytestmark = pytest.mark.usefixtures("compiled_once")
SMALL = StaticConfig(
    window=2, negatives=2, batch_size=8, block=4, group_size=8, negatives_per_group=6
)

# Names that are none, and choices that don't go together


TEXTS = [name for name, value in StaticConfig._field_defaults.items() if isinstance(value, str)]
WORDS = [name for name in TEXTS if name != "mesh"]  # whose form is tested in test_columns


def test_every_field_that_is_a_name_is_checked():
    assert set(WORDS) == {*REGISTRIES, *NAMES}
    of_config = {*WORDS, "init"} - {"platform"}  # that is of the devices
    assert {f.name for f in dataclasses.fields(config.RunConfig)} >= of_config


REFUSED = [
    *(({name: "nonesuch"}, f"--{name}=nonesuch: not one of ") for name in WORDS),
    ({"optimizer": "adamm"}, "not one of adam, adamw, adagrad, row_adagrad, sgd"),
    ({"noise": "exclude_contxts"}, "not one of with_replacement, exclude_target, "),
    ({"engine": "blocks", "loss": "softmax"}, "--loss=softmax: --engine=blocks has"),
    ({"engine": "blocks", "loss": "masked_mean"}, "--loss=masked_mean: --engine=blocks has"),
    ({"engine": "blocks", "noise": "without_replacement"}, "--noise=without_replacement"),
    ({"engine": "blocks", "redraw": "once"}, "--redraw=once"),
    ({"engine": "blocks", "order": "text"}, "--order=text"),
    ({"engine": "blocks", "group_size": 6}, "--group_size=6"),
    ({"update": "sparse", "loss": "softmax"}, "--loss=softmax"),
    ({"model": "cbow", "noise": "exclude_contexts"}, "--noise=exclude_contexts"),
    ({"expected_window": True, "loss": "masked_mean"}, "--loss=masked_mean"),
    ({"cbow_legacy_gradient": True}, "--cbow_legacy_gradient"),
    ({"optimizer": "sgd", "epsilon_hat": True}, "--epsilon_hat"),
]


@pytest.mark.parametrize(("fields", "said"), REFUSED)
def test_a_static_made_by_hand_is_refused_before_anything_is_compiled(fields, said):
    static = SMALL._replace(**fields)
    for build in (
        lambda: training.compile_program(None, None, None, None, static, None),
        lambda: sweeping.compile_train_chunk(None, None, static, None),
        lambda: update.update_step(None, None, None, None, static),
        lambda: update.gradient(None, None, static),
    ):
        with told(re.escape(said)) as caught:
            build()
        assert len(str(caught.value).splitlines()) == 1


def test_an_unknown_name_is_refused_by_every_function_that_looks_it_up(make_hyper):
    key, rows = jax.random.key(0), jnp.ones((5, 3, 4))
    batch, tables = Rows(*jnp.ones((5, 5, 3))), Params(*jnp.ones((2, 9, 4)))
    hyper = make_hyper(np.ones(9))
    calls = {
        "loss": [
            lambda static: losses.of(static),
            lambda static: pairs.objective(rows, rows, batch, static),
            lambda static: heldout.correction(hyper, static),
        ],
        "noise": [
            lambda static: sampling.draw_negatives(None, jnp.ones((1, 1)), None, None, static),
            lambda static: heldout.correction(hyper, static),
        ],
        "optimizer": [
            lambda static: update.init_state(tables, hyper, static),
            lambda static: update.optimizer(static, hyper, 0.1, 0),
        ],
        "schedule": [lambda static: update.rate(hyper, static, 0.5)],
    }
    for field, functions in calls.items():
        for function in functions:
            with told(f"--{field}=nonesuch: not one of"):
                function(SMALL._replace(**{field: "nonesuch"}))
    with told("--model=nonesuch: not one of skipgram"):
        heldout.measure(tables, hyper, None, SMALL._replace(model="nonesuch"))
    with told("--export_vectors=nonesuch: not one of input"):
        newest.exported(tables, "nonesuch")
    with told("--init=nonesuch: not one of book"):
        model.init_params(key, 9, 4, "nonesuch")
    for name in {*WORDS, "init", "reading", "export_vectors"} - {"platform"}:
        with told(f"--{name}=nonesuch: not one of"):
            config.check(config.RunConfig(**{name: "nonesuch"}))


# Added, from text to vectors


@pytest.mark.slow
def test_a_sweep_measures_no_perplexity_where_there_is_none_and_says_so_once(
    text_folder, tmp_path, monkeypatch, capsys
):
    add(monkeypatch)
    corpus, out = f"--corpus={text_folder / 'corpus.txt'}", tmp_path / "sweep"
    axis = "--sweep=loss=negative_sampling,hinge,scaled"
    args = [*QUICK, corpus, axis, "--seeds=1", f"--heldout={text_folder / 'corpus.txt'}"]
    assert start("ptb_ablation", *args, f"--workdir={out}", "--epochs=1", "--cpu_devices=1") == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if "no perplexity" in line]
    assert [note.split(",")[0] for note in notes] == [
        f"note: no perplexity with --loss={name}" for name in ("hinge", "scaled")
    ]
    lines = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    found = {line["setting"]["loss"]: line for line in lines}
    assert found["negative_sampling"]["perplexity"] > 1
    assert found["hinge"]["perplexity"] is found["scaled"]["perplexity"] is None
    assert len({line["loss"] for line in found.values()}) == 3


README = {
    "loss": "hinge",
    "noise": "distinct",
    "optimizer": "lion",
    "schedule": "square",
    "init": "small",
}


@pytest.fixture(scope="module")
def changed(tmp_path_factory, text_folder):
    """A copy of the code with README's additions, and a text."""
    folder = tmp_path_factory.mktemp("changed")
    for package in ("w2v_jax", "experiments"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.pyc"))
    section = (
        (ROOT / "w2v_jax" / "README.md")
        .read_text()
        .partition("## Change it")[2]
        .partition("\n## ")[0]
    )
    added = re.findall(r"```python\n# (\S+)\n(.*?)```", section, re.DOTALL)
    assert len(added) == 4
    for path, code in added:
        with open(folder / path, "a") as file:
            file.write(f"\n\n{code}")
    shutil.copy(text_folder / "corpus.txt", folder)
    return folder


DRIVER = """
import contextlib, io, json, sys
from scripts import start

for args in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = start("ptb_skipgram", *args)
    print(json.dumps([status, out.getvalue()]))
"""


def runs_of(folder, *runs):
    """Status and output of runs of the code in a folder, one after the other in one process."""
    path = os.pathsep.join([str(folder), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        input=json.dumps(runs),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_what_readme_adds_trains_itself_and_stands_in_flags_cfg(changed):
    plain = [*QUICK, "--corpus=corpus.txt", "--beta2=0.9", "--weight_decay=0.01"]
    choices = {"seed": 1, **README}
    runs = [[*plain, f"--{k}={v}", f"--workdir={k}"] for k, v in choices.items()]
    again = ["--flagfile=optimizer/flags.cfg", "--workdir=again", "--noevaluate", "--noplots"]
    blocks = [*QUICK, "--corpus=corpus.txt", "--engine=blocks", "--block=16", "--group_size=16"]
    hinge, distinct = ([*blocks, flag] for flag in ("--loss=hinge", "--noise=distinct"))
    done = runs_of(changed, *runs, again, [*hinge, "--workdir=b"], distinct, ["--help"])
    *trained, (status, refusal), (_, shown) = done
    assert all(status == 0 for status, _ in trained), trained
    assert status == 1 and "--noise=distinct: --engine=blocks has" in refusal
    assert all(name in shown for name in README.values())
    ends = {k: (changed / k / "vectors.txt").read_bytes() for k in (*choices, "again")}
    assert ends.pop("again") == ends["optimizer"] and len(set(ends.values())) == len(ends)
    for k, v in choices.items():
        lines = (changed / k / "flags.cfg").read_text().splitlines()
        assert f"--{k}={v}" in lines
        assert ("--weight_decay=0.01" in lines) == (k == "optimizer")
