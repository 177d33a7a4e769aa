import pytest

from marlrun.ops.schedules import polynomial


def test_polynomial():
    assert polynomial(2.0, 0.5, 3, 1) == 1.0
    assert polynomial(0.3, 0.0, 7, 1000) == 0.3
    assert polynomial(1.0, 0.65, 0, 100) == pytest.approx(10**-1.3)
