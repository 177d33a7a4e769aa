"""What is due when in a run."""

from dataclasses import dataclass

from marlrun.config.unit import Unit


@dataclass(frozen=True)
class Schedule:
    """A budget and periods, counted in `unit`; every limit means the first tick at or past it.

    What is due follows from the count alone, so a checkpoint needs no cursors.
    """

    unit: Unit
    stride: int
    """What one tick adds to the count."""
    budget: int
    log_every: int
    eval_every: int
    checkpoint_every: int

    def due(self, every: int, count: int) -> bool:
        """Say whether `count` is the first tick at or past a multiple of the period `every`."""
        return count // every > (count - self.stride) // every

    def next_pause(self, count: int) -> int:
        """Return the next count after `count` at which something is due or the budget ends."""
        periods = (self.log_every, self.eval_every, self.checkpoint_every)
        return min(self.budget, *((count // every + 1) * every for every in periods))
