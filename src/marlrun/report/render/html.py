"""The report as one HTML file that needs no other file."""

import base64
from collections.abc import Iterable
from html import escape

from marlrun.report.data.notes import Notes
from marlrun.report.render.document import Picture, Section
from marlrun.report.render.tables import Table, displayed

MAX_SVG = 600_000
"""A figure with a larger SVG file is included as PNG."""
STYLE = """
:root { color-scheme: light dark; --text: #1c1c1e; --back: #ffffff; --soft: #61656b; --line: #d9dce1;
  --stripe: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --text: #e7e8ea; --back: #17181b; --soft: #a3a8b0;
  --line: #3a3d43; --stripe: #1f2125; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 80rem; margin: 0 auto; padding: 1.5rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
nav a { margin-right: 1.2rem; color: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem; }
th, td { padding: .3rem .8rem; text-align: left; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th.number, td.number { text-align: right; } tbody tr:nth-child(even) { background: var(--stripe); }
figure { margin: 1rem 0 2rem; } figcaption, .caption { color: var(--soft); font-size: .87rem; }
img { max-width: 100%; background: #ffffff; border-radius: 6px; padding: .5rem;
  box-sizing: border-box; }
"""


def page(sections: Iterable[Section]) -> str:
    """Return the report as HTML, which holds its figures."""
    sections = list(sections)
    links = "".join(
        f'<a href="#{_slug(section)}">{escape(section.title)}</a>' for section in sections
    )
    body = "".join(
        f'<section id="{_slug(section)}"><h2>{escape(section.title)}</h2>'
        f"{''.join(map(_html, section.parts))}</section>\n"
        for section in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>marlrun report</title><style>{STYLE}</style></head>\n"
        f"<body><h1>marlrun report</h1><nav>{links}</nav>\n{body}</body></html>\n"
    )


def _slug(section: Section) -> str:
    return escape(section.title.lower().replace(" ", "-"))


def _html(part: str | Table | Picture | Notes) -> str:
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Picture):
        return _picture(part)
    if isinstance(part, Notes):
        return f"<ul>{''.join(_note(*note) for note in part)}</ul>"
    return f"<p>{escape(part)}</p>"


def _table(table: Table) -> str:
    classes = [' class="number"' * table.is_number(i) for i in range(len(table.columns))]
    heads = zip(classes, table.columns, strict=True)
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in heads)
    rows = (
        "".join(
            f"<td{kind}>{escape(displayed(cell))}</td>"
            for kind, cell in zip(classes, row, strict=True)
        )
        for row in table.rows
    )
    body = "".join(f"<tr>{row}</tr>\n" for row in rows)
    return (
        f'<p class="caption">{escape(table.caption)}</p><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<p class="caption">{escape(table.legend)}</p>'
    )


def _picture(picture: Picture) -> str:
    kind, data = "svg+xml", picture.files["svg"]
    if len(data) > MAX_SVG:
        kind, data = "png", picture.files["png"]
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    caption = escape(picture.caption)
    return (
        f'<figure><img alt="{escape(picture.title)}" src="{source}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _note(sentence: str, subjects: list[str]) -> str:
    items = "".join(f"<li>{escape(subject)}</li>" for subject in subjects)
    inner = f"<ul>{items}</ul>" if subjects else ""
    if len(subjects) > 10:
        inner = f"<details><summary>{len(subjects)} of them</summary>{inner}</details>"
    return f"<li>{escape(sentence)}{':' if subjects else '.'}{inner}</li>"
