"""Faults in files and disks, on purpose, and what a run makes of them. docs/reliability.csv is the table."""
import contextlib
import ctypes
import glob
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import forked
import small_backbone
from conftest import ROOT, command, run, run_well
from fcn.runs import run_folder
from fcn.utils.errors import EXIT_INPUT
from small_files import small_disk
from small_runs import STEP_ONE, refused, steps, training

DROP_CAPABILITY, OVERRIDE_PERMISSIONS = 24, 1  # prctl's PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


pytestmark = pytest.mark.usefixtures('small_backbone')


@pytest.fixture(scope='module')
def saved_run(shapes, tmp_path_factory):
    """The logs_dir of a run of six steps, with checkpoints of 2, 4 and 6; tests take copies."""
    logs_dir = str(tmp_path_factory.mktemp('reliability') / 'logs')
    with small_backbone.installed():
        run_well(*training(shapes, logs_dir, STEP_ONE, '--max_iterations=6'))
    return logs_dir


@pytest.fixture
def logs_dir(saved_run, tmp_path):
    return shutil.copytree(saved_run, str(tmp_path / 'logs'))


@pytest.fixture
def voc(shapes, tmp_path):
    """A copy of the data set, to be spoilt: (data_dir, its innermost folder)."""
    return (shutil.copytree(shapes, str(tmp_path / 'data')), str(tmp_path / 'data' / 'VOCdevkit' / 'VOC2012'))


# ---- checkpoints and disks

def spoil_by_cutting(prefix):
    path = prefix + '.data-00000-of-00001'
    with open(path, 'r+b') as file:
        file.truncate(os.path.getsize(path) // 2)


def spoil_a_byte(prefix):
    with open(prefix + '.data-00000-of-00001', 'r+b') as file:
        file.seek(1000000)
        byte = file.read(1)
        file.seek(1000000)
        file.write(bytes([byte[0] ^ 255]))


def spoil_the_index(prefix):
    with open(prefix + '.index', 'r+b') as file:
        file.truncate(10)


def test_damaged_checkpoints_are_passed_over(shapes, logs_dir, tmp_path):
    """Six is damaged: the run goes on from four, says so, and ends as it would have."""
    spoil_by_cutting(logs_dir + '/model.ckpt-6')
    copy = shutil.copytree(logs_dir, str(tmp_path / 'copy'))
    spoil_the_index(copy + '/model.ckpt-4')
    for place, newest in ((logs_dir, 4), (copy, 2)):
        output = run_well(*training(shapes, place, STEP_ONE, '--max_iterations=%d' % (newest + 1)))
        assert 'model.ckpt-6 is damaged and passed over' in output and 'resumed from %s/model.ckpt-%d' % (place, newest)
        assert steps(place)[-1] == newest + 1  # the damaged ones have other names, lest good ones make room for them
        assert os.path.isfile(place + '/damaged-model.ckpt-6.index')
    spoil_a_byte(copy + '/model.ckpt-3')
    (prefix,) = [one for one in run_folder.list_checkpoints(copy) if one.endswith('-2')]
    spoil_a_byte(prefix)
    refused(run(*training(shapes, copy, STEP_ONE)), 'All checkpoints in', 'are damaged')


def test_full_disk(shapes, tmp_path):
    """A disk with room for one checkpoint: the second can't be saved, the first stands; with more room it goes on."""
    disk = str(tmp_path / 'disk')
    flags = training(shapes, disk + '/logs', STEP_ONE, '--keep_checkpoints=1', '--max_iterations=4')
    with small_disk(disk, '3500k'):
        refused(run(*flags), 'Step 4 cannot be saved to', 'No space left', 'model.ckpt-2, stands')
        assert steps(disk + '/logs') == [2] and not os.path.exists(disk + '/logs/.saving')
        with open(disk + '/filler', 'wb', buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(1000)):
                pass
        refused(run(*flags), disk + '/logs/progress.jsonl', 'No space left', 'disk is full')
        os.remove(disk + '/filler')
        subprocess.check_call(['mount', '-o', 'remount,size=12m', disk])
        assert 'resumed from %s/logs/model.ckpt-2' % disk in run_well(*flags)
        assert steps(disk + '/logs') == [4]


LIMITED = '''
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
sys.argv = sys.argv[1:]
sys.path.insert(0, %r)
import inception_FCN
from absl import app
app.run(inception_FCN.main)
''' % ROOT


def test_checkpoint_that_cannot_be_written(shapes, logs_dir):
    """As a full disk, where no file system may be mounted: no file of more than 1 MB can be written."""
    flags = training(shapes, logs_dir, STEP_ONE, '--max_iterations=8')
    done = forked.run(('inception_FCN.py',) + flags, code=LIMITED)
    refused(done, 'Step 8 cannot be saved to', 'model.ckpt-6, stands', '`ulimit -f`')
    assert steps(logs_dir) == [2, 4, 6] and not os.path.exists(logs_dir + '/.saving')


def limited(limit, command_line):
    """Runs it with a limit of the shell."""
    return subprocess.run(['bash', '-c', 'ulimit %s; exec "$@"' % limit, 'bash'] + command_line,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def content_below(folder):
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), 'rb') as file:
                found[os.path.relpath(os.path.join(parent, name), folder)] = file.read()
    return found


