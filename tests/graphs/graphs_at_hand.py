"""Networks as the configuration builds them."""

from pathlib import Path

import torch

from marlrun.config.schema import declared, options
from marlrun.graphs.links import Links, join
from marlrun.graphs.network import Network
from marlrun.runner.build import build
from marlrun.system.reading import InputFile

CPU = torch.device("cpu")
NAMES = [name for name in options("graph") if name not in ("from_file", "positions")]
"""Graphs that need neither a file nor a game."""


def node(name: str, **keys: object) -> dict[str, object]:
    """Return what conf/graph/<name>.yaml says, but for `keys`."""
    rules = declared(f"graph/{name}", "graph").rules.items()
    values = {key.removeprefix("graph."): rule.default for key, rule in rules}
    assert values.keys() >= keys.keys()
    return values | keys


def network(name: str, num_agents: int, seeds=(0,), **keys: object) -> Network:
    if (file := keys.get("file")) is not None:
        path = Path(str(file))
        keys["file"] = InputFile(str(file), path.read_bytes() if path.exists() else b"")
    return build(node(name, **keys), "graph", [], num_agents, list(seeds), CPU)


def links(*edges: tuple[int, int], size: int, is_directed: bool = False) -> Links:
    import numpy as np

    return join([np.array(edges, dtype=np.int64).reshape(-1, 2)], size, is_directed)


def matrices(network: Network, count: int) -> torch.Tensor:
    """Return the next rounds' matrices [T, R, N, N]."""
    return torch.stack([dense(network.draw()) for _ in range(count)])


def dense(mixing) -> torch.Tensor:
    """Return C [R, N, N], sparse or not."""
    if not mixing.is_sparse:
        return mixing.matrix
    size, whole = mixing.num_agents, mixing.csr.to_dense()
    blocks = whole.view(len(whole) // size, size, -1, size)
    return torch.stack([block[:, index] for index, block in enumerate(blocks)])
