"""fcn/data/image_range.py: 16-bit images that would be black are found, and sets that look alike are not."""
import os

import numpy as np
import pytest
from PIL import Image

from fcn.data import annotation_check, image_range, inspection
from fcn.data.datasets import Dataset, record
from fcn.data.palettes import voc_palette
from fcn.distributed.workers import SingleWorker
from fcn.utils.errors import InputError
from picture_files import draw_png, draw_pnm, draw_tiff
from small_files import write

SHAPE = 12, 20


def noise(number, maximum):
    values = np.random.RandomState(number).randint(0, maximum + 1, SHAPE).astype('uint16')
    values[0, 0] = maximum
    return values


def dataset(folder, files, **arguments):
    """A data set of these images' bytes, the last of which is its validation split."""
    records = []
    for number, data in enumerate(files):
        image, annotation = (os.path.join(str(folder), '%d %s.png' % (number, what)) for what in ('image', 'labels'))
        write(image, data)
        Image.fromarray((np.arange(240).reshape(SHAPE) // 50 % 2).astype('uint8')).save(annotation)
        records.append(record(image, annotation))
    return Dataset('test', records[:-1], records[-1:], ['a', 'b'], 255, None, voc_palette(), **arguments)


def grey(maximum, number=0):
    return draw_png(noise(number, maximum), 0)


def colours(maximum):
    return draw_png(np.dstack([noise(number, maximum) for number in range(3)]), 2)


def check_before_training(data, **arguments):
    """Returns None, or the error."""
    try:
        annotation_check.begin_check(data.training + data.validation, data, SingleWorker(), len(data.training),
                                     **arguments).wait()
    except InputError as error:
        return str(error)


def found(data):
    return inspection.inspect(data, progress=None).problems


@pytest.mark.parametrize('files, brightest, words', [
    ([grey(250), grey(1000), grey(3000), grey(300)], 2, ('3000', '--image_range=4095 (12 bits)')),
    ([grey(600), grey(1000), grey(500)], 1, ('1000', '--image_range=1023 (10 bits)')),
    ([grey(200), grey(255), grey(8)], 1, ('255', '--image_range=255 (8 bits)')),
    ([colours(4095), colours(4000)], 0, ('4095', '--image_range=4095')),
    ([draw_tiff(noise(0, 900), '<'), draw_tiff(noise(1, 901), '>'), draw_pnm(noise(2, 900))], 1, ('901', '=1023')),
    ([draw_png(noise(0, 255).astype('uint8'), 0), grey(900), grey(1000)], 2, ('1000', 'the 2 16-bit', '=1023'))])
def test_16_bit_images_that_would_be_black_are_refused(tmp_path, capsys, files, brightest, words):
    data = dataset(tmp_path, files)
    path = (data.training + data.validation)[brightest]['image']
    problem, = found(data)
    assert problem.kind == 'dark 16-bit images' and problem.file == path
    assert all(word in problem.message for word in words + (path, '--image_range=65535'))
    assert problem.split == ('validation' if brightest == len(files) - 1 else 'training')
    assert check_before_training(data) == problem.message
    with pytest.raises(InputError, match='no value above ' + words[0]):
        inspection.leave_out_bad(data, [], for_training=True)
    capsys.readouterr()
    assert check_before_training(data, resumed=True) is None
    assert problem.message + ' The run goes on as it began.' in capsys.readouterr().out
    for white in (4095, 65535):
        given = dataset(tmp_path, files, image_range=white, image_range_given=True)
        assert found(given) == [] and check_before_training(given) is None


@pytest.mark.parametrize('files', [
    [draw_png(noise(number, 60).astype('uint8'), 0) for number in range(3)],
    [grey(65535), grey(65000, 1), grey(60000, 2)],
    [grey(500), grey(300, 1), grey(4096, 2)],
    [grey(500), colours(65535)],
    [draw_pnm(noise(number, 900), 1023) for number in range(2)],
    [grey(60000), draw_png(noise(1, 200).astype('uint8'), 0)]],
    ids=['8 bits', '16 bits', 'one bright', 'one bright in colours', 'PGM of 1023', '8 and 16 bits'])
def test_sets_that_look_like_it_are_good(tmp_path, files):
    data = dataset(tmp_path, files)
    assert found(data) == [] and check_before_training(data) is None


def test_dark_validation_images_are_a_note_in_a_test(tmp_path, capsys):
    """The run was trained by its range, and its training images may be brighter."""
    data = dataset(tmp_path, [grey(60000), grey(900)])
    annotation_check.begin_check(data.validation, data, SingleWorker(), 0).wait()
    assert 'note: ' + data.validation[0]['image'] + ' is a 16-bit image' in capsys.readouterr().out


def test_dark_photos_are_refused_before_they_are_segmented(tmp_path, capsys):
    folder = str(tmp_path)
    photos = [record(one['image']) for one in dataset(folder, [grey(900), grey(800)]).training]

    def check(**arguments):
        image_range.check_photos(Dataset('test', [], photos, ['a', 'b'], 255, None, voc_palette(), **arguments))
    with pytest.raises(InputError, match='0 image.png is a 16-bit image that has no value above 900: .*=1023'):
        check()
    check(image_range=1023, image_range_given=True)
    assert capsys.readouterr().out == ''
    check(image_range=None)
    assert 'note: ' + photos[0]['image'] in capsys.readouterr().out, 'a run of before goes on as it began'
    write(photos[0]['image'], b'no picture')
    check()


def test_some_of_many_images_are_looked_at(tmp_path, monkeypatch):
    paths = [one['image'] for one in dataset(tmp_path, [grey(900, number) for number in range(9)]).training]
    read = []
    monkeypatch.setattr(image_range, 'MOST_IMAGES', 3)
    monkeypatch.setattr(image_range.image_files, 'find_maximum', lambda path: read.append(path) or 900)
    assert 'the 3 16-bit images' in image_range.find_low_range(paths).message
    assert read == [paths[0], paths[4], paths[7]] or read == [paths[0], paths[3], paths[7]]
    del read[:]
    monkeypatch.setattr(image_range.image_files, 'find_maximum', lambda path: read.append(path) or 5000)
    assert image_range.find_low_range(paths) is None and len(read) == 1
