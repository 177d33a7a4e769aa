"""Step sizes that shrink with time."""


def polynomial(scale: float, power: float, offset: int, time: int) -> float:
    """Return scale / (time + offset)**power for time = 1, 2, ..; power 0 = constant.

    Zhang et al. (ICML 2018), experiments: power .65 for critics and .85 for actors, the slower.
    """
    return scale / (time + offset) ** power
