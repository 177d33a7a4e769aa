"""matplotlib without the user's settings: a figure is the same bytes wherever it is drawn.

Whoever draws takes matplotlib from here, and draws within `style`. pyplot is left alone: it keeps
state of its own and wants a backend.
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

    matplotlib reads them then, and a bad one ends the import. It takes the first matplotlibrc it
    meets, beginning in the working directory, and so is led to the one that it brings. It also
    complains if it can keep its list of fonts nowhere, which changes no figure.
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
"""What a figure can be saved as."""
_UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
_DEFAULTS: Any = dict(matplotlib.rcParamsDefault.copy())
del _DEFAULTS["backend"]  # what would be loaded with it draws on screens
_DEFAULTS["svg.hashsalt"] = "marlrun"


@contextmanager
def style(settings: Mapping[str, Any] | None = None) -> Generator[None]:
    """Let figures be drawn and saved with matplotlib's defaults and these settings alone."""
    with matplotlib.rc_context(_DEFAULTS | dict(settings or {})):
        yield


def new_figure(**settings: Any) -> Figure:
    """Return an empty figure; `settings` are those of matplotlib's `Figure`."""
    figure = Figure(**settings)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, file: Path | BinaryIO, kind: str, **settings: Any) -> None:
    """Write a figure as one of KINDS, undated; `settings` are those of matplotlib's `savefig`."""
    figure.savefig(file, format=kind, metadata=_UNDATED.get(kind), **settings)
