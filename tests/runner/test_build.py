import pytest
import torch
from envs.games import make
from graphs.graphs_at_hand import node as graph_node
from paper2.worlds import node
from runner.grouped import Decay, Explore

from marlrun.config.plugins import resolve
from marlrun.runner.build import build, build_learner, refuse_hidden_targets
from marlrun.types import Spec

CPU = torch.device("cpu")


def test_builds_a_plugins_class_with_its_keys():
    node = {"_target_": "runner.fakes.Walk", "num_envs": 2, "horizon": 9}
    env = build(node, "env", ["runner"], [0], CPU, num_envs=5)
    assert (env.num_envs, env.spec.horizon) == (5, 9)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("env", "os.system"),
        ("algo", "builtins.eval"),
        ("algo", "subprocess.Popen"),
        ("env", "marlrun.cli.main"),
        ("env", "marlrun.runner.train.torch.load"),
        ("env", "marlrun.envs.os.system"),
        ("env", "marlrun.envs.target_capture.torch.load"),
        ("env", "marlrun.envs.target_capture.Stream"),
        ("env", "marlrun.envs.target_capture.Literal"),
        ("env", "marlrun.envs.target_capture.__builtins__"),
        ("env", "marlrun.envs.target_capture._turned_moves"),
        ("env", "marlrun.envs.target_capture"),
        ("env", "marlrun.envs.target_capture.Nothing"),
        ("env", "marlrun.envs.nothing.Nothing"),
        ("env", "marlrun.envs..Nothing"),
        ("env", "marlrun.algos.random.Random"),
        ("algo", "marlrun.envs.target_capture.TargetCapture"),
        ("algo", "marlrun.streams.Stream"),
        ("algo", "marlrun_algos.Evil"),
        ("algo", "runner2.fakes.Walk"),
        ("graph", "marlrun.algos.random.Random"),
        ("graph", "marlrun.graphs.topologies.networkx.read_gpickle"),
        ("graph", "marlrun.graphs.topologies.network"),
        ("graph", "marlrun.graphs.topologies._random"),
        ("env", "runner.fakes.os.system"),
        ("env", "runner.fakes.Stream"),
        ("env", "runner.fakes.os"),
        ("env", ""),
        ("env", "Walk"),
        ("env", None),
        ("env", ["runner.fakes.Walk"]),
    ],
)
def test_forbidden_targets_are_refused_in_one_line(kind, target):
    with pytest.raises(ValueError, match=f"^{kind}._target_=.*[^\n]*$"):
        resolve(target, kind, ["runner"])


def test_a_module_that_cannot_be_imported_is_refused_by_name(tmp_path, monkeypatch):
    (tmp_path / "half_written.py").write_text("class Walk")
    monkeypatch.syspath_prepend(tmp_path)
    expected = r"^env._target_=half_written.Walk: half_written cannot be imported: SyntaxError: "
    with pytest.raises(ValueError, match=expected):
        resolve("half_written.Walk", "env", ["half_written"])


def test_a_forbidden_module_is_not_even_imported(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="plugins="):
        resolve("trap.Trap", "env", ["runner"])


@pytest.mark.parametrize(
    "config",
    [
        {"algo": {"_target_": "a.B", "net": {"_target_": "os.system"}}},
        {"algo": {"_target_": "a.B", "nets": [1, {"_target_": "os.system"}]}},
        {"env": {"a": {"b": {"_target_": "os.system"}}}},
        {"graph": {"among": [{"_target_": "os.system"}]}},
        {"eval": {"_target_": "os.system"}},
        {"_target_": "os.system"},
    ],
)
def test_a_target_elsewhere_is_refused(config):
    with pytest.raises(ValueError, match="os.system: only algo, env and graph may have a _target_"):
        refuse_hidden_targets(config)


def test_wrong_arguments_are_one_line():
    node = {"_target_": "runner.fakes.Walk", "gaol": 3}
    with pytest.raises(ValueError, match="env runner.fakes.Walk cannot be built: .*'gaol'"):
        build(node, "env", ["runner"], [0], CPU, num_envs=1)
    with pytest.raises(ValueError, match="missing a required argument: 'num_envs'"):
        build({"_target_": "runner.fakes.Walk"}, "env", ["runner"], [0], CPU)


