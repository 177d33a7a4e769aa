"""A program that uses Hydra and logging itself has both back."""

import logging
from pathlib import Path

import pytest
from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.version import getbase
from omegaconf import OmegaConf

from marlrun.cli.embedded import embedded
from marlrun.cli.main import run_command

SWEEP = ["-m", "algo=random", "env=matrix_game", "env_steps=0", "seed=0,1"]
QUICK = ["eval.episodes=1", "eval.final_episodes=1", "hydra.sweep.dir=s"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("words", [[*SWEEP, *QUICK], ["algo=nope"]])
def test_a_program_that_has_started_hydra(words):
    before = HydraConfig.instance().cfg
    try:
        with initialize(version_base="1.2", config_path=None, job_name="theirs"):
            theirs = GlobalHydra.instance().hydra
            # Hydra has this one as well, and sets it when it starts.
            OmegaConf.register_new_resolver("now", lambda pattern: "theirs", replace=True)
            with embedded():
                assert not GlobalHydra.instance().is_initialized()
                run_command(words)
            assert GlobalHydra.instance().hydra is theirs
            assert str(getbase()) == "1.2"
            cfg = compose(overrides=["+a=${now:%Y}"], return_hydra_config=True)
            assert (cfg.a, cfg.hydra.job.name) == ("theirs", "theirs")
    finally:
        setup_globals()
    assert HydraConfig.instance().cfg is before


def test_a_program_that_logs_to_a_file():
    handler = logging.FileHandler("theirs.log", mode="w")
    logging.root.addHandler(handler)
    level = logging.root.level
    try:
        with embedded():
            run_command([*SWEEP, *QUICK])
        # Hydra would have closed the handler, which then writes nothing.
        logging.getLogger("theirs").error("still here")
        assert handler in logging.root.handlers and logging.root.level == level
    finally:
        logging.root.removeHandler(handler)
        handler.close()
    assert Path("theirs.log").read_text() == "still here\n"


def test_an_exception_leaves_nothing_behind():
    with pytest.raises(ZeroDivisionError), embedded():
        GlobalHydra.instance().hydra = object()
        raise ZeroDivisionError
    assert not GlobalHydra.instance().is_initialized()
