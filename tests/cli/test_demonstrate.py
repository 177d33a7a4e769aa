"""mode=demonstrate: whole episodes of one replica's policy, and what they are worth."""

import json
import math
from pathlib import Path

import pytest
import test_cli
import torch
from runner.fakes import Foreign, config
from test_cli import Marlrun, refused

from marlrun.data.demonstrations import read
from marlrun.runner import plays
from marlrun.runner.demonstrations import no_better
from marlrun.runner.train import train

marlrun = test_cli.marlrun
UNTRAINED = {"env_steps": 0, "eval": {"every": 40, "episodes": 1, "final_episodes": 1}}
RANDOM = {"algo": {"_target_": "marlrun.algos.random.Random"}}
STEADY = {"algo": {"_target_": "runner.fakes.Steady"}}
OURS = ("mode=demonstrate", "plugins=[runner]", "out=out.npz")


@pytest.fixture
def say(marlrun: Marlrun):
    """Leave a run that was not trained, and write its demonstrations."""

    def begin(*words: str, **changes):
        if not Path("run").exists():
            job = config(**UNTRAINED, **changes)
            assert train(job, Path("run"), []).status == "finished"
        Path("out.npz").unlink(missing_ok=True)
        return marlrun(*OURS, "run=run", *words)

    return begin


@pytest.mark.parametrize("size", [1024, 4])
def test_they_are_whole_episodes_of_the_game(say, monkeypatch, size):
    """In Walk an action is a way and a reward, and who stands at 7 ends the episode."""
    monkeypatch.setattr(plays, "BLOCK", size)
    said = say("episodes=10", **STEADY, env__horizon=5)
    assert said.code == 0, said.err
    shown = read("out.npz")
    assert shown.num_episodes == 10 and shown.action.tolist() == [[1, 2]] * len(shown.obs)
    place, next_place = shown.obs[..., 0], shown.next_obs[..., 0]
    assert torch.equal(next_place, place + shown.action)
    assert torch.equal(shown.reward, shown.action.float())
    assert torch.equal(shown.next_obs[..., 1], shown.obs[..., 1] + 1)
    assert torch.equal(shown.first, shown.obs[:, 0, 1] == 0)
    assert torch.equal(shown.terminated, next_place[:, 0] >= 7)
    assert torch.equal(shown.truncated, (shown.next_obs[:, 0, 1] == 5) & ~shown.terminated)
    assert shown.terminated.any() and shown.truncated.any()
    assert len(place[shown.first].unique()) > 2


def test_the_card_has_the_returns_that_the_file_has(say):
    """Walk's discount is 1/2."""
    said = say("episodes=30", **STEADY)
    shown, card = read("out.npz"), json.loads(said.out.splitlines()[-1])
    time = torch.arange(len(shown.obs)) - shown.first.nonzero()[shown.episode, 0]
    paid = shown.reward * 0.5 ** time[:, None]
    returns = torch.zeros(30, 2).index_add_(0, shown.episode, paid)
    told = card["returns"]["expert"]
    assert told["left"]["mean"] == pytest.approx(returns[:, 0].mean().item(), rel=1e-6)
    assert told["right"]["mean"] == pytest.approx(returns[:, 1].mean().item(), rel=1e-6)
    assert told["mean"]["mean"] == pytest.approx(returns.mean().item(), rel=1e-6)
    assert told["mean"]["low"] < told["mean"]["mean"] < told["mean"]["high"]
    assert card == {key: value for key, value in shown.card.items() if key != "sha256"}
    assert f"expert/left   {told['left']['mean']:.3f} [" in said.out
    assert f"out.npz: 30 episodes, {len(shown.obs)} joint steps, 0.0 MB" in said.out
    assert said.err.endswith("\nrun/checkpoints/step_0.pt: env step 0, replica 0\n")


