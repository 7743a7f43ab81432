"""fcn/starting_weights.py: weights are found, unpacked or downloaded (from a local file), and named."""
import os
import subprocess
import sys
import tarfile

import pytest

from conftest import ROOT
from fcn import starting_weights
from fcn.runs import checkpoints
from fcn.utils.errors import EXIT_FLAG, EXIT_INPUT
from TensorflowUtils import tf


@pytest.fixture
def checkpoint(tmp_path):
    """Prefix of a checkpoint of two variables."""
    os.mkdir(str(tmp_path / 'weights'))
    with tf.Graph().as_default(), tf.Session() as session:
        for name in 'ab':
            tf.get_variable(name, [2])
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, str(tmp_path / 'weights' / 'inception_v3.ckpt'), write_meta_graph=False,
                                     write_state=False)


@pytest.fixture
def archive(checkpoint, tmp_path):
    """Path of a .tar.gz of that checkpoint, as slim publishes them."""
    path = str(tmp_path / 'inception_v3_2016_08_28.tar.gz')
    with tarfile.open(path, 'w:gz') as bundle:
        for name in os.listdir(os.path.dirname(checkpoint)):
            bundle.add(os.path.join(os.path.dirname(checkpoint), name), arcname=name)
    return path


def test_checkpoint_is_found_by_prefix_and_folder(checkpoint, capsys):
    for path in (checkpoint, os.path.dirname(checkpoint)):
        assert starting_weights.main(['--checkpoint_path=' + path]) == 0
        assert capsys.readouterr().out == f'the starting weights are there: {checkpoint}, 2 variables\n'


@pytest.mark.parametrize('damage', [lambda numbers: numbers[:4], lambda numbers: b'\xff' + numbers[1:]])
def test_damaged_weights_are_refused(checkpoint, capsys, damage):
    path = checkpoint + '.data-00000-of-00001'
    with open(path, 'rb') as file:
        numbers = file.read()
    with open(path, 'wb') as file:
        file.write(damage(numbers))
    assert starting_weights.main(['--checkpoint_path=' + checkpoint]) == EXIT_INPUT
    said = capsys.readouterr().err
    assert f'The checkpoint {checkpoint} is damaged' in said and 'Traceback' not in said


def test_archive_is_unpacked(archive, capsys):
    assert starting_weights.main(['--checkpoint_path=' + archive]) == 0
    prefix = os.path.join(archive[:-len('.tar.gz')], 'inception_v3.ckpt')
    assert f'{prefix}, 2 variables' in capsys.readouterr().out and checkpoints.exists(prefix)


def test_published_weights_are_downloaded_once(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr(checkpoints, 'PUBLISHED_URL', archive)
    assert starting_weights.main([]) == 0
    assert f'{checkpoints.PUBLISHED}, 2 variables' in capsys.readouterr().out
    os.remove(archive)
    assert starting_weights.main([]) == 0
    assert 'Fetching' not in capsys.readouterr().out


def test_weights_that_cannot_be_fetched(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr(checkpoints, 'PUBLISHED_URL', str(tmp_path / 'absent.tar.gz'))
    assert starting_weights.main([]) == EXIT_INPUT
    error = capsys.readouterr().err
    assert 'fcn.starting_weights: Cannot fetch' in error and 'These are the starting weights' in error
    (tmp_path / 'page.tar.gz').write_bytes(b'<html>Please log in</html>')
    monkeypatch.setattr(checkpoints, 'PUBLISHED_URL', str(tmp_path / 'page.tar.gz'))
    assert starting_weights.main([]) == EXIT_INPUT
    error = capsys.readouterr().err
    copy = os.path.join(os.path.dirname(checkpoints.PUBLISHED), 'page.tar.gz')
    assert f'; the copy at {copy} was deleted. These are the starting weights' in error and 'INCEPTION_V3_URL' in error
    assert os.listdir(os.path.dirname(checkpoints.PUBLISHED)) == [] and (tmp_path / 'page.tar.gz').exists()
    os.rename(str(tmp_path / 'page.tar.gz'), copy)
    assert starting_weights.main([]) == EXIT_INPUT
    assert 'Delete it and run again to fetch it anew. These are the starting weights' in capsys.readouterr().err
    assert os.path.exists(copy), 'it was put there by hand'


@pytest.mark.parametrize('url, words', [('http://127.0.0.1:9/', 'names no file'), ('http://[/x.tar.gz', 'is none'),
                                        ('/absent/x.tar.gz', 'No such file')])
def test_the_mirror_is_named_by_its_variable_alone(tmp_path, monkeypatch, capsys, url, words):
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr(checkpoints, 'PUBLISHED_URL', url)
    assert starting_weights.main([]) == EXIT_INPUT
    error = capsys.readouterr().err
    assert url in error and words in error and 'INCEPTION_V3_URL' in error and '--data_url' not in error


def test_weights_that_cannot_be_read(checkpoint, tmp_path, capsys):
    with open(checkpoint + '.index', 'wb'):
        pass
    for path, words in ((checkpoint, 'cannot be read'), (str(tmp_path / 'x.ckpt'), 'There is no checkpoint'),
                        ('', 'There is no checkpoint')):
        assert starting_weights.main(['--checkpoint_path=' + path]) == EXIT_INPUT
        error = capsys.readouterr().err
        assert words in error and error.count('\n') == 1


def test_flags():
    with pytest.raises(SystemExit) as ended:
        starting_weights.main(['--nonsense'])
    assert ended.value.code == EXIT_FLAG
    shown = subprocess.run([sys.executable, '-m', 'fcn.starting_weights', '--help'], cwd=ROOT, stdout=subprocess.PIPE,
                           universal_newlines=True, check=True).stdout
    assert '--checkpoint_path' in shown
