"""The command line inside another program, which may use Hydra and logging itself."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase
from omegaconf.basecontainer import BaseContainer

# Hydra closes every handler that logging knows when it makes its own, and OmegaConf cannot say what
# a resolver was before it was replaced.
_resolvers = BaseContainer._resolvers  # pyright: ignore[reportPrivateUsage]
_handlers: list[Any] = logging._handlerList  # pyright: ignore


@contextmanager
def embedded() -> Generator[None]:
    """Give the context a Hydra that was never started; afterwards all is as the caller had it."""
    singletons = [GlobalHydra.instance(), HydraConfig.instance(), VersionBase.instance()]
    attributes = [dict(vars(singleton)) for singleton in singletons]
    task_name = JobRuntime().get("name")
    resolvers, handlers = dict(_resolvers), list(_handlers)
    root_handlers, level = list(logging.root.handlers), logging.root.level
    GlobalHydra.instance().clear()
    _handlers.clear()
    try:
        yield
    finally:
        for singleton, values in zip(singletons, attributes, strict=True):
            vars(singleton).update(values)
        JobRuntime().set("name", task_name)
        _resolvers.clear()
        _resolvers.update(resolvers)
        _handlers[:] = handlers
        logging.root.handlers[:] = root_handlers
        logging.root.setLevel(level)
