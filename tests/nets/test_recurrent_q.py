import pytest
import torch
from torch import Tensor, nn

from marlrun.nets.adam import Adam
from marlrun.nets.recurrent_q import RecurrentQ
from marlrun.nets.stacked import row_size, views, widened

CPU = torch.device("cpu")
SIZES = (7, 6, 5, 4)


def live_views(net: RecurrentQ, rows: Tensor) -> dict[str, Tensor]:
    """The parameters in `rows` without those of dead units."""
    parts = views(rows, net.shapes)
    return {
        name: parts[name].unflatten(-1, net.shapes[name][1:])[(..., *map(slice, shape))].flatten(2)
        for name, shape in net.live.items()
    }


class Oracle(nn.Module):
    """One member's network, made of `torch.nn`."""

    def __init__(self, net: RecurrentQ, rows: Tensor, member: int, cell: str):
        super().__init__()
        p = live_views(net, rows)
        first, second, units, last = SIZES
        obs_size, num_actions = p["first.weight"].shape[1], p["head.weight"].shape[2]
        self.first, self.second = nn.Linear(obs_size, first), nn.Linear(first, second)
        self.cell = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](second, units, batch_first=True)
        self.last, self.head = nn.Linear(units, last), nn.Linear(last, num_actions)
        with torch.no_grad():
            for name in ("first", "second", "last", "head"):
                layer = getattr(self, name)
                layer.weight.copy_(p[f"{name}.weight"][member].T)
                layer.bias.copy_(p[f"{name}.bias"][member, 0])
            self.cell.weight_ih_l0.copy_(p["cell.weight_input"][member].T)
            self.cell.weight_hh_l0.copy_(p["cell.weight_hidden"][member].T)
            self.cell.bias_ih_l0.copy_(p["cell.bias"][member, 0])
            self.cell.bias_hh_l0.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu()).relu()
        return self.head(self.last(self.cell(x)[0]).relu())

    def gradients(self) -> dict[str, Tensor]:
        grads = {
            f"{name}.{kind}": getattr(getattr(self, name), kind).grad
            for name in ("first", "second", "last", "head")
            for kind in ("weight", "bias")
        }
        grads["cell.weight_input"] = self.cell.weight_ih_l0.grad
        grads["cell.weight_hidden"] = self.cell.weight_hh_l0.grad
        grads["cell.bias"] = self.cell.bias_ih_l0.grad
        return {name: g.T if g.dim() == 2 else g[None] for name, g in grads.items()}


