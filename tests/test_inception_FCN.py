"""The commands of the README, end to end, as a user calls them."""
import csv
import dataclasses
import glob
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import inception_FCN
import read_ShapesData
import small_backbone as small
from conftest import give, run, run_well
from fcn.config import RunConfig, read_run_config, write_run_config
from fcn.data import annotations, films, palettes
from fcn.inference import boundary, crf, metrics
from fcn.inference.onnx_model import OnnxModel
from fcn.inference.saved_model import Exported
from fcn.inference.tflite_model import TfliteModel
from fcn.reporting import comparison
from fcn.reporting.film_writer import FilmWriter
from fcn.reporting.panels import save_panel
from fcn.utils.errors import EXIT_INPUT, EXIT_STOPPED, InputError
from film_files import moving_shapes, needs_ffmpeg, write_film
from fuzzing_commands import run_main
from picture_files import draw_png
from small_runs import logged, refused, start, variables, wait_until
from TensorflowUtils import inception_v3, slim, tf

SMALL = ('--dataset=shapes', '--image_size=75', '--batch_size=2', '--log_every=1', '--checkpoint_every=2',
         '--validate_every=2', '--validation_images=2')
STEP_ONE = '--trainable_scopes=InceptionV3/Logits,InceptionV3/Upsampling'


@pytest.fixture(scope='module')
def slim_checkpoint(tmp_path_factory):
    """A checkpoint of slim's InceptionV3 under its own arg scope, 1001 classes, with moving statistics of its own."""
    prefix = str(tmp_path_factory.mktemp('slim') / 'inception_v3.ckpt')
    with tf.Graph().as_default(), tf.Session() as session:
        with slim.arg_scope(inception_v3.inception_v3_arg_scope(updates_collections='ours')):
            inception_v3.inception_v3(tf.zeros([1, 299, 299, 3]), 1001)
        random = np.random.RandomState(0)
        session.run(tf.global_variables_initializer())
        give(session, {one: random.uniform(0.5, 1.5, one.shape.as_list()) for one in tf.global_variables()
                       if 'moving_' in one.op.name})
        tf.train.Saver().save(session, prefix, write_meta_graph=False)
    return prefix


@pytest.fixture(scope='module')
def two_steps(tmp_path_factory, shapes, slim_checkpoint):
    """A run of both training steps, two iterations each. Returns (logs_dir, output of one, output of two)."""
    logs_dir = str(tmp_path_factory.mktemp('two_steps'))
    flags = SMALL + ('--logs_dir=' + logs_dir,)
    one = run_well('--mode=train', '--data_dir=' + shapes, '--max_iterations=2', STEP_ONE,
                   '--checkpoint_path=' + slim_checkpoint, *flags)
    return logs_dir, one, run_well('--mode=train', '--max_iterations=4', '--debug', *flags)


@pytest.fixture(scope='module')
def trained_once(tmp_path_factory, shapes):
    logs_dir = str(tmp_path_factory.mktemp('trained'))
    with small.installed():
        run_well('--mode=train', '--data_dir=' + shapes, '--max_iterations=4', '--checkpoint_path=',
                 '--logs_dir=' + logs_dir, *SMALL)
    return logs_dir


@pytest.fixture
def trained(trained_once, small_backbone):
    """The logs_dir of a run of four steps, whose backbone is small, as that of all networks of the test."""
    return trained_once


def test_step_one_trains_the_new_layers_from_a_slim_checkpoint(two_steps, slim_checkpoint):
    logs_dir, output, _ = two_steps
    assert "376 variables: 376 of the backbone's 376, moving statistics included (188)" in output
    assert re.search(r'not in it +12.*InceptionV3/Upsampling \(12\)', output)
    before, after = variables(slim_checkpoint), variables(logs_dir + '/model.ckpt-2')
    backbone = [name for name in after if name in before and 'moving_' not in name]
    assert len(backbone) == 188
    assert all((before[name] == after[name]).all() for name in backbone)
    moving = [name for name in after if 'moving_' in name]
    assert all((before[name] != after[name]).any() for name in moving)


def test_weights_to_start_from_are_no_trained_model(slim_checkpoint, tmp_path):
    """Flags of a plan name them in all modes."""
    status, _, errors = run_main('--mode=test', '--logs_dir=%s' % tmp_path, '--data_dir=%s/none' % tmp_path,
                                 '--checkpoint_path=' + slim_checkpoint, '--undo_class_weights=1')
    assert status == EXIT_INPUT
    assert 'no checkpoint in %s, and --checkpoint_path=%s has no new layers' % (tmp_path, slim_checkpoint) in errors


def test_step_two_resumes_and_trains_all(two_steps):
    logs_dir, _, output = two_steps
    assert 'resumed from %s/model.ckpt-2' % logs_dir in output and 'training 200 of 200 variables' in output
    before, after = variables(logs_dir + '/model.ckpt-2'), variables(logs_dir + '/model.ckpt-4')
    assert after['global_step'] == 4
    assert sum((before[name] != after[name]).any() for name in before if name.endswith('weights')) >= 94


