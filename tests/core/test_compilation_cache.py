"""Programs that are kept: loaded the second time, with the same bits; what fails ends nothing."""

import errno
import io
import os
import shutil
import time

import jax
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from scripts import QUICK, in_a_process, start

from experiments.cli import console
from w2v_jax import compilation_cache
from w2v_jax.compilation_cache import keep_programs

OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_enable_xla_caches",
)
HIT, MISS = (f"/jax/compilation_cache/cache_{kind}" for kind in ("hits", "misses"))


@pytest.fixture(autouse=True, scope="module")
def no_cache():
    """JAX as a user's process finds it, without the cache that the tests share."""
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    without_cache()
    yield
    without_cache()
    for name, value in before.items():
        jax.config.update(name, value)


def without_cache():
    jax.config.update("jax_compilation_cache_dir", None)
    reset_cache()


def run(text_folder, out, cache):
    """The vectors of a run that is as in another process, but for the import of JAX."""
    jax.clear_caches()
    without_cache()
    args = [*QUICK, f"--data_dir={text_folder}", f"--workdir={out}", "--overwrite"]
    assert start("ptb_skipgram", *args, f"--cache_dir={cache}") == 0
    return (out / "vectors.txt").read_bytes()


def files(cache):
    return [path for path in (cache / "programs").rglob("*") if path.is_file()]


def programs(cache):
    """Their names, and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in files(cache)}


@pytest.fixture(scope="module")
def cold(text_folder):
    """The first run's vectors, and the folder where its programs are kept."""
    return run(text_folder, text_folder / "cold", text_folder / "cache"), text_folder / "cache"


@pytest.fixture
def warm(cold, tmp_path):
    """The same, in a folder of the test's own."""
    shutil.copytree(cold[1], tmp_path / "cache")
    return cold[0], tmp_path / "cache"


@pytest.fixture
def events():
    """What JAX tells of its cache: names of events."""
    seen = []

    def note(event, **_):
        seen.append(event)

    jax.monitoring.register_event_listener(note)
    yield seen
    jax.monitoring.unregister_event_listener(note)


@pytest.mark.slow
def test_the_second_run_compiles_nothing_and_has_the_same_bits(cold, events, text_folder, tmp_path):
    vectors, cache = cold
    before = programs(cache)
    assert any(name.startswith("jit_train_steps-") for name in before)
    assert run(text_folder, tmp_path / "out", cache) == vectors
    assert HIT in events and MISS not in events and programs(cache) == before


@pytest.mark.slow
def test_without_a_cache_the_bits_are_the_same(cold, text_folder, tmp_path):
    assert run(text_folder, tmp_path / "out", "none") == cold[0]
    assert jax.config.jax_compilation_cache_dir is None


@pytest.mark.slow
def test_so_it_is_in_processes_of_their_own(text_folder, tmp_path):
    found = []
    for cache in (tmp_path, tmp_path, "none"):
        out = tmp_path / f"out{len(found)}"
        args = [*QUICK, f"--data_dir={text_folder}", f"--workdir={out}", f"--cache_dir={cache}"]
        done = in_a_process(tmp_path, "ptb_skipgram", *args)
        assert done.returncode == 0 and "Traceback" not in done.stderr
        found.append(((out / "vectors.txt").read_bytes(), programs(tmp_path)))
    assert found[0] == found[1] == found[2] and found[0][1]


class Full(io.FileIO):
    """A file on a disk on which half of it finds room."""

    def write(self, data):
        super().write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.slow
