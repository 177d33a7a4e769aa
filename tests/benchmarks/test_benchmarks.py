"""The benchmarks compare like with like, and run."""

import importlib
import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch

from marlrun.data.replay import Traces
from marlrun.nets.stacked import views
from marlrun.types import Step

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def checkout():
    """Make the checkout's benchmarks/, which no wheel holds, importable; one thread, as it uses."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        yield
    torch.set_num_threads(threads)


def room(name: str):
    return importlib.import_module(f"benchmarks.{name}")


@pytest.mark.parametrize(
    ("name", "plain", "changes", "num_actions"),
    [
        ("target_capture", "TargetCapture", {"size": 3, "slip": 0.0}, 5),
        ("meeting_grid", "MeetingGrid", {"size": 3, "success": 1.0}, 5),
        ("matrix_game", "MatrixGame", {}, 3),
    ],
)
def test_plain_games_play_as_marlruns_do(name, plain, changes, num_actions):
    env = room("setting").game(name, 1, changes)
    mine = getattr(room("reference_games"), plain)(**changes)
    random = torch.Generator().manual_seed(0)
    rewards = []
    for _ in range(10):
        begin_alike(name, env.reset(), mine)
        while True:
            action = torch.randint(num_actions, (1, 1, 2), generator=random)
            step, result = env.step(action), mine.step(action[0, 0].tolist())
            torch.testing.assert_close(step.obs[0, 0], torch.from_numpy(result.obs))
            assert step.reward.flatten().tolist() == [result.reward] * 2
            assert (bool(step.terminated), bool(step.truncated)) == result[2:]
            rewards.append(result.reward)
            if step.done:
                break
    assert any(rewards)


def begin_alike(name: str, step: Step, mine) -> None:
    """Begin the plain game's episode; on the torus (3 x 3) where `step` is."""
    mine.reset()
    if name == "target_capture":
        cells = (step.obs[0, 0] * 3 + 1).round().int()
        mine.agents = [tuple(cell) for cell in cells[:, :2].tolist()]
        mine.target = tuple(cells[0, 2:].tolist())


def test_plain_update_is_marlruns():
    setting = room("setting")
    (learner, _), (plain, _) = setting.ours(), setting.plain()
    for agent in range(2):
        copy_into(plain.online[agent], learner.parameters, agent)
        copy_into(plain.target[agent], views(learner.target, learner.net.shapes), agent)
    batch = plain.sample()
    loss, _ = learner.descend(as_traces(*batch), torch.tensor(learner.beta))
    losses = torch.stack(plain.learn(batch))
    assert (losses > 0).all()
    torch.testing.assert_close(loss, losses)
    for agent, net in enumerate(plain.online):
        for name, weight in weights(net).items():
            mine = learner.grads[name][agent]
            torch.testing.assert_close(mine, weight.grad.mT.view_as(mine), msg=name)


def as_traces(obs, action, reward, end, mask) -> Traces:
    """Lay out [B, T, ..] as [R, N, T, B, ..]."""
    shared = (x.T.expand(1, 2, -1, -1) for x in (reward, end, mask))
    return Traces(obs.permute(2, 1, 0, 3)[None], action.permute(2, 1, 0)[None], *shared)


def layers(net) -> dict[str, torch.nn.Linear]:
    first, second = net.encoder[0], net.encoder[2]
    return {"first": first, "second": second, "last": net.decoder[0], "head": net.head}


def weights(net) -> dict[str, torch.Tensor]:
    """Name the plain network's weights as marlrun does."""
    cell = {"weight_input": net.lstm.weight_ih_l0, "weight_hidden": net.lstm.weight_hh_l0}
    named = {f"{name}.weight": layer.weight for name, layer in layers(net).items()}
    return named | {f"cell.{name}": weight for name, weight in cell.items()}


@torch.no_grad()
def copy_into(net, parameters, agent: int) -> None:
    for name, weight in weights(net).items():
        weight.copy_(parameters[name][agent].mT)
    for name, layer in layers(net).items():
        layer.bias.copy_(parameters[f"{name}.bias"][agent, 0])
    net.lstm.bias_hh_l0.zero_()
    net.lstm.bias_ih_l0.copy_(parameters["cell.bias"][agent, 0])