def test_training_log(two_steps):
    logs_dir = two_steps[0]
    lines = logged(logs_dir)
    assert [line['step'] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        assert {'step', 'loss', 'learning_rate', 'images_per_s', 'seconds'} <= set(line)
        assert ('validation_loss' in line) == ('validation_mean_iou' in line) == (line['step'] in (2, 4))
    assert [line['seconds'] for line in lines] == sorted(line['seconds'] for line in lines)
    tags = {}
    for name in ('train', 'validation'):
        for path in sorted(glob.glob(os.path.join(logs_dir, name, 'events*'))):
            for event in tf.train.summary_iterator(path):
                for value in event.summary.value:
                    tags.setdefault(name, {}).setdefault(value.tag, []).append(event.step)
    assert tags['train']['pixelwise_loss'] == [1, 2, 3, 4] and tags['validation']['pixelwise_loss'] == [2, 4]
    assert any(tag.startswith('input_truth_prediction') for tag in tags['validation'])
    # --debug, given to step two only, adds the original's histograms
    assert tags['train']['variable_histograms/InceptionV3/Conv2d_1a_3x3/weights'] == [3, 4]
    with open(os.path.join(logs_dir, 'config.json')) as file:
        assert json.load(file)['class_names'] == read_ShapesData.CLASS_NAMES


def test_splits_are_tested_by_name_or_file(trained, tmp_path):
    logs_dir, results, listed = trained, str(tmp_path), tmp_path / 'mine.txt'
    listed.write_text('shapes_val_0001\nshapes_train_0003\n')
    for split, count in (('train', 6), (str(listed), 2)):
        output = run_well('--mode=test', '--logs_dir=' + logs_dir, '--results_dir=' + results, '--split=' + split)
        assert 'on %d images of shapes (%s)' % (count, split) in output
        with open(os.path.join(results, 'metrics.json')) as file:
            result = json.load(file)
        assert (result['split'], result['images'], result['origin']['how']['split']) == (split, count, split)
        with open(os.path.join(results, 'index.html'), encoding='utf-8') as file:
            assert '%d images of the split %s tested' % (count, split) in file.read()
        with open(os.path.join(results, 'model-card.md'), encoding='utf-8') as file:
            card = file.read()
        assert ': %d images, of which %d were scored' % (count, count) in card and 'Validation:' not in card
    for flags, words in ((['--mode=test', '--split=test'], '--split=test is no split of this data set'),
                         (['--mode=train', '--split=train'], '--split=train goes with --mode=test')):
        done = run('--logs_dir=' + logs_dir, '--results_dir=' + results, *flags)
        assert done.returncode == EXIT_INPUT and words in done.stderr, done.stderr


def test_test_and_visualize_agree(trained, shapes, tmp_path):
    """The scores of --mode=test are those of the label maps that --mode=visualize writes."""
    logs_dir, results = trained, str(tmp_path)
    output = run_well('--mode=test', '--logs_dir=' + logs_dir, '--results_dir=' + results)
    assert '--dataset=shapes' in output  # taken from the run
    with open(os.path.join(results, 'metrics.json')) as file:
        result = json.load(file)
    assert result['images'] == 3 and [one['name'] for one in result['classes']] == read_ShapesData.CLASS_NAMES
    with open(os.path.join(results, 'metrics.txt')) as file:
        lines = file.read().splitlines()
    assert len(lines) == 4 and lines[2] == 'Mean IU: %.4f' % result['mean_iou']

    output = run_well('--mode=visualize', '--logs_dir=' + logs_dir, '--results_dir=' + results, '--num_images=3')
    confusion, bands = 0, 0
    for record in read_ShapesData.read_dataset(shapes)[1]:
        predicted = Image.open(os.path.join(results, 'labels', record['filename'] + '.png'))
        assert predicted.mode == 'P'
        labels = annotations.open_annotation(record['annotation'])
        confusion += metrics.confusion_matrix(labels, np.asarray(predicted), 7, 255)
        bands += boundary.confusions(labels, np.asarray(predicted), 7, 255)
        assert Image.open(os.path.join(results, 'overlays', record['filename'] + '.png')).size == predicted.size
    origin = result.pop('origin')
    near_edges = boundary.compute(bands, read_ShapesData.CLASS_NAMES, 255)
    assert dict(metrics.compute(confusion, read_ShapesData.CLASS_NAMES, 3, 255), boundary=near_edges,
                split='val') == result
    with open(os.path.join(results, 'manifest.json')) as file:
        listed = json.load(file)
    assert listed['metrics.json'] == listed['images.csv'] == origin and origin['run'] == logs_dir
    assert listed['pictures.json']['checkpoint'] == origin['checkpoint'] == logs_dir + '/model.ckpt-4'
    panels = [Image.open(os.path.join(results, 'pic_%d.png' % number)) for number in range(3)]
    assert all(panel.size[0] > 400 for panel in panels)
    assert not os.path.exists(os.path.join(results, 'pic_3.png'))


@pytest.fixture
def undecided(trained, tmp_path):
    """A run's folder whose network predicts now this class, now that, none for sure: random scores of Mixed_5d."""
    logs_dir, random = str(tmp_path / 'logs'), np.random.RandomState(0)
    os.mkdir(logs_dir)
    shutil.copy(trained + '/config.json', logs_dir)
    held = variables(trained + '/model.ckpt-4')
    for name, value in held.items():
        if 'Upsampling/Score_' in name:
            held[name] = np.zeros_like(value)
            if name.endswith('Score_Mixed_5d/weights'):
                drawn = random.normal(scale=0.01, size=value.shape)
                held[name] = (drawn - drawn.mean(2, keepdims=True)).astype('float32')
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.Saver([tf.Variable(value, name=name) for name, value in held.items()])
        session.run(tf.global_variables_initializer())
        saver.save(session, logs_dir + '/model.ckpt-4', write_meta_graph=False)
    return logs_dir


@pytest.mark.skipif(not crf.available(), reason='pydensecrf2 is not installed')
def test_the_dense_crf_is_scored_too(undecided, tmp_path):
    output = run_well('--mode=test', '--logs_dir=' + undecided, '--results_dir=%s' % tmp_path, '--crf',
                      '--test_scales=0.75,1', '--test_flip', '--crf_parameters=iterations=2')
    assert ', averaged over the scales 0.75, 1 and mirror images' in output
    card = (tmp_path / 'model-card.md').read_text(encoding='utf-8')
    assert 'averaged over the scales 0.75, 1 and mirror images.' in card
    plain, refined = (json.loads((tmp_path / name).read_text()) for name in ('metrics.json', 'crf/metrics.json'))
    assert 'With the dense CRF:\nPixel accuracy: %.4f' % refined['pixel_accuracy'] in output
    pixels = [[one['pixels'] for one in result['classes']] for result in (plain, refined)]
    assert pixels[0] == pixels[1] and sum(pixels[0]) > 0 and refined['classes'] != plain['classes']


@pytest.mark.usefixtures('small_backbone')
def test_every_part_of_the_recipe_trains_and_resumes(shapes, tmp_path):
    """Together; auxiliary scores and another optimizer may join a run later."""
    flags = SMALL + ('--mode=train', '--data_dir=' + shapes, '--logs_dir=%s' % tmp_path, '--skip_layers=4s',
                     '--color_jitter=0.3', '--random_scale=0.8,1.5', '--class_weights=median_frequency', '--warm_up=3',
                     '--schedule=poly', '--clip_gradient_norm=1', '--freeze_batch_norm', '--cache_megabytes=1')
    run_well('--max_iterations=2', '--checkpoint_path=', *flags)
    more = ('--auxiliary_loss=0.4', '--optimizer=momentum', '--new_layers_rate=10')
    output = run_well('--max_iterations=4', *(flags + more))
    assert 'the optimizer begins anew' in output and 'training 32 of 32 variables' in output
    output = run_well('--max_iterations=5', *(flags + more))
    assert 'the optimizer\'s' in output and 'anew' not in output
    held = variables('%s/model.ckpt-5' % tmp_path)
    aux = 'InceptionV3/Upsampling/Aux_Score_Mixed_6e/weights'
    assert {aux, aux + '/Momentum', 'InceptionV3/Upsampling/Score_Conv2d_4a_3x3/weights'} <= set(held)
    assert [line['learning_rate'] for line in logged(tmp_path)][:2] == pytest.approx(
        [0.00032 / 3, 0.00032 * 2 / 3 * 0.5 ** 0.9])
    assert logged(tmp_path)[-1]['step'] == 5
    # The class weights are taken back: the label maps are those of the probabilities, without the weights.
    results, flags = str(tmp_path / 'results'), ('--logs_dir=%s' % tmp_path, '--num_images=3', '--save_probabilities')
    run_well('--mode=visualize', '--nocrf', '--results_dir=' + results, *flags)
    undone = run_well('--mode=visualize', '--nocrf', '--results_dir=%s-undone' % results, '--undo_class_weights=0.5',
                      *flags)
    assert 'wrote 3 pictures' in undone
    path = '%s/config.json' % tmp_path
    with open(path) as file:
        config = json.load(file)
    weights = np.array(config['class_weights'])
    assert len(weights) == 7 and weights.min() < weights.max()
    names = os.listdir(results + '/probabilities')
    assert len(names) == 3
    for name in names:
        before, after = (np.load('%s/probabilities/%s' % (place, name))['probabilities'].astype('float32')
                         for place in (results, results + '-undone'))
        expected = before / weights ** 0.5
        np.testing.assert_allclose(after, expected / expected.sum(2, keepdims=True), atol=3e-3)
    output = run_well('--mode=test', '--logs_dir=%s' % tmp_path, '--results_dir=' + results, '--undo_class_weights=1')
    assert ', class weights taken back by 1' in output and 'was trained with --undo' not in output
    config['flags']['undo_class_weights'] = 1.0
    with open(path, 'w') as file:
        json.dump(config, file)
    assert 'note: %s was trained with --undo_class_weights=1.0' % tmp_path in run(
        '--mode=visualize', '--logs_dir=%s' % tmp_path, '--image_dir=%s/none' % tmp_path).stdout
    assert 'taken back from the predictions by 1 ' in (tmp_path / 'results' / 'model-card.md').read_text(
        encoding='utf-8')


def test_class_weights_that_were_not_trained_with_cannot_be_undone(trained, tmp_path):
    refused(run('--mode=test', '--logs_dir=' + trained, '--results_dir=%s' % tmp_path, '--undo_class_weights=1'),
            '--undo_class_weights', 'holds no class weights')


def test_photos_of_any_kind(trained, tmp_path):
    """All outputs have the photo's own size, names and folders; bad ones are named; a second run does nothing again."""
    photos, results = tmp_path / 'my photos', str(tmp_path / 'out')
    (photos / 'sub').mkdir(parents=True)
    random = np.random.RandomState(0)
    kinds = {'grey.png': ('L', (90, 120)), 'tiny.png': ('RGB', (40, 50)), 'alpha é.png': ('RGBA', (120, 80)),
             'press.jpg': ('CMYK', (100, 100)), 'sub/scan.tif': ('RGB', (77, 130)), 'turned.jpg': ('RGB', (90, 120)),
             'wide.png': ('RGB', (1200, 100))}
    for name, (mode, size) in kinds.items():
        image = Image.fromarray(random.randint(0, 256, size[::-1] + (3,)).astype('uint8')).convert(mode)
        if name == 'turned.jpg':
            exif = Image.Exif()
            exif[0x0112] = 6  # the camera was turned by 90 degrees
            image.save(str(photos / name), exif=exif)
            kinds[name] = (mode, size[::-1])
        else:
            image.save(str(photos / name))
    (photos / 'bad.jpg').write_bytes(b'404 not found')
    flags = ('--mode=visualize', '--logs_dir=' + trained, '--results_dir=' + results, '--tile_size=1024',
             '--image_dir=%s' % photos, '--save_probabilities')
    # From another folder than the data set, which need not be there.
    output = run_well(*flags)
    assert 'skipped: %s cannot be read' % (photos / 'bad.jpg') in output and 'wrote 7 pictures (1 skipped)' in output
    for name, (_, size) in kinds.items():
        stem = os.path.splitext(name)[0]
        labels = Image.open('%s/labels/%s.png' % (results, stem))
        assert labels.size == size and labels.mode == 'P'
        assert Image.open('%s/overlays/%s.png' % (results, stem)).size == size
        with np.load('%s/probabilities/%s.npz' % (results, stem)) as file:
            assert file['probabilities'].shape == size[::-1] + (7,)
            assert (file['probabilities'].argmax(2) == np.asarray(labels)).mean() > 0.99  # rounded to 16 bits
    assert len(glob.glob(results + '/pic_*.png')) == len(kinds)
    with open(results + '/classes.csv', encoding='utf-8') as file:
        table = list(csv.reader(file))
    assert table[0] == ['name'] + read_ShapesData.CLASS_NAMES and len(table) == 1 + len(kinds)
    assert all(sum(map(float, row[1:])) == pytest.approx(1, abs=1e-4) for row in table[1:])
    assert os.path.exists(results + '/index.html')

    written = os.path.getmtime(results + '/labels/tiny.png')
    shutil.copy(str(photos / 'tiny.png'), str(photos / 'grey.png'))  # changed since
    output = run_well(*flags)
    assert '6 of 8 are done already' in output and 'wrote 1 pictures (1 skipped)' in output
    assert os.path.getmtime(results + '/labels/tiny.png') == written
    assert len(glob.glob(results + '/pic_*.png')) == len(kinds)


@needs_ffmpeg
def test_a_film_that_was_killed_and_run_again(undecided, tmp_path, monkeypatch):
    """Its frames, handed to the encoder, are the overlays that the same frames have as photos."""
    (tmp_path / 'photos').mkdir()
    film = write_film(tmp_path / 'my film é.mkv', moving_shapes(12, 79, 97))
    flags = ('--mode=visualize', '--logs_dir=' + undecided, '--test_scales=0.75,1', '--test_flip', '--nocrf')
    of_film = flags + ('--image_dir=' + film, '--results_dir=%s' % (tmp_path / 'film'), '--save_labels')
    films_folder, labels = tmp_path / 'film' / 'films', tmp_path / 'film' / 'films' / 'my film é' / 'labels'
    process = start(*of_film)
    wait_until((tmp_path / 'film' / 'films' / 'my film é' / 'labels.part' / 'frame_000003.png').exists, process)
    process.kill()
    process.wait()
    assert not labels.exists() and not (films_folder / 'my film é.mp4').exists()

    handed, encode = [], FilmWriter._encode
    monkeypatch.setattr(FilmWriter, '_encode', lambda self, frame: (handed.append(frame.copy()), encode(self, frame)))
    status, output, errors = run_main(*of_film)
    assert status == 0 and '79 pixels, 10 frames a second' in output and 'wrote 12 frames' in output, errors
    assert not glob.glob('%s/**/*.part' % tmp_path, recursive=True)
    found = films.open_film(str(films_folder / 'my film é.mp4'))
    assert (found.width, found.height, found.rate, len(list(found.frames()))) == (97, 79, 10, 12)
    status, output, errors = run_main(*of_film)
    assert status == 0 and 'is done already' in output and len(handed) == 12, errors
    page = (tmp_path / 'film' / 'index.html').read_text(encoding='utf-8')
    assert 'src="films/my%20film%20%C3%A9.mp4"' in page

    for number, frame in enumerate(films.open_film(film).frames(), 1):
        Image.fromarray(frame).save(str(tmp_path / 'photos' / ('%06d.png' % number)))
    status, _, errors = run_main(*flags + ('--image_dir=%s' % (tmp_path / 'photos'),
                                           '--results_dir=%s' % (tmp_path / 'of photos')))
    assert status == 0, errors
    tables = []
    for folder in ('film', 'of photos'):
        with open(str(tmp_path / folder / 'classes.csv'), encoding='utf-8') as file:
            tables.append(list(csv.reader(file)))
    for number, frame in enumerate(handed, 1):
        name, several = '%06d.png' % number, set()
        overlay, of_photo, of_frame = (np.asarray(Image.open(str(path))) for path in (
            tmp_path / 'of photos' / 'overlays' / name, tmp_path / 'of photos' / 'labels' / name,
            labels / ('frame_' + name)))
        np.testing.assert_array_equal(frame, overlay)
        np.testing.assert_array_equal(of_frame, of_photo)
        several.update(of_frame.ravel())
        assert len(several) > 1, 'a network that predicts one class would show nothing'
        assert tables[0][number] == ['my film é', str(number), '%.3f' % ((number - 1) / 10)] + tables[1][number][1:]
    assert len(tables[0]) == 13


@needs_ffmpeg
@pytest.mark.skipif(not crf.available(), reason='pydensecrf2 is not installed')
def test_the_dense_crf_refines_films_where_it_is_asked_for(undecided, tmp_path):
    film = write_film(tmp_path / 'film.mp4', moving_shapes(2), 10)
    status, _, errors = run_main('--mode=visualize', '--logs_dir=' + undecided, '--image_dir=' + film, '--crf',
                                 '--results_dir=%s' % tmp_path, '--save_labels', '--save_probabilities')
    assert status == 0, errors
    for number, frame in enumerate(films.open_film(film).frames(), 1):
        labels = np.asarray(Image.open('%s/films/film/labels/frame_%06d.png' % (tmp_path, number)))
        with np.load('%s/films/film/probabilities/frame_%06d.npz' % (tmp_path, number)) as file:
            probabilities = file['probabilities'].astype('float32')
        assert (labels == crf.dense_crf(frame, probabilities)).mean() > 0.99  # rounded to 16 bits
        assert (labels == probabilities.argmax(2)).mean() < 0.98


@needs_ffmpeg
@pytest.mark.parametrize('flags, words', [
    (['--mode=visualize', '--image_dir={0}/text.mp4'], 'text.mp4 cannot be read as a film'),
    (['--mode=visualize', '--image_dir={0}/text.mp4', '--compare={1}'], 'takes alone, without --compare'),
    (['--mode=export', '--image_dir={0}/text.mp4', '--export_dir={0}/saved'], 'which visualize takes alone')])
def test_films_that_are_refused(trained, tmp_path, flags, words):
    (tmp_path / 'text.mp4').write_text('no film')
    flags = [flag.format(tmp_path, trained) for flag in flags]
    status, _, errors = run_main('--logs_dir=' + trained, '--results_dir=%s/results' % tmp_path, *flags)
    assert status == EXIT_INPUT and words in errors and errors.count('\n') == 1, errors
    assert not glob.glob('%s/results/*' % tmp_path)


def test_check_is_of_a_data_set_whatever_run_there_is(shapes, tmp_path):
    run_dir = tmp_path / 'logs' / 'all'
    run_dir.mkdir(parents=True)
    (run_dir / 'model.ckpt-1.index').touch()
    (run_dir / 'config.json').write_text('{"flags": {"dataset": "mit_scene_parsing"}, "class_names": ["wall", "sky"]}')
    flags = ('--mode=check', '--dataset=shapes', '--data_dir=' + shapes)
    assert 'nothing is wrong' in run_well(*flags, cwd=str(tmp_path))
    refused(run(*flags + ('--logs_dir=logs/all',), cwd=str(tmp_path)), 'dataset is shapes here')


def void_data(folder):
    """A data set in VOC layout whose annotations hold 0, 1, 2 and 255; names.txt calls 1 void."""
    for part in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        os.makedirs(os.path.join(folder, part))
    labels = np.repeat(np.array([0, 1, 2, 255], 'uint8'), 24)[None].repeat(80, axis=0)
    for number, split in enumerate(('train', 'val')):
        pixels = np.random.RandomState(number).randint(0, 256, labels.shape + (3,)).astype('uint8')
        Image.fromarray(pixels).save(os.path.join(folder, 'JPEGImages', split + '.jpg'))
        Image.fromarray(labels).save(os.path.join(folder, 'SegmentationClass', split + '.png'))
        with open(os.path.join(folder, 'ImageSets', 'Segmentation', split + '.txt'), 'w') as file:
            file.write(split + '\n')
    with open(os.path.join(folder, 'names.txt'), 'w') as file:
        file.write('road\nvoid\nsky\n')
    return '--data_dir=' + folder, '--class_names=%s/names.txt' % folder


def test_the_classes_are_those_beside_the_data(tmp_path, monkeypatch):
    """Where no other list is named: in check, and in the file of a plan."""
    folder = str(tmp_path / 'data')
    data, _ = void_data(folder)
    flags = (data, '--results_dir=%s' % tmp_path, '--logs_dir=%s' % tmp_path)
    assert 'aeroplane' in run_main('--mode=check', *flags)[1]
    with open(folder + '/labels.txt', 'w') as file:
        file.write('meadow\nwood\nlake\n')
    status, said, _ = run_main('--mode=check', *flags)
    assert 'note: the classes are those of %s/labels.txt' % folder in said and 'meadow' in said and status == 0
    said = run_main('--mode=check', '--class_names=%s/names.txt' % folder, *flags)[1]
    assert 'road' in said and 'meadow' not in said and 'note: the classes' not in said
    monkeypatch.setattr('fcn.training.trial.step_seconds', lambda flags, num_classes: 0.1)
    assert run_main('--mode=plan', '--checkpoint_path=', *flags)[0] == 0
    with open(folder + '/plan.flags') as file:
        assert '--class_names=%s/labels.txt\n' % folder in file.read()


@pytest.mark.usefixtures('small_backbone')
def test_class_called_void(tmp_path):
    """A new run ignores it; a run that counted it goes on so, and --ignore_label contradicts neither."""
    data, logs = void_data(str(tmp_path / 'data')), str(tmp_path / 'logs')
    out = run_well('--mode=train', *data, *[flag for flag in SMALL if 'dataset' not in flag], STEP_ONE,
                   '--checkpoint_path=', '--max_iterations=2', '--logs_dir=' + logs)
    assert 'note: pixels of void (label 1) count neither in the loss nor in scores; --ignore_label=none' in out

    def classes(*more):
        said = run_well('--mode=test', '--logs_dir=' + logs, '--results_dir=%s' % tmp_path, *more)
        with open(str(tmp_path / 'metrics.json')) as file:
            return [(one['name'], one['pixels']) for one in json.load(file)['classes']], said
    counted, said = classes()
    assert counted == [('road', 1920), ('sky', 1920)] and 'void (label 1)' in said and 'was trained' in said
    assert classes('--ignore_label=1', data[1])[0] == counted
    refused(run('--mode=train', '--logs_dir=' + logs, '--ignore_label=none'), '--ignore_label=none', 'trained with 1')
    others = str(tmp_path / 'others')  # whose labels are numbered otherwise
    shutil.copytree(str(tmp_path / 'data'), others)
    for names, status in (('sky\nvoid\nroad\n', EXIT_INPUT), ('road\nvoid\nsky\n', 0)):
        with open(others + '/labels.txt', 'w') as file:
            file.write(names)
        found, said, errors = run_main('--mode=check', '--logs_dir=' + logs, '--results_dir=%s' % tmp_path,
                                       '--data_dir=' + others)
        assert found == status, errors
        assert ('others/labels.txt names other classes than %s was trained with: road, void, sky' % logs in errors) == (
            status == EXIT_INPUT) and 'note: the classes' not in said
    path = os.path.join(logs, 'config.json')
    with open(path) as file:
        config = json.load(file)
    config['ignored_labels'] = [1, 2]
    with open(path, 'w') as file:
        json.dump(config, file)
    assert classes()[0] == [('road', 1920)], 'neither is a class'
    del config['ignored_labels'], config['flags']['ignore_label']  # as runs of before are
    with open(path, 'w') as file:
        json.dump(config, file)
    assert classes(data[1])[0] == [('road', 1920), ('void', 1920), ('sky', 1920)]
    refused(run('--mode=test', '--logs_dir=' + logs, '--ignore_label=1'), '--ignore_label=1', 'trained with none')


@pytest.mark.usefixtures('small_backbone')
def test_images_of_a_12_bit_camera(tmp_path):
    """They need --image_range, which the run keeps; photos of another camera may have another."""
    data, logs, results = void_data(str(tmp_path / 'data')), str(tmp_path / 'logs'), str(tmp_path / 'results')
    for number, split in enumerate(('train', 'val')):
        path = os.path.join(str(tmp_path), 'data', 'JPEGImages', split)
        os.remove(path + '.jpg')
        values = np.random.RandomState(number).randint(0, 900 + number, (80, 96)).astype('uint16')
        with open(path + '.png', 'wb') as file:
            file.write(draw_png(values, 0))
    train = ('--mode=train', *data, *[flag for flag in SMALL if 'dataset' not in flag], STEP_ONE,
             '--checkpoint_path=', '--max_iterations=1', '--validate_every=0', '--logs_dir=' + logs)
    refused(run(*train), 'val.png is a 16-bit image that has no value above 900', '--image_range=1023')
    run_well(*train, '--image_range=1023')
    with open(os.path.join(logs, 'config.json')) as file:
        assert json.load(file)['image_range'] == 1023
    shown = ('--mode=visualize', '--logs_dir=' + logs, '--results_dir=' + results, '--nocrf')
    said = run_well(*shown, '--image_dir=' + path + '.png')
    assert '--image_range=1023' in said and 'wrote 1 pictures' in said
    said = run_well(*shown, '--image_dir=' + path + '.png', '--image_range=900')
    assert 'wrote 1 pictures' in said, 'what another range was drawn with is not done'
    assert '--image_range=900; ' + logs + ' was trained with --image_range=1023' in said


@pytest.mark.parametrize('run_range, flag, train, found', [
    (None, None, True, None), (65535, None, True, 65535), (4095, None, True, 4095), (4095, 4095, True, 4095),
    (None, 4095, True, 'no --image_range'), (4095, 1023, True, '--image_range=4095'), (None, 4095, False, 4095),
    (4095, 1023, False, 1023)])
def test_a_run_keeps_the_range_of_its_images(run_range, flag, train, found):
    """Of runs that knew of no range it is None, which readers take as it was."""
    config = SimpleNamespace(data=SimpleNamespace(image_range=flag), folders=SimpleNamespace(run_dir='logs'))
    of_run = RunConfig(flags={'seed': 0}, class_names=['a', 'b'], image_range=run_range)
    mode = inception_FCN.MODES['train' if train else 'visualize']
    assert inception_FCN.white_of_images(config, RunConfig(), mode) == (flag or 65535), 'of a new run'
    if isinstance(found, str):
        with pytest.raises(InputError, match=f'goes with a new run: the run in logs was trained with {found}'):
            inception_FCN.white_of_images(config, of_run, mode)
    else:
        assert inception_FCN.white_of_images(config, of_run, mode) == found


@pytest.mark.parametrize('flags, names', [
    ((), ['road', 'sky']), (('--ignore_label=none',), ['road', 'void', 'sky']), (('--ignore_label=255',), [
        'road', 'void', 'sky']), (('--ignore_label=0',), ['void', 'sky']), (('--void_class',), [
            'road', 'void', 'sky', 'ambiguous']), (('--ignore_label=0,1', '--allow_one_class'), ['sky'])])
def test_check_counts_the_classes_that_training_would(flags, names, tmp_path):
    out = run_well('--mode=check', '--results_dir=%s' % tmp_path, *void_data(str(tmp_path / 'data')), *flags)
    with open(str(tmp_path / 'check.json')) as file:
        assert [one['name'] for one in json.load(file)['classes']] == names
    assert 'nothing is wrong' in out and ('note: pixels of' in out) == (len(names) <= 2)


def test_names_that_a_run_has_stored_stay(tmp_path):
    """A list whose lines a run took for names is read in another way today; the run's names are what they were."""
    data, logs = void_data(str(tmp_path / 'data'))[0], tmp_path / 'logs'
    logs.mkdir()
    (logs / 'model.ckpt-1.index').write_bytes(b'')
    lists = {'0: road\n2: sky\n1: car\n': ['road', 'car', 'sky'],
             '__ignore__\nroad\nsky\ncar\n': ['road', 'sky', 'car']}
    for text, new in lists.items():
        (tmp_path / 'names.txt').write_text(text)
        for stored, expected in ((text.split('\n')[:-1], text.split('\n')[:-1]), (new, new)):
            (logs / 'config.json').write_text(json.dumps({'flags': {}, 'class_names': stored}))
            run_well('--mode=check', data, '--class_names=%s/names.txt' % tmp_path, '--logs_dir=%s' % logs,
                     '--results_dir=%s' % tmp_path)
            with open(str(tmp_path / 'check.json')) as file:
                assert [one['name'] for one in json.load(file)['classes']] == expected
        (logs / 'config.json').write_text(json.dumps({'flags': {}, 'class_names': ['a', 'b', 'c']}))
        refused(run('--mode=check', data, '--class_names=%s/names.txt' % tmp_path, '--logs_dir=%s' % logs),
                'names.txt names other classes', 'a, b, c')


def test_the_list_that_the_names_of_a_run_came_from_stays_as_it_was(tmp_path):
    """As when the data set was made anew in the same folder, with its classes in another order."""
    data, logs = str(tmp_path / 'data'), tmp_path / 'logs'
    flags = (void_data(data)[0], '--logs_dir=%s' % logs, '--results_dir=%s' % tmp_path)
    logs.mkdir()
    (logs / 'model.ckpt-1.index').write_bytes(b'')
    (logs / 'config.json').write_text(json.dumps({
        'flags': {'data_dir': data, 'class_names': data + '/labels.txt'}, 'class_names': ['road', 'void', 'sky']}))
    for names, status in (('road\nvoid\nsky\n', 0), ('sky\nvoid\nroad\n', EXIT_INPUT)):
        with open(data + '/labels.txt', 'w') as file:
            file.write(names)
        for more in (), ('--class_names=%s/names.txt' % data,):
            found, said, errors = run_main('--mode=check', *flags, *more)
            assert found == (status if not more else 0), said + errors
            assert ('labels.txt names other classes than %s was trained with: road, void, sky' % logs in errors) == (
                found == EXIT_INPUT)


def test_home_folder_in_flags(tmp_path, monkeypatch):
    """--flag=~/x, which shells leave alone, is in the home folder, for every flag of paths."""
    home, work = tmp_path / 'home', tmp_path / 'work'
    void_data(str(home / 'data'))
    for folder in (work, home / 'logs', work / '~' / 'out'):
        folder.mkdir(parents=True)
    (home / 'logs' / 'model.ckpt-1.index').write_bytes(b'')
    (home / 'logs' / 'config.json').write_text(json.dumps({'flags': {}, 'class_names': ['a', 'b', 'c']}))
    monkeypatch.setenv('HOME', str(home))
    monkeypatch.chdir(work)
    data = ('--data_dir=~/data', '--class_names=~/data/names.txt')
    out = run_well('--mode=check', '--results_dir=~/out', *data)
    assert (home / 'out' / 'check.json').exists() and os.listdir(str(work / '~' / 'out')) == []
    assert 'note: --results_dir=~/out is %s/out, which is not there; the folder called ~ here is ./~/out' % home in out
    refused(run('--mode=check', '--logs_dir=~/logs', *data), '%s/data/names.txt' % home, '%s/logs was' % home)
    refused(run('--mode=check', '--data_dir=~nobody-here/x'), '--data_dir: there is no user nobody-here')
    Image.new('RGB', (80, 80)).save(str(home / 'a.png'))
    for flags, words in ((('--image_dir=~/*.jpg', '--train_dir=~/logs'), '--image_dir=%s/*.jpg' % home),
                         (('--image_dir=~/*.png', '--train_dir=~/gone'), 'no checkpoint in %s/gone' % home),
                         (('--image_dir=~/a.png', '--compare=~/gone,logs', '--train_dir=~/logs'), '%s/gone' % home),
                         (('--image_dir=~/a.png', '--train_dir=x', '--checkpoint_path=~/w.ckpt'), '%s/w.ckpt' % home)):
        refused(run('--mode=visualize', '--results_dir=~/out', *flags), words)
    assert sorted(os.listdir(str(work))) == ['~']


def test_comparison_of_runs(trained, shapes, tmp_path):
    one, other = trained, str(tmp_path / '32s')
    run_well('--mode=train', '--data_dir=' + shapes, '--max_iterations=1', '--skip_layers=32s', '--checkpoint_path=',
             STEP_ONE, '--resize=squash', '--logs_dir=' + other, *SMALL)
    flags = ('--mode=visualize', '--num_images=2', '--results_dir=%s' % tmp_path)
    path = os.path.join(other, 'config.json')
    with open(path) as file:
        config = json.load(file)
    config['records']['validation'] = [7, 'of other images']
    with open(path, 'w') as file:
        json.dump(config, file)
    output = run_well('--compare=%s,%s' % (other, one), '--skip_layers=16s', *flags)  # networks are the runs' own
    assert 'comparison.png: 2 images, 2 runs' in output and 'as %s was trained: ' % other in output
    assert re.findall('note: (.*) was validated on other images than these', output) == [other]
    assert re.search(r'FCN-32s, .*: Mean IU within 1, 2, 4, 8, 16 pixels of an edge: \d.*\nFCN-8s, .*: Mean IU', output)
    assert (tmp_path / 'comparison_boundary.png').stat().st_size > 1000

    def height(*shape):  # of two rows of pictures of that shape
        picture = io.BytesIO()
        save_panel(picture, [('FCN', np.zeros(shape + (3,), 'uint8'))] * 4, ['sky'], palettes.voc_palette(),
                   title='One')
        return 2 * Image.open(picture).size[1]
    # Each run predicts as its own test does, the first one squares; and all are shown in the size of the first.
    assert Image.open(str(tmp_path / 'comparison.png')).size[1] == height(75, 75) != height(120, 160)
    done = run('--compare=%s,%s' % (one, tmp_path), '--logs_dir=' + one, *flags)
    assert done.returncode == 2 and '%s is no folder of a run' % tmp_path in done.stderr
    dataset = SimpleNamespace(class_names=read_ShapesData.CLASS_NAMES + ['ambiguous'],
                              void_label=len(read_ShapesData.CLASS_NAMES))
    with pytest.raises(InputError, match='32s was trained with no --void_class, unlike the first run'):
        comparison.find_run(other, dataset)
    config['flags']['skip_layers'] = '9s'
    with open(path, 'w') as file:
        json.dump(config, file)
    refused(run('--compare=%s,%s' % (one, other), *flags), '32s/config.json is damaged: its flag skip_layers')


def test_export_is_reloaded_and_compared(trained, tmp_path):
    export_dir = str(tmp_path / 'saved_model')
    output = run_well('--mode=export', '--logs_dir=' + trained, '--export_dir=' + export_dir, '--num_images=3')
    assert 'on 3 images 0 pixels have another label' in output
    image = np.random.RandomState(0).randint(0, 256, (80, 121, 3)).astype('uint8')
    with Exported(export_dir) as exported:
        result = exported(image)
    assert result['labels'].shape == (80, 121) and result['labels'].dtype == np.uint8
    assert (result['probabilities'].argmax(2) == result['labels']).all()
    np.testing.assert_allclose(result['probabilities'].sum(2), 1, atol=1e-5)
    with open(os.path.join(export_dir, 'assets', 'class_names.txt')) as file:
        assert file.read().split() == read_ShapesData.CLASS_NAMES
    done = run('--mode=export', '--logs_dir=' + trained, '--export_dir=' + export_dir)
    assert done.returncode == 2 and 'is not empty' in done.stderr
    half = str(tmp_path / 'half')
    os.makedirs(half + '.part/variables')  # as of an export that was killed
    run_well('--mode=export', '--logs_dir=' + trained, '--export_dir=' + half, '--num_images=1')
    assert sorted(os.listdir(str(tmp_path))) == ['half', 'saved_model'] and os.listdir(half) == os.listdir(export_dir)


def test_onnx_export_is_reloaded_and_compared(trained, tmp_path):
    for package in ('tf2onnx', 'onnxruntime'):
        pytest.importorskip(package)
    flags = '--mode=export', '--logs_dir=' + trained, '--num_images=2', '--results_dir=my results'
    done = run('--export_format=onnx', *flags, cwd=str(tmp_path))
    assert done.returncode == 0 and done.stderr == '', done.stdout + done.stderr
    found = re.search('to my results/model.onnx; on 2 images '
                      r'(\d+) pixels have another label than from the', done.stdout)
    assert int(found.group(1)) < 10, done.stdout  # two classes may be as good as equally probable
    assert os.listdir(str(tmp_path)) == ['my results'] and os.listdir(str(tmp_path / 'my results')) == ['model.onnx']
    with OnnxModel(str(tmp_path / 'my results')) as model:
        assert model.class_names == read_ShapesData.CLASS_NAMES
    refused(run('--export_dir=a.onnx', *flags), '--export_dir=a.onnx is the name of another kind of file',
            '--export_format=onnx')


def run_on(data_dir, random_run, tmp_path, monkeypatch):
    """Copies the run as one on another data set, None: the default folder's, to an empty folder, and works there."""
    shutil.copytree(random_run, str(tmp_path / 'run'))
    run = read_run_config(random_run)
    write_run_config(str(tmp_path / 'run'), dataclasses.replace(run, flags=dict(run.flags, data_dir=data_dir)))
    monkeypatch.chdir(str(tmp_path))


@pytest.mark.usefixtures('small_backbone')
@pytest.mark.parametrize('data_dir, kind', [
    (None, ('--skip_bad_images', '--test_flip', '--test_scales=1,1.5')),
    ('DATA', ('--export_format=tflite', '--export_size=60,80', '--image_names=one'))])
def test_export_of_a_run_whose_data_set_is_not_there(data_dir, kind, random_run, tmp_path, monkeypatch, network_calls):
    """As of a run that was copied to another machine: images are for the comparison alone, and none are downloaded."""
    if data_dir and tf.__version__.startswith('1.'):
        pytest.skip('TFLite files need TensorFlow 2')
    run_on(data_dir, random_run, tmp_path, monkeypatch)
    status, output, errors = run_main('--mode=export', '--logs_dir=run', '--export_dir=exported', *kind)
    assert status == 0 and network_calls == [], output + errors
    place, folder = ('exported/model.tflite', 'DATA') if data_dir else ('exported', 'Data_zoo/Pascal_Voc/')
    averages = ('note: the exported model does not do --test_scales=1,1.5 --test_flip: it predicts otherwise than test '
                'and visualize do with that')
    assert (averages in output.splitlines()) == ('--test_flip' in kind) == ('does not do' in output)
    assert output.splitlines()[-1] == (
        'wrote run/model.ckpt-1 to %s; it was not compared with the checkpoint, which needs images: %s holds none, and '
        '--image_dir=PHOTO or --data_dir names others' % (place, folder))
    assert sorted(os.listdir('.')) == ['exported', 'run']
    with (TfliteModel if data_dir else Exported)(place) as exported:
        assert exported(np.zeros((60, 80, 3), 'uint8'))['labels'].shape == (60, 80)


@pytest.mark.parametrize('data_dir', ['none', 'Data_zoo/Pascal_Voc'])
def test_export_refuses_a_data_set_that_is_named_and_not_there(data_dir, random_run, tmp_path, monkeypatch,
                                                               network_calls):
    run_on(None, random_run, tmp_path, monkeypatch)
    status, _, errors = run_main('--mode=export', '--logs_dir=run', '--data_dir=' + data_dir)
    assert status == EXIT_INPUT and network_calls == []
    assert '--data_dir=%s holds no --dataset=pascal_voc' % data_dir in errors and '--image_dir=PHOTO' in errors
    assert os.listdir('.') == ['run']


@pytest.fixture
def many_photos(tmp_path, random_run, monkeypatch):
    """Works in a folder with a run and nine photos, of which the second cannot be read and the last is wide."""
    run_on(None, random_run, tmp_path, monkeypatch)
    os.mkdir('photos')
    for number in range(9):
        pixels = np.random.RandomState(number).randint(0, 256, (80, 1300 if number == 8 else 100, 3))
        Image.fromarray(pixels.astype('uint8')).save('photos/%d.png' % number)
    with open('photos/1.png', 'wb') as file:
        file.write(b'404 not found')


@pytest.mark.usefixtures('small_backbone')
def test_photos_that_an_export_is_compared_on(many_photos):
    """Some, those that can be read, and in the tiles that visualize takes."""
    status, output, errors = run_main('--mode=export', '--logs_dir=run', '--image_dir=photos', '--num_images=9',
                                      '--tile_size=1024', '--export_dir=exported')
    assert status == 0 and 'skipped: photos/1.png cannot be read' in output and 'on 8 images 0 pixels' in output, errors
    status, output, errors = run_main('--mode=export', '--logs_dir=run', '--image_dir=photos', '--num_images=3',
                                      '--export_dir=again')
    assert status == 0 and 'on 3 images 0 pixels' in output and 'skipped' not in output, errors
    for number in range(9):
        open('photos/%d.png' % number, 'wb').close()
    status, output, errors = run_main('--mode=export', '--logs_dir=run', '--image_dir=photos', '--export_dir=third')
    assert status == 0 and 'not compared with the checkpoint, as no image could be read' in output, errors
    status, output, errors = run_main('--mode=visualize', '--logs_dir=run', '--image_dir=photos', '--nocrf')
    assert status == EXIT_INPUT and 'None of the 9 photos in --image_dir=photos can be read' in errors, output


@pytest.mark.usefixtures('small_backbone')
def test_photos_of_a_comparison(many_photos, monkeypatch):
    flags = '--mode=visualize', '--compare=run', '--image_dir=photos'
    status, output, errors = run_main(*flags)
    assert status == 0 and output.count('skipped: photos/1.png cannot be read') == 1, errors
    assert 'comparison.png: 8 images, 1 runs' in output and 'evenly chosen' not in output
    monkeypatch.setattr(comparison, 'MOST_PHOTOS', 3)
    whole = Image.open('results/comparison.png').size
    assert 'note: of 9 photos 3 are compared, evenly chosen' in run_main(*flags)[1]
    assert Image.open('results/comparison.png').size[1] < whole[1] / 2
    for number in range(9):
        open('photos/%d.png' % number, 'wb').close()
    status, _, errors = run_main(*flags)
    assert status == EXIT_INPUT and 'None of the 3 photos in --image_dir=photos can be read' in errors


@pytest.mark.usefixtures('small_backbone')
@pytest.mark.skipif(not crf.available(), reason='pydensecrf2 is not installed')
def test_only_photos_with_a_panel_are_refined(many_photos, monkeypatch):
    refined = []
    monkeypatch.setattr(crf, 'dense_crf', lambda image, probabilities, _: refined.append(image) or probabilities.argmax(
        -1).astype('uint8'))
    monkeypatch.setattr('fcn.reporting.cards.MAX_EMBEDDED', 3)
    status, output, errors = run_main('--mode=visualize', '--logs_dir=run', '--image_dir=photos')
    assert status == 0 and 'wrote 8 pictures (1 skipped)' in output and len(refined) == 3, errors
    assert sorted(name for name in os.listdir('results') if name.startswith('pic_')) == [
        'pic_%d.png' % number for number in range(3)]


@pytest.mark.usefixtures('small_backbone')
def test_signal_stops_with_a_checkpoint_and_one_run_a_folder(shapes, tmp_path):
    logs_dir = str(tmp_path / 'logs')
    flags = SMALL + ('--mode=train', '--data_dir=' + shapes, '--checkpoint_path=', '--logs_dir=' + logs_dir,
                     '--checkpoint_every=100000', '--validate_every=0')
    first = start(*flags)
    wait_until(lambda: logged(logs_dir), first)
    second = run(*flags)
    assert second.returncode == 2 and 'Another run trains in' in second.stderr
    first.send_signal(signal.SIGTERM)
    output = first.communicate(timeout=120)[0]
    assert first.returncode == EXIT_STOPPED, output
    step = int(re.search(r'stopped by SIGTERM at step (\d+)', output).group(1))
    assert os.path.exists('%s/model.ckpt-%d.index' % (logs_dir, step))
    assert logged(logs_dir)[-1]['step'] == step


def test_original_flagfile_builds_the_original_graph(shapes, tmp_path):
    logs_dir, results = str(tmp_path / 'logs'), str(tmp_path / 'results')
    flagfile = os.path.join(os.path.dirname(__file__), '..', 'flags', 'original_2017.flags')
    names = tmp_path / 'names.txt'
    names.write_text('\n'.join('class %d' % number for number in range(21)))
    run_well('--flagfile=' + flagfile, '--mode=train', '--data_dir=' + shapes, '--class_names=%s' % names,
             '--logs_dir=' + logs_dir, '--checkpoint_path=', '--max_iterations=1', '--batch_size=1',
             '--validate_every=0')
    with open(os.path.join(os.path.dirname(__file__), 'fixtures', 'golden', 'variables_8s_bn0.txt')) as file:
        expected = {line.strip() for line in file}
    saved = {'%s %s' % (name, 'x'.join(map(str, value.shape))) for name, value in
             variables(logs_dir + '/model.ckpt-1').items() if name.startswith('InceptionV3/') and 'Adam' not in name}
    assert saved == expected
    # The checkpoint alone, as a holder of an old one has it.
    for name in ('config.json', 'progress.jsonl', 'checkpoint'):
        os.remove(os.path.join(logs_dir, name))
    for name in glob.glob(logs_dir + '/model.ckpt-1.*'):
        shutil.move(name, str(tmp_path))
    said = run_well('--flagfile=' + flagfile, '--mode=test', '--data_dir=' + shapes, '--class_names=%s' % names,
                    '--logs_dir=' + logs_dir, '--checkpoint_path=%s/model.ckpt-1' % tmp_path,
                    '--results_dir=' + results)
    assert 'note: --skip_layers=8s is taken; nothing in a checkpoint' in said
    with open(os.path.join(results, 'metrics.json')) as file:
        result = json.load(file)
    assert [one['name'] for one in result['classes']][-1] == 'ambiguous'
    assert result['classes'][-1]['pixels'] > 0
    assert sum(one['pixels'] for one in result['classes']) == 3 * 224 * 224


def test_tensorboard_serves_both_curves(trained):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, '-W', 'ignore', '-m', 'tensorboard.main', '--logdir', trained,
                               '--port', str(port), '--host', '127.0.0.1'], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    try:
        deadline, answer = time.time() + 120, {}
        while time.time() < deadline and set(answer) != {'train', 'validation'}:
            assert server.poll() is None, server.communicate()[0]
            time.sleep(1)
            try:
                url = 'http://127.0.0.1:%d/data/plugin/scalars/tags' % port
                answer = json.loads(urllib.request.urlopen(url, timeout=10).read().decode())
            except OSError:
                continue
        assert 'pixelwise_loss' in answer['train'] and 'pixelwise_loss' in answer['validation']
    finally:
        server.kill()
        server.communicate()


