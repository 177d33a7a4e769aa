import io
import math

import pytest
import torch

from marlrun.nets import mlp
from marlrun.nets.module import MLP
from marlrun.nets.stacked import views

CPU = torch.device("cpu")
OPTIMISERS = {
    "Adam": lambda rows: torch.optim.Adam(rows, lr=1e-2),
    "Adam, one by one": lambda rows: torch.optim.Adam(rows, lr=1e-2, foreach=False),
    "Adam, foreach": lambda rows: torch.optim.Adam(rows, lr=1e-2, foreach=True),
    "Adam, fused": lambda rows: torch.optim.Adam(rows, lr=1e-2, fused=True),
    "SGD": lambda rows: torch.optim.SGD(rows, lr=1e-2, momentum=0.9),
}


def make(sizes, seeds=(3, 4), num_agents=2, **settings) -> MLP:
    return MLP(sizes, seeds, num_agents, CPU, **({"name": "policy"} | settings))


def live(net: MLP) -> torch.Tensor:
    """[M, P]: where a number is no dead unit's."""
    return net._is_live.expand_as(net.rows)


def reference(net: MLP, rows: torch.Tensor, x: torch.Tensor, activation) -> torch.Tensor:
    """The same perceptron by plain torch, one layer after the other."""
    x = torch.nn.functional.pad(x, (0, net._shapes["0.weight"][0] - x.shape[-1]))
    matrices = list(views(rows, net._shapes).values())
    for weight, bias in zip(matrices[:-2:2], matrices[1:-2:2], strict=True):
        x = activation(torch.einsum("mbi,mij->mbj", x, weight) + bias)
    x = torch.einsum("mbi,mij->mbj", x, matrices[-2]) + matrices[-1]
    return x[..., : net._num_outputs]


def test_a_value_and_a_gradient_by_hand():
    net = make([1, 2, 1], seeds=[0], num_agents=1)
    numbers = {"0.weight": [[2.0, -1.0]], "0.bias": [[1.0, 1.0]], "1.weight": [[3.0], [5.0]]}
    with torch.no_grad():
        for name, matrix in numbers.items():
            inputs, outputs = len(matrix), len(matrix[0])
            views(net.rows, net._shapes)[name][0, :inputs, :outputs] = torch.tensor(matrix)
    # Hidden units relu(2 * 2 + 1) = 5 and relu(-2 + 1) = 0.
    y = net(torch.tensor([[[2.0]]]))
    assert y.tolist() == [[[15.0]]]
    y.sum().backward()
    gradient = views(net.rows.grad, net._shapes)
    assert gradient["0.weight"][0, 0, :2].tolist() == [6.0, 0.0]
    assert gradient["0.bias"][0, 0, :2].tolist() == [3.0, 0.0]
    assert gradient["1.weight"][0, :2, 0].tolist() == [5.0, 0.0]
    assert gradient["1.bias"][0, 0, 0].item() == 1.0


@pytest.mark.parametrize(("activation", "function"), [("relu", torch.relu), ("tanh", torch.tanh)])
@pytest.mark.parametrize("sizes", [[3, 2], [3, 5, 2], [3, 9, 4, 1], [4, 8, 12]])
@pytest.mark.parametrize("batch", [1, 6])
def test_values_and_gradients_are_those_of_plain_torch(sizes, batch, activation, function):
    net = make(sizes, activation=activation)
    x, grad = torch.randn(4, batch, sizes[0]), torch.randn(4, batch, sizes[-1])
    rows = net.rows.detach().clone().requires_grad_()
    expected = reference(net, rows, x, function)
    expected.backward(grad)
    y = net(x)
    y.backward(grad)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(net.rows.grad, rows.grad * live(net))


def test_one_graph_may_use_it_twice():
    net, (x, other) = make([3, 5, 2]), torch.randn(2, 4, 6, 3)
    gradients = []
    for part in (x, other):
        net.rows.grad = None
        net(part).square().sum().backward()
        gradients.append(net.rows.grad)
    net.rows.grad = None
    (net(x).square().sum() + net(other).square().sum()).backward()
    torch.testing.assert_close(net.rows.grad, gradients[0] + gradients[1])


