"""Under ma_airl's rules whole episodes are those of an oracle in NumPy, whatever is played."""

import pytest
import torch
from envs.games import make
from envs.ma_airl_oracle import HORIZON, SCENARIOS

COPIES, EPISODES = 6, 5


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def begin(env, generator):
    """Begin with a crowd in copies 0 and 1, at speed in 2 and 3, with landmarks near in 4 and 5."""
    env.reset()
    world, num_agents = env.world, env.spec.num_agents
    world.position[..., :2] *= torch.tensor([0.05, 0.2])
    fast = world.velocity[..., 2:4]
    fast.copy_(torch.rand(fast.shape, generator=generator) * 8 - 4)
    for landmark in range(num_agents, world.rows.num_placed):
        agent = (landmark - 1) % num_agents
        world.position[:, landmark, 4:] = world.position[:, agent, 4:] + 0.05
    if len(world.marks):  # the goal lies on its landmark
        places = world.position[:, num_agents : world.rows.num_placed]
        world.position[:, -1] = (places * world.marks).sum(1)
    world.measure()


def oracle(name, env, copy):
    """Return the oracle that begins as a copy of ours."""
    world, num_agents = env.world, env.spec.num_agents
    places, velocity = world.position[..., copy].T.numpy(), world.velocity[..., copy].T.numpy()
    velocities = torch.zeros(num_agents, 2).numpy()
    velocities[world.rows.movers.start :] = velocity
    goal = int(world.marks[:, copy].argmax()) if len(world.marks) else None
    landmarks = places[num_agents : world.rows.num_placed]
    return SCENARIOS[name](places[:num_agents], landmarks, velocities, goal)


@pytest.mark.parametrize(
    ("name", "sizes", "num_actions", "covers"),
    [
        ("spread", (16, 16, 16), (5, 5, 5), (True, True, True)),
        ("speaker_listener", (3, 11), (3, 5), (False, True, True)),
        ("push", (10, 19), (5, 5), (True, True, False)),
    ],
)
def test_whole_episodes(name, sizes, num_actions, covers, float64):
    """`covers` says whether touches, speeds of 2 or more and early ends are among them."""
    generator = torch.Generator().manual_seed(1)
    env = make(name, rules="ma_airl", num_envs=COPIES)
    assert (env.spec.obs_sizes, env.spec.num_actions) == (sizes, num_actions)
    touched, fast, early = 0, 0, 0
    for _ in range(EPISODES):
        begin(env, generator)
        running = {copy: oracle(name, env, copy) for copy in range(COPIES)}
        for time in range(1, HORIZON + 1):
            touched += int(env.world.overlap().sum(0).count_nonzero())
            columns = [torch.randint(n, (1, COPIES), generator=generator) for n in num_actions]
            action = torch.stack(columns, -1)
            step = env.step(action)
            for copy, world in list(running.items()):
                seen, paid, ended = world.step(action[0, copy].tolist())
                expected = torch.zeros(len(sizes), max(sizes))
                for row, numbers in zip(expected, seen, strict=True):
                    row[: len(numbers)] = torch.tensor(numbers)
                torch.testing.assert_close(step.obs[0, copy], expected, rtol=0, atol=1e-9)
                torch.testing.assert_close(
                    step.reward[0, copy], torch.tensor(paid), rtol=0, atol=1e-9
                )
                assert step.terminated[0, copy] == ended
                assert step.truncated[0, copy] == (time == HORIZON and not ended)
                if ended:
                    early += 1
                    del running[copy]
            fast += int((env.world.velocity.norm(dim=0) > 2 - 1e-9).sum())
    assert (touched > 5, fast > 5, early > 1) == covers
