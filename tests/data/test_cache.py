"""What fits is kept, as it was given."""
import numpy as np
import pytest

from fcn.data.cache import OBJECTS_BYTES, ImageCache


def test_images_that_fit_are_kept():
    cache = ImageCache(images=10)
    given = [cache.add_image(name, np.zeros(size, 'uint8')).nbytes for name, size in zip('abca', (6, 5, 4, 6))]
    assert given == [6, 5, 4, 6] and [cache.image(name) is not None for name in 'abcd'] == [True, False, True, False]


@pytest.mark.parametrize('labels', [
    np.zeros((1, 1)), np.full((2, 3), 255), np.arange(6).reshape(2, 3), np.eye(5), np.eye(5)[:, ::-1],
    np.random.RandomState(0).randint(0, 256, (30, 40)), np.repeat(np.arange(7), 700).reshape(70, 70)])
def test_annotations_come_back_to_the_bit(labels):
    cache, labels = ImageCache(), labels.astype('uint8')
    assert cache.labels('a') is None
    assert cache.add_labels('a', labels) is labels
    found = cache.labels('a')
    assert found.dtype == 'uint8'
    np.testing.assert_array_equal(found, labels)


def test_annotations_are_kept_until_one_does_not_fit():
    """A run takes 5 bytes: its label, and its length, 4 bytes."""
    stripes = np.repeat(np.arange(4), 100).reshape(20, 20).astype('uint8')
    cache = ImageCache(annotations=2 * OBJECTS_BYTES + 35)
    for name, rows in ('a', 20), ('b', 20), ('c', 15):
        cache.add_labels(name, stripes[:rows])
    assert [cache.labels(name) is not None for name in 'abc'] == [True, False, False]
    cache = ImageCache(annotations=2 * OBJECTS_BYTES + 35)
    for name, rows in ('a', 20), ('c', 15):
        cache.add_labels(name, stripes[:rows])
    np.testing.assert_array_equal(cache.labels('c'), stripes[:15])
