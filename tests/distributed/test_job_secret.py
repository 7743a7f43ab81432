"""Where the secret of a job comes from, and who can read it."""
import dataclasses
import os
import stat

import pytest

from fcn.distributed.job_secret import FILE, VARIABLE, JobSecret
from fcn.distributed.worker_spec import WorkerSpec
from fcn.utils.errors import InputError

SLURM = WorkerSpec(0, 2, 'n1', 0, ('n1', 16007), 'slurm-7-0-0', slurm=True)
TF_CONFIG = WorkerSpec(0, 2, 'n1', 2222, ('n1', 3222), '0123456789abcdef', slurm=False)
SECRET = 'sixteen letters!'


def other(spec):
    return dataclasses.replace(spec, index=1)


def test_chief_under_slurm_makes_a_file_for_its_user_alone(tmp_path):
    logs_dir = str(tmp_path / 'logs' / 'all')
    with JobSecret({}, SLURM, [logs_dir]).shown() as secret:
        (name,) = os.listdir(logs_dir)
        assert stat.S_IMODE(os.stat(os.path.join(logs_dir, name)).st_mode) == 0o600
        assert JobSecret({}, other(SLURM), [logs_dir]).read() == secret and len(secret) == 64
        # Another job in the same folder has its own.
        with JobSecret({}, dataclasses.replace(SLURM, identity='slurm-8-0-0'), [logs_dir]).shown() as second:
            assert second != secret
        assert JobSecret({}, other(SLURM), [logs_dir]).read() == secret
    assert not os.path.exists(logs_dir)  # of the job that would begin here, nothing is there yet
    with JobSecret({}, SLURM, [logs_dir]).shown() as again:
        assert again != secret


def test_files_of_a_killed_chief_are_replaced(tmp_path):
    for name in (f'{FILE}-slurm-7-0-0', f'{FILE}-slurm-7-0-0.part'):
        (tmp_path / name).write_text('0' * 64)
        (tmp_path / name).chmod(0o644)
    with JobSecret({}, SLURM, [str(tmp_path)]).shown() as secret:
        (name,) = os.listdir(str(tmp_path))
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert JobSecret({}, other(SLURM), [str(tmp_path)]).read() == secret != b'0' * 64
    assert tmp_path.exists() and os.listdir(str(tmp_path)) == []


def test_second_folder_where_the_first_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    folders = [str(tmp_path / 'file'), str(tmp_path / 'results')]
    with JobSecret({}, SLURM, folders).shown() as secret:
        assert JobSecret({}, other(SLURM), folders).read() == secret
    with pytest.raises(InputError, match='Cannot write .*file/.job_secret-slurm-7-0-0: .*--logs_dir'):
        JobSecret({}, SLURM, folders[:1]).shown().__enter__()


def test_worker_that_cannot_read_the_file_names_it(tmp_path):
    secret = JobSecret({}, other(SLURM), [str(tmp_path)])
    with pytest.raises(InputError, match=f'{tmp_path}/.job_secret-slurm-7-0-0: No such file.*{VARIABLE}'):
        secret.read()
    (tmp_path / '.job_secret-slurm-7-0-0').write_text('')
    with pytest.raises(InputError, match='it is no secret'):
        secret.read()


@pytest.mark.parametrize('spec', [SLURM, TF_CONFIG])
def test_secret_of_the_environment(spec, tmp_path, capsys):
    with JobSecret({VARIABLE: SECRET + '\n'}, spec, [str(tmp_path)]).shown() as secret:
        assert os.listdir(str(tmp_path)) == []
    assert secret == JobSecret({VARIABLE: SECRET}, other(spec), [str(tmp_path)]).read() == SECRET.encode()
    for short in ('', SECRET[1:]):
        with pytest.raises(InputError, match=f'{VARIABLE} holds no secret of 16 characters'):
            JobSecret({VARIABLE: short}, spec, [str(tmp_path)])
    assert capsys.readouterr().out == ''


def test_file_of_the_user_with_tf_config(tmp_path):
    path = tmp_path / FILE
    path.write_text(SECRET + '\n')
    path.chmod(0o600)
    assert JobSecret({}, other(TF_CONFIG), [str(tmp_path)]).read() == SECRET.encode()
    path.chmod(0o640)
    with pytest.raises(InputError, match=f'chmod 600 {path}'):
        JobSecret({}, TF_CONFIG, [str(tmp_path)])
    path.write_text('short')
    path.chmod(0o600)
    with pytest.raises(InputError, match=f'{path} holds no secret'):
        JobSecret({}, TF_CONFIG, [str(tmp_path)])


def test_no_secret_with_tf_config_is_remarked_on_by_the_chief_unless_it_listens_to_this_machine_alone(tmp_path, capsys):
    for spec in (other(TF_CONFIG), dataclasses.replace(TF_CONFIG, chief_address=('127.0.0.1', 3222))):
        assert JobSecret({}, spec, [str(tmp_path)]).read() == b'' and capsys.readouterr().out == ''
    assert JobSecret({}, TF_CONFIG, [str(tmp_path)]).read() == b''
    out = capsys.readouterr().out
    assert out.startswith('warning: ') and 'port 3222 of n1' in out and f'{tmp_path}/{FILE}' in out and VARIABLE in out
