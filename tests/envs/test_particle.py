"""Particle worlds: a copy by itself, ends, and networked_spread by hand."""

import pytest
import torch
from envs.games import assert_equal, make, play

SCENARIOS = ("spread", "speaker_listener", "push", "tag", "adversary", "networked_spread")


@pytest.fixture
def threads():
    """Threads share large tensors, and cut them where they like."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_replica_is_the_same_in_companies_of_every_size(name, num_threads, threads):
    """Also where copies fill no vector, and where threads share the tensors."""
    threads(num_threads)
    sizes = torch.randint(1, 70, (6,), generator=torch.Generator().manual_seed(3)).tolist()
    for num_envs in [*sizes, *([5003] if name in ("spread", "tag") else [])]:
        changes = {"num_envs": num_envs, "horizon": 4}
        alone, company = make(name, 7, **changes), make(name, 5, 8, 7, 9, **changes)
        first, firsts = alone.reset(), company.reset()
        assert_equal(firsts, first, replica=2)
        for env in (alone, company):  # so that bodies collide
            env.world.position *= 0.2
            env.world.measure()
        for one, all_of_them in zip(play(alone, first, 9), play(company, firsts, 9), strict=True):
            assert_equal(all_of_them, one, replica=2)


@pytest.mark.parametrize("rules", ["mpe2", "ma_airl"])
def test_horizon_and_early_end_are_the_rules_own_unless_given(rules):
    assert make("spread", rules=rules).spec.horizon == {"mpe2": 25, "ma_airl": 50}[rules]
    assert make("spread", rules=rules, horizon=7).spec.horizon == 7
    for early_end in (None, True, False):
        env = make("spread", rules=rules, early_end=early_end)
        env.reset()
        env.world.position[:, 3:, 0] = env.world.position[:, :3, 0]
        after = env.step(torch.zeros(1, 1, 3, dtype=torch.int64))
        ends = rules == "ma_airl" if early_end is None else early_end
        assert after.terminated.item() == ends and not after.truncated.any()
        assert env.restart(after).first.item() == ends


def test_what_a_scenario_or_its_rules_do_not_have_is_refused():
    with pytest.raises(ValueError, match=r"env\.early_end=true: expected null or false under rul"):
        make("speaker_listener", early_end=True)
    with pytest.raises(ValueError, match=r"env\.local_ratio=0\.3: expected null under rules=ma_a"):
        make("spread", rules="ma_airl", local_ratio=0.3)


def test_force_mass_and_speed_are_those_given():
    """v = force / mass * 0.1 after one step from rest, held to max_speed."""
    push = torch.tensor([[[0, 2]]])
    for changes, speed in [
        ({}, 0.5),
        ({"force": 2.0}, 0.2),
        ({"mass": 4.0}, 0.125),
        ({"max_speed": 0.3}, 0.3),
        ({"rules": "ma_airl", "max_speed": 0.3}, -0.3),
    ]:
        env = make("speaker_listener", **changes)
        env.reset()
        env.step(push)
        assert env.world.velocity[:, 0, 0].tolist() == pytest.approx([speed, 0.0])


def test_starts_are_uniform_and_the_goal_lies_on_a_landmark():
    env = make("push", num_envs=4000, rules="ma_airl")
    env.reset()
    position = env.world.position[..., :4000]
    for bodies, reach in ((position[:, :2], 1.0), (position[:, 2:4], 0.8)):
        assert bodies.abs().max() <= reach
        assert bodies.mean().abs() < 0.03 and (bodies.std() - reach / 3**0.5).abs() < 0.01
    goal = env.world.marks[:, :4000]
    assert (goal.sum(0) == 1).all() and abs(goal[0].mean() - 0.5) < 0.04
    at_goal = (position[:, 2:4] * goal).sum(1)
    assert torch.equal(position[:, 4], at_goal)


class TestNetworkedSpread:
    """Three agents: 0 and 1 touch, 2 is far away; targets are where agents are not."""

    @pytest.fixture
    def env(self):
        env = make("networked_spread", num_agents=3, radius=0.5, renewal=0.0, mdp=4)
        env.reset()
        places = [[0.0, 0.28, 0.7], [0.0, 0.0, 0.0]], [[0.3, 0.28, 0.7], [0.4, 0.1, -1.0]]
        env.world.position[:, :, 0] = torch.cat([torch.tensor(place) for place in places], 1)
        env.world.measure()
        return env

    def test_reward_and_links_by_hand(self, env):
        reward, _ = env._outcome()
        scales = env._scales.flatten()
        expected = -scales * torch.tensor([0.5 + 1, 0.1 + 1, 1.0])
        torch.testing.assert_close(reward[:, 0], expected)
        links = env._adjacency()[0, 0].tolist()
        assert links == [[False, True, False], [True, False, True], [False, True, False]]

    def test_all_see_everything(self, env):
        obs = env._observe()[0, 0]
        assert obs.shape == (3, 18) and (obs == obs[0]).all()
        assert obs[0].tolist() == pytest.approx(
            [0] * 6 + [0, 0, 0.28, 0, 0.7, 0] + [0.3, 0.4, 0.28, 0.1, 0.7, -1]
        )

    def test_factors_belong_to_the_game_not_to_the_seed(self):
        one, other = make("networked_spread", 1), make("networked_spread", 2)
        assert torch.equal(one._scales, other._scales)
        drawn = torch.cat([make("networked_spread", mdp=i)._scales for i in range(40)])
        assert drawn.min() >= 0 and drawn.max() < 2 and abs(drawn.mean() - 1) < 0.1

    def test_renewals_come_at_their_rate_and_between_windows_alone_nothing_changes(self):
        env = make("networked_spread", num_envs=50, num_agents=2, renewal=0.1, horizon=5)
        step, renewed = env.reset(), []
        targets = env.world.position[:, 2:, :50].clone()
        for _ in range(100):
            after = env.step(torch.zeros(1, 50, 2, dtype=torch.int64))
            now = env.world.position[:, 2:, :50]
            is_new = (now != targets).any(0).any(0)
            assert not env.world.velocity[..., :50][..., is_new].any()
            renewed.append(is_new)
            targets = now.clone()
            assert torch.equal(after.adjacency, after.adjacency.transpose(2, 3))
            assert not after.adjacency.diagonal(dim1=2, dim2=3).any()
            step = env.restart(after)
            assert torch.equal(step.obs, after.obs) and step.first.any() == after.truncated.any()
            assert torch.equal(step.adjacency, after.adjacency)
        rate = torch.stack(renewed).float().mean()
        assert abs(rate - 0.1) < 4 * (0.09 / 5000) ** 0.5
