"""What the pages say of the project: links, the tree, an algorithm's mathematics."""

import re
from pathlib import Path

import pytest

from marlrun.cli.main import run_command

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
README = (ROOT / "README.md").read_text()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_the_tree_on_the_page_is_the_tree_on_disk():
    (tree,) = re.findall(r"^```\n(conf/ .+?)^```", README, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, set[str]] = {}
    for line in tree.splitlines():
        words = line[:26].split()
        folder = folder if line.startswith(" ") else words[0]  # noqa: F821
        inner = words if line.startswith(" ") else []
        names.setdefault(folder, set()).update(inner)
        for name in inner or [""]:
            assert (ROOT / folder / name).exists(), name
    rooms = {f"{path.name}/" for path in (ROOT / "src/marlrun").iterdir() if path.is_dir()}
    assert rooms - {"__pycache__/"} <= names["src/marlrun/"]
    groups = {f"{path.name}/" for path in (ROOT / "conf").iterdir() if path.is_dir()}
    assert groups - {"__pycache__/"} <= names["conf/"]


def test_every_algorithm_and_environment_is_in_a_table():
    for group in ("algo", "env"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert re.search(rf"^\| \[?`{path.stem}`", README, flags=re.MULTILINE), path.stem


def test_the_mathematics_on_the_page_stand_in_the_file():
    (block,) = re.findall(r"^```python\n(# delta.+?)^```", README, flags=re.MULTILINE | re.DOTALL)
    code = (ROOT / "src/marlrun/algos/dec_hdrqn.py").read_text()
    assert block in re.sub(r"^ {8}", "", code, flags=re.MULTILINE)


def test_the_commands_on_the_pages_have_keys_that_exist(tmp_path, monkeypatch):
    """--help checks every key and value, and does nothing else."""
    monkeypatch.chdir(tmp_path)
    names = (
        "graphs",
        "evaluation",
        "runs",
        "demonstrations",
        "imitation",
        "distillation",
        "paper1",
    )
    pages = ("README.md", *(f"docs/{name}.md" for name in names))
    text = "\n".join((ROOT / page).read_text().replace("\\\n", " ") for page in pages)
    commands = set(
        re.findall(r"^(?:\$ )?marlrun ((?:-m )?\S+=.+?)(?:\s+#.*)?$", text, re.MULTILINE)
    )
    assert len(commands) >= 15
    for command in commands:
        assert run_command(["--help", *command.split()]).error is None, command
