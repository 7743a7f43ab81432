"""Writes what visualize leaves of a film in the results folder.

    films/NAME.mp4        the film seen through the labels' colours, at its size and rate, with its sound
    films/NAME.csv        of each frame its number from 1, its time in seconds and the share of each class
    films/NAME.jpg        a frame of it for the page
    classes.csv           the same as films/NAME.csv of the latest film
    films/NAME/labels/frame_000001.png          label maps, palette PNGs, where they are asked for
    films/NAME/probabilities/frame_000001.npz   'probabilities' float16 [H, W, C], where they are asked for

All is written aside, frame by frame, and moved into place when the film is whole.
"""
import contextlib
import os
import shutil
from typing import Any, List, Optional, Sequence

import numpy as np
from PIL import Image

from fcn.data import films, palettes
from fcn.data.annotations import count_values
from fcn.data.datasets import Dataset
from fcn.data.films import Film
from fcn.inference.prediction import Prediction
from fcn.reporting import manifest, overlays, png
from fcn.reporting.outputs import check_own
from fcn.utils.errors import InputError
from fcn.utils.files import CHUNK, format_csv, make_folder, remove, replacing, writing

LEAST_FREE = 1 << 20  # bytes of a disk that is not full
COPIED_SOUND = ('aac', 'mp3')  # what every player takes in an MP4; other codecs become AAC
ENDINGS = {'labels': '.png', 'probabilities': '.npz'}  # of a frame's files, by folder


