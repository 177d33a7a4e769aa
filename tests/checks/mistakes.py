"""What a writer of algorithms and environments does wrong, each mistake in a class of its own."""

from dataclasses import replace

import numpy as np
import torch
from checks.toys import (
    Corridor,
    Gradient,
    GradientPolicy,
    GreedyPolicy,
    Offline,
    Rollout,
    Tabular,
    TabularPolicy,
    Uneven,
)
from mymarl.envs.doors import Doors


class OutOfBounds(Corridor):
    """Forgets that the right agent sees the last cell of the left."""

    def __init__(self, seeds, device, **keys):
        super().__init__(seeds, device, **keys)
        self.obs_bounds = 0.0, torch.tensor([[4.0, 4.0], [4.0, 3.0]])


class Unbounded(Corridor):
    """Does not say in which bounds its observations lie, and need not."""

    def __init__(self, seeds, device, **keys):
        super().__init__(seeds, device, **keys)
        del self.obs_bounds


class NeverRestarts(Corridor):
    """Says that an episode begins, and leaves agents and clock where they are."""

    def restart(self, step):
        no = torch.zeros_like(step.first)
        reward = step.reward.masked_fill(step.done[..., None], 0.0)
        return step._replace(first=step.done, reward=reward, terminated=no, truncated=no)


class PaysTwice(Corridor):
    """Keeps the last reward when an episode begins."""

    def restart(self, step):
        return super().restart(step)._replace(reward=step.reward)


class TeamReward(Corridor):
    """One reward for all agents, without the axis of agents."""

    def step(self, action):
        step = super().step(action)
        return step._replace(reward=step.reward.sum(-1))


class SharedGenerator(Corridor):
    """All games draw from one generator, which no seed and no state decides."""

    generator = torch.Generator().manual_seed(0)

    def numbers(self, purpose=0):
        return torch.rand(self.cells.shape, generator=self.generator)


class GlobalGenerator(Corridor):
    """Draws from numpy's generator, which belongs to nobody."""

    def numbers(self, purpose=0):
        return torch.tensor(np.random.rand(*self.cells.shape))  # noqa: NPY002


class OneSeed(Corridor):
    """All replicas and all runs play the game of seed 0."""

    def __init__(self, seeds, device, **keys):
        super().__init__([0] * len(seeds), device, **keys)


class OneBuffer(Corridor):
    """Writes every observation into the same memory."""

    buffer = None

    def seen(self):
        obs = super().seen()
        self.buffer = obs if self.buffer is None else self.buffer
        return self.buffer.copy_(obs)


class LongGame(Corridor):
    """Forgets its clock."""

    def step(self, action):
        step = super().step(action)
        return step._replace(truncated=torch.zeros_like(step.truncated))


class DividesByZero(Corridor):
    """Observes a position that is relative to nothing."""

    def seen(self):
        obs = super().seen()
        return torch.where(obs == 3, torch.nan, obs)


class Noisy(Uneven):
    """Leaves what it likes beyond an agent's own observation."""

    def seen(self):
        obs = super().seen()
        obs[..., 1, 1] = 0.5
        return obs


class Locked(Doors):
    """Allows nothing in the cell before the door."""

    def _allowed(self):
        return super()._allowed() & (self._cell != self._last - 1).unsqueeze(-1)


class PaysGhosts(Doors):
    """Goes on paying those that have left."""

    def step(self, action):
        was_alive = self._alive
        step = super().step(action)
        return step._replace(reward=step.reward + 0.25 * ~was_alive)


class Resurrects(Doors):
    """Brings back who has left, three steps before the clock runs out."""

    def step(self, action):
        step = super().step(action)
        back = (self._clock == self.spec.horizon - 3) & ~step.terminated
        self._alive = self._alive | back.unsqueeze(-1)
        return step._replace(alive=self._alive, action_mask=self._allowed())


