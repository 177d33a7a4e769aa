"""Critics and their features, all kinds alike: values, own values, gradients."""

import itertools
from dataclasses import replace

import pytest
import torch

from marlrun.nets.critics import CriticSettings, action_critic, state_critic
from marlrun.nets.features import RandomOfAction
from marlrun.streams import derive
from marlrun.types import Spec, Step

CPU = torch.device("cpu")
R, B, N, S, A = 2, 5, 3, 4, 3
SPEC = Spec(N, ("a", "b", "c"), (S,) * N, (A,) * N, 7, 1.0, continuing=True, num_states=S)
BLIND = Spec(N, ("a", "b", "c"), (S,) * N, (A,) * N, 7, 1.0)
STATED = replace(BLIND, state_size=5)
KINDS = [
    *((SPEC, "linear", features) for features in ("random", "team", "local")),
    (SPEC, "neural", "random"),
    (BLIND, "neural", "random"),
    (BLIND, "linear", "local"),
    (STATED, "neural", "random"),
]
IDS = ["random", "team", "local", "neural", "neural-obs", "local-obs", "neural-state"]


def make(maker, spec, critic, features, seeds=(3, 4), name="critic"):
    made = maker(name, spec, seeds, CPU, CriticSettings(critic, features, 7, [6]))
    torch.manual_seed(0)
    made.parameters.add_(torch.randn_like(made.parameters))
    return made


def step(spec: Spec) -> Step:
    random = torch.Generator().manual_seed(1)
    state = torch.nn.functional.one_hot(torch.randint(S, (R, B), generator=random), S).float()
    flags = torch.zeros(R, B, dtype=torch.bool)
    if spec.num_states:
        obs = state.unsqueeze(2).expand(-1, -1, N, -1)
        return Step(flags, obs, torch.zeros(R, B, N), flags, flags, state=state)
    obs = torch.randn(R, B, N, S, generator=random)
    state = torch.randn(R, B, spec.state_size, generator=random) if spec.state_size else None
    return Step(flags, obs, torch.zeros(R, B, N), flags, flags, state=state)


