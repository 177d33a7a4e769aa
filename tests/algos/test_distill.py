"""Distillation: an update against plain autograd, what is collected and by whom, tasks kept apart."""

from importlib.resources import files

import pytest
import torch
import torch.nn.functional as F
import yaml
from envs.games import make
from mymarl.envs.doors import Doors
from nets.test_recurrent_q import SIZES, Oracle, live_views

from marlrun.algos.distill import Distill, DistillSettings
from marlrun.nets.recurrent_q import RecurrentQ
from marlrun.nets.teacher import Teacher, teacher
from marlrun.ops.distillation import FORBIDDEN
from marlrun.runner.loop import offline
from marlrun.streams import Stream, derive
from marlrun.types import Spec, Step

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
CONF = files("marlrun.conf") / "algo/distill.yaml"
GAME = {"size": 2, "targets": "each", "flicker": 0.3, "horizon": 6}


def settings(**changes) -> DistillSettings:
    keys = yaml.safe_load(CONF.read_text())
    small = {"sizes": list(SIZES), "trace": 3, "batch": 8, "collect": 8, "episodes": 16}
    kept = {key: value for key, value in keys.items() if key not in ("_target_", "teachers")}
    return DistillSettings(**(kept | small | changes))


def teacher_of(spec: Spec, replicas: int, seed: int = 5, **shape) -> Teacher:
    """Return a teacher that knows nothing, of other sizes than its students."""
    keys = {"cell": "gru", "sizes": [6, 5, 4, 3], "forget_bias": 0.0} | shape
    net = RecurrentQ(max(spec.obs_sizes), max(spec.num_actions), **keys)
    rows = net.init(range(seed, seed + replicas), spec.num_agents, CPU)
    return Teacher(spec, net, rows * 3)


def learner(seeds=(3, 4), num_tasks=1, game=GAME, **changes) -> Distill:
    spec = make("target_capture", *seeds, **game).spec
    teachers = [teacher_of(spec, len(seeds), 5 + 9 * task) for task in range(num_tasks)]
    return Distill(
        spec,
        seeds,
        CPU,
        num_envs=1,
        make_env=lambda copies, purpose: make(
            "target_capture",
            *(derive(seed, purpose) for seed in seeds),
            **game,
            num_envs=copies,
        ),
        teachers=teachers,
        settings=settings(**changes),
    )


def one_batch(student: Distill):
    """Return a minibatch of the first task, its observations, teachers' values and mask by member."""
    draw = student._within(
        torch.zeros(len(student.seeds), 1, dtype=torch.int64), student.replay.draw()
    )
    traces = student.replay.cut(draw)
    labelled, mask = traces.obs.flatten(0, 1)[:, :-1], traces.mask.flatten(0, 1)
    return traces, *labelled.split(student._widths, -1), mask


@pytest.mark.parametrize("loss", ["kl", "mse", "nll"])
def test_loss_and_gradient_equal_autograd(loss):
    student = learner(loss=loss, temperature=0.5)
    student.collect()
    traces, obs, teacher_q, mask = one_batch(student)
    oracles = [Oracle(student.net, student.online, member, "lstm") for member in range(4)]
    with torch.inference_mode():
        values, agreement = student.descend(traces)
    grads = live_views(student.net, student.optimizer.gradient)
    for member, module in enumerate(oracles):
        valid = mask[member] > 0
        q = module(obs[member].transpose(0, 1)).transpose(0, 1)[valid]
        target = teacher_q[member][valid]
        if loss == "kl":
            p = (target / 0.5).softmax(-1)
            expected = F.kl_div(q.log_softmax(-1), p, reduction="batchmean")
        elif loss == "mse":
            expected = F.mse_loss(q, target, reduction="none").sum(-1).mean()
        else:
            expected = F.cross_entropy(q, target.argmax(-1))
        torch.testing.assert_close(values[member], expected.detach())
        same = (q.argmax(-1) == target.argmax(-1)).float().mean()
        torch.testing.assert_close(agreement[member], same)
        expected.backward()
        for name, grad in module.gradients().items():
            torch.testing.assert_close(grads[name][member], grad, atol=1e-6, rtol=1e-3)


