"""One-step temporal-difference targets."""

import torch
from torch import Tensor


def q_learning_target(reward: Tensor, end: Tensor, next_value: Tensor, gamma: Tensor) -> Tensor:
    """Return r + gamma (1 - end) v', all of one shape but gamma (Watkins 1989).

    `end` is 1.0 where the value of the next observation must not be bootstrapped.
    """
    return torch.addcmul(reward, next_value - end * next_value, gamma)


def max_value(q: Tensor) -> Tensor:
    """Return max_a Q: [..., A] -> [...]."""
    return q.amax(-1)


def double_value(q: Tensor, q_choice: Tensor) -> Tensor:
    """Return Q(argmax_a Q_choice) (van Hasselt et al. 2016): [..., A] twice -> [...]."""
    return q.gather(-1, q_choice.argmax(-1, keepdim=True)).squeeze(-1)
