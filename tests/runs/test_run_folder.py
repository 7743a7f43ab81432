"""fcn/runs/run_folder.py: which files are checkpoints, and one run at a time."""
import pytest

from fcn.runs import run_folder
from fcn.utils.errors import InputError


def test_checkpoints_are_listed_by_step(tmp_path):
    for name in ('model.ckpt-100.index', 'model.ckpt-20.index', 'model.ckpt-3.data-00000-of-00001', 'model.ckpt.index',
                 'other.ckpt-5.index'):
        (tmp_path / name).touch()
    assert [run_folder.step_of(prefix) for prefix in run_folder.list_checkpoints(str(tmp_path))] == [20, 100]
    assert run_folder.list_checkpoints(str(tmp_path / 'none')) == [] and run_folder.step_of('inception_v3.ckpt') == 0


def test_a_folder_is_held_by_one_run(tmp_path):
    folder = str(tmp_path / 'new' / 'logs')
    with run_folder.locked(folder), pytest.raises(InputError, match='Another run trains in'), run_folder.locked(folder):
        pass
    with run_folder.locked(folder):  # it was given back
        pass
