"""Agents of one game act by the policies of several runs."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from graphs.graphs_at_hand import node
from runner.fakes import SteadyPolicy
from runner.test_elsewhere import NETWORKED, evaluate, files_in, steady, stored, trained

from marlrun.runner.team import Guest, Player, RolledPolicy, Team, TeamPolicy
from marlrun.types import Step as GameStep

CONF = Path(__file__).parents[2] / "conf"
RANDOM = {"_target_": "marlrun.algos.random.Random"}
DEC_HDRQN = yaml.safe_load((CONF / "algo/dec_hdrqn.yaml").read_text()) | {"trace": 1}
DEC_HDRQN |= {"learning_starts": 33, "eval_epsilon": 0.3}
STEADY = {"_target_": "runner.fakes.Steady"}


class Counting:
    """Says how many steps it saw, in `scale`s."""

    def __init__(self, scale):
        self.scale, self.seen = scale, 0

    def __call__(self, step):
        self.seen += 1
        return torch.full(step.reward.shape, self.scale * self.seen)

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


class Step:
    reward = torch.zeros(2, 5, 3)


def test_every_agent_acts_by_its_own_policy_which_sees_every_step():
    team = TeamPolicy({0: Counting(1), 2: Counting(100)}, [2, 0, 2])
    assert torch.equal(team(Step), torch.tensor([100, 1, 100]).expand(2, 5, 3))
    state = team.state_dict()
    assert team(Step)[0, 0].tolist() == [200, 2, 200]
    team.load_state_dict(state)
    assert team(Step)[1, 4].tolist() == [200, 2, 200]


def test_a_team_anticipates_what_all_of_its_policies_do():
    class Learner:
        def __init__(self, expects):
            self.plays, self.expects = torch.tensor([0, 1, 2]), expects

    one, other = SteadyPolicy(Learner(3.0)), SteadyPolicy(Learner(5.0))
    team = TeamPolicy({0: one, 1: other}, [0, 1, 0])
    assert team.value(Step)[1, 2].tolist() == [3, 5, 3]
    assert TeamPolicy({0: one, 1: Counting(1)}, [0, 1, 0]).value is None


def test_policies_of_one_algorithm_share_random_numbers_and_others_have_their_own():
    asked = []

    class Learner:
        def policy(self, explore, seeds):
            asked.append((explore, list(seeds)))
            return Counting(1)

    players = [Player(Learner(), None), Player(Learner(), None), Player(Learner(), "another")]
    Team(players, [0, 1, 2]).policy(explore=False, seeds=[3, 4])
    assert asked[0] == asked[1] == (False, [3, 4])
    assert len({*asked[0][1], *asked[2][1]}) == 4
    asked.clear()
    Team(players, [1, 1, 1]).policy(explore=False, seeds=[3, 4])
    assert len(asked) == 1


def test_a_guest_acts_in_the_place_of_an_agent(tmp_path, capsys):
    # In the walk to 3 the left one makes three steps of 1, the right one steps of its own run.
    host = steady(tmp_path / "host", goal=3)
    walk = {"_target_": "runner.fakes.Walk", "num_envs": 1, "goal": 3, "starts": 1}
    guest = trained(tmp_path / "guest", STEADY | {"plays": [2, 0], "expects": 8.0}, walk)
    before = files_in(tmp_path)
    capsys.readouterr()
    results = evaluate(host, guests={"right": Guest(guest)}).results
    assert results["agent/left/return"] == [1.75] * 2 and results["agent/right/return"] == [0] * 2
    assert results["eval/anticipated_mean"] == [5.5] * 2
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        f"guest {guest}/checkpoints/best.pt: env step 0",
        f"{host}/checkpoints/best.pt: env step 0, 5 fresh episodes a seed",
        f"elsewhere: agents.right={guest}",
    ]
    assert json.loads(said.out.splitlines()[-1])["eval/return_mean"] == 0.875
    # Two steps of 2 reach the goal: 2 + 2 / 2.
    results = evaluate(host, guests={"left": Guest(guest)}).results
    assert results["agent/left/return"] == [3] * 2 and results["agent/right/return"] == [3] * 2
    # In a changed game as well.
    changes = {"env": {"goal": 5}}
    results = evaluate(host, changes=changes, guests={"left": Guest(guest)}).results
    assert results["agent/left/return"] == [3.5] * 2
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("algo", "game"),
    [(DEC_HDRQN, "target_capture"), (RANDOM, "matrix_game"), (NETWORKED, "public_goods")],
)
def test_a_team_of_the_run_itself_is_the_run(tmp_path, algo, game):
    graph = node("ring") if algo is NETWORKED else None
    env = stored(game) | {"horizon": 20} | ({"size": 2} if game == "target_capture" else {})
    host = trained(tmp_path / "host", algo, env, env_steps=60, graph=graph)
    shutil.copytree(host, tmp_path / "copy")
    names = [f"agent_{i}" for i in range(env.get("num_agents", 2))]
    own = evaluate(host, episodes=30).results
    everyone = {name: Guest(tmp_path / "copy") for name in names}
    assert evaluate(host, episodes=30, guests=everyone).results == own
    half = dict.fromkeys(names[::2], Guest(tmp_path / "copy"))
    assert evaluate(host, episodes=30, guests=half).results == own


def test_a_random_guest_earns_what_theory_says(tmp_path):
    """In the prisoner's dilemma of -1, -3, 0, -2 against one who stays silent, or who confesses."""
    game = stored("matrix_game") | {"game": "prisoners_dilemma"}
    guest = trained(tmp_path / "guest", RANDOM, game)
    episodes, bound = 400, 4 * 0.5 / 400**0.5
    for plays, own, of_guest in ((0, (-1 - 3) / 2, (-1 + 0) / 2), (1, (0 - 2) / 2, (-3 - 2) / 2)):
        host = trained(tmp_path / str(plays), STEADY | {"plays": [plays, plays]}, game)
        results = evaluate(host, episodes=episodes, guests={"agent_1": Guest(guest)}).results
        for replica in range(2):
            # Payoffs that are 2 and 1 apart, each in half of the games.
            assert abs(results["agent/agent_0/return"][replica] - own) < 2 * bound
            assert abs(results["agent/agent_1/return"][replica] - of_guest) < bound
        assert "eval/anticipated_mean" not in results


