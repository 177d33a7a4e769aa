import json
from importlib import resources
from pathlib import Path

import pytest
import yaml
from demonstrations_at_hand import CLONES, LEARNERS, demonstrate_at_random
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from teachers_at_hand import STUDENTS, teachers_of

from marlrun.checks import subject

CONF = Path(str(resources.files("marlrun.conf")))
ALGOS = sorted(path.stem for path in (CONF / "algo").glob("*.yaml"))
# A foreign game must be named, see tests/foreign; so must tasks, of which target_capture_tasks are some.
ENVS = sorted({path.stem for path in (CONF / "env").glob("*.yaml")} - {"pettingzoo", "tasks"})

ENV_YAML = """\
# A corridor
_target_: checks.{module}.{name}
num_envs: 1   # int [1, inf): copies of the game per replica
length: 5     # int [2, 10]: cells
horizon: 12   # int [1, inf): steps of an episode
"""
ALGO_YAML = """\
# A learner
_target_: checks.{module}.{name}
lr: 0.5       # float (0, inf): step size
"""


@pytest.fixture
def check(marlrun, tmp_path, monkeypatch):
    """Check classes of this package: the lines by name, the summary, the exit code, stderr."""
    # Enough for so short a corridor.
    monkeypatch.setattr(subject, "FEWEST_STEPS", 120)

    def run(env="Corridor", algo=None, *argv, env_yaml=ENV_YAML, algo_yaml=ALGO_YAML):
        typed = [write_yaml(tmp_path, "env", env, env_yaml)]
        typed += [write_yaml(tmp_path, "algo", algo, algo_yaml)] if algo else []
        before = files(tmp_path)
        code, out, err = marlrun(
            "mode=check", "--config-dir", ".", "plugins=[checks]", *typed, *argv
        )
        assert files(tmp_path) == before
        lines = {line.split()[1]: line for line in out[:-1]}
        return lines, json.loads(out[-1]) if out else None, code, err

    return run


def files(directory):
    """Return what lies in a directory, without what PyTorch itself keeps among temporary files."""
    return {
        path for path in directory.rglob("*") if "torch" not in str(path.relative_to(directory))
    }


def write_yaml(directory, group, name, text):
    import checks.toys

    module = "toys" if hasattr(checks.toys, name) else "mistakes"
    path = directory / group / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.format(module=module, name=name))
    return f"{group}={name}"


RIGHT = [("Corridor", None), ("Uneven", None)]
RIGHT += [
    ("Corridor", "Tabular"),
    ("Uneven", "Tabular"),
    ("Corridor", "Gradient"),
    ("Corridor", "Rollout"),
]


@pytest.mark.parametrize(("env", "algo"), RIGHT)
def test_what_is_right_passes(env, algo, check):
    lines, summary, code, _ = check(env, algo)
    skipped = {"env/padding", "algo/padding"} if env == "Corridor" else set()
    skipped |= {"env/leaving"}
    assert summary["failed"] == [] and code == 0, lines
    assert set(summary["skipped"]) == skipped & set(lines)
    assert summary["passed"] == len(lines) - len(summary["skipped"])
    assert all(line.startswith(("ok ", "skipped ")) for line in lines.values())


def test_bounds_that_are_not_declared_are_skipped(check):
    lines, summary, _, _ = check("Unbounded")
    assert summary["failed"] == []
    assert lines["env/bounds"].startswith("skipped ") and lines["env/bounds"].endswith(
        "[no obs_bounds]"
    )


def test_an_offline_learner_never_explores_and_needs_no_reward(check):
    # In one step nobody reaches the end of ten cells, where the reward is.
    game = ["env.length=10", "env.horizon=1"]
    lines, summary, code, _ = check("Corridor", "Offline", *game)
    assert (summary["failed"], code) == ([], 0), lines
    assert lines["algo/moves"].startswith("ok ")
    lines, summary, _, _ = check("Corridor", "Tabular", *game)
    assert lines["algo/moves"].endswith("[no reward was paid in 120 steps]")


