"""Foreign games on trial: each mistake is named by one line, and what is right passes."""

import json

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from marlrun.checks import foreign_rules as rules
from marlrun.checks import subject
from marlrun.checks.foreign_play import Moment
from marlrun.envs.pettingzoo.adapter import Agent

WRONG = [
    ("OldApi", "plays", "step 1 of episode 1: step returns 4 values, expected observations, "),
    ("Fails", "plays", "reset of episode 2: KeyError: 'lvl'"),
    ("Returns", "agents", "has left and is an agent again, expected that it stays away"),
    ("Stays", "agents", "has ended and is still an agent, expected that it leaves"),
    ("Vanishes", "agents", "step 1 of episode 1: cat is no agent any more, expected that it has "),
    ("Numbers", "ends", "step 1 of episode 1: terminations of ann: expected a bool, got 0"),
    ("Unpaid", "rewards", "step 1 of episode 1: bob has acted and is paid nothing, expected a num"),
    ("PaysGhosts", "rewards", " is paid and has not acted, expected no reward"),
    ("PaysLists", "rewards", "step 1 of episode 1: ann has acted and is paid [0."),
    (
        "OtherShape",
        "observations",
        "reset of episode 1: ann observes an array of shape (2, 1), its space says (2,)",
    ),
    ("Stuck", "masks", "step 4 of episode 1: the action mask of ann forbids all, expected an act"),
    ("OtherMask", "masks", "reset of episode 1: ann has an action mask of 2 actions, expected 3"),
    ("OtherDtype", "dtypes", "reset of episode 1: ann observes float64, its space says float32"),
    ("TooLarge", "bounds", "step 5 of episode 1: ann observes 1.25 at [1], its space says 0 to 1"),
    ("NotANumber", "finite", "step 3 of episode 1: ann observes nan at [0]"),
    ("PaysInfinity", "finite", "step 1 of episode 1: ann is paid inf"),
    ("Blind", "changes", "[nobody's observation changes after a reset, in 60 calls; perhaps they "),
    ("ChangesActions", "actions", "step 1 of episode 1: actions of ann: expected "),
    ("NewSpaces", "spaces", "action_space('ann'): expected the same object, got another"),
    ("Unseeded", "seeds", "another copy with the same seeds, reset of episode 1: observations.ann"),
    ("SeededOnce", "seeds", "the same copy once more with the same seeds, reset of episode 1: obs"),
    ("DrawsFromNumpy", "generators", "reset of episode 1: draws from or seeds numpy.random, expec"),
    ("SeedsPython", "generators", "reset of episode 1: draws from or seeds random, expected its "),
    ("ReadsTorch", "generators", "with other global seeds, reset of episode 1: observations.ann."),
    ("Shared", "copies", "beside another copy, step 1 of episode 1: observations.ann.observation["),
]
HARMLESS = ("dtypes", "bounds", "changes", "actions", "spaces")


@pytest.fixture
def check(marlrun, monkeypatch):
    """Check a game of the zoo: the lines by name, the summary, the exit code, stderr."""
    monkeypatch.setattr(subject, "FEWEST_STEPS", 60)

    def run(name, *words):
        game = ["env=pettingzoo", f"env.id=checks.zoo:{name}", "env.horizon=10", "plugins=[checks]"]
        code, out, err = marlrun("mode=check", *game, "device=cpu", *words)
        lines = {line.split()[1]: line for line in out[:-1]}
        return lines, json.loads(out[-1]) if out else None, code, err

    return run


def test_what_is_right_passes(check):
    lines, summary, code, _ = check("Right")
    assert (summary["failed"], code) == ([], 0), lines
    assert set(summary["skipped"]) == {"env/bounds", "env/padding", "env/state"}
    # 60 calls, of which eight and a reset are an episode of which somebody stays to the end.
    assert "[60 calls, " in lines["game/plays"]


@pytest.mark.parametrize(("name", "promise", "text"), WRONG)
def test_a_mistake_is_named_by_one_line(name, promise, text, check):
    lines, summary, code, _ = check(name)
    failed = f"game/{promise}"
    assert (summary["failed"], code) == ([failed], 1), lines
    assert lines[failed].startswith("FAILED ") and text in lines[failed]
    # What rests on it is skipped, and says why; what does not is tried.
    was_tried = lines["env/shapes"].startswith("ok ")
    assert was_tried == (promise in HARMLESS)
    assert was_tried or f"[{failed} is broken]" in lines["env/shapes"]


def test_an_algorithm_is_not_blamed_for_the_game(check):
    lines, summary, code, _ = check("Unpaid", "algo=random")
    assert (summary["failed"], code) == (["game/rewards"], 1)
    assert "[game/rewards is broken]" in lines["algo/learning"]


def test_what_cannot_be_played_is_refused_before(check):
    lines, summary, code, err = check("Wrong")
    assert (lines, summary, code) == ({}, None, 2)
    assert err.count("\n") == 1 and "env.id=checks.zoo:Wrong" in err


def test_games_of_pictures_are_played_more_shortly():
    assert subject.fitting_steps(25, 1) == 300
    assert subject.fitting_steps(400, 1) == 803
    assert subject.fitting_steps(10**6, 1) == 2000
    # Two agents that see 280 x 480 pixels in colour, three copies, two seeds.
    size = 8 * 2 * 3 * 2 * 280 * 480 * 3
    assert size * subject.fitting_steps(100, size) <= 2**29 < size * 14


AGENTS = {
    "dan": Agent("dan", Discrete(3, start=5), False, 2, 0),
    "eva": Agent("eva", Box(0, 1, (), np.float32), False, 2, 0),
    "fay": Agent("fay", Box(0, 1, (2,), np.float32), True, 2, 0),
}
MASK = np.array([1, 1])


@pytest.mark.parametrize(
    ("rule", "name", "value", "text"),
    [
        (rules.observations, "dan", 5, ""),
        (rules.observations, "dan", 4, "dan observes 4, expected one of Discrete(3, start=5)"),
        (
            rules.observations,
            "dan",
            None,
            "dan observes None, expected one of Discrete(3, start=5)",
        ),
        (rules.observations, "fay", {"observation": np.zeros(2)}, "fay observes {'observation': "),
        (rules.dtypes, "dan", 6.0, "dan observes 6.0, expected an integer"),
        (
            rules.dtypes,
            "fay",
            {"observation": [0, 0], "action_mask": MASK},
            "fay observes a list, ",
        ),
        (rules.bounds, "eva", np.array(1.0), ""),
        (rules.bounds, "eva", np.array(1.5), "eva observes 1.5, its space says 0 to 1"),
        (rules.bounds, "eva", np.array(np.nan), ""),
        (rules.finite, "eva", np.array(np.nan), "eva observes nan"),
    ],
)
def test_a_rule_for_observations(rule, name, value, text):
    seen = rule(Moment("reset", observations={name: value}, agents=(name,)), AGENTS)
    assert seen.startswith(text) and bool(seen) == bool(text)


def test_who_is_no_possible_agent_is_named():
    moment = Moment("reset", agents=("dan", "eva", "fay", "gus"))
    expected = "gus is an agent, expected one of possible_agents: dan, eva, fay"
    assert rules.who_begins(moment, AGENTS) == expected
