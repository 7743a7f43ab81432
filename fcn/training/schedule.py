"""Tells what is due after which training step."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Due:
    """Holds what is due after one step. last: it is the run's last one, because it is done or was asked to stop."""
    log: bool
    validate: bool
    save: bool
    last: bool

    @property
    def write_line(self) -> bool:
        """Returns whether a line of progress.jsonl is due."""
        return self.log or self.validate or self.last

    @property
    def anything(self) -> bool:
        """Returns whether a number or a checkpoint is about to be written."""
        return self.log or self.validate or self.save


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Steps between what a run does. validate_every: 0: never."""
    max_iterations: int
    log_every: int
    checkpoint_every: int
    validate_every: int

    def logs(self, step: int) -> bool:
        """Returns whether a step, counted from 1, is logged."""
        return step == self.max_iterations or step % self.log_every == 0

    def due(self, step: int, stopped: bool) -> Due:
        """Returns what is due after a step. stopped: the run was asked to stop after it."""
        finished = step == self.max_iterations
        last = finished or stopped
        return Due(log=self.logs(step), last=last, save=last or step % self.checkpoint_every == 0,
                   validate=self.validate_every > 0 and (finished or step % self.validate_every == 0))
