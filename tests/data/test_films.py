"""fcn/data/films.py: frames and rates of films, odd and broken ones."""
import builtins
import os
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from fcn.data import films, photos
from fcn.utils.errors import InputError
from film_files import TURNED, UPRIGHT, moving_shapes, needs_ffmpeg, write_film, write_sound


def frames_of(path):
    film = films.open_film(str(path))
    return film, np.stack(list(film.frames()))


@needs_ffmpeg
@pytest.mark.parametrize('ending, rate', [('mp4', '10'), ('mov', '30000/1001'), ('mkv', '30000/1001'), ('mp4', '25/2')])
def test_frames_are_those_that_were_filmed(tmp_path, ending, rate):
    made = moving_shapes(8, 79, 97)
    film, frames = frames_of(write_film(tmp_path / ('film.' + ending), made, Fraction(rate)))
    np.testing.assert_array_equal(frames, made)
    assert (film.width, film.height, film.rate, film.sound) == (97, 79, Fraction(rate), None)
    assert film.expected == 8


@needs_ffmpeg
@pytest.mark.parametrize('ending, codec', [('avi', 'mpeg4'), ('webm', 'libvpx'), ('m4v', 'libx264')])
def test_other_formats(tmp_path, ending, codec):
    made = moving_shapes(6)
    film, frames = frames_of(write_film(tmp_path / ('film.' + ending), made, 10, codec))
    assert films.is_film(film.path) and film.rate == 10 and frames.shape == made.shape
    assert abs(frames.astype(int) - made).mean() < 12  # these codecs lose much


@needs_ffmpeg
@pytest.mark.parametrize('ending, codec, form', [
    ('mts', 'libx264', 'mpegts'), ('M2TS', 'libx264', 'mpegts'), ('ts', 'mpeg2video', 'mpegts'),
    ('3gp', 'mpeg4', '3gp'), ('mpg', 'mpeg1video', 'mpeg'), ('mpeg', 'mpeg2video', 'mpeg'), ('wmv', 'wmv2', 'asf'),
    ('flv', 'flv', 'flv'), ('ogv', 'libtheora', 'ogg')])
def test_formats_of_cameras(tmp_path, ending, codec, form):
    made, path = moving_shapes(12), str(tmp_path / ('film.' + ending))
    options = ['-mpegts_m2ts_mode', '1'] * (ending == 'M2TS')
    write_film(path, made, 25, codec, None, '-f', form, '-q:v', '3', *options)
    if form == 'mpegts':
        without_services(path, 192 if options else 188)
    film, frames = frames_of(path)
    assert films.is_film(path) and film.rate == 25 and frames.shape[1:] == made.shape[1:] and len(frames) >= 11
    assert min(abs(frames[5].astype(int) - near).mean() for near in made[4:7]) < 12


def without_services(path, size):
    """Takes the list of television services out of a transport stream, in packets of a size.

    Cameras write none, and the ffmpeg for Python 3.7 crashes of one.
    """
    with open(path, 'rb') as file:
        data = file.read()
    packets = [data[at:at + size] for at in range(0, len(data), size)]
    with open(path, 'wb') as file:
        file.write(b''.join(one for one in packets if int.from_bytes(one[size - 187:size - 185], 'big') & 8191 != 17))


@needs_ffmpeg
def test_a_telephones_film_is_turned(tmp_path):
    made = moving_shapes(6)
    path = write_film(tmp_path / 'film.mp4', made)
    with open(path, 'rb') as file:
        before, after = file.read().split(b'tkhd')
    with open(path, 'wb') as file:
        file.write(before + b'tkhd' + after.replace(UPRIGHT, TURNED, 1))
    film, frames = frames_of(path)
    assert (film.width, film.height) == (80, 96)
    np.testing.assert_array_equal(frames, np.rot90(made, -1, (1, 2)))


@needs_ffmpeg
@pytest.mark.parametrize('height, width, shape, shown', [
    (108, 144, '4/3', 192), (48, 72, '32/27', 86), (96, 72, '16/15', 76), (80, 97, '1', 97), (80, 97, '0', 97),
    (80, 96, '1/2', 48)])
def test_pixels_that_are_no_squares(tmp_path, height, width, shape, shown):
    """As of HDV and DV; the width is even where it changes."""
    made = moving_shapes(6, height, width)
    film, frames = frames_of(write_film(tmp_path / 'film.mkv', made, 10, 'libx264rgb', None, '-vf', 'setsar=' + shape))
    assert (film.width, film.height) == (shown, height) and frames.shape == (6, height, shown, 3)
    for frame, drawn in zip(frames, made):
        there = Image.fromarray(drawn).resize((shown, height), Image.BICUBIC)
        assert abs(frame.astype(int) - np.asarray(there)).mean() < (4 if shown != width else 1e-9)


@needs_ffmpeg
def test_a_turned_film_whose_pixels_are_no_squares(tmp_path):
    path = write_film(tmp_path / 'film.mp4', moving_shapes(6), 10, 'libx264rgb', None, '-vf', 'setsar=3/2')
    with open(path, 'rb') as file:
        before, after = file.read().split(b'tkhd')
    with open(path, 'wb') as file:
        file.write(before + b'tkhd' + after.replace(UPRIGHT, TURNED, 1))
    film, frames = frames_of(path)
    assert frames.shape == (6, film.height, film.width, 3)
    assert film.width / film.height == pytest.approx(80 / (96 * 1.5), rel=0.03)