def test_a_gradient_by_its_input_has_a_gradient_too():
    net = make([3, 5, 1], activation="tanh")
    x = torch.randn(4, 6, 3, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert net.rows.grad is not None and net.rows.grad.abs().sum() > 0


@pytest.mark.parametrize("noise", [1.0, math.inf, math.nan])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("sizes", [[3, 5, 2], [6, 7, 3, 9]])
def test_what_stands_in_dead_units_changes_nothing(sizes, activation, noise):
    net, x = make(sizes, activation=activation), torch.randn(4, 6, sizes[0])

    def learned():
        net.rows.grad = None
        y = net(x)
        y.square().sum().backward()
        return y.detach(), net.rows.grad

    y, gradient = learned()
    num_live = sum((i + 1) * j for i, j in zip(sizes[:-1], sizes[1:], strict=True))
    assert (net.rows[0] != 0).sum() <= num_live == live(net)[0].sum() < net.rows.shape[1]
    with torch.no_grad():
        net.rows.masked_fill_(~live(net), noise)
    again, gradient_again = learned()
    assert torch.equal(y, again) and torch.equal(gradient, gradient_again)
    assert not gradient[~live(net)].any()


@pytest.mark.parametrize("sizes", [[5, 5], [3, 7], [9, 6]])
def test_orthogonal_weights_are_orthogonal(sizes):
    net = make([*sizes, 3], initial="orthogonal", last_gain=0.01)
    inputs, outputs = sizes
    weight = views(net.rows.detach(), net._shapes)["0.weight"][:, :inputs, :outputs]
    product = weight.mT @ weight if inputs >= outputs else weight @ weight.mT
    torch.testing.assert_close(product, 2 * torch.eye(min(sizes)).expand_as(product))
    last = views(net.rows.detach(), net._shapes)["1.weight"][:, :outputs, :3]
    product = last.mT @ last if outputs >= 3 else last @ last.mT
    torch.testing.assert_close(product, 1e-4 * torch.eye(3).expand_as(product))
    assert not views(net.rows.detach(), net._shapes)["0.bias"].any()


def test_xavier_weights_are_in_their_range_and_the_last_ones_scaled():
    plain, scaled = (make([30, 20, 10], last_gain=gain) for gain in (1.0, 0.5))
    before, after = (views(net.rows.detach(), net._shapes) for net in (plain, scaled))
    limit = math.sqrt(6 / 50)
    assert 0.95 * limit < before["0.weight"].abs().max() <= limit
    assert torch.equal(before["0.weight"], after["0.weight"])
    assert torch.equal(before["1.weight"], 2 * after["1.weight"])


@pytest.mark.parametrize("initial", ["xavier", "orthogonal"])
@pytest.mark.parametrize("sizes", [[5, 5, 3], [3, 9, 2], [13, 6]])
def test_initial_weights_belong_to_the_seed_and_the_name(sizes, initial):
    company = make(sizes, seeds=[3, 4, 5], initial=initial).rows.view(3, 2, -1)
    assert torch.equal(make(sizes, seeds=[4], initial=initial).rows.view(1, 2, -1)[0], company[1])
    assert len({tuple(row.tolist()) for row in company.flatten(0, 1)}) == 6
    other = make(sizes, seeds=[3, 4, 5], initial=initial, name="critic").rows.view(3, 2, -1)
    assert not torch.equal(company, other)


def test_its_state_is_plain():
    net, file = make([3, 5, 2]), io.BytesIO()
    optimiser = torch.optim.Adam(net.parameters())
    net(torch.randn(4, 6, 3)).sum().backward()
    optimiser.step()
    torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert list(state["net"]) == ["rows"]
    other = make([3, 5, 2], seeds=[7, 8])
    other.load_state_dict(state["net"])
    assert torch.equal(other.rows, net.rows)
    torch.optim.Adam(other.parameters()).load_state_dict(state["optimiser"])


def updated(replicas, sizes, batch, num_agents, activation, optimiser, transitions, updates):
    """Return outputs, gradients and parameters of replicas after some updates: each [R, ..]."""
    net = make(sizes, [3 + r for r in replicas], num_agents, activation=activation)
    optimiser = OPTIMISERS[optimiser](net.parameters())
    for x, target in transitions[:updates]:
        optimiser.zero_grad()
        y = net(x[list(replicas)].flatten(0, 1))
        (y - target[list(replicas)].flatten(0, 1)).square().mean((1, 2)).sum().backward()
        optimiser.step()
    return [
        part.detach().unflatten(0, (len(replicas), -1)) for part in (y, net.rows.grad, net.rows)
    ]


def transitions_of(sizes, batch, num_agents, updates):
    torch.manual_seed(0)
    shape = updates, 3, num_agents, batch
    return list(zip(torch.randn(*shape, sizes[0]), torch.randn(*shape, sizes[-1]), strict=True))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("num_agents", [1, 2])
@pytest.mark.parametrize(
    ("sizes", "batch"),
    [([7, 25, 1], 24), ([7, 3, 1], 5), ([61, 16, 9], 32), ([7, 30, 13, 6], 1), ([28, 66, 3], 179)],
)
def test_a_replica_learns_alone_as_in_company(sizes, batch, num_agents, activation, optimiser):
    transitions = transitions_of(sizes, batch, num_agents, updates=5)
    job = sizes, batch, num_agents, activation, optimiser, transitions, 5
    company = updated([0, 1, 2], *job)
    for replica in range(3):
        for alone, of_all in zip(updated([replica], *job), company, strict=True):
            assert torch.equal(alone[0], of_all[replica])


@pytest.mark.parametrize("updates", [1, 10])
def test_with_more_threads_it_learns_nearly_the_same(updates):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    sizes, batch = [30, 128, 127, 5], 257
    job = sizes, batch, 2, "tanh", "Adam", transitions_of(sizes, batch, 2, updates), updates
    company = updated([0, 1, 2], *job)
    alone = updated([1], *job)
    torch.set_num_threads(threads)
    torch.testing.assert_close(alone[2][0], company[2][1], atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("sizes", [[8, 12, 4], [7, 5]])
def test_how_inputs_and_gradients_lie_in_memory_changes_nothing(sizes):
    """Observations and log-probabilities come transposed; alone they are not."""
    results = []
    for turned in (False, True):
        net, generator = make(sizes), torch.Generator().manual_seed(0)
        x = torch.randn(4, 13, sizes[0], generator=generator)
        grad = torch.randn(4, 13, sizes[-1], generator=generator)
        x, grad = (part.mT.contiguous().mT if turned else part for part in (x, grad))
        y = net(x)
        y.backward(grad)
        results.append((y.detach(), net.rows.grad))
    assert all(map(torch.equal, *results))


def test_the_perceptron_by_hand_refuses_autograd():
    net = mlp.MLP([3, 5, 2], [3, 4], 2, CPU)
    net.rows.requires_grad_()
    with pytest.raises(RuntimeError) as refusal:
        net.forward(torch.randn(4, 6, 3))
    assert str(refusal.value) == (
        "nets.mlp.MLP has its gradient by hand, autograd would not reach its rows: "
        "use nets.module.MLP"
    )