def joint_actions() -> torch.Tensor:
    return torch.randint(A, (R, B, N), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_own_values_are_values_of_other_actions(kind):
    critic, action = make(action_critic, *kind), joint_actions()
    sight = critic.sight(step(kind[0]))
    value, _ = critic.forward(sight, action)
    own = critic.own_values(sight, action)
    assert own.shape == (R, B, N, A)
    own = own - own.gather(-1, action.unsqueeze(-1)) + value.unsqueeze(-1)
    for agent, choice in itertools.product(range(N), range(A)):
        other = action.clone()
        other[..., agent] = choice
        expected = critic.forward(sight, other)[0][..., agent]
        torch.testing.assert_close(own[..., agent, choice], expected)


@pytest.mark.parametrize("samples", [1, 3, B])
@pytest.mark.parametrize("maker", [action_critic, state_critic])
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_gradients_equal_differences(kind, maker, samples):
    critic = make(maker, *kind)
    if kind[1] == "neural":  # away from the kinks, where differences say nothing
        critic._net._layers[0][1].add_(30)
    args = [critic.sight(step(kind[0])), *([joint_actions()] if maker is action_critic else [])]
    grad = torch.randn(R, samples, N)
    _, tape = critic.forward(*args)
    gradient = torch.zeros_like(critic.parameters)
    critic.ascend(tape, grad, gradient)
    torch.manual_seed(3)
    way = 1e-2 * torch.randn_like(critic.parameters)
    values = []
    for sign in (1, -2):
        critic.parameters.add_(way, alpha=sign)
        values.append((critic.forward(*args)[0][:, :samples] * grad).sum(1))
    torch.testing.assert_close(
        values[0] - values[1], 2 * (way * gradient).sum(-1), atol=1e-3, rtol=1e-3
    )


def test_team_and_local_features_by_hand():
    team, local = (make(action_critic, SPEC, "linear", f) for f in ("team", "local"))
    of_state = make(state_critic, SPEC, "linear", "team")
    seen = step(SPEC)
    seen.state[0, 0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    action = joint_actions()
    action[0, 0] = torch.tensor([0, 2, 1])
    low, high = -1 / 3, 2 / 3
    expected = [0, 1, 0, low, low, low, high, high, low]
    assert team.features(seen.state, action)[0, 0, 0].tolist() == pytest.approx(expected)
    assert of_state.features(seen.state)[0, 0, 0].tolist() == [0, 1, 0]
    obs = seen.obs[0, 0, 1].tolist()
    assert local.features(seen.obs, action)[0, 0, 1].tolist() == [*obs, 0, 1]
    assert local.parameters.shape == (R, N, S + A - 1)


def test_a_reward_model_of_the_team_may_hold_a_constant():
    settings = CriticSettings("linear", "team", 7, [])
    model = action_critic("reward", SPEC, (3,), CPU, settings, constant=True)
    relative = action_critic("critic", SPEC, (3,), CPU, settings)
    assert model.features.size == relative.features.size + 1 == S + N * (A - 1)


def every_pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Return all states, one-hot, with all joint actions: [1, S * A**N, ..]."""
    pairs = list(itertools.product(range(S), *[range(A)] * N))
    table = torch.tensor(pairs)
    return torch.eye(S)[table[:, 0]][None], table[None, :, 1:]


def test_random_features_are_uniform_full_rank_and_each_pair_has_its_own():
    features = RandomOfAction(N, A, 8, [5], CPU)(*every_pair())[0, :, 0]
    assert features.shape == (S * A**N, 8)
    assert len(torch.unique(features, dim=0)) == len(features)
    assert features.min() >= 0 and features.max() < 1
    assert abs(features.mean() - 0.5) < 4 * (1 / 12 / features.numel()) ** 0.5
    centred = features - features.mean(0)
    correlation = centred.T @ centred / len(features) * 12 - torch.eye(8)
    assert correlation.abs().max() < 5 / len(features) ** 0.5
    with_constant = torch.cat((features, torch.ones(len(features), 1)), 1)
    assert torch.linalg.matrix_rank(with_constant) == 9


def test_random_features_do_not_depend_on_company():
    sight, action = every_pair()
    alone = RandomOfAction(N, A, 5, [4], CPU)(sight, action)
    company = RandomOfAction(N, A, 5, [3, 4], CPU)(sight.repeat(2, 1, 1), action.repeat(2, 1, 1))
    assert torch.equal(alone[0], company[1])
    assert not torch.equal(company[0], company[1])


def test_random_features_of_two_to_the_twenty_joint_actions():
    features = RandomOfAction(20, 2, 10, [0], CPU)
    state = torch.eye(20)[None, :1].expand(1, 2000, -1)
    action = torch.randint(2, (1, 2000, 20), generator=torch.Generator().manual_seed(0))
    one = features(state, action)[0, :, 0]
    action[..., 7] = 1 - action[..., 7]
    other = features(state, action)[0, :, 0]
    correlation = ((one - 0.5) * (other - 0.5)).mean() * 12
    assert abs(correlation) < 5 / one.numel() ** 0.5


def test_critics_of_different_names_draw_different_numbers():
    one, other = (make(state_critic, SPEC, "linear", "random", name=name) for name in "xy")
    assert not torch.equal(one.features.table, other.features.table)
    assert derive(3, "x") != derive(3, "y")


@pytest.mark.parametrize("features", ["random", "team"])
@pytest.mark.parametrize("maker", [action_critic, state_critic])
def test_tables_need_a_common_state(maker, features):
    with pytest.raises(ValueError, match=f"^algo.critic.features={features}: expected local"):
        make(maker, BLIND, "linear", features)


@pytest.mark.parametrize("maker", [action_critic, state_critic])
def test_neural_critics_see_the_state_once_where_there_is_one(maker):
    """In networked_spread all agents observe the same: ten times that would be no more to see."""
    seen = step(STATED)
    critic = make(maker, STATED, "neural", "random")
    assert torch.equal(critic.sight(seen), seen.state)
    joint = make(maker, BLIND, "neural", "random").sight(seen)
    assert torch.equal(joint, seen.obs.flatten(2))
