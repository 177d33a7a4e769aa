"""Streams against SplitMix64 in plain Python, and against chance."""

import pytest
import torch

from marlrun.streams import Blocks, Stream, derive, mix

CPU = torch.device("cpu")
WORD = (1 << 64) - 1


def splitmix64(key: int):
    """Yield SplitMix64's numbers, written down independently of marlrun.streams."""
    while True:
        key = (key + 0x9E3779B97F4A7C15) & WORD
        z = key
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        yield z ^ (z >> 31)


def numbers(seed: int, name: str, count: int) -> list[int]:
    source = splitmix64(derive(seed, name) * 2 + 1)
    return [next(source) for _ in range(count)]


def test_the_plain_generator_gives_the_published_numbers():
    """Test vector of the reference implementation, seed 1234567."""
    source = splitmix64(1234567)
    assert [next(source) for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_bits_are_splitmix64():
    stream = Stream([3, 2**63 + 5], "env", CPU)
    draws = [stream.bits(counter, 3, 2) for counter in range(4)]
    for row, seed in enumerate((3, 2**63 + 5)):
        drawn = [number & WORD for draw in draws for number in draw[row].flatten().tolist()]
        assert drawn == numbers(seed, "env", 24)


def test_uniform_takes_the_low_and_the_high_half():
    drawn = Stream([3], "env", CPU).uniform(0, 2, 3)[0]
    words = numbers(3, "env", 4)
    halves = [[(word >> 8) & 0xFFFFFF, word >> 40] for word in words]
    rows = [[*halves[0], halves[1][0]], [*halves[2], halves[3][0]]]
    assert drawn.tolist() == [[half / 2**24 for half in row] for row in rows]


def test_mix_is_in_place_and_loses_nothing():
    x = torch.arange(-50_000, 50_000)
    assert mix(x) is x
    assert len(x.unique()) == 100_000


def test_a_counter_far_out_is_a_counter():
    stream = Stream([1], "env", CPU)
    far = 2**60
    key = (derive(1, "env") * 2 + 1 + far * 5 * 0x9E3779B97F4A7C15) & WORD
    source = splitmix64(key)
    drawn = [number & WORD for number in stream.bits(far, 5)[0].tolist()]
    assert drawn == [next(source) for _ in range(5)]


@pytest.mark.parametrize("shape", [(4,), (2, 3), (5, 1)])
def test_blocks_of_any_length_hold_the_same_numbers(shape):
    stream = Stream([0, 7, 9], "env", CPU)
    lengths = [Blocks(stream, *shape, elements=elements) for elements in (1, 100, 1 << 16)]
    for counter in [0, 1, 2, 3, 50, 49, 1023, 1024, 1025, 10**9]:
        expected = stream.uniform(counter, *shape)
        for blocks in lengths:
            assert torch.equal(blocks(counter), expected)


def test_blocks_prepare_what_a_step_needs():
    stream = Stream([0, 7], "env", CPU)
    blocks = Blocks(stream, 3, prepare=lambda x: [x > 0.5, x.sum(-1)])
    expected = stream.uniform(41, 3)
    above, total = blocks.row(41)
    assert torch.equal(above, expected > 0.5)
    assert torch.allclose(total, expected.sum(-1))
    assert torch.equal(blocks(41), above)


def test_a_replica_draws_the_same_alone_and_in_company():
    alone, company = Stream([7], "env", CPU), Stream([1, 7, 3], "env", CPU)
    for counter in (0, 5, 10**12):
        assert torch.equal(alone.bits(counter, 4, 3)[0], company.bits(counter, 4, 3)[1])
        assert torch.equal(alone.uniform(counter, 4, 3)[0], company.uniform(counter, 4, 3)[1])


def test_uniform_is_uniform():
    drawn = Stream([0], "env", CPU).uniform(0, 1 << 20)[0].double()
    assert drawn.min() >= 0 and drawn.max() < 1
    counts = torch.histc(drawn, 256, 0, 1)
    chi_square = ((counts - 4096) ** 2 / 4096).sum().item()
    assert abs(chi_square - 255) < 4 * (2 * 255) ** 0.5
    pairs = drawn.view(-1, 2)
    assert abs(torch.corrcoef(pairs.T)[0, 1].item()) < 4 / len(pairs) ** 0.5


def test_seeds_and_names_are_independent():
    size = 1 << 16
    rows = [
        Stream([seed], name, CPU).uniform(0, size)[0]
        for seed in (0, 1, 2, 2**32 - 1)
        for name in ("env", "explore")
    ]
    off_diagonal = torch.corrcoef(torch.stack(rows)) - torch.eye(len(rows))
    assert off_diagonal.abs().max() < 5 / size**0.5


def test_derived_seeds_differ_and_stay_the_same():
    derived = {derive(seed, name) for seed in range(1000) for name in ("env", "init")}
    assert len(derived) == 2000
    assert all(0 <= seed < 2**63 for seed in derived)
    assert derive(0, "env") == 7777762618089853749


@pytest.mark.gpu
def test_a_gpu_draws_the_same():
    here, there = (Stream([1, 2], "env", torch.device(d)) for d in ("cpu", "cuda"))
    assert torch.equal(here.bits(3, 100), there.bits(3, 100).cpu())
    assert torch.equal(here.uniform(3, 101), there.uniform(3, 101).cpu())