def last_line(done):
    """Returns the last line of what an ended command says of errors; TensorFlow may have said something before."""
    assert done.returncode == EXIT_INPUT, done.stdout + done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize('mode', ['train', 'test'])
def test_too_little_memory(mode, shapes, logs_dir, tmp_path):
    """1.1 GB of addresses, into which TensorFlow cannot be loaded; with a little more its own code may abort."""
    before = content_below(logs_dir)
    flags = training(shapes, logs_dir, STEP_ONE, '--max_iterations=8', '--mode=' + mode,
                     '--results_dir=%s/results' % tmp_path)
    done = limited('-v 1100000', [sys.executable, small_backbone.SCRIPT] + list(flags))
    said = last_line(done)
    assert said.startswith('inception_FCN.py: the memory does not suffice') and '`ulimit -v`' in said
    assert 'failed to map segment' in said and 'note: `ulimit -v` leaves this process 1.1 GB' in done.stdout
    assert content_below(logs_dir) == before and content_below(str(tmp_path / 'results')) == {}


@pytest.mark.parametrize('mode, kilobytes, words', [
    ('train', 8, '{logs}'), ('export', 40, '--export_dir={results}/saved_model')])
def test_limit_of_the_size_of_files(mode, kilobytes, words, shapes, logs_dir, tmp_path):
    """8 kB hold config.json, and neither TensorBoard's first events, which TensorFlow 1.15 misses, nor a checkpoint."""
    results = str(tmp_path / 'results')
    flags = training(shapes, logs_dir, STEP_ONE, '--max_iterations=7', '--mode=' + mode, '--num_images=1',
                     '--results_dir=' + results, '--export_dir=%s/saved_model' % results)
    said = last_line(limited('-f %d' % kilobytes, command(*flags)))
    assert words.format(logs=logs_dir, results=results) in said and 'File too large' in said
    assert '`ulimit -f`' in said or 'Step 7 cannot be saved' in said
    assert steps(logs_dir) == [2, 4, 6] and not os.path.exists(logs_dir + '/.saving')
    assert 'saved_model' not in ' '.join(content_below(str(tmp_path)))


def without_override():
    """Root may write anywhere; this takes that from it."""
    if os.getuid() == 0:
        ctypes.CDLL(None).prctl(DROP_CAPABILITY, OVERRIDE_PERMISSIONS, 0, 0, 0)


