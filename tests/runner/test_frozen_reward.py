"""algo.reward: PPO learns from the reward that another run has recovered, and is measured by the game's."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest
import torch
import yaml
from runner.compare import assert_same_run
from runner.fakes import config

import marlrun
from marlrun.nets.discriminator import Inputs, Scores, ScoreSettings
from marlrun.nets.recovered import Constant, Network, RecoveredReward
from marlrun.runner import inputs
from marlrun.runner.checkpoint import Checkpoints
from marlrun.runner.evaluate import evaluate_run
from marlrun.runner.train import resume, train
from marlrun.types import Spec

CPU = torch.device("cpu")
SPEC = Spec(2, ("agent_0", "agent_1"), (1, 1), (2, 2), horizon=1, discount=1.0)
CONF = files("marlrun.conf")


def node(path, **changes):
    return yaml.safe_load((CONF / path).read_text()) | changes


def job(reward, env_steps=2500, **changes):
    """Return a job in the prisoner's dilemma, in which action 1 always pays more."""
    algo = node("algo/ippo.yaml", reward=str(reward), rollout=1, lr=0.05, hidden=[], lr_final=0.05)
    env = node("env/matrix_game.yaml", game="prisoners_dilemma", num_envs=50)
    periods = {"eval": {"every": 2500, "episodes": 50, "final_episodes": 50}}
    return config(algo=algo, env=env, env_steps=env_steps, **periods, **changes)


def recovered(seeds=(3, 4), spec=SPEC):
    """Return a reward that depends on the action alone, in another way for each replica and agent."""
    settings = ScoreSettings("own", "state_action", (), "relu", normalise=False)
    scores = Scores(spec, seeds, CPU, settings, name="g")
    with torch.no_grad():
        scores.rows.mul_(5)
    seen = Inputs(spec, len(seeds), CPU, normalise=False)
    return RecoveredReward(spec, seeds, Network("g", seen, scores))


@pytest.fixture
def source(tmp_path):
    """The directory of a run that has recovered a reward."""
    (tmp_path / "source/checkpoints").mkdir(parents=True)
    Checkpoints(tmp_path / "source").save_reward(7, recovered().state_dict())
    return tmp_path / "source"


def evaluation(directory):
    return evaluate_run(
        directory,
        episodes=200,
        checkpoint="best",
        video=False,
        seed=None,
        device="cpu",
        threads=1,
        plugins=[],
    ).results


def test_policies_learn_the_recovered_reward_and_evaluation_stays_in_the_true_one(source, tmp_path):
    both = torch.arange(2).view(1, 2, 1).expand(2, 2, 2)
    pays = recovered()(torch.ones(2, 2, 2, 1), both)  # [R, action, N]
    best = pays.argmax(1)
    assert (best == 0).any() and (best == 1).any()
    results = train(job(source), tmp_path / "run", []).results
    payoff = torch.tensor([[-1.0, -3.0], [0.0, -2.0]])
    for replica, (one, other) in enumerate(best.tolist()):
        expected = (payoff[one, other] + payoff[other, one]) / 2
        assert results["eval/return_mean"][replica] == pytest.approx(expected, abs=0.25)
    torch.testing.assert_close(
        torch.tensor(results["irl/return_mean"]), pays.amax(1).mean(1), atol=0.3, rtol=0
    )
    assert "irl/random/pearson_step" in results and "irl/expert/pearson_step" not in results


def test_the_file_is_kept_and_what_happens_to_the_original_changes_nothing(source, tmp_path):
    train(job(source, env_steps=300), tmp_path / "whole", [])
    train(job(source, env_steps=150), tmp_path / "parts", [])
    shutil.rmtree(source)
    resume(tmp_path / "parts", 300, [])
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    stored = yaml.safe_load((tmp_path / "parts/config.yaml").read_text())
    kept = tmp_path / "parts" / stored["algo"]["reward"]
    assert kept.parent.name == "inputs" and kept.name.endswith("-reward.pt")
    assert evaluation(tmp_path / "parts")["irl/return_mean"]
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    with pytest.raises(
        ValueError, match=r"^algo\.reward=.*reward\.pt: was changed, expected a con"
    ):
        evaluation(tmp_path / "parts")


def test_the_true_reward_selects_no_policy_but_the_recovered_one_may(source, tmp_path):
    train(job(source, env_steps=100), tmp_path / "run", [])
    stored = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert stored["checkpoint"]["best"] == "latest"
    assert not (tmp_path / "run/checkpoints/best.pt").exists()
    chosen = {"every": 50, "keep": 1, "best": "irl/return_mean"}
    train(job(source, env_steps=100, checkpoint=chosen), tmp_path / "other", [])
    assert (tmp_path / "other/checkpoints/best.pt").exists()


def refusal(reward, tmp_path, **changes):
    with pytest.raises(ValueError) as caught:
        train(job(reward, **changes), tmp_path / "refused", [])
    assert not (tmp_path / "refused").exists() and "\n" not in str(caught.value)
    return str(caught.value).replace(str(tmp_path), "")