BAD_INPUT = [
    (['--data_dir=nowhere'], 'no folder --data_dir=nowhere'),
    (['--data_dir=.'], 'not in PASCAL VOC layout'),
    (['--dataset=mit_scene_parsing', '--data_dir=.'], 'not in the layout of MIT Scene Parsing'),
    (['--dataset=camvid', '--data_dir=.'], 'not in the layout of CamVid'),
    (['--data_dir=SHAPES', '--class_names=absent.txt'], 'absent.txt cannot be read'),
    (['--data_dir=SHAPES', '--checkpoint_path=absent.ckpt'], 'no checkpoint --checkpoint_path=absent.ckpt'),
    (['--mode=test', '--data_dir=SHAPES'], 'no checkpoint in logs/all'),
    (['--mode=visualize', '--train_dir=run', '--image_dir=absent'], '--image_dir=absent is no folder and no picture'),
    (['--dataset=mit_scene_parsing', '--data_dir=ADE', '--void_class'], '--void_class'),
    (['train'], 'train is no flag'),
    (['--mode=fly'], 'mode'),
    (['--upsampling=linear'], 'upsampling'),
    (['--image_size=74'], 'image_size'),
    (['--batch_size=many'], 'batch_size'),
    (['--learning_rat=1'], 'learning_rat'),
    (['--random_scale=2,1'], 'random_scale'),
    (['--test_scales=0'], 'test_scales'),
    (['--crf_parameters=iterations=0'], 'iterations=0 is not from 1'),
    (['--dataset=shapes', '--data_dir=SHAPES', '--checkpoint_path=', '--skip_layers=4s', '--upsampling=features'],
     '--skip_layers=4s goes with --upsampling=scores'),
]


