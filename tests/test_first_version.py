"""What people made with the first version goes on: runs, results, data sets (tests/fixtures/first_version)."""
import json
import os
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image

import read_PascalVocData
import read_ShapesData
from conftest import give, run, run_well
from small_runs import logged, steps, variables
from TensorflowUtils import tf

FIRST_VERSION = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fixtures', 'first_version')
RUNS = {'run_tensorflow_1': '1.15', 'run_tensorflow_2': '2.21'}


def checkpoint_values():
    """Returns {name: array} for every variable of the run's checkpoint: any numbers, but such as training leaves."""
    values = {}
    with open(os.path.join(FIRST_VERSION, 'variables.txt')) as file:
        for name, dtype, sizes in (line.split() for line in file if not line.startswith('#')):
            shape = [] if sizes == '-' else [int(size) for size in sizes.split(',')]
            random = np.random.RandomState(zlib.crc32(name.encode()) & 0x7fffffff)
            value = random.standard_normal(shape) * np.sqrt(2.0 / max(np.prod(shape[:-1]), 1))
            if name.endswith(('moving_variance', '/Adam_1')):
                value = np.abs(value) + 0.5
            fixed = {'global_step': 2, 'training/beta1_power': 0.81, 'training/beta2_power': 0.998}
            values[name] = np.array(fixed.get(name, value), dtype)
    return values


def write_checkpoint(prefix, values):
    with tf.Graph().as_default(), tf.Session() as session:
        made = {tf.get_variable(name, value.shape, value.dtype, tf.zeros_initializer()): value
                for name, value in values.items()}
        give(session, made)
        tf.train.Saver(list(made)).save(session, prefix, write_meta_graph=False)


def copy_run(name, folder, data_dir):
    """Copies a fixture's run; its data_dir becomes the one given."""
    shutil.copytree(os.path.join(FIRST_VERSION, name), folder)
    for path in (os.path.join(folder, 'config.json'), os.path.join(folder, 'best', 'config.json')):
        with open(path) as file:
            config = json.load(file)
        assert config['flags']['data_dir'] == 'shapes'
        config['flags']['data_dir'] = data_dir
        with open(path, 'w') as file:
            json.dump(config, file)
    return config


@pytest.fixture(scope='module')
def run_folder_with_checkpoint(tmp_path_factory, shapes):
    """(folder of a run by the first version on this TensorFlow, its config.json, its checkpoint's values)."""
    name = next(name for name, version in RUNS.items() if tf.__version__.startswith(version[0]))
    folder = str(tmp_path_factory.mktemp('first') / 'run')
    config = copy_run(name, folder, shapes)
    values = checkpoint_values()
    write_checkpoint(os.path.join(folder, 'model.ckpt-2'), values)
    open(os.path.join(folder, 'best', 'model.ckpt-2.index'), 'w').close()  # its checkpoint, which nothing reads here
    return folder, config, values


def test_run_is_tested_and_shown(run_folder_with_checkpoint, tmp_path):
    folder, config, _ = run_folder_with_checkpoint
    results = str(tmp_path / 'results')
    out = run_well('--mode=test', '--logs_dir=' + folder, '--results_dir=' + results, '--undo_class_weights=0.5')
    assert '--dataset=shapes --image_size=75 --skip_layers=4s' in out and 'class weights taken back by 0.5' in out
    with open(os.path.join(results, 'metrics.json')) as file:
        measured = json.load(file)
    assert measured['images'] == 3 and [one['name'] for one in measured['classes']] == config['class_names']
    run_well('--mode=visualize', '--logs_dir=' + folder, '--results_dir=' + results, '--num_images=1', '--nocrf')
    assert os.path.isfile(os.path.join(results, 'pic_0.png')) and os.path.isfile(os.path.join(results, 'index.html'))


def test_run_resumes(run_folder_with_checkpoint, tmp_path):
    source, config, values = run_folder_with_checkpoint
    folder = str(tmp_path / 'run')
    shutil.copytree(source, folder)
    before = logged(folder)
    out = run_well('--mode=train', '--logs_dir=' + folder, '--max_iterations=3', '--log_every=1', '--validate_every=0',
                   '--batch_size=2', '--seed=7', '--deterministic', '--color_jitter=0.1', '--random_scale=0.8,1.5',
                   '--class_weights=sqrt_median_frequency')
    own = [name for name in values if name != 'global_step' and 'Adam' not in name and 'beta' not in name.split('/')[-1]
           or name.endswith('BatchNorm/beta')]
    assert 'resumed from %s: %d variables, and the optimizer\'s %d' % (
        os.path.join(folder, 'model.ckpt-2'), len(own), len(values) - len(own) - 1) in out
    assert 'note:' not in out.replace('note: squares', '')  # the images to come are those that would have come
    assert steps(folder) == [2, 3]
    after = logged(folder)
    assert after[:2] == before and after[2]['step'] == 3 and after[2]['seconds'] > before[1]['seconds']
    trained = variables(os.path.join(folder, 'model.ckpt-3'))
    assert {name: value.shape for name, value in trained.items()} == {
        name: value.shape for name, value in values.items()}
    assert trained['global_step'] == 3 and not np.array_equal(
        trained['InceptionV3/Conv2d_1a_3x3/weights'], values['InceptionV3/Conv2d_1a_3x3/weights'])
    with open(os.path.join(folder, 'config.json')) as file:
        written = json.load(file)
    assert set(config) <= set(written) and set(config['flags']) <= set(written['flags'])
    changed = {name for name in config['flags'] if written['flags'][name] != config['flags'][name]}
    assert changed <= {'logs_dir', 'max_iterations', 'validate_every', 'checkpoint_path', 'checkpoint_every',
                       'export_dir'}
    assert written['image_range'] is None, '16-bit images are what they were'
    assert written['started_from'] == '' and written['batches'] == [[0, 2]]
    assert written['class_names'] == config['class_names']
    # Counted anew, in a data set that the Pillow of the other TensorFlow may draw a little otherwise.
    assert written['class_weights'] == pytest.approx(config['class_weights'], rel=1e-3)


