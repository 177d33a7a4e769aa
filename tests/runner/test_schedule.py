import pytest

from marlrun.runner.schedule import Schedule


def schedule(stride, budget=100):
    return Schedule("env_steps", stride, budget, log_every=20, eval_every=50, checkpoint_every=30)


def test_due_is_the_first_tick_at_or_past_a_multiple():
    by_three = schedule(3)
    ticks = range(3, 100, 3)
    assert [count for count in ticks if by_three.due(20, count)] == [21, 42, 60, 81]
    assert [count for count in ticks if by_three.due(50, count)] == [51]
    by_one = schedule(1)
    assert [count for count in range(1, 101) if by_one.due(30, count)] == [30, 60, 90]


@pytest.mark.parametrize(
    ("count", "pause"), [(0, 20), (19, 20), (20, 30), (30, 40), (42, 50), (81, 90), (99, 100)]
)
def test_the_next_pause_is_the_nearest_of_all_periods_and_the_budget(count, pause):
    assert schedule(3).next_pause(count) == pause


def test_a_budget_may_end_before_anything_is_due():
    assert schedule(1, budget=7).next_pause(0) == 7