def test_the_card_says_whose_they_are(say):
    card = json.loads(say("episodes=2", "replica=1", **STEADY).out.splitlines()[-1])
    assert card["agents"] == ["left", "right"] and card["num_actions"] == [3, 3]
    assert card["env"] == {"_target_": "runner.fakes.Walk", "goal": 7}
    assert card["source"] == {
        "run": "run",
        "algo": None,
        "seed": 4,
        "checkpoint": "step_0.pt",
        "env_steps": 0,
    }
    assert (
        card["seed"] == 4 and card["horizon"] == 6 and set(card["versions"]) == {"marlrun", "torch"}
    )


def test_a_replica_demonstrates_the_same_in_company(marlrun):
    for name, seed, replicas, replica in (("a", 3, 2, 1), ("b", 4, 1, 0)):
        job = config(**UNTRAINED, **RANDOM, seed=seed, replicas=replicas)
        train(job, Path(name), [])
        words = (f"run={name}", f"out={name}.npz", f"replica={replica}", "episodes=5")
        assert marlrun("mode=demonstrate", "plugins=[runner]", *words).code == 0
    one, other = read("a.npz"), read("b.npz")
    assert torch.equal(one.obs, other.obs) and torch.equal(one.action, other.action)


def test_the_same_command_writes_the_same_bytes(say):
    first, second, third, fourth = (
        say("episodes=3", *words, **RANDOM) and Path("out.npz").read_bytes()
        for words in ((), (), ("seed=3",), ("seed=9",))
    )
    assert first == second == third != fourth


def test_the_game_may_be_changed(say):
    said = say("episodes=3", "env.goal=1", "env.horizon=9", **STEADY)
    elsewhere = "elsewhere: env.goal=1 (trained with 7), env.horizon=9 (trained with its default)"
    assert said.err.splitlines()[-1] == elsewhere
    shown = read("out.npz")
    assert len(shown.obs) == 3 and shown.terminated.all() and shown.card["env"]["goal"] == 1


def test_an_expert_like_random_play_is_told(say):
    said = say("episodes=50", **RANDOM)
    assert said.code == 0
    means = read("out.npz").card["returns"]
    expert, random = (f"{means[who]['mean']['mean']:.3f} [" for who in ("expert", "random"))
    line = said.err.splitlines()[-1]
    assert line.startswith(f"marlrun: out.npz: the expert's return, {expert}")
    assert f", is no better than random play's, {random}" in line


def estimates(*columns):
    return [{"mean": mean, "low": mean - 1, "high": mean + 1} for mean in columns]


@pytest.mark.parametrize(
    ("expert", "is_told"),
    # The difference's interval is 2 ** .5 wide on each side.
    [((0.0, 1.4), True), ((0.0, 1.5), False), ((1.5, -9.0), False), ((-5.0, -5.0), True)],
)
def test_one_better_agent_is_enough(expert, is_told):
    parts = {
        who: dict(zip(["a", "b", "mean"], estimates(*means, sum(means) / 2), strict=True))
        for who, means in (("expert", expert), ("random", (0.0, 0.0)))
    }
    warning = no_better({"agents": ["a", "b"], "returns": parts})
    assert (warning is not None) == is_told
    assert "compares no returns" in no_better({"agents": ["a"]})


def test_masks_and_leavers_are_kept(marlrun):
    conf = Path(__file__).parents[1] / "plugin/mymarl/conf"
    ours = ("--config-dir", str(conf), "plugins=[mymarl]")
    small = ("env_steps=0", "eval.episodes=1", "eval.final_episodes=1", "hydra.run.dir=run")
    assert marlrun(*ours, "algo=random", "env=doors", *small).code == 0
    words = ("run=run", "out=out.npz", "episodes=20", "plugins=[mymarl]")
    assert marlrun("mode=demonstrate", *words).code == 0
    shown = read("out.npz")
    allowed = shown.action_mask.gather(-1, shown.action.unsqueeze(-1)).squeeze(-1)
    assert allowed[shown.alive].all() and not shown.action_mask[shown.alive].all()
    assert shown.alive[shown.first].all() and not shown.alive.all()
    assert not shown.next_alive[shown.terminated].any()
    inside = ~shown.first[1:]
    assert torch.equal(shown.alive[1:][inside], shown.next_alive[:-1][inside])
    transitions = shown.transitions(torch.device("cpu"))
    assert torch.equal(transitions.counts[0].bool(), shown.alive)
    assert transitions.terminated[0][~shown.next_alive].all()


