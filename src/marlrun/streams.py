"""Counter-based random streams: (seed, stream, counter) -> numbers, the same on every device.

The generator is SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): output k of a stream is
`mix(key + (k + 1) * GAMMA)`. It has no state but the counter, so whoever draws keeps an int, and
what replica r draws depends on its own seed alone.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import prod

import torch
from torch import Tensor

from marlrun.types import Seeds

_GAMMA = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 1)
_SHIFTS = (30, 27, 31)


def _signed(value: int) -> int:
    """Return the int64 with the same 64 bits."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def mix(x: Tensor) -> Tensor:
    """Scramble int64 (any shape) in place by SplitMix64's finaliser; a bijection on 64 bits."""
    shifted = torch.empty_like(x)
    for shift, multiplier in zip(_SHIFTS, _MULTIPLIERS, strict=True):
        torch.bitwise_right_shift(x, shift, out=shifted)
        x ^= shifted.bitwise_and_((1 << (64 - shift)) - 1)
        if multiplier != 1:
            x *= _signed(multiplier)
    return x


def derive(seed: int, stream: str) -> int:
    """Return a seed in [0, 2**63) for `stream`, independent of every other (seed, stream)."""
    digest = blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Stream:
    """One named stream per replica; numbers are drawn for all replicas at once."""

    def __init__(self, seeds: Seeds, name: str, device: torch.device):
        keys = [_signed(derive(seed, name) * 2 + 1) for seed in seeds]
        self.device = device
        self.num_replicas = len(keys)
        self._keys = torch.tensor(keys, dtype=torch.int64, device=device)
        self._offsets: dict[int, Tensor] = {}

    def bits(self, counter: int, *shape: int) -> Tensor:
        """Draw number `counter` of this shape: int64 [R, *shape], all 64 bits random.

        Draws of one stream must all have the same size, or use counters that cannot meet.
        """
        size = prod(shape)
        if size not in self._offsets:
            steps = torch.arange(1, size + 1, dtype=torch.int64, device=self.device)
            self._offsets[size] = self._keys[:, None] + steps * _signed(_GAMMA)
        start = _signed(counter * size * _GAMMA)
        return mix(self._offsets[size] + start).view(self.num_replicas, *shape)

    def uniform(self, counter: int, *shape: int) -> Tensor:
        """Draw float32 [R, *shape] in [0, 1), multiples of 2**-24; shape has a dimension or more.

        Two neighbours along the last dimension come from one number: its low half, its high half.
        """
        halves = self.bits(counter, *shape[:-1], (shape[-1] + 1) // 2).view(torch.int32)
        numbers = halves.bitwise_right_shift_(8).bitwise_and_(0xFFFFFF) * 2.0**-24
        return numbers[..., : shape[-1]].contiguous()


class Blocks:
    """Uniform numbers of one shape, one draw a step, made many steps at a time.

    Draw t is the same whatever the block's length: the numbers belong to the counter. `prepare`
    turns float32 [T, R, *shape] in [0, 1) into what a step needs, each [T, ..], once per block.
    """

    def __init__(
        self,
        stream: Stream,
        *shape: int,
        elements: int = 1 << 16,
        prepare: Callable[[Tensor], Sequence[Tensor]] | None = None,
    ):
        size = stream.num_replicas * prod(shape)
        self._stream, self._shape, self._prepare = stream, shape, prepare
        self._length = max(1, min(1024, elements // max(1, size)))
        self._block = -1
        self._parts: Sequence[Tensor] = ()

    def __call__(self, counter: int) -> Tensor:
        """Return draw `counter`: float32 [R, *shape] in [0, 1), or the first of what is prepared."""
        return self.row(counter)[0]

    def row(self, counter: int) -> list[Tensor]:
        """Return all that is prepared of draw `counter`."""
        block, row = divmod(counter, self._length)
        if block != self._block:
            numbers = self._stream.uniform(block, self._length, *self._shape)
            numbers = numbers.transpose(0, 1).contiguous()
            self._parts = self._prepare(numbers) if self._prepare else (numbers,)
            self._block = block
        return [part[row] for part in self._parts]