@pytest.mark.parametrize('flags, words', BAD_INPUT, ids=[' '.join(flags) for flags, _ in BAD_INPUT])
def test_bad_input_is_refused(flags, words, shapes, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'model.ckpt-1.index').write_bytes(b'')
    done = run(*[flag.replace('SHAPES', shapes) for flag in flags], cwd=str(tmp_path))
    assert done.returncode in (1, 2) and words in done.stderr, done.stderr
    assert 'Traceback' not in done.stderr and not glob.glob(str(tmp_path / 'logs' / 'all' / 'model*'))


@pytest.mark.parametrize('dataset', sorted(inception_FCN.READERS))
@pytest.mark.parametrize('flags, words', [
    (['--mode=test'], 'no checkpoint in {0}/none.'), (['--mode=visualize'], 'no checkpoint in {0}/none.'),
    (['--mode=export'], 'no checkpoint in {0}/none.'),
    (['--mode=test', '--train_dir={0}/none/best'], 'no checkpoint in {0}/none/best.'),
    (['--mode=test', '--checkpoint_path={0}/x.ckpt'], 'no checkpoint --checkpoint_path={0}/x.ckpt.'),
    (['--mode=test', '--checkpoint_path=Data_zoo/inception_v3/inception_v3.ckpt'],
     'no checkpoint in {0}/none, and --checkpoint_path=Data_zoo/inception_v3/inception_v3.ckpt has no new layers'),
    (['--mode=visualize', '--image_dir={0}/photos'], 'no checkpoint in {0}/none.'),
    (['--mode=visualize', '--compare={0}/none,{0}'], '--compare: {0}/none is no folder of a run')])
