"""Class weights, from annotations with known counts."""
import dataclasses

import numpy as np
import pytest
from PIL import Image

from fcn.data import class_weights
from fcn.data.datasets import Dataset, record
from fcn.data.palettes import voc_palette
from fcn.utils.errors import InputError


@pytest.fixture
def dataset(tmp_path):
    """Two images: 6 pixels of class 0, 2 of class 1, 2 void; and 1 of class 0, 9 of class 2. Class 3 is in neither."""
    records = []
    for number, labels in enumerate(([0] * 6 + [1] * 2 + [255] * 2, [0] + [2] * 9)):
        path = str(tmp_path / ('%d.png' % number))
        Image.fromarray(np.uint8([labels])).save(path)
        records.append(record('no image', path))
    return Dataset('test', records, [], list('abcd'), 255, None, voc_palette())


def test_median_frequency(dataset):
    frequency = np.array([7 / 18, 2 / 8, 9 / 10])  # of the labelled pixels of the images that the class is in
    expected = list(np.median(frequency) / frequency) + [(7 / 18) / (2 / 8)]
    assert class_weights.class_weights('median_frequency', dataset.training, dataset) == pytest.approx(expected)
    assert class_weights.class_weights('sqrt_median_frequency', dataset.training, dataset) == pytest.approx(
        np.sqrt(expected))
    assert class_weights.class_weights('none', dataset.training, dataset) is None


def test_void_as_a_class(dataset):
    labelled = dataclasses.replace(dataset, class_names=list('abcd') + ['ambiguous'], ignore_label=None, void_label=4)
    weights = class_weights.class_weights('median_frequency', labelled.training, labelled)
    frequency = np.array([7 / 20, 2 / 10, 9 / 10, 2 / 10])
    assert weights == pytest.approx(list(np.median(frequency) / frequency)[:3] + [np.median(frequency) / 0.2] * 2)


def test_no_class_rules(dataset, monkeypatch):
    monkeypatch.setattr(class_weights, 'LARGEST', 1.2)
    weights = class_weights.class_weights('median_frequency', dataset.training, dataset)
    assert weights == pytest.approx([1, 1.2, (7 / 18) / 0.9, 1.2])
    assert class_weights.describe(weights, list('abcd')) == 'class weights: from 0.43 (c) to 1.20 (b)'


def test_nothing_labelled(dataset):
    assert class_weights.class_weights('median_frequency', [], dataset) == [1, 1, 1, 1]


def test_unknown_label_is_an_error(dataset):
    two = dataclasses.replace(dataset, class_names=['a', 'b'])
    with pytest.raises(InputError, match='1.png holds the label 2'):
        class_weights.class_weights('median_frequency', two.training, two)


def test_weights_are_taken_back():
    """Probabilities in proportion to weight · p become p."""
    probabilities, weights = np.array([0.7, 0.2, 0.1]), [0.5, 2.0, 4.0]
    logits = np.log(weights * probabilities) + 3
    undone = np.exp(logits - class_weights.logit_offsets(weights, 1.0))
    assert undone / undone.sum() == pytest.approx(probabilities)
    half = np.exp(logits - class_weights.logit_offsets(weights, 0.5))
    expected = np.sqrt(weights) * probabilities
    assert half / half.sum() == pytest.approx(expected / expected.sum())
