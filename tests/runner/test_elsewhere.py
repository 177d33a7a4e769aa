"""A run is evaluated in a game that it was not trained in."""

import json
from pathlib import Path

import pytest
import yaml
from graphs.graphs_at_hand import node
from runner.fakes import config

from marlrun.config.nested import merged
from marlrun.runner.elsewhere import changed, differences
from marlrun.runner.evaluate import evaluate_run
from marlrun.runner.train import train

CONF = Path(__file__).parents[2] / "conf"
NETWORKED = merged(
    yaml.safe_load((CONF / "algo/networked_ac_q.yaml").read_text()),
    {"critic": {"kind": "linear", "features": "team"}, "policy": {"kind": "tabular"}},
)


def stored(name):
    """Return the node of one of our environments as a run stores it."""
    return yaml.safe_load((CONF / f"env/{name}.yaml").read_text())


def trained(directory, algo, env, **changes):
    """Leave a run that was trained for no steps."""
    changes = {"env_steps": 0, "eval": {"every": 40, "episodes": 2, "final_episodes": 2}} | changes
    job = config(**changes) | {"algo": algo, "env": env}
    assert train(job, directory, []).status == "finished"
    return directory


def evaluate(directory, **changes):
    settings = {"episodes": 5, "checkpoint": "best", "video": False, "seed": None}
    settings |= {"device": "cpu", "threads": 1, "plugins": ["runner"]}
    return evaluate_run(directory, **settings | changes)


def steady(directory, **env):
    """Leave a run in the walk from 0 to 7, of which 0.5 per step remains, with steps of 1 and 2."""
    walk = {"_target_": "runner.fakes.Walk", "num_envs": 1, "goal": 7, "starts": 1} | env
    return trained(directory, {"_target_": "runner.fakes.Steady", "plays": [1, 2]}, walk)


