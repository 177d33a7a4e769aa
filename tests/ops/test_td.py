import torch

from marlrun.ops.td import double_value, max_value, q_learning_target


def test_target_by_hand():
    reward, end = torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    target = q_learning_target(reward, end, torch.tensor([2.0, 9.0, -1.0]), torch.tensor(0.9))
    torch.testing.assert_close(target, torch.tensor([2.8, 0.5, -0.9]))


def test_double_q_takes_the_choice_of_one_and_the_value_of_the_other():
    q, choice = torch.tensor([[1.0, 5.0, 3.0]]), torch.tensor([[0.0, 1.0, 2.0]])
    assert max_value(q).tolist() == [5.0]
    assert double_value(q, choice).tolist() == [3.0]