def test_a_task_that_never_ends_is_cut_by_its_clock(marlrun):
    small = ("env_steps=0", "eval.episodes=1", "eval.final_episodes=1", "hydra.run.dir=run")
    marlrun("algo=random", "env=networked_mdp", "env.horizon=4", "env.num_agents=2", *small)
    marlrun("mode=demonstrate", "run=run", "out=out.npz", "episodes=3")
    shown = read("out.npz")
    assert len(shown.obs) == 12 and int(shown.truncated.sum()) == 3 and not shown.terminated.any()
    mean = shown.card["returns"]["expert"]["mean"]["mean"]
    assert mean == pytest.approx(shown.reward.mean().item(), rel=1e-5)


REFUSALS = [
    (["run=nowhere"], "run=nowhere: no such directory"),
    (["run=empty"], "run=empty: expected a run directory, this one has no config.yaml"),
    (["replica=2"], "replica=2: expected int [0, 1], as the run has"),
    (["replica=-1"], "replica=-1: expected int [0, inf) ("),
    (["episodes=0"], "episodes=0: expected int [1, 1000000] ("),
    (["episodes=1000000"], "episodes=1000000: a file holds about"),
    (
        ["checkpoint=worst"],
        "checkpoint=worst: no such checkpoint in run/checkpoints; the newest",
    ),
    (["out=no/out.npz"], "out=no/out.npz: no such directory: no"),
    ([f"out={'x' * 300}"], f"out={'x' * 300}: expected a new file: File name too long"),
    (["out=empty"], "out=empty: exists, expected a new file"),
    (["out=link"], "out=link: exists, expected a new file"),
    (["env.goal=0"], "env.goal=0: expected at least 1"),
    (["env._target_=runner.fakes.Few"], "env._target_: the class of the run's game cannot be"),
    (["video=true"], "video: no such key in demonstrate.yaml"),
]


@pytest.mark.parametrize(("words", "expected"), REFUSALS, ids=lambda words: str(words)[:40])
def test_what_is_wrong_is_one_line_and_writes_nothing(say, words, expected):
    say("episodes=1", **STEADY)
    Path("empty").mkdir()
    Path("link").symlink_to("nothing")
    Path("out.npz").unlink()
    before = sorted(path.name for path in Path().rglob("*"))
    assert refused(say(*words)).startswith(expected)
    assert sorted(path.name for path in Path().rglob("*")) == before


def test_a_game_that_pays_nan_demonstrates_nothing(say, monkeypatch):
    say("episodes=1", **STEADY)
    monkeypatch.setattr(Foreign, "paid", math.nan)
    path = Path("run/config.yaml")
    path.write_text(path.read_text().replace("fakes.Walk", "fakes.Foreign"))
    said = say("episodes=2")
    expected = "NaN or infinity in the return of mean, mode=demonstrate"
    assert (said.code, said.out) == (1, "") and expected in said.err
    assert not Path("out.npz").exists()


def test_an_existing_file_stays(say, marlrun):
    say("episodes=1", **STEADY)
    content = Path("out.npz").read_bytes()
    assert (
        refused(marlrun(*OURS, "run=run", "episodes=2"))
        == "out=out.npz: exists, expected a new file"
    )
    assert Path("out.npz").read_bytes() == content


def test_a_directory_that_cannot_be_written_to_is_refused_before_the_play(say, monkeypatch):
    say("episodes=1", **STEADY)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    said = say("episodes=1", "out=new.npz")
    assert refused(said) == "out=new.npz: expected a directory that can be written to: ."
    assert not Path("new.npz").exists()


def test_out_and_run_are_needed(marlrun):
    assert refused(marlrun("mode=demonstrate", "run=x")).startswith(
        "out missing: expected out=path"
    )
    assert refused(marlrun("mode=demonstrate", "out=x")).startswith(
        "run missing: expected run=latest"
    )
