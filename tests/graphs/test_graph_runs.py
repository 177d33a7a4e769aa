"""Runs of agents who communicate: the graph they get, the record of it, and what is refused."""

import json

import pytest
import yaml
from graphs.graphs_at_hand import node
from runner.compare import assert_same_run, hyperparameters, record
from runner.fakes import config

from marlrun.runner.evaluate import evaluate_run
from marlrun.runner.job import read_job, with_graph
from marlrun.runner.train import resume, train

PLUGINS = ["runner", "graphs"]


def job(**changes):
    talkers = {"algo___target_": "graphs.talkers.Talkers", "plugins": PLUGINS}
    return config(**{**talkers, **changes})


def gossip(**keys):
    """Return a graph for the two agents of the fake game."""
    return node("ring", dynamics="link_failure", failure=0.5, **keys)


def test_a_run_resumes_in_the_midst_of_its_rounds(tmp_path):
    chosen = {"graph": gossip(), "choices": {"graph": "ring"}}
    assert train(job(**chosen), tmp_path / "whole", []).status == "finished"
    train(job(**chosen, env_steps=66), tmp_path / "parts", [])
    assert resume(tmp_path / "parts", 120, PLUGINS).status == "finished"
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    other = job(graph=gossip(every=2), choices={"graph": "ring"})
    train(other, tmp_path / "other", [])
    results = [record(tmp_path / name)["results"] for name in ("whole", "other")]
    assert results[0] != results[1]


def test_the_graph_is_recorded(tmp_path):
    train(job(graph=gossip(), choices={"graph": "ring"}), tmp_path, [])
    assert record(tmp_path)["graph"] == "ring"
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert stored["graph"] == gossip()
    told = hyperparameters(tmp_path / "tb/seed_3")
    assert (told["graph"], told["graph.failure"]) == ("ring", 0.5)


def test_without_a_choice_it_is_the_papers_and_recorded_as_chosen(tmp_path):
    train(job(choices={"algo": "talkers", "env": "walk"}), tmp_path, [])
    stored = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert stored["graph"] == node("erdos_renyi") and stored["graph"]["dynamics"] == "redrawn"
    assert stored["choices"] == {"algo": "talkers", "env": "walk", "graph": "erdos_renyi"}
    assert record(tmp_path)["graph"] == "erdos_renyi"
    # What was interrupted goes on when it is typed again.
    told = record(tmp_path) | {"status": "interrupted"}
    (tmp_path / "run.json").write_text(json.dumps(told))
    again = train(job(choices={"algo": "talkers", "env": "walk"}), tmp_path, [])
    assert again.status == "finished"


def test_algorithms_without_communication_have_none(tmp_path):
    train(config(graph=None), tmp_path, [])
    assert "graph" not in yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert record(tmp_path)["graph"] is None
    assert read_job(config()).graph is None


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"algo": "bandit", "graph": "ring"}, "graph=ring: algo bandit takes no graph"),
        (
            {},
            "graph=ring: algo runner.fakes.Bandit takes no graph",
        ),
    ],
)
def test_a_graph_chosen_in_vain_is_refused(tmp_path, choices, expected):
    with pytest.raises(ValueError) as caught:
        train(config(graph=gossip(), choices=choices), tmp_path / "run", [])
    assert str(caught.value) == expected and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (node("none"), None),
        (node("k_regular", k=2), "graph.k=2: expected fewer than the 2 agents"),
        (node("geometric", radius=0.001), "graph: disconnected in the mean with seed 3, 4, its"),
        (node("ring", weights="loud"), "graph.weights=loud: expected metropolis | lazy"),
        (node("ring") | {"wieghts": 1}, "graph.wieghts: no such key; did you mean graph.weights?"),
        (node("ring") | {"_target_": "os.system"}, "graph._target_=os.system: expected a class in"),
        (
            node("ring") | {"_target_": "marlrun.graphs.links.join"},
            "graph._target_=marlrun.graphs.links.join: expected one of marlrun.graphs.topologies.",
        ),
        (3, "graph=3: expected a configuration with a _target_"),
    ],
)
def test_bad_graphs_are_named_before_work_starts(tmp_path, graph, expected):
    if expected is None:
        assert train(job(graph=graph), tmp_path / "run", []).status == "finished"
        return
    with pytest.raises(ValueError) as caught:
        train(job(graph=graph), tmp_path / "run", [])
    assert str(caught.value).startswith(expected) and "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_weighs_the_team_is_warned_about(tmp_path, capsys):
    train(job(graph=gossip(weights="uniform_row")), tmp_path, [])
    assert "uniform_row" not in capsys.readouterr().err
    biased = node("from_file", file=str(tmp_path / "c.csv"), weights="from_file")
    (tmp_path / "c.csv").write_text("0.5,0.5\n0.1,0.9\n")
    train(job(graph=biased), tmp_path / "run", [])
    assert "c.csv: not column-stochastic, column 0 sums to 0.6" in capsys.readouterr().err


def test_a_stored_run_is_evaluated_with_its_graph(tmp_path):
    train(job(), tmp_path, [])
    outcome = evaluate_run(
        tmp_path,
        episodes=3,
        checkpoint="best",
        video=False,
        seed=None,
        device="cpu",
        threads=1,
        plugins=PLUGINS,
    )
    assert outcome.status == "finished"


def test_the_graph_is_a_hyperparameter():
    settled, _ = with_graph(read_job(job()), job(), PLUGINS)
    assert settled.hyperparameters["graph"]["weights"] == "metropolis"
    assert "_target_" not in settled.hyperparameters["graph"]
    assert "graph" not in read_job(config()).hyperparameters
