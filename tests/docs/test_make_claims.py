"""The table of claims is made from a checked file."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "docs/make_claims.py"))
CLAIM = {
    "claim": "1a",
    "statement": "A beats B",
    "paper": 0.76,
    "ours": 0.75,
    "interval": [0.74, 0.76],
    "seeds": 5,
    "holds": True,
    "command": "marlrun algo=a|b",
    "commit": "0123456789abcdef",
}
EXACT = {k: v for k, v in CLAIM.items() if k not in ("interval", "seeds")}


def files(folder: Path, claims: object) -> tuple[Path, list[str]]:
    source = folder / "claims.json"
    source.write_text(json.dumps(claims))
    return folder / "claims.md", ["--claims", str(source)]


def test_a_row_for_each_claim_and_for_each_cell(tmp_path: Path):
    cell = {"cell": "4 x 4", "ours": 0.9, "interval": [0.89, 0.91], "worst": 0.88}
    made, arguments = files(tmp_path, [CLAIM | {"cells": [cell]}])
    TOOL["main"](arguments)
    assert made.read_text().splitlines()[-2:] == [
        "| 1a | A beats B | 0.76 | 0.75 [0.74, 0.76] | 5 | **yes** "
        "| `marlrun algo=a\\|b` at `012345678` |",
        "| 1a | - 4 x 4 |  | 0.9 [0.89, 0.91], worst seed 0.88 |  |  |  |",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claims.json", "claims.md"]
    TOOL["main"]([*arguments, "--check"])
    made.write_text("old")
    with pytest.raises(SystemExit, match=r"claims\.md: .* out of date"):
        TOOL["main"]([*arguments, "--check"])
    assert made.read_text() == "old"


def test_a_claim_of_which_the_control_does_as_well_is_empty(tmp_path: Path):
    made, arguments = files(tmp_path, [CLAIM | {"holds": "empty"}])
    TOOL["main"](arguments)
    assert "| 5 | **empty** |" in made.read_text()


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (3, "claim number 1: got 3, expected an object"),
        (CLAIM | {"sedes": 5}, r"\(1a\): unknown field 'sedes', expected claim, .* seeds"),
        (EXACT, "missing field 'interval'"),
        (CLAIM | {"interval": [2, 1]}, r"interval: got \[2, 1\], expected \[lo, hi\]"),
        (CLAIM | {"seeds": True}, "seeds: got True, expected a whole number"),
        (
            CLAIM | {"holds": "maybe"},
            'holds: got \'maybe\', expected true, false, "partly" or "empty"',
        ),
        (CLAIM | {"cells": [{"ours": 1}]}, "cell None: missing field 'cell'"),
    ],
)
def test_refuses_by_name(tmp_path: Path, claim: object, message: str):
    with pytest.raises(SystemExit, match=rf"^claims\.json: .*{message}"):
        TOOL["main"](files(tmp_path, [claim])[1])


def test_exact_claims_need_no_seeds_and_cells_no_common_interval(tmp_path: Path):
    many = {k: v for k, v in CLAIM.items() if k != "interval"} | {
        "cells": [{"cell": "x", "ours": 1}]
    }
    made, arguments = files(tmp_path, [EXACT | {"exact": True}, many])
    TOOL["main"](arguments)
    assert "| exact | **yes** |" in made.read_text()


def test_a_bar_is_escaped_once(tmp_path: Path):
    made, arguments = files(tmp_path, [CLAIM | {"ours": "|w| is 0"}])
    TOOL["main"](arguments)
    assert r"| \|w\| is 0 [0.74" in made.read_text()


def test_the_table_of_this_project_is_up_to_date():
    if not (ROOT / "docs/results/claims.json").exists():
        pytest.skip("no claims yet")
    TOOL["main"](["--check"])
