import pytest
import torch

from marlrun.nets.mlp import MLP
from marlrun.nets.policies import Actor, PolicySettings, Sampled
from marlrun.streams import derive
from marlrun.types import Spec, Step

CPU = torch.device("cpu")
R, N, S, A = 2, 3, 4, 3
SPEC = Spec(N, ("a", "b", "c"), (S,) * N, (A,) * N, 7, 1.0, continuing=True, num_states=S)
KINDS = ["boltzmann", "tabular", "neural", "linear"]


def make(policy: str, spec: Spec = SPEC, seeds=(3, 4), radius=None, scale=1.0) -> Actor:
    hidden = [] if policy == "linear" else [6]
    policy = "neural" if policy == "linear" else policy
    actor = Actor(spec, seeds, CPU, PolicySettings(policy, 5, hidden, radius))
    torch.manual_seed(0)
    actor.parameters.add_(scale * torch.randn_like(actor.parameters))
    return actor


def step(copies: int = 1) -> Step:
    state = torch.randint(S, (R, copies), generator=torch.Generator().manual_seed(1))
    state = torch.nn.functional.one_hot(state, S).float()
    flags = torch.zeros(R, copies, dtype=torch.bool)
    obs = state.unsqueeze(2).expand(-1, -1, N, -1)
    return Step(flags, obs, torch.zeros(R, copies, N), flags, flags, state=state)


@pytest.mark.parametrize("policy", KINDS)
def test_gradients_equal_differences(policy):
    actor, seen = make(policy), step(copies=4)
    if policy == "neural":  # away from the kinks, where differences say nothing
        actor.net._net._layers[0][1].add_(30)
    sight, grad = actor.sight(seen), torch.randn(R, 4, N, A)
    _, tape = actor.logits(sight)
    gradient = actor.gradient(tape, grad).clone()
    way = 1e-2 * torch.randn_like(actor.parameters)
    values = []
    for sign in (1, -2):
        actor.parameters.add_(way, alpha=sign)
        values.append((actor.logits(sight)[0] * grad).sum((1, 3)))
    expected = 2 * (way * gradient).sum(-1)
    torch.testing.assert_close(values[0] - values[1], expected, atol=1e-3, rtol=1e-3)


def test_a_linear_policy_is_a_perceptron_without_hidden_layers():
    linear = make("linear")
    seeds = [derive(seed, "actor") for seed in (3, 4)]
    net = MLP([S, A], seeds, N, CPU)
    rows = net.rows[:, : S * A + A].unflatten(0, (2, N))
    torch.manual_seed(0)
    rows.add_(torch.randn_like(linear.parameters))
    torch.testing.assert_close(linear.parameters, rows)
    obs, grad = torch.randn(R, 5, N, S), torch.randn(R, 5, N, A)
    logits, tape = linear.logits(obs)
    expected, net_tape = net.forward(obs.transpose(1, 2).flatten(0, 1))
    torch.testing.assert_close(logits.transpose(1, 2).flatten(0, 1), expected)
    gradient = net.backward(net_tape, grad.transpose(1, 2).flatten(0, 1))
    gradient = gradient[:, : S * A + A].view_as(rows)
    torch.testing.assert_close(linear.gradient(tape, grad), gradient)


def test_logits_by_hand():
    tabular, boltzmann = make("tabular"), make("boltzmann")
    seen = step()
    state = int(seen.state[1, 0].argmax())
    table = tabular.parameters[1, 2].view(S, A - 1)
    expected = torch.cat((torch.zeros(1), table[state]))
    torch.testing.assert_close(tabular.logits(seen.state)[0][1, 0, 2], expected)
    expected = boltzmann.net.features[1, state, 2] @ boltzmann.parameters[1, 2]
    torch.testing.assert_close(boltzmann.logits(seen.state)[0][1, 0, 2], expected)


@pytest.mark.parametrize("policy", KINDS)
def test_the_table_holds_what_is_drawn(policy):
    actor = make(policy)
    copies = 4000
    seen = step(copies)
    table = actor.table()
    assert table.shape == (R, N, S, A)
    torch.testing.assert_close(table.sum(-1), torch.ones(R, N, S))
    action = Sampled(actor, (3, 4))(seen)
    states = seen.state.argmax(-1)
    for replica, state in ((0, 1), (1, 3)):
        there = states[replica] == state
        drawn = torch.nn.functional.one_hot(action[replica, there], A).double().mean(0)
        error = (table[replica, :, state] / there.sum()).sqrt()
        assert ((drawn - table[replica, :, state]).abs() < 4.5 * error).all()


@pytest.mark.parametrize("policy", KINDS)
def test_what_a_replica_draws_is_its_own(policy):
    company, alone = make(policy, scale=0.0), make(policy, seeds=(4,), scale=0.0)
    draws, own = Sampled(company, (3, 4)), Sampled(alone, (4,))
    seen = step(copies=6)
    mine = seen._replace(obs=seen.obs[1:], state=seen.state[1:])
    for _ in range(5):
        assert torch.equal(draws(seen)[1:], own(mine))


def test_draws_go_on_from_the_state():
    actor, seen = make("neural"), step(copies=9)
    one, other = Sampled(actor, (3, 4)), Sampled(actor, (3, 4))
    first = one(seen)
    other.load_state_dict(one.state_dict())
    second = other(seen)
    assert not torch.equal(first, second)
    assert torch.equal(second, one(seen))


def test_actions_an_agent_lacks_are_never_drawn():
    spec = Spec(2, ("a", "b"), (S, S), (2, 3), 7, 1.0)
    actor = make("neural", spec)
    obs = torch.randn(R, 500, 2, S)
    seen = step()._replace(obs=obs)
    action = Sampled(actor, (3, 4))(seen)
    assert action[..., 0].max() == 1
    assert action[..., 1].max() == 2
    probabilities, _ = actor.probabilities(obs)
    assert (probabilities[..., 0, 2] == 0).all()


def test_projection_onto_a_ball():
    actor = make("tabular", radius=0.5)
    before = actor.parameters.clone()
    logits, tape = actor.logits(step().state)
    actor.ascend(tape, torch.zeros_like(logits))
    size = before.square().sum(-1, keepdim=True).sqrt()
    torch.testing.assert_close(actor.parameters, 0.5 * before / size)
    inside = actor.parameters.mul_(0.5).clone()
    actor.ascend(tape, torch.zeros_like(logits))
    assert torch.equal(actor.parameters, inside)


def test_a_policy_at_zero_is_projected_to_zero():
    actor = make("tabular", radius=0.5, scale=0.0)
    logits, tape = actor.logits(step().state)
    actor.ascend(tape, torch.zeros_like(logits))
    assert (actor.parameters == 0).all()


@pytest.mark.parametrize("policy", ["boltzmann", "tabular"])
def test_tables_need_a_common_state(policy):
    spec = Spec(N, ("a", "b", "c"), (S,) * N, (A,) * N, 7, 1.0)
    with pytest.raises(ValueError, match=f"^algo.policy.kind={policy}: expected neural"):
        make(policy, spec)


def test_sampled_actions_are_no_tensors_of_inference_mode():
    action = Sampled(make("neural"), [3, 4])(step())
    assert not action.is_inference()
