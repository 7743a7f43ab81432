"""Defines what a prediction of one image is, wherever it goes: validation, pictures, exported models."""
import dataclasses
from typing import Optional

import numpy as np


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One image and its prediction.

    number: of its record in the list. image: uint8 RGB [H, W, 3]. annotation: uint8 [H, W]; of a photo, which has none,
    the ignored label all over. labels: predicted, uint8 [H, W]. probabilities: float32 [H, W, C], or None.
    """
    number: int
    image: np.ndarray
    annotation: np.ndarray
    labels: np.ndarray
    probabilities: Optional[np.ndarray] = None
