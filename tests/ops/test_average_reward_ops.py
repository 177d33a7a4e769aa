import torch

from marlrun.ops.average_reward import advantage, differential_td, score


def test_differential_td():
    reward, average = torch.tensor([1.0, 1.0]), torch.tensor([0.25, 0.25])
    value, next_value = torch.tensor([2.0, 2.0]), torch.tensor([3.0, 3.0])
    goes_on = torch.tensor([1.0, 0.0])
    assert differential_td(reward, average, value, next_value, goes_on).tolist() == [1.75, -1.25]
    assert reward.tolist() == [1.0, 1.0]


def test_advantage():
    own, pi = torch.tensor([[1.0, 4.0, 2.0]]), torch.tensor([[0.5, 0.25, 0.25]])
    # 4 - (.5 + 1 + .5), wherever the values start from.
    assert advantage(own, score(torch.tensor([1]), pi)).tolist() == [2.0]
    assert advantage(own + 7, score(torch.tensor([1]), pi)).tolist() == [2.0]


def test_score_is_the_gradient_of_the_log_probability():
    logits = torch.tensor([[0.1, -0.4, 1.0], [2.0, 0.0, -torch.inf]], requires_grad=True)
    action = torch.tensor([2, 0])
    pi = logits.softmax(-1)
    pi.gather(-1, action[:, None]).log().sum().backward()
    torch.testing.assert_close(score(action, pi.detach()), logits.grad)
