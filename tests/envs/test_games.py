"""What every game keeps: shapes, episodes, replicas by themselves, exact continuation."""

import io
from inspect import signature

import pytest
import torch
from envs.games import IDS, PARTICLES, VARIANTS, assert_equal, make, play

from marlrun.envs.common.bounds import observation_bounds

pytestmark = pytest.mark.parametrize(("name", "changes"), VARIANTS, ids=IDS)


def test_steps_have_the_shapes_of_the_spec(name, changes):
    env = make(name, 1, 2, num_envs=4, **changes)
    spec = env.spec
    if name not in PARTICLES:
        assert spec.agent_names == tuple(f"agent_{i}" for i in range(spec.num_agents))
    low, high = observation_bounds(env)
    for step in [env.reset(), *play(env, env.reset(), 8)]:
        assert step.obs.shape == (2, 4, spec.num_agents, max(spec.obs_sizes))
        assert step.reward.shape == (2, 4, spec.num_agents)
        assert step.obs.dtype == step.reward.dtype == torch.float32
        assert ((low <= step.obs) & (step.obs <= high)).all()
        for flag in (step.first, step.terminated, step.truncated):
            assert flag.shape == (2, 4) and flag.dtype == torch.bool
        assert not (step.terminated & step.truncated).any()


def test_the_yaml_lists_every_key_of_the_constructor(name, changes):
    parameters = signature(type(make(name)).__init__).parameters
    keys = {key for key, value in parameters.items() if value.kind == value.KEYWORD_ONLY}
    with pytest.raises(TypeError):
        make(name, unheard_of=1)
    assert "num_envs" in keys and set(changes) <= keys


def test_a_replica_is_the_same_alone_and_in_company(name, changes):
    alone, company = (make(name, *seeds, num_envs=3, **changes) for seeds in ([7], [5, 7, 9]))
    first, firsts = alone.reset(), company.reset()
    assert_equal(firsts, first, replica=1)
    for one, all_of_them in zip(play(alone, first, 150), play(company, firsts, 150), strict=True):
        assert_equal(all_of_them, one, replica=1)


def test_a_seed_is_a_game_of_its_own(name, changes):
    env = make(name, 1, 2, 1, num_envs=2, **changes)
    steps = play(env, env.reset(), 60)
    states = torch.stack([step.obs for step in steps] + [step.obs for step in steps])
    assert torch.equal(states[:, 0], states[:, 2])
    if name != "matrix_game" and changes.get("flicker") != 1:
        assert not torch.equal(states[:, 0], states[:, 1])


@pytest.mark.parametrize("before_restart", [True, False])
def test_continues_bit_for_bit_from_a_saved_state(name, changes, before_restart):
    env = make(name, 3, 4, num_envs=2, **changes)
    after, step = play(env, env.reset(), 1100)[-2:]
    file = io.BytesIO()
    torch.save(env.state_dict(), file)
    expected = play(env, step, 100, start=1100)

    other = make(name, 3, 4, num_envs=2, **changes)
    play(other, other.reset(), 5)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    again = other.restart(after) if before_restart else step
    assert_equal(again, step)
    for one, same in zip(expected, play(other, again, 100, start=1100), strict=True):
        assert_equal(one, same)


def test_the_saved_state_does_not_move_with_the_game(name, changes):
    env = make(name, num_envs=2, **changes)
    step = env.reset()
    saved = env.state_dict()
    expected = play(env, step, 10)
    env.load_state_dict(saved)
    for one, same in zip(expected, play(env, step, 10), strict=True):
        assert_equal(one, same)


def test_reset_begins_everywhere_and_restart_where_done(name, changes):
    env = make(name, 0, 1, num_envs=5, **changes)
    step = env.reset()
    assert step.first.all() and not step.reward.any() and not step.done.any()
    age = torch.zeros(2, 5, dtype=torch.int64)
    for after, begun in zip(*[iter(play(env, step, 130))] * 2, strict=True):
        age += 1
        assert not after.first.any()
        assert torch.equal(after.truncated, (age == env.spec.horizon) & ~after.terminated)
        assert torch.equal(begun.first, after.done)
        assert not begun.done.any() and not begun.reward[begun.first].any()
        assert torch.equal(begun.obs[~begun.first], after.obs[~begun.first])
        assert torch.equal(begun.reward[~begun.first], after.reward[~begun.first])
        age[after.done] = 0


def test_a_continuing_task_goes_on_where_it_is(name, changes):
    env = make(name, 0, 1, num_envs=5, **changes)
    if not env.spec.continuing:
        return
    steps = [env.reset(), *play(env, env.reset(), 130)]
    for step in steps:
        num_states = env.spec.num_states
        assert step.state.shape == (2, 5, num_states or env.spec.obs_sizes[0])
        assert num_states is None or step.state.sum() == 10
        assert torch.equal(step.obs, step.state.unsqueeze(2).expand_as(step.obs))
        assert not step.terminated.any()
    for after, begun in zip(steps[1::2], steps[2::2], strict=True):
        assert torch.equal(after.state, begun.state)
    assert any(step.truncated.any() for step in steps)


def test_a_step_stays_as_it_was_when_the_game_goes_on(name, changes):
    env = make(name, num_envs=2, **changes)
    step = env.reset()
    steps = play(env, step, 3)
    copies = [[part.clone() for part in old if part is not None] for old in steps]
    play(env, steps[-1], 20, start=3)
    for old, copy in zip(steps, copies, strict=True):
        parts = [part for part in old if part is not None]
        assert all(torch.equal(part, same) for part, same in zip(parts, copy, strict=True))


def test_the_path_without_a_look_at_the_device_gives_the_same(name, changes):
    """A GPU always rewrites the whole state on restart; a CPU only when a copy is done."""
    looking, blind = (make(name, 1, 2, num_envs=2, **changes) for _ in range(2))
    blind._on_cpu = False
    for game in getattr(blind, "_games", [blind]):
        game._episodes._on_cpu = False
    steps = zip(play(looking, looking.reset(), 90), play(blind, blind.reset(), 90), strict=True)
    for one, other in steps:
        assert_equal(one, other)


@pytest.mark.gpu
def test_a_gpu_plays_the_same_game(name, changes):
    here, there = (make(name, 1, 2, num_envs=9, device=d, **changes) for d in ("cpu", "cuda"))
    steps = zip(play(here, here.reset(), 90), play(there, there.reset(), 90), strict=True)
    for one, other in list(steps)[: 40 if name in PARTICLES else None]:
        if name in PARTICLES:  # exp is rounded otherwise there
            torch.testing.assert_close(one.obs, other.obs.cpu(), rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(one.reward, other.reward.cpu(), rtol=1e-3, atol=1e-3)
        else:
            assert_equal(one, other)