def test_folders_that_cannot_be_written(shapes, logs_dir, tmp_path):
    os.chmod(logs_dir, 0o555)
    closed = tmp_path / 'closed'
    closed.mkdir(mode=0o555)
    for mode, place, words in (('train', logs_dir, logs_dir), ('train', str(closed / 'logs'), '--logs_dir='),
                               ('test', logs_dir, str(closed / 'results'))):
        done = run(*training(shapes, place, STEP_ONE) + ('--mode=' + mode, '--results_dir=%s' % (closed / 'results')),
                   preexec_fn=without_override)
        refused(done, words, 'Permission denied')
    assert steps(logs_dir) == [2, 4, 6]
    os.chmod(logs_dir, 0o755)
    refused(run(*training(shapes, os.path.join(logs_dir, 'config.json'))), '--logs_dir=')


REPLACED = '''
import os, sys
sys.path.insert(0, %r)
import inception_FCN
from absl import app
from fcn.runs import checkpoints
restore = checkpoints.restore
def replaced(session, prefix, *others):
    if prefix.endswith('-6'):
        for ending in ('.index', '.data-00000-of-00001'):
            os.rename(prefix + ending, prefix[:-1] + '8' + ending)
    return restore(session, prefix, *others)
checkpoints.restore = replaced
app.run(inception_FCN.main)
''' % ROOT


