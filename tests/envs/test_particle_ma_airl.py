"""Under ma_airl's rules our particle worlds are those in which the authors of MA-AIRL measured.

Numbers are worked by hand from the formulas of the authors' code (ermongroup/MA-AIRL at e2a5867), and
returns of random and scripted play were measured on it.
"""

from itertools import permutations

import pytest
import torch
from envs.games import make


def placed(name, *places, velocity=(), goal=0, **changes):
    """Return a game with rules ma_airl, whose bodies were put to these places."""
    env = make(name, **({"rules": "ma_airl"} | changes))
    env.reset()
    world = env.world
    if len(world.marks):
        places = (*places, places[len(world.agents) + goal])
        world.marks[:, 0] = torch.eye(len(world.marks))[goal]
    world.position[:, :, 0] = torch.tensor(places).T
    if velocity:
        world.velocity[:, :, 0] = torch.tensor(velocity).T
    world.measure()
    return env


def played(env, *action):
    return env.step(torch.tensor([[action]]))


def seen(env, agent):
    return env._observe()[0, 0, agent, : env.spec.obs_sizes[agent]].tolist()


def approx(*numbers):
    return pytest.approx(list(numbers), abs=1e-6)


FAR = (0.0, 0.0), (3.0, 3.0), (6.0, 6.0), (9.0, 9.0), (9.0, 9.0), (9.0, 9.0)
"""Three agents of spread apart from each other, and landmarks apart from them."""


@pytest.mark.parametrize(
    ("rules", "speed", "place"), [("ma_airl", 1.25, 0.125), ("mpe2", 0.25, 0.1)]
)
def test_integration(rules, speed, place):
    """v = .75 v + 5 * .1, then x += .1 v; of mpe2 x first. Action 1 is +x, of mpe2 -x."""
    env = placed("spread", *FAR, velocity=[(1.0, 0), (0, 0), (0, 0)], rules=rules)
    played(env, 1, 0, 0)
    assert env.world.velocity[:, 0, 0].tolist() == approx(speed, 0)
    assert env.world.position[:, 0, 0].tolist() == approx(place, 0)


def test_directions_of_actions():
    pushes = {}
    for action in range(5):
        env = placed("spread", *FAR)
        played(env, action, 0, 0)
        pushes[action] = env.world.velocity[:, 0, 0].mul(2).round().long().tolist()
    assert pushes == {0: [0, 0], 1: [1, 0], 2: [-1, 0], 3: [0, 1], 4: [0, -1]}


def test_contact_mass_and_maximal_speed_of_push():
    """Discs of .05 at a distance of .05 push with 100 * .05 = 5; the adversary has a mass of 5."""
    still = placed("push", (0.0, 0.0), (0.05, 0.0), (1.0, 1.0), (-1.0, 1.0))
    played(still, 0, 0)
    assert still.world.velocity[:, 0, 0].tolist() == approx(-0.1, 0)
    assert still.world.velocity[:, 1, 0].tolist() == approx(0.5, 0)
    # .75 (2, 1.5) + (.5, 0) = (2, 1.125), which is faster than 2.
    fast = placed(
        "push", (0.0, 0.0), (5.0, 5.0), (1.0, 1.0), (1.0, 0.0), velocity=[(0, 0), (2.0, 1.5)]
    )
    played(fast, 0, 1)
    scale = 2 / (2**2 + 1.125**2) ** 0.5
    assert fast.world.velocity[:, 1, 0].tolist() == approx(2 * scale, 1.125 * scale)
    assert fast.world.position[:, 1, 0].tolist() == approx(5 + 0.2 * scale, 5 + 0.1125 * scale)


SPREAD = (0.0, 0.0), (0.2, 0.0), (1.0, 1.0), (0.0, 0.3), (0.2, 0.0), (1.0, 0.0)
"""The ways to the landmarks are .3, 0 and .8; agents 0 and 1 overlap by .1."""


def test_reward_of_spread():
    """3 * -1.1, -.3 for each agent's overlap with itself, -.1 for each of two that overlap."""
    reward, _ = placed("spread", *SPREAD)._outcome()
    assert reward[:, 0].tolist() == approx(-3 * 1.1 - 3 * 0.3 - 2 * 0.1)
    reward, _ = placed("spread", *SPREAD, rules="mpe2")._outcome()
    assert reward[:, 0].tolist() == approx(-1.05, -1.05, -0.55)
    assert played(placed("spread", *FAR), 0, 0, 0).reward.shape == (1, 1, 3)


def test_observation_of_spread_has_no_position():
    env = placed("spread", *SPREAD, velocity=[(0, 0), (0.5, 0.25), (0, 0)])
    landmarks, others = (-0.2, 0.3, 0, 0, 0.8, 0), (-0.2, 0, 0.8, 1)
    assert seen(env, 1) == approx(0.5, 0.25, *landmarks, *others, 0, 0, 0, 0)
    assert env.spec.obs_sizes == (16, 16, 16) and env.spec.horizon == 50


