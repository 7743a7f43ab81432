"""fcn/inference/crf.py: what the CRF must mend, what it must leave, and what is said where its package is missing."""
import sys

import numpy as np
import pytest

from fcn.inference import crf
from fcn.utils.errors import InputError

needs_pydensecrf = pytest.mark.skipif(not crf.available(), reason='pydensecrf2 is not installed')


def two_regions():
    """A red and a blue half, and a prediction of three classes that has a third of the pixels wrong.

    Returns (image uint8 [48, 64, 3], truth uint8 [48, 64], probabilities float32 [48, 64, 3]).
    """
    rng = np.random.RandomState(0)
    truth = np.zeros((48, 64), np.uint8)
    truth[:, 30:] = 2
    image = np.where(truth[..., np.newaxis] == 0, np.uint8([200, 40, 40]), np.uint8([40, 40, 200]))
    image = np.uint8(image + rng.randint(-15, 16, image.shape))
    wrong = rng.rand(48, 64) < 0.33
    seen = np.where(wrong, rng.randint(0, 3, truth.shape), truth)
    return image, truth, np.where(np.eye(3)[seen] == 1, 0.6, 0.2).astype(np.float32)


@needs_pydensecrf
def test_noise_is_cleaned_up_and_the_edge_kept():
    image, truth, probabilities = two_regions()
    assert np.mean(probabilities.argmax(-1) == truth) < 0.85
    labels = crf.dense_crf(image, probabilities)
    assert labels.dtype == np.uint8
    assert labels.shape == (48, 64)
    assert np.mean(labels == truth) > 0.995


@needs_pydensecrf
def test_without_pairwise_terms_the_likeliest_label_stays():
    image, _, probabilities = two_regions()
    labels = crf.dense_crf(image, probabilities, crf.CRFParameters(gaussian_compat=0, bilateral_compat=0))
    np.testing.assert_array_equal(labels, probabilities.argmax(-1))


@needs_pydensecrf
def test_certain_and_read_only_inputs_are_taken_and_left_alone():
    image, truth, _ = two_regions()
    probabilities = np.eye(3, dtype=np.float32)[truth]
    image.setflags(write=False)
    probabilities.setflags(write=False)
    np.testing.assert_array_equal(crf.dense_crf(image, probabilities), truth)


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydensecrf', None)
    assert not crf.available()
    with pytest.raises(InputError, match=r'pip install pydensecrf2==1\.1') as raised:
        crf.dense_crf(np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 2), 0.5, np.float32))
    assert '\n' not in str(raised.value)


def test_parameters():
    assert crf.parse_parameters([]) == crf.CRFParameters() == crf.DEFAULTS
    assert crf.parse_parameters(['iterations=5', 'bilateral_sxy=7.5']) == crf.CRFParameters(iterations=5,
                                                                                            bilateral_sxy=7.5)
    for text, words in (('iteration=5', "'iteration' is none of iterations, gaussian_sxy"),
                        ('iterations', 'no whole number'), ('iterations=2.5', 'no whole number'),
                        ('bilateral_sxy=wide', 'no number'), ('iterations=0', 'not from 1'),
                        ('gaussian_sxy=0', 'not from 0.01'), ('bilateral_compat=nan', 'not from 0'),
                        ('bilateral_srgb=1e9', 'to 10000')):
        with pytest.raises(ValueError, match=words):
            crf.parse_parameters([text])


@needs_pydensecrf
def test_parameters_are_those_of_the_refinement():
    image, _, probabilities = two_regions()
    weak = crf.parse_parameters(['gaussian_compat=0', 'bilateral_compat=0'])
    np.testing.assert_array_equal(crf.dense_crf(image, probabilities, weak), probabilities.argmax(-1))
    np.testing.assert_array_equal(crf.dense_crf(image, probabilities, crf.DEFAULTS),
                                  crf.dense_crf(image, probabilities))


@needs_pydensecrf
def test_large_images_keep_their_prediction(monkeypatch):
    image, truth, probabilities = two_regions()
    refine = crf.Refinement(crf.DEFAULTS)
    np.testing.assert_array_equal(refine(image, probabilities), crf.dense_crf(image, probabilities))
    monkeypatch.setattr(crf, 'MOST_PIXELS', truth.size - 1)
    np.testing.assert_array_equal(refine(image, probabilities), probabilities.argmax(-1))
