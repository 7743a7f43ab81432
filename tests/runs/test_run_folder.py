"""fcn/runs/run_folder.py: which files are checkpoints, and one run at a time."""
import os

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


@pytest.mark.parametrize('change', ['renamed', 'replaced', 'lock deleted', 'lock replaced'])
def test_nothing_is_saved_to_a_folder_that_is_another_by_now(tmp_path, change):
    logs_dir, lock = str(tmp_path / 'logs'), tmp_path / 'logs' / '.lock'
    with run_folder.locked(logs_dir):
        run_folder.check_held(logs_dir)
        if change.startswith('lock'):
            lock.unlink()
        else:
            os.rename(logs_dir, str(tmp_path / 'old'))
        if change.endswith('replaced'):
            os.makedirs(logs_dir, exist_ok=True)
            lock.touch()
        with pytest.raises(InputError, match='no longer the folder that this run began in'):
            run_folder.check_held(logs_dir)
        if change == 'renamed':
            os.rename(str(tmp_path / 'old'), logs_dir)
            run_folder.check_held(logs_dir)
    run_folder.check_held(logs_dir)


@pytest.mark.parametrize('name', ['lr[0.1]', 'a*', 'what?', 'back\\slash'])
def test_a_name_that_tensorflow_takes_for_a_pattern_is_refused_before_training(tmp_path, name):
    folder = str(tmp_path / name)
    with pytest.raises(InputError, match='Rename it'), run_folder.locked(folder):
        pass
    assert os.listdir(str(tmp_path)) == []
    with run_folder.locked(str(tmp_path / 'lr{0.1}, ]')):
        pass
