"""What docs/paper1 makes of kept runs: tables, figures and the cells of claims."""

import json
from pathlib import Path
from typing import Any

import kept
import pytest
import yaml
from paper1 import claims, figures, tables
from paper1.runs import CONCURRENT, IMPROVEMENTS, PLAIN, PLUS, Pair
from paper2.experiments import asked, composed

from marlrun.config.nested import nested
from marlrun.report.data.read import Run
from marlrun.system.plotting import style

EXACT = {"optimum": 0.8, "random": 0.1}
TAGS = (tables.RETURN, tables.FRACTION, tables.ANTICIPATED)


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """An empty docs/results."""
    monkeypatch.setattr(kept, "RESULTS", tmp_path)
    return tmp_path


TAUGHT = (3, 4, 5, 6)


def keep(run: Path, algo: str, settings: dict[str, Any], **record: Any) -> None:
    """Keep a run of two seeds: `returns` at the end, .2 more anticipated, less earlier."""
    run.mkdir(parents=True)
    returns = record.pop("returns", [0.4, 0.6])
    final = [returns, [value / 0.8 for value in returns], [value + 0.2 for value in returns]]
    config = nested({f"env.{key}": value for key, value in settings.items() if "." not in key})
    config |= nested({key: value for key, value in settings.items() if "." in key})
    config["choices"] = {"algo": algo, "env": "target_capture"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    made = {"status": "finished", "seeds": [3, 4], "exact": EXACT}
    made["results"] = dict(zip(TAGS, final, strict=True))
    (run / "run.json").write_text(json.dumps(made | record))
    rows = [
        {
            "env_steps": at,
            "seed": seed,
            **{tag: x[place] * at / 4e5 for tag, x in zip(TAGS, final, strict=True)},
        }
        for at in (0, 100_000, 200_000, 350_000)
        for place, seed in enumerate((3, 4))
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def keep_tasks(results: Path) -> None:
    """Keep a specialist of each size and a policy of each kind for all of them."""
    for size in TAUGHT:
        keep(results / f"paper1_specialists/{size}", "any", {"size": size}, returns=[0.7, 0.8])
    exact = {f"task/size={size}/{name}": value for size in TAUGHT for name, value in EXACT.items()}
    for place, algo in enumerate(("distill", "multi_drqn", "multi_hdrqn")):
        tags = {
            f"eval/task/size={size}/return_mean": [0.6 - 0.1 * place, 0.62 - 0.1 * place]
            for size in TAUGHT
        }
        run = results / f"paper1_distilled/{place}_{algo}"
        keep(run, algo, {"sizes": list(TAUGHT)}, exact=exact, results=tags)


def keep_betas(results: Path) -> None:
    for place, beta in enumerate((0.1, 1.0)):
        keep(results / f"paper1_beta/{place}", "dec_hdrqn", {"algo.beta": beta})
    keep(results / "paper1_beta/2", "dec_hdrqn", {"algo.beta": 0.4}, returns=[0.1, 3.1])
    faithful: dict[str, Any] = {"algo.beta": 0.2, "algo.target_history": "faithful"}
    keep(results / "paper1_beta_faithful/0", "dec_hdrqn", faithful, returns=[0.2, 0.2])


def keep_scaling(results: Path) -> None:
    for number in (2, 3):
        run, perf = results / f"paper1_scaling/{number}", {"perf/updates_per_s": 3000.0 / number}
        keep(run, "joint_q", {"num_agents": number}, perf=perf)


def keep_sizes(results: Path) -> None:
    for algo in ("dec_drqn", "dec_hdrqn"):
        keep(results / f"paper1_sizes/{algo}", algo, {"size": 3})
        faithful: dict[str, Any] = {"size": 4, "algo.target_history": "faithful"}
        keep(results / f"paper1_sizes_faithful/{algo}", algo, faithful, returns=[0.2, 0.4])
    ours = {"size": 8, "num_agents": 2}
    keep(results / "paper1_plus/0", "dec_hdrqn_plus", ours, returns=[0.6, 0.8])


def test_a_table_without_runs_names_its_command(results):
    page = tables.tables()
    for name in ("sizes", "beta"):
        faithful = f"+experiment=paper1_{name} algo.target_history=faithful"
        assert f"Not run yet: `marlrun -m {faithful}`." in page
    for name in ("hysteresis", "sizes", "concurrent", "beta", "plus", "improvements", "scaling"):
        assert f"Not run yet: `marlrun -m +experiment=paper1_{name}`." in page
    assert "Not run yet: `make paper1`." in page and "|" not in page


def test_a_run_is_shown_with_its_worst_seed_its_part_of_the_optimum_and_the_papers_number(results):
    keep(results / "paper1_hysteresis/0", "dec_hdrqn", {}, returns=[0.3, 0.6])
    assert (
        "| Dec-HDRQN | 0.450 [-1.456, 2.356], 0.300 | 0.562 [-1.820, 2.945] | 1 of 2 "
        "| 0.650 [-1.256, 2.556] | 0.800 | 0.100 | .76 +- .11 |"
    ) in tables.tables()
    assert "| Dec-DRQN | - | - | - | - | - | - | .05 +- .16 |" in tables.tables()


def test_runs_with_the_same_settings_are_refused(results):
    for name in "ab":
        keep(results / f"paper1_hysteresis/{name}", "dec_hdrqn", {})
    with pytest.raises(ValueError, match=r"hysteresis/a.*/b.*expected one run with.*dec_hdrqn"):
        tables.tables()


def test_pairs_are_compared_by_seed(results):
    for name, value, returns in (("0", True, [0.5, 0.7]), ("1", False, [0.7, 0.4])):
        keep(
            results / "paper1_concurrent" / name,
            "dec_hdrqn",
            {"size": 3, "algo.concurrent": value},
            returns=returns,
            seeds=[3, 4] if value else [4, 3],
        )
    # .5 - .4 and .7 - .7: mean .05, sd .0707 / sqrt 2 = .05, times t(.975, 1) = 12.706
    row = "| 3 x 3 | 0.600 [-0.671, 1.871], 0.500 | 0.550 [-1.356, 2.456], 0.400 | 0.050 [-0.585, 0.685] | 1 of 2 | 0.800 |"
    assert row in tables.tables()


def test_gaps_between_anticipated_and_actual_values(results):
    keep_betas(results)
    page = tables.tables()
    assert (
        "| beta 0.1 | 0.500 [-0.771, 1.771], 0.400 | 0.700 [-0.571, 1.971] | 0.200 [0.200, 0.200] | 0.200 | 0 of 2 | 8 of 8 |"
        in page
    )
    assert "| 1 of 2 | 8 of 8 |" in page.split("beta 0.4")[1].split("\n")[0]
    assert "| beta 1.0 | 0.125 [-0.193, 0.443] / 0.175" in page
    faithful = page.split("## 1d: beta at the end with the target's memory")[1].split("##")[0]
    assert "| beta 0.2 | 0.200 [0.200, 0.200], 0.200 | 0.400 [0.400, 0.400]" in faithful


def test_the_distilled_policy_stands_beside_the_specialists_task_by_task(results):
    keep_tasks(results)
    row = "| 5 x 5 | 0.750 [0.115, 1.385], 0.700 | 0.610 [0.483, 0.737], 0.600 | 0.410 [0.283, 0.537], 0.400 | 0.510 [0.383, 0.637], 0.500 | 0.800 | 0.100 |"
    assert row in tables.tables()
    assert (
        "| return, worst seed | specialists | distilled | Multi-HDRQN | Multi-DRQN |"
        in tables.tables()
    )


def test_every_improvement_is_compared_with_the_plain_run(results):
    keep(results / "paper1_improvements/plain", "dec_hdrqn", PLAIN)
    for pair in IMPROVEMENTS:
        keep(results / "paper1_improvements" / pair.label, "dec_hdrqn", pair.settings)
    section = tables.tables().split("## Improvements")[1].split("##")[0]
    assert section.count("| 0.000 [0.000, 0.000] | 0 of 2 |") == len(IMPROVEMENTS) == 13


def runs_of(experiment: str) -> list[Run]:
    """Return the runs that an experiment would make, named by their swept words."""
    runs: list[Run] = []
    for words in asked(experiment):
        chosen = dict(word.split("=", 1) for word in words)
        config = composed(words) | {"choices": {"algo": chosen["algo"], "env": chosen["env"]}}
        runs.append(Run(" ".join(words), config, {}))
    return runs


@pytest.mark.parametrize(
    ("experiments", "pairs"),
    [
        (["paper1_concurrent"], CONCURRENT),
        (["paper1_plus", "paper1_plus_three"], PLUS),
        (["paper1_improvements"], IMPROVEMENTS),
    ],
)
def test_every_run_of_an_experiment_has_its_place_in_the_table(
    experiments: list[str], pairs: list[Pair]
):
    among = [run for experiment in experiments for run in runs_of(experiment)]
    sides = [kept.find(among, side) for pair in pairs for side in (pair.settings, pair.control)]
    assert None not in sides
    assert {run.name for run in sides if run} == {run.name for run in among}


def test_one_seed_has_no_interval(results):
    assert kept.cell([0.25], 2) == "0.25"
    assert figures.with_interval([0.25]) == (0.25, 0.25, 0.25)
    assert "interval" not in claims.claim_cell("a", [0.25])


def test_the_best_settings_are_compared_on_every_game(results):
    for place, pair in enumerate(PLUS):
        for algo, returns in (("dec_hdrqn", [0.1, 0.1]), ("dec_hdrqn_plus", [0.3, 0.4])):
            game = {key: value for key, value in pair.settings.items() if key != "algo"}
            keep(results / f"paper1_plus/{place}_{algo}", algo, game, returns=returns)
    assert tables.tables().count("| 0.250 [-0.385, 0.885] | 2 of 2 |") == 3


def test_scaling_tells_cost_and_result(results):
    keep_scaling(results)
    page = tables.tables()
    assert "| 2 agents | 0.625 [-0.963, 2.213], 0.500; 1,500 | -; - | -; - |" in page
    assert "| 3 agents | 0.625 [-0.963, 2.213], 0.500; 1,000 |" in page


def test_figures_show_what_is_kept(results, capsys):
    for keep_runs in (keep_tasks, keep_betas, keep_scaling, keep_sizes):
        keep_runs(results)
    figures.draw_figures(results)
    assert capsys.readouterr().err == ""
    for name in figures.FIGURES:
        assert 5_000 < (results / f"{name}.png").stat().st_size < 150_000


def test_bars_and_lines_are_the_means_of_what_is_kept(results):
    for keep_runs in (keep_tasks, keep_betas, keep_scaling, keep_sizes):
        keep_runs(results)
    with style():
        (bars,) = figures.distilled_figure().axes
        cost, result = figures.scaling_figure().axes
        weak, strong, ours, weak_faithful, strong_faithful, _ = figures.sizes_figure().axes
        beta = figures.beta_figure("paper1_beta").axes[2]
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.75, 0.61, 0.41, 0.51] * 4)
    assert list(cost.lines[0].get_ydata()) == [1500, 1000]
    assert list(result.lines[0].get_ydata()) == pytest.approx([0.625, 0.625])
    assert (weak.get_title(), strong.get_title()) == ("Dec-DRQN", "Dec-HDRQN")
    assert list(strong.lines[0].get_ydata()) == pytest.approx([0, 0.15625, 0.3125, 0.546875])
    assert weak_faithful.get_title() == "Dec-DRQN, the authors' target"
    assert list(strong_faithful.lines[0].get_ydata()) == pytest.approx(
        [0, 0.09375, 0.1875, 0.328125]
    )
    assert list(ours.lines[0].get_ydata()) == pytest.approx([0, 0.21875, 0.4375, 0.765625])
    # Of beta .4: two seeds and their mean, of the actual and then of the anticipated value.
    assert [line.get_ydata()[-1] for line in beta.lines[:6]] == pytest.approx(
        [0.0875, 2.7125, 1.4, 0.2625, 2.8875, 1.575]
    )


