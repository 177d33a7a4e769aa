"""The report's files."""

import os
from pathlib import Path

from marlrun.report import marl_eval, tables
from marlrun.report.document import markdown, sections
from marlrun.report.html import page
from marlrun.report.study import Study


def check(out: Path) -> None:
    """Raise OSError if the directory could not be made or written into; make nothing."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(out))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied", str(there))


def write(study: Study, out: Path) -> None:
    """Write everything into `out`, over an older report there; OSError if that fails."""
    from marlrun.report.pictures import draw  # matplotlib takes its time: only when all is well

    out.mkdir(parents=True, exist_ok=True)
    first = study.headline
    files = {marl_eval.WHERE: marl_eval.dump(first.groups, first.metric, study.notes)}
    found = {
        "results.csv": tables.results(study.finals),
        "seeds.csv": tables.seeds(first.groups),
        "curves.csv": tables.curves(study.curves),
        "improvement.csv": tables.improvement(study.improvements),
    }
    files |= {name: table.csv() for name, table in found.items()}
    parts = list(sections(study, draw(study, out)))
    files |= {"report.md": markdown(parts), "report.html": page(parts, out)}
    for name, text in files.items():
        (out / name).write_text(text, "utf-8")
