"""The joint learner: a team as one agent, by hand; small games learned to their exact optimum."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from envs.games import make

from marlrun.algos import joint_q
from marlrun.algos.dec_hdrqn import DecHDRQN, DecHDRQNSettings
from marlrun.algos.joint_q import JointQ, Team
from marlrun.exact import target_capture
from marlrun.runner.evaluate import play
from marlrun.runner.loop import online
from marlrun.runner.plays import BLOCK
from marlrun.types import Env, Spec, Step

CPU = torch.device("cpu")
CONF = Path(__file__).parents[2] / "conf/algo"
SPEC = Spec(2, ("a", "b"), (1, 3), (2, 3), horizon=6, discount=1.0)
TEAM = Team(SPEC, CPU)
SMALL = {"sizes": [8, 8, 8, 8], "batch": 8, "trace": 1, "episodes": 40, "learning_starts": 1}
CLIMB = {
    "sizes": [16, 16, 16, 16],
    "trace": 1,
    "learning_starts": 200,
    "update_every": 2,
    "target_every": 100,
    "epsilon_steps": 1500,
    "eval_epsilon": 0.0,
}


def settings(**changes: Any) -> DecHDRQNSettings:
    keys = yaml.safe_load((CONF / "dec_hdrqn.yaml").read_text()) | {"beta": 1.0}
    del keys["_target_"]
    return DecHDRQNSettings(**(keys | changes))


def joint(spec: Spec, seeds, max_joint_actions: int = 1000, **changes: Any) -> JointQ:
    keys = {"num_envs": 1, "max_joint_actions": max_joint_actions}
    return JointQ(spec, seeds, CPU, settings=settings(**changes), **keys)


def learn(learner: JointQ | DecHDRQN, env: Env, seeds, steps: int) -> list[torch.Tensor]:
    """Let a learner play and learn; return what was observed."""
    loop = online(learner, env, learner.policy(True, seeds), env.reset())
    return [tick.after.obs for tick in islice(loop, steps)]


def step(obs: torch.Tensor, reward: torch.Tensor, mask: torch.Tensor | None = None) -> Step:
    """A step of one replica and one copy."""
    no = torch.zeros(1, 1, dtype=torch.bool)
    return Step(no, obs[None, None], reward[None, None], no, no, action_mask=mask)


def test_a_joint_action_is_a_number_whose_digits_are_the_agents_actions():
    assert TEAM.spec.num_actions == (6,) and TEAM.spec.obs_sizes == (4,)
    every = TEAM.actions(torch.arange(6).unsqueeze(-1))
    assert every.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert TEAM.joint_action(every).squeeze(-1).tolist() == list(range(6))


def test_what_the_team_sees_by_hand():
    obs = torch.tensor([[1.0, 9.0, 9.0], [2.0, 3.0, 4.0]])
    # Agent a may only take action 1; b may take 0 and 2. a has no third action, whatever is said.
    mask = torch.tensor([[False, True, True], [True, False, True]])[None, None]
    seen = TEAM.step(step(obs, torch.tensor([1.0, 4.0]), mask))
    assert seen.obs.tolist() == [[[[1.0, 2.0, 3.0, 4.0]]]]
    assert seen.reward.tolist() == [[[2.5]]]
    assert seen.action_mask.tolist() == [[[[False, False, False, True, False, True]]]]
    assert TEAM.step(step(obs, torch.zeros(2))).action_mask is None


def test_a_forbidden_part_is_never_played():
    spec = Spec(2, ("a", "b"), (1, 3), (2, 3), 6, 1.0, has_action_mask=True)
    learner = joint(spec, [0], **SMALL)
    for explore in (True, False):
        policy = learner.policy(explore, [0])
        played = set()
        for _ in range(60):
            mask = torch.tensor([[True, True, False], [True, False, True]])[None, None]
            now = step(torch.randn(2, 3), torch.zeros(2), mask)
            action = policy(now)
            assert policy.value(now).shape == (1, 1, 2)
            played.add(tuple(action[0, 0].tolist()))
        assert played <= {(0, 0), (0, 2), (1, 0), (1, 2)}
        assert len(played) == 4 or not explore


def test_a_team_of_one_is_dec_drqn():
    results = []
    for make_learner in (joint, independent):
        env = make("target_capture", 3, num_agents=1, horizon=6, size=3)
        learner = make_learner(env.spec, (3,), **SMALL)
        played = learn(learner, env, (3,), 200)
        results.append((torch.stack(played), learner.state_dict()["online"]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def independent(spec: Spec, seeds, **changes: Any) -> DecHDRQN:
    return DecHDRQN(spec, seeds, CPU, num_envs=1, settings=settings(**changes))


@pytest.mark.usefixtures("one_thread")
def test_a_replica_is_alone_in_company():
    def run(*seeds):
        env = make("target_capture", *seeds, num_agents=2, horizon=6, size=3)
        learner = joint(env.spec, seeds, **SMALL)
        played = torch.stack(learn(learner, env, seeds, 150), 1)
        assert learner.learner.updates > 0
        return played, learner.learner.online

    company = run(3, 4)
    for replica, seed in enumerate((3, 4)):
        for alone, of_all in zip(run(seed), company, strict=True):
            assert torch.equal(alone[0], of_all[replica])
    assert not torch.equal(company[0][0], company[0][1])


def test_metrics_are_the_teams():
    env = make("target_capture", 3, 4, num_agents=2, horizon=6, size=3)
    learner = joint(env.spec, (3, 4), **SMALL)
    loop = online(learner, env, learner.policy(True, (3, 4)), env.reset())
    metrics = next(tick.metrics for tick in loop if tick.metrics)
    assert {tuple(values.shape) for values in metrics.values()} == {(2,)}


@pytest.mark.usefixtures("one_thread")
def test_it_finds_the_optimum_of_climb_where_independent_learners_need_hysteresis():
    """A mate's exploration punishes nobody here: joint action (0, 0) is worth 11 from the first try."""
    seeds, best = range(10), []
    for learner in (joint, independent):
        env = make("matrix_game", *seeds, game="climb")
        team = learner(env.spec, seeds, **CLIMB)
        learn(team, env, seeds, 2500)
        returns = play(make("matrix_game", *seeds, game="climb"), team.policy(False, seeds))
        best.append(int((returns["eval/return_mean"].flatten() == 11).sum()))
    assert best[0] >= 9 and best[1] <= 2


