"""matplotlib without the settings of the user, so that a figure has the same bytes everywhere.

Other modules import matplotlib from here, and draw within `style`. pyplot is not used, for it has
state and needs a backend.
"""

import importlib.util
import logging
import os
from collections.abc import Generator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def _without_settings() -> Generator[None]:
    """Hide MPLBACKEND and every matplotlibrc while matplotlib is imported.

    matplotlib reads them during its import, and a bad one ends it. It takes the first matplotlibrc
    that it finds, from the working directory on, so that is for a moment the directory of its own
    file. It also logs an error if it cannot store its list of fonts, which changes no figure.
    """
    origin = importlib.util.find_spec("matplotlib").origin  # pyright: ignore[reportOptionalMemberAccess]
    backend = os.environ.pop("MPLBACKEND", None)
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with chdir(Path(str(origin)).parent / "mpl-data"):
            yield
    finally:
        logger.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


with _without_settings():
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter

__all__ = ["Axes", "EngFormatter", "Figure", "MaxNLocator", "NullFormatter"]

KINDS = ("png", "svg", "pdf")
"""The formats in which a figure can be saved."""
_UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
_DEFAULTS: Any = dict(matplotlib.rcParamsDefault.copy())
del _DEFAULTS["backend"]  # a backend draws on a screen
_DEFAULTS["svg.hashsalt"] = "marlrun"


@contextmanager
def style(settings: Mapping[str, Any] | None = None) -> Generator[None]:
    """Let figures be drawn and saved with the defaults of matplotlib and these settings only."""
    with matplotlib.rc_context(_DEFAULTS | dict(settings or {})):
        yield


def new_figure(**settings: Any) -> Figure:
    """Return an empty figure; `settings` are those of matplotlib's `Figure`."""
    figure = Figure(**settings)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, file: Path | BinaryIO, kind: str, **settings: Any) -> None:
    """Write a figure, without a date, as one of KINDS; `settings` are those of `savefig`."""
    figure.savefig(file, format=kind, metadata=_UNDATED.get(kind), **settings)