WRONG = [
    # The mistakes of a stranger.
    (
        "Corridor",
        "ForgetsTable",
        {"algo/moves", "algo/evaluation", "algo/resume"},
        "the loaded learner's evaluation, ",
    ),
    ("NeverRestarts", None, {"env/restart", "env/horizon"}, "expected a beginning"),
    (
        "Corridor",
        "OldViews",
        {"algo/moves"},
        "expected other numbers in state_dict after 120 updates",
    ),
    ("Corridor", "InferenceActions", {"algo/learning"}, "RuntimeError: Inference tensors"),
    # The mean over replicas is not what it is alone.
    (
        "Corridor",
        "SingleMetric",
        {"algo/metrics", "algo/company"},
        "update: loss/td has shape [], expected [R] = [2] or [R, N] = [2, 2] (types.Metrics)",
    ),
    ("TeamReward", "Tabular", {"env/shapes"}, "TeamReward.step: reward has shape [2, 3], expected"),
    # Others.
    ("PaysTwice", None, {"env/restart"}, "reward after restart: expected 0, got 1"),
    ("LongGame", None, {"env/horizon"}, "not done after 12 steps, expected an end after 12"),
    ("DividesByZero", None, {"env/finite"}, "holds NaN or infinity"),
    ("OutOfBounds", None, {"env/bounds"}, "obs_bounds: right observes 4, expected 0 to 3"),
    ("Noisy", None, {"env/padding"}, "right observes 1 numbers: expected 0 beyond, got 0.5"),
    ("OneBuffer", None, {"env/steps"}, "a step, 20 steps later"),
    ("OneSeed", None, {"env/seed"}, "expected another game of other seeds"),
    ("Fails", "Tabular", {"env/shapes"}, "KeyError: 'cels' (HYDRA_FULL_ERROR=1 shows where)"),
    ("Corridor", "MixesReplicas", {"algo/company"}, "metrics.loss/td[0, "),
    ("Corridor", "NoMemoryLoss", {"algo/memory"}, "what it does after `first`"),
    ("Corridor", "OwnSeeds", {"algo/seed"}, "expected other actions of a policy with other seeds"),
    ("Uneven", "ReadsPadding", {"algo/padding"}, "with noise in the padding"),
    ("Corridor", "ForgetsRollout", {"algo/resume"}, "of a run saved at step "),
    (
        "Corridor",
        "DropsRollout",
        {"algo/evaluation"},
        "the learner after its evaluation, missing: rollout.0.0, rollout.0.1, ",
    ),
    ("Corridor", "ForgetsSum", {"algo/policy_state", "algo/resume"}, "what it does "),
    ("Corridor", "HiddenParameter", {"algo/declared"}, "gamma: expected a key of this name"),
    ("Corridor", "LocksUp", {"algo/learning"}, "is 2, expected 0 to 1"),
]


@pytest.mark.parametrize(("env", "algo", "failed", "text"), WRONG)
def test_a_mistake_is_named(env, algo, failed, text, check):
    lines, summary, code, _ = check(env, algo)
    assert set(summary["failed"]) == failed and code == 1, lines
    assert text in "\n".join(lines[name] for name in summary["failed"])
    assert all(lines[name].startswith("FAILED ") for name in summary["failed"])


DOORS_YAML = """\
# Agents that leave
_target_: checks.mistakes.{name}
num_envs: 1   # int [1, inf): copies of the game per replica
length: 4     # int [2, 10]: cells
near: 1.0     # float [0, 1]: what the hatch pays
far: 3.0      # float [0, 10]: what the door pays
slip: 0.1     # float [0, 1): probability that a step on fails
horizon: 12   # int [1, inf): steps of an episode
discount: 0.9 # float (0, 1]: the task's discount
"""
WITH_MASKS = [
    ("Locked", "env/shapes", " nothing, expected an action for each agent that lives"),
    (
        "Undeclared",
        "env/shapes",
        "action_mask is no None, but a Tensor, though spec.has_action_mask",
    ),
    ("PaysGhosts", "env/leaving", "is 0.25, expected 0 after the step in which it left"),
    ("Resurrects", "env/leaving", "is back, expected that who has left stays away"),
    ("ObeysGhosts", "env/leaving", ", in which those that have left play others, "),
]


@pytest.mark.parametrize(("env", "failed", "text"), WITH_MASKS)
def test_a_mistake_with_masks_and_leavers_is_named(env, failed, text, check):
    lines, summary, code, _ = check(env, env_yaml=DOORS_YAML)
    assert summary["failed"] == [failed] and code == 1, lines
    assert text in lines[failed]


def test_a_learner_that_takes_what_is_forbidden_is_named(check):
    yaml = DOORS_YAML.replace("checks.mistakes.{name}", "mymarl.envs.doors.Doors")
    lines, summary, code, _ = check("Doors", "AlwaysBack", "plugins=[checks,mymarl]", env_yaml=yaml)
    assert summary["failed"] == ["algo/learning"] and code == 1, lines
    line = "policy: action of walker is 0, expected one that action_mask allows (types.Policy)"
    assert line in lines["algo/learning"]


