"""What a job learns from is kept in its run, and does not fit every job."""

import io
import json
import shutil
import tomllib
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
import yaml
from data.test_demonstrations import with_array
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from runner.compare import assert_same_run, record
from runner.test_damage import contents, evaluate

from marlrun.cli.main import run_command
from marlrun.data import demonstrations
from marlrun.data.demonstrations import Episode, read, read_card, write
from marlrun.runner.build import settled
from marlrun.runner.demonstrations import check, no_better, shipped, shipped_files
from marlrun.runner.train import resume, train
from marlrun.system.reading import InputFile
from marlrun.types import Spec

RESULTS = Path(__file__).parents[2] / "docs/results"
PLUGINS = ["runner"]
PUPIL = {"_target_": "runner.pupil.Pupil", "demonstrations_episodes": None}
SMALL = {
    "env_steps": 120,
    "plugins": PLUGINS,
    "device": "cpu",
    "eval": {"every": 60, "episodes": 2, "final_episodes": 2},
    "checkpoint": {"every": 30, "keep": 1, "best": "latest"},
    "log": {"every": 60},
}
ENVS = {
    "spread": ["env=spread", "env.rules=ma_airl"],
    "speaker_listener": ["env=speaker_listener", "env.rules=ma_airl"],
    "push": ["env=push", "env.rules=ma_airl"],
}


def job(*words: str, demonstrations="shipped", episodes=None, **changes) -> dict:
    """Return the configuration of a job that looks at demonstrations."""
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        composed = compose("config", ["algo=random", *(words or ENVS["spread"])])
    config = OmegaConf.to_container(composed, resolve=True)
    algo = {**PUPIL, "demonstrations": demonstrations, "demonstrations_episodes": episodes}
    choices = {"algo": "pupil", "env": words[0].removeprefix("env=") if words else "spread"}
    return config | SMALL | {"algo": algo, "choices": choices} | changes


def begin(directory, *words, **changes):
    return train(job(*words, **changes), Path(directory), [])


def refusal(call, *args, **keys) -> str:
    with pytest.raises(ValueError) as caught:
        call(*args, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What ships


def of(env, *words) -> str:
    return shipped(job(*ENVS[env], *words)).name


def test_what_ships_is_found_by_environment_rules_and_early_end():
    for env in ("spread", "speaker_listener"):
        early = f"{env}_early_end.npz"
        assert of(env) == of(env, "env.early_end=true") == of(env, "env.mass=2") == early
        fixed = of(env, "env.early_end=false")
        assert (
            fixed == of(env, "env.early_end=false", "env.horizon=25") == f"{env}_fixed_horizon.npz"
        )
    assert of("push") == of("push", "env.horizon=25") == "push.npz"


@pytest.mark.parametrize(("rules", "horizon", "ends"), [("mpe2", 25, False), ("ma_airl", 50, True)])
def test_a_game_is_settled_by_its_rules(rules, horizon, ends):
    env = job("env=spread", f"env.rules={rules}")["env"]
    assert settled(env, []) == env | {"horizon": horizon, "early_end": ends}
    typed = env | {"horizon": 7, "early_end": not ends}
    assert settled(typed, []) == typed
    other = job("env=target_capture")["env"]
    assert settled(other, []) == other


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["env=spread"], "env=spread env.rules=mpe2"),
        (["env=spread", "env.rules=ma_airl", "env.num_agents=4"], "env=spread env.num_agents=4"),
        (["env=matrix_game"], "env=matrix_game"),
    ],
)
def test_where_nothing_ships_the_way_to_a_file_is_told(tmp_path, words, told):
    way = "expected a FILE, which marlrun mode=demonstrate run=DIR out=FILE writes"
    line = refusal(begin, tmp_path / "run", *words)
    assert line.startswith(f"algo.demonstrations=shipped: none ship for {told}")
    assert line.endswith(f"; {way}") and not (tmp_path / "run").exists()