def test_what_is_kept_is_what_the_teachers_think_with_their_whole_history():
    student = learner(epsilon=0.5)
    student.collect()
    teacher, replay = student._teachers[0], student.replay
    # [R, E, N, steps, C]: the first slot of each copy
    records = (
        replay.records[:-1].view(2, 8, replay.slots, replay.rows, 2, -1)[:, :, 0].transpose(2, 3)
    )
    lengths = replay.length.view(2, 8, -1)[..., 0]
    assert lengths.min() >= 1 and lengths.max() == 6 and len(lengths.unique()) > 1
    assert (student.env_steps == lengths.sum(1)).all()
    for replica in range(2):
        for copy in range(8):
            for agent in range(2):
                steps = records[
                    replica, copy, agent, : lengths[replica, copy], : sum(student._widths)
                ]
                obs, kept = steps.split(student._widths, -1)
                member = replica * 2 + agent
                p = {name: part[member, None] for name, part in teacher.parameters.items()}
                expected, _ = teacher.net.unroll(p, obs[None, :, None])
                torch.testing.assert_close(kept, expected[0, :, 0])


class Watched:
    """A game that notes what is done in it."""

    def __init__(self, game):
        self.game, self.actions = game, []
        self.reset, self.restart = game.reset, game.restart

    def step(self, action):
        self.actions.append(action)
        return self.game.step(action)


def watched(student: Distill) -> list[Watched]:
    """Return the games that a learner plays in, as they come."""
    games, make_env = [], student._make_env

    def make_watched(copies, purpose):
        games.append(Watched(make_env(copies, purpose)))
        return games[-1]

    student._make_env = make_watched
    return games


@pytest.mark.parametrize("driver", ["teacher", "student"])
def test_the_driver_acts(driver):
    """Without exploration every action is the best one of the driver's own values."""
    student = learner(driver=driver, epsilon=0.0)
    games, expected = watched(student), []
    keep, policy = student._keep, student._epsilon_greedy(Stream([3, 4], "policy", CPU), 0.0)

    def keep_and_ask(step, teacher_q, done):
        q = policy.q(step) if driver == "student" else teacher_q
        expected.append(q.argmax(-1))
        keep(step, teacher_q, done)

    student._keep = keep_and_ask
    student.collect()
    assert len(expected) > 3 and all(map(torch.equal, games[0].actions, expected))


def test_random_actions_are_uniform_and_others_in_each_collection():
    student = learner(seeds=(0,), epsilon=1.0, collect=200, game=GAME | {"horizon": 20})
    games = watched(student)
    for student.updates in (0, 3001, 3001):
        student.collect()
    one, two, same = (torch.stack(game.actions) for game in games)
    assert torch.equal(two, same) and not torch.equal(one[:5], two[:5])
    counts = one.flatten().bincount(minlength=5)
    assert (counts / counts.sum() - 0.2).abs().max() < 0.02


def test_a_minibatch_is_of_one_task_and_tasks_are_drawn_uniformly():
    student = learner(num_tasks=3)
    student.collect()
    # Copies belong to tasks in turn: mark what they hold.
    marks = torch.arange(24) % 3
    rows = student.replay.records[:-1].view(2, 24, -1, 2, sum(student._widths) + 3)
    rows[..., 0] = marks.view(1, 24, 1, 1).float() + 1
    drawn = torch.cat([student._task(update) for update in range(300)], 1)
    assert (drawn[0] != drawn[1]).any()
    for replica in range(2):
        assert (drawn[replica].bincount() / 300 - 1 / 3).abs().max() < 0.1
    for update in range(30):
        task = student._task(update)
        traces = student.replay.cut(student._within(task, student.replay.draw()))
        seen = traces.obs[:, :, :-1, :, 0] * traces.mask
        expected = (task + 1).view(2, 1, 1, 1) * traces.mask
        assert torch.equal(seen, expected) and traces.mask[:, :, 0].all()


def test_teachers_label_the_copies_of_their_own_tasks():
    student = learner(num_tasks=2)
    step = student._make_env(16, "collect/0").reset()
    q = student._teacher_q(step)
    for task, one in enumerate(student._teachers):
        fresh = learner(num_tasks=2)._teachers[task]
        part = Step(*(x if x is None else x[:, task::2] for x in step))
        assert torch.equal(q[:, task::2], fresh.q(part))
        assert one.memory[0].shape[1] == 8


def test_collections_come_when_they_are_due_and_the_oldest_episodes_go():
    student = learner(collect_every=5)
    ticks = offline(student)
    spent = [next(ticks).metrics["data/env_steps"].tolist() for _ in range(16)]
    assert [i for i in range(1, 16) if spent[i] != spent[i - 1]] == [5, 10, 15]
    # Two collections of 8 fill the memory of 16 episodes.
    assert [int((student.replay.length.view(2, -1)[r] > 0).sum()) for r in range(2)] == [16, 16]


