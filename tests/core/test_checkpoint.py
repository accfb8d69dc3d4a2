"""Checkpoints: what was saved comes back, and what cannot be is told."""

import errno
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from w2v_jax import checkpoint, model, update
from w2v_jax.checkpoint import Checkpoints, flat, names_of, unflat
from w2v_jax.types import StaticConfig, UserError


@pytest.fixture
def tree():
    return {
        "table": jnp.arange(12.0).reshape(4, 3) / 7,
        "count": jnp.int32(5),
        "alive": np.array([True, False]),
        "key": jax.random.key_data(jax.random.key(3)),
    }


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def save(folder, tree, *steps, keep=2):
    checkpoints = Checkpoints(str(folder), keep)
    for step in steps:
        checkpoints.save(step, flat({**tree, "count": jnp.int32(step)}), {"at": [step, 0.1]})
    checkpoints.wait()
    checkpoints.close()


def restore(folder, tree):
    """Saved or None, and the notes."""
    notes, checkpoints = [], Checkpoints(str(folder), 2)
    saved = checkpoints.restore(names_of(tree), notes.append)
    checkpoints.close()
    return saved, notes


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "row_adagrad", "sgd"])
@pytest.mark.parametrize("rows_moved", ["dense", "sparse"])
def test_a_state_comes_back_to_the_bit(folder, make_hyper, optimizer, rows_moved):
    static = StaticConfig(optimizer=optimizer, update=rows_moved)
    params = model.init_params(jax.random.key(1), 6, 3, "xavier")
    state = update.init_state(params, make_hyper(np.ones(6)), static)
    save(folder, {"state": state}, 7)
    saved, notes = restore(folder, {"state": state, "count": jnp.int32(0)})
    assert saved.step == 7 and saved.about["at"] == [7, 0.1] and notes == []
    back = unflat(saved.arrays, {"state": state})["state"]
    assert jax.tree.structure(back) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, back, state)
    same = jax.tree.map(lambda a, b: a.dtype == b.dtype, back, state)
    assert jax.tree.all(same)


def test_the_last_few_are_kept_and_the_newest_is_restored(folder, tree):
    save(folder, tree, 1, 20, 300, keep=2)
    assert Checkpoints(str(folder), 2).steps() == [20, 300]
    saved, notes = restore(folder, tree)
    assert saved.step == 300 and saved.arrays["count"] == 300 and notes == []


def test_no_folder_and_an_empty_one_hold_none(folder, tree):
    assert restore(folder, tree) == (None, [])
    folder.mkdir()
    assert restore(folder, tree) == (None, [])


def files_of(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [os.unlink, cut, flip, lambda path: path.write_bytes(b"")])
@pytest.mark.slow
def test_damage_to_any_file_falls_back_or_does_no_harm(tmp_path, tree, damage):
    save(tmp_path / "whole", tree, 1, 2)
    fell_back = 0
    for file in files_of(tmp_path / "whole" / "2"):
        folder = tmp_path / "damaged"
        shutil.copytree(tmp_path / "whole", folder)
        damage(folder / file.relative_to(tmp_path / "whole"))
        saved, notes = restore(folder, tree)
        if saved.step == 1:
            fell_back += 1
            assert len(notes) == 1 and f"{folder}/2 is damaged" in notes[0]
            assert (folder / "damaged-2").is_dir() and not (folder / "2").exists()
            save(folder, tree, 2)  # and its number is free again
            assert restore(folder, tree)[0].step == 2
        else:
            assert saved.step == 2 and saved.arrays["count"] == 2
            np.testing.assert_array_equal(saved.arrays["table"], tree["table"])
            assert saved.about["at"] == [2, 0.1]
        shutil.rmtree(folder)
    assert fell_back >= 2


def test_where_all_are_damaged_nothing_is_moved(folder, tree):
    save(folder, tree, 1, 2)
    for step in "12":
        (folder / step / "about" / "metadata").unlink()
    with pytest.raises(UserError, match="none of its checkpoints can be read"):
        restore(folder, tree)
    assert sorted(p.name for p in folder.iterdir()) == ["1", "2"]