EXACT = {"reward_grid.npz", "matrix_game_prisoners_dilemma.npz"}
"""Play of exact experts: tests/docs/test_exact_games.py."""
PLAYED = [path for path in shipped_files() if path.name not in EXACT]


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.stem)
def test_what_ships_is_good(path):
    shown = read(path)
    card, env = shown.card, shown.card["environment"]
    assert path.stat().st_size < 3e6
    assert shown.num_episodes == 200 and path.name.startswith(env)
    assert shown.obs.shape[1:] == (len(card["agents"]), max(card["obs_sizes"]))
    has_early_end = card["env"].get("early_end", False)
    assert shown.terminated.any() == has_early_end
    length = torch.bincount(shown.episode)
    assert has_early_end or length.eq(50).all()
    # The card's returns are those of the rewards in the file.
    returns = torch.zeros(200, len(card["agents"])).index_add_(0, shown.episode, shown.reward)
    for agent, column in zip(card["agents"], returns.mT, strict=True):
        mean = card["returns"]["expert"][agent]["mean"]
        assert mean == pytest.approx(column.mean().item(), rel=1e-5)


PAPER = {"spread": -43.195, "speaker_listener": -12.712, "push": -6.804}
"""Returns of the paper's experts, table 1 and 2; keep-away's is that of the good agent."""


@pytest.mark.parametrize("env", PAPER)
def test_experts_are_about_as_good_as_the_papers(env):
    card = read_card(shipped(job(*ENVS[env])))
    told = card["returns"]["expert"][card["agents"][-1]]
    assert told["low"] <= PAPER[env] <= told["high"]
    assert card["source"]["run"] == f"experts_{env}"


def test_what_ships_is_in_the_wheel():
    project = tomllib.loads((RESULTS.parents[1] / "pyproject.toml").read_text())
    (pattern,) = project["tool"]["setuptools"]["package-data"]["marlrun.data"]
    folder = Path(demonstrations.__file__).parent
    assert sorted(folder.glob(pattern)) == shipped_files()


def test_all_games_have_their_files():
    names = {path.name for path in PLAYED}
    assert names == {of("push")} | {
        of(env, f"env.early_end={early}")
        for env in ("spread", "speaker_listener")
        for early in ("true", "false")
    }


EXPERTS = {"spread": 2, "speaker_listener": 1, "push": 4}
"""The replica of docs/results/experts_ENV that demonstrates, by the rule in docs/demonstrations.md."""


@pytest.mark.slow
@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.stem)
def test_what_ships_is_what_its_command_writes(path, tmp_path):
    """Versions and commits may be others."""
    env = read_card(path)["environment"]
    out, run = tmp_path / path.name, RESULTS / f"experts_{env}"
    words = ["env.early_end=false"] if "fixed" in path.name else []
    command = ["mode=demonstrate", f"run={run}", f"replica={EXPERTS[env]}", f"out={out}", *words]
    assert run_command([*command, "device=cpu"]).error is None
    assert read_card(out)["sha256"] == read_card(path)["sha256"]


def test_demonstrators_are_chosen_by_the_rule():
    for env, replica in EXPERTS.items():
        results = json.loads((RESULTS / f"experts_{env}" / "run.json").read_text())["results"]
        good, mean = results.get("agent/agent_0/return"), results["eval/return_mean"]
        distances = (
            [abs(value - PAPER[env]) for value in good] if env == "push" else [-m for m in mean]
        )
        assert distances.index(min(distances)) == replica
        assert read_card(shipped(job(*ENVS[env])))["source"]["seed"] == 10 + replica


# What a run keeps


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty directory to work in, with demonstrations in a file."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(shipped(job()), "shown.npz")
    return tmp_path


def stored(content: bytes, name="shown.npz") -> str:
    return f"inputs/{sha256(content).hexdigest()[:12]}-{name}"


def test_what_ships_is_kept_by_its_content(place):
    assert begin("run").status == "finished"
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    content = shipped(job()).read_bytes()
    name = stored(content, "spread_early_end.npz")
    assert config["algo"]["demonstrations"] == name and Path("run", name).read_bytes() == content
    assert list(record(place / "run")["inputs"]) == [name]
    assert evaluate(Path("run"), plugins=PLUGINS).status == "finished"


