import torch

from marlrun.nets.sampling import Sampling
from marlrun.streams import Stream
from marlrun.types import Step

CPU = torch.device("cpu")


def step(replicas, copies, agents):
    flags = torch.zeros(replicas, copies, dtype=torch.bool)
    zeros = torch.zeros(replicas, copies, agents)
    return Step(flags, zeros.unsqueeze(-1), zeros, flags, flags)


def policy(seeds, probabilities):
    """Return a policy that plays the same probabilities everywhere."""
    logits = torch.tensor(probabilities).log()
    return Sampling(
        lambda step: logits.expand(*step.reward.shape, -1), Stream(seeds, "policy", CPU)
    )


def test_actions_are_as_likely_as_their_probabilities():
    actions = policy([0], [0.5, 0.2, 0.3, 0.0])(step(1, 20_000, 2))
    shares = actions.flatten().bincount(minlength=4) / actions.numel()
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.2, 0.3, 0.0]), atol=0.01, rtol=0)
    assert not actions.eq(3).any()


def test_actions_are_the_same_alone_and_in_company_and_after_a_resume():
    company, alone = policy([3, 4], [0.5, 0.5]), policy([4], [0.5, 0.5])
    played = [company(step(2, 30, 2))[1] for _ in range(3)]
    assert all(torch.equal(alone(step(1, 30, 2))[0], actions) for actions in played)
    assert len({tuple(actions.flatten().tolist()) for actions in played}) == 3
    resumed = policy([4], [0.5, 0.5])
    resumed.load_state_dict(alone.state_dict())
    assert torch.equal(resumed(step(1, 30, 2)), alone(step(1, 30, 2)))


def test_actions_may_be_used_under_autograd():
    logits = torch.zeros(3, requires_grad=True)
    of_step = step(1, 5, 2)
    sampling = Sampling(lambda step: logits.expand(1, 5, 2, 3), Stream([0], "policy", CPU))
    action = sampling(of_step)
    log_pi = logits.expand(1, 5, 2, 3).log_softmax(-1).gather(-1, action.unsqueeze(-1))
    log_pi.sum().backward()
    # The gradient of sum log pi is the count of each action less its expected count.
    expected = action.flatten().bincount(minlength=3) - 10 / 3
    torch.testing.assert_close(logits.grad, expected)
