"""The colours of labels: the VOC palette, and labels as palette PNGs and in colour.

Labels are an integer array [H, W]; a palette is uint8 RGB [256, 3], one row a label.
"""
from typing import IO, Dict, List, Sequence, Tuple, Union

import numpy as np
from PIL import Image

Colour = Tuple[int, int, int]  # red, green, blue


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


def with_colours(palette: np.ndarray, colours: Dict[int, Colour]) -> np.ndarray:
    """Returns a palette in which labels have other colours, {label: colour}, and no two labels the same.

    Of labels that are given the same colour the first has it. A label that is given none has that of `palette`, uint8
    [256, 3], whose colours differ, or, where that is taken, one of it that is left over.
    """
    chosen = {}
    for label, colour in colours.items():
        if tuple(colour) not in chosen.values():
            chosen[label] = tuple(colour)
    taken = set(chosen.values())
    defaults = list(map(tuple, palette.tolist()))
    spare = [defaults[label] for label in sorted(chosen) if defaults[label] not in taken]
    result = palette.copy()
    for label, colour in enumerate(defaults):
        if label in chosen:
            result[label] = chosen[label]
        elif colour in taken:
            result[label] = spare.pop()
    return result


def to_texts(palette: np.ndarray) -> List[str]:
    """Returns colours, uint8 [K, 3], as texts, '#rrggbb' each."""
    return ['#' + bytes(colour).hex() for colour in palette.tolist()]


def from_texts(texts: Sequence[str]) -> Dict[int, Colour]:
    """Returns {label: colour} of the texts that `to_texts` gives."""
    return {label: tuple(bytes.fromhex(text[1:])) for label, text in enumerate(texts)}


def save_labels(path: Union[str, IO[bytes]], labels: np.ndarray, palette: np.ndarray, **compression: int) -> None:
    """Writes uint8 labels [H, W] as a palette PNG: its pixels are the labels, and any viewer shows it in colour.

    compression: as Pillow's PNG takes it.
    """
    image = Image.fromarray(labels)
    image.putpalette(palette.tobytes())
    image.save(path, format='PNG', **compression)


def colorize(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Returns the colours of labels, integers [H, W]: uint8 RGB [H, W, 3]."""
    return palette.take(labels, axis=0)
