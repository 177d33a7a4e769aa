"""Algorithm 1: numbers by hand, its order, the central counterpart, episodes, replicas, resume."""

import copy
import math

import pytest
import torch
from algos.networked import (
    PAPER,
    SPEC,
    TEAM,
    TWO,
    VARIANTS,
    actions,
    check_alone_in_company,
    complete,
    learner,
    network,
    step,
    ticks,
    weights,
)
from envs.games import make

from marlrun.runner.loop import online
from marlrun.types import Spec

NAME = "networked_ac_q"
FIXED = TEAM | {
    "steps.critic": 0.1,
    "steps.critic_power": 0.0,
    "steps.actor": 0.01,
    "steps.actor_power": 0.0,
}
CENTRAL = {"mixing.communication": "central"}
EPISODIC = Spec(2, ("a", "b"), (2, 2), (2, 2), 7, 1.0, num_states=2)


def by_hand(**changes):
    """A learner whose features are (1{s = 0}, a^0 - .5, a^1 - .5), with numbers set by hand."""
    made = learner(NAME, network(TWO), **(FIXED | changes))
    made.critic.parameters.copy_(torch.tensor([[[0.2, 0.4, -0.6], [0.0, 0.2, 0.2]]]))
    made.actor.parameters[0, 0, 0] = math.log(3)  # pi^0(1 | s = 0) = .75; the others are .5
    made.average.copy_(torch.tensor([[0.5, 0.0]]))
    return made


def test_one_step_by_hand():
    made = by_hand()
    after = step(1, reward=(1.0, 2.0))
    made.observe(step(0, first=True), actions(1, 0), after)
    assert made.update() == {}
    made.observe(after, actions(1, 1), step(0))
    metrics = made.update()
    # phi = (1, .5, -.5) and then (0, .5, .5):
    # Q = .7 and 0, next -.1 and .2, delta = 1 - .5 - .1 - .7 = -.3 and 2 - 0 + .2 - 0 = 2.2
    torch.testing.assert_close(metrics["q/taken"], torch.tensor([[0.7, 0.0]]))
    torch.testing.assert_close(metrics["loss/td"], torch.tensor([[0.09, 4.84]]))
    # w~ = w + .1 delta phi = (.17, .385, -.585) and (.22, .31, .09), then mixed
    expected = [[0.1825, 0.36625, -0.41625], [0.2075, 0.32875, -0.07875]]
    torch.testing.assert_close(made.critic.parameters[0], torch.tensor(expected))
    torch.testing.assert_close(made.average, torch.tensor([[0.55, 0.2]]))
    # A^0 = .7 - (.25 * .3 + .75 * .7) = .1; score of its logit 1 - .75; A^1 = 0 - .5 * .2; score -.5
    theta = [[math.log(3) + 0.01 * 0.1 * 0.25, 0.0], [0.01 * -0.1 * -0.5, 0.0]]
    torch.testing.assert_close(made.actor.parameters[0], torch.tensor(theta))


def test_the_wrong_orders_give_other_numbers():
    """What `test_one_step_by_hand` would be with three mistakes that public code makes."""
    right = torch.tensor([[0.1825, 0.36625, -0.41625], [0.2075, 0.32875, -0.07875]])
    w = torch.tensor([[0.2, 0.4, -0.6], [0.0, 0.2, 0.2]])
    moves = torch.tensor([[-0.03], [0.22]]) * torch.tensor([1.0, 0.5, -0.5])
    mix = torch.tensor(TWO)
    combine_first = mix @ w + moves
    gauss_seidel = (w + moves).clone()
    for agent in range(2):
        gauss_seidel[agent] = mix[agent] @ gauss_seidel
    increments = w + mix @ moves
    torch.testing.assert_close(mix @ (w + moves), right)
    for wrong in (combine_first, gauss_seidel, increments):
        assert (wrong - right).abs().max() > 0.01
    made = by_hand(**{"mixing.message": "increments"})
    after = step(1, reward=(1.0, 2.0))
    made.observe(step(0), actions(1, 0), after)
    made.update()
    made.observe(after, actions(1, 1), step(0))
    made.update()
    torch.testing.assert_close(made.critic.parameters[0], increments)


def test_mu_may_have_a_step_size_of_its_own():
    critics = []
    for changes in ({}, {"steps.average": 0.5}):
        made = by_hand(**changes)
        made.observe(step(0, first=True), actions(1, 0), step(1, reward=(1.0, 2.0)))
        made.update()
        made.observe(step(1), actions(1, 1), step(0))
        made.update()
        critics.append(made.critic.parameters.clone())
    torch.testing.assert_close(made.average, torch.tensor([[0.75, 1.0]]))
    assert torch.equal(*critics)


