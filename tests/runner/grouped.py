"""A plugin whose constructor takes groups of keys."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Decay:
    rate: float
    floor: float = 0.0


@dataclass(frozen=True)
class Explore:
    """Settings of a plugin's."""

    start: float
    decay: Decay
    names: list[str] = field(default_factory=list)

    def __post_init__(self):
        if self.start > 1:
            raise ValueError(f"start {self.start}, expected at most 1")


class Explorer:
    def __init__(self, *, explore: Explore, again: Explore | None = None, extra: dict):
        self.explore, self.again, self.extra = explore, again, extra
