import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from runner.compare import record
from runner.fakes import Bandit, Blind, Walk, config

from marlrun import exact
from marlrun.algos.random import Random
from marlrun.runner import evaluate as evaluation
from marlrun.runner.build import build_env
from marlrun.runner.evaluate import evaluate_run, means, play
from marlrun.runner.train import train
from marlrun.streams import derive
from marlrun.system import capacity

CPU = torch.device("cpu")
CONF = Path(__file__).parents[2] / "conf"


class Steady:
    """Agent 0 always plays 1, agent 1 always 2; expects 3."""

    def __call__(self, step):
        return torch.tensor([1, 2]).expand(step.reward.shape)

    def value(self, step):
        return torch.full(step.reward.shape, 3.0)


def walk(num_envs, **changes):
    return Walk([0, 1], CPU, num_envs=num_envs, discount=0.5, starts=1, **changes)


def test_returns_are_discounted_and_end_with_the_episode():
    # From 0 with steps of 1 to goal 3: rewards 1, 1, 1 and 2, 2, 2, and nothing afterwards.
    result = play(walk(4, goal=3), Steady(), optimum=3.5)
    expected = {
        "agent/left/return": 1.75,
        "agent/right/return": 3.5,
        "eval/return_mean": 2.625,
        "eval/return_fraction": 0.75,
        "eval/length_mean": 3.0,
        "eval/anticipated_mean": 3.0,
    }
    assert result.keys() == expected.keys()
    for tag, value in expected.items():
        assert torch.equal(result[tag], torch.full((2, 4), value, dtype=torch.float64)), tag


class Rewarder:
    """Its reward is 10 times the action, less the first agent's place before, plus that after."""

    def reward(self, before, action, after):
        places = after.obs[..., :1, 0] - before.obs[..., :1, 0]
        return 10.0 * action + places


def test_a_recovered_return_has_the_weights_of_the_true_one():
    # From 0 with steps of 1 to goal 3: 11, 11, 11 and 21, 21, 21, discounted by a half each step.
    result = play(walk(4, goal=3), Steady(), rewarding=Rewarder())
    expected = torch.full((2, 4), (11 + 21) / 2 * 1.75, dtype=torch.float64)
    assert torch.equal(result["irl/return_mean"], expected)
    assert result["eval/return_mean"].eq(2.625).all()


def test_a_recovered_reward_of_another_shape_is_named(monkeypatch):
    monkeypatch.setattr(Rewarder, "reward", lambda self, before, action, after: after.reward[0])
    with pytest.raises(ValueError) as refusal:
        play(walk(4, goal=3), Steady(), rewarding=Rewarder())
    assert str(refusal.value) == (
        "Rewarder.reward returned a tensor of shape [4, 2], expected [R, E, N] = [2, 4, 2]"
    )


class RewardingBandit(Bandit):
    """Recovers twice the true reward."""

    def reward(self, before, action, after):
        return 2 * after.reward


def test_a_run_whose_learner_is_rewarding_reports_both_returns(tmp_path):
    target = f"runner.test_evaluate.{RewardingBandit.__name__}"
    results = train(config(algo___target_=target), tmp_path, []).results
    assert results["irl/return_mean"] == [2 * value for value in results["eval/return_mean"]]
    assert "irl/return_mean" in evaluate(tmp_path).results


def test_the_clock_ends_an_episode_too():
    result = play(walk(3, goal=3, horizon=2), Steady())
    assert result["eval/length_mean"].eq(2).all()
    assert result["agent/left/return"].eq(1.5).all()


def test_a_return_of_a_continuing_task_is_the_mean_reward_per_step():
    env = Walk([0, 1], CPU, num_envs=3, discount=1.0, ends=False)
    env.spec = replace(env.spec, continuing=True)
    result = play(env, Steady(), optimum=6.0)
    for tag, value in (("agent/left/return", 1), ("agent/right/return", 2)):
        assert result[tag].tolist() == [[pytest.approx(value)] * 3] * 2
    assert result["eval/return_fraction"].tolist() == [[pytest.approx(0.25)] * 3] * 2
    assert result["eval/length_mean"].eq(6).all()


@pytest.mark.parametrize("name", ["networked_mdp", "public_goods"])
def test_continuing_games_pay_random_actions_what_was_solved(name):
    node = yaml.safe_load((CONF / f"env/{name}.yaml").read_text()) | {"num_agents": 6}
    env = build_env(node, [0], CPU, [], num_envs=400)
    learner = Random(env.spec, [0], CPU, num_envs=1)
    solution = exact.solve(node)
    returns = play(env, learner.policy(explore=False, seeds=[3]))["eval/return_mean"][0]
    assert abs(returns.mean() - solution["random"]) < 4 * returns.std() / 400**0.5 + 1e-3


