"""PettingZoo: environments of marlrun as `ParallelEnv`."""

from marlrun.envs.pettingzoo.export import parallel_env

__all__ = ["parallel_env"]
