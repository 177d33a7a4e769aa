"""An algorithm with demonstrations, which looks at them and plays at random."""

import torch

from marlrun.algos.random import Random
from marlrun.data.demonstrations import read


class Pupil(Random):
    """Knows the mean of what was demonstrated, and puts it into its checkpoints."""

    def __init__(
        self,
        spec,
        seeds,
        device,
        *,
        num_envs,
        demonstrations,
        demonstrations_episodes=None,
    ):
        super().__init__(spec, seeds, device, num_envs=num_envs)
        episodes = read(demonstrations).beginning(demonstrations_episodes)
        self.number, self.mean = episodes.num_episodes, episodes.obs.mean()

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        assert torch.equal(state["mean"], self.mean)