def files_in(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_changed_key_changes_the_game_and_is_said(tmp_path, capsys):
    run = steady(tmp_path)
    before = files_in(run)
    capsys.readouterr()
    # Six rewards of 1 where the goal is out of reach, three where it is 3 steps away.
    assert evaluate(run).results["agent/left/return"] == [1.96875] * 2
    assert "elsewhere" not in capsys.readouterr().err
    outcome = evaluate(run, changes={"env": {"goal": 3, "horizon": 4}})
    assert outcome.results["agent/left/return"] == [1.75] * 2
    assert outcome.results["eval/length_mean"] == [3] * 2
    said = capsys.readouterr()
    line = "elsewhere: env.goal=3 (trained with 7), env.horizon=4 (trained with its default)\n"
    assert said.err.endswith(line)
    assert json.loads(said.out.splitlines()[-1])["eval/return_mean"] == 2.625
    assert files_in(run) == before


def test_the_optimum_is_that_of_the_changed_game(tmp_path):
    algo = {"_target_": "marlrun.algos.random.Random"}
    run = trained(tmp_path, algo, stored("matrix_game"))
    ours = evaluate(run, episodes=400).results
    changes = {"env": {"payoff": [[4, 0, 0], [0, 0, 0], [0, 0, 5]]}}
    others = evaluate(run, episodes=400, changes=changes).results
    for replica in range(2):
        mean = others["eval/return_mean"][replica]
        assert others["eval/return_fraction"][replica] == pytest.approx(mean / 5)
        # Random actions earn (4 + 5) / 9 = 1 on average, with a variance of (16 + 25) / 9 - 1.
        assert abs(mean - 1) < 4 * (32 / 9 / 400) ** 0.5
        fraction = ours["eval/return_mean"][replica] / 11
        assert ours["eval/return_fraction"][replica] == pytest.approx(fraction)


def test_what_networks_do_not_depend_on_may_change(tmp_path):
    """A replay holds whole episodes, so the learner is made for the horizon of its training."""
    algo = yaml.safe_load((CONF / "algo/dec_hdrqn.yaml").read_text())
    run = trained(tmp_path, algo | {"trace": 1}, stored("matrix_game"))
    lengths = evaluate(run, changes={"env": {"horizon": 3}}).results["eval/length_mean"]
    assert lengths == [3, 3]


MISFITS = [
    (
        "matrix_game",
        {"game": "coordination"},
        "env.game=coordination (trained with climb): the game has a number of actions of 2, the "
        "policy was trained with 3",
    ),
    (
        "target_capture",
        {"num_agents": 3, "flicker": 0.5},
        "env.num_agents=3 (trained with 2), env.flicker=0.5 (trained with 0.0): the game has the "
        "agents agent_0, agent_1, agent_2, the policy was trained with agent_0, agent_1",
    ),
    (
        "networked_mdp",
        {"num_states": 6},
        "env.num_states=6 (trained with 20): the game has observations of size 6, the policy was "
        "trained with 20",
    ),
]


@pytest.mark.parametrize(("game", "env", "expected"), MISFITS)
def test_shapes_that_do_not_fit_the_networks_are_refused(tmp_path, game, env, expected):
    run = trained(tmp_path, {"_target_": "marlrun.algos.random.Random"}, stored(game))
    with pytest.raises(ValueError) as refusal:
        evaluate(run, changes={"env": env})
    assert str(refusal.value) == expected


CAPTURE = {"env": stored("target_capture"), "graph": None}
OUTSIDE = {"env": {"_target_": "runner.fakes.Walk", "num_envs": 1}}
REFUSALS = [
    (CAPTURE, "env", {"flickr": 0.5}, "env.flickr: no such key; did you mean env.flicker?"),
    (CAPTURE, "env", {"flicker": 2}, "env.flicker=2: expected float [0, 1] (probability that"),
    (CAPTURE, "env", {"size": "big"}, "env.size=big: expected int [2, 64] ("),
    (CAPTURE, "env", {"motion": "stil"}, "env.motion=stil: expected static | random or [int, int]"),
    (CAPTURE, "env", {"num_envs": 3}, "env.num_envs: it means nothing in evaluation; episodes=N"),
    (OUTSIDE, "env", {"num_envs": 3}, "env.num_envs: it means nothing in evaluation; episodes=N"),
    (CAPTURE, "env", {"_target_": "os.system"}, "env._target_: the class of the run's game cannot"),
    ({"env": 3}, "env", {"size": 3}, "env=3: expected a configuration with a _target_"),
    (CAPTURE, "graph", {"weights": "none"}, "graph.weights: this run has no graph whose keys"),
    ({"graph": node("ring")}, "graph", {"wieghts": 1}, "graph.wieghts: no such key; did you mean"),
    ({"graph": node("ring")}, "graph", {"weights": "loud"}, "graph.weights=loud: expected metropo"),
    ({}, "graph", node("ring") | {"every": 0}, "graph.every=0: expected int [1, inf) (rounds"),
]


@pytest.mark.parametrize(("run", "kind", "keys", "expected"), REFUSALS)
def test_wrong_keys_and_values_are_named(run, kind, keys, expected):
    with pytest.raises(ValueError) as refusal:
        changed(run, {kind: keys})
    assert str(refusal.value).startswith(expected) and "\n" not in str(refusal.value)


def test_a_change_reaches_into_mappings_and_leaves_the_run_as_it_was():
    run = {"env": {"_target_": "mine.Game", "num_envs": 1, "kwargs": {"a": 1, "b": 2}}}
    moved = changed(run, {"env": {"kwargs": {"b": 3, "c": 4}}})
    assert moved["env"]["kwargs"] == {"a": 1, "b": 3, "c": 4}
    assert run["env"]["kwargs"] == {"a": 1, "b": 2}
    assert list(differences(run, moved, "env").values()) == [
        "env.kwargs.b=3 (trained with 2)",
        "env.kwargs.c=4 (trained with its default)",
    ]
    assert differences(run, run, "env") == {}


def test_a_key_that_a_game_from_outside_does_not_have_is_refused(tmp_path):
    run = steady(tmp_path)
    with pytest.raises(ValueError, match="env runner.fakes.Walk cannot be built: .*'gaol'"):
        evaluate(run, changes={"env": {"gaol": 3}})
    with pytest.raises(ValueError, match="env.goal=0: expected at least 1"):
        evaluate(run, changes={"env": {"goal": 0}})


def networked(directory):
    return trained(directory, NETWORKED, stored("public_goods"), graph=node("ring"))


def test_another_graph_is_said_and_checked(tmp_path, capsys):
    run = networked(tmp_path / "run")
    ours = evaluate(run).results
    capsys.readouterr()
    # As they act these agents send nothing, so the graph changes no number.
    assert evaluate(run, changes={"graph": node("star")}).results == ours
    assert capsys.readouterr().err.endswith("elsewhere: graph=star (trained with ring)\n")
    assert evaluate(run, changes={"graph": {"weights": "lazy_metropolis"}}).results == ours
    line = "elsewhere: graph.weights=lazy_metropolis (trained with metropolis)\n"
    assert capsys.readouterr().err.endswith(line)
    with pytest.raises(ValueError, match="graph=hypercube: expected a power of 2 agents"):
        evaluate(run, changes={"graph": node("hypercube")})


def test_a_graph_from_a_file_is_read_as_typed(tmp_path, capsys):
    run = networked(tmp_path / "run")
    before = files_in(run)
    links = tmp_path / "links.txt"
    links.write_text("0 1\n1 2\n2 3\n3 4\n4 5\n")
    evaluate(run, changes={"graph": node("from_file", file=str(links))})
    assert f"graph.file={links} (trained with null)" in capsys.readouterr().err
    links.write_text("0 1\n1 9\n")
    with pytest.raises(ValueError, match="links.txt: link 1 is 1 9, expected two agents of 0 .. 5"):
        evaluate(run, changes={"graph": node("from_file", file=str(links))})
    assert files_in(run) == before


def test_a_kept_file_stays_where_other_keys_of_the_graph_change(tmp_path):
    links = tmp_path / "links.txt"
    links.write_text("0 1\n1 2\n2 3\n3 4\n4 5\n5 0\n")
    graph = node("from_file", file=str(links))
    run = trained(tmp_path / "run", NETWORKED, stored("public_goods"), graph=graph)
    links.unlink()
    ours = evaluate(run).results
    assert evaluate(run, changes={"graph": {"weights": "lazy_metropolis"}}).results == ours
    assert evaluate(run, changes={"graph": node("ring")}).results == ours


def test_a_graph_for_agents_that_do_not_communicate_is_refused(tmp_path):
    run = steady(tmp_path)
    with pytest.raises(ValueError, match=r"graph=ring: algo \S+ takes no graph"):
        evaluate(run, changes={"graph": node("ring")})


def test_a_video_of_a_changed_game_stands_beside_that_of_the_runs_own(tmp_path):
    run = steady(tmp_path)
    evaluate(run, video=True)
    own = next((run / "videos").iterdir()).read_bytes()
    evaluate(run, video=True, changes={"env": {"goal": 3}})
    names = sorted(path.name for path in (run / "videos").iterdir())
    assert names == ["step_0_seed_3.gif", "step_0_seed_3_elsewhere.gif"]
    assert (run / "videos/step_0_seed_3.gif").read_bytes() == own