def test_what_does_not_fit_is_refused_in_one_line(source, tmp_path):
    assert refusal(tmp_path / "nothing", tmp_path) == "algo.reward=/nothing: no such file"
    assert refusal(tmp_path, tmp_path) == (
        "algo.reward=: no reward.pt in it, expected a run whose learner recovers a reward"
    )
    assert refusal(source, tmp_path, replicas=3) == (
        "replicas=3: expected 2, for replica r learns from the reward of replica r, and "
        "algo.reward=/source/reward.pt has 2"
    )
    for name, spec, words in (
        ("names", {"agent_names": ("a", "b")}, "the agents agent_0, agent_1, the reward was reco"),
        (
            "strange",
            {"agent_names": ("a\n", "\x1b[2J")},
            "the agents agent_0, agent_1, the reward was recovered with a\\n, \\x1b[2J",
        ),
        ("sizes", {"obs_sizes": (4, 1)}, "observations of size 1, the reward was recovered with 4"),
        (
            "actions",
            {"num_actions": (2, 3)},
            "a number of actions of 2, the reward was recovered w",
        ),
    ):
        other = Spec(**{name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__} | spec)
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        Checkpoints(tmp_path / name).save_reward(7, recovered(spec=other).state_dict())
        line = refusal(tmp_path / name / "reward.pt", tmp_path)
        assert line.startswith(f"algo.reward=/{name}/reward.pt: the game has {words}")


def test_another_game_than_that_of_the_reward_is_told(source, tmp_path, capsys):
    env = job(source)["env"]
    for stored, told in (
        ({**env, "num_envs": 7}, ""),
        (
            {**env, "horizon": 3},
            f"marlrun: algo.reward={source}/reward.pt: elsewhere: env.horizon=1 (trained with 3)\n",
        ),
    ):
        Checkpoints(source).save_reward(7, recovered().state_dict(), stored)
        train(job(source, env_steps=0), tmp_path / f"run{len(told)}", [])
        assert told == "".join(
            line for line in capsys.readouterr().err.splitlines(True) if "elsewhere" in line
        )


def test_what_is_damaged_is_refused_in_one_line(source, tmp_path):
    reward = source / "reward.pt"
    content = reward.read_bytes()
    for damaged in (b"", b"no archive", content[: len(content) // 2]):
        reward.write_bytes(damaged)
        assert refusal(source, tmp_path).startswith(
            "algo.reward=/source/reward.pt is damaged or no checkpoint: "
        )
    checkpoints = Checkpoints(source)
    checkpoints.save(7, {"learner": {}})
    assert refusal(checkpoints.latest(), tmp_path) == (
        "algo.reward=/source/checkpoints/step_7.pt: is a checkpoint, "
        "expected a run directory or its reward.pt"
    )
    state = recovered().state_dict()
    unlike = [{"kind": "other"}, {"seeds": [1]}, {"game": {}}]
    for kind, function in (
        ("constant", {"constant": "much"}),
        ("constant", {"constant": float("nan")}),
        ("nearest", {"observations": torch.zeros(1, 5, 1)}),
        ("nearest", {"observations": torch.full((2, 5, 1), float("inf"))}),
    ):
        unlike.append({"kind": kind, "function": function})
    for broken in ({}, *(state | change for change in unlike)):
        checkpoints.save_reward(7, broken)
        assert refusal(source, tmp_path).startswith(
            "algo.reward=/source/reward.pt: expected a recovered reward: "
        )


def test_a_file_that_tells_no_game_is_taken(source, tmp_path):
    Checkpoints(source).save_reward(7, recovered().state_dict(), env={})
    train(job(source, env_steps=0), tmp_path / "run", [])


def test_a_game_is_the_same_whether_null_or_what_it_stands_for_is_typed(tmp_path, capsys):
    words = ["env=spread", "env.rules=ma_airl", "env_steps=0", "eval.final_episodes=1"]
    typed = ["algo=ma_gail", "algo.reward=constant", "env.early_end=true", "env.horizon=50"]
    marlrun.train(*words, *typed, f"hydra.run.dir={tmp_path}/a")
    learning = ["algo=ippo", *words, f"algo.reward={tmp_path}/a", "algo.rollout=5"]
    marlrun.train(*learning, f"hydra.run.dir={tmp_path}/b")
    assert "elsewhere" not in capsys.readouterr().err
    marlrun.train(*learning, "env.early_end=false", f"hydra.run.dir={tmp_path}/c")
    told = "elsewhere: env.early_end=false (trained with true)\n"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("share", "is_told"), [("none", False), ("policy", True), ("both", True)])
def test_one_policy_under_several_rewards_is_told(source, tmp_path, capsys, share, is_told):
    shared = job(source, env_steps=50)
    shared["algo"] |= {"share": share}
    train(shared, tmp_path / "run", [])
    assert (f"algo.share={share} algo.reward=" in capsys.readouterr().err) == is_told


def test_a_key_of_this_name_may_be_no_path():
    typed = {"algo": {"_target_": "marlrun.algos.ma_airl.ma_airl", "reward": "g"}}
    assert inputs.read_typed(typed) == {} and inputs.absolute(typed) == typed


def test_a_constant_teaches_nothing(tmp_path):
    (tmp_path / "source/checkpoints").mkdir(parents=True)
    constant = RecoveredReward(SPEC, (3, 4), Constant(-1.0))
    Checkpoints(tmp_path / "source").save_reward(7, constant.state_dict())
    results = train(job(tmp_path / "source", env_steps=250), Path(tmp_path / "run"), []).results
    assert results["irl/return_mean"] == [-1.0, -1.0]
    assert results["irl/random/pearson_step"] == [0.0, 0.0]
    assert all(-1.9 < value < -1.1 for value in results["eval/return_mean"])
