"""Refines a prediction by a fully connected CRF over its pixels, through the optional package pydensecrf2."""
import dataclasses
from typing import Any, Sequence

import numpy as np

from fcn.utils.errors import InputError

MOST_PIXELS = 4000000  # of an image that is refined: a class and pixel takes some 20 bytes


@dataclasses.dataclass(frozen=True)
class CRFParameters:
    """Parameters of `dense_crf`. The defaults are those of the 2017 project.

    Attributes:
      iterations: mean-field steps.
      gaussian_sxy: standard deviation in pixels of the kernel over positions alone.
      gaussian_compat: weight of that kernel, that is the cost of two different labels.
      bilateral_sxy: standard deviation in pixels of the kernel over positions and colours.
      bilateral_srgb: standard deviation in colour of that kernel, in steps of 1/255.
      bilateral_compat: weight of that kernel.
    """
    iterations: int = 10
    gaussian_sxy: float = 10
    gaussian_compat: float = 3
    bilateral_sxy: float = 50
    bilateral_srgb: float = 20
    bilateral_compat: float = 10


DEFAULTS = CRFParameters()


def parse_parameters(texts: Sequence[str]) -> CRFParameters:
    """Reads parameters from a list such as ['iterations=5', 'bilateral_sxy=30']; the others have their defaults.

    Raises ValueError, which says what is wrong.
    """
    values = dataclasses.asdict(DEFAULTS)
    for text in texts:
        name, _, value = text.partition('=')
        if name not in values:
            raise ValueError(f'{name!r} is none of {", ".join(values)}')
        values[name] = _parse_value(name, value)
    return CRFParameters(**values)


def _parse_value(name: str, text: str) -> float:
    whole = name == 'iterations'
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        raise ValueError(f'{name}={text} is no {"whole " if whole else ""}number') from None
    least = {'iterations': 1, 'gaussian_compat': 0, 'bilateral_compat': 0}.get(name, 0.01)
    if not least <= value <= 10000:
        raise ValueError(f'{name}={text} is not from {least:g} to 10000')
    return value


class Refinement:
    """`dense_crf` with its parameters, as a function of image and probabilities.

    Images of more than `MOST_PIXELS` keep the prediction. Raises InputError when pydensecrf2 is missing.
    """

    def __init__(self, parameters: CRFParameters = DEFAULTS):
        import_densecrf()
        self.parameters = parameters

    def takes(self, image: np.ndarray) -> bool:
        """Checks whether an image, [H, W, 3], is small enough to be refined."""
        return image.shape[0] * image.shape[1] <= MOST_PIXELS

    def __call__(self, image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Returns labels, uint8 [H, W], of an image, uint8 RGB [H, W, 3], and its probabilities, float [H, W, C]."""
        if self.takes(image):
            return dense_crf(image, probabilities, self.parameters)
        return probabilities.argmax(-1).astype(np.uint8)


def available() -> bool:
    """Checks whether `dense_crf` can run here."""
    try:
        import_densecrf()
    except InputError:
        return False
    return True


def import_densecrf() -> Any:
    """Returns the module `pydensecrf.densecrf`. Raises InputError, which says what to install, when it is missing."""
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise InputError(f'The dense CRF needs the package pydensecrf2, which cannot be imported here ({error}): '
                         'install it with `pip install pydensecrf2==1.1` (Python 3.7 to 3.12, and a C++ compiler).'
                         ) from error
    return densecrf


def dense_crf(image: np.ndarray, probabilities: np.ndarray, parameters: CRFParameters = DEFAULTS) -> np.ndarray:
    """Finds labels that fit the predicted probabilities, while alike or close pixels tend to share a label.

    Source: Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
    NIPS 2011, equations 1 to 3.

    Args:
      image: uint8 RGB [H, W, 3].
      probabilities: float [H, W, C], the softmax of the logits; C at most 256.
      parameters: of the kernels, and the number of steps.

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
    model.addPairwiseGaussian(sxy=parameters.gaussian_sxy, compat=parameters.gaussian_compat)
    pixels = np.array(image, order='C')  # a copy: pydensecrf refuses read-only arrays, which Pillow's are
    model.addPairwiseBilateral(sxy=parameters.bilateral_sxy, srgb=parameters.bilateral_srgb, rgbim=pixels,
                               compat=parameters.bilateral_compat)
    marginals = np.array(model.inference(parameters.iterations))
    return marginals.argmax(axis=0).astype(np.uint8).reshape(height, width)
