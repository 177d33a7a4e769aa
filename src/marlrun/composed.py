"""What Hydra composed, as plain data."""

from collections.abc import Iterable
from typing import cast

from omegaconf import DictConfig, OmegaConf

from marlrun.modes import Config


def job_config(cfg: DictConfig, groups: Iterable[str]) -> Config:
    """Return the resolved configuration of a job without Hydra's node, with what was chosen."""
    chosen = cfg.hydra.runtime.choices
    names = {group: chosen[group] for group in groups if chosen.get(group) is not None}
    return plain(cfg) | {"choices": names}


def plain(cfg: DictConfig) -> Config:
    """Return the resolved configuration without Hydra's own node."""
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    return cast(Config, OmegaConf.to_container(own, resolve=True))