def td_of(made, after, next_before, next_action):
    """Return the squared TD error of (0, (1, 0), after), when `next_action` follows."""
    made.observe(step(0), actions(1, 0), after)
    made.update()
    made.actor.parameters.fill_(-50.0)  # too late for what has been drawn
    made.observe(next_before, next_action, step(0))
    return made.update()["loss/td"].flatten().tolist()


def test_at_the_end_of_an_episode_actions_are_drawn_but_not_taken():
    last = step(1, reward=(1.0, 2.0), truncated=True)
    made = by_hand(spec=EPISODIC)
    made.actor.parameters[..., 1] = 50.0  # in the last state both would take action 1
    # As by hand: bootstrap from Q(s', (1, 1)), whatever the next episode begins with.
    assert td_of(made, last, step(0, first=True), actions(0, 0)) == pytest.approx([0.09, 4.84])
    made.actor.parameters.zero_()
    other = by_hand(spec=EPISODIC)
    other.actor.parameters[..., 1] = -50.0
    # Q(s', (0, 0)) = .1 and -.2: delta = .5 + .1 - .7 and 2 - .2
    found = td_of(other, last, step(0, first=True), actions(1, 1))
    assert found == pytest.approx([0.01, 3.24], abs=1e-6)


def test_where_the_task_ended_there_is_no_bootstrap():
    last = step(1, reward=(1.0, 2.0), terminated=True)
    found = td_of(by_hand(spec=EPISODIC), last, step(0, first=True), actions(1, 1))
    assert found == pytest.approx([0.04, 4.0])


def test_in_a_continuing_task_a_truncation_is_a_mark():
    marked = step(1, reward=(1.0, 2.0), truncated=True)
    found = td_of(by_hand(), marked, marked._replace(first=marked.truncated), actions(1, 1))
    assert found == pytest.approx([0.09, 4.84])


@pytest.mark.parametrize("spec", [SPEC, EPISODIC], ids=["continuing", "episodic"])
def test_a_game_that_was_reset_on_resume_leaves_no_transition_unfinished(spec):
    """Its next action was never played: that of the new episode's first state is another's."""
    interrupted = by_hand(spec=spec)
    interrupted.observe(step(0), actions(1, 0), step(1, reward=(1.0, 2.0)))
    interrupted.update()
    resumed = by_hand(spec=spec)
    resumed.load_state_dict(copy.deepcopy(interrupted.state_dict()))
    resumed.observe(step(0, first=True), actions(0, 1), step(1))
    assert resumed.update() == {} and resumed.updates == 0
    resumed.observe(step(1), actions(1, 1), step(0))
    assert resumed.update() and resumed.updates == 1


@pytest.mark.parametrize("first", [False, True])
def test_a_game_that_goes_on_after_resume_finishes_the_transition(first):
    interrupted = by_hand()
    interrupted.observe(step(0), actions(1, 0), step(1, truncated=first))
    interrupted.update()
    resumed = by_hand()
    resumed.load_state_dict(copy.deepcopy(interrupted.state_dict()))
    resumed.observe(step(1, first=first), actions(0, 1), step(1))
    assert resumed.update() and resumed.updates == 1


def test_the_old_theta_draws_the_next_action():
    env = make("public_goods", 3, 4)
    made = learner(NAME, complete(6, 2), env.spec, (3, 4), **TEAM)
    policy, drawn_with, compared = made.policy(True, (3, 4)), [], []

    def watching(seen):
        drawn_with.append(made.actor.parameters.clone())
        return policy(seen)

    learn = made._learn_from

    def watched(waiting, next_action):
        compared.append(torch.equal(made.actor.parameters, drawn_with[-1]))
        return learn(waiting, next_action)

    made._learn_from = watched
    for _, _tick in zip(range(50), online(made, env, watching, env.reset()), strict=False):
        pass
    assert len(compared) == 49 and all(compared)
    assert not torch.equal(drawn_with[-1], drawn_with[-2])


@pytest.mark.parametrize("game", ["public_goods", "networked_mdp"])
@pytest.mark.parametrize("settings", [PAPER, TEAM], ids=["random", "team"])
def test_complete_averaging_is_the_central_run(game, settings):
    """Claim 2f: C = 11'/N, a linear critic and equal starts equal one controller with the mean reward.

    Let all w^i = w, and write bar for the mean over agents. Then delta^i = r^i - mu^i + Q' - Q with
    the same Q' and Q for all, and the mixed critic is the same for all:
    w+ = (1/N) sum_i (w + b delta^i phi) = w + b (rbar - mubar + Q' - Q) phi.
    mubar+ = (1 - b) mubar + b rbar, so mubar is the central mu, and w+ the central critic; equal
    critics give equal advantages, hence equal policies, hence (same random numbers) the same
    trajectory. Only each mu^i differs from the central one. That needs delta linear in r^i, and a
    gradient phi that is the same for all agents: a linear critic.
    """
    seeds = (3, 4)
    graph, _ = ticks(NAME, complete(4, 2), seeds, 300, game, **settings)
    central, _ = ticks(NAME, complete(4, 2), seeds, 300, game, **settings | CENTRAL)
    torch.testing.assert_close(graph.critic.parameters, central.critic.parameters)
    torch.testing.assert_close(graph.actor.parameters, central.actor.parameters)
    mean = graph.average.mean(-1, keepdim=True).expand(-1, 4)
    torch.testing.assert_close(mean, central.average)
    assert (graph.average - central.average).abs().min() > 1e-4
    assert graph.critic.parameters.abs().max() > 0.1
    alone, _ = ticks(NAME, network(torch.eye(4), 2), seeds, 300, game, **settings)
    assert (alone.critic.parameters - central.critic.parameters).abs().max() > 0.1


