"""Write the table docs/results/claims.md from docs/results/claims.json (`make claims`).

The table has a row for each claim, and one for each of its cells.

A claim is one object: claim, statement, paper, ours, interval [lo, hi], seeds, holds (true, false,
"partly", or "empty": what it says is true of its control as well), command, commit. `"exact": true` stands in for interval and seeds; `cells` lists the
parts of a claim that has many, each {"cell": name, "ours": .., "paper": .., "interval": .., "worst": the
worst seed}, and stands in for interval.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TITLE = """# Claims

What the papers say, and what was measured here. Made from [claims.json](claims.json) by `make
claims`; the runs of each row lie in this directory. `empty`: what the claim says is true of its
control as well, so that it tells nothing.

"""
VERDICTS = {True: "yes", False: "no", "partly": "partly", "empty": "empty"}
CLAIM = {
    "claim": "a string",
    "statement": "a string",
    "paper": "a string, a number or null",
    "ours": "a string or a number",
    "interval": "[lo, hi] with lo <= hi",
    "seeds": "a whole number, at least 1",
    "holds": 'true, false, "partly" or "empty"',
    "command": "a string",
    "commit": "a string",
    "cells": "a list of objects",
    "exact": "true or false",
}
CELL = {"cell": "a string", "worst": "a string or a number"} | {
    key: CLAIM[key] for key in ("paper", "ours", "interval")
}


def fits(value: Any, wanted: str) -> bool:
    """Say whether `value` is what the words in CLAIM ask for."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "a string": isinstance(value, str) and value != "",
        "a string, a number or null": value is None or isinstance(value, str) or number,
        "a string or a number": isinstance(value, str) or number,
        "[lo, hi] with lo <= hi": _is_interval(value),
        "a whole number, at least 1": isinstance(value, int) and number and value >= 1,
        CLAIM["holds"]: isinstance(value, bool) or value in ("partly", "empty"),
        "a list of objects": isinstance(value, list) and all(isinstance(v, dict) for v in value),
        "true or false": isinstance(value, bool),
    }[wanted]


def check(given: dict[str, Any], fields: dict[str, str], optional: set[str], where: str) -> None:
    """Raise ValueError that names the claim, the field, the value and what was expected."""
    for key in given.keys() - fields.keys():
        raise ValueError(f"{where}: unknown field {key!r}, expected {', '.join(fields)}")
    for key, wanted in fields.items():
        if key not in given and key not in optional:
            raise ValueError(f"{where}: missing field {key!r}, expected {wanted}")
        if key in given and not fits(given[key], wanted):
            raise ValueError(f"{where}: {key}: got {given[key]!r}, expected {wanted}")


def check_claim(claim: Any, number: int) -> None:
    """Raise ValueError on a claim, counted from 1, that is not as the fields say."""
    where = f"claim number {number}"
    if not isinstance(claim, dict):
        raise ValueError(f"{where}: got {claim!r}, expected an object")
    where += f" ({claim.get('claim')})"
    optional = {"cells", "exact"}
    if claim.get("cells"):
        optional |= {"interval"}
    if claim.get("exact") is True:
        optional |= {"interval", "seeds"}
    check(claim, CLAIM, optional, where)
    for cell in claim.get("cells", []):
        check(cell, CELL, {"paper", "interval", "worst"}, f"{where}, cell {cell.get('cell')}")


def table(claims: list[dict[str, Any]]) -> str:
    """Return the claims as a Markdown table, with a row for each and one for each of its cells."""
    head = ["claim", "statement", "paper", "ours [95 % interval]", "seeds", "holds", "made by"]
    rows = [head, ["---"] * len(head)]
    for claim in claims:
        seeds = "exact" if claim.get("exact") else claim["seeds"]
        made_by = f"`{claim['command']}` at `{claim['commit'][:9]}`"
        holds = f"**{VERDICTS[claim['holds']]}**"
        name, statement = claim["claim"], claim["statement"]
        rows.append([name, statement, claim["paper"], _ours(claim), seeds, holds, made_by])
        for cell in claim.get("cells", []):
            rows.append([name, f"- {cell['cell']}", cell.get("paper"), _ours(cell), "", "", ""])
    return "\n".join(f"| {' | '.join(map(_text, row))} |" for row in rows)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the checked claims of a file; raises ValueError in one line."""
    claims = json.loads(path.read_text())
    if not isinstance(claims, list):
        raise ValueError("expected a list of claims")
    for number, claim in enumerate(claims, start=1):
        check_claim(claim, number)
    return claims


def main(argv: list[str]) -> None:
    """Rewrite claims.md beside claims.json, or say that it is out of date."""
    parser = argparse.ArgumentParser(description="claims.md from docs/results/claims.json")
    parser.add_argument("--claims", type=Path, default=ROOT / "docs/results/claims.json")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    options = parser.parse_args(argv)
    path = options.claims.with_suffix(".md")
    try:
        text = f"{TITLE}{table(read(options.claims))}\n"
    except (OSError, ValueError) as error:
        sys.exit(f"{options.claims.name}: {error}")
    if not options.check:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        sys.exit(f"{path.name}: the table of claims is out of date, run `make claims`")


def _is_interval(value: Any) -> bool:
    if not (isinstance(value, list) and len(value) == 2):
        return False
    return all(fits(v, "a string or a number") and not isinstance(v, str) for v in value) and (
        value[0] <= value[1]
    )


def _ours(entry: dict[str, Any]) -> str:
    low_high = entry.get("interval")
    interval = f" [{_plain(low_high[0])}, {_plain(low_high[1])}]" if low_high else ""
    worst = f", worst seed {_plain(entry['worst'])}" if "worst" in entry else ""
    return _plain(entry["ours"]) + interval + worst


def _plain(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    return _plain(value).replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main(sys.argv[1:])
