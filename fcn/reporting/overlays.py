"""Label maps drawn over their image: the labels' colours, and the pixels that are predicted wrongly."""
from typing import Optional

import numpy as np
from PIL import Image


def overlay(image: np.ndarray, labels: np.ndarray, palette: np.ndarray, alpha: float = 0.5) -> np.ndarray:
    """Mixes an image with the colours of its label map, and draws a white line between regions.

    Args:
      image: uint8 RGB [H, W, 3].
      labels: uint8 [H, W].
      palette: uint8 RGB [256, 3], row = label.
      alpha: share of the label's colour in the mix, in [0, 1].

    Returns:
      uint8 RGB [H, W, 3]. The lines are one pixel wide, so regions two pixels wide still show their colour.
    """
    colours = Image.fromarray(labels)
    colours.putpalette(palette.tobytes())
    mixed = np.array(Image.blend(Image.fromarray(image), colours.convert('RGB'), alpha))
    edges = np.zeros(labels.shape, bool)
    edges[:, :-1] = labels[:, :-1] != labels[:, 1:]
    edges[:-1] |= labels[:-1] != labels[1:]
    mixed.reshape(-1, 3)[np.flatnonzero(edges)] = 255
    return mixed


def error_map(image: np.ndarray, annotation: np.ndarray, prediction: np.ndarray,
              ignore_label: Optional[int] = None) -> np.ndarray:
    """Draws where a prediction is wrong: the image pale and grey, wrong pixels red, void white.

    Args:
      image: uint8 RGB [H, W, 3].
      annotation, prediction: integer labels [H, W].
      ignore_label: label of void, or None.

    Returns:
      uint8 RGB [H, W, 3].
    """
    grey = image.mean(axis=2, keepdims=True)
    pale = 160 + grey * (80 / 255)
    drawn = np.repeat(pale, 3, axis=2).astype(np.uint8)
    drawn[annotation != prediction] = (200, 30, 40)
    if ignore_label is not None:
        drawn[annotation == ignore_label] = 255
    return drawn
