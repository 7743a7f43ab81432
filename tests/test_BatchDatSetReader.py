"""BatchDatSetReader.py: the stream is a pure function, and image and annotation stay one on the other."""
import collections
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import BatchDatSetReader as reader
from fcn.data import image_files, stream
from fcn.data.cache import ImageCache
from fcn.data.datasets import Dataset, record
from fcn.data.palettes import voc_palette
from fcn.utils.errors import InputError
from picture_files import draw_png, draw_pnm, draw_tiff, pictures_of_all_formats
from TensorflowUtils import leave_out_graph_optimizer, session_config, tf

COLUMNS = 64  # largest width of `ramp`
VOID, GREY = 255, 128  # what crops are padded with


def dataset(ignore_label=255, classes=COLUMNS):
    return Dataset('test', [], [], [str(label) for label in range(classes)], ignore_label, None, voc_palette())


def save(path, image, **kwargs):
    Image.fromarray(image).save(str(path), **kwargs)
    return str(path)


def pair(folder, name, image, labels, extension='.png', **kwargs):
    return record(save(folder / (name + extension), image, **kwargs), save(folder / (name + ' labels.png'), labels))


def ramp(height, width):
    """An image whose colours tell the place of each pixel, red = 4 · column and green = 4 · row: uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width]
    return np.stack([4 * x, 4 * y, np.full_like(x, 7)], -1).astype('uint8')


def column_of(image):
    """Labels of a ramp, uint8 [H, W]: the column."""
    return image[..., 0] // 4


def row_of(image):
    return image[..., 1] // 4


def elements(build, count, config=None):
    """A list of the first `count` elements, or all that there are, of the tf.data.Dataset that `build()` returns."""
    with tf.Graph().as_default(), tf.Session(config=config or session_config()) as session:
        iterator = tf.data.make_initializable_iterator(build())
        fetches = iterator.get_next()
        session.run(iterator.initializer)
        found = []
        while len(found) < count:
            try:
                found.append(session.run(fetches))
            except tf.errors.OutOfRangeError:
                break
        return found


def batches(records, count, data=None, size=32, batch_size=2, **kwargs):
    config = session_config()
    leave_out_graph_optimizer(config)  # as training on a CPU does
    return elements(lambda: reader.training_batches(records, data or dataset(), batch_size, size, **kwargs), count,
                    config)


def crops(records, count, **kwargs):
    """(sample drawn, image [S, S, 3], annotation [S, S]) of the first `count` samples, signed so that they subtract."""
    drawn = (stream.draw(kwargs.get('seed', 0), number, len(records), kwargs.get('augment', True))
             for number in range(count))
    one_each = batches(records, count, batch_size=1, **kwargs)
    return [(sample, one['image'][0].astype(int), one['annotation'][0, :, :, 0].astype(int))
            for sample, one in zip(drawn, one_each)]


def evaluated(records, **kwargs):
    return elements(lambda: reader.evaluation_images(records, dataset(), **kwargs), 99)


def assert_same(first, second):
    assert len(first) == len(second) > 0
    for one, other in zip(first, second):
        assert set(one) == set(other) == {'image', 'annotation', 'number'}
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.fixture
def ramps(tmp_path):
    """Five records of several sizes, some smaller than a crop of 32; labels are columns, or rows."""
    sizes = [(40, 60), (64, 48), (20, 30), (33, 64), (50, 25)]
    return [pair(tmp_path, str(number), ramp(*size), (column_of, row_of)[number % 2](ramp(*size)))
            for number, size in enumerate(sizes)]


# ---- the stream

def test_shapes_and_types(ramps):
    batch, = batches(ramps, 1, batch_size=3)
    assert batch['image'].shape == (3, 32, 32, 3) and batch['image'].dtype == 'uint8'
    assert batch['annotation'].shape == (3, 32, 32, 1) and batch['annotation'].dtype == 'uint8'
    np.testing.assert_array_equal(batch['number'], [0, 1, 2])
    with tf.Graph().as_default():
        stream = reader.training_batches(ramps, dataset(), 3, 32)
        shapes = {name: shape.as_list() for name, shape in tf.data.get_output_shapes(stream).items()}
    assert shapes == {'image': [3, 32, 32, 3], 'annotation': [3, 32, 32, 1], 'number': [3]}, 'known to the graph'


@pytest.mark.parametrize('resize', ['crop', 'squash'])
def test_the_stream_goes_on_from_any_sample(ramps, resize):
    """Over three epochs of five records; so a run that is resumed equals one that was never stopped."""
    whole = batches(ramps, 8, seed=4, resize=resize)
    assert_same(batches(ramps, 8, seed=4, resize=resize), whole)
    for done in (1, 5):
        assert_same(batches(ramps, 8 - done, seed=4, resize=resize, first_sample=2 * done), whole[done:])
    np.testing.assert_array_equal(np.ravel([one['number'] for one in whole]), np.arange(16))


@pytest.mark.parametrize('resize', ['crop', 'squash'])
def test_what_is_kept_in_memory_changes_no_sample(tmp_path, resize):
    """Nor does it matter that where no images are kept only a window of each JPEG is decoded."""
    random = np.random.RandomState(0)
    records = [pair(tmp_path, str(number), random.randint(0, 256, (90, 80 + number, 3), dtype='uint8'),
                    random.randint(0, COLUMNS, (90, 80 + number), dtype='uint8'), extension)
               for number, extension in enumerate(['.jpg', '.png', '.jpg', '.tif'])]
    expected = batches(records, 8, resize=resize, cache=ImageCache(annotations=0))
    full, annotations = ImageCache(images=10 ** 6), ImageCache()
    for cache in (full, annotations):
        assert_same(batches(records, 2, resize=resize, cache=cache), expected[:2])  # one epoch
    for one in records:
        os.remove(one['annotation'])
    assert_same(batches(records, 8, resize=resize, cache=annotations), expected)
    for one in records:
        os.remove(one['image'])
    assert_same(batches(records, 8, resize=resize, cache=full), expected)


@pytest.mark.parametrize('images', [0, 10 ** 6])
@pytest.mark.parametrize('resize', ['crop', 'squash'])
@pytest.mark.parametrize('replaced', ['image', 'annotation'])
@pytest.mark.parametrize('extension', ['.jpg', '.png'])
@pytest.mark.parametrize('size', [(40, 60), (44, 60)])
def test_files_that_are_replaced_while_training(tmp_path, images, resize, replaced, extension, size):
    """By ones of the same size, which are read; by ones of another, which are named. Caches hold what was there before.

    The next epochs equal those of a training that never saw the first files.
    """
    def write(height, width, value):
        pixels = np.full((height, width, 3), value, 'uint8')
        return pair(tmp_path, 'x', pixels, pixels[..., 0] // 100, extension)

    record = write(40, 60, 100)
    cache = ImageCache(images)
    first = batches([record], 2, resize=resize, cache=cache, augment=False)
    assert 1 in first[0]['annotation']
    kept = {name: (tmp_path / os.path.basename(record[name])).read_bytes() for name in ('image', 'annotation')}
    write(*size, 200)
    other = 'annotation' if replaced == 'image' else 'image'
    with open(record[other], 'wb') as file:
        file.write(kept[other])
    if size == (40, 60):
        found = batches([record], 3, resize=resize, cache=cache, augment=False)
        assert_same(found, batches([record], 3, resize=resize, augment=False))
        assert not np.array_equal(found[0][replaced], first[0][replaced])
    else:
        with pytest.raises(tf.errors.OpError, match='%s is .* pixels, but its annotation' % record['image']):
            batches([record], 2, resize=resize, cache=cache, augment=False)


@pytest.mark.parametrize('replaced', ['image', 'annotation'])
def test_file_that_is_replaced_between_two_samples(tmp_path, replaced):
    record = pair(tmp_path, 'x', ramp(40, 60), column_of(ramp(40, 60)))
    samples = stream.TrainingStream([record], dataset(), 1, 32)
    before = [samples.load(number) for number in range(2)]
    other = pair(tmp_path, 'y', ramp(44, 60), column_of(ramp(44, 60)))
    os.replace(other[replaced], record[replaced])
    with pytest.raises(InputError, match='%s is .* pixels, but its annotation' % record['image']):
        samples.load(2)
    again = pair(tmp_path, 'x', ramp(40, 60), column_of(ramp(40, 60)))
    assert again == record and samples.load(0).annotation.tolist() == before[0].annotation.tolist()


def test_workers_share_the_stream(ramps):
    """Batch after batch in turn: together they see what one worker would."""
    whole = batches(ramps, 6)
    shares = [batches(ramps, 3, replica_index=worker, num_replicas=2) for worker in (0, 1)]
    assert_same([one for both in zip(*shares) for one in both], whole)
    assert_same(batches(ramps, 2, replica_index=1, num_replicas=2, first_sample=4), shares[1][1:])


def test_samples_are_those_drawn(tmp_path):
    """Each image of one colour, its record's number."""
    plain = np.ones((40, 40), 'uint8')
    records = [pair(tmp_path, str(number), np.stack([plain * 10 * number] * 3, -1), plain * number)
               for number in range(7)]
    for sample, image, labels in crops(records, 14, size=16, augment=False):
        assert np.all(image == 10 * sample.index) and np.all(labels == sample.index)


