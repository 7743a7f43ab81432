"""`make camvid` in a clone: both downloads from a server of the tests, training, test, pictures; and bad downloads."""
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from camvid_files import NAMES, serving, write_archive, write_sums
from conftest import ROOT
from fcn.utils.errors import EXIT_INPUT
from small_runs import logged
from TensorflowUtils import tf

pytestmark = pytest.mark.skipif(not shutil.which('make'), reason='make is not installed')
SIZE = (80, 120)  # height and width
KERNEL = 'InceptionV3/Conv2d_1a_3x3/weights'
FEW_STEPS = ('--max_iterations=2 --image_size=75 --batch_size=2 --log_every=1 --validate_every=2 '
             '--trainable_scopes=InceptionV3/Logits,InceptionV3/Upsampling')


@pytest.fixture
def clone(tmp_path):
    """A folder as a clone is; its list of sums is that of the small CamVid."""
    folder = tmp_path / 'a clone'
    for path in glob.glob(os.path.join(ROOT, '*.py')) + [os.path.join(ROOT, 'Makefile')]:
        os.makedirs(str(folder), exist_ok=True)
        shutil.copy(path, str(folder))
    for name in ('fcn', 'nets', 'flags'):
        shutil.copytree(os.path.join(ROOT, name), str(folder / name), ignore=shutil.ignore_patterns('__pycache__'))
    write_sums(str(folder / 'fcn/data/camvid_sha256.txt.gz'), SIZE)
    return folder


@pytest.fixture
def served(tmp_path, monkeypatch):
    """(folder of the files that are served, their address, the list of the paths asked for)."""
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    os.mkdir(str(tmp_path / 'served'))
    with serving(str(tmp_path / 'served')) as (address, requests):
        yield str(tmp_path / 'served'), address, requests


def make_camvid(clone, address):
    """Runs it as a user does who has the environment, and from no other make. Returns the ended process."""
    env = {name: value for name, value in os.environ.items()
           if name not in ('MAKELEVEL', 'MAKEFLAGS', 'MFLAGS', 'MAKEOVERRIDES')}
    return subprocess.run(
        ['make', 'camvid', '--old-file=none/installed', 'VENV=none',
         'RUN=%s inception_FCN.py' % shlex.quote(sys.executable),
         'INCEPTION_V3_URL=%sinception_v3_2016_08_28.tar.gz' % address,
         'CAMVID_FLAGS=--data_url=%scopy.tar.gz %s' % (address, FEW_STEPS)],
        cwd=str(clone), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=600)


def refused(done, *words):
    """Checks that the first of the three commands ended it, as bad input, in a line of `words`."""
    error = [line for line in done.stderr.splitlines() if not re.match(r'make(\[\d+\])?: ', line)]
    assert done.returncode == EXIT_INPUT and len(error) == 1, done.stdout + done.stderr
    assert re.search('.*'.join(re.escape(word) for word in words), error[0]), error
    assert '--mode=test' not in done.stdout


def write_weights(folder):
    """Writes the archive of a checkpoint in the format of the published one, whose first kernel is all 0.25."""
    path = os.path.join(folder, 'inception_v3.ckpt')
    with tf.Graph().as_default(), tf.Session() as session:
        kernel = tf.get_variable(KERNEL, initializer=np.full([3, 3, 3, 32], 0.25, 'float32'))
        session.run(kernel.initializer)
        tf.train.Saver(write_version=tf.train.SaverDef.V1).save(session, path, write_meta_graph=False,
                                                                write_state=False)
    with tarfile.open(os.path.join(folder, 'inception_v3_2016_08_28.tar.gz'), 'w:gz') as archive:
        archive.add(path, arcname='inception_v3.ckpt')
    os.remove(path)


@pytest.mark.parametrize('changes, words', [
    ({'CamVid/testannot/0001TP_008550.png': None}, 'missing: CamVid/testannot/0001TP_008550.png'),
    ({'CamVid/train/0001TP_009999.png': b''}, 'not part of it: CamVid/train/0001TP_009999.png')])
def test_an_archive_with_a_file_too_few_or_too_many(clone, served, changes, words):
    folder, address, _ = served
    write_archive(os.path.join(folder, 'copy.tar.gz'), SIZE, changes)
    refused(make_camvid(clone, address), 'copy.tar.gz does not hold', words, 'came from ' + address, 'deleted')
    assert os.listdir(str(clone / 'Data_zoo/CamVid')) == []


def test_from_both_downloads_to_the_page(clone, served):
    folder, address, requests = served
    write_archive(os.path.join(folder, 'copy.tar.gz'), SIZE, {'CamVid/val/0016E5_07959.png': b'cut'})
    refused(make_camvid(clone, address), 'damaged (another SHA-256): CamVid/val/0016E5_07959.png')
    write_archive(os.path.join(folder, 'copy.tar.gz'), SIZE)
    refused(make_camvid(clone, address), 'HTTP status 404', 'starting weights', 'INCEPTION_V3_URL')
    write_weights(folder)
    done = make_camvid(clone, address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert requests == ['/copy.tar.gz'] * 2 + ['/inception_v3_2016_08_28.tar.gz'] * 2, 'nothing good is fetched again'
    assert os.listdir(str(clone / 'Data_zoo/inception_v3')) != [] and os.listdir(
        str(clone / 'Data_zoo/CamVid/CamVid/train')) != []
    log, results = clone / 'logs/camvid', clone / 'results/camvid'
    assert [line['step'] for line in logged(log)] == [1, 2] and logged(log)[-1]['validation_mean_iou'] >= 0
    kernel = tf.train.load_variable(str(log / 'model.ckpt-2'), KERNEL)
    assert kernel.shape == (3, 3, 3, 32) and (kernel == 0.25).all(), 'training began with the downloaded weights'
    metrics = json.loads((results / 'metrics.json').read_text(encoding='utf-8'))
    assert metrics['images'] == 2 and len(metrics['classes']) == 11 and 0 <= metrics['mean_iou'] <= 1
    page = (results / 'index.html').read_text(encoding='utf-8')
    for number, name in enumerate(NAMES['val']):
        assert name in page and (results / ('pic_%d.png' % number)).exists()
        assert (results / 'labels' / (name + '.png')).exists()
    assert done.stdout.endswith('scores: results/camvid/metrics.txt.\n')