def test_consensus_makes_a_team_of_selfish_learners():
    """Claim 2e in small: contributing pays the others, so only who hears their rewards does it."""
    seeds = range(8)
    team, _ = ticks(NAME, complete(4, 8), seeds, 1500, **TEAM)
    alone, _ = ticks(NAME, network(torch.eye(4), 8), seeds, 1500, **TEAM)
    contributions = [made.actor.table()[..., 1].mean() for made in (team, alone)]
    assert contributions[0] > 0.5 > 0.35 > contributions[1]
    gain = (team.average - alone.average).mean(1)
    assert (gain > 0).all()


def test_time_varying_graphs_are_drawn_once_a_round():
    pair = torch.eye(4)
    pair[:2, :2] = 0.5
    made, _ = ticks(
        NAME,
        network(torch.stack((torch.eye(4), pair))),
        (3,),
        9,
        **TEAM | {"mixing.interval": 2, "mixing.rounds": 3},
    )
    assert made.updates == 8
    assert made.consensus._graph.counter == 4 * 3


def test_directed_graphs_learn_by_push_sum():
    ring = torch.eye(4).roll(1, 0) / 2 + torch.eye(4) / 2
    ring[:, 0] = torch.tensor([1 / 3, 1 / 3, 1 / 3, 0.0])
    made, _ = ticks(NAME, network(ring, push_sum=True), (3,), 2000, **TEAM)
    w = made.critic.parameters
    assert (w - w.mean(1, keepdim=True)).abs().max() < 0.05 * w.abs().max()
    central, _ = ticks(NAME, network(ring, push_sum=True), (3,), 2000, **TEAM | CENTRAL)
    assert central.consensus.weights is not None
    assert (central.consensus.weights == 1).all()


def test_metrics():
    made, loop = ticks(NAME, complete(4, 2), (3, 4), 17, **TEAM)
    metrics = made._metrics(torch.ones(2, 4), torch.zeros(2, 4))
    assert {tag: tuple(value.shape) for tag, value in metrics.items()} == {
        "loss/td": (2, 4),
        "q/taken": (2, 4),
        "value/average_reward": (2, 4),
        "consensus/disagreement": (2,),
        "step/critic": (2,),
        "step/actor": (2,),
    }
    assert metrics["step/actor"].tolist() == pytest.approx([5 / 16**0.85] * 2)
    assert "step/actor" not in next(loop).metrics


@pytest.mark.parametrize("game", ["public_goods", "meeting_grid"])
@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_resume_is_the_same_run(settings, game):
    if game == "meeting_grid":
        settings = settings | {
            "critic.features": "local",
            "policy.kind": "neural",
            "mixing.aggregate": "mean",
        }
    num_agents = 2 if game == "meeting_grid" else 4
    graph = complete(num_agents, 2)
    # In meeting_grid, step 20 ends an episode.
    one, loop = ticks(NAME, graph, (3, 4), 20, game, **settings)
    env = make(game, 3, 4, **({} if num_agents == 2 else {"num_agents": 4}))
    other = learner(NAME, complete(num_agents, 2), env.spec, (3, 4), **settings)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    before = one._now[2]
    transitions = []
    observe = one.observe
    one.observe = lambda *seen: (transitions.append(seen), observe(*seen))
    for _ in range(45):
        next(loop)
    assert before is not None
    for seen in transitions:
        other.observe(*seen)
        other.update()
    assert all(map(torch.equal, weights(one), weights(other)))
    assert one.clock == other.clock == 65


# Sizes that fill no vector: a sum's order must not depend on the number of rows.
@pytest.mark.parametrize("size", [3, 4, 5, 6, 7, 33])
@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_a_replica_is_alone_in_company(settings, size):
    check_alone_in_company(NAME, size, settings | {"mixing.tolerate": 1 if size > 3 else 0})


def test_several_copies_are_refused():
    with pytest.raises(ValueError, match="^env.num_envs=2: expected 1"):
        learner(NAME, network(TWO), SPEC, num_envs=2)