def _net(cell: str, members: int = 3) -> tuple[RecurrentQ, Tensor, dict[str, Tensor]]:
    net = RecurrentQ(6, 3, cell, SIZES, forget_bias=1.0)
    rows = widened(0.5 * torch.randn(members, row_size(net.live)), net.live, net.shapes)
    return net, rows, views(rows, net.shapes)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_unroll_and_backward_equal_torch_nn(cell, steps):
    net, rows, p = _net(cell)
    x, grad_q = torch.randn(3, steps, 8, 6), torch.randn(3, steps, 8, 3)
    gradient = torch.full_like(rows, torch.nan)
    with torch.no_grad():
        q, tape = net.unroll(p, x)
        net.backward(p, tape, grad_q, views(gradient, net.shapes))
    grads = live_views(net, gradient)
    for member in range(3):
        oracle = Oracle(net, rows, member, cell)
        expected = oracle(x[member].transpose(0, 1))
        torch.testing.assert_close(q[member].transpose(0, 1), expected, atol=1e-5, rtol=1e-4)
        expected.backward(grad_q[member].transpose(0, 1))
        for name, grad in oracle.gradients().items():
            torch.testing.assert_close(
                grads[name][member], grad, atol=1e-5, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_backward_of_all_steps_but_the_last(cell):
    net, rows, p = _net(cell)
    x, grad_q = torch.randn(3, 5, 8, 6), torch.randn(3, 4, 8, 3)
    whole, cut = torch.zeros_like(rows), torch.zeros_like(rows)
    with torch.no_grad():
        _, tape = net.unroll(p, x)
        net.backward(p, tape.but_last(), grad_q, views(cut, net.shapes))
        _, tape = net.unroll(p, x[:, :-1])
        net.backward(p, tape, grad_q, views(whole, net.shapes))
    torch.testing.assert_close(cut, whole)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_steps_equal_the_unroll(cell):
    net, _, p = _net(cell)
    x = torch.randn(3, 5, 8, 6)
    with torch.no_grad():
        q, _ = net.unroll(p, x)
        memory = net.initial_memory(3, 8, CPU)
        for t in range(5):
            now, memory = net.step(p, x[:, t], memory)
            torch.testing.assert_close(now, q[:, t], atol=1e-6, rtol=1e-5)


def test_a_network_with_a_scale_sees_so_many_times_what_it_is_given():
    plain, rows, p = _net("lstm")
    net = RecurrentQ(6, 3, "lstm", SIZES, forget_bias=1.0, obs_scale=4.0)
    x, grad_q = torch.randn(3, 5, 8, 6), torch.randn(3, 5, 8, 3)
    grads, expected = torch.zeros_like(rows), torch.zeros_like(rows)
    memory = net.initial_memory(3, 8, CPU)
    with torch.no_grad():
        q, tape = net.unroll(p, x)
        net.backward(p, tape, grad_q, views(grads, net.shapes))
        expected_q, expected_tape = plain.unroll(p, 4 * x)
        plain.backward(p, expected_tape, grad_q, views(expected, net.shapes))
        assert torch.equal(net.step(p, x[:, 0], memory)[0], plain.step(p, 4 * x[:, 0], memory)[0])
    assert torch.equal(q, expected_q) and torch.equal(grads, expected)


def test_gradients_do_not_leak_between_members():
    net, rows, p = _net("lstm")
    grads = torch.zeros_like(rows)
    grad_q = torch.zeros(3, 4, 8, 3)
    grad_q[1] = 1.0
    with torch.no_grad():
        _, tape = net.unroll(p, torch.randn(3, 4, 8, 6))
        net.backward(p, tape, grad_q, views(grads, net.shapes))
    assert grads[1].abs().sum() > 0
    assert grads[0].abs().sum() == 0
    assert grads[2].abs().sum() == 0


def test_initial_parameters_belong_to_the_seed_and_the_agent():
    net = RecurrentQ(6, 3, "lstm", SIZES, forget_bias=1.0)
    alone, company = net.init([5], 2, CPU), net.init([3, 5], 2, CPU)
    assert torch.equal(alone, company[2:])
    assert not torch.equal(alone[0], alone[1])
    p = live_views(net, alone)
    assert p["first.weight"].abs().max() <= (6 / 13) ** 0.5
    assert (p["first.bias"] == 0.01).all()
    assert p["cell.bias"][0, 0].tolist() == [0.0] * 5 + [1.0] * 5 + [0.0] * 10


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("num_agents", [1, 2])
@pytest.mark.parametrize("batch", [1, 2, 5, 32])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    ("obs_size", "sizes", "num_actions"),
    [(7, (13, 17, 25, 9), 5), (5, (30, 20, 24, 33), 9), (100, (12, 64, 20, 32), 1)],
)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_replica_is_alone_in_company(
    cell, obs_size, sizes, num_actions, steps, batch, num_agents
):
    net = RecurrentQ(obs_size, num_actions, cell, sizes, forget_bias=1.0)
    torch.manual_seed(0)
    x = torch.randn(3, num_agents, steps + 1, batch, obs_size)
    grad_q = torch.randn(3, num_agents, steps, batch, num_actions)

    def run(*replicas):
        rows = net.init([3 + replica for replica in replicas], num_agents, CPU)
        p, grads = views(rows, net.shapes), torch.zeros_like(rows)
        seen = x[list(replicas)].flatten(0, 1)
        q, tape = net.unroll(p, seen)
        given = grad_q[list(replicas)].flatten(0, 1)
        net.backward(p, tape.but_last(), given, views(grads, net.shapes))
        memory = net.initial_memory(len(rows), batch, CPU)
        steps = []
        for t in range(2):
            now, memory = net.step(p, seen[:, t], memory)
            steps.append(now)
        found = (q, net.unroll(p, seen[:, 1:])[0], grads, *steps)
        return [part.reshape(len(replicas), num_agents, -1) for part in found]

    with torch.no_grad():
        company = run(0, 1, 2)
        for replica in range(3):
            for mine, of_all in zip(run(replica), company, strict=True):
                assert torch.equal(mine[0], of_all[replica])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_is_dead_stays_dead(cell):
    net = RecurrentQ(6, 9, cell, SIZES, forget_bias=1.0)
    rows = net.init([3], 1, CPU)
    p, optimizer = views(rows, net.shapes), Adam(rows, 0.1)
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(20):
            q, tape = net.unroll(p, torch.randn(1, 4, 8, 6))
            net.backward(p, tape, q - torch.randn_like(q), views(optimizer.gradient, net.shapes))
            optimizer.step()
    assert (rows == 0).sum() == rows.numel() - row_size(net.live)
    assert q.shape == (1, 4, 8, 9)