class ObeysGhosts(Doors):
    """What those do that have left moves the others."""

    def step(self, action):
        pushed = (~self._alive & (action > 0)).flip(-1) & (self._cell == 1)
        self._cell = torch.where(self._alive & pushed, 0, self._cell)
        return super().step(torch.where(pushed, 1, action))


class Undeclared(Doors):
    """Masks actions, and does not say so."""

    def __init__(self, *args, **keys):
        super().__init__(*args, **keys)
        self.spec = replace(self.spec, has_action_mask=False)


class Fails(Corridor):
    """Has a slip of the pen."""

    def step(self, action):
        raise KeyError("cels")


class Foreign(Corridor):
    """Cannot save its state, and says so."""

    resumable = False

    def state_dict(self):
        raise NotImplementedError


class ForgetsTable(Tabular):
    """Does not save what it has learned."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class ForgetsRollout(Rollout):
    """Does not save the transitions that it has not learned from."""

    def state_dict(self):
        return super().state_dict() | {"rollout": []}


class DropsRollout(Rollout):
    """Takes the beginning of an evaluation for the beginning of a rollout."""

    def policy(self, explore, seeds):
        if not explore:
            self.rollout = []
        return super().policy(explore, seeds)


class SingleMetric(Tabular):
    """Logs one number for all replicas."""

    def update(self):
        return {"loss/td": super().update()["loss/td"].mean()}


class MixesReplicas(Tabular):
    """Every replica learns from the mean error of all of them."""

    def error(self):
        error = super().error()
        return error.mean(0, keepdim=True).expand_as(error)


class Explodes(Tabular):
    """Divides by what can be zero."""

    def error(self):
        return super().error() / (self.transition[2].reward - 1)


class ReadsPadding(Tabular):
    """Uses all columns of an observation, whoever it is from."""

    def cells(self, step):
        return step.obs.sum(-1).long() % 10


class LocksUp(Tabular):
    """Chooses an action that agents do not have."""

    def policy(self, explore, seeds):
        policy = super().policy(explore, seeds)
        return lambda step: policy(step) + 1


class NoMemoryLoss(Tabular):
    """Its policy goes on adding when an episode begins."""

    def policy(self, explore, seeds):
        return Elephant(self, explore, seeds)


class Elephant(TabularPolicy):
    def remembered(self, step):
        return self.sum


class ForgetsSum(Tabular):
    """Its policy does not save its memory."""

    def policy(self, explore, seeds):
        return Amnesiac(self, explore, seeds)


class Amnesiac(TabularPolicy):
    def load_state_dict(self, state):
        self.counter = state["counter"]


class OwnSeeds(Tabular):
    """Its policy draws the same numbers whatever seeds it is given."""

    def policy(self, explore, seeds):
        return super().policy(explore, [0] * len(seeds))


class HiddenParameter(Tabular):
    """Has a parameter that no YAML shows."""

    def __init__(self, spec, seeds, device, *, num_envs, lr, gamma=0.9):
        super().__init__(spec, seeds, device, num_envs=num_envs, lr=lr)


class AlwaysBack(Offline):
    """Says that it handles masks, and goes back where that is forbidden."""

    handles_action_masks = handles_leaving = True

    def policy(self, explore, seeds):
        return BackPolicy(self)


class BackPolicy(GreedyPolicy):
    def __call__(self, step):
        return torch.zeros_like(step.reward, dtype=torch.int64)


class OldViews(Gradient):
    """Learns views that were made at construction: the optimiser's tensor gets no gradient."""

    def __init__(self, *args, **keys):
        super().__init__(*args, **keys)
        self.views = self.rows.detach().clone().requires_grad_()

    def weights(self):
        return self.views


class InferenceActions(Gradient):
    """Its actions are tensors that autograd must not meet."""

    def policy(self, explore, seeds):
        return InferencePolicy(self, seeds)


class InferencePolicy(GradientPolicy):
    @torch.inference_mode()
    def __call__(self, step):
        return super().__call__(step)
