"""The contents of the report in their order, as Markdown; html.py writes them as HTML."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from marlrun.report.analysis.statistics import FEW, LEAST
from marlrun.report.analysis.study import Study
from marlrun.report.data.notes import Notes
from marlrun.report.render import tables
from marlrun.report.render.tables import Table, escaped

READING = (
    "IQM is the interquartile mean: the mean of the middle half of the seeds. Intervals are 95 % "
    "percentile intervals of the stratified bootstrap over seeds (Agarwal et al., NeurIPS 2021, "
    "github.com/google-research/rliable). There is none for fewer than "
    f"{LEAST} seeds; that of fewer than {FEW} is too narrow."
)
PROFILE, VERSUS = "Performance profile", "Probability of improvement"
NEUTRAL = {PROFILE: "Distribution of results", VERSUS: "Probability of ending higher"}
"""Titles for metrics of which higher values are not known to be better."""


@dataclass(frozen=True)
class Picture:
    """A figure with a title and a caption; `files`, kind -> bytes, have the name `stem`."""

    stem: str
    title: str
    caption: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Section:
    """A part of the report that has a heading."""

    title: str
    parts: Sequence[str | Table | Picture | Notes]


def sections(study: Study, pictures: Sequence[Picture]) -> Iterator[Section]:
    """Yield the sections of the report that are not empty."""
    by_title: dict[str, list[Picture]] = {}
    for picture in pictures:
        by_title.setdefault(picture.title, []).append(picture)
    yield Section("Overview", [overview(study), READING])
    if any(study.finals.values()):
        yield Section("Final results", [tables.results(study.finals)])
    profile, versus = by_title.pop(PROFILE, []), by_title.pop(VERSUS, [])
    yield from (Section(title, of_title) for title, of_title in by_title.items())
    if study.comparison and profile:
        table = [tables.across(study.comparison)] * (len(study.comparison.tasks) > 1)
        yield Section(_named(PROFILE, study), [*table, *profile])
    if study.improvements:
        yield Section(_named(VERSUS, study), [*versus, tables.improvement(study.improvements)])
    yield Section("Notes", [study.notes if len(study.notes) else "Nothing was dropped or missing."])


def _named(title: str, study: Study) -> str:
    return title if study.is_ranked else NEUTRAL[title]


def overview(study: Study) -> str:
    """Return in a few words what the report is about."""
    headline, runs = study.headline, study.runs
    seeds = sum(len(group.trials) for group in headline.groups)
    num_finished = sum(run.status == "finished" for run in runs)
    metrics = "; ".join(f"{measure.metric}, {measure.y}" for measure in study.measures)
    return (
        f"{len(runs)} runs ({num_finished} finished), {seeds} seeds, {len(headline.tasks)} tasks, "
        f"{len(study.algorithms)} algorithms or settings. Metric: {metrics}."
    )


def markdown(parts: Iterable[Section]) -> str:
    """Return the report as Markdown."""
    texts = ["# Report\n"]
    for section in parts:
        texts.append(f"## {escaped(section.title)}\n")
        texts += [_markdown(part) for part in section.parts]
    return "\n".join(texts)


def _markdown(part: str | Table | Picture | Notes) -> str:
    if isinstance(part, Table):
        return f"{escaped(part.caption)}\n\n{part.markdown()}"
    if isinstance(part, Picture):
        return f"![{escaped(part.title)}]({part.stem}.png)\n\n{escaped(part.caption)}\n"
    if isinstance(part, Notes):
        return "".join(_item(sentence, subjects) for sentence, subjects in part)
    return f"{escaped(part)}\n"


def _item(sentence: str, subjects: Sequence[str]) -> str:
    inner = "".join(f"  - {escaped(subject)}\n" for subject in subjects)
    return f"- {escaped(sentence)}{':' if subjects else '.'}\n{inner}"