def test_the_original_may_be_changed_or_lost(place):
    begin("whole", demonstrations="shown.npz")
    begin("parts", demonstrations="shown.npz", env_steps=66)
    content = Path("shown.npz").read_bytes()
    Path("shown.npz").unlink()
    assert resume(Path("parts"), 120, PLUGINS).status == "finished"
    assert_same_run(place / "whole", place / "parts")
    copy = Path("parts") / stored(content)
    copy.write_bytes(shipped(job("env=push", "env.rules=ma_airl")).read_bytes())
    before, digest = contents(place / "parts"), sha256(content).hexdigest()[:12]
    for call in (evaluate, lambda run, plugins: resume(run, 180, plugins)):
        line = refusal(call, Path("parts"), plugins=PLUGINS)
        expected = f"was changed, expected a content of hash {digest}"
        assert line == f"algo.demonstrations={copy}: {expected}"
    assert contents(place / "parts") == before


def test_a_run_is_evaluated_also_where_its_demonstrations_are_of_another_game(place, capsys):
    begin("run")
    assert evaluate(Path("run"), plugins=PLUGINS, changes={"env": {"early_end": False}})
    assert "demonstrated" not in capsys.readouterr().err


# What does not fit


def shown_with(change) -> bytes:
    """Return what ships for spread with a changed card."""
    shown = read(shipped(job()))
    card = json.loads(json.dumps(dict(shown.card)))
    for key in ("sha256", "steps", "episodes", "format"):
        del card[key]
    change(card)
    obs = torch.zeros(3, len(card["agents"]), max(card["obs_sizes"]))
    action = torch.zeros(2, len(card["agents"]), dtype=torch.int64)
    file = io.BytesIO()
    episode = Episode(obs, action, action.float(), terminated=True, truncated=False)
    write(file, card, [episode])
    return file.getvalue()


SPREAD, PUSH = "marlrun.envs.particle.spread.Spread", "marlrun.envs.particle.push.Push"
CASES = {
    "game": (
        lambda: shown_with(lambda card: card["env"].update(_target_=PUSH)),
        f"demonstrates env._target_={PUSH}, expected {SPREAD}",
    ),
    "rules": (
        lambda: shown_with(lambda card: card["env"].update(rules="mpe2")),
        "demonstrates env.rules=mpe2, expected ma_airl",
    ),
    "order": (
        lambda: shown_with(lambda card: card["agents"].reverse()),
        "has the agents agent_2, agent_1, agent_0, expected agent_0, agent_1, agent_2",
    ),
    "sizes": (
        lambda: shown_with(lambda card: card.update(obs_sizes=[16, 18, 16])),
        "has observations of size 16, 18, 16, expected 16, 16, 16",
    ),
    "actions": (
        lambda: shown_with(lambda card: card.update(num_actions=[5, 5, 4])),
        "has numbers of actions 5, 5, 4, expected 5, 5, 5",
    ),
    "truncated": (
        lambda: shown_with(lambda card: None)[:-9],
        "expected demonstrations: it is damaged, or no zip file: File is not a zip file",
    ),
    "pickle": (
        lambda: with_array("obs", [[{}]], allow_pickle=True),
        "expected demonstrations: obs.npy holds a pickle, which is never read",
    ),
    "text": (
        lambda: b"obs, action\n",
        "expected demonstrations: it is damaged, or no zip file: File is not a zip file",
    ),
}


@pytest.mark.parametrize(("make", "expected"), CASES.values(), ids=CASES)
def test_what_does_not_fit_is_refused_before_work(place, make, expected):
    Path("wrong.npz").write_bytes(make())
    line = refusal(begin, "run", demonstrations="wrong.npz")
    assert line == f"algo.demonstrations=wrong.npz: {expected}"
    assert not Path("run").exists()


