"""Graphs that change at random: masks and matrices of many rounds at once, on the device.

Sample t of a replica depends on its seed and t alone, however many samples are taken at once.
Shapes: T rounds, R replicas, N agents, E links (of all replicas).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from marlrun.graphs.links import Links
from marlrun.streams import Stream, mix
from marlrun.types import Seeds

Sampler = Callable[[int, int], Tensor]
"""(block, T) -> T samples from number block * T on, of all replicas, float32 [T, R, N, N]."""


def stream_of(seeds: Seeds, device: torch.device) -> Stream:
    """Return the stream of numbers that decide how graphs change."""
    return Stream(seeds, "graph/rounds", device)


def random_pairs(
    stream: Stream, num_agents: int, is_directed: bool, links: int | None, probability: float
) -> Sampler:
    """Return a sampler of masks with `links` links or, if None, each pair by `probability`."""
    every_pair = torch.ones(num_agents, num_agents, device=stream.device)
    every_pair = every_pair.fill_diagonal_(0) if is_directed else every_pair.triu(1)
    positions = every_pair.flatten().nonzero().squeeze(-1)

    def sample(block: int, length: int) -> Tensor:
        numbers = stream.bits(block, length, len(positions)).transpose(0, 1)
        mask = torch.zeros(*numbers.shape[:2], num_agents**2, device=stream.device)
        if links is None:
            mask[..., positions] = _happens(numbers, probability).float()
        else:
            indices = numbers.topk(links, largest=False, sorted=False).indices
            mask.scatter_(-1, positions[indices], 1.0)
        mask = mask.view(*numbers.shape[:2], num_agents, num_agents)
        return mask if is_directed else mask + mask.mT

    return sample


def random_positions(stream: Stream, num_agents: int, radius: float) -> Sampler:
    """Return a sampler of masks: agents at random in the unit square hear those within `radius`."""

    def sample(block: int, length: int) -> Tensor:
        position = stream.uniform(block, length, num_agents, 2).transpose(0, 1)
        gap = position.unsqueeze(-2) - position.unsqueeze(-3)
        mask = (gap.square().sum(-1) < radius**2).float()
        mask.diagonal(dim1=-2, dim2=-1).zero_()
        return mask

    return sample


def relabelled(stream: Stream, matrix: Tensor) -> Sampler:
    """Return a sampler of the matrices [R, N, N] with their agents exchanged at random."""
    num_agents, table = matrix.shape[-1], matrix.flatten(1)

    def sample(block: int, length: int) -> Tensor:
        order = stream.bits(block, length, num_agents).argsort(-1).transpose(0, 1)
        places = (order.unsqueeze(-1) * num_agents + order.unsqueeze(-2)).flatten(2)
        matrices = table.expand(length, -1, -1).gather(-1, places)
        return matrices.view(*order.shape, num_agents)

    return sample


def one_link(stream: Stream, links: Links) -> Sampler:
    """Return a sampler of masks with a single pair of agents, one of the (undirected) links."""
    num_agents, device = links.num_agents, stream.device
    is_first = links.hearer < links.heard
    counts = torch.from_numpy(links.replica[is_first]).bincount(minlength=links.num_replicas)
    starts = (counts.cumsum(0) - counts).to(device)
    counts = counts.to(device)
    forward = torch.from_numpy((links.hearer * num_agents + links.heard)[is_first]).to(device)
    backward = torch.from_numpy((links.heard * num_agents + links.hearer)[is_first]).to(device)

    def sample(block: int, length: int) -> Tensor:
        number = stream.uniform(block, length, 1).transpose(0, 1).squeeze(-1)
        indices = starts + (number * counts).long()
        places = torch.stack((forward[indices], backward[indices]), -1)
        mask = torch.zeros(*number.shape, num_agents**2, device=device)
        mask.scatter_(-1, places, 1.0)
        return mask.view(*number.shape, num_agents, num_agents)

    return sample


class Failures:
    """Samples which links hold in a round; an undirected link fails in both directions at once."""

    def __init__(self, links: Links, stream: Stream, failure: float):
        self._stream, self._failure = stream, failure
        size = links.num_agents
        hearer, heard = (torch.from_numpy(ends) for ends in (links.hearer, links.heard))
        if not links.is_directed:
            hearer, heard = torch.minimum(hearer, heard), torch.maximum(hearer, heard)
        self._names = mix(hearer * size + heard).to(stream.device)
        self._replica = torch.from_numpy(links.replica).to(stream.device)

    def __call__(self, block: int, length: int) -> Tensor:
        """Return float32 [T, E], 1 where a link holds."""
        keys = self._stream.bits(block, length).T
        numbers = mix(keys.index_select(1, self._replica).add_(self._names))
        return (~_happens(numbers, self._failure)).float()


def failing(links: Links, stream: Stream, failure: float) -> Sampler:
    """Return a sampler of the masks of links that hold."""
    failures = Failures(links, stream, failure)
    places = torch.from_numpy(links.places).to(stream.device)
    shape = (links.num_replicas, links.num_agents, links.num_agents)

    def sample(block: int, length: int) -> Tensor:
        mask = torch.zeros(length, links.num_replicas * links.num_agents**2, device=stream.device)
        return mask.index_copy_(1, places, failures(block, length)).view(length, *shape)

    return sample


def mask_of(links: Links, device: torch.device) -> Tensor:
    """Return the mask [R, N, N] of links."""
    shape = (links.num_replicas, links.num_agents, links.num_agents)
    mask = torch.zeros(links.num_replicas * links.num_agents**2)
    mask[torch.from_numpy(links.places)] = 1.0
    return mask.view(shape).to(device)


def _happens(numbers: Tensor, probability: float) -> Tensor:
    """Return where an event of this probability happens, by uniform int64 numbers of 64 bits."""
    return numbers < min(int(probability * 2**64) - 2**63, 2**63 - 1)
