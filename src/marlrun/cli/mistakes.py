"""What an error of Hydra's says about what was typed, in one line and without advice."""

import re

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from marlrun.cli.modes import MODES
from marlrun.config.schema import did_you_mean

_ADVICE = re.compile(r"\n(?:Config search path|Search path|See https|To append|\s+full_key)")
"""Where Hydra's advice begins, which would let a typo through."""


def without_advice(error: BaseException) -> str:
    """Return what an error says as one line, without Hydra's advice."""
    if isinstance(error, OverrideParseException):
        word = error.override
        if mode := did_you_mean(word, MODES):
            return f"{word}: expected KEY=VALUE{mode.replace('mean ', 'mean mode=')}"
        return f"{word}: expected KEY=VALUE, special characters in quotes within quotes"
    text = " ".join(_ADVICE.split(str(error) or type(error).__name__)[0].split())
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        text = f"{error.full_key}: {text}"
    cause = error.__cause__ if isinstance(error, HydraException) else None
    return f"{text}; {without_advice(cause)}" if cause else text
