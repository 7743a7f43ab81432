"""Reckons how long a training takes, by what was measured (docs/speed.md, benchmarks/results): for the plan of one."""
import numpy as np

from fcn.training.machine import Machine

# Megapixels of crops that one core trains in a second, FCN-4s or 8s, 'scores' head, 11 to 21 classes. AMX:
# fine_tune.csv and fine_tune_screening.csv (0.75 s for 4 crops of 320×320), in float32 1.9 times that (beside other
# work). AMD: recipe_1080_steps.csv (10 to 12 minutes, float32 15 to 17) and, of two cores, bench_epyc_avx512.csv. The
# others, of two cores: bench_xeon.csv and bench_epyc_avx2.csv.
OF_ONE_CORE = {('AMX', 'bfloat16'): 0.55, ('AMX', None): 0.28, ('AVX-512 of AMD', 'bfloat16'): 0.70,
               ('AVX-512 of AMD', None): 0.48, ('AVX-512', None): 0.29, ('AVX2', None): 0.124}
OF_OLD_TENSORFLOW = {'AVX2': 0.68, 'other': 0.68}  # of that speed; speed_decisions.csv: 1.91 s a step, 2.79 on 1.15
OF_OLD_TENSORFLOW_WITH_AVX512 = 0.5  # 0.733 s a step, 1.46 on 1.15
CORES = 0.85  # two cores are 2 ** 0.85 = 1.8 times as fast as one (AMD: bench against recipe_1080_steps.csv)
# Not measured: 32 images of 224×224 in 100 ms, which docs/cluster.md assumes.
OF_ONE_GPU = 16.0
OF_CLASSES = ((21, 1.0), (60, 1.29), (151, 2.47))  # (classes, time of a step): docs/growth.png
PREDICTION = 3.4  # times as many megapixels a second as training, or more: docs/speed.md, test beside train
CHECKPOINT = 0.5  # seconds, of one core of a Xeon with AMX
DECODING = 0.0053  # seconds of a core a megapixel of an image that is not cached: docs/speed.md, 1 ms of 500×375


def megapixels_per_s(machine: Machine, mixed: bool) -> float:
    """Returns the megapixels of crops that a machine trains in a second; of several GPUs each."""
    if machine.gpus:
        return OF_ONE_GPU
    if machine.has_old_tensorflow:
        has_avx512 = machine.processor not in OF_OLD_TENSORFLOW
        of_core = (OF_OLD_TENSORFLOW_WITH_AVX512 * OF_ONE_CORE['AVX-512', None] if has_avx512 else
                   OF_OLD_TENSORFLOW[machine.processor] * OF_ONE_CORE['AVX2', None])
    else:
        kind = 'AVX2' if machine.processor == 'other' else machine.processor
        of_core = OF_ONE_CORE[kind, machine.lower if mixed and (kind, machine.lower) in OF_ONE_CORE else None]
    return of_core * machine.cores ** CORES


def time_of_classes(num_classes: int) -> float:
    """Returns how many times as long a step takes as with 21 classes or fewer."""
    classes, times = zip(*OF_CLASSES)
    return float(np.interp(num_classes, classes, times))


def start_seconds(speed: float) -> float:
    """Returns the seconds that a command takes beside its steps, of a machine that trains `speed` megapixels a second.

    On two cores of AMD the first step begins after 9.2 s (bench_epyc_avx512.csv), and the last checkpoint takes 2 more;
    on one core of a Xeon with AMX both took 16 s or so of its time.
    """
    return 9 + 3.5 / speed


def step_seconds(speed: float, images: int, side: int, num_classes: int, decoded: float = 0.0, cores: int = 1) -> float:
    """Returns the seconds that a training step takes.

    Args:
      speed: of `megapixels_per_s`.
      images: a step.
      side: of the crops, in pixels.
      num_classes: of the network.
      decoded: megapixels of an image that is decoded for each crop, 0 where images are cached.
      cores: that decode.
    """
    return images * (side ** 2 / 1e6 * time_of_classes(num_classes) / speed + DECODING * decoded / cores)


def validation_seconds(speed: float, images: int, megapixels: float, num_classes: int) -> float:
    """Returns the seconds that a validation takes. megapixels: of an image. Arguments else: of `step_seconds`."""
    return 3 + images * megapixels * time_of_classes(num_classes) / (PREDICTION * speed)


def memory_megabytes(images: int, side: int, num_classes: int) -> float:
    """Returns the memory that a training takes on a CPU: docs/speed.md, what growth costs.

    Arguments: of `step_seconds`.
    """
    megapixels = images * side ** 2 / 1e6
    return 1400 + 1700 * megapixels + 27 * max(num_classes - 21, 0) * megapixels
