"""fcn/reporting/film_writer.py: what is handed to the encoder, and what is in place when.

What visualize makes of a film and a network is tested in tests/test_inception_FCN.py.
"""
import dataclasses
import os
import shutil
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from fcn.data import films
from fcn.data.annotations import open_annotation
from fcn.data.datasets import Dataset
from fcn.data.films import Film
from fcn.data.palettes import voc_palette
from fcn.inference.prediction import Prediction
from fcn.reporting import film_writer, manifest, outputs, overlays
from fcn.reporting.film_writer import FilmWriter
from fcn.utils.errors import InputError
from fcn.utils.files import read_csv
from film_files import moving_shapes, needs_ffmpeg, write_film, write_sound

DATASET = Dataset('pascal_voc', [], [], ['road', '=sky', 'tree'], 255, None, voc_palette())
ORIGIN = {'run': '/run', 'checkpoint': 'model.ckpt-1', 'checksum': None, 'how': {'film': 'its digest'}}
NAMES = ('films/street.mp4', 'films/street.csv', 'films/street.jpg', 'classes.csv')


def predictions(count, height=80, width=96):
    """Predictions of `moving_shapes`: sky, but for bands of road and tree that grow."""
    for number, frame in enumerate(moving_shapes(count, height, width)):
        labels = np.ones((height, width), 'uint8')
        labels[height - 10 - number:] = 0
        labels[:, :8] = 2
        probabilities = np.eye(3, dtype='float32')[labels]
        yield Prediction(number, frame, np.full(labels.shape, 255, 'uint8'), labels, probabilities)


def film_of(count, height=80, width=96, rate=Fraction(10), **more):
    return Film('/films/street.mp4', width, height, rate, float(count / rate), more.get('sound'))


def writer_of(folder, count=8, kinds=(), origin=ORIGIN, **more):
    return FilmWriter(str(folder), 'street', film_of(count, **more), DATASET, origin, kinds)


def write(folder, count=8, kinds=(), **more):
    with writer_of(folder, count, kinds, **more) as writer:
        for predicted in predictions(count, *(more[name] for name in ('height', 'width') if name in more)):
            writer.add(predicted)
    return writer


def files_in(folder):
    return sorted(os.path.relpath(os.path.join(parent, name), str(folder))
                  for parent, folders, names in os.walk(str(folder)) for name in names + folders)


@needs_ffmpeg
@pytest.mark.parametrize('height, width, rate', [
    (80, 96, '10'), (79, 97, '30000/1001'), (80, 95, '25/2'), (75, 96, '10')])
def test_size_rate_and_number_of_frames_are_the_films(tmp_path, monkeypatch, height, width, rate):
    handed, encode = [], FilmWriter._encode
    monkeypatch.setattr(FilmWriter, '_encode', lambda self, frame: (handed.append(frame.copy()), encode(self, frame)))
    writer = write(tmp_path, 8, height=height, width=width, rate=Fraction(rate))
    drawn = [overlays.overlay(one.image, one.labels, DATASET.palette) for one in predictions(8, height, width)]
    np.testing.assert_array_equal(handed, drawn)
    found = films.open_film(str(tmp_path / 'films' / 'street.mp4'))
    assert writer.path == found.path and writer.count == 8
    assert (found.width, found.height, found.rate, found.sound) == (width, height, Fraction(rate), None)
    frames = np.stack(list(found.frames()))
    assert frames.shape == np.shape(drawn)
    error = abs(frames.astype(int) - drawn)
    assert error.mean() < 6 and abs(frames.astype(int) - drawn).mean((0, 1, 2)).max() < 8, 'colours are kept'
    with Image.open(str(tmp_path / 'films' / 'street.jpg')) as poster:
        assert poster.size == (width, height)
        errors = [abs(np.asarray(poster).astype(int) - frame).mean() for frame in drawn]
    assert np.argmin(errors) == 4, 'the poster is of the middle'


@needs_ffmpeg
def test_shares_of_each_class_by_frame(tmp_path):
    write(tmp_path, 8)
    rows = read_csv(str(tmp_path / 'classes.csv'))
    assert rows[0] == ['name', 'frame', 'seconds', 'road', '=sky', 'tree'] and len(rows) == 9
    for number, row in enumerate(rows[1:]):
        assert row[:3] == ['street', str(number + 1), '%.3f' % (number / 10)]
        road = (10 + number) / 80 * 88 / 96
        np.testing.assert_allclose([float(cell) for cell in row[3:]], [road, 1 - road - 8 / 96, 8 / 96], atol=1e-6)
    assert rows == read_csv(str(tmp_path / 'films' / 'street.csv'))