def test_no_data_is_fetched_where_nothing_was_trained(dataset, flags, words, tmp_path, network_calls):
    flags = [flag.format(tmp_path) for flag in flags]
    status, output, errors = run_main('--dataset=' + dataset, '--data_url=http://localhost:9/data.zip',
                                      '--data_dir=%s/data' % tmp_path, '--logs_dir=%s/none' % tmp_path,
                                      '--results_dir=%s/results' % tmp_path, *flags)
    assert status == EXIT_INPUT and words.format(tmp_path) in errors, errors
    assert network_calls == [] and os.listdir(str(tmp_path)) == []


def copied(shapes, tmp_path):
    root = str(tmp_path / 'data')
    shutil.copytree(shapes, root)
    return root, os.path.join(root, 'VOCdevkit', 'VOC2012')


def spoil_split(root):
    open(os.path.join(root, 'ImageSets', 'Segmentation', 'train.txt'), 'w').close()
    return 'train.txt is empty'


def spoil_annotation(root):
    os.remove(os.path.join(root, 'SegmentationClass', 'shapes_train_0002.png'))
    return 'shapes_train_0002.jpg'


def spoil_label(root):
    path = os.path.join(root, 'SegmentationClass', 'shapes_train_0003.png')
    labels = np.array(Image.open(path))
    labels[5, 5] = 33
    Image.fromarray(labels).save(path)
    return 'shapes_train_0003.png holds the label 33'