def test_a_learner_that_handles_no_masks_is_refused_by_name(check):
    yaml = DOORS_YAML.replace("checks.mistakes.{name}", "mymarl.envs.doors.Doors")
    *_, code, err = check("Doors", "Tabular", "plugins=[checks,mymarl]", env_yaml=yaml)
    able = (
        "bc, dec_drqn, dec_hdrqn, dec_hdrqn_plus, distill, ippo, ma_airl, ma_airl_faithful, "
        "ma_gail, mappo, multi_drqn, multi_hdrqn, random"
    )
    assert code == 2 and err == (
        "marlrun: algo=checks.toys.Tabular: does not handle masked actions and agents that leave, "
        f"as env=mymarl.envs.doors.Doors has them; expected {able}\n"
    )


NOT_ITS_SEEDS = [
    ("SharedGenerator", {"state", "company", "seed", "generators"}),
    ("GlobalGenerator", {"state", "company", "generators"}),
]


@pytest.mark.parametrize(("env", "failed"), NOT_ITS_SEEDS)
def test_a_game_that_draws_from_elsewhere_keeps_no_promise_of_repetition(env, failed, check):
    _, summary, code, _ = check(env)
    assert set(summary["failed"]) == {f"env/{name}" for name in failed} and code == 1


def test_a_number_that_is_none_is_named(check):
    lines, summary, *_ = check("Corridor", "Explodes")
    assert "algo/metrics" in summary["failed"]
    assert "infinity in loss/td at step" in lines["algo/metrics"]


def test_what_follows_is_skipped_with_its_reason(check):
    lines, summary, *_ = check("TeamReward", "Tabular")
    assert lines["env/state"].endswith("[env/shapes is broken]")
    assert lines["algo/learning"].endswith("[env/shapes is broken]")
    assert summary["passed"] == 0 and len(summary["skipped"]) == len(lines) - 1


@pytest.mark.parametrize("group", ["env", "algo"])
def test_a_key_without_its_type_is_named(group, check):
    yaml = {"env": ENV_YAML, "algo": ALGO_YAML}
    key = {"env": "length", "algo": "lr"}[group]
    text = "\n".join(
        line.partition("#")[0] if line.startswith(key) else line
        for line in yaml[group].splitlines()
    )
    lines, summary, *_ = check("Corridor", "Tabular", **{f"{group}_yaml": text})
    assert summary["failed"] == [f"{group}/declared"]
    assert f"[{group}.{key}: expected `# TYPE: meaning` behind it" in lines[f"{group}/declared"]


def test_what_cannot_be_tried_is_skipped_with_its_reason(check):
    lines, summary, code, _ = check("Foreign", "Tabular", "replicas=1", "env.horizon=2001")
    assert code == 0 and summary["failed"] == []
    reasons = {
        "env/padding": "all agents observe 2 numbers",
        "env/state": "resumable = False",
        "algo/resume": "resumable = False",
        "env/company": "replicas=1",
        "algo/company": "replicas=1",
        "env/horizon": "the horizon is longer than the 2,000 steps played",
    }
    for name, reason in reasons.items():
        assert lines[name].startswith("skipped ") and f"[{reason}]" in lines[name]


def test_what_never_learns_is_told(marlrun):
    code, out, _ = marlrun("mode=check", "algo=random", "env=matrix_game", "env_steps=400")
    skipped = {line.split()[1]: line for line in out if line.startswith("skipped")}
    assert code == 0 and {"algo/metrics", "algo/moves"} <= set(skipped)
    assert skipped["algo/moves"].endswith("[no update within 400 env steps]")


REFUSED = [
    (
        ["env=matrix_game", "plugins=[nowhere_to_be]"],
        "plugins=[nowhere_to_be]: no such package, exp",
    ),
    (["algo=random"], "env missing: expected env="),
    (["env=matrix_game", "env_steps=0"], "env_steps=0: expected int [1, 10000000] ("),
    (["env=matrix_game", "env.size=3"], "env.size: no such key in check.yaml"),
    (["env=matrix_game", "-m"], "-m: only mode=train has run directories"),
    (
        ["algo=networked_ac_q", "env=matrix_game", "env.num_envs=2"],
        "env.num_envs=2: expected 1 with networked actor-critic",
    ),
    (["algo=random", "env=matrix_game", "graph=ring"], "graph=ring: algo random takes no graph"),
]


