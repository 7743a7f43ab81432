"""The colours of labels: the VOC palette, and labels as palette PNGs and in colour.

Labels are an integer array [H, W]; a palette is uint8 RGB [256, 3], one row a label.
"""
import numpy as np
from PIL import Image


def voc_palette() -> np.ndarray:
    """Returns the palette of PASCAL VOC's annotations: uint8 [256, 3], row = label.

    Source: `VOClabelcolormap.m` of the VOC devkit. The lowest three bits of the label go to the highest bits of red,
    green and blue, the next three to the bits below, and so on, so that neighbouring labels differ strongly.
    """
    labels = np.arange(256)
    palette = np.zeros((256, 3), np.int64)
    for level in range(8):
        for channel in range(3):
            palette[:, channel] |= (labels >> (3 * level + channel) & 1) << (7 - level)
    return palette.astype(np.uint8)


def save_labels(path: str, labels: np.ndarray, palette: np.ndarray) -> None:
    """Writes uint8 labels [H, W] as a palette PNG: its pixels are the labels, and any viewer shows it in colour."""
    image = Image.fromarray(labels)
    image.putpalette(palette.tobytes())
    image.save(path, format='PNG')


def colorize(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Returns the colours of labels, integers [H, W]: uint8 RGB [H, W, 3]."""
    return palette.take(labels, axis=0)
