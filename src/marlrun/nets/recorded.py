"""Record what a function of tensors computes once; from then on repeat only that.

An update of a small network is hundreds of operations of a few microseconds, and Python's share of
each (making views, allocating results, reading arguments) costs as much again, though none of it
changes from call to call. So the first call notes every operation with the tensors it reads and
writes, and later calls repeat those that write data, into the same memory: the same numbers, bit
for bit. It is what a CUDA graph does on a GPU.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Call = Callable[[], object]
Given = Tensor | tuple[Tensor, ...]
_FIXED = ("empty", "empty_like", "empty_strided", "new_empty", "arange")
_COPIES = ("clone", "contiguous", "to", "_to_copy")


class Recorded:
    """A function of tensors, repeated without its Python.

    `function` returns a sequence of tensors. Only tensor operations may depend on what its
    arguments hold, and other tensors that it uses must stay where they are (be changed in place).
    An `arange` is made once, and must not be changed in place.
    Arguments are copied in and results copied out; shapes are those of the first call. An argument
    may be a tuple, which the function gets joined along dimension 1.
    """

    def __init__(self, function: Callable[..., Sequence[Tensor]]):
        self._function = function
        self._calls: list[Call] = []
        self._places: list[Tensor] = []
        self._sources: list[int] = []
        self._outputs: Sequence[Tensor] = ()

    @torch.inference_mode()
    def __call__(self, *inputs: Given) -> list[Tensor]:
        """Return what the function returns."""
        given = _tensors(inputs)
        sources = _sources(inputs)
        if self._calls and sources == self._sources:
            for number in dict.fromkeys(sources):
                assert self._places[number].shape == given[number].shape, number
                self._places[number].copy_(given[number])
            for call in self._calls:
                call()
        else:
            self._sources = sources
            self._record(inputs)
        return [output.clone() for output in self._outputs]

    def _record(self, inputs: Sequence[Given]) -> None:
        """Make room for the inputs, once for those that are given twice, and run the function."""
        self._calls, self._places = [], []
        arguments = [self._place(_parts(value)) for value in inputs]
        with _Recorder() as recorder:
            self._outputs = self._function(*arguments)
        self._calls = recorder.calls

    def _place(self, parts: tuple[Tensor, ...]) -> Tensor:
        """Return a copy of an argument that the function may keep."""
        number = len(self._places)
        if self._sources[number] < number:
            place = self._places[self._sources[number]]
            self._places.append(place)
        elif len(parts) == 1:
            place = parts[0].clone()
            self._places.append(place)
        else:
            place = torch.cat(parts, 1)
            self._places += place.split([part.shape[1] for part in parts], 1)
        return place


def _parts(value: Given) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def _sources(inputs: Sequence[Given]) -> list[int]:
    """Return, for each tensor, its number, or that of the one before which it is."""
    first: dict[int, int] = {}
    sources: list[int] = []
    for value in inputs:
        parts = _parts(value)
        for part in parts:
            number = len(sources)
            known = first.setdefault(id(part), number)
            sources.append(known if len(parts) == 1 else number)
    return sources


class _Recorder(TorchDispatchMode):
    """Notes, for every operation that writes data, a call that writes it again."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        args, kwargs = _with_constants(func, args), kwargs or {}
        result = func(*args, **kwargs)
        if call := _again(func, args, kwargs, result):
            self.calls.append(call)
        return result


def _with_constants(func: Any, args: Sequence[Any]) -> list[Any]:
    """Make tensors of the numbers that torch would make tensors of at every call."""

    def is_constant(value: Any, wanted: Any) -> bool:
        return isinstance(value, float | int) and str(wanted.type) == "Tensor"

    return [
        torch.tensor(value, dtype=torch.float32)
        if is_constant(value, wanted) and args[0].dtype == torch.float32
        else value
        for value, wanted in zip(args, func._schema.arguments, strict=False)
    ]


def _again(func: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> Call | None:
    """Return what brings `result` up to date; None where nothing need be done."""
    name = func.overloadpacket.__name__
    results = _tensors([result])
    assert results or func._schema.is_mutable, f"{func} reads a tensor: what follows would be fixed"
    # torch's own bindings take half the time of `func`, but not every operation has one.
    bindings = [getattr(home, name) for home in (torch, torch.Tensor) if hasattr(home, name)]
    if func._schema.is_mutable:
        binding = bindings[0 if "out" in kwargs else -1] if bindings else func
        return partial(binding, *args, **kwargs)
    if name in _FIXED or _storages(results) <= _storages(_tensors(args)):
        return None
    if name in _COPIES:
        return partial(result.copy_, args[0])
    if "zeros" in name:
        return result.zero_
    calls = [partial(binding, *args, **kwargs, out=result) for binding in bindings]
    calls += [partial(_copy, results, partial(f, *args, **kwargs)) for f in (*bindings, func)]
    return next(call for call in calls if _works(call))


def _works(call: Call) -> bool:
    try:
        call()
    except TypeError:
        return False
    return True


def _copy(results: Sequence[Tensor], function: Callable[[], Any]) -> None:
    for mine, fresh in zip(results, _tensors([function()]), strict=True):
        mine.copy_(fresh)


def _storages(tensors: Iterable[Tensor]) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors in `values` and in the sequences among them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += _tensors(cast("Sequence[Any]", value))
    return found
