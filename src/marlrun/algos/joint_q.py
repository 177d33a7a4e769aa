"""The joint action learner: one recurrent Q-network for the whole team, over its joint actions.

It is the other extreme beside independent learners (Claus & Boutilier, AAAI 1998; Omidshafiei et
al., ICML 2017, section 1): what all agents observe goes into one network, which values every joint
action and chooses the best. So no agent's exploration disturbs another, and the number of joint
actions grows exponentially with the agents. A team is one agent, so this is Dec-HDRQN (with beta
1: Dec-DRQN) in a game of one agent, paid by the mean of the agents' rewards.

Shapes: R replicas, E copies, N agents, O observation features, A actions, J joint actions.
"""

from dataclasses import replace
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from marlrun.algos.dec_hdrqn import DecHDRQN, DecHDRQNSettings
from marlrun.nets.epsilon_greedy import EpsilonGreedy
from marlrun.system import capacity
from marlrun.types import Metrics, Seeds, Spec, StateDict, Step

EVALUATED_COPIES = 1024
"""An evaluation plays at most so many episodes of a replica side by side, as runner/plays.py says."""


class JointQ:
    """The learner; its parameters are explained in conf/algo/joint_q.yaml."""

    handles_action_masks: ClassVar[bool] = True

    def __init__(
        self,
        spec: Spec,
        seeds: Seeds,
        device: torch.device,
        *,
        num_envs: int,
        max_joint_actions: int,
        settings: DecHDRQNSettings,
    ):
        """Raise ValueError if there are too many joint actions, or more than the memory holds."""
        _check(spec, len(seeds), device, max_joint_actions, settings)
        self.team = Team(spec, device)
        self.learner = DecHDRQN(self.team.spec, seeds, device, num_envs=num_envs, settings=settings)

    def policy(self, explore: bool, seeds: Seeds) -> "JointPolicy":
        """Return the epsilon-greedy policy, which explores by a uniform joint action."""
        return JointPolicy(self.team, self.learner.policy(explore, seeds))

    def observe(self, before: Step, action: Tensor, after: Step) -> None:
        """Remember one step of the team."""
        team = self.team
        self.learner.observe(team.step(before), team.joint_action(action), team.step(after))

    def update(self) -> Metrics:
        """Learn if it is time; metrics are [R], for there is one network."""
        return {tag: values.flatten() for tag, values in self.learner.update().items()}

    def state_dict(self) -> StateDict:
        """Return everything learned and remembered."""
        return self.learner.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.learner.load_state_dict(state)


class JointPolicy:
    """The team's policy; every agent plays its part of the joint action."""

    def __init__(self, team: "Team", policy: EpsilonGreedy):
        self.team, self.joint = team, policy

    def __call__(self, step: Step) -> Tensor:
        """Return actions [R, E, N]; every call is one step of every copy's episode."""
        return self.team.actions(self.joint(self.team.step(step)))

    def value(self, step: Step) -> Tensor:
        """Return the team's anticipated return for each agent [R, E, N], without advancing memory."""
        return self.joint.value(self.team.step(step)).expand_as(step.reward)

    def state_dict(self) -> StateDict:
        """Return memory and the random stream's position."""
        return self.joint.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Restore `state_dict`, bit for bit."""
        self.joint.load_state_dict(state)


class Team:
    """All agents of a game as one agent: its spec, its steps, its actions.

    A joint action is a number whose digits are the agents' actions, the last agent's the lowest.
    """

    def __init__(self, spec: Spec, device: torch.device):
        widest, counts = max(spec.obs_sizes), spec.num_actions
        self.spec = replace(
            spec,
            num_agents=1,
            agent_names=("team",),
            obs_sizes=(sum(spec.obs_sizes),),
            num_actions=(prod(counts),),
            symmetries=(),
        )
        self._features = torch.tensor(
            [n * widest + k for n, size in enumerate(spec.obs_sizes) for k in range(size)],
            device=device,
        )
        """What agents observe, without the padding, in a row of N * O numbers."""
        self._counts = torch.tensor(counts, device=device)
        strides = [prod(counts[agent + 1 :]) for agent in range(spec.num_agents)]
        self._strides = torch.tensor(strides, device=device)
        self._agents = torch.arange(spec.num_agents, device=device)[:, None]

    def step(self, step: Step) -> Step:
        """Return a step as the team sees it; a joint action is allowed where all its parts are."""
        obs = step.obs.flatten(-2)[..., self._features].unsqueeze(-2)
        mask = None
        if step.action_mask is not None:
            joint = torch.arange(self.spec.num_actions[0], device=step.obs.device)
            parts = self.actions(joint.unsqueeze(-1)).T
            mask = step.action_mask[..., self._agents, parts].all(-2, keepdim=True)
        reward = step.reward.mean(-1, keepdim=True)
        return Step(step.first, obs, reward, step.terminated, step.truncated, action_mask=mask)

    def joint_action(self, action: Tensor) -> Tensor:
        """Return the joint action [.., 1] of the agents' actions [.., N]."""
        return (action * self._strides).sum(-1, keepdim=True)

    def actions(self, joint: Tensor) -> Tensor:
        """Return the agents' actions [.., N] of a joint action [.., 1]."""
        return joint // self._strides % self._counts


def _check(
    spec: Spec,
    replicas: int,
    device: torch.device,
    max_joint_actions: int,
    settings: DecHDRQNSettings,
) -> None:
    """Raise ValueError if there are too many joint actions, or more than the memory holds."""
    counts, number = spec.num_actions, prod(spec.num_actions)
    product = (
        f"{counts[0]}^{len(counts)}" if len(set(counts)) == 1 else " x ".join(map(str, counts))
    )
    if number > max_joint_actions:
        raise ValueError(
            f"algo.max_joint_actions={max_joint_actions}: expected at least {product} = {number:,}, "
            f"the joint actions of {len(counts)} agents; fewer agents, or algo=dec_drqn"
        )
    # The last layer's weights and their moments; its values and their gradients in an update, or
    # those values of an evaluation's copies, and a copy of them that is masked.
    values = max(3 * settings.batch * (settings.trace + 1), 2 * EVALUATED_COPIES)
    capacity.check(
        4 * replicas * number * (6 * settings.sizes[-1] + values),
        device,
        f"algo=joint_q with {product} = {number:,} joint actions, replicas={replicas}",
    )