@pytest.mark.parametrize('name', sorted(RUNS))
def test_another_head_is_refused_by_the_configuration_of_either_tensorflow(name, run_folder_with_checkpoint, tmp_path,
                                                                          shapes):
    folder = str(tmp_path / 'run')
    copy_run(name, folder, shapes)
    prefix = os.path.join(run_folder_with_checkpoint[0], 'model.ckpt-2')
    for ending in ('.index', '.data-00000-of-00001'):
        os.link(prefix + ending, os.path.join(folder, 'model.ckpt-2' + ending))
    done = run('--mode=train', '--logs_dir=' + folder, '--skip_layers=8s')
    assert done.returncode == 2 and 'skip_layers is 8s here, but was 4s' in done.stderr


def test_results_are_shown_and_photos_are_drawn_again(run_folder_with_checkpoint, tmp_path):
    """What the first version drew is no record of photos' content: they are drawn again, in the same places."""
    folder, results, photos = run_folder_with_checkpoint[0], tmp_path / 'results', tmp_path / 'photos'
    shutil.copytree(os.path.join(FIRST_VERSION, 'results'), str(results))
    photos.mkdir()
    for index in range(2):
        image, _ = read_ShapesData.draw_example(np.random.RandomState([0, 1, index]))
        path = photos / ('shapes_val_%04d.jpg' % index)
        Image.fromarray(image).save(str(path), quality=92)
        os.utime(str(path), (1e9, 1e9))
    listed = json.loads((results / 'pictures.json').read_text())
    listed['checkpoint'] = os.path.join(folder, 'model.ckpt-2')
    (results / 'overlays').mkdir()
    for one in listed['pictures']:
        one['image'] = str(photos / os.path.basename(one['image']))
        for path in (results / one['panel'], results / 'overlays' / (one['name'] + '.png')):
            Image.new('RGB', (40, 30), 'teal').save(str(path))
    (results / 'pictures.json').write_text(json.dumps(listed))
    names = sorted(path.name for path in (results / 'labels').iterdir())
    out = run_well('--mode=visualize', '--logs_dir=' + folder, '--results_dir=%s' % results, '--image_dir=%s' % photos,
                   '--nocrf')
    assert 'are done already' not in out and 'wrote 2 pictures' in out
    assert sorted(path.name for path in (results / 'labels').iterdir()) == names
    again = json.loads((results / 'pictures.json').read_text())['pictures']
    assert [(one['name'], one['panel']) for one in again] == [(one['name'], one['panel']) for one in listed['pictures']]
    assert all(Image.open(str(results / one['panel'])).size != (40, 30) for one in again)
    page = (results / 'index.html').read_text(encoding='utf-8')
    metrics = json.loads((results / 'metrics.json').read_text())
    assert '%.3f' % metrics['mean_iou'] in page and 'shapes_val_0001' in page and '2 training steps' in page


def test_converted_data_is_read_and_checked(tmp_path):
    data_dir = os.path.join(FIRST_VERSION, 'own_data')
    training, validation = read_PascalVocData.read_dataset(data_dir)
    assert (len(training), len(validation)) == (3, 2)
    for one in training + validation:
        number = int(one['filename'][-1])
        expected = np.zeros((40, 56), 'uint8')
        expected[:12] = 1
        expected[20:34, 8 + 6 * number:30 + 4 * number] = 2
        expected[34:36] = 255
        with Image.open(one['annotation']) as annotation:
            assert np.array_equal(np.asarray(annotation), expected)
    out = run_well('--mode=check', '--data_dir=' + data_dir, '--class_names=%s/labels.txt' % data_dir,
                   '--results_dir=%s' % tmp_path)
    assert 'nothing is wrong' in out
    checked = json.loads((tmp_path / 'check.json').read_text())
    assert [one['name'] for one in checked['classes']] == ['road', 'sky', 'car']