def test_a_figure_without_runs_is_not_drawn(results, capsys):
    keep_sizes(results)
    figures.draw_figures(results)
    assert sorted(path.name for path in results.glob("*.png")) == ["sizes.png"]
    assert "scaling.png: no runs of paper1_scaling are kept\n" in capsys.readouterr().err


def test_cells_of_claims_are_filled_and_the_rest_stays(results):
    keep_betas(results)
    file = results / "claims.json"
    other = {"claim": "2a", "cells": [{"cell": "x", "ours": 1}]}
    file.write_text(json.dumps([{"claim": "1d", "ours": "words", "cells": []}, other]))
    claims.fill_claims(file)
    filled, same = json.loads(file.read_text())
    assert same == other and filled["ours"] == "words"
    assert filled["cells"][:2] == [
        {"cell": "beta 0.1, actual", "ours": 0.5, "interval": [-0.77062, 1.77062], "worst": 0.4},
        {"cell": "beta 0.1, anticipated", "ours": 0.7, "interval": [-0.57062, 1.97062]},
    ]
    assert filled["cells"][6] == {
        "cell": "beta 0.2, faithful target, actual",
        "ours": 0.2,
        "interval": [0.2, 0.2],
        "worst": 0.2,
    }
    assert len(filled["cells"]) == 8


def test_results_that_are_kept_make_the_tables_that_are_kept():
    assert (kept.RESULTS / "paper1" / "tables.md").read_text() == tables.tables()


def test_claims_have_the_cells_that_kept_runs_make():
    rows = json.loads((kept.RESULTS / "claims.json").read_text())
    known = [row for row in rows if row["claim"] in claims.CELLS]
    assert {row["claim"] for row in known} >= {"1a", "1b"}
    for row in known:
        assert row["cells"] == claims.CELLS[row["claim"]](), row["claim"]
