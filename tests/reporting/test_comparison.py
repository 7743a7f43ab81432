"""fcn/reporting/comparison.py: how runs are named beside each other; what it draws is tested with whole runs."""
import io

import numpy as np
import pytest

from fcn.data.datasets import Dataset
from fcn.data.palettes import voc_palette
from fcn.inference.prediction import Prediction
from fcn.reporting import panels
from fcn.reporting.comparison import Comparison, short_names


@pytest.mark.parametrize('folders, names', [
    (['logs/32s', 'logs/8s/'], ['32s', '8s']), (['a/logs', '/b/logs', 'c/d'], ['a/logs', 'b/logs', 'c/d']),
    (['x/a/logs', 'y/a/logs'], ['x/a/logs', 'y/a/logs']), (['logs', './logs'], ['logs', 'logs'])])
def test_names_tell_runs_apart(folders, names):
    assert short_names(folders) == names


@pytest.mark.parametrize('shape', [(90, 60), (700, 1100)])
def test_what_is_kept_of_pictures_draws_the_same(tmp_path, shape):
    """A large photo is kept as its panel shows it, and label maps are packed."""
    random = np.random.RandomState(0)
    image = random.randint(0, 256, shape + (3,)).astype('uint8')
    labels = [random.randint(0, 3, shape).astype('uint8') for _ in range(2)]
    dataset = Dataset('own', [], [], ['sky', 'tree', 'road'], 255, None, voc_palette())
    records, kept = [{'filename': 'one', 'annotation': None}], Comparison(['a', 'b'])
    for folder, predicted in zip('ab', labels):
        kept.add(folder, '8s', records, [Prediction(0, image, None, predicted)], dataset)
    path, expected = kept.write(str(tmp_path), records, dataset), io.BytesIO()
    panels.save_stack(expected, [[('Image', image), ('FCN-8s, a', labels[0]), ('FCN-8s, b', labels[1])]], ['one'],
                      dataset)
    with open(path, 'rb') as file:
        assert file.read() == expected.getvalue()
