"""One agent that sends and does not listen drags all critics; what holds them, in small."""

from paper2.refusal import CASES, refusal

GAME = {"name": "public_goods", "num_agents": 6}
NAMES = ("no fault, mean", "fault, mean", "fault, trim", "fault, clip", "fault, nearest")


def test_trimming_repairs_it_where_honest_rewards_are_alike():
    """What it costs where they are private is the honest extreme that goes with the refuser."""
    cases = {name: CASES[name] for name in ("fault, mean", "fault, trim")}
    _, private, dragged, repaired = refusal(1_000, 4, [GAME], cases)["cells"]
    assert dragged["honest"]["interval"][0] > 0.7, dragged
    assert repaired["honest"]["interval"][1] < 0.2 < private["honest"]["interval"][0]


def test_a_refuser_drags_the_others_trim_and_clip_less_nearest_not_at_all():
    """Distances in units of that between the honest agents' fixed point and the refuser's."""
    cases = {name: CASES[name] for name in NAMES}
    plain, dragged, *held, repaired = refusal(1_000, 4, [GAME], cases, ["private"])["cells"]
    assert plain["team"]["interval"][1] < 0.2 and plain["faulty"]["interval"][0] > 0.6, plain
    assert dragged["faulty"]["interval"][1] < 0.4, dragged
    assert dragged["honest"]["interval"][0] > 0.7, dragged
    # Trim and clip do not repair it in full: honest agents stay more than twice as far off as
    # without the fault. Nothing is promised of that rest, so nothing is pinned.
    for cell in held:
        assert cell["honest"]["interval"][1] < 0.8 * dragged["honest"]["interval"][0], cell
        assert cell["honest"]["mean"] < cell["faulty"]["mean"], cell
    # As near to the honest agents' own fixed point as the whole team comes to its own.
    assert repaired["honest"]["interval"][1] < 0.2, repaired
