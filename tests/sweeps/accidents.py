"""Algorithms with accidents, as plugins of a user's."""

from marlrun.algos.random import Random

PLUGIN = "plugins=[sweeps.accidents]"
BREAKING = """\
# Breaks down if its number is odd
_target_: sweeps.accidents.Breaking
number: 1            # int [0, inf): odd numbers break down
"""
REFUSING = """\
# Cannot be built
_target_: sweeps.accidents.Refusing
"""


class Refusing(Random):
    """Cannot be built."""

    def __init__(self, *args, **kwargs):
        raise RuntimeError("nothing to build with")


class Breaking(Random):
    """Breaks down in the middle of its work if `number` is odd."""

    def __init__(self, *args, number=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.number, self.updates = number, 0

    def update(self):
        self.updates += 1
        if self.number % 2 and self.updates == 50:
            raise ArithmeticError("the update broke down\nat update 50")
        return super().update()
