"""The report's files."""

import os
from pathlib import Path

from marlrun.report import marl_eval, tables
from marlrun.report.document import markdown, sections
from marlrun.report.html import page
from marlrun.report.study import Study


def prepare(out: Path) -> None:
    """Make the directory; OSError if nothing can be written there."""
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied", str(out))


def write(study: Study, out: Path) -> None:
    """Write everything into `out`, over an older report there; OSError if that fails."""
    from marlrun.report.pictures import draw  # matplotlib takes its time: only when all is well

    files = {marl_eval.WHERE: marl_eval.dump(study.groups, study.metric, study.notes)}
    found = {
        "results.csv": tables.results(study.finals),
        "seeds.csv": tables.seeds(study.groups),
        "curves.csv": tables.curves(study.curves, study.metric),
        "improvement.csv": tables.improvement(study.improvements),
    }
    files |= {name: table.csv() for name, table in found.items()}
    parts = list(sections(study, draw(study, out)))
    files |= {"report.md": markdown(parts), "report.html": page(parts, out)}
    for name, text in files.items():
        (out / name).write_text(text, "utf-8")