def test_every_copy_counts_once_however_short_its_episode():
    class Uneven(Steady):
        """In copy 0 agent 0 runs, so its episode ends after 2 steps, in copy 1 after 4."""

        def __call__(self, step):
            return torch.tensor([[2, 0], [1, 0]]).expand(step.reward.shape)

    result = play(walk(2, goal=4, horizon=40), Uneven())
    assert result["eval/length_mean"].tolist() == [[2, 4], [2, 4]]
    assert result["agent/left/return"].tolist() == [[3.0, 1.875], [3.0, 1.875]]
    assert means([result])["agent/left/return"].tolist() == [2.4375, 2.4375]


def test_no_fraction_without_a_positive_optimum():
    assert "eval/return_fraction" not in play(walk(1), Steady(), optimum=0.0)
    assert "eval/return_fraction" not in play(walk(1), Steady(), optimum=None)


def evaluate(directory, **changes):
    keys = {
        "episodes": 5,
        "checkpoint": "best",
        "video": False,
        "seed": None,
        "device": "cpu",
        "threads": 1,
        "plugins": ["runner"],
    }
    return evaluate_run(directory, **(keys | changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    train(config(), directory, [])
    return directory


def test_a_stored_run_is_measured(run, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcome = evaluate(run)
    shown = capsys.readouterr().out.splitlines()
    told = json.loads(shown[-1])
    assert told["eval/return_mean"] == sum(outcome.results["eval/return_mean"]) / 2
    assert "95 % CI over 2 seeds" in shown[0]
    assert outcome.results != record(run)["results"]
    assert evaluate(run).results == outcome.results
    assert evaluate(run, seed=9).results != outcome.results
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_one_seed_has_an_interval_over_episodes_only(tmp_path, capsys):
    train(config(replicas=1), tmp_path, [])
    assert "(one seed: no interval)" in capsys.readouterr().out
    evaluate(tmp_path)
    shown = capsys.readouterr().out
    assert "95 % CI over 5 episodes; one seed: no interval over seeds" in shown


def test_a_video_is_drawn(run, capsys):
    evaluate(run, video=True, checkpoint="latest")
    (gif,) = (run / "videos").iterdir()
    assert gif.name == "step_120_seed_3.gif"
    assert gif.read_bytes().startswith(b"GIF89a")
    assert f"video of the evaluated policy: {gif}" in capsys.readouterr().err


def test_a_video_has_seeds_of_its_own(run, monkeypatch):
    seeds = []
    build = evaluation.build_env

    def build_env(node, used, *args, **kwargs):
        seeds.append(list(used))
        return build(node, used, *args, **kwargs)

    monkeypatch.setattr(evaluation, "build_env", build_env)
    evaluate(run, video=True)
    evaluate(run, video=True, seed=9)
    expected = [derive(seed, "video") for seed in (3, 4, 9, 10)]
    assert seeds[0] + seeds[2] == expected


def test_a_damaged_checkpoint_is_told(tmp_path):
    train(config(env_steps=0), tmp_path, [])
    path = tmp_path / "checkpoints/best.pt"
    state = torch.load(path, weights_only=True)
    del state["env_steps"]
    torch.save(state, path)
    with pytest.raises(ValueError, match="best.pt is no checkpoint of this version"):
        evaluate(tmp_path)


def test_what_cannot_draw_itself_is_told_before_it_is_measured(tmp_path, capsys):
    train(config(env___target_=f"runner.fakes.{Blind.__name__}", env_steps=0), tmp_path, [])
    with pytest.raises(ValueError, match="video=true: Blind cannot draw itself"):
        evaluate(tmp_path, video=True)
    assert "fresh episodes" not in capsys.readouterr().err


def test_bad_directories_are_told(run, tmp_path):
    with pytest.raises(ValueError, match="no such directory"):
        evaluate(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="there is no config.yaml"):
        evaluate(tmp_path)
    stored = tmp_path / "config.yaml"
    for text, message in (
        ("a: [", "is not plain YAML"),
        ("a: !!python/object/apply:os.system [ls]", "is not plain YAML"),
        ("- a", "expected a mapping"),
        ("algo: {}", "mode: missing in the configuration"),
        ((run / "config.yaml").read_text().replace("seed: 3", "seed: x"), "seed=x: expected int"),
        ((run / "config.yaml").read_text().replace("runner.fakes.Walk", "os.system"), "plugins="),
    ):
        stored.write_text(text)
        with pytest.raises(ValueError, match=message):
            evaluate(tmp_path)
    with pytest.raises(ValueError, match="plugins="):
        evaluate(run, plugins=[])


def test_the_optimum_makes_the_fraction(tmp_path, monkeypatch):
    monkeypatch.setattr(exact, "solve", lambda env, plugins: {"optimum": 4.0, "random": 1.0})
    results = train(config(), tmp_path, []).results
    returns = results["eval/return_mean"]
    assert results["eval/return_fraction"] == [value / 4 for value in returns]


MATRIX_GAME = yaml.safe_load((CONF / "env/matrix_game.yaml").read_text())


def blocks(episodes, seeds=(0,), purpose="final", node=MATRIX_GAME, plugins=()):
    """Return the blocks of an evaluation of random actions."""
    env = build_env(node, [0], CPU, plugins, num_envs=1)
    return list(
        evaluation.evaluate(
            node,
            Random(env.spec, [0], CPU, num_envs=1),
            seeds,
            CPU,
            plugins,
            purpose=purpose,
            episodes=episodes,
            solution=None,
        )
    )


def test_every_purpose_and_seed_has_fresh_episodes_and_the_same_ones_again():
    def returns(seed, purpose):
        (block,) = blocks(30, [seed], purpose)
        return block["eval/return_mean"].tolist()

    assert returns(0, "final") == returns(0, "final")
    assert returns(0, "final") != returns(0, "eval/0")
    assert returns(0, "final") != returns(1, "final")


def test_a_block_plays_the_episodes_that_were_always_played():
    # Measured before there were blocks.
    (block,) = blocks(1024)
    assert means([block])["eval/return_mean"].tolist() == [-4.119140625]
    assert block["eval/return_mean"][0, :8].tolist() == [5, -30, 7, 0, 5, 0, -30, -30]


def test_more_episodes_are_played_in_blocks_of_one_size():
    tag = "eval/return_mean"
    first, second, last = blocks(2500, [0, 7])
    assert [block[tag].shape for block in (first, second, last)] == [(2, 1024), (2, 1024), (2, 452)]
    assert torch.equal(first[tag], blocks(1024, [0, 7])[0][tag])
    assert torch.equal(second[tag], blocks(1024, [0, 7], "final/1")[0][tag])
    assert torch.equal(last[tag], blocks(452, [0, 7], "final/2")[0][tag])
    every = torch.cat([first[tag], second[tag], last[tag]], 1)
    assert every.shape == (2, 2500)
    assert means([first, second, last])[tag].tolist() == (every.sum(1) / 2500).tolist()


def test_blocks_of_a_replica_do_not_depend_on_its_company():
    tag = "eval/return_mean"
    company, alone = blocks(1030, [5, 6, 7]), blocks(1030, [6])
    assert all(
        torch.equal(many[tag][1], one[tag][0]) for many, one in zip(company, alone, strict=True)
    )
    assert torch.equal(means(company)[tag][1], means(alone)[tag][0])


def test_an_environment_may_have_fewer_copies():
    node = {"_target_": "runner.fakes.Few", "num_envs": 1}
    sizes = [
        block["eval/return_mean"].shape[1] for block in blocks(7, node=node, plugins=["runner"])
    ]
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize("replicas", [1, 2])
def test_many_episodes_of_a_stored_run_are_never_played_at_once(
    replicas, tmp_path, monkeypatch, capsys
):
    copies = []
    build = evaluation.build_env

    def build_env(*args, num_envs):
        copies.append(num_envs)
        return build(*args, num_envs=num_envs)

    train(config(replicas=replicas, env_steps=0), tmp_path, [])
    monkeypatch.setattr(evaluation, "build_env", build_env)
    capsys.readouterr()
    outcome = evaluate(tmp_path, episodes=2049)
    assert copies == [1, 1024, 1024, 1]
    out = capsys.readouterr().out
    unit = "2049 episodes; one seed" if replicas == 1 else "2 seeds"
    assert f"95 % CI over {unit}" in out
    last = json.loads(out.splitlines()[-1])
    assert last["eval/return_mean"] == sum(outcome.results["eval/return_mean"]) / replicas


GB = 1_000_000_000


def test_an_evaluation_that_memory_cannot_hold_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(capacity, "memory", lambda device: GB // 1000)
    directory = tmp_path / "run"
    job = config(eval__final_episodes=10**7, replicas=8)
    message = (
        "eval.final_episodes=10000000 replicas=8: this takes about 0.002 GB of memory, "
        "this machine has 0.001 GB"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(job, directory, [])
    assert not directory.exists()


def test_results_that_memory_cannot_hold_are_refused(tmp_path, monkeypatch):
    train(config(replicas=1, env_steps=0), tmp_path, [])
    monkeypatch.setattr(capacity, "memory", lambda device: GB)
    message = "episodes=10000000: this takes about 3.9 GB of memory, this machine has 1 GB"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        evaluate(tmp_path, episodes=10**7)


def test_an_infinite_result_is_a_failure_that_is_named(run, monkeypatch, capsys):
    play = evaluation.play

    def infinite(*args, **keys):
        columns = play(*args, **keys)
        columns["eval/anticipated_mean"][1] = torch.inf
        return columns

    monkeypatch.setattr(evaluation, "play", infinite)
    message = "infinity in eval/anticipated_mean at env step .*, replica with seed 4"
    with pytest.raises(FloatingPointError, match=message):
        evaluate(run)
    assert capsys.readouterr().out == ""