def test_checkpoint_that_is_replaced_while_test_starts(shapes, logs_dir, tmp_path):
    """As a run that trains replaces the one in best/: the newer one is taken."""
    done = forked.run(['--mode=test', '--nocrf', '--logs_dir=' + logs_dir, '--results_dir=%s/results' % tmp_path],
                      code=REPLACED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'model.ckpt-6 was deleted after it had been found; the newest is taken instead' in done.stdout
    with open('%s/results/metrics.json' % tmp_path) as file:
        assert json.load(file)['origin']['checkpoint'] == logs_dir + '/model.ckpt-8'


def test_damaged_configuration(shapes, logs_dir):
    for text in ('{"flags": ', '[]', '{"flags": {"skip_layers": "7s"}}'):
        with open(logs_dir + '/config.json', 'w') as file:
            file.write(text)
        refused(run(*training(shapes, logs_dir)), 'config.json is damaged')


def test_contradicting_resume_is_refused(shapes, logs_dir, tmp_path):
    names = tmp_path / 'names.txt'
    names.write_text('one\ntwo\nthree')
    for flag, difference in (('--upsampling=features', 'upsampling is features here, but was scores'),
                             ('--skip_layers=32s', 'skip_layers is 32s here, but was 8s'),
                             ('--void_class', 'void_class is True here, but was False'),
                             ('--dataset=pascal_voc', 'dataset is pascal_voc here, but was shapes')):
        refused(run(*training(shapes, logs_dir, flag)), difference)


def test_resume_says_what_changed(shapes, logs_dir, tmp_path):
    """Flags, the number of images and the data set's place; moved as it was, it is the same data set."""
    moved = str(tmp_path / 'moved')
    shutil.copytree(shapes, moved)
    output = run_well(*training(moved, logs_dir, STEP_ONE, '--seed=1', '--max_iterations=7', '--learning_rate=0.001'))
    assert 'note: seed is 1, but was 0 until now' in output
    assert f'note: the run goes on with data_dir {moved} (was {shapes}), learning_rate 0.001 (was 0.00032)\n' in output
    assert 'training images' not in output
    names = glob.glob(moved + '/**/train.txt', recursive=True)[0]
    with open(names) as file:
        lines = file.readlines()
    with open(names, 'w') as file:
        file.writelines(lines[1:])
    output = run_well(*training(moved, logs_dir, STEP_ONE, '--max_iterations=8'))
    assert 'note: there are 5 training images, and were 6 until now\n' in output
    assert 'learning_rate 0.00032 (was 0.001)\n' in output, 'also when it is left out'


# ---- data

def path_of(root, split, number, extension):
    folder = {'jpg': 'JPEGImages', 'png': 'SegmentationClass'}[extension]
    return os.path.join(root, folder, 'shapes_%s_%04d.%s' % (split, number, extension))


def cut(path, share=0.6):
    with open(path, 'r+b') as file:
        file.truncate(int(os.path.getsize(path) * share))
    return path


def test_check_names_every_fault_and_training_can_skip_them(voc, tmp_path):
    data_dir, root = voc
    run_well('--mode=check', '--dataset=shapes', '--data_dir=' + data_dir, '--results_dir=%s/good' % tmp_path)
    truncated = cut(path_of(root, 'train', 1, 'jpg'))
    # Its header is whole: training meets it only as it decodes it, names it, and keeps what it saved.
    logs_dir = str(tmp_path / 'logs')
    refused(run(*training(data_dir, logs_dir, STEP_ONE, '--checkpoint_every=1')), truncated, 'cannot be read')
    empty = path_of(root, 'train', 2, 'jpg')
    open(empty, 'w').close()
    text = path_of(root, 'val', 1, 'jpg')
    with open(text, 'w') as file:
        file.write('404 not found')
    label = path_of(root, 'train', 3, 'png')
    labels = np.array(Image.open(label))
    labels[3, 4] = 250
    Image.fromarray(labels).save(label)
    png = cut(path_of(root, 'val', 2, 'png'))
    done = run('--mode=check', '--dataset=shapes', '--data_dir=' + data_dir, '--results_dir=%s/bad' % tmp_path)
    assert done.returncode == EXIT_INPUT and done.stderr == ''
    with open(str(tmp_path / 'bad' / 'check.json')) as file:
        found = json.load(file)['problems']
    for path in (truncated, empty, text, label, png):
        assert path in done.stdout and path in [one['file'] for one in found]
    assert 'the label 250' in done.stdout and len(found) == 5
    refused(run(*training(data_dir, logs_dir, STEP_ONE)), 'mode=check')
    output = run_well(*training(data_dir, logs_dir, STEP_ONE, '--skip_bad_images', '--max_iterations=4',
                                '--validate_every=2'))
    assert output.count('left out: ') == 5 and '3 training and 1 validation images stay' in output
    output = run_well('--mode=test', '--logs_dir=' + logs_dir, '--results_dir=%s/results' % tmp_path)
    assert '--skip_bad_images=True' in output and '1 validation images stay' in output, 'as it was trained'


def test_odd_names_and_bad_photos(saved_run, tmp_path):
    photos = tmp_path / 'photos'
    photos.mkdir()
    picture = Image.fromarray(np.random.RandomState(0).randint(0, 256, (80, 90, 3)).astype('uint8'))
    odd = ['two words.png', "quote' and \" one.png", 'accent é.png', 'line\nbreak.png', 'dollar $x$.png',
           os.fsdecode(b'not utf-8 \xff.png'), '\x1b[31mred.png', '<b>&amp;.png']
    for name in odd:
        picture.save(str(photos / name))
    bad = str(photos / 'bad\nphoto.jpg')
    picture.save(bad)
    cut(bad)
    Image.fromarray(np.full((80, 90), np.nan, 'float32')).save(str(photos / 'float.tif'))
    output = run_well('--mode=visualize', '--logs_dir=' + saved_run, '--image_dir=%s' % photos,
                      '--results_dir=%s' % (tmp_path / 'results'), '--nocrf')
    assert output.count('skipped: ') == 2 and 'bad\\nphoto.jpg cannot be read' in output
    assert 'floating-point' in output and '\x1b' not in output
    for name in odd:
        assert Image.open(str(tmp_path / 'results' / 'labels' / name)).size == (90, 80)
        assert Image.open(str(tmp_path / 'results' / 'overlays' / name)).size == (90, 80)
    assert len(glob.glob(str(tmp_path / 'results' / 'pic_*.png'))) == len(odd)