# ---- geometry

def test_crop_is_the_window_drawn(tmp_path):
    """Without scaling, pixels stay as they are; every window of the image comes up."""
    image = ramp(35, 40)
    one, seen = pair(tmp_path, 'x', image, column_of(image)), set()
    for sample, found, labels in crops([one], 60, augment=False):
        top, left = int(np.float32(sample.top) * np.float32(4)), int(np.float32(sample.left) * np.float32(9))
        seen.update([('top', top), ('left', left)])
        np.testing.assert_array_equal(found, image[top:top + 32, left:left + 32])
        np.testing.assert_array_equal(labels, column_of(found))
    assert len(seen) == 4 + 9


@pytest.mark.parametrize('label_of', [column_of, row_of])
def test_image_and_annotation_stay_aligned(tmp_path, label_of):
    """Through scale, crop, padding and flip: colours, interpolated, tell the place to half a pixel of the label's."""
    image = ramp(45, 60)
    one = pair(tmp_path, 'x', image, label_of(image))
    channel, biases = 0 if label_of is column_of else 1, []
    for sample, found, labels in crops([one], 40, size=48):
        inside = labels != VOID
        place = found[..., channel] / 4.0
        assert inside.mean() > 0.2
        assert np.abs(place - labels)[inside].max() <= 0.5 + 0.5 / 4 + 1e-6, sample  # and half a grey value, rounded
        assert np.all(found[inside][:, 2] == 7) and np.all(found[~inside] == GREY)
        biases.append((place - labels)[inside].mean())
    assert abs(np.mean(biases)) < 0.05, 'neither side is favoured'