def test_arithmetic_of_an_update():
    """4-32-64-LSTM 64-32-5: 37,152 weights; 17 steps of 32 traces for 2 agents."""
    setting = room("setting")
    assert setting.update_flops(setting.ours()[0]) == 2 * 37_152 * 17 * 32 * 2


def test_ratios_are_taken_round_by_round():
    ratio = room("timing").ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0])
    assert ratio == (3.0, 2.5, 3.5)


def test_calls_alternate():
    timing, called = room("timing"), []
    calls = {name: lambda name=name: called.append(name) for name in "ab"}
    times = timing.alternate(calls, timing.Effort(rounds=3, seconds=0.0))
    assert "".join(called).endswith("ababab")
    assert [len(seconds) for seconds in times.values()] == [3, 3]


@pytest.mark.parametrize("part", ["b", "c", pytest.param("d", marks=pytest.mark.slow)])
def test_a_part_returns_rows_with_ratios(part):
    rows = room("parts").PARTS[part](room("timing").Effort(rounds=2, seconds=0.001))
    assert all(0 < row["quartiles"][0] <= row["ratio"] <= row["quartiles"][1] for row in rows)
    assert len({tuple(row) for row in rows}) == 1


def test_the_report_is_timed_beside_bare_reading():
    rows = room("parts").PARTS["e"](room("timing").Effort(rounds=2, seconds=0.001))
    assert [row["what"] for row in rows] == ["json.loads", "marlrun-report"]
    assert rows[0]["ratio"] == 1 < rows[1]["ratio"]


@pytest.mark.parametrize("name", ["networked_ac_q", "networked_ac_v"])
def test_plain_networked_learns_what_the_learner_does(name):
    """Algorithm 1 waits for the next action, so its last transition is learned by the script alone."""
    scale, script = room("scale"), room("plain_networked")
    graph = scale._graph(6, 2)
    learner = scale._learner(name, graph)
    agents = scale.plain_agents(learner, scale.products(graph.draw(), 6, 2)["dense"])
    torch.manual_seed(0)
    ends = [scale._end(6, 2) for _ in range(7)]
    actions = torch.randint(2, (7, 2, 1, 6))
    for before, action, after in zip(ends, actions[:-1], ends[1:], strict=False):
        learner.observe(before, action, after)
        learner.update()
    pairs = list(zip(ends, actions, ends[1:], actions[1:], strict=False))
    for before, action, after, following in pairs[: learner.updates]:
        rewards = after.reward[:, 0]
        seen = (before.obs[:, 0], action[:, 0], rewards, after.obs[:, 0], following[:, 0])
        getattr(script, name)(agents, script.Transition(*seen))
    theta = torch.cat((agents.weight.flatten(2), agents.bias), -1)
    torch.testing.assert_close(learner.critic.parameters, agents.critic)
    torch.testing.assert_close(learner.actor.parameters, theta)
    torch.testing.assert_close(learner.average, agents.average)
    if name == "networked_ac_v":
        torch.testing.assert_close(learner.model.parameters, agents.model)
    assert agents.critic.abs().min() > 1e-5


def test_the_bare_products_mix_as_the_learners_do():
    scale = room("scale")
    for num_agents, replicas in ((6, 2), (300, 1), (300, 3)):
        graph = scale._graph(num_agents, replicas)
        x = torch.rand(replicas, num_agents, 5)
        mixing = graph.draw()
        kinds = scale.products(mixing, num_agents, replicas)
        assert set(kinds) == {"dense", "sparse"}
        heard = [mixing(x), *(mix(x, torch.zeros_like(x)) for mix in kinds.values())]
        for one in heard[1:]:
            torch.testing.assert_close(one, heard[0])
        torch.testing.assert_close(heard[0].mean(1), x.mean(1))
        assert not torch.allclose(heard[0], x)


def test_many_agents_are_timed_beside_the_bare_step(monkeypatch):
    scale = room("scale")
    monkeypatch.setattr(scale, "SIZES", ((6, 2), (300, 1)))
    rows = scale.scale(room("timing").Effort(rounds=2, seconds=0.001))
    assert [(row["algorithm"], row["edges"]) for row in rows] == [
        ("ac_q", 24),
        ("ac_v", 24),
        ("ac_q", 600),
        ("ac_v", 600),
    ]
    assert all(row["bare_ms"] > 0 and 0 < row["quartiles"][0] <= row["ratio"] for row in rows)


