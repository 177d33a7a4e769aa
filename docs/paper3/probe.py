"""What a recovered reward of navigation says along straight ways to the goals, beside the true one.

All agents stand still in every picture that is shown. On one way they go from a start to their
goals, on the other from the landmarks' centroid, where policies that are torn between the goals wait.

Shapes: R replicas, E starts, P points of a way, N agents and as many landmarks.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from kept import RESULTS
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from marlrun.envs.particle.spread import RADIUS
from marlrun.nets.recovered import recovered_reward
from marlrun.runner.build import build_env
from marlrun.runner.intervals import estimate
from marlrun.system.plotting import new_figure, save, style

CPU = torch.device("cpu")
STARTS, POINTS, SEED = 500, 21, 7
RUNS = {
    "MA-AIRL": "paper3_navigation/ma_airl_fixed",
    "MA-AIRL, permutations": "paper3_symmetries/ma_airl_permutations",
    "MA-GAIL": "paper3_navigation/ma_gail_fixed",
}
COLOURS = ("#000000", "#0072B2", "#009E73", "#D55E00")


class World(NamedTuple):
    """Where agents begin, their goals, and where landmarks are: each [E, N, 2]."""

    start: Tensor
    goal: Tensor
    landmarks: Tensor


def begun(run: Path) -> tuple[World, Tensor]:
    """Return starts of the run's own game, in which agent 0 is the origin, and its observations."""
    node = yaml.safe_load((run / "config.yaml").read_text())["env"]
    num_agents = node["num_agents"]
    obs = build_env(node, [SEED], CPU, [], num_envs=STARTS).reset().obs[0]
    landmarks, others, _ = obs[:, 0, 2:].split(
        (2 * num_agents, 2 * num_agents - 2, 2 * num_agents - 2), 1
    )
    start = torch.cat([torch.zeros(STARTS, 2), others], 1).view(STARTS, num_agents, 2)
    landmarks = landmarks.view(STARTS, num_agents, 2)
    order = [linear_sum_assignment(way.numpy())[1] for way in torch.cdist(start, landmarks)]
    goal = torch.stack([row[list(columns)] for row, columns in zip(landmarks, order, strict=True)])
    return World(start, goal, landmarks), obs


def observed(position: Tensor, landmarks: Tensor) -> Tensor:
    """Return what resting agents see, [.., N, O]: velocity, landmarks, others, silence."""
    num_agents = position.shape[-2]
    views: list[Tensor] = []
    for agent in range(num_agents):
        own = position[..., agent : agent + 1, :]
        others = [other for other in range(num_agents) if other != agent]
        seen = [own - own, landmarks - own, position[..., others, :] - own]
        silence = torch.zeros_like(position[..., others, :])
        views.append(torch.cat([x.flatten(-2) for x in [*seen, silence]], -1))
    return torch.stack(views, -2)


def true_reward(position: Tensor, landmarks: Tensor) -> Tensor:
    """Return the reward [..] that every agent earns, as MA-AIRL's rules say."""
    num_agents = position.shape[-2]
    way = torch.cdist(landmarks, position).amin(-1).sum(-1)
    # An agent overlaps with itself, too.
    depth = (2 * RADIUS - torch.cdist(position, position)).clamp(min=0).sum((-1, -2))
    return -num_agents * way - depth


def way(first: Tensor, last: Tensor) -> Tensor:
    """Return the points between two places [E, N, 2], both among them: [E, P, N, 2]."""
    return torch.lerp(
        first.unsqueeze(1), last.unsqueeze(1), torch.linspace(0, 1, POINTS).view(1, -1, 1, 1)
    )


def along(name: str) -> dict[str, Any]:
    """Return the mean rewards of the points of both ways, the recovered ones of a run seed by seed.

    Recovered rewards have no scale and no origin: theirs are such that, seed by seed, they agree with
    the true reward at the beginning and at the end of the way from the starts.
    """
    run = RESULTS / name
    recovered = recovered_reward(torch.load(run / "reward.pt", weights_only=True)["reward"], CPU)
    world, _ = begun(run)
    centroid = world.landmarks.mean(1, keepdim=True).expand_as(world.goal)
    ways = {"start": way(world.start, world.goal), "centroid": way(centroid, world.goal)}
    found: dict[str, Any] = {}
    truth, guess = {}, {}
    for key, points in ways.items():
        landmarks = world.landmarks.unsqueeze(1).expand_as(points)
        truth[key] = true_reward(points, landmarks).mean(0)
        obs = observed(points, landmarks).expand(len(recovered.seeds), -1, -1, -1, -1)
        guess[key] = recovered(obs, torch.zeros(obs.shape[:-1], dtype=torch.int64)).mean((1, 3))
    low, high = guess["start"][:, :1], guess["start"][:, -1:]
    scale = (truth["start"][-1] - truth["start"][0]) / (high - low)
    for key in ways:
        scaled = truth["start"][0] + (guess[key] - low) * scale
        found[key] = {"true": truth[key].tolist(), "recovered": scaled.tolist()}
    found["gain"] = (1 / scale.flatten()).tolist()
    return found


def probe() -> dict[str, Any]:
    """Return `along` of every run."""
    return {label: along(name) for label, name in RUNS.items()}


def draw_probe(found: dict[str, Any], file: Path) -> None:
    """Draw both ways."""
    with style():
        figure = new_figure(figsize=(8, 3.4), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, key in zip(axes, ("start", "centroid"), strict=True):
            share = torch.linspace(0, 1, POINTS).tolist()
            truth = next(iter(found.values()))[key]["true"]
            axis.plot(share, truth, color=COLOURS[0], label="true reward")
            for colour, (label, one) in zip(COLOURS[1:], found.items(), strict=False):
                bands = [estimate(values) for values in zip(*one[key]["recovered"], strict=True)]
                axis.plot(share, [x.mean for x in bands], color=colour, label=label)
                low, high = [x.low or 0 for x in bands], [x.high or 0 for x in bands]
                axis.fill_between(share, low, high, color=colour, alpha=0.2, linewidth=0)
            axis.set_xlabel(f"part of the way from the {key} to the goals")
        axes[0].set_ylabel("reward of a step")
        axes[0].legend(frameon=False)
        save(figure, file, "png", dpi=120)
