"""The clocks of all copies of a game, and the parts of a Step that all games have in common."""

import torch
from torch import Tensor

from marlrun.types import StateDict, Step


class Episodes:
    """Counts steps, says which episodes have run out of time, and begins new ones."""

    def __init__(self, obs: Tensor, horizon: int):
        """Take `obs`, any tensor of the game's shape [R, E, N, O]; `horizon` in steps."""
        self.steps = 0
        self._horizon = horizon
        self._on_cpu = obs.device.type == "cpu"
        self._deadline = torch.zeros(obs.shape[:2], dtype=torch.int64, device=obs.device)
        self._no = torch.zeros(obs.shape[:2], dtype=torch.bool, device=obs.device)
        self._zero = torch.zeros((), device=obs.device)
        self.over = Step(self._no, obs, torch.zeros_like(obs[..., 0]), ~self._no, self._no)
        """A step after which every copy begins an episode."""

    def tick(self) -> int:
        """Count a step and return its number."""
        self.steps += 1
        return self.steps

    def elapsed(self) -> Tensor:
        """Return [R, E] int64, how many steps the episode of each copy is old."""
        return self._horizon - (self._deadline - self.steps)

    def after(self, obs: Tensor, reward: Tensor, terminated: Tensor) -> Step:
        """Return the step after an action; an episode that has terminated is not truncated too."""
        truncated = (self._deadline <= self.steps) > terminated
        return Step(self._no, obs, reward, terminated, truncated)

    def after_endless(self, obs: Tensor, reward: Tensor) -> Step:
        """Return a step of a game in which only the clock ends an episode, by truncation."""
        return Step(self._no, obs, reward, self._no, self._deadline <= self.steps)

    def after_window(self, obs: Tensor, reward: Tensor, state: Tensor) -> Step:
        """Return a step of a continuing task, whose windows of time end by truncation."""
        return self.after_endless(obs, reward)._replace(state=state)

    def after_round(self, obs: Tensor, reward: Tensor) -> Step:
        """Return a step of a game that terminates after its last round."""
        return Step(self._no, obs, reward, self._deadline <= self.steps, self._no)

    def nothing_to_begin(self, step: Step) -> bool:
        """Say whether no copy is done; on a GPU, where it would cost time to know, say no."""
        return self.nowhere(step.terminated | step.truncated)

    def nowhere(self, flags: Tensor) -> bool:
        """Say whether all flags, of any shape, are False; on a GPU say no."""
        return self._on_cpu and not bool(flags.any())

    def begin(self, step: Step, obs: Tensor) -> Step:
        """Return `step` with a new episode where it is done, which has `obs` and no reward."""
        begins = step.terminated | step.truncated
        self._deadline.masked_fill_(begins, self.steps + self._horizon)
        agents_begin = begins.unsqueeze(-1)
        obs = torch.where(agents_begin.unsqueeze(-1), obs, step.obs)
        reward = torch.where(agents_begin, self._zero, step.reward)
        return Step(begins, obs, reward, self._no, self._no)

    def go_on(self, step: Step) -> Step:
        """Return `step` with a new window of time where it is done, which has no reward."""
        begins = step.terminated | step.truncated
        self._deadline.masked_fill_(begins, self.steps + self._horizon)
        reward = torch.where(begins.unsqueeze(-1), self._zero, step.reward)
        return step._replace(first=begins, reward=reward, terminated=self._no, truncated=self._no)

    def state_dict(self) -> StateDict:
        """Return the count and the deadlines."""
        return {"steps": self.steps, "deadline": self._deadline.clone()}

    def load_state_dict(self, state: StateDict) -> None:
        """Take back what `state_dict` returned."""
        self.steps = state["steps"]
        self._deadline.copy_(state["deadline"])