@pytest.mark.parametrize(("way", "ends"), [(0.0999, True), (0.1001, False)])
def test_early_end_of_spread(way, ends):
    """Each landmark has an agent within .1; one agent may have two."""
    env = placed("spread", (0, 0), (2, 2), (5.0, 5.0), (0, way), (way, 0), (2.0, 2 + way))
    after = played(env, 0, 0, 0)
    assert after.terminated.item() == ends and not after.truncated.item()


@pytest.mark.parametrize(("way", "ends"), [(0.0349, True), (0.0351, False)])
def test_early_end_of_speaker_listener(way, ends):
    env = placed("speaker_listener", (1, 1), (0.0, 0.0), (0, way), (1, 1), (0, 0))
    assert played(env, 0, 0).terminated.item() == ends


def test_speaker_listener():
    """Both get twice -.5; the speaker sees the colour of the goal; a word is heard at once."""
    env = placed("speaker_listener", (2, 2), (0.0, 0.0), (1, 1), (0.3, 0.4), (-1, 0), goal=1)
    assert seen(env, 0) == approx(0.15, 0.65, 0.15)
    after = played(env, 2, 0)
    assert after.reward.flatten().tolist() == approx(-1, -1)
    heard = [0, 0, 1, 1, 0.3, 0.4, -1, 0, 0, 0, 1]
    assert after.obs[0, 0, 1].tolist() == approx(*heard)
    assert not after.obs[0, 0, 0, 3:].any()
    assert (env.spec.obs_sizes, env.spec.num_actions) == ((3, 11), (3, 5))


def test_push():
    """The goal is landmark 1, .5 from the good agent and 1 from the adversary."""
    env = placed("push", (1.0, 0.4), (0.3, 0.0), (0.5, 0.0), (0, 0.4), goal=1)
    reward, ended = env._outcome()
    assert reward[:, 0].tolist() == approx(0.5 - 1, -0.5) and ended is None
    goal, landmarks = (-0.3, 0.4), (0.2, 0, -0.3, 0.4)
    own_colour, colours = (0.25, 0.25, 0.75), (0.1, 0.9, 0.1, 0.1, 0.1, 0.9)
    good = (0, 0, *goal, *own_colour, *landmarks, *colours, 0.7, 0.4)
    assert seen(env, 1) == approx(*good)
    assert seen(env, 0) == approx(0, 0, -1, 0, -0.5, -0.4, -1, 0, -0.7, -0.4)


def returns(env, act, seed=0):
    """Return each copy's return of its first episode [E, N]."""
    generator = torch.Generator().manual_seed(seed)
    step, running, total = env.reset(), 1.0, 0.0
    for _ in range(env.spec.horizon):
        after = env.step(act(step, generator))
        total = total + running * after.reward[0]
        running = running * (~after.done[0]).float().unsqueeze(-1)
        step = env.restart(after)
    return total


def at_random(env):
    def act(step, generator):
        shape = step.reward.shape[:2]
        columns = [torch.randint(n, shape, generator=generator) for n in env.spec.num_actions]
        return torch.stack(columns, -1)

    return act


@pytest.mark.parametrize(
    ("name", "published", "error"),
    [
        ("spread", [-384.8] * 3, 2.2),
        ("speaker_listener", [-126.3] * 2, 1.3),
        ("push", [11.8, -59.5], 0.5),
    ],
)
def test_returns_of_random_play(name, published, error):
    env = make(name, rules="ma_airl", num_envs=4000)
    total = returns(env, at_random(env))
    own_error = total.std(0) / 4000**0.5
    limit = 3 * (own_error.square() + error**2).sqrt()
    assert ((total.mean(0) - torch.tensor(published)).abs() < limit).all()


def straight(step, _):
    """Drive to the landmarks in the way that is shortest in sum.

    How the measured script braked is not known. A brake of .35 is the one number here that was
    chosen so that two others come out.
    """
    obs = step.obs[0]
    velocity, ways = obs[..., :2], obs[..., 2:8].unflatten(-1, (3, 2))
    orders = torch.tensor(list(permutations(range(3))))
    sums = ways.norm(dim=-1)[:, torch.arange(3), orders].sum(-1)
    landmark = orders[sums.argmin(1)]
    way = ways.gather(2, landmark[..., None, None].expand(-1, -1, 1, 2)).squeeze(2)
    rest = way - 0.35 * velocity
    axis = rest.abs().argmax(-1)
    is_negative = rest.gather(-1, axis.unsqueeze(-1)).squeeze(-1) < 0
    return (1 + 2 * axis + is_negative).unsqueeze(0)


@pytest.mark.parametrize(("early_end", "published"), [(None, -51.9), (False, -100.4)])
def test_returns_of_driving_straight(early_end, published):
    env = make("spread", rules="ma_airl", num_envs=4000, early_end=early_end)
    assert returns(env, straight)[:, 0].mean().item() == pytest.approx(published, abs=1)