@pytest.mark.usefixtures("one_thread")
def test_it_comes_close_to_the_exact_optimum_of_a_small_target_capture():
    game = {"size": 2, "horizon": 20, "motion": "static"}
    env = make("target_capture", 0, 1, **game)
    learner = joint(env.spec, (0, 1), learning_starts=500, epsilon_steps=4000)
    learn(learner, env, (0, 1), 7000)
    rules = {"num_agents": 2, "targets": "one", "flicker": 0.0, "slip": 0.05, "discount": 0.95}
    optimum = target_capture.solve(num_envs=1, **(rules | game))["optimum"]
    fresh = make("target_capture", 10, 11, num_envs=300, **game)
    returns = play(fresh, learner.policy(False, (10, 11)))["eval/return_mean"].mean(1)
    assert min(returns / optimum) >= 0.9


@pytest.mark.parametrize(
    ("counts", "bound", "message"),
    [
        (
            (5,) * 6,
            10_000,
            r"^algo.max_joint_actions=10000: expected at least 5\^6 = 15,625, the joint actions of "
            "6 agents; fewer agents, or algo=dec_drqn$",
        ),
        ((2, 3, 4), 23, r"^algo.max_joint_actions=23: expected at least 2 x 3 x 4 = 24, the joint"),
        (
            (5,) * 30,
            10**30,
            r"^algo=joint_q with 5\^30 = 931,322,574,615,478,515,625 joint actions, replicas=1: "
            "this takes about [0-9,]+ GB of memory, this machine has ",
        ),
    ],
)
def test_too_many_joint_actions_are_refused_with_their_count(counts, bound, message):
    num_agents = len(counts)
    names = tuple(f"agent_{i}" for i in range(num_agents))
    spec = Spec(num_agents, names, (3,) * num_agents, counts, horizon=40, discount=1.0)
    with pytest.raises(ValueError, match=message):
        joint(spec, [0], bound)


def test_the_values_of_an_evaluation_are_counted(monkeypatch):
    """Of 25 joint actions and two replicas: 1,024 copies' values, each beside a masked one."""
    counted: list[float] = []
    monkeypatch.setattr(joint_q.capacity, "check", lambda size, *_: counted.append(size))
    spec = Spec(2, ("a", "b"), (3, 3), (5, 5), horizon=40, discount=1.0)
    joint(spec, [0, 1], sizes=[8, 8, 8, 8])
    assert counted[0] == 4 * 2 * 25 * (6 * 8 + 2 * 1024)
    assert joint_q.EVALUATED_COPIES == BLOCK == 1024
