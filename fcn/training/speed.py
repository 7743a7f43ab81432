"""Reckons how long a training takes by the time of one of its steps: for the plan of one."""
PREDICTION = 3.4  # times as many megapixels a second as training, or more: docs/speed.md, test beside train
CHECKPOINT = 0.5  # seconds, of one core of a Xeon with AMX
DECODING = 0.0053  # seconds of a core a megapixel of an image that is not cached: docs/speed.md, 1 ms of 500×375


def megapixels_per_s(step: float, images: int, side: int) -> float:
    """Returns the megapixels of crops that are trained in a second. step: seconds of one, of `images` of that side."""
    return images * side ** 2 / 1e6 / step


def start_seconds(speed: float) -> float:
    """Returns the seconds that a command takes beside its steps, of a machine that trains `speed` megapixels a second.

    On two cores of AMD the first step begins after 9.2 s (bench_epyc_avx512.csv), and the last checkpoint takes 2 more;
    on one core of a Xeon with AMX both took 16 s or so of its time.
    """
    return 9 + 3.5 / speed


def decoding_seconds(images: int, megapixels: float, cores: int) -> float:
    """Returns the seconds that a step's images take to decode. megapixels: of one."""
    return images * DECODING * megapixels / cores


def validation_seconds(speed: float, images: int, megapixels: float) -> float:
    """Returns the seconds that a validation takes. speed: of `megapixels_per_s`; megapixels: of an image."""
    return 3 + images * megapixels / (PREDICTION * speed)


def memory_megabytes(images: int, side: int, num_classes: int) -> float:
    """Returns the memory that a training takes on a CPU: docs/speed.md, what growth costs.

    Args:
      images: a step.
      side: of the crops, in pixels.
      num_classes: of the network.
    """
    megapixels = images * side ** 2 / 1e6
    return 1400 + 1700 * megapixels + 27 * max(num_classes - 21, 0) * megapixels