@pytest.mark.parametrize(
    "message", ["env.num_envs=2: expected 1", "graph: disconnected", "env=a: b"]
)
def test_a_message_about_a_key_is_left_as_it_is(message, monkeypatch):
    def refuse(*_args, **_keys):
        raise ValueError(message)

    monkeypatch.setattr("marlrun.runner.build.resolve", lambda *_: refuse)
    with pytest.raises(ValueError, match=f"^{message}$"):
        build({"_target_": "a.B"}, "algo", [])


def test_only_who_communicates_needs_a_connected_graph():
    algo = node("algo", "networked_ac_q")
    env, apart = make("public_goods", 3), graph_node("geometric", radius=0.001)
    with pytest.raises(ValueError, match="^graph: disconnected in the mean"):
        build_learner(algo, env, (3,), CPU, [], 1, apart)
    for communication in ("central", "none"):
        silent = node("algo", "networked_ac_q", **{"mixing.communication": communication})
        assert build_learner(silent, env, (3,), CPU, [], 1, apart).updates == 0


def explorer(**keys):
    given = {"explore": {"start": 0.5, "decay": {"rate": 0.1}}, "extra": {"start": 0.5}}
    node = {"_target_": "runner.grouped.Explorer", **given, **keys}
    return build(node, "algo", ["runner"])


def test_keys_within_a_key_become_the_dataclass_that_the_constructor_names():
    made = explorer(again={"start": 1, "decay": {"rate": 0.2, "floor": 0.1}, "names": ["a"]})
    assert made.explore == Explore(0.5, Decay(0.1))
    assert made.again == Explore(1, Decay(0.2, 0.1), ["a"])
    assert made.extra == {"start": 0.5}
    assert explorer().again is None


@pytest.mark.parametrize(
    ("explore", "line"),
    [
        ({"strat": 1}, "algo.explore.strat: no such key; did you mean start?"),
        ({"x": 1}, "algo.explore.x: no such key; algo.explore takes start, decay, names"),
        ({"start": 1}, "algo.explore.decay: missing, algo.explore takes start, decay, names"),
        ({"start": 1, "decay": {}}, "algo.explore.decay.rate: missing, algo.explore.decay takes"),
        ({"start": 2, "decay": {"rate": 1}}, "algo.explore: start 2, expected at most 1"),
    ],
)
def test_a_mistake_within_a_key_is_named(explore, line):
    with pytest.raises(ValueError) as refusal:
        explorer(explore=explore)
    assert str(refusal.value).startswith(line)


def test_settings_take_all_keys_that_the_constructor_does_not_name():
    algo, env = node("algo", "ippo", lr=0.25), make("public_goods", 3)
    learner = build_learner(algo, env, (3,), CPU, [], 8, None)
    assert (learner.settings.lr, learner.settings.critic, learner.num_envs) == (0.25, "own", 8)
    algo.pop("clip")
    with pytest.raises(ValueError, match=r"^algo.clip: missing, algo takes critic, share"):
        build_learner(algo, env, (3,), CPU, [], 8, None)


@pytest.mark.parametrize("name", ["networked_ac_q", "networked_ac_v"])
def test_the_settings_of_the_networked_learners_are_their_yaml(name):
    env = make("public_goods", 3)
    mixing = {"mixing.aggregate": "trim", "mixing.communication": "none"}
    algo = node("algo", name, **mixing)
    with pytest.raises(ValueError, match=r"^algo.mixing.aggregate=trim algo.mixing.faulty_agents"):
        build_learner(algo, env, (3,), CPU, [], 1, graph_node("ring"))
    algo["mixing"].pop("rounds")
    with pytest.raises(ValueError, match=r"^algo.mixing.rounds: missing, algo.mixing takes comm"):
        build_learner(algo, env, (3,), CPU, [], 1, graph_node("ring"))


def test_what_a_class_says_becomes_one_line():
    node = {"_target_": "runner.fakes.Bandit", "lr": "fast\nand faster"}
    with pytest.raises(ValueError, match=r"Bandit cannot be built: [^\n]*$"):
        build(node, "algo", ["runner"], Spec(1, ("a",), (1,), (2,), 1, 1.0), [0], CPU, num_envs=1)
