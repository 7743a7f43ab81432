"""What training keeps in memory of the files that it has read."""
import threading

import numpy as np

ANNOTATIONS_BYTES = 32 << 20  # those of CamVid take 10 MB: memory stays flat, however large the data set
OBJECTS_BYTES = 500  # of the Python objects that hold one annotation's runs


class ImageCache:
    """Keeps decoded images and annotations by their paths, so that none that fits is decoded twice.

    Args:
      images, annotations: bytes that are kept of each, at most.
    """

    def __init__(self, images=0, annotations=ANNOTATIONS_BYTES):
        self.keeps_images = images > 0
        self._images, self._annotations = _Kept(images), _Kept(annotations)

    def image(self, path):
        """Returns the image that is kept for that file, or None."""
        return self._images.find(path)

    def keep_image(self, path, image):
        """Keeps the image, uint8 [H, W, 3], if it fits. Returns it."""
        self._images.keep(path, image, image.nbytes)
        return image

    def labels(self, path):
        """Returns the annotation that is kept for that file, or None."""
        runs = self._annotations.find(path)
        return runs and np.repeat(*runs[1:]).reshape(runs[0])

    def keep_labels(self, path, labels):
        """Keeps the annotation, uint8 [H, W], until one does not fit. Returns it.

        As runs of equal labels, from which it is made anew in less time than a PNG takes to inflate.
        """
        if self._annotations.full:
            return labels
        flat = labels.ravel()
        ends = np.flatnonzero(np.append(flat[1:] != flat[:-1], True)).astype('int32')
        values, lengths = flat[ends], np.diff(ends, prepend=np.int32(-1))
        self._annotations.keep(path, (labels.shape, values, lengths), values.nbytes + lengths.nbytes
                               + OBJECTS_BYTES)
        return labels


class _Kept:
    """A dict of what fits into so many bytes; what was kept stays. full: something did not fit."""

    def __init__(self, size):
        self._kept, self._left, self._lock, self.full = {}, size, threading.Lock(), False

    def find(self, key):
        return self._kept.get(key)

    def keep(self, key, value, size):
        with self._lock:
            if size > self._left:
                self.full = True
            elif key not in self._kept:
                self._left -= size
                self._kept[key] = value
