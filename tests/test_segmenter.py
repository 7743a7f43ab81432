"""fcn/segmenter.py: what it predicts is what --mode=visualize writes, from a run and from exported files."""
import dataclasses
import io
import json
import os
import shutil
from concurrent import futures

import numpy as np
import pytest
from PIL import Image

from conftest import CLASSES_OF_RUN
from fcn import InputError, Segmenter
from fcn.config import network_of_run, read_run_config, write_run_config
from fcn.data import datasets, palettes
from fcn.inference import crf, onnx_model, run_model, saved_model
from fcn.reporting.overlays import overlay
from fuzzing_commands import run_main
from TensorflowUtils import tf

pytestmark = pytest.mark.usefixtures('small_backbone_throughout')

LARGE = (90, 1100)  # cut into two tiles of 1024


def blocks(seed, height, width):
    """A picture whose labels differ: blocks of random colours, uint8 [height, width, 3]."""
    colours = np.random.RandomState(seed).randint(0, 256, (height // 16 + 1, width // 16 + 1, 3)).astype('uint8')
    return colours.repeat(16, 0).repeat(16, 1)[:height, :width]


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Folder of photos: one turned by EXIF, one of 16 bits, one with alpha, a small one, one larger than a tile."""
    folder = tmp_path_factory.mktemp('photos')
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(blocks(0, 100, 130)).save(str(folder / 'turned.jpg'), exif=turned)
    grey = blocks(1, 110, 90)[..., 0].astype('uint16') * 250
    Image.fromarray(grey).save(str(folder / 'sixteen.png'))
    Image.fromarray(blocks(2, 80, 120)).convert('RGBA').save(str(folder / 'alpha.png'))
    Image.fromarray(blocks(3, 30, 41)).save(str(folder / 'small.bmp'))
    Image.fromarray(blocks(4, *LARGE)).save(str(folder / 'large.png'))
    return str(folder)


@pytest.fixture(scope='module')
def segment(random_run):
    with Segmenter(random_run, tile_size=1024) as segmenter:
        yield segmenter


@pytest.fixture(scope='module')
def exported(random_run, tmp_path_factory):
    """Function that returns the run's export, 'saved_model' or 'onnx', which it writes when it is first asked for."""
    places, run = {}, read_run_config(random_run)

    def export(kind):
        if kind not in places:
            place = str(tmp_path_factory.mktemp('exported') / ('model.onnx' if kind == 'onnx' else 'saved'))
            palette = palettes.with_colours(palettes.voc_palette(), palettes.from_texts(run.palette))
            dataset = datasets.Dataset('drawn', [], [], run.class_names, 255, None, palette)
            write = onnx_model.export if kind == 'onnx' else saved_model.export
            write(place, os.path.join(random_run, 'model.ckpt-1'), dataset, network_of_run(run, random_run, 5))
            places[kind] = place
        return places[kind]
    return export


def test_mixed_precision_keeps_the_backbone_in_bfloat16_where_a_cpu_is_fast_in_it(random_run, monkeypatch):
    for lower in (None, 'bfloat16'):
        monkeypatch.setattr(run_model, 'lower_precision', lambda _, lower=lower: lower)
        with run_model.RunModel(random_run, 'mixed') as model:
            graph = model._session.graph.as_graph_def()
            used = tf.graph_util.extract_sub_graph(graph, [model._network.logits.op.name])
        kinds = {tf.as_dtype(node.attr['T'].type) for node in used.node
                 if node.op == 'Conv2D' and '/Upsampling/' not in node.name}
        assert kinds == {tf.bfloat16 if lower else tf.float32}


def assert_as_visualized(segmenter, run, photos, results, *flags):
    """Checks that results have the labels and colours of --mode=visualize, and that several classes are there."""
    status, output, errors = run_main('--mode=visualize', '--nocrf', '--logs_dir=' + run, '--image_dir=' + photos,
                                      '--results_dir=' + results, *flags)
    assert status == 0, output + errors
    names, seen = sorted(os.listdir(photos)), set()
    for name, result in zip(names, segmenter([os.path.join(photos, name) for name in names])):
        written = [Image.open(os.path.join(results, kind, os.path.splitext(name)[0] + '.png'))
                   for kind in ('labels', 'overlays')]
        np.testing.assert_array_equal(result.labels, np.asarray(written[0]), name)
        np.testing.assert_array_equal(np.asarray(result.overlay()), np.asarray(written[1].convert('RGB')), name)
        seen |= set(np.unique(result.labels))
    assert len(seen) > 2


def test_as_visualize(segment, random_run, photos, tmp_path):
    assert_as_visualized(segment, random_run, photos, str(tmp_path), '--tile_size=1024')


def squashed(random_run, folder, **flags):
    """Copies the run as one of squashed images, with other flags. Returns its folder."""
    run = str(folder / 'run')
    shutil.copytree(random_run, run)
    with open(os.path.join(run, 'config.json'), 'r+') as file:
        config = json.load(file)
        config['flags'].update(flags, resize='squash')
        file.seek(0)
        json.dump(config, file)
        file.truncate()
    return run


def test_squares_that_are_larger_than_tiles_are_predicted_whole(random_run, tmp_path):
    with Segmenter(squashed(random_run, tmp_path, image_size=1056), tile_size=1024) as segmenter:
        assert segmenter(blocks(5, 100, 120)).labels.shape == (1056, 1056)


def test_as_visualize_of_a_squashed_run_with_flags(random_run, photos, tmp_path):
    run = squashed(random_run, tmp_path)
    with Segmenter(os.path.join(run, 'model.ckpt-1'), flip=True, undo_class_weights=1) as segmenter:
        assert segmenter(os.path.join(photos, 'small.bmp')).image.shape == (96, 96, 3)
        assert_as_visualized(segmenter, run, photos, str(tmp_path / 'results'), '--test_flip', '--undo_class_weights=1')


def test_results(segment):
    picture = blocks(5, 100, 120)
    result = segment(picture)
    assert result.labels.shape == (100, 120) and result.labels.dtype == np.uint8
    assert result.probabilities.shape == (100, 120, 5) and result.probabilities.dtype == np.float32
    np.testing.assert_array_equal(result.probabilities.argmax(-1), result.labels)
    np.testing.assert_allclose(result.probabilities.sum(-1), 1, atol=1e-5)
    assert result.probabilities is result.probabilities
    np.testing.assert_array_equal(segment(picture, probabilities=True).probabilities, result.probabilities)
    assert result.class_names == CLASSES_OF_RUN == list(result.class_shares)
    assert result.class_shares['sky'] == (result.labels == 0).mean() > 0
    assert segment.palette.tolist()[1] == [0x80, 0x40, 0x80] and len(segment.palette) == 5
    shown = Image.open(io.BytesIO(result._repr_png_()))
    np.testing.assert_array_equal(np.asarray(shown), overlay(picture, result.labels, segment.palette))
    assert max(Image.open(io.BytesIO(segment(blocks(6, 40, 1200), tile_size=0)._repr_png_())).size) == 1024


def test_inputs_of_all_kinds(segment, photos, tmp_path):
    path = tmp_path / 'photo.png'
    picture = blocks(7, 80, 90)
    Image.fromarray(picture).save(str(path))
    wanted = segment(picture).labels
    results = segment(iter([str(path), path, Image.open(str(path)), Image.fromarray(picture).convert('RGBA'),
                            np.dstack([picture, picture[..., :1]])]))
    assert isinstance(results, list) and len(results) == 5
    for result in results:
        np.testing.assert_array_equal(result.labels, wanted)
    assert segment([]) == []
    np.testing.assert_array_equal(segment(picture[..., 0]).labels, segment(Image.fromarray(picture[..., 0])).labels)


def test_threads_have_the_results_of_one(segment):
    pictures = [blocks(seed, 76 + 8 * (seed % 3), 90) for seed in range(12)]
    alone = [segment(picture).labels for picture in pictures]
    with futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(segment, pictures))
    for one, result in zip(alone, together):
        np.testing.assert_array_equal(one, result.labels)
    for one, result in zip(alone, segment(pictures)):
        np.testing.assert_array_equal(one, result.labels)


@pytest.mark.skipif(not crf.available(), reason='pydensecrf2 is not installed')
def test_crf(segment):
    picture = blocks(8, 80, 96)
    plain, refined = segment(picture), segment(picture, crf={'iterations': 3})
    np.testing.assert_array_equal(refined.labels, crf.dense_crf(picture, plain.probabilities, crf.CRFParameters(3)))
    np.testing.assert_array_equal(refined.probabilities, plain.probabilities)
    assert (refined.labels != plain.labels).any()
    np.testing.assert_array_equal(segment(picture, crf=False).labels, plain.labels)
    with pytest.raises(InputError, match='bilateral'):
        segment(picture, crf=['smoothness=3'])


def assert_alike(result, wanted):
    """Checks that two predictions of a picture are the same but for rounding."""
    np.testing.assert_allclose(result.probabilities, wanted.probabilities, atol=1e-4)
    best = np.sort(wanted.probabilities, -1)
    sure = best[..., -1] - best[..., -2] > 1e-4
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(result.labels[sure], wanted.labels[sure])


@pytest.mark.parametrize('kind', ['saved_model', 'onnx'])
def test_exported_files(segment, exported, photos, kind):
    for package in ('tf2onnx', 'onnxruntime') if kind == 'onnx' else ():
        pytest.importorskip(package)
    pictures = [os.path.join(photos, name) for name in ('turned.jpg', 'large.png', 'small.bmp')]
    with Segmenter(exported(kind), tile_size=1024) as of_file:
        assert of_file.class_names == segment.class_names
        np.testing.assert_array_equal(of_file.palette, segment.palette)
        for result, wanted in zip(of_file(pictures), segment(pictures)):
            assert_alike(result, wanted)
    for option in ({'precision': 'mixed'}, {'test_scales': (0.5, 1)}, {'undo_class_weights': 1}):
        with pytest.raises(InputError, match=list(option)[0]):
            Segmenter(exported(kind), **option)


@pytest.mark.parametrize('kind', ['saved_model', 'onnx'])
def test_exported_files_take_images_as_their_run_does(random_run, tmp_path, monkeypatch, kind):
    """A 14-bit photo, and squares: of the run with --image_range and --resize=squash, and of its export alike."""
    for package in ('tf2onnx', 'onnxruntime') if kind == 'onnx' else ():
        pytest.importorskip(package)
    monkeypatch.chdir(str(tmp_path))
    run, photo, exported = squashed(random_run, tmp_path), 'photo.png', 'model.onnx' if kind == 'onnx' else 'exported'
    config = read_run_config(run)
    write_run_config(run, dataclasses.replace(config, image_range=16383, flags=dict(config.flags, image_range=16383)))
    values = blocks(1, 110, 90)[..., 0].astype('uint16') * 62
    values[:40, :40] = 16000
    Image.fromarray(values).save(photo)
    status, output, errors = run_main('--mode=export', '--logs_dir=' + run, '--image_dir=' + photo,
                                      '--export_format=' + kind, '--export_dir=' + exported)
    assert status == 0 and 'squash them before they go in' in output, output + errors
    with Segmenter(run) as of_run, Segmenter(exported) as of_file:
        for picture in (photo, blocks(5, 100, 120)):
            wanted, result = of_run(picture), of_file(picture)
            assert result.image.shape == (96, 96, 3)
            np.testing.assert_array_equal(result.image, wanted.image)
            assert_alike(result, wanted)
        assert of_file(photo).image.max() == 249
        with Segmenter(exported, image_range=65535) as other:
            assert other(photo).image.max() == 62


def test_files_that_do_not_say_how_images_go_in(exported, tmp_path):
    """As they were written at first: their pictures keep their size, and white is 65535."""
    folder = str(tmp_path / 'saved')
    shutil.copytree(exported('saved_model'), folder)
    os.remove(os.path.join(folder, 'assets', 'image_input.json'))
    Image.fromarray(np.full((80, 90), 16000, 'uint16')).save(str(tmp_path / 'photo.png'))
    with Segmenter(folder) as of_file:
        result = of_file(str(tmp_path / 'photo.png'))
    assert result.image.shape == (80, 90, 3) and result.image.max() == 62
    (tmp_path / 'saved' / 'assets' / 'image_input.json').write_text('{"squash_to": 96}')
    with pytest.raises(InputError, match='image_input.json is no JSON object of image_range'):
        Segmenter(folder)


def test_files_with_labels_alone(segment, monkeypatch):
    picture, predict = blocks(9, 80, 80), segment._predict_whole
    wanted = segment(picture).labels
    monkeypatch.setattr(segment, '_predict_whole', lambda image, _: {'labels': predict(image, False)['labels']})
    result = segment(picture)
    np.testing.assert_array_equal(result.labels, wanted)
    with pytest.raises(InputError, match='gives labels alone'):
        result.probabilities  # noqa: B018


def test_flip_of_a_saved_model_and_its_end(segment, exported):
    picture = blocks(9, 80, 100)
    with Segmenter(exported('saved_model'), flip=True) as flipping:
        lazy, flipped = flipping(picture), flipping(picture, probabilities=True)
    mirrored = segment(picture[:, ::-1]).probabilities[:, ::-1]
    mean = (segment(picture).probabilities + mirrored) / 2
    np.testing.assert_allclose(flipped.probabilities, mean, atol=1e-4)
    np.testing.assert_array_equal(flipped.labels, flipped.probabilities.argmax(-1))
    assert (flipped.labels != segment(picture).labels).any()
    flipping.close()
    with pytest.raises(InputError, match='is closed'):
        flipping(picture)
    with pytest.raises(InputError, match='probabilities=True'):
        lazy.probabilities  # noqa: B018


@pytest.mark.parametrize('options, words', [
    ({'precision': 'half'}, 'precision'), ({'test_scales': (0,)}, 'test_scales'), ({'test_scales': ()}, 'test_scales'),
    ({'tile_size': 1000}, 'tile_size'), ({'undo_class_weights': 2}, 'undo_class_weights'),
    ({'image_range': 70000}, 'image_range'), ({'image_range': True}, 'image_range'), ({'flip': 'no'}, 'flip'),
    ({'crf': {'size': 1}}, 'size|pydensecrf2')])
def test_options_are_checked(random_run, options, words):
    with pytest.raises(InputError, match=words):
        Segmenter(random_run, **options)


def test_models_that_are_none(random_run, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'saved').mkdir()
    (tmp_path / 'saved' / 'saved_model.pb').write_bytes(b'none')
    (tmp_path / 'bare').mkdir()
    for ending in ('.index', '.data-00000-of-00001'):
        shutil.copy(os.path.join(random_run, 'model.ckpt-1' + ending), str(tmp_path / 'bare'))
    for model, words in ((tmp_path / 'absent', 'no model .*absent'), (tmp_path / 'empty', 'no checkpoint in'),
                         (tmp_path / 'bare', 'config.json is not there'), (tmp_path / 'saved', 'no SavedModel'),
                         ('', 'no path'), (None, 'NoneType')):
        with pytest.raises(InputError, match=words):
            Segmenter(model)


@pytest.mark.parametrize('picture, words', [
    (3, 'type int'), ('absent.jpg', 'absent.jpg does not exist'), (np.zeros([3, 9, 9, 3], 'uint8'), 'list of arrays'),
    ([np.zeros([80, 80, 3], 'uint8'), 'absent.jpg'], 'absent.jpg does not exist')])
def test_pictures_that_are_none(segment, picture, words):
    with pytest.raises(InputError, match=words):
        segment(picture)
