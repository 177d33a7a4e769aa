"""The README's table of claims is made from a checked file."""

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
    readme, source = folder / "README.md", folder / "claims.json"
    readme.write_text("top\n<!-- claims:begin -->\nold\n<!-- claims:end -->\nbottom\n")
    source.write_text(json.dumps(claims))
    return readme, ["--claims", str(source), "--readme", str(readme)]


def test_rewrites_only_what_is_between_the_markers(tmp_path: Path):
    cell = {"cell": "4 x 4", "ours": 0.9, "interval": [0.89, 0.91]}
    readme, arguments = files(tmp_path, [CLAIM | {"cells": [cell]}])
    TOOL["main"](arguments)
    lines = readme.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("top", "bottom")
    assert lines[4] == (
        "| 1a | A beats B | 0.76 | 0.75 [0.74, 0.76] | 5 | **yes** "
        "| `marlrun algo=a\\|b` at `012345678` |"
    )
    assert lines[5] == "<!-- claims:end -->"
    parts = (tmp_path / "claims.md").read_text().splitlines()
    assert parts[-2:] == [lines[4], "| 1a | - 4 x 4 |  | 0.9 [0.89, 0.91] |  |  |  |"]
    TOOL["main"]([*arguments, "--check"])
    (tmp_path / "claims.md").write_text("old")
    with pytest.raises(SystemExit, match=r"claims\.md: .* out of date"):
        TOOL["main"]([*arguments, "--check"])
    TOOL["main"](arguments)
    readme.write_text(readme.read_text().replace("0.75", "0.99"))
    with pytest.raises(SystemExit, match="out of date"):
        TOOL["main"]([*arguments, "--check"])


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (3, "claim number 1: got 3, expected an object"),
        (CLAIM | {"sedes": 5}, r"\(1a\): unknown field 'sedes', expected claim, .* seeds"),
        (EXACT, "missing field 'interval'"),
        (CLAIM | {"interval": [2, 1]}, r"interval: got \[2, 1\], expected \[lo, hi\]"),
        (CLAIM | {"seeds": True}, "seeds: got True, expected a whole number"),
        (CLAIM | {"holds": "maybe"}, "holds: got 'maybe', expected true, false or"),
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
    readme, arguments = files(tmp_path, [EXACT | {"exact": True}, many])
    TOOL["main"](arguments)
    assert "| exact | **yes** |" in readme.read_text()


def test_a_bar_is_escaped_once(tmp_path: Path):
    readme, arguments = files(tmp_path, [CLAIM | {"ours": "|w| is 0"}])
    TOOL["main"](arguments)
    assert r"| \|w\| is 0 [0.74" in readme.read_text()


def test_a_readme_without_markers_is_refused(tmp_path: Path):
    readme, arguments = files(tmp_path, [CLAIM])
    readme.write_text("nothing")
    with pytest.raises(SystemExit, match="expected the lines <!-- claims:begin -->"):
        TOOL["main"](arguments)
    assert readme.read_text() == "nothing"


def test_the_readme_of_this_project_is_up_to_date():
    if not (ROOT / "docs/results/claims.json").exists():
        pytest.skip("no claims yet")
    TOOL["main"](["--check"])