def test_replicas_play_with_replicas(tmp_path):
    """Each replica of a guest has parameters of its own, and so has each of the host."""
    game = stored("matrix_game") | {"payoff": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}
    greedy = DEC_HDRQN | {"eval_epsilon": 0.0}
    host = trained(tmp_path / "host", greedy, game, replicas=12)
    guest = trained(tmp_path / "guest", greedy, game, replicas=12, seed=50)
    own, others = (evaluate(run).results["eval/return_mean"] for run in (host, guest))
    for rotate in (0, 1, 11):
        guests = {"agent_1": Guest(guest)}
        mixed = evaluate(host, guests=guests, rotate=rotate).results["eval/return_mean"]
        partners = others[rotate:] + others[:rotate]
        # 1 + 3 a + b, where a is what the host's first agent plays, b what the guest's second plays.
        expected = [
            3 * ((x - 1) // 3) + (y - 1) % 3 + 1 for x, y in zip(own, partners, strict=True)
        ]
        assert mixed == expected and len(set(expected)) > 2


def test_a_rolled_policy_acts_where_its_replica_plays():
    """Two of its replicas have other numbers; each sees, and remembers, the game it plays in."""

    class Remembering:
        def __init__(self):
            self.seen = torch.zeros(3, 1, 1)

        def __call__(self, step):
            self.seen = self.seen * ~step.first.unsqueeze(-1) + step.reward
            return self.seen * torch.tensor([1, 10, 100]).view(3, 1, 1)

        def value(self, step):
            return step.reward

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    first = torch.tensor([[True], [False], [False]])
    reward = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    step = GameStep(first, reward, reward, first, first)
    rolled = RolledPolicy(Remembering(), 1)
    # Replica 1 plays in the game 0, replica 2 in the game 1, replica 0 in the game 2.
    assert rolled(step).flatten().tolist() == [10, 200, 3]
    state = rolled.state_dict()
    assert rolled(step).flatten().tolist() == [10, 400, 6]
    rolled.load_state_dict(state)
    assert rolled(step).flatten().tolist() == [10, 400, 6]
    assert rolled.value is not None and torch.equal(rolled.value(step), reward)
    assert RolledPolicy(Counting(1), 1).value is None


def test_random_numbers_belong_to_the_replica_of_the_game():
    asked = []

    class Learner:
        def policy(self, explore, seeds):
            asked.append(list(seeds))
            return Counting(1)

    Team([Player(Learner(), None, 1)], [0, 0]).policy(explore=False, seeds=[3, 4, 5])
    # Its replica 1 plays in the game 0, whose seed is 3.
    assert asked == [[5, 3, 4]]


def test_a_rotation_needs_guests_and_stays_below_the_number_of_replicas(tmp_path, capsys):
    host = steady(tmp_path / "host")
    with pytest.raises(ValueError, match=r"^rotate=1: expected agents.NAME=RUN beside it$"):
        evaluate(host, rotate=1)
    guests = {"left": Guest(host)}
    with pytest.raises(
        ValueError, match=r"^rotate=2: expected int \[0, 1\], for the run has 2 replicas$"
    ):
        evaluate(host, guests=guests, rotate=2)
    evaluate(host, guests=guests, rotate=1)
    assert f"elsewhere: agents.left={host}, rotate=1\n" in capsys.readouterr().err


def test_a_checkpoint_of_a_guest_can_be_named(tmp_path, capsys):
    host = steady(tmp_path / "host")
    file = tmp_path / "host/checkpoints/step_0.pt"
    evaluate(host, guests={"left": Guest(host, str(file))})
    assert f"elsewhere: agents.left={file}\n" in capsys.readouterr().err


def test_bad_guests_are_named_in_one_line(tmp_path):
    host = steady(tmp_path / "host")
    walk = {"_target_": "runner.fakes.Walk", "num_envs": 1}
    more = trained(tmp_path / "more", STEADY, walk, replicas=3)
    game = trained(tmp_path / "game", RANDOM, stored("matrix_game"))
    bare = steady(tmp_path / "bare")
    shutil.rmtree(bare / "checkpoints")
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, guest, expected in (
        ("rihgt", host, "no such agent, expected left | right; did you mean right?"),
        ("left", more, f"has 3 replicas, expected 2, as run={host} has"),
        (
            "left",
            game,
            "the game has the agents left, right, the policy was trained with agent_0, agent_1",
        ),
        ("left", bare, f"checkpoint=best: no such checkpoint in {bare}/checkpoints"),
        ("left", empty, f"run={empty}: expected a run directory, there is no config.yaml"),
    ):
        with pytest.raises(ValueError) as refusal:
            evaluate(host, guests={name: Guest(guest)})
        assert str(refusal.value) == f"agents.{name}={guest}: {expected}"


def test_a_guest_from_a_stranger_runs_no_code(tmp_path):
    host = trained(tmp_path / "host", RANDOM, stored("matrix_game"))
    guest = trained(tmp_path / "guest", STEADY, stored("matrix_game"))
    with pytest.raises(
        ValueError, match=r"agent_0=\S+: algo._target_=runner.fakes.Steady: expected"
    ):
        evaluate(host, plugins=[], guests={"agent_0": Guest(guest)})