@needs_ffmpeg
def test_label_maps_and_probabilities_of_each_frame(tmp_path):
    of_photo = tmp_path / 'labels' / 'street' / 'frame_000001.png'
    of_photo.parent.mkdir(parents=True)
    of_photo.write_bytes(b'of a photo in a folder of that name')
    write(tmp_path, 8, ['labels', 'probabilities'])
    write(tmp_path, 6, ['labels', 'probabilities'])  # no frame of the longer film stays
    for folder, ending in (('labels', '.png'), ('probabilities', '.npz')):
        names = sorted(os.listdir(str(tmp_path / 'films' / 'street' / folder)))
        assert names == ['frame_%06d%s' % (number, ending) for number in range(1, 7)]
    assert of_photo.read_bytes() == b'of a photo in a folder of that name'
    for number, predicted in enumerate(predictions(6), 1):
        labels = open_annotation(str(tmp_path / 'films' / 'street' / 'labels' / ('frame_%06d.png' % number)))
        np.testing.assert_array_equal(labels, predicted.labels)
        with np.load(str(tmp_path / 'films' / 'street' / 'probabilities' / ('frame_%06d.npz' % number))) as file:
            np.testing.assert_array_equal(file['probabilities'], predicted.probabilities)
    assert write(tmp_path, 6, ['labels', 'probabilities']).note_on_others == ''
    assert write(tmp_path, 6, ['labels']).note_on_others == '', 'they are of this prediction'
    other = write(tmp_path, 6, ['labels'], origin=dict(ORIGIN, how=dict(ORIGIN['how'], test_flip=True)))
    assert 'street/probabilities are of an earlier prediction' in other.note_on_others


@needs_ffmpeg
@pytest.mark.parametrize('sound_codec', ['aac', 'pcm_s16le'])  # the latter by cameras
def test_sound_is_kept(tmp_path, sound_codec):
    """Copied where an MP4 takes it; else as AAC."""
    sound = write_sound(tmp_path / 'tone.wav', 0.8)
    path = tmp_path / ('film.mp4' if sound_codec == 'aac' else 'film.avi')
    film = films.open_film(write_film(path, moving_shapes(8), 10, 'mpeg4', sound, sound_codec=sound_codec))
    assert film.sound == sound_codec
    with FilmWriter(str(tmp_path), 'street', film, DATASET, ORIGIN) as writer:
        for predicted in predictions(8):
            writer.add(predicted)
    assert films.open_film(writer.path).sound == 'aac' and len(list(films.open_film(writer.path).frames())) == 8


@needs_ffmpeg
def test_a_film_is_in_place_when_it_is_whole(tmp_path):
    write(tmp_path, 8, ['labels'])
    before = {name: (tmp_path / name).read_bytes() for name in NAMES}
    with pytest.raises(KeyboardInterrupt), writer_of(tmp_path, 8, ['labels']) as writer:
        for predicted in predictions(5):
            writer.add(predicted)
        assert {name: (tmp_path / name).read_bytes() for name in NAMES} == before
        raise KeyboardInterrupt
    assert {name: (tmp_path / name).read_bytes() for name in NAMES} == before
    assert not [name for name in files_in(tmp_path) if name.endswith('.part')]
    assert writer_of(tmp_path, 8, ['labels']).is_done


@needs_ffmpeg
def test_what_a_killed_command_left_is_replaced(tmp_path):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    write(whole, 8, ['labels'])
    writer = writer_of(killed, 8, ['labels']).__enter__()
    for predicted in predictions(5):
        writer.add(predicted)
    writer._encoder.close()  # as ffmpeg does, whose input has ended
    assert not [name for name in NAMES if (killed / name).exists()] and not writer.is_done
    assert (killed / 'films' / 'street.mp4.part').exists()
    write(killed, 8, ['labels'])
    assert files_in(killed) == files_in(whole)
    for name in NAMES[1:]:
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


@needs_ffmpeg
def test_a_film_is_done_with_the_same_content_checkpoint_flags_and_outputs(tmp_path):
    assert not writer_of(tmp_path).is_done
    write(tmp_path)
    assert writer_of(tmp_path).is_done
    assert not writer_of(tmp_path, kinds=['labels']).is_done
    assert not writer_of(tmp_path, origin=dict(ORIGIN, checkpoint='model.ckpt-2')).is_done
    assert not writer_of(tmp_path, origin=dict(ORIGIN, how=dict(ORIGIN['how'], crf=None))).is_done
    (tmp_path / 'classes.csv').write_text('name,road\nphoto,1\n')  # photos were visualized since
    writer_of(tmp_path).publish_shares()
    assert len(read_csv(str(tmp_path / 'classes.csv'))) == 9
    os.remove(str(tmp_path / 'films' / 'street.mp4'))
    assert not writer_of(tmp_path).is_done


