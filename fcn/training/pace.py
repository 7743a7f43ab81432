"""Compares the time of training steps with that of the plan."""
from typing import List, Optional

WARM_UP = 2  # steps, in which TensorFlow prepares
FEWEST = 10  # steps that are compared
SECONDS = 60.0  # of steps after which is compared
OFF = 1 / 3


class Pace:
    """Prints once, after a minute of steps or half-way, where they take a third more or less than planned.

    Args:
      planned: seconds a step of --planned_step_seconds; 0: there is no plan.
      step: where the command begins.
      max_iterations: where it ends.
    """

    def __init__(self, planned: float, step: int, max_iterations: int):
        self._planned, self._step, self._max = planned, step, max_iterations
        self._half = (max_iterations - step) // 2
        self._seconds: Optional[List[float]] = [] if planned else None

    def add(self, seconds: float) -> Optional[str]:
        """Takes the seconds of a step. Returns a line to print, or None."""
        if self._seconds is None:
            return None
        self._seconds.append(seconds)
        counted = self._seconds[WARM_UP:]
        if len(counted) < FEWEST or sum(counted) < SECONDS and len(self._seconds) < self._half:
            return None
        measured, self._seconds = sum(counted) / len(counted), None
        ratio = measured / self._planned
        if 1 - OFF <= ratio <= 1 + OFF:
            return None
        fitting = max(round(self._max / ratio), 1)
        note = (f'note: a step takes {measured:.2g} s, not {self._planned:.2g} as planned, so that {self._max} steps '
                f'take {ratio:.2g} times as long')
        if fitting <= self._step:  # the run is beyond that already
            return note
        return f'{note}; --max_iterations={fitting} would take the time of the plan'