@pytest.mark.parametrize(("typed", "line"), REFUSED)
def test_wrong_input_is_refused_in_one_line(typed, line, marlrun):
    code, out, err = marlrun("mode=check", *typed)
    assert code == 2 and out == [] and err.count("\n") == 1
    assert err.startswith(f"marlrun: {line}")


def test_a_class_that_cannot_be_built_is_refused(check):
    _, _, code, err = check("Corridor", None, "env.length=2")
    assert code == 2 and err == "marlrun: env.length=2: expected at least 3\n"


SMALL = (
    "algo.symmetries=none",
    "algo.cloning.updates=2",
    "algo.cloning.batch=20",
    "algo.discriminator.batch=20",
    "algo.discriminator.hidden=[8]",
    "algo.discriminator.inputs=state_action",  # in matrix_game no state tells what was done
    "algo.ppo.rollout=10",
    "algo.ppo.hidden=[8]",
    "algo.ppo.critic_hidden=[8]",
)


def learned_from(algo, env, directory):
    """Return the words that give an algorithm what it learns from, demonstrations or teachers."""
    if algo not in LEARNERS + STUDENTS:
        return []
    with initialize_config_module("marlrun.conf", version_base="1.3"):
        composed = compose("config", [f"algo={algo}", f"env={env}"])
    return learned_from_in(algo, OmegaConf.to_container(composed.env, resolve=True), directory)


def learned_from_in(algo, node, directory):
    """Return the same for the game of a node."""
    if algo in STUDENTS:
        teachers = teachers_of(node, directory / "teacher", ["checks"])
        return [f"algo.teachers=[{','.join(teachers)}]", "algo.sizes=[8,8,8,8]"]
    if algo not in LEARNERS:
        return []
    path = demonstrate_at_random(node, directory / "shown.npz", ["checks"])
    return [f"algo.demonstrations={path}", *([] if algo in CLONES else SMALL)]


@pytest.mark.parametrize("algo", ALGOS)
def test_our_algorithms_keep_their_promises(algo, marlrun, tmp_path):
    words = learned_from(algo, "matrix_game", tmp_path)
    budget = "updates=100" if algo in CLONES + STUDENTS else "env_steps=2000"
    assert_kept(*marlrun("mode=check", f"algo={algo}", "env=matrix_game", budget, *words))


@pytest.mark.slow
@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("algo", ALGOS)
def test_our_algorithms_keep_their_promises_everywhere(algo, env, marlrun, tmp_path):
    words = learned_from(algo, env, tmp_path)
    results = marlrun("mode=check", f"algo={algo}", f"env={env}", *words)
    assert_kept(*results, has_no_bounds=env in PARTICLE_WORLDS)


PARTICLE_WORLDS = (
    "spread", "speaker_listener", "push", "tag", "adversary", "networked_spread"
)  # fmt: skip
LOCAL = ("algo.critic.kind=linear", "algo.critic.features=local", "algo.policy.hidden=[]")


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed",
    [
        *([f"algo={algo}"] for algo in sorted(set(ALGOS) - {"random"})),
        *([f"algo={algo}", *LOCAL] for algo in ("networked_ac_q", "networked_ac_v")),
    ],
    ids=" ".join,
)
def test_our_algorithms_ignore_padding(typed, marlrun, tmp_path):
    write_yaml(tmp_path, "env", "Uneven", ENV_YAML)
    node = yaml.safe_load((tmp_path / "env/Uneven.yaml").read_text())
    algo = typed[0].removeprefix("algo=")
    budget = ["updates=100"] if algo in CLONES + STUDENTS else []
    words = ["mode=check", *typed, *learned_from_in(algo, node, tmp_path), *budget]
    code, out, err = marlrun(*words, "env=Uneven", "plugins=[checks]", "--config-dir", ".")
    assert_kept(code, out, err)
    assert not any(line.startswith("skipped") and "/padding" in line for line in out)


def assert_kept(code, out, err, *, has_no_bounds=False):
    assert code == 0 and json.loads(out[-1])["failed"] == [], out
    # In most games agents are alike, nobody leaves ours, and algo=random learns nothing.
    may_be_skipped = {"env/padding", "env/leaving", "algo/padding", "algo/metrics", "algo/moves"}
    # Particle worlds, and they alone, declare no bounds of observations.
    may_be_skipped |= {"env/bounds"} if has_no_bounds else set()
    assert set(json.loads(out[-1])["skipped"]) <= may_be_skipped