@pytest.mark.parametrize("name", ["action_mask", "alive"])
def test_masks_and_leaving_are_demonstrated_just_where_the_game_has_them(name):
    config, shown = job(), read(shipped(job()))
    without = InputFile("shown.npz", shipped(job()).read_bytes())
    shape = (2, 3, 5) if name == "action_mask" else (3, 3)
    obs, action = torch.zeros(3, 3, 16), torch.zeros(2, 3, dtype=torch.int64)
    episode = Episode(obs, action, action.float(), True, False)._replace(
        **{name: torch.ones(shape).bool()}
    )
    card = {key: shown.card[key] for key in ("agents", "obs_sizes", "num_actions", "env")}
    file = io.BytesIO()
    write(file, card, [episode])
    has = {"action_mask": "has_action_mask", "alive": "agents_leave"}[name]
    spec = Spec(3, tuple(card["agents"]), (16,) * 3, (5,) * 3, 50, 1.0)
    told = replace(spec, **{has: True})

    def door(demonstrations, spec):
        check({"demonstrations": demonstrations}, config["env"], spec, [])

    door(without, spec)
    door(InputFile("shown.npz", file.getvalue()), told)
    line = f"algo.demonstrations=shown.npz: has no {name}.npy, which the game tells of"
    assert refusal(door, without, told) == line
    line = f"algo.demonstrations=shown.npz: has {name}.npy, of which the game tells nothing"
    assert refusal(door, InputFile("shown.npz", file.getvalue()), spec) == line


def test_there_must_be_such_a_file(place):
    assert (
        refusal(begin, "run", demonstrations="no.npz") == "algo.demonstrations=no.npz: no such file"
    )
    line = refusal(begin, "run", demonstrations=".")
    assert line == "algo.demonstrations=.: expected a file: Is a directory"


def test_there_must_be_as_many_episodes_as_asked_for(place):
    line = refusal(begin, "run", demonstrations="shown.npz", episodes=201)
    expected = "expected at most 200, as shown.npz has"
    assert line == f"algo.demonstrations_episodes=201: {expected}"
    assert begin("run", demonstrations="shown.npz", episodes=200).status == "finished"


def test_another_mass_force_horizon_or_early_end_is_told(place, capsys):
    words = ("env.mass=2", "env.force=3", "env.horizon=25", "env.early_end=false")
    begin("run", *ENVS["spread"], *words, demonstrations="shown.npz")
    assert capsys.readouterr().err.splitlines()[0] == (
        "marlrun: algo.demonstrations=shown.npz: was demonstrated with env.early_end=true (here "
        "false), env.horizon=50 (here 25), env.force=null (here 3), env.mass=null (here 2)"
    )
    begin("same", demonstrations="shown.npz")
    assert "demonstrated" not in capsys.readouterr().err


def test_what_a_stranger_writes_is_shown_in_one_line(place, capsys):
    def change(card):
        card["env"]["\x1b[2J"] = "a\nb"
        card["agents"][0] = "\x1b[2J"

    Path("strange.npz").write_bytes(shown_with(change))
    line = refusal(begin, "run", demonstrations="strange.npz")
    assert line == (
        "algo.demonstrations=strange.npz: has the agents \\x1b[2J, agent_1, agent_2, expected "
        "agent_0, agent_1, agent_2"
    )
    Path("strange.npz").write_bytes(shown_with(lambda card: card["env"].update({"\x1b": "a\nb"})))
    begin("run", demonstrations="strange.npz")
    assert "with env.\\x1b=a\\nb (here none)\n" in capsys.readouterr().err


@pytest.mark.parametrize("mean", [10**400, "much", None, [1]])
def test_returns_that_are_no_numbers_compare_nothing(mean):
    estimates = dict.fromkeys(("mean", "a"), {"mean": mean, "low": None, "high": None})
    card = {"agents": ["a"], "returns": {"expert": estimates, "random": estimates}}
    assert no_better(card) == "its card compares no returns of the expert and of random play"


def test_a_poor_expert_is_told_before_training(place, capsys):
    def exchange(card):
        returns = card["returns"]
        returns["expert"], returns["random"] = returns["random"], returns["expert"]

    Path("poor.npz").write_bytes(shown_with(exchange))
    begin("run", demonstrations="poor.npz")
    first, second, *_ = capsys.readouterr().err.splitlines()
    means = read_card("shown.npz")["returns"]
    random, expert = (f"{means[who]['mean']['mean']:.3f} [" for who in ("random", "expert"))
    assert first.startswith(f"marlrun: algo.demonstrations=poor.npz: the expert's return, {random}")
    assert f"], is no better than random play's, {expert}" in first
    assert second == "run directory: run"
