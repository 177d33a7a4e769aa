"""Under mpe2's rules our particle worlds are mpe2's: same start, same actions, same everything."""

import pytest
import torch
from envs.games import make
from envs.mpe2_reference import Reference

CASES = [
    ("spread", {}, {}),
    ("spread", {"num_agents": 5, "local_ratio": 0.2}, {"N": 5, "local_ratio": 0.2}),
    ("spread", {"early_end": True}, {"terminate_on_success": True}),
    ("speaker_listener", {}, {}),
    ("push", {}, {}),
    ("tag", {}, {}),
    (
        "tag",
        {"num_good": 2, "num_adversaries": 4, "num_obstacles": 3, "early_end": True},
        {"num_good": 2, "num_adversaries": 4, "num_obstacles": 3, "terminate_on_success": True},
    ),
    ("adversary", {}, {}),
    ("adversary", {"num_good": 4}, {"N": 4}),
]
pytestmark = pytest.mark.parametrize(
    ("name", "ours", "theirs"), CASES, ids=[f"{name}-{','.join(keys)}" for name, keys, _ in CASES]
)
COPIES, EPISODES = 4, 10


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def crowd(env, generator):
    """Move all bodies of half of the copies to a small place, so that they collide."""
    world = env.world
    crowded = slice(0, COPIES // 2)
    place = world.position[..., crowded]
    place.mul_(0.15).add_(torch.rand(place.shape, generator=generator) * 0.02)
    if len(world.marks):  # the goal lies on its landmark
        goal = world.marks[:, crowded].argmax(0)
        first = len(world.agents)
        for copy, index in enumerate(goal.tolist()):
            place[:, -1, copy] = place[:, first + index, copy]
    world.measure()


def draw(env, generator):
    """Draw actions; most of those that move push to the middle, where all meet."""
    world, counts = env.world, env.spec.num_actions
    columns = [torch.randint(count, (COPIES,), generator=generator) for count in counts]
    for number in world.rows.movers:
        axis = torch.randint(2, (COPIES,), generator=generator)
        place = world.position[:, number, :COPIES].gather(0, axis.unsqueeze(0))[0]
        inwards = 1 + 2 * axis + (place < 0)
        is_random = torch.rand(COPIES, generator=generator) < 0.3
        columns[number] = torch.where(is_random, columns[number], inwards)
    return torch.stack(columns, -1).unsqueeze(0)


def test_names_and_sizes(name, ours, theirs):
    env, reference = make(name, **ours), Reference(name, **theirs)
    spec, parallel = env.spec, reference.parallel
    assert list(spec.agent_names) == reference.names
    assert list(spec.obs_sizes) == [parallel.observation_space(a).shape[0] for a in reference.names]
    assert list(spec.num_actions) == [parallel.action_space(a).n for a in reference.names]
    assert spec.horizon == 25


def test_whole_episodes_in_float64(name, ours, theirs, float64):
    generator = torch.Generator().manual_seed(1)
    env = make(name, num_envs=COPIES, **ours)
    references = [Reference(name, **theirs) for _ in range(COPIES)]
    size, touched, ended = max(env.spec.obs_sizes), 0, 0
    for _ in range(EPISODES):
        env.reset()
        crowd(env, generator)
        for copy, reference in enumerate(references):
            reference.begin()
            reference.write(env.world, copy)
        running = set(range(COPIES))
        for _ in range(env.spec.horizon):
            action = draw(env, generator)
            step = env.step(action)
            contacts = len(env.world.contacts)
            close = env.world.distance[:contacts, :COPIES] < env.world.reach
            touched += int(close.any(0).sum())
            for copy in sorted(running):
                reward, terminated, truncated = references[copy].step(action[0, copy])
                torch.testing.assert_close(
                    step.obs[0, copy], references[copy].observe(size), rtol=0, atol=1e-9
                )
                torch.testing.assert_close(step.reward[0, copy], reward, rtol=0, atol=1e-9)
                assert bool(step.done[0, copy]) == (terminated or truncated)
                if not truncated:
                    assert bool(step.terminated[0, copy]) == terminated
                if terminated:
                    running.discard(copy)
                    ended += 1
        assert step.done[0, list(running)].all()
    if env.world.contacts:
        assert touched > 40
    assert (ended > 0) == ours.get("early_end", False)


def test_single_steps_in_float32(name, ours, theirs):
    generator = torch.Generator().manual_seed(2)
    env = make(name, num_envs=COPIES, **ours)
    reference = Reference(name, max_cycles=10**6, **theirs)
    size = max(env.spec.obs_sizes)
    for _ in range(2):
        env.reset()
        crowd(env, generator)
        for _ in range(env.spec.horizon):
            before = env.world.state.clone()
            action = draw(env, generator)
            step = env.step(action)
            after = env.world.state.clone()
            for copy in range(COPIES):
                env.world.state.copy_(before)
                reference.begin()
                reference.write(env.world, copy)
                reward, *_ = reference.step(action[0, copy])
                expected = reference.observe(size).float()
                torch.testing.assert_close(step.obs[0, copy], expected, rtol=1e-4, atol=1e-4)
                torch.testing.assert_close(
                    step.reward[0, copy], reward.float(), rtol=1e-4, atol=1e-4
                )
            env.world.state.copy_(after)