def spoil_size(root):
    path = os.path.join(root, 'JPEGImages', 'shapes_val_0001.jpg')
    Image.open(path).resize((99, 88)).save(path)
    return 'shapes_val_0001.jpg is 99×88 pixels'


@pytest.mark.parametrize('spoil', [spoil_split, spoil_annotation, spoil_label, spoil_size])
def test_bad_data_is_named(spoil, shapes, tmp_path):
    data_dir, root = copied(shapes, tmp_path)
    words = spoil(root)
    names = tmp_path / 'names.txt'
    names.write_text('\n'.join(read_ShapesData.CLASS_NAMES))
    done = run('--data_dir=' + data_dir, '--class_names=%s' % names, '--checkpoint_path=', cwd=str(tmp_path))
    assert done.returncode == 2 and words in done.stderr, done.stderr
    assert 'Traceback' not in done.stderr


def test_truncated_image_is_named_and_contradiction_refused(trained, shapes, tmp_path):
    data_dir, root = copied(shapes, tmp_path)
    path = os.path.join(root, 'JPEGImages', 'shapes_val_0002.jpg')
    with open(path, 'r+b') as file:
        file.truncate(os.path.getsize(path) // 2)
    done = run('--mode=test', '--logs_dir=' + trained, '--data_dir=' + data_dir, '--results_dir=%s' % tmp_path)
    assert done.returncode == 2 and 'shapes_val_0002.jpg cannot be read' in done.stderr, done.stderr
    done = run('--mode=train', '--logs_dir=' + trained, '--upsampling=features')
    assert done.returncode == 2 and 'upsampling is features here, but was scores' in done.stderr
    done = run('--mode=train', '--logs_dir=' + trained, '--trainable_scopes=InceptionV3/Upsmapling',
               '--max_iterations=9')
    assert done.returncode == 2 and 'InceptionV3/Upsmapling is no scope' in done.stderr


@pytest.fixture
def own_colours(tmp_path_factory, shapes, small_backbone):
    """A run on a data set with its own classes and colours. Returns (folder of data set, run and results, colours)."""
    folder = tmp_path_factory.mktemp('own_colours')
    data, colours = str(folder / 'my streets' / 'VOCdevkit' / 'VOC2012'), np.zeros((256, 3), 'uint8')
    root, = glob.glob(shapes + '/**/JPEGImages', recursive=True)
    shutil.copytree(os.path.dirname(root), data)
    (folder / 'names.txt').write_text('\n'.join(read_ShapesData.CLASS_NAMES))
    colours[:len(read_ShapesData.CLASS_NAMES)] = [(200 - 10 * label, 7 * label, 99)
                                                 for label in range(len(read_ShapesData.CLASS_NAMES))]
    for path in glob.glob(data + '/SegmentationClass/*.png'):
        labels = annotations.open_annotation(path)
        palettes.save_labels(path, labels, colours)
    run_well('--mode=train', '--dataset=pascal_voc', '--data_dir=%s' % (folder / 'my streets'),
             '--class_names=%s' % (folder / 'names.txt'), '--checkpoint_path=', '--max_iterations=1', STEP_ONE,
             '--logs_dir=%s' % (folder / 'run'), *SMALL[1:])
    return folder, data, colours


def test_a_data_set_is_shown_in_its_own_colours_and_by_its_own_name(own_colours):
    folder, data, colours = own_colours
    names = read_ShapesData.CLASS_NAMES
    flags = ('--logs_dir=%s' % (folder / 'run'), '--results_dir=%s' % (folder / 'results'))
    stored = json.loads((folder / 'run' / 'config.json').read_text())['palette']
    assert stored == ['#%02x%02x%02x' % tuple(colour) for colour in colours[:len(names)].tolist()]
    assert 'images of my streets' in run_well('--mode=test', *flags)
    run_well('--mode=visualize', '--num_images=1', '--nocrf', *flags)
    page = (folder / 'results' / 'index.html').read_text()
    assert '<h1>my streets</h1>' in page and stored[0] in page and '#800000' not in page
    assert_shown(folder / 'results', colours)
    # Photos have no annotations: the run knows the colours.
    photos = ('--image_dir=' + sorted(glob.glob(data + '/JPEGImages/*'))[0], '--results_dir=%s' % (folder / 'photos'))
    run_well('--mode=visualize', '--nocrf', flags[0], *photos)
    assert_shown(folder / 'photos', colours)


def assert_shown(results, colours):
    """Checks the label maps and what pictures.json says."""
    names, paths = read_ShapesData.CLASS_NAMES, glob.glob(str(results / 'labels' / '*.png'))
    assert paths
    for path in paths:
        with Image.open(path) as image:
            assert image.getpalette()[:3 * len(names)] == colours[:len(names)].ravel().tolist()
    for picture in json.loads((results / 'pictures.json').read_text())['pictures']:
        for one in picture['classes']:
            assert one['colour'] == colours[names.index(one['name'])].tolist()