def test_particle_worlds_play_in_turn(monkeypatch):
    """mpe2 has one copy only; a peer that cannot be had is left out."""
    particle = room("particle")
    pythons = {"spread_mpe2": sys.executable}
    monkeypatch.setattr(particle, "interpreter", lambda peer: pythons.get(peer.script))
    monkeypatch.setattr(particle, "COPIES", (33,))
    rows = particle.spread(room("timing").Effort(rounds=2, seconds=0.001))
    assert [(row["of"], row["its_copies"]) for row in rows] == [("marlrun", 33), ("mpe2==1.1.1", 1)]
    assert rows[0]["ratio"] == 1 < rows[1]["worst_and_best"][0] <= rows[1]["ratio"]
    speed, (worst, best) = rows[1]["env_steps_per_s"], rows[1]["from_to"]
    assert 0 < worst <= speed <= best


@pytest.mark.parametrize("replicas", [1, 2])
def test_ippo_plays_and_learns_in_turn(monkeypatch, replicas):
    """The peer cannot be had here; what it does is compared with nothing but itself."""
    ippo = room("ippo")
    monkeypatch.setattr(ippo, "interpreter", lambda peer: None)
    monkeypatch.setattr(ippo, "REPLICAS", (replicas,))
    rows = ippo.ippo(room("timing").Effort(rounds=1, seconds=0.001))
    assert [row["of"] for row in rows] == [
        f"marlrun, replicas={replicas}",
        "updates of a replica alone",
        "their products alone",
    ]
    _, updates, products = (row["env_steps_per_s"] for row in rows)
    assert 0 < updates < products


@pytest.mark.parametrize("loop", [("ma_airl", "spread"), ("ma_gail", "speaker_listener")])
def test_adversarial_learners_play_and_learn_in_turn(monkeypatch, loop):
    """The peer cannot be had here; what it does is compared with nothing but itself."""
    airl = room("airl")
    monkeypatch.setattr(airl, "interpreter", lambda peer: None)
    monkeypatch.setattr(airl, "LOOPS", [loop])
    (row,) = airl.airl(room("timing").Effort(rounds=1, seconds=0.001))
    assert row["of"] == " on ".join(loop)
    assert row["ratio"] == 1 and row["env_steps_per_s"] > 0


def test_arithmetic_of_a_minibatch():
    """18-64-64-5 and 18-64-64-1: 5,568 and 5,312 weights, of which the first 1,152 need no gradient by inputs."""
    assert room("ippo").update_flops() == 2 * 1536 * (3 * (5568 + 5312) - 2 * 1152)


def test_a_peer_that_cannot_be_installed_is_left_out(monkeypatch, tmp_path, capfd):
    """Here it is pip that cannot be had."""
    particle, create = room("particle"), venv.create
    monkeypatch.setattr(particle, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(particle.venv, "create", lambda place, **_: create(place))
    assert particle.interpreter(particle.Peer("spread_none", ("numpy",))) is None
    assert "spread_none is left out" in capfd.readouterr().err


def test_a_player_that_dies_is_named():
    particle = room("particle")
    player = particle.Player(sys.executable, "no_such_peer", 1)
    with player, pytest.raises(ChildProcessError, match="no_such_peer"):
        player.seconds(0.0)


def test_the_command_writes_a_report(tmp_path):
    out = tmp_path / "outputs/bench.json"
    done = bench("--only", "a", "--quick", "--out", str(out))
    report = json.loads(out.read_text())
    assert "marlrun, replicas=8" in done.stdout
    assert report["machine"]["threads"] == 1
    assert [row["what"] for row in report["a"]["rows"]][:2] == ["plain reference", "marlrun"]


def test_an_unknown_part_is_refused():
    done = bench("--only", "az")
    assert done.returncode == 2
    assert "--only=az: no part z, expected some of abcdefghi" in done.stderr


def bench(*words: str):
    command = [sys.executable, "-m", "benchmarks", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
