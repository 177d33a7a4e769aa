"""Writes the files of a report into a directory."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from marlrun.report.analysis.study import Study
from marlrun.report.render import marl_eval, tables
from marlrun.report.render.document import markdown, sections
from marlrun.report.render.html import page
from marlrun.system.paths import refuse_links
from marlrun.system.writing import write_atomically

DOCUMENTS = re.compile(
    r"(report\.(html|md)|(results|seeds|curves|improvement)\.csv|"
    + re.escape(marl_eval.FILE_NAME)
    + ")"
)
FIGURES = re.compile(
    r"(curves|wall_time|profile|improvement|hyperparameters)(_[A-Za-z0-9_-]+)?\.(png|svg)"
)


def check(out: Path) -> None:
    """Raise OSError if a directory cannot be made or written into; nothing is made.

    ValueError if it holds a link, a pipe or a directory with the name of a report's file.
    """
    nearest = next(path for path in (out, *out.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(out))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied", str(nearest))
    if nearest == out:
        names = [path.name for path in _older(out)]
        refuse_links(out, names)
        for name in names:
            if (out / name).is_dir():
                raise ValueError(f"{out / name} is a directory: expected a file of an older report")


def _older(out: Path) -> Iterator[Path]:
    """Yield the paths in a directory that have the name of a report's file."""
    for path in sorted(out.iterdir()):
        if DOCUMENTS.fullmatch(path.name) or FIGURES.fullmatch(path.name):
            yield path


def write_report(study: Study, out: Path) -> None:
    """Write all files of a report into `out`, and remove other files of an older report there.

    The contents of all files are made before the first is written. OSError if one cannot be.
    """
    files = _files(study)
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(out / name, lambda file, content=content: file.write(content))
    for path in _older(out):
        if path.name not in files:
            path.unlink()


def _files(study: Study) -> dict[str, bytes]:
    """Return the files of the report, name -> content."""
    from marlrun.report.render.plots import draw  # imports matplotlib, which takes a while

    headline = study.headline
    texts = {marl_eval.FILE_NAME: marl_eval.dump(headline.groups, headline.metric, study.notes)}
    csv_tables = {
        "results.csv": tables.results(study.finals),
        "seeds.csv": tables.seeds(headline.groups),
        "curves.csv": tables.curves(study.curves),
        "improvement.csv": tables.improvement(study.improvements),
    }
    texts |= {name: table.csv() for name, table in csv_tables.items()}
    pictures = draw(study)
    parts = list(sections(study, pictures))
    texts |= {"report.md": markdown(parts), "report.html": page(parts)}
    figures = {
        f"{picture.stem}.{kind}": content
        for picture in pictures
        for kind, content in picture.files.items()
    }
    return figures | {name: text.encode() for name, text in texts.items()}