def test_the_loss_falls():
    student = learner(temperature=0.2, lr=0.01)
    student._teachers[0].parameters["head.weight"].mul_(3)
    ticks = offline(student)
    metrics = [next(ticks).metrics for _ in range(150)]
    assert list(metrics[0]) == ["loss/kl", "teacher/agreement", "data/env_steps"]
    early, late = (
        {tag: torch.stack([row[tag] for row in part]).mean(0) for tag in metrics[0]}
        for part in (metrics[:20], metrics[-20:])
    )
    assert (late["loss/kl"] < early["loss/kl"] / 2).all()


def doors_of(seeds, copies, purpose):
    fresh = [derive(seed, purpose) for seed in seeds]
    rules = {"length": 4, "near": 1.0, "far": 3.0, "slip": 0.0, "horizon": 8, "discount": 0.5}
    return Doors(fresh, CPU, num_envs=copies, **rules)


def test_forbidden_actions_and_agents_that_left_teach_nothing():
    """Neither is a student's gradient moved by them, nor do they count in the mean."""
    seeds, spec = (3, 4), doors_of((3, 4), 1, "").spec
    student = Distill(
        spec,
        seeds,
        CPU,
        num_envs=1,
        make_env=lambda copies, purpose: doors_of(seeds, copies, purpose),
        teachers=[teacher_of(spec, 2)],
        settings=settings(lr=1e-9),
    )
    student.collect()
    traces = student.replay.cut(student.replay.draw())
    labelled, mask = traces.obs.flatten(0, 1)[:, :-1], traces.mask.flatten(0, 1)
    sight, teacher_q = labelled.split(student._widths, -1)
    _, forbidden, absent = student.sight.parts(sight)
    gone = (absent > 0) & (mask > 0)
    here = (mask > 0) & ~gone
    assert gone.any() and torch.equal(teacher_q[here] <= FORBIDDEN, forbidden[here])
    with torch.inference_mode():
        loss, _ = student.descend(traces)
        gradient = student.optimizer.gradient.clone()
        # Nobody may fly, action 3.
        student.parameters["head.bias"][..., 3] += 100.0
        teacher_q[gone] = 7.0
        again, _ = student.descend(traces)
    assert loss.min() > 0
    torch.testing.assert_close(again, loss)
    torch.testing.assert_close(student.optimizer.gradient, gradient)


def test_values_anticipate_returns_only_where_they_are_the_teachers():
    for loss, anticipates in (("kl", False), ("nll", False), ("mse", True)):
        policy = learner(loss=loss).policy(explore=False, seeds=[3, 4])
        assert hasattr(policy, "value") == anticipates


def test_a_teacher_that_was_saved_is_the_same():
    spec = make("target_capture", **GAME).spec
    one = teacher_of(spec, 2, obs_scale=4.0)
    state = one.state_dict()
    shape = {"obs_size": 6, "num_actions": 5, "cell": "gru", "sizes": [6, 5, 4, 3]}
    assert state["net"] == shape | {"obs_scale": 4.0}
    assert teacher(state | {"net": shape}, CPU).net.obs_scale == 1, "an older teacher"
    same = teacher(state, CPU)
    assert torch.equal(same.rows, one.rows) and same.spec.obs_sizes == (6, 6)
    obs = torch.randn(4, 3, 2, 6)
    assert torch.equal(
        one.net.unroll(one.parameters, obs)[0], same.net.unroll(same.parameters, obs)[0]
    )
    for broken in (
        {"format": 0},
        {"rows": one.rows[:3]},
        {"rows": one.rows[:, :-1]},
        {"rows": one.rows * float("nan")},
        {"rows": one.rows.double()},
    ):
        with pytest.raises(ValueError, match="expected"):
            teacher(state | broken, CPU)


def test_replicas_of_a_teacher_can_be_chosen():
    spec = make("target_capture", **GAME).spec
    one = teacher_of(spec, 3)
    assert torch.equal(one.of_replicas([2, 0]).rows, torch.cat((one.rows[4:], one.rows[:2])))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"collect": 4}, "algo.collect=4: expected at least algo.batch=8"),
        ({"trace": 7}, "algo.trace=7: expected at most 6, the game's horizon"),
        ({"episodes": 10**12}, "algo.episodes=1000000000000 replicas=2: this takes about"),
        ({"collect": 10**12}, "algo.collect=1000000000000 replicas=2: this takes about"),
        (
            {"sizes": [8, 10**7, 10**7, 8]},
            "algo.sizes=[8, 10000000, 10000000, 8] replicas=2: this ",
        ),
        ({"batch": 10**10, "collect": 10**10}, "algo.collect=10000000000 replicas=2: this takes"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(changes, words):
    with pytest.raises(ValueError) as refused:
        learner(**changes)
    assert str(refused.value).startswith(words) and "\n" not in str(refused.value)