@needs_ffmpeg
def test_frames_of_a_variable_rate_come_at_their_times(tmp_path):
    """Of ten tenths of a second the film shows 0 to 3, then 3, 6 and 9 for longer."""
    made = moving_shapes(10)
    film, frames = frames_of(write_film(tmp_path / 'film.mkv', made, 10, 'libx264rgb', None,
                                        '-vf', "select='lt(n,4)+not(mod(n,3))'"))
    shown = [min(range(10), key=lambda number: abs(made[number].astype(int) - frame).sum()) for frame in frames]
    latest = [0, 1, 2, 3, 3, 3, 6, 6, 6, 9]
    for number, found in enumerate(shown):
        assert abs(latest[min(9, int(number / film.rate * 10 + 0.5))] - found) <= 3, shown
    assert set(shown) == {0, 1, 2, 3, 6, 9} and shown == sorted(shown)
    assert 0.7 <= len(shown) / film.rate <= 1.1


@needs_ffmpeg
def test_a_film_whose_header_has_no_rate(tmp_path, monkeypatch):
    path, ffmpeg = write_film(tmp_path / 'film.mkv', moving_shapes(8)), films.import_ffmpeg()
    read_frames = ffmpeg.read_frames

    def without_rate(*arguments, **more):
        stream = read_frames(*arguments, **more)
        yield dict(next(stream), fps=0)
        yield from stream
    monkeypatch.setattr(ffmpeg, 'read_frames', without_rate)
    film, frames = frames_of(path)
    assert abs(film.rate - 10) < 1.5 and abs(len(frames) - 8) <= 1


@pytest.mark.parametrize('told, meant', [(29.97, '30000/1001'), (23.98, '24000/1001'), (23.976, '24000/1001'),
                                         (59.94, '60000/1001'), (30, '30'), (12.5, '25/2'), (0, '0')])
def test_rates_of_television(told, meant):
    assert films.find_rate(told) == Fraction(meant)


@needs_ffmpeg
def test_gifs(tmp_path):
    made = [Image.fromarray(frame) for frame in moving_shapes(6)]
    for name, count in (('many.gif', 6), ('one.gif', 1)):
        made[0].save(str(tmp_path / name), save_all=True, append_images=made[1:count], duration=100, loop=0)
    (tmp_path / 'text.gif').write_text('no picture')
    assert [films.is_film(str(tmp_path / name)) for name in ('many.gif', 'one.gif', 'text.gif', 'none.gif')] == [
        True, False, False, False]
    film, frames = frames_of(tmp_path / 'many.gif')
    assert frames.shape == (6, 80, 96, 3) and film.rate == 10
    for frame, image in zip(frames, made):
        assert abs(frame.astype(int) - np.asarray(image)).mean() < 8  # 256 colours
    listed = photos.list_photos(str(tmp_path))
    assert [one['filename'] for one in listed] == ['many', 'one', 'text'], 'photos, in a folder'


@needs_ffmpeg
@pytest.mark.parametrize('name, words', [
    ('empty', 'it is empty'), ('text', 'no moov atom'), ('text.avi', 'no film that ffmpeg knows'),
    ('sound', 'holds no pictures'), ('cut off', 'no moov atom')])
def test_broken_films(tmp_path, name, words):
    path = tmp_path / (name if '.' in name else name + '.mp4')
    if name == 'sound':
        write_film(tmp_path / 'both.mp4', moving_shapes(6), 10, 'libx264', write_sound(path.with_suffix('.wav'), 0.6))
        os.rename(str(path.with_suffix('.wav')), str(path))
    elif name == 'cut off':
        write_film(path, moving_shapes(6))
        path.write_bytes(path.read_bytes()[:2000])
    else:
        path.write_text('not found\n' * 100 if 'text' in name else '')
    assert films.is_film(str(path))
    with pytest.raises(InputError) as caught:
        films.open_film(str(path))
    text = str(caught.value)
    assert text.startswith('%s cannot be read as a film: ' % path) and words in text and '\n' not in text
    assert 'convert it to MP4' in text


@needs_ffmpeg
def test_a_film_that_is_cut_off_gives_what_it_has(tmp_path):
    path = tmp_path / 'film.mp4'
    write_film(path, moving_shapes(40), 10, 'libx264', None, '-movflags', '+faststart', '-g', '5', '-bf', '0')
    path.write_bytes(path.read_bytes()[:-path.stat().st_size // 2])
    film, frames = frames_of(path)
    assert film.seconds == pytest.approx(4, abs=0.1) and 5 <= len(frames) <= 35


@needs_ffmpeg
def test_an_audio_track_is_known(tmp_path):
    film, _ = frames_of(write_film(tmp_path / 'film.mp4', moving_shapes(6), 10, 'libx264',
                                   write_sound(tmp_path / 'tone.wav', 0.6)))
    assert film.sound == 'aac'


def test_without_the_package(tmp_path, monkeypatch):
    path, load = tmp_path / 'film.mp4', builtins.__import__
    path.write_bytes(b'anything')

    def refuse(name, *arguments):
        if name == 'imageio_ffmpeg':
            raise ImportError("No module named 'imageio_ffmpeg'")
        return load(name, *arguments)
    monkeypatch.setattr(builtins, '__import__', refuse)
    with pytest.raises(InputError, match='pip install imageio-ffmpeg==0'):
        films.open_film(str(path))


def test_the_version_is_that_of_the_tests():
    with open(os.path.join(os.path.dirname(__file__), '..', '..', 'requirements-test.txt')) as file:
        assert 'imageio-ffmpeg==%s; ' % films.VERSION in file.read()


def test_folders_and_patterns_of_films_are_refused(tmp_path):
    for name in ('a.mp4', 'b.MOV'):
        (tmp_path / name).write_bytes(b'')
    for place in ('', '*.*'):
        with pytest.raises(InputError, match='Films are named one at a time: --image_dir=.*a.mp4'):
            photos.list_photos(str(tmp_path / place))
