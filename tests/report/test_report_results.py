"""Curves, references and comparisons, with numbers worked by hand."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from report.fakes import TAG, write_run

from marlrun.report.analysis.references import ANTICIPATED, exact_values
from marlrun.report.analysis.results import Improvement
from marlrun.report.analysis.study import study
from marlrun.report.render import chart, figures, tables
from marlrun.report.render.chart import line_styles
from marlrun.report.render.document import sections

NAN = float("nan")


def study_of(folder: Path, *metrics, by=None):
    return study([folder], metrics or [TAG], by, lambda paths: paths)


def told(found) -> str:
    return "\n".join(found.notes.lines(100))


def test_curve_of_seeds_that_end_at_different_steps(tmp_path: Path):
    write_run(tmp_path / "a", {0: [0.0, 1.0, 2.0], 1: [2.0, 3.0, 4.0], 2: [4.0, 8.0]})
    found = study_of(tmp_path)
    (curve,) = found.headline.curves
    assert curve.steps.tolist() == [0, 100, 200]
    assert curve.iqm.tolist() == pytest.approx([2.0, 4.0, 3.0])
    assert curve.num_seeds.tolist() == [3, 3, 2]
    np.testing.assert_array_equal(curve.is_whole, [1.0, 1.0, NAN])
    assert curve.seconds.tolist() == [0.5, 1.5, 2.5]
    assert "dotted where not all of a group's seeds reach" in told(found)
    assert "2 of 3 seeds reach the end" in told(found)


def test_a_value_that_is_no_number_is_a_gap(tmp_path: Path):
    write_run(tmp_path / "a", {0: [0.0, None, 2.0], 1: [2.0, 3.0, 4.0]})
    found = study_of(tmp_path)
    np.testing.assert_array_equal(found.headline.curves[0].iqm, [1.0, NAN, 3.0])
    assert "seed 0 (1 of 3 values, the first at step 100)" in told(found)


def test_only_steps_that_all_seeds_share_are_drawn(tmp_path: Path):
    write_run(tmp_path / "a", {0: [0.0, 1.0, 2.0]}, every=100)
    write_run(tmp_path / "b", {1: [0.0, 4.0]}, every=200)
    found = study_of(tmp_path)
    (curve,) = found.headline.curves
    assert curve.steps.tolist() == [0, 200]
    assert curve.iqm.tolist() == [0.0, 3.0]
    assert "(1 of 3 left out)" in told(found)


def test_exact_values_and_the_papers_numbers(tmp_path: Path):
    paper = [
        {"algo": "dec_hdrqn", "env.size": 8, TAG: 0.76},
        {"algo": "dec_drqn", "env.size": 8, TAG: 0.05},
        {"algo": "dec_hdrqn", "env.size": 4, TAG: 0.9},
    ]
    exact = {"optimum": 0.8, "random": 0.2}
    for algo in ("dec_hdrqn", "dec_drqn"):
        kind = {"algo": algo, "env_keys": {"size": 8}, "root": {"paper": paper}}
        write_run(tmp_path / algo, {0: [0.0, 0.5], 1: [0, 0.7]}, record={"exact": exact}, **kind)
    found = study_of(tmp_path)
    (task,) = found.headline.tasks
    assert task.exact == exact
    assert [task.paper(group) for group in task.groups] == [0.05, 0.76]
    assert found.comparison is not None
    assert found.comparison.scores["dec_drqn"][0] == pytest.approx([0.5, 5 / 6])
    fraction = study_of(tmp_path, "loss/td")
    assert fraction.headline.tasks[0].exact == {}


def test_the_optimum_of_older_runs_is_what_they_took_fractions_of(tmp_path: Path):
    run = write_run(tmp_path / "a", {0: [0.1], 1: [0.4]})
    text = (run / "run.json").read_text().replace(', "exact": null', "")
    fractions = '"results": {"eval/return_fraction": [0.125, 0.5], '
    (run / "run.json").write_text(text.replace('"results": {', fractions))
    assert study_of(tmp_path).headline.tasks[0].exact == {"optimum": pytest.approx(0.8)}


@pytest.mark.parametrize(
    ("env_keys", "is_discounted"),
    [
        ({}, False),
        ({"discount": 0.95}, True),
        ({"tasks": [{"name": "target_capture", "discount": 0.95}]}, True),
        ({"tasks": [{"name": "spread", "discount": 1.0}]}, False),
    ],
)
def test_a_discounted_return_is_called_so(tmp_path: Path, env_keys, is_discounted):
    write_run(tmp_path / "a", {0: [0.1], 1: [0.4]}, env_keys=env_keys)
    assert study_of(tmp_path).headline.y.startswith("discounted return") == is_discounted


def test_exact_values_of_a_task_belong_to_its_own_metrics(tmp_path: Path):
    exact = {"optimum": 0.5, "task/size=3/optimum": 0.8, "task/size=3/random": 0.2}
    write_run(tmp_path / "a", {0: [0.1], 1: [0.4]}, record={"exact": exact})
    expected = {
        TAG: {"optimum": 0.5},
        "eval/task/size=3/return_mean": {"optimum": 0.8, "random": 0.2},
        "eval/task/size=3/return_fraction": {"optimum": 1.0, "random": 0.25},
        "eval/task/size=4/return_mean": {},
        "eval/task/size=3/length_mean": {},
    }
    (run,) = study_of(tmp_path).headline.tasks[0].groups[0].runs
    assert {metric: exact_values(run, metric) for metric in expected} == expected


def test_exact_values_that_disagree_are_told(tmp_path: Path):
    write_run(tmp_path / "a", {0: [0.1]}, record={"exact": {"optimum": 0.8}})
    write_run(tmp_path / "b", {1: [0.1]}, record={"exact": {"optimum": 0.9}})
    found = study_of(tmp_path)
    assert found.headline.tasks[0].exact == {"optimum": 0.8}
    assert "optimum (0.8 is used" in told(found)


def test_algorithms_are_ranked_and_compared_on_the_tasks_they_share(tmp_path: Path):
    scores = {("a", 3): 0.2, ("b", 3): 0.6, ("a", 4): 0.3, ("b", 4): 0.9, ("c", 5): 0.5}
    for (algo, size), score in scores.items():
        values = {0: [score], 1: [score + 0.05], 2: [score + 0.1]}
        record = {"exact": {"optimum": 1.0, "random": 0.0}}
        folder = tmp_path / f"{algo}{size}"
        write_run(folder, values, algo=algo, env_keys={"size": size}, record=record)
    found = study_of(tmp_path)
    assert found.algorithms.index("b") < found.algorithms.index("a")
    assert found.comparison is not None
    assert found.comparison.tasks == ["target_capture size=3", "target_capture size=4"]
    assert set(found.comparison.scores) == {"a", "b"}
    (pair,) = found.improvements
    assert (pair.left, pair.right, pair.num_tasks) == ("b", "a", 2)
    assert pair.probability == (1.0, 1.0, 1.0)
    assert "not in the comparison over all tasks: c" in told(found)


def test_tasks_without_a_common_scale_are_not_compared(tmp_path: Path):
    for size in (3, 4):
        write_run(tmp_path / f"{size}", {0: [0.5], 1: [0.6]}, env_keys={"size": size})
    found = study_of(tmp_path)
    assert found.comparison is None
    assert "no exact optimum is known" in told(found)


def test_unequal_and_few_seeds_unfinished_and_bad_results_are_told(tmp_path: Path):
    write_run(tmp_path / "a", {0: [0.5], 1: [0.6]}, algo="a")
    write_run(tmp_path / "b", {0: [0.5]}, algo="b")
    write_run(tmp_path / "c", {0: [0.5]}, algo="c", status="failed", record={"error": "NaN in td"})
    bad = write_run(tmp_path / "d", {0: [0.5]}, algo="d")
    (bad / "run.json").write_text((bad / "run.json").read_text().replace("[0.5]", "[NaN]"))
    text = told(study_of(tmp_path))
    assert "unequal numbers of seeds: a on target_capture (2), b on target_capture (1)" in text
    assert "Fewer than 5 seeds" in text
    assert "(failed, 0 of 0 steps: NaN in td)" in text
    assert (
        "Groups without a final eval/return_mean: c on target_capture, d on target_capture" in text
    )
    assert "Final results that are not numbers" in text


def test_a_metric_without_results_ends_at_its_last_value(tmp_path: Path):
    write_run(tmp_path / "a", {0: [0.5, 0.6], 1: [0.6, 0.7]})
    found = study_of(tmp_path, "loss/td")
    assert found.headline.finals[0].scores.tolist() == [0.1, 0.1]
    assert "the last logged values stand in" in told(found)
    assert tables.results(found.finals).caption.startswith("loss/td. The last logged values, over")


def test_a_metric_that_no_run_has(tmp_path: Path):
    write_run(tmp_path / "a", {0: [0.5]})
    with pytest.raises(ValueError, match=r"no run has it; did you mean eval/return_mean\?"):
        study_of(tmp_path, "eval/return_maen")


def test_hyperparameter_views(tmp_path: Path):
    for beta in (0.2, 0.4):
        for size in (3, 4):
            kind = {"algo_keys": {"beta": beta}, "env_keys": {"size": size}}
            write_run(tmp_path / f"{beta}{size}", {0: [beta + size]}, **kind)
    found = {(view.key, view.task): view for view in study_of(tmp_path).views}
    assert list(found) == [
        ("algo.beta", "target_capture size=3"),
        ("algo.beta", "target_capture size=4"),
        ("env.size", "target_capture"),
    ]
    assert list(found["env.size", "target_capture"].lines) == [
        "dec_hdrqn beta=0.2",
        "dec_hdrqn beta=0.4",
    ]
    line = found["algo.beta", "target_capture size=3"].lines["dec_hdrqn"]
    assert {value: final.iqm.value for value, final in line.items()} == {0.2: 3.2, 0.4: 3.4}


def test_several_metrics_in_one_view_and_one_table(tmp_path: Path):
    for beta in (0.2, 0.4):
        record = {"results": {TAG: [beta] * 3, ANTICIPATED: [2 * beta] * 3}}
        kind = {"algo_keys": {"beta": beta}, "record": {**record, "exact": {"optimum": 0.5}}}
        write_run(tmp_path / f"{beta}", {seed: [0.0, beta] for seed in range(3)}, **kind)
    found = study_of(tmp_path, TAG, ANTICIPATED)
    (view,) = found.views
    iqms = {name: [one.iqm.value for one in line.values()] for name, line in view.lines.items()}
    assert iqms == {
        f"dec_hdrqn, actual: {TAG}": [0.2, 0.4],
        f"dec_hdrqn, anticipated: {ANTICIPATED}": [0.4, 0.8],
    }
    table = tables.results(found.finals)
    assert [row[-1] for row in table.rows] == [(0.4, 0.4, 0.4), (0.8, 0.8, 0.8)]
    assert table.columns[-1] == f"IQM of {ANTICIPATED}"
    assert found.comparison is not None
    assert found.comparison.unit == "return [fraction of the optimum]"
    assert "†" in table.markdown()
    assert table.markdown().endswith(f"\n\n{tables.LEGEND}\n")


def test_a_group_with_only_the_second_metric_is_in_the_table(tmp_path: Path):
    write_run(tmp_path / "a", {0: [0.5]}, algo="a")
    write_run(tmp_path / "b", {0: [0.5]}, algo="b", record={"results": {ANTICIPATED: [0.7]}})
    table = tables.results(study_of(tmp_path, TAG, ANTICIPATED).finals)
    assert [(row[1], row[3], row[-1]) for row in table.rows] == [
        ("a", (0.5, pytest.approx(NAN, nan_ok=True), pytest.approx(NAN, nan_ok=True)), None),
        ("b", None, (0.7, pytest.approx(NAN, nan_ok=True), pytest.approx(NAN, nan_ok=True))),
    ]


def test_only_returns_are_ranked(tmp_path: Path):
    for algo, loss in (("a", 0.1), ("b", 0.9)):
        record = {"results": {TAG: [loss] * 2, "loss/td": [loss] * 2}}
        write_run(tmp_path / algo, {0: [loss], 1: [loss]}, algo=algo, record=record)
    returns, losses = study_of(tmp_path), study_of(tmp_path, "loss/td")
    assert (returns.algorithms, losses.algorithms) == (["b", "a"], ["a", "b"])
    titles = ["Performance profile", "Probability of improvement"]
    shown = [[part.title for part in sections(one, [])] for one in (returns, losses)]
    assert shown[0][-2] == titles[1]
    assert shown[1][-2] == "Probability of ending higher"


def test_a_table_of_no_results_keeps_its_columns():
    table = tables.results({TAG: []})
    assert table.markdown().startswith("| task | algorithm | seeds |")
    assert table.csv().startswith("task,algorithm,seeds,")


def test_a_setting_too_large_for_a_float_is_no_view(tmp_path: Path):
    for power in (1, 2):
        kind = {"env_keys": {"limit": 10 ** (400 * power)}}
        write_run(tmp_path / f"{power}", {0: [0.1], 1: [0.2]}, **kind)
    assert study_of(tmp_path).views == []


def test_other_versions_are_told(tmp_path: Path):
    write_run(tmp_path / "a", {0: [0.5]}, record={"versions": {"marlrun": "99.0"}})
    assert "99.0 (1 run)" in told(study_of(tmp_path))


def test_a_task_that_goes_on_is_told_per_step(tmp_path: Path):
    exact = {"optimum": 1.5, "random": 1.0, "selfish": 0.5}
    write_run(tmp_path / "a", {0: [1.0, 1.4]}, record={"continuing": True, "exact": exact})
    found = study_of(tmp_path).headline
    assert found.y == "mean reward per step"
    drawn = figures.learning(found.tasks, found.curves, line_styles(["dec_hdrqn"]), found.y)
    labels = {line.get_label(): line.get_ydata()[0] for line in drawn.axes[0].get_lines()}
    assert labels["selfish equilibrium (exact)"] == 0.5
    assert labels["optimum (exact)"] == 1.5


@pytest.mark.parametrize(
    ("values", "scale"), [([1.0, 1e-4], "log"), ([1.0, 0.1], "linear"), ([0.0, 1.0], "linear")]
)
def test_values_of_many_decades_are_drawn_on_a_logarithmic_axis(tmp_path: Path, values, scale):
    write_run(tmp_path / "a", {0: values})
    found = study_of(tmp_path).headline
    drawn = figures.learning(found.tasks, found.curves, line_styles(["dec_hdrqn"]), found.y)
    assert drawn.axes[0].get_yscale() == scale


def test_long_names_leave_room_for_the_panels():
    # That a figure's layout collapses is a warning, and so an error here.
    names = [f"networked_ac_{i} with a graph of weights=lazy_metropolis, {i}" * 2 for i in "qvw"]
    pairs = [Improvement(x, y, 1, (0.5, 0.2, 0.9)) for x, y in itertools.combinations(names, 2)]
    figure = figures.improvements(pairs)
    chart.render(figure)
    assert figure.axes[0].get_position().width > 0.2
    figure, axes = chart.panels(1)
    for name in names:
        axes[0].plot([0, 1], label=name)
    chart.legend(figure, axes)
    chart.render(figure)
    assert figure.axes[0].get_position().width > 0.7