def test_a_full_disk_is_a_note_and_nothing_cut_short_stays(
    warm, monkeypatch, capsys, text_folder, tmp_path
):
    vectors, cache = warm
    own, missing = open, [p for p in files(cache) if not p.name.startswith("jit_train_steps")]
    for path in missing:
        path.unlink()

    def full(path, mode="r", *args, **kwargs):
        if "/programs/" in str(path) and mode == "wb":
            return Full(path, mode)
        return own(path, mode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", full)
        assert run(text_folder, tmp_path / "out", cache) == vectors
    said = capsys.readouterr().err
    assert said.count("is not kept") == 1 and "No space left on device" in said
    assert "Warning" not in said and not set(files(cache)) & set(missing)


@pytest.mark.slow
def test_damaged_programs_are_compiled_anew_once(warm, capsys, text_folder, tmp_path):
    vectors, cache = warm
    for path in files(cache):
        if not path.name.startswith("jit_train_steps"):
            os.truncate(path, path.stat().st_size // 2)
    assert run(text_folder, tmp_path / "out", cache) == vectors
    said = capsys.readouterr().err
    assert said.count("is compiled anew") == 1 and "Warning" not in said
    assert run(text_folder, tmp_path / "out", cache) == vectors
    assert "note" not in capsys.readouterr().err


def test_a_folder_that_is_read_only_is_read(
    warm, monkeypatch, capsys, events, text_folder, tmp_path
):
    vectors, cache = warm
    for path in (cache / "programs").rglob("jit_shuffle-*"):
        path.unlink()
    before = programs(cache)
    monkeypatch.setattr(compilation_cache.os, "access", lambda *_: False)
    assert run(text_folder, tmp_path / "out", cache) == vectors
    assert HIT in events and MISS not in events and programs(cache) == before
    assert capsys.readouterr().err.count("read-only") == 1


@pytest.mark.parametrize("hindrance", ["others may write", "a file is there", "no folder"])
def test_what_hinders_the_cache_is_told(tmp_path, hindrance):
    without_cache()
    folder = tmp_path
    if hindrance == "others may write":
        assert keep_programs(str(tmp_path), print)
        without_cache()
        (tmp_path / "programs").chmod(0o777)
    elif hindrance == "a file is there":
        (tmp_path / "programs").write_text("mine")
    else:
        (tmp_path / "file").write_text("mine")
        folder = tmp_path / "file"
    notes = []
    assert keep_programs(str(folder), notes.append) == ""
    assert len(notes) == 1 and f"{folder}/programs" in notes[0]
    assert jax.config.jax_compilation_cache_dir is None


def test_what_the_user_has_configured_stays(monkeypatch, tmp_path):
    def refuse(line):
        raise AssertionError(line)

    without_cache()
    with monkeypatch.context() as patch:
        patch.setenv("XLA_FLAGS", f"--xla_dump_to={tmp_path}")
        assert keep_programs(str(tmp_path), refuse) == ""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    assert keep_programs(str(tmp_path), refuse) == ""
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        assert keep_programs(str(tmp_path), refuse) == ""
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    assert not (tmp_path / "programs").exists()


def test_what_was_used_longest_ago_goes_where_there_is_too_much(monkeypatch, tmp_path):
    without_cache()
    for age, name in enumerate("abcd"):
        path = tmp_path / "programs" / f"{age % 2}-threads" / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
        os.utime(path, (1000 - age, 0))
    (tmp_path / "programs").chmod(0o700)
    monkeypatch.setattr(compilation_cache, "LIMIT", 25)
    assert keep_programs(str(tmp_path), print).startswith(f"{tmp_path}/programs/")
    assert sorted(path.name for path in files(tmp_path)) == ["a", "b"]


def test_programs_for_other_numbers_of_threads_are_others(monkeypatch, tmp_path):
    """XLA divides a CPU program's work among the threads that there are when it is compiled."""
    found = set()
    for threads in ("1", "3", "", "many"):
        without_cache()
        monkeypatch.setenv("NPROC", threads)
        found.add(keep_programs(str(tmp_path), print))
    own = len(os.sched_getaffinity(0))
    assert found == {f"{tmp_path}/programs/{n}-threads" for n in (1, 3, own)}


@pytest.mark.parametrize(("seconds", "lines"), [(0, 0), (0.2, 1)])
def test_a_log_has_one_line_of_a_compilation_that_takes_a_while(
    monkeypatch, capsys, seconds, lines
):
    monkeypatch.setattr(console, "SOON", 0.05)
    with console.compiling():
        time.sleep(seconds)
    assert capsys.readouterr().err.splitlines() == ["compiling .."] * lines