@needs_ffmpeg
@pytest.mark.parametrize('free, words', [(0, 'The disk is full'), (1 << 40, 'the space on its disk')])
def test_an_encoder_that_ends_is_told_of(tmp_path, monkeypatch, free, words):
    usage = shutil.disk_usage(str(tmp_path))
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage._replace(free=free))
    start = film_writer.start_encoder

    def start_wrongly(path, width, height, film):
        return start(path, width, height, dataclasses.replace(film, path=str(tmp_path / 'no film'), sound='aac'))
    monkeypatch.setattr(film_writer, 'start_encoder', start_wrongly)
    with pytest.raises(InputError, match='Cannot write .*street.mp4: ffmpeg did not finish it. .*' + words), writer_of(
            tmp_path, 200) as writer:
        for predicted in predictions(200):
            writer.add(predicted)
    assert files_in(tmp_path) == ['films']


@needs_ffmpeg
def test_a_film_that_the_encoder_left_without_its_end(tmp_path, monkeypatch):
    check = FilmWriter._check_whole

    def cut_off(self):
        with open(self.path + '.part', 'r+b') as file:
            file.truncate(1000)
        check(self)
    monkeypatch.setattr(FilmWriter, '_check_whole', cut_off)
    with pytest.raises(InputError, match='ffmpeg did not finish it'):
        write(tmp_path)
    assert files_in(tmp_path) == ['films'] and manifest.read(str(tmp_path)) == {}


@needs_ffmpeg
def test_frames_are_no_photos_of_a_folder_around(tmp_path):
    write(tmp_path, 6, ['labels'])
    is_output = outputs.is_output(str(tmp_path))
    assert is_output(str(tmp_path / 'films' / 'street' / 'labels' / 'frame_000001.png'))
    assert is_output(str(tmp_path / 'films' / 'street.jpg')) and is_output(str(tmp_path / 'films' / 'street.mp4'))
    for mine in ('photo.jpg', 'films/mine.mp4', 'films/mine/labels/frame_000001.png', 'labels/street/frame_000001.png'):
        assert not is_output(str(tmp_path / mine))


@needs_ffmpeg
def test_the_overlay_of_another_film_is_not_written_over(tmp_path):
    write(tmp_path, 6)
    before = (tmp_path / 'films' / 'street.mp4').read_bytes()
    other = dict(ORIGIN, how=dict(ORIGIN['how'], film='of other content'))
    with pytest.raises(InputError, match='street.mp4 is the overlay of another film than .*or name another'):
        FilmWriter(str(tmp_path), 'street', film_of(6), DATASET, other)
    assert (tmp_path / 'films' / 'street.mp4').read_bytes() == before


@pytest.mark.parametrize('mine', ['street.mp4', 'street.csv', 'street/labels/mine.png'])
def test_what_others_made_is_not_written_over(tmp_path, mine):
    (tmp_path / 'films' / mine).parent.mkdir(parents=True)
    (tmp_path / 'films' / mine).write_text('mine')
    (tmp_path / 'metrics.json').write_text('{}')
    with pytest.raises(InputError, match='street.* is there, in a folder without pictures'):
        FilmWriter(str(tmp_path), 'street', film_of(6), DATASET, ORIGIN, ['labels'])


def test_a_film_is_not_written_over(tmp_path):
    film = dataclasses.replace(film_of(8), path=str(tmp_path / 'films' / 'street.mp4'))
    with pytest.raises(InputError, match='would take the place of .*street.mp4'):
        FilmWriter(str(tmp_path), 'street', film, DATASET, ORIGIN)


@pytest.mark.parametrize('seconds, count, said', [
    (4, 40, False), (4, 38, False), (4, 20, True), (0, 20, False), (100, 960, False), (100, 900, True)])
def test_pictures_that_end_before_the_header_says(seconds, count, said):
    note = film_writer.describe_end(Film('/a film.mp4', 9, 9, Fraction(10), float(seconds), None), count)
    assert bool(note) == said
    assert not said or ('a film.mp4' in note and 'cut off' in note)
