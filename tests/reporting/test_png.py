"""fcn/reporting/png.py: what it writes is read again by Pillow, which checks the sums."""
import io

import numpy as np
import pytest
from PIL import Image

from fcn.reporting import png


@pytest.mark.parametrize('size', [(1, 1), (1, 7), (7, 1), (50, 301)])
def test_pixels_are_read_again(size):
    noise = np.random.RandomState(0).randint(0, 256, size + (3,)).astype('uint8')
    for pixels in (noise, noise[::-1, ::-1], np.zeros_like(noise)):
        file = io.BytesIO()
        png.save(file, pixels)
        Image.open(file).verify()
        with Image.open(file) as found:
            assert (found.format, found.mode) == ('PNG', 'RGB')
            np.testing.assert_array_equal(np.asarray(found), pixels)


def test_files_are_little_larger_than_by_pillow():
    rows, columns = np.mgrid[:300, :400]
    noise = np.random.RandomState(0).randint(0, 9, (300, 400))
    pixels = np.stack([rows // 2 + noise, columns // 2 + noise, (rows + columns) // 4 + noise], 2).astype('uint8')
    ours, by_pillow = io.BytesIO(), io.BytesIO()
    png.save(ours, pixels)
    Image.fromarray(pixels).save(by_pillow, 'PNG', **png.QUICK)
    assert len(ours.getvalue()) < 1.25 * len(by_pillow.getvalue()) < 0.8 * pixels.size