def test_scale_and_flip_are_those_drawn(tmp_path):
    image = ramp(60, 60)
    flips = collections.Counter()
    for sample, found, _ in crops([pair(tmp_path, 'x', image, column_of(image))], 40, size=24):
        # A crop of 24 pixels is 12 to 48 of the image's, all inside it.
        right, down = (np.diff(found[..., channel], axis=axis).mean() / 4 for channel, axis in ((0, 1), (1, 0)))
        assert right * (-1 if sample.flip else 1) == pytest.approx(1 / sample.scale, rel=0.12)
        assert down == pytest.approx(1 / sample.scale, rel=0.12)
        flips[right < 0] += 1
    assert min(flips[True], flips[False]) > 10


def test_small_image_is_padded(tmp_path):
    """It lies anywhere in the crop, whole, at the scale drawn."""
    image = ramp(12, 20)
    one, places = pair(tmp_path, 'x', image, row_of(image)), set()
    for sample, found, labels in crops([one], 30, size=48):
        rows, columns = (np.flatnonzero((labels != VOID).any(axis)) for axis in (1, 0))
        box = np.s_[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        assert abs(len(rows) - 12 * sample.scale) <= 1.5 and abs(len(columns) - min(20 * sample.scale, 48)) <= 1.5
        outside = np.ones((48, 48), bool)
        outside[box] = False
        assert np.all(found[outside] == GREY) and np.all(labels[outside] == VOID)
        assert set(np.unique(labels[box])) <= set(range(12)) and np.all(found[box][..., 2] == 7)
        places.add((rows[0], columns[0]))
    assert len(places) > 20


@pytest.mark.parametrize('ignore_label, padding', [(255, 255), (0, 0), (None, 63)])
def test_padding_has_the_ignored_label(tmp_path, ignore_label, padding):
    """Where nothing is ignored it is the last class, the original's 'ambiguous'."""
    one = pair(tmp_path, 'x', ramp(10, 10), np.full((10, 10), 5, 'uint8'))
    (_, image, labels), = crops([one], 1, data=dataset(ignore_label), augment=False)
    assert np.sum(labels == 5) == 100 and np.sum(labels == padding) == 32 * 32 - 100
    assert np.all(image[labels == padding] == GREY)


@pytest.mark.parametrize('resize', ['crop', 'squash'])
def test_labels_are_never_mixed(tmp_path, resize):
    """Stripes of labels far apart: interpolation would give labels between them."""
    labels = np.tile(np.uint8([0, 63, 255, 20]), (50, 15))
    one = pair(tmp_path, 'x', ramp(50, 60), labels)
    found = np.unique([annotation for _, _, annotation in crops([one], 10, resize=resize)])
    assert found.tolist() == [0, 20, 63, 255]


@pytest.mark.parametrize('height, width', [(32, 32), (37, 53), (20, 64), (64, 31)])
def test_squash_is_pillows_nearest_neighbour(tmp_path, height, width):
    """The original's resize, scipy's 'nearest', was Pillow's."""
    image = np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype('uint8')
    labels = np.random.RandomState(1).randint(0, 64, (height, width)).astype('uint8')
    expected = [np.asarray(Image.fromarray(array).resize((32, 32), Image.NEAREST)) for array in (image, labels)]
    one = pair(tmp_path, 'x', image, labels)
    found = crops([one], 1, resize='squash', augment=False)[0][1:]
    alone, = evaluated([one], squash_to=32)
    for array, other, answer in zip(found, (alone['image'][0], alone['annotation'][0, :, :, 0]), expected):
        np.testing.assert_array_equal(array, answer)
        np.testing.assert_array_equal(other, answer)


def test_squash_is_flipped_as_drawn(tmp_path):
    image = ramp(40, 64)
    one = pair(tmp_path, 'x', image, column_of(image))
    upright = crops([one], 1, resize='squash', augment=False)[0][1]
    for sample, found, labels in crops([one], 8, resize='squash'):
        np.testing.assert_array_equal(found, upright[:, ::-1] if sample.flip else upright)
        np.testing.assert_array_equal(labels, column_of(found))


# ---- evaluation

def test_evaluation_gives_every_image_once_whole_and_in_order(ramps):
    found = evaluated(ramps)
    assert [one['number'].tolist() for one in found] == [[0], [1], [2], [3], [4]]
    for one, expected in zip(found, ramps):
        image, labels = (np.asarray(Image.open(expected[name])) for name in ('image', 'annotation'))
        assert one['image'].dtype == one['annotation'].dtype == 'uint8'
        np.testing.assert_array_equal(one['image'], image[None])
        np.testing.assert_array_equal(one['annotation'], labels[None, :, :, None])


@pytest.mark.parametrize('ignore_label, label', [(255, 255), (0, 0), (None, 0)])
def test_images_without_annotation(tmp_path, ignore_label, label):
    """Photos from anywhere, of any format, turned as the camera was held."""
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    image = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype('uint8')
    records = [record(save(tmp_path / 'é photo.png', image)), record(save(tmp_path / 'x.bmp', image)),
               record(save(tmp_path / 'turned.jpg', image, exif=exif.tobytes()))]
    found = elements(lambda: reader.evaluation_images(records, dataset(ignore_label)), 9)
    assert [one['image'].shape for one in found] == [(1, 20, 30, 3)] * 2 + [(1, 30, 20, 3)]
    assert [one['annotation'].shape for one in found] == [(1, 20, 30, 1)] * 2 + [(1, 30, 20, 1)]
    assert all(np.all(one['annotation'] == label) for one in found)
    for one in found[:2]:
        np.testing.assert_array_equal(one['image'][0], image)


def test_some_images_without_annotation(ramps, tmp_path):
    """Others beside them keep their annotations, also where all are squashed."""
    image = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype('uint8')
    listed = [ramps[0], record(save(tmp_path / 'photo.bmp', image)), ramps[1]]
    for squash_to in (None, 16):
        found, alone = evaluated(listed, squash_to=squash_to), evaluated(ramps[:2], squash_to=squash_to)
        assert_same([dict(found[place], number=0) for place in (0, 2)], [dict(one, number=0) for one in alone])
        assert found[1]['annotation'].shape == (1, squash_to or 20, squash_to or 30, 1)
        assert np.all(found[1]['annotation'] == 255)
        assert squash_to or np.array_equal(found[1]['image'][0], image)


# ---- files

GREY_RAMP = np.arange(0, 240, dtype='uint8').reshape(12, 20)


def as_rgb(grey):
    return np.repeat(np.asarray(grey, 'uint8')[..., None], 3, -1)


def with_palette():
    image = Image.fromarray(GREY_RAMP % 16)
    image.putpalette(voc_palette().tobytes())
    return image


# name: (what is saved, extension, options, RGB expected)
FORMATS = {
    'rgb': (ramp(12, 20), '.png', {}, ramp(12, 20)),
    'grey': (GREY_RAMP, '.png', {}, as_rgb(GREY_RAMP)),
    'grey and alpha': (np.stack([GREY_RAMP, 255 - GREY_RAMP], -1), '.png', {}, as_rgb(GREY_RAMP)),
    'RGBA': (np.concatenate([ramp(12, 20), GREY_RAMP[..., None]], -1), '.png', {}, ramp(12, 20)),
    '16 bits': (GREY_RAMP.astype('uint16') * 257, '.png', {}, as_rgb(GREY_RAMP)),
    'black and white': (GREY_RAMP > 99, '.png', {}, as_rgb(255 * (GREY_RAMP > 99))),
    'palette': (with_palette(), '.png', {}, voc_palette()[GREY_RAMP % 16]),
    'a JPEG named .png': (ramp(12, 20), '.png', {'format': 'jpeg', 'quality': 98, 'subsampling': 0}, ramp(12, 20)),
    'a TIFF named .jpg': (ramp(12, 20), '.jpg', {'format': 'tiff'}, ramp(12, 20)),
    'JPEG': (ramp(12, 20), '.jpg', {'quality': 98, 'subsampling': 0}, ramp(12, 20)),
    'progressive JPEG': (ramp(12, 20), '.jpg', {'quality': 98, 'subsampling': 0, 'progressive': True}, ramp(12, 20)),
    'grey JPEG': (GREY_RAMP, '.jpg', {'quality': 98}, as_rgb(GREY_RAMP)),
    'CMYK JPEG': (Image.fromarray(ramp(12, 20)).convert('CMYK'), '.jpg', {'quality': 98}, ramp(12, 20)),
}


@pytest.mark.parametrize('name', sorted(FORMATS))
def test_image_of_any_kind_arrives_as_rgb(tmp_path, name):
    """Whole for evaluation, and in crops of the right place for training."""
    image, extension, options, expected = FORMATS[name]
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(str(tmp_path / ('x' + extension)), **options)
    one = record(str(tmp_path / ('x' + extension)), save(tmp_path / 'labels.png', column_of(ramp(12, 20))))
    tolerance = 6 if 'JPEG' in name else 0
    whole, = evaluated([one])
    assert whole['image'].shape == (1, 12, 20, 3)
    np.testing.assert_allclose(whole['image'][0].astype(int), expected.astype(int), atol=tolerance)
    for _, found, labels in crops([one], 4, size=8, augment=False):
        rows = [row for row in range(5) if np.abs(found - expected[row:row + 8, labels[0, 0]:labels[0, 0] + 8]).max()
                <= tolerance]
        assert rows, 'the crop is nowhere in the image'


def test_images_of_every_format_are_trained_on_and_tested(tmp_path):
    image, records = ramp(12, 20), []
    labels = save(tmp_path / 'labels.png', column_of(image))
    for extension in image_files.IMAGE_EXTENSIONS:
        kind = next(kind for kind, extensions in image_files.EXTENSIONS.items() if extension in extensions)
        records.append(record(str(tmp_path / ('x' + extension)), labels))
        with open(records[-1]['image'], 'wb') as file:
            file.write(pictures_of_all_formats(image)[kind])
    photos = [record(one['image']) for one in records]
    for found in evaluated(records), evaluated(photos):
        assert len(found) == len(records)
        for one in found:
            error = np.abs(one['image'][0].astype(int) - image).mean()
            assert error < 20, records[one['number'][0]]
    taken = {tuple(batch['number']) for batch in batches(records, len(records), size=8, batch_size=1)}
    assert len(taken) == len(records)


# Largest value: what it becomes with white at 65535, at 4095, and as in runs that knew of no range: where TensorFlow
# decodes, where Pillow does.
FRAMES = {4095: (16, 255, 15, 15), 1000: (4, 62, 3, 3), 300: (1, 19, 1, 1), 250: (1, 16, 0, 250)}
DRAWN = {'PNG': lambda grey: draw_png(grey, 0), 'RGB PNG': lambda grey: draw_png(np.dstack([grey] * 3), 2),
         'RGBA PNG': lambda grey: draw_png(np.dstack([grey] * 4), 6, True), 'TIFF': lambda grey: draw_tiff(grey, '>'),
         'RGB TIFF': lambda grey: draw_tiff(np.dstack([grey] * 3), '<'), 'PGM': draw_pnm}


def test_16_bits_become_8_alike_in_training_test_and_photos(tmp_path):
    pairs, drawn = [], [(kind, maximum) for kind in sorted(DRAWN) for maximum in FRAMES]
    for kind, maximum in drawn:
        path = tmp_path / ('%s %d.png' % (kind, maximum))
        path.write_bytes(DRAWN[kind](np.linspace(0, maximum, 400).round().astype('uint16').reshape(20, 20)))
        pairs.append(record(str(path), save(tmp_path / 'labels.png', column_of(ramp(20, 20)))))
    photos = [record(one['image']) for one in pairs]

    def tested(records, image_range):
        data = replace(dataset(), image_range=image_range)
        return [one['image'] for one in elements(lambda: reader.evaluation_images(records, data), len(records) + 1)]

    def trained_on(image_range, **options):
        return batches(pairs, len(pairs), replace(dataset(), image_range=image_range), 20, 1, augment=False, **options)
    for column, white in enumerate((65535, 4095)):
        found = tested(pairs, white)
        for (kind, maximum), image in zip(drawn, found):
            assert image.max() == FRAMES[maximum][column], (kind, maximum)
        np.testing.assert_array_equal(found, tested(photos, white))
        for options in ({}, {'cache': ImageCache(10 ** 6)}):
            assert sorted(one['image'].tobytes() for one in trained_on(white, **options)) == sorted(
                image.tobytes() for image in found)
    old = [0 if maximum == 250 and 'RGB' in kind else FRAMES[maximum][2 + ('PNG' not in kind)]
           for kind, maximum in drawn]
    assert [image.max() for image in tested(pairs, None)] == old
    assert sorted(one['image'].max() for one in trained_on(None)) == sorted(old)
    of_photos = dict(zip(drawn, tested(photos, None)))
    for kind in DRAWN:
        assert of_photos[kind, 250].max() == (0 if 'RGB' in kind else 250), kind


def test_pictures_of_a_few_bytes(tmp_path):
    """Shorter than the header of a PNG."""
    records = []
    for name, data in (('a', b'P2 1 1 9 9'), ('b', b'P5 1 1 255 \x07')):
        (tmp_path / name).write_bytes(data)
        records.append(record(str(tmp_path / name), save(tmp_path / 'labels.png', column_of(ramp(1, 1)))))
    found = elements(lambda: reader.evaluation_images(records, dataset()), 3)
    assert [one['image'].tolist() for one in found] == [[[[[255] * 3]]], [[[[7] * 3]]]]


def test_jpeg_is_decoded_as_pillow_does(tmp_path):
    """To the bit, so that an exported model labels a picture from any program as the checkpoint does."""
    noise = np.random.RandomState(0).randint(0, 256, (10, 14, 3)).astype('uint8').repeat(7, 0).repeat(5, 1)
    one = pair(tmp_path, 'x', noise, noise[..., 0] // 80, '.jpg', quality=75)
    expected = np.asarray(Image.open(one['image']))
    assert (expected != noise).any()
    np.testing.assert_array_equal(evaluated([one])[0]['image'][0], expected)


def test_palette_annotation_gives_labels(tmp_path):
    with_palette().save(str(tmp_path / 'labels.png'))
    one = record(save(tmp_path / 'x.png', ramp(12, 20)), str(tmp_path / 'labels.png'))
    np.testing.assert_array_equal(evaluated([one])[0]['annotation'][0, :, :, 0], GREY_RAMP % 16)


def test_bad_label_raises_an_error_that_names_the_file(ramps, tmp_path):
    bad = pair(tmp_path, 'bad one', ramp(40, 40), np.full((40, 40), 64, 'uint8'))
    for build in (lambda: reader.evaluation_images(ramps + [bad], dataset()),
                  lambda: reader.training_batches(ramps + [bad], dataset(), 1, 32)):
        with pytest.raises(tf.errors.OpError, match='bad one labels.png holds the label 64'):
            elements(build, 6)


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_truncated_image_raises(tmp_path, extension):
    noise = np.random.RandomState(0).randint(0, 256, (40, 50, 3)).astype('uint8')
    one = pair(tmp_path, 'x', noise, np.zeros((40, 50), 'uint8'), extension)
    with open(one['image'], 'rb') as file:
        data = file.read()
    with open(one['image'], 'wb') as file:
        file.write(data[:len(data) // 2])
    with pytest.raises(tf.errors.OpError):
        evaluated([one])


def test_paths_may_hold_any_letters(tmp_path):
    folder = tmp_path / 'é ü [1] *'
    folder.mkdir()
    one = pair(folder, 'ñ 雪', ramp(12, 20), column_of(ramp(12, 20)))
    for extension in ('.png', '.bmp'):  # one for TensorFlow to read, and one for Pillow
        one['image'] = save(folder / ('ñ 雪' + extension), ramp(12, 20))
        np.testing.assert_array_equal(evaluated([one])[0]['image'][0], ramp(12, 20))


# ---- colours

def test_jitter_leaves_places_annotations_and_padding(ramps):
    plain, coloured, all_padded = batches(ramps, 6), batches(ramps, 6, color_jitter=0.5), 0
    for one, other in zip(plain, coloured):
        np.testing.assert_array_equal(one['annotation'], other['annotation'])
        padded = (one['image'] == GREY).all(3) & (one['annotation'][..., 0] == VOID)
        assert (other['image'][padded] == GREY).all()
        all_padded += padded.sum()
    assert all_padded > 100
    assert sum((one['image'] != other['image']).any() for one, other in zip(plain, coloured)) == 6
    assert_same(coloured, batches(ramps, 6, color_jitter=0.5))
    assert_same(batches(ramps, 6, color_jitter=0.5, augment=False), batches(ramps, 6, augment=False))
