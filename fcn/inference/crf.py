"""Refinement of a prediction by a fully connected CRF over its pixels, through the optional package pydensecrf2."""
import collections

import numpy as np

from fcn.utils.errors import InputError

MOST_PIXELS = 4000000  # of an image that is refined: a class and pixel takes some 20 bytes


# Of `dense_crf`. The values are those of the 2017 project.
PARAMETERS = collections.OrderedDict([
    ('iterations', 10), ('gaussian_sxy', 10), ('gaussian_compat', 3), ('bilateral_sxy', 50), ('bilateral_srgb', 20),
    ('bilateral_compat', 10)])


def parameters(texts):
    """Returns `PARAMETERS` with others' values in them. texts: list such as ['iterations=5', 'bilateral_sxy=30'].

    Raises ValueError, which says what is wrong.
    """
    found = dict(PARAMETERS)
    for text in texts:
        name, _, value = text.partition('=')
        if name not in PARAMETERS:
            raise ValueError('%r is none of %s' % (name, ', '.join(PARAMETERS)))
        try:
            found[name] = int(value) if name == 'iterations' else float(value)
        except ValueError:
            raise ValueError('%s=%s is no %snumber' % (
                name, value, 'whole ' if name == 'iterations' else '')) from None
        least = {'iterations': 1, 'gaussian_compat': 0, 'bilateral_compat': 0}.get(name, 0.01)
        if not least <= found[name] <= 10000:
            raise ValueError('%s=%s is not from %g to 10000' % (name, value, least))
    return found


class Refinement:
    """`dense_crf` with its parameters, as a function of image and probabilities.

    Images of more than `MOST_PIXELS` keep the prediction. Raises InputError when pydensecrf2 is missing.
    """

    def __init__(self, values):
        import_densecrf()
        self.values = values

    def takes(self, image):
        return image.shape[0] * image.shape[1] <= MOST_PIXELS

    def __call__(self, image, probabilities):
        if self.takes(image):
            return dense_crf(image, probabilities, **self.values)
        return probabilities.argmax(-1).astype(np.uint8)


def available():
    """Whether `dense_crf` can run here."""
    try:
        import_densecrf()
    except InputError:
        return False
    return True


def import_densecrf():
    """Returns the module `pydensecrf.densecrf`. Raises InputError, which says what to install, when it is missing."""
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise InputError('The dense CRF needs the package pydensecrf2, which cannot be imported here ({}): '
                         'install it with `pip install pydensecrf2==1.1` (Python 3.7 to 3.12, and a C++ compiler).'
                         .format(error)) from error
    return densecrf


def dense_crf(image, probabilities, iterations=10, gaussian_sxy=10, gaussian_compat=3, bilateral_sxy=50,
              bilateral_srgb=20, bilateral_compat=10):
    """Labels that fit the predicted probabilities, while alike or close pixels tend to share one.

    Source: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
    NIPS 2011, equations 1 to 3. The defaults are those of the 2017 project.

    Args:
      image: uint8 RGB [H, W, 3].
      probabilities: float [H, W, C], the softmax of the logits; C at most 256.
      iterations: mean-field steps.
      gaussian_sxy: standard deviation in pixels of the kernel over positions alone.
      gaussian_compat: its weight, that is the cost of two different labels.
      bilateral_sxy: standard deviation in pixels of the kernel over positions and colours.
      bilateral_srgb: its standard deviation in colour, in steps of 1/255.
      bilateral_compat: its weight.

    Returns:
      uint8 labels [H, W].

    Raises:
      InputError: pydensecrf2 is missing.
    """
    densecrf = import_densecrf()
    height, width, classes = probabilities.shape
    model = densecrf.DenseCRF2D(width, height, classes)
    # Clipped as pydensecrf's own `unary_from_softmax` does: a certain network must not make a label impossible.
    costs = -np.log(np.clip(probabilities, 1e-5, 1.0)).astype(np.float32)
    model.setUnaryEnergy(np.ascontiguousarray(costs.reshape(-1, classes).T))
    model.addPairwiseGaussian(sxy=gaussian_sxy, compat=gaussian_compat)
    pixels = np.array(image, order='C')  # a copy: pydensecrf refuses read-only arrays, which Pillow's are
    model.addPairwiseBilateral(sxy=bilateral_sxy, srgb=bilateral_srgb, rgbim=pixels, compat=bilateral_compat)
    marginals = np.array(model.inference(iterations))
    return marginals.argmax(axis=0).astype(np.uint8).reshape(height, width)
