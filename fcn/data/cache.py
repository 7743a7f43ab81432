"""Caches in memory the files that training has read, as long as they stay as they were."""
import os
import threading
from typing import Optional, Tuple

import numpy as np

ANNOTATIONS_BYTES = 32 << 20  # CamVid's annotations take 10 MB: memory stays flat, however large the data set
OBJECTS_BYTES = 500  # of the Python objects that hold one annotation's runs


def file_version(path: str) -> Optional[Tuple[int, int, int]]:
    """Returns numbers that another file of the same path would not have, None where there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


class ImageCache:
    """Holds decoded images and annotations by their paths, so that no file that fits is decoded twice.

    What was cached of a file that was replaced since counts as absent; one that is gone leaves it as it is.

    Args:
      images, annotations: bytes that are held of each, at most.

    Attributes:
      caches_images: whether there is room for images at all.
    """

    def __init__(self, images: int = 0, annotations: int = ANNOTATIONS_BYTES):
        self.caches_images = images > 0
        self._images, self._annotations = _LimitedDict(images), _LimitedDict(annotations)

    def image(self, path: str) -> Optional[np.ndarray]:
        """Returns the cached image of that file, uint8 [H, W, 3], or None."""
        return self._images.find(path, file_version(path))

    def add_image(self, path: str, image: np.ndarray) -> np.ndarray:
        """Caches the image, uint8 [H, W, 3], if it fits. Returns it."""
        self._images.add(path, file_version(path), image, image.nbytes)
        return image

    def labels(self, path: str) -> Optional[np.ndarray]:
        """Returns the cached annotation of that file, uint8 [H, W], or None."""
        runs = self._annotations.find(path, file_version(path))
        return runs and np.repeat(*runs[1:]).reshape(runs[0])

    def add_labels(self, path: str, labels: np.ndarray) -> np.ndarray:
        """Caches the annotation, uint8 [H, W], until one does not fit. Returns it.

        As runs of equal labels, from which it is made anew in less time than a PNG takes to inflate.
        """
        if self._annotations.full:
            return labels
        flat = labels.ravel()
        ends = np.flatnonzero(np.append(flat[1:] != flat[:-1], True)).astype('int32')
        values, lengths = flat[ends], np.diff(ends, prepend=np.int32(-1))
        self._annotations.add(path, file_version(path), (labels.shape, values, lengths),
                              values.nbytes + lengths.nbytes + OBJECTS_BYTES)
        return labels


class _LimitedDict:
    """A dict of what fits into so many bytes; only another version of a value replaces it. full: one did not fit."""

    def __init__(self, size):
        self._values, self._left, self._lock, self.full = {}, size, threading.Lock(), False

    def find(self, key, version):
        known, value, _ = self._values.get(key, (None, None, 0))
        return value if version in (known, None) else None

    def add(self, key, version, value, size):
        with self._lock:
            known, _, freed = self._values.get(key, (None, None, 0))
            if size > self._left + freed:
                self.full = True
            elif key not in self._values or known != version:
                self._left -= size - freed
                self._values[key] = version, value, size