class FilmWriter:
    """A context manager that takes a film's frames in order, and puts the files in place when it is left well.

    Args:
      folder: results_dir, made where it is missing.
      name: of the film's files.
      film: that the frames are of.
      dataset: the `fcn.data.datasets.Dataset` that labels belong to.
      origin: of the files, see `fcn.reporting.manifest`. It has to name the film's content.
      kinds: which of 'labels' and 'probabilities' to write of each frame.

    Attributes:
      count: number of frames that were added.

    Raises:
      InputError: the overlay film would take the place of the film itself, of another film's overlay, or of what this
        program did not write.
    """

    def __init__(self, folder: str, name: str, film: Film, dataset: Dataset, origin: manifest.Origin,
                 kinds: Sequence[str] = ()):
        self.folder, self.name, self.film, self.dataset = make_folder(folder), name, film, dataset
        self.origin, self.kinds, self.count = origin, tuple(kinds), 0
        self._encoder = self._rows = None
        self._names = [f'films/{name}{ending}' for ending in ('.mp4', '.csv', '.jpg')]
        self._film, self._csv, self._poster = (os.path.join(self.folder, each) for each in self._names)
        if os.path.realpath(self._film) == os.path.realpath(film.path):
            raise InputError(f'--results_dir={folder}: the overlay film would take the place of {film.path}. Name '
                             'another --results_dir.')
        before = (manifest.read(self.folder).get(self._names[0]) or {}).get('how')
        if os.path.exists(self._film) and isinstance(before, dict) and before.get('film') != origin['how'].get('film'):
            raise InputError(f'{self._film} is the overlay of another film than {film.path}, or of what that file held '
                             'before. Delete it, or name another --results_dir.')
        self._folders = {kind: os.path.join(self.folder, 'films', name, kind) for kind in self.kinds}
        self._names_of_folders = [f'films/{name}/{kind}' for kind in self.kinds]
        check_own(folder, self._names + self._names_of_folders)

    @property
    def path(self) -> str:
        """Returns the path of the overlay film."""
        return self._film

    @property
    def is_done(self) -> bool:
        """Returns whether all files of this origin are there."""
        found = manifest.read(self.folder)
        names = self._names + self._names_of_folders
        return all(found.get(name) == self.origin and os.path.exists(os.path.join(self.folder, name)) for name in names)

    @property
    def note_on_others(self) -> str:
        """Returns '', or in words which files of the film's frames are of an earlier prediction."""
        found, names = manifest.read(self.folder), [f'films/{self.name}/{kind}' for kind in ENDINGS]
        others = [path for name, path in ((name, os.path.join(self.folder, name)) for name in names)
                  if found.get(name) != self.origin and os.path.isdir(path)]
        said = f'note: {" and ".join(others)} are of an earlier prediction; delete them, or make them anew'
        return said if others else ''

    def publish_shares(self) -> None:
        """Copies the shares of each class to classes.csv. Raises InputError."""
        path = os.path.join(self.folder, 'classes.csv')
        with manifest.writing_together(self.folder, ['classes.csv'], self.origin), open(
                self._csv, 'rb') as source, replacing(path) as file:
            shutil.copyfileobj(source, file, CHUNK)

    def __enter__(self) -> 'FilmWriter':
        self._remove_parts()  # of a command that was killed
        for path in [self._film] + [os.path.join(part, 'frame') for part in self._parts_of_folders()]:
            make_folder(os.path.dirname(path))
        with writing(self._csv):
            self._rows = open(self._csv + '.part', 'w', encoding='utf-8', newline='')
        self._rows.write(format_csv([['name', 'frame', 'seconds'] + list(self.dataset.class_names)]))
        return self

    def add(self, predicted: Prediction) -> None:
        """Writes one frame, with its probabilities where `kinds` has them. Raises InputError."""
        image, labels = predicted.image, predicted.labels
        drawn = overlays.overlay(image, labels, self.dataset.palette)
        if self._encoder is None:
            self._encoder = start_encoder(self._film + '.part', drawn.shape[1], drawn.shape[0], self.film)
        self._encode(drawn)
        if self.count in (0, (self.film.expected or 0) // 2):  # the middle says more, and may never come
            with replacing(self._poster + '.part') as file:
                Image.fromarray(drawn).save(file, 'JPEG', quality=90)
        seconds = float(self.count / self.film.rate)
        self.count += 1
        shares = count_values(labels)[:len(self.dataset.class_names)] / labels.size
        with writing(self._csv):
            self._rows.write(format_csv([[self.name, self.count, f'{seconds:.3f}'] + [
                f'{share:.6f}' for share in shares]]))
        for kind, part in zip(self.kinds, self._parts_of_folders()):
            path = os.path.join(part, f'frame_{self.count:06d}{ENDINGS[kind]}')
            with writing(path):
                if kind == 'labels':
                    palettes.save_labels(path, labels, self.dataset.palette, **png.QUICK)
                else:
                    np.savez_compressed(path, probabilities=predicted.probabilities.astype('float16'))

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            self._close()
            if kind is None:
                self._check_whole()
                self._move_into_place()
                self.publish_shares()
        finally:
            self._remove_parts()

    def _encode(self, frame: np.ndarray) -> None:
        """Hands an overlay, uint8 RGB [H, W, 3], to the encoder."""
        try:
            self._encoder.send(np.ascontiguousarray(frame))
        except OSError:  # its own message is on the terminal
            raise self._unwritten() from None

    def _close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()  # waits until the file is written
            self._encoder = None
        with writing(self._csv):
            self._rows.close()

    def _check_whole(self) -> None:
        """Raises InputError where the encoder left no whole film, of a full disk for one, which it tells nobody."""
        try:
            written = films.open_film(self._film + '.part')
        except InputError:
            raise self._unwritten() from None
        if written.seconds * self.film.rate < self.count - 1.5 - 0.01 * self.film.rate:  # it tells hundredths
            raise self._unwritten()

    def _unwritten(self) -> InputError:
        full = shutil.disk_usage(os.path.dirname(self._film)).free < LEAST_FREE
        what_to_do = ('The disk is full: free some space, or choose a folder on another disk' if full else
                      'Check the folder, the space on its disk and the messages above')
        return InputError(f'Cannot write {self._film}: ffmpeg did not finish it. {what_to_do}, and run again.')

    def _move_into_place(self) -> None:
        names = self._names + self._names_of_folders
        with manifest.writing_together(self.folder, names, self.origin), writing(self._film):
            for kind, part in zip(self.kinds, self._parts_of_folders()):
                if os.path.isdir(self._folders[kind]):
                    shutil.rmtree(self._folders[kind])
                os.rename(part, self._folders[kind])
            for path in (self._csv, self._poster, self._film):
                os.replace(path + '.part', path)

    def _parts_of_folders(self) -> List[str]:
        return [folder + '.part' for folder in self._folders.values()]

    def _remove_parts(self) -> None:
        for path in (self._csv, self._poster, self._film):
            remove(path + '.part')
        for folder in self._parts_of_folders():
            if os.path.isdir(folder):
                with writing(folder):
                    shutil.rmtree(folder)
            with contextlib.suppress(OSError):  # it is not there, or holds what is whole
                os.rmdir(os.path.dirname(folder))


def start_encoder(path: str, width: int, height: int, film: Film) -> Any:
    """Starts ffmpeg, which writes an MP4 of H.264 with the film's sound.

    Colours are of BT.709, and the file says so. H.264 halves the resolution of colour only of even sizes.

    Args:
      path: of the file to write.
      width, height: of the frames, in pixels.
      film: whose rate and sound it has.

    Returns:
      generator that takes frames, uint8 RGB [height, width, 3], by `send`, and finishes the file at `close`. `send`
      raises OSError where ffmpeg has ended.
    """
    sound = {}
    if film.sound:
        sound = {'audio_path': film.path, 'audio_codec': 'copy' if film.sound in COPIED_SOUND else 'aac'}
    even = width % 2 == 0 and height % 2 == 0
    encoder = films.import_ffmpeg().write_frames(
        os.path.abspath(path), (width, height), fps=float(film.rate), quality=None, codec='libx264',
        pix_fmt_out='yuv420p' if even else 'yuv444p', macro_block_size=1, ffmpeg_log_level='error',
        input_params=['-r', str(film.rate)],  # exact, which `fps` is not before imageio-ffmpeg 0.6
        output_params=['-vf', 'scale=out_color_matrix=bt709:out_range=tv', '-colorspace', 'bt709', '-color_range', 'tv',
                       '-preset', 'fast', '-crf', '20', '-movflags', '+faststart', '-f', 'mp4'], **sound)
    encoder.send(None)
    return encoder


def describe_end(film: Film, count: int) -> Optional[str]:
    """Returns what to say of a film whose pictures end before its header says, or None. count: frames that it gave."""
    missing = film.seconds - float(count / film.rate)
    if missing <= max(1, 0.05 * film.seconds):
        return None
    return (f'note: the pictures of {film.path} end at {float(count / film.rate):.1f} s, and its header says '
            f'{film.seconds:.1f} s: the file may be cut off or damaged')