def test_what_was_saved_with_the_arrays_is_checked_too(folder, tree):
    save(folder, tree, 1, 2)
    path = folder / "2" / "about" / "metadata"
    text = path.read_text()
    for old, new in (("0.1]", "0.2]"), ('"checksum"', '"checksun"')):
        assert old in text
        path.write_text(text.replace(old, new))
        saved, notes = restore(folder, tree)
        assert saved.step == 1 and len(notes) == 1
        (folder / "damaged-2").rename(folder / "2")


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "bad sector")])
def test_what_is_no_damage_is_an_error_and_nothing_is_moved(folder, tree, monkeypatch, error):
    save(folder, tree, 1, 2)

    def fail(*args):
        raise error

    monkeypatch.setattr(Checkpoints, "_restored", fail)
    with pytest.raises(UserError, match="cannot be read"):
        restore(folder, tree)
    assert sorted(p.name for p in folder.iterdir()) == ["1", "2"]


def test_a_file_in_the_folders_place_is_refused(folder):
    folder.write_text("mine")
    with pytest.raises(UserError, match="is not a folder"):
        Checkpoints(str(folder), 2)


def test_what_a_killed_save_leaves_is_no_checkpoint(folder, tree):
    save(folder, tree, 1)
    shutil.copytree(folder / "1", folder / "2.orbax-checkpoint-tmp")
    saved, notes = restore(folder, tree)
    assert saved.step == 1 and notes == []
    save(folder, tree, 2)
    assert sorted(p.name for p in folder.iterdir()) == ["1", "2"]


def test_a_newer_format_is_refused_and_left(folder, tree, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
        save(folder, tree, 1)
    with pytest.raises(UserError, match="newer version"):
        restore(folder, tree)
    assert (folder / "1").is_dir()


def test_other_arrays_shapes_and_types_are_refused(folder, tree):
    save(folder, tree, 1)
    with pytest.raises(UserError, match="other arrays"):
        restore(folder, {**tree, "more": jnp.int32(1)})
    saved, _ = restore(folder, tree)
    for other in (jnp.zeros((5, 3)), jnp.zeros((4, 3), jnp.int32)):
        with pytest.raises(UserError, match="table is float32"):
            unflat(saved.arrays, {**tree, "table": other})


def test_what_cannot_be_written_is_told_and_the_last_one_stays(folder, tree, monkeypatch):
    save(folder, tree, 1)
    checkpoints = Checkpoints(str(folder), 2)
    manager = checkpoints._open()

    def full(*args, **kwargs):
        raise ValueError("No space left on device")

    monkeypatch.setattr(manager, "save", full)
    with pytest.raises(UserError, match=rf"{folder}.*No space left"):
        checkpoints.save(2, flat(tree), {})
    checkpoints.close()
    assert restore(folder, tree)[0].step == 1


def test_newest_reads_whatever_arrays_there_are_and_moves_nothing(folder, tree):
    save(folder, tree, 1, 2)
    cut(folder / "2" / "about" / "metadata")
    shutil.copytree(folder / "1", folder / "3.orbax-checkpoint-tmp")
    notes, checkpoints = [], Checkpoints(str(folder), None)
    saved = checkpoints.newest(notes.append)
    checkpoints.close()
    assert saved.step == 1 and sorted(saved.arrays) == sorted(names_of(tree)) and len(notes) == 1
    assert sorted(p.name for p in folder.iterdir()) == ["1", "2", "3.orbax-checkpoint-tmp"]


def test_an_accumulator_of_an_older_format_is_read(folder):
    """Formats before 3 have row-wise Adagrad's accumulator as [V, 1], in a sweep [S, V, 1]."""
    older = {
        "accumulator": jnp.arange(6.0)[:, None],
        "sweep": jnp.ones((2, 6, 1)),
        "table": jnp.ones((6, 1)),
    }
    save(folder, older, 7)
    saved, _ = restore(folder, {**older, "count": jnp.int32(0)})
    like = {"accumulator": jnp.zeros(6), "sweep": jnp.zeros((2, 6)), "table": jnp.zeros((6, 1))}
    back = unflat(saved.arrays, like)
    np.testing.assert_array_equal(back["accumulator"], np.arange(6.0))
    assert back["sweep"].shape == (2, 6) and back["table"].shape == (6, 1)
