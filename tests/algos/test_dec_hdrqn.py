"""Dec-HDRQN against plain autograd on `torch.nn` modules, one agent at a time."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from envs.games import make
from nets.test_recurrent_q import Oracle, live_views

from marlrun.algos.dec_hdrqn import DecHDRQN, DecHDRQNSettings
from marlrun.data.replay import Traces
from marlrun.runner.evaluate import play
from marlrun.runner.loop import online
from marlrun.types import Spec, Step

CPU = torch.device("cpu")
BETA = torch.tensor(0.3)
CONF = Path(__file__).parents[2] / "conf/algo/dec_hdrqn.yaml"
SPEC = Spec(2, ("agent_0", "agent_1"), (3, 3), (4, 4), horizon=6, discount=0.9)


def _learner(seeds=(0,), spec: Spec = SPEC, num_envs: int = 1, **changes: Any) -> DecHDRQN:
    settings = yaml.safe_load(CONF.read_text()) | {"sizes": [7, 6, 5, 4], "trace": 3, "batch": 8}
    del settings["_target_"]
    settings = DecHDRQNSettings(**(settings | changes))
    return DecHDRQN(spec, seeds, CPU, num_envs=num_envs, settings=settings)


def _traces(replicas: int, seed: int = 0) -> Traces:
    random = torch.Generator().manual_seed(seed)
    shape = (replicas, 2, 3, 8)
    mask = torch.ones(shape)
    mask[:, :, 1:, :2] = 0
    mask[:, :, 2:, :4] = 0
    return Traces(
        obs=torch.randn(replicas, 2, 4, 8, 3, generator=random),
        action=torch.randint(4, shape, generator=random),
        reward=torch.randn(shape, generator=random),
        end=(torch.rand(shape, generator=random) < 0.3).float(),
        mask=mask,
    )


def _oracle_loss(learner: DecHDRQN, traces: Traces, agent: int, beta: float, form: str):
    """Return the module and the loss of one agent, as the fact sheet states them."""
    rows = learner.rows.flatten(0, 1)
    online = Oracle(learner.net, rows, agent, "lstm")
    target = Oracle(learner.net, rows, len(rows) // 2 + agent, "lstm")
    obs, action, reward, end, mask = (x.flatten(0, 1)[agent] for x in traces)
    obs = obs.transpose(0, 1)
    q = online(obs[:, :-1]).transpose(0, 1)
    with torch.no_grad():
        if learner.settings.target_history == "matched":
            later = target(obs)[:, 1:].transpose(0, 1)
        else:
            later = target(obs[:, 1:]).transpose(0, 1)
        choice = online(obs)[:, 1:].transpose(0, 1) if learner.settings.double_q else later
        value = later.gather(-1, choice.argmax(-1, keepdim=True)).squeeze(-1)
    delta = (
        reward
        + learner.settings.gamma * value * (1 - end)
        - q.gather(-1, action[..., None])[..., 0]
    )
    if form == "squared":
        squared = torch.maximum(beta * delta, delta) ** 2
    else:
        squared = torch.where(delta < 0, beta, 1.0) * delta**2
    count = learner.settings.trace * learner.settings.batch
    return online, (squared * mask).sum() / count


@pytest.mark.parametrize("form", ["squared", "linear"])
@pytest.mark.parametrize("double_q", [False, True])
@pytest.mark.parametrize("history", ["matched", "faithful"])
def test_loss_and_gradient_equal_autograd(form, double_q, history):
    learner = _learner([3, 4], beta=0.4, hysteresis=form, double_q=double_q, target_history=history)
    learner.target.mul_(1.5)
    traces = _traces(2)
    oracles = [_oracle_loss(learner, traces, agent, 0.4, form) for agent in range(4)]
    losses, _ = learner.descend(traces, torch.tensor(0.4))
    grads = live_views(learner.net, learner.optimizer.gradient)
    for agent, (module, loss) in enumerate(oracles):
        torch.testing.assert_close(losses[agent], loss.detach())
        loss.backward()
        for name, grad in module.gradients().items():
            torch.testing.assert_close(grads[name][agent], grad, atol=1e-6, rtol=1e-3)


def test_loss_and_gradient_with_a_burn_in_equal_autograd():
    """Steps of a burn-in have no error; gradients of later errors flow back through them."""
    learner = _learner([3, 4], burn_in=2, trace=1)
    learner.target.mul_(1.5)
    traces = _traces(2)
    warm = torch.tensor([0, 1, 2, 2, 2, 1, 0, 2])
    traces = traces._replace(mask=(torch.arange(3)[:, None] == warm).float().expand(2, 2, 3, 8))
    oracles = [_oracle_loss(learner, traces, agent, 0.3, "squared") for agent in range(4)]
    losses, _ = learner.descend(traces, BETA)
    grads = live_views(learner.net, learner.optimizer.gradient)
    for agent, (module, loss) in enumerate(oracles):
        torch.testing.assert_close(losses[agent], loss.detach())
        loss.backward()
        for name, grad in module.gradients().items():
            torch.testing.assert_close(grads[name][agent], grad, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("burn_in", [5, 0])
def test_a_burn_in_to_an_episodes_beginning_restores_the_memory_of_acting(burn_in):
    """Values of a trace are then those by which the agents acted; without it they are others."""
    learner = _learner(episodes=1, batch=1, trace=2, burn_in=burn_in)
    policy, observed, values = learner.policy(False, [0]), [], []
    for t in range(6):
        before, after = _step(learner, t == 0, False), _step(learner, False, t == 5)
        observed.append(before.obs[0, 0])
        values.append(policy.value(before)[0, 0])
        learner.observe(before, policy(before), after)
    errors = []
    for _ in range(20):
        traces = learner.replay.sample()
        q = learner.net.unroll(learner.parameters, traces.obs.flatten(0, 1))[0].amax(-1)
        for step in traces.mask[0, 0, :, 0].nonzero().flatten().tolist():
            obs = traces.obs[0, :, step, 0]
            t = next(t for t in range(6) if torch.equal(observed[t], obs))
            errors.append((q[:, step, 0] - values[t]).abs().max().item())
    assert max(errors) <= 1e-5 if burn_in else max(errors) > 1e-3


def test_metrics_leave_padding_out():
    learner, traces = _learner(), _traces(1)
    q, _ = learner.net.unroll(learner.parameters, traces.obs.flatten(0, 1)[:, :-1])
    taken = q.gather(-1, traces.action.flatten(0, 1)[..., None])[..., 0]
    expected = [member[traces.mask[0, 0] > 0].mean() for member in taken]
    torch.testing.assert_close(learner.descend(traces, BETA)[1], torch.stack(expected))


def test_metrics_of_an_update():
    learner = _filled(beta=0.2, beta_final=0.4, beta_steps=1, epsilon_steps=10**9)
    learner.clock = learner.learning_starts
    metrics = learner.update()
    assert {tag: tuple(values.shape) for tag, values in metrics.items()} == {
        "loss/td": (2, 2),
        "q/taken": (2, 2),
        "explore/epsilon": (2,),
        "loss/beta": (2,),
    }
    assert metrics["explore/epsilon"].tolist() == [1.0, 1.0]
    assert metrics["loss/beta"].tolist() == [pytest.approx(0.4)] * 2
    assert learner.update() == {}


def test_updates_equal_torch_adam():
    learner = _learner(lr=0.01)
    reference = learner.online.clone().requires_grad_()
    optimizer = torch.optim.Adam([reference], lr=0.01)
    for seed in range(5):
        learner.descend(_traces(1, seed), BETA)
        reference.grad = learner.optimizer.gradient.clone()
        optimizer.step()
    torch.testing.assert_close(learner.online, reference.detach())


def test_replicas_and_agents_do_not_leak():
    one, two = _learner([3, 4]), _learner([3, 4])
    traces = _traces(2)
    changed = traces._replace(reward=traces.reward.clone())
    changed.reward[1, 0] += 1.0
    one.descend(traces, BETA)
    two.descend(changed, BETA)
    same = (one.online == two.online).all(-1)
    assert same.tolist() == [True, True, False, True]


def test_first_updates_of_a_replica_equal_those_in_company():
    alone, company = _learner([4]), _learner([3, 4, 5])
    traces = _traces(3)
    for _ in range(3):
        company.descend(traces, BETA)
        alone.descend(Traces(*(x[1:2] for x in traces)), BETA)
    torch.testing.assert_close(alone.online, company.online[2:4], atol=1e-5, rtol=1e-4)


def test_beta_one_is_dec_drqn():
    settings = yaml.safe_load((CONF.parent / "dec_drqn.yaml").read_text())
    assert settings["defaults"] == ["dec_hdrqn", "_self_"]
    assert settings["beta"] == 1.0


def test_schedules():
    learner = _learner(beta=0.2, beta_final=0.4, beta_steps=1000, learning_starts=500)
    learner.clock = 499
    assert learner.epsilon == 1.0
    learner.clock = 500 + 20_000
    assert learner.epsilon == pytest.approx(0.55)
    assert learner.beta == 0.4
    learner.clock = 250
    assert learner.beta == pytest.approx(0.25)


def _step(learner: DecHDRQN, first: bool, done: bool) -> Step:
    shape = (len(learner.seeds), learner.num_envs)
    flags = torch.zeros(shape, dtype=torch.bool)
    obs = torch.randn(*shape, 2, 3)
    return Step(flags | first, obs, torch.zeros(*shape, 2), flags, flags | done)


@pytest.mark.parametrize("num_envs", [1, 4, 8])
def test_clock_updates_and_targets(num_envs):
    learner = _learner(
        [0, 1], num_envs=num_envs, learning_starts=0, target_every=40, update_every=5
    )
    policy = learner.policy(explore=True, seeds=learner.seeds)
    starts = learner.learning_starts
    assert starts == (8 + num_envs) * 6
    copied, target = 0, learner.target.clone()
    for t in itertools.count(1):
        before = _step(learner, first=t % 6 == 1, done=False)
        learner.observe(before, policy(before), _step(learner, first=False, done=t % 6 == 0))
        metrics = learner.update()
        if learner.clock < starts:
            assert metrics == {}
            assert learner.updates == 0
        else:
            assert learner.updates == (learner.clock - starts) // 5 + 1
        if not torch.equal(target, learner.target):
            copied += 1
            assert torch.equal(learner.online, learner.target)
            target = learner.target.clone()
        if learner.clock >= starts + 120:
            break
    assert copied == 3


def test_time_limits_end_the_game_unless_asked_to_bootstrap():
    for bootstrap, end in ((False, 1.0), (True, 0.0)):
        learner = _learner(bootstrap_at_time_limit=bootstrap)
        before, after = _step(learner, first=True, done=False), _step(learner, False, done=True)
        learner.observe(before, torch.zeros(1, 1, 2, dtype=torch.int64), after)
        assert learner.replay.records[0, 0, -1] == end


def test_policy_forgets_where_an_episode_begins():
    learner = _learner(num_envs=2, eval_epsilon=0.0)
    policy = learner.policy(explore=False, seeds=learner.seeds)
    first, then = _step(learner, True, False), _step(learner, False, False)
    policy(first)
    policy(then)
    kept = policy.memory[0]
    policy(first)
    fresh = policy.memory[0]
    begun = learner.policy(explore=False, seeds=learner.seeds)
    begun(first)
    assert torch.equal(fresh, begun.memory[0])
    assert not torch.equal(kept, fresh)
    half = first._replace(first=torch.tensor([[True, False]]))
    policy(half)
    assert torch.equal(policy.memory[0][:, 0], begun.memory[0][:, 0])
    assert not torch.equal(policy.memory[0][:, 1], begun.memory[0][:, 1])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_policy_sees_what_the_network_says(cell):
    learner = _learner([3, 4], num_envs=3, cell=cell)
    policy = learner.policy(explore=False, seeds=learner.seeds)
    memory = learner.net.initial_memory(4, 3, CPU)
    for t in range(5):
        learner.online.add_(0.1)  # the parameters are read live
        step = _step(learner, t == 0, False)
        policy(step)
        x = step.obs.transpose(1, 2).flatten(0, 1)
        _, memory = learner.net.step(learner.parameters, x, memory)
        assert all(torch.equal(a, b) for a, b in zip(policy.memory, memory, strict=True))


def test_value_is_the_greedy_q_and_leaves_the_memory_alone():
    learner = _learner(eval_epsilon=0.0)
    policy = learner.policy(explore=False, seeds=learner.seeds)
    step = _step(learner, True, False)
    value = policy.value(step)
    assert policy.memory is None
    q, _ = policy._q(step)
    torch.testing.assert_close(value, q.amax(-1))


def test_agents_with_fewer_actions_never_take_or_value_the_others():
    spec = Spec(2, ("a", "b"), (3, 3), (2, 4), horizon=6, discount=1.0)
    learner = _learner(spec=spec, num_envs=64)
    learner.parameters["head.bias"][..., 3] = 100.0
    seen = set()
    for explore in (True, False):
        policy = learner.policy(explore, seeds=learner.seeds)
        for _ in range(5):
            action = policy(_step(learner, True, False))
            assert action[..., 0].max() <= 1
            seen |= set(action[..., 1].flatten().tolist())
    assert seen == {0, 1, 2, 3}
    assert policy.value(_step(learner, True, False))[..., 0].max() < 50


def test_nothing_is_learned_of_actions_that_an_agent_lacks():
    """Neither a target nor a gradient knows them, whatever their values are."""
    spec = Spec(2, ("a", "b"), (3, 3), (2, 4), horizon=6, discount=1.0)
    learners = [_filled(spec=spec, double_q=double_q) for double_q in (False, False, True, True)]
    for learner in learners[1::2]:
        for parameters in (learner.parameters, learner.target_parameters):
            parameters["head.bias"][::2, :, 2:] = 100.0
    for learner in learners:
        before = learner.parameters["head.weight"][::2, :, 2:].clone()
        with torch.inference_mode():
            learner.descend(learner.replay.sample(), BETA)
        assert torch.equal(learner.parameters["head.weight"][::2, :, 2:], before)
    for plain, biased in (learners[:2], learners[2:]):
        assert torch.equal(
            plain.parameters["head.bias"][..., :2], biased.parameters["head.bias"][..., :2]
        )
        assert torch.equal(plain.parameters["cell.bias"], biased.parameters["cell.bias"])


MASKED = Spec(1, ("a",), (3,), (4,), 6, 1.0, has_action_mask=True, agents_leave=True)
YES, NO = True, False


def _transition(
    double_q: bool, forbidden=(NO, NO, NO, NO), absent=(NO, NO), reward=3.0
) -> tuple[Traces, DecHDRQN]:
    """Return a trace of one step, action 0, and a learner whose values do not depend on it.

    The online network says 1, 0, 5, 3 of the four actions, the target network 1, 2, 5, 0.
    """
    learner = _learner(spec=MASKED, trace=1, batch=1, gamma=0.5, episodes=1, double_q=double_q)
    learner.rows.zero_()
    learner.parameters["head.bias"][..., :4] = torch.tensor([1.0, 0.0, 5.0, 3.0])
    learner.target_parameters["head.bias"][..., :4] = torch.tensor([1.0, 2.0, 5.0, 0.0])
    no = torch.zeros(1, 1, dtype=torch.bool)
    ends = [
        Step(
            *(no, torch.randn(1, 1, 1, 3), torch.zeros(1, 1, 1), no, no),
            alive=~torch.tensor(left).view(1, 1, 1),
            action_mask=~torch.tensor(mask).view(1, 1, 1, 4),
        )
        for left, mask in zip(absent, ((NO,) * 4, forbidden), strict=True)
    ]
    sights = torch.stack([learner.sight.of(step) for step in ends]).permute(1, 3, 0, 2, 4)
    one = torch.ones(1, 1, 1, 1)
    return Traces(sights, 0 * one.long(), reward * one, 0 * one, one), learner


@pytest.mark.parametrize(
    ("case", "double_q", "delta"),
    [
        # r + gamma max Q' - Q = 3 + .5 * 5 - 1, all actions being allowed.
        ({}, False, 4.5),
        # Action 2 is forbidden in the next state, so it is not worth 5 there: 3 + .5 * 2 - 1.
        ({"forbidden": (NO, NO, YES, NO)}, False, 3.0),
        ({"forbidden": (NO, YES, YES, NO)}, False, 2.5),
        # The online network's best of those allowed is action 3, which the target network values 0.
        ({"forbidden": (NO, NO, YES, NO)}, True, 2.0),
        ({"forbidden": (NO, NO, YES, YES)}, True, 2.5),
        # It leaves: 3 - 1. What it may do afterwards means nothing.
        ({"absent": (NO, YES)}, False, 2.0),
        ({"absent": (NO, YES), "forbidden": (YES,) * 4}, False, 2.0),
        ({"absent": (NO, YES), "forbidden": (YES,) * 4}, True, 2.0),
        # It left before: nothing is learned.
        ({"absent": (YES, YES)}, False, 0.0),
    ],
)
def test_targets_with_masks_and_leavers_by_hand(case, double_q, delta):
    traces, learner = _transition(double_q, **case)
    loss, taken = learner.descend(traces, BETA)
    assert loss.tolist() == [pytest.approx(delta**2)]
    assert taken.tolist() == [0.0 if case.get("absent") == (YES, YES) else 1.0]
    gradient = live_views(learner.net, learner.optimizer.gradient)["head.bias"].flatten()
    assert gradient.tolist() == [pytest.approx(-2 * delta), 0, 0, 0]


def _with_masks(learner: DecHDRQN, step: Step, allowed=1.0, alive=1.0) -> Step:
    """Return a step with masks and leavers at random; at least action 1 is allowed."""
    shape = *step.reward.shape, learner.net.num_actions
    mask = torch.rand(shape) < allowed
    mask[..., 1] = True
    return step._replace(action_mask=mask, alive=torch.rand(step.reward.shape) < alive)


BOTH = Spec(2, ("a", "b"), (3, 3), (2, 4), 6, 1.0, has_action_mask=True, agents_leave=True)


def test_what_is_forbidden_is_never_chosen_and_the_rest_is_explored_uniformly():
    learner = _learner(spec=BOTH, num_envs=500, eval_epsilon=0.0)
    learner.parameters["head.bias"][..., 3] = 100.0
    counts = torch.zeros(4)
    for explore in (True, False):
        policy = learner.policy(explore, seeds=learner.seeds)
        for _ in range(20):
            step = _with_masks(learner, _step(learner, True, False), allowed=0.5)
            action = policy(step)
            assert step.action_mask.gather(-1, action.unsqueeze(-1)).all()
            assert action[..., 0].max() <= 1
            # Agent b where it may do just 1 and 3: each half of the time, whatever their values.
            two = (step.action_mask[0, :, 1] == torch.tensor([NO, YES, NO, YES])).all(-1)
            if explore:
                counts += action[0, two, 1].bincount(minlength=4)
            else:
                assert (action[0, two, 1] == 3).all()
    assert counts[0] == counts[2] == 0 and counts.sum() > 500
    assert abs(counts[1] / counts.sum() - 0.5) <= 2 / counts.sum() ** 0.5


def test_who_has_left_does_something_that_it_has_and_anticipates_nothing():
    learner = _learner(spec=BOTH, num_envs=50)
    step = _with_masks(learner, _step(learner, False, False), alive=0.5)
    step = step._replace(action_mask=step.action_mask & step.alive.unsqueeze(-1))
    for explore in (True, False):
        action = learner.policy(explore, seeds=learner.seeds)(step)
        assert (action < torch.tensor(BOTH.num_actions)).all() and (action >= 0).all()
    value = learner.policy(False, seeds=learner.seeds).value(step)
    assert torch.equal(value == 0, ~step.alive)


def _play(learner: DecHDRQN, num_steps: int, change) -> list[torch.Tensor]:
    """Let a learner explore and learn; return its actions. `change(step, t)` changes each step."""
    torch.manual_seed(0)
    policy, actions = learner.policy(True, learner.seeds), []
    before = change(_step(learner, True, False), 0)
    for t in range(1, num_steps):
        after = _step(learner, False, t % 6 == 0)
        after = change(after._replace(reward=torch.randn(after.reward.shape)), t)
        actions.append(policy(before))
        learner.observe(before, actions[-1], after)
        learner.update()
        before = change(_step(learner, True, False), t) if after.done.all() else after
    return actions


def test_masks_that_forbid_nothing_change_nothing():
    everything = torch.ones(1, 1, 2, 4, dtype=torch.bool)
    plain = _learner(learning_starts=1)
    masked = _learner(
        spec=replace(SPEC, has_action_mask=True, agents_leave=True), learning_starts=1
    )
    actions = [
        _play(plain, 150, lambda step, t: step),
        _play(
            masked,
            150,
            lambda step, t: step._replace(action_mask=everything, alive=everything[..., 0]),
        ),
    ]
    assert plain.updates == masked.updates > 10
    assert all(map(torch.equal, *actions))
    assert torch.equal(plain.online, masked.online)


def test_what_follows_an_agents_leaving_changes_nothing_that_it_learns():
    """Its observations, its actions and what it may do: agent b leaves after the third step."""
    learners, mask = [], torch.ones(1, 1, 2, 4, dtype=torch.bool)
    for noise in (0.0, 1.0):

        def change(step, t, noise=noise):
            has_left = t % 6 in (4, 5, 0) and not step.first.all()
            alive = torch.tensor([[[True, not has_left]]])
            obs = torch.where(alive.unsqueeze(-1), step.obs, noise * step.obs)
            reward = step.reward * (alive if t % 6 != 4 else 1.0)
            allowed = mask & (alive.unsqueeze(-1) | torch.tensor(noise > 0))
            return step._replace(obs=obs, reward=reward, alive=alive, action_mask=allowed)

        spec = replace(SPEC, has_action_mask=True, agents_leave=True)
        learners.append(_learner(spec=spec, learning_starts=1))
        _play(learners[-1], 150, change)
    assert learners[0].updates > 10
    assert not torch.equal(learners[0].replay.records, learners[1].replay.records)
    assert torch.equal(learners[0].online, learners[1].online)


def test_noise_in_the_padding_of_observations_changes_nothing():
    spec = Spec(2, ("a", "b"), (1, 3), (4, 4), horizon=6, discount=1.0)
    clean, noisy = _learner(spec=spec), _learner(spec=spec)
    policies = [learner.policy(True, learner.seeds) for learner in (clean, noisy)]
    for t in range(120):
        before, after = _step(clean, t % 3 == 0, False), _step(clean, False, t % 3 == 2)
        with_zeros = [step._replace(obs=step.obs.clone()) for step in (before, after)]
        for step in with_zeros:
            step.obs[..., 0, 1:] = 0.0
        action = policies[0](with_zeros[0])
        assert torch.equal(policies[1](before), action)
        clean.observe(with_zeros[0], action, with_zeros[1])
        noisy.observe(before, action, after)
    assert torch.equal(clean.replay.records, noisy.replay.records)
    for one, other in zip(policies[0].memory, policies[1].memory, strict=True):
        assert torch.equal(one, other)


def test_state_dict_round_trip_continues_the_same():
    one, two = _learner(), _learner([9])
    for seed in range(3):
        one.descend(_traces(1, seed), BETA)
    two.load_state_dict(one.state_dict())
    one.descend(_traces(1, 7), BETA)
    two.descend(_traces(1, 7), BETA)
    assert torch.equal(one.online, two.online)


def _filled(**changes: Any) -> DecHDRQN:
    """Return a learner whose replay holds 20 episodes of 1 to 6 steps."""
    learner = _learner([3, 4], **changes)
    torch.manual_seed(0)
    for length in (1, 2, 3, 4, 5, 6, 6, 6, 2, 5) * 2:
        for t in range(length):
            before, after = _step(learner, t == 0, False), _step(learner, False, t == length - 1)
            after = after._replace(reward=torch.randn(2, 1, 2))
            if learner.spec.has_action_mask:
                before, after = (_with_masks(learner, step, 0.6, 0.8) for step in (before, after))
            learner.observe(before, torch.randint(2, (2, 1, 2)), after)
    return learner


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cell": "gru", "concurrent": False, "burn_in": 3},
        {"double_q": True, "hysteresis": "linear", "beta_final": 0.9, "burn_in": 2},
        {"leniency": 2.0, "leniency_decay": 0.9},
        {"leniency": 2.0, "double_q": True, "spec": BOTH, "burn_in": 2},
        {"double_q": True, "target_history": "faithful"},
        {"target_history": "faithful", "trace": 1},
        {"spec": Spec(2, ("a", "b"), (3, 3), (2, 4), horizon=6, discount=1.0)},
        {"spec": BOTH},
        {"spec": BOTH, "double_q": True},
    ],
)
def test_recorded_updates_equal_plain_ones_bit_for_bit(changes):
    recorded, plain = _filled(**changes), _filled(**changes)
    for update in range(7):
        for learner in (recorded, plain):
            learner.clock += 1000
            if update == 3:
                learner.target.copy_(learner.online)
        beta = torch.tensor(recorded.beta)
        loss, taken = recorded.learn(recorded.replay.draw(), beta)
        with torch.inference_mode():
            expected_loss, expected_taken = plain.descend(plain.replay.sample(), beta)
        assert torch.equal(recorded.online, plain.online)
        assert torch.equal(loss, expected_loss) and torch.equal(taken, expected_taken)
    resumed = _filled(**changes)
    resumed.learn(resumed.replay.draw(), beta)
    resumed.load_state_dict(plain.state_dict())
    for learner in (recorded, resumed):
        learner.learn(learner.replay.draw(), beta)
    assert torch.equal(recorded.online, resumed.online)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("num_agents", [1, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {"sizes": [13, 17, 25, 9], "batch": 5},
        {"sizes": [13, 17, 25, 9], "batch": 3, "trace": 1, "cell": "gru", "concurrent": False},
        {"sizes": [30, 20, 24, 33], "batch": 32, "trace": 4, "double_q": True},
        {"sizes": [13, 17, 25, 9], "batch": 5, "leniency": 1.5, "leniency_bits": 6, "burn_in": 2},
        {"sizes": [32, 64, 64, 32], "batch": 32, "trace": 4},
    ],
)
def test_a_replica_is_alone_in_company(changes, num_agents):
    """Whole runs: what is played, remembered and learned, bit for bit."""

    def run(*seeds):
        env = make("target_capture", *seeds, num_agents=num_agents, horizon=6, size=3)
        learner = _learner(seeds, env.spec, learning_starts=0, **changes)
        played = []
        for tick in itertools.islice(
            online(learner, env, learner.policy(True, seeds), env.reset()), 250
        ):
            played.append(tick.after.reward)
        return torch.stack(played, 1), learner.online.unflatten(0, (len(seeds), -1))

    company = run(3, 4, 5)
    for place, seed in enumerate((3, 4, 5)):
        for mine, of_all in zip(run(seed), company, strict=True):
            assert torch.equal(mine[0], of_all[place])
    assert not torch.equal(company[1][0], company[1][1])


def test_more_traces_than_episodes_are_refused():
    with pytest.raises(ValueError, match="algo.episodes=4: expected at least algo.batch=8"):
        _learner(episodes=4)


def test_traces_longer_than_an_episode_are_refused():
    _learner(trace=6)
    with pytest.raises(
        ValueError, match=r"^algo\.trace=7: expected at most 6, the game's horizon$"
    ):
        _learner(trace=7)


@pytest.mark.usefixtures("one_thread")
def test_leniency_without_hysteresis_finds_the_shadowed_equilibrium_of_climb():
    """Dec-DRQN does not: tests/test_learning.py."""
    settings = {
        "sizes": [16, 16, 16, 16],
        "batch": 32,
        "trace": 1,
        "learning_starts": 200,
        "update_every": 2,
        "target_every": 100,
        "epsilon_steps": 1500,
        "eval_epsilon": 0.0,
    }
    seeds = tuple(range(10))
    env = make("matrix_game", *seeds, game="climb")
    learner = _learner(seeds, env.spec, beta=1.0, leniency=5.0, leniency_decay=0.998, **settings)
    for _ in itertools.islice(online(learner, env, learner.policy(True, seeds), env.reset()), 2000):
        pass
    returns = play(make("matrix_game", *seeds, game="climb"), learner.policy(False, seeds))
    assert (returns["eval/return_mean"].flatten() == 11).sum() >= 9
