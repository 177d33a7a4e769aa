"""Next states are drawn in integers, by weight."""

import torch

from marlrun.envs.common.finite import BITS, MIN_WEIGHT, FiniteState, cumulated, probabilities

CPU = torch.device("cpu")


def test_weights_are_raised_and_summed():
    sums = cumulated(torch.tensor([[0, 7, 2**24 - 1]], dtype=torch.int32))
    assert sums.tolist() == [[168, 343, 2**24 + 510]]
    assert MIN_WEIGHT == 168 and abs(MIN_WEIGHT / 2**24 - 1e-5) < 2e-8


def test_probabilities_are_shares():
    assert probabilities(torch.tensor([1, 1, 4])).tolist() == [0.25, 0.0, 0.75]


def test_every_chance_leads_to_its_state():
    """Weights 1, 1, 2: a quarter of the chances to 0, a quarter to 1, half to 2."""
    finite = FiniteState(1, 6, 2, 3, CPU)
    quarter = 2**BITS // 4
    chances = torch.tensor([0, quarter - 1, quarter, 2 * quarter - 1, 2 * quarter, 4 * quarter - 1])
    sums = torch.tensor([1, 2, 4]) * 2**20
    finite.move(sums.expand(1, 6, 3), chances.view(1, 6, 1))
    assert finite.state.tolist() == [[0, 0, 1, 1, 2, 2]]
    obs, state = finite.observe()
    assert state[0, 3].tolist() == [0, 1, 0] and obs.shape == (1, 6, 2, 3)


def test_the_largest_sums_do_not_overflow():
    finite = FiniteState(1, 1, 1, 10_000, CPU)
    sums = cumulated(torch.full((1, 1, 10_000), 2**24 - 1))
    finite.move(sums, torch.tensor([[[2**24 - 1]]]))
    assert finite.state.item() == 9_999
