"""Record what a function of tensors computes once; from then on repeat only that.

An update of a small network is hundreds of operations of a few microseconds, and Python's share of
each (making views, allocating results, reading arguments) costs as much again, though none of it
changes from call to call. So the first call notes every operation with the tensors it reads and
writes, and later calls repeat those that write data, into the same memory: the same numbers, bit
for bit. It is what a CUDA graph does on a GPU.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Call = Callable[[], object]
Argument = Tensor | tuple[Tensor, ...] | None
_FIXED = ("empty", "empty_like", "empty_strided", "new_empty", "arange", "scalar_tensor")
_COPIES = ("clone", "_to_copy")


class Captured:
    """A function of tensors, repeated without its Python.

    `function` returns a sequence of tensors. Only tensor operations may depend on what its
    arguments hold, and other tensors that it uses must stay where they are (be changed in place).
    An `arange` and a `scalar_tensor` are made once, and must not be changed in place.
    Arguments are copied in and results copied out; shapes are those of the first call. An argument
    may be a tuple, which the function gets joined along dimension 1, or None, and stays None.
    """

    def __init__(self, function: Callable[..., Sequence[Tensor]], *, autograd: bool = False):
        """`autograd` lets the function ask for gradients, whose operations are noted as well."""
        self._function, self._autograd = function, autograd
        self._calls: list[Call] = []
        self._places: dict[int, Tensor] = {}
        """By an argument's number; of twins, the first's."""
        self._twins: list[tuple[int, int]] = []
        self._outputs: Sequence[Tensor] = ()

    def __call__(self, *arguments: Argument) -> list[Tensor]:
        """Return what the function returns."""
        tensors = [part for argument in arguments for part in _parts(argument)]
        with torch.inference_mode():
            if self._calls and all(tensors[twin] is tensors[first] for twin, first in self._twins):
                for number, place in self._places.items():
                    assert place.shape == tensors[number].shape, number
                    place.copy_(tensors[number])
                for call in self._calls:
                    call()
            else:
                with (
                    torch.inference_mode(not self._autograd),
                    torch.set_grad_enabled(self._autograd),
                ):
                    self._record(arguments)
        # Outside, these are ordinary tensors, which autograd may keep.
        return [output.detach().clone() for output in self._outputs]

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs; it records anew, since the calls belong to the tensors here."""
        return vars(Captured(self._function, autograd=self._autograd))

    def _record(self, arguments: Sequence[Argument]) -> None:
        """Make room for the arguments, once for those that come twice, and run the function."""
        self._calls, self._places, self._twins = [], {}, []
        earlier: list[Tensor] = []
        places: list[Tensor | None] = []
        for argument in arguments:
            if argument is None:
                places.append(None)
            elif isinstance(argument, tuple):
                places.append(self._joined(argument, len(earlier)))
            else:
                places.append(self._place(argument, earlier))
            earlier += _parts(argument)
        with _Recorder() as recorder:
            self._outputs = self._function(*places)
        self._calls = recorder.calls

    def _joined(self, parts: tuple[Tensor, ...], number: int) -> Tensor:
        """Return copies of `parts`, which are arguments from `number` on, joined in one tensor."""
        place = torch.cat(parts, 1)
        places = torch.split(place, [part.shape[1] for part in parts], 1)
        self._places.update(enumerate(places, number))
        return place

    def _place(self, argument: Tensor, earlier: Sequence[Tensor]) -> Tensor:
        """Return a copy of an argument for the function to keep; its twin's, if one came earlier."""
        number = len(earlier)
        for first, other in enumerate(earlier):
            if first in self._places and other is argument:
                self._twins.append((number, first))
                return self._places[first]
        place = self._places[number] = argument.clone()
        return place


def captured(method: Callable[..., Sequence[Tensor]]) -> cached_property[Captured]:
    """Decorate a method that is to be a `Captured`, one for each object."""
    return cached_property(lambda instance: Captured(partial(method, instance)))


def captured_with_autograd(
    method: Callable[..., Sequence[Tensor]],
) -> cached_property[Captured]:
    """Decorate a method as `captured` does; it may ask for gradients by `torch.autograd.grad`."""
    return cached_property(lambda instance: Captured(partial(method, instance), autograd=True))


def _parts(argument: Argument) -> tuple[Tensor, ...]:
    if argument is None:
        return ()
    return argument if isinstance(argument, tuple) else (argument,)


class _Recorder(TorchDispatchMode):
    """Notes, for every operation that writes data, a call that writes it again."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Let torch not shield this class from its compiler, which it would import for that: a second."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        args, kwargs = _with_constants(func, args), kwargs or {}
        with self:
            # An operation that is made of others (einsum) is noted as these.
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        result = func(*args, **kwargs)
        if call := _again(func, args, kwargs, result):
            self.calls.append(call)
        return result


def _with_constants(func: Any, args: Sequence[Any]) -> list[Any]:
    """Make tensors of the numbers that torch would make tensors of at every call."""
    values = list(args)
    for index, (value, parameter) in enumerate(zip(args, func._schema.arguments, strict=False)):
        is_constant = isinstance(value, float | int) and str(parameter.type) == "Tensor"
        if is_constant and args[0].dtype == torch.float32:
            values[index] = torch.tensor(value, dtype=torch.float32)
    return values


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
    if "ones" in name:
        return partial(result.fill_, 1)
    calls = [partial(binding, *args, **kwargs, out=result) for binding in bindings]
    calls += _into(func, args, kwargs, results)
    calls += [partial(_copy, results, partial(f, *args, **kwargs)) for f in (*bindings, func)]
    return next(call for call in calls if _works(call))


def _into(
    func: Any, args: Sequence[Any], kwargs: dict[str, Any], results: list[Tensor]
) -> list[Call]:
    """Return calls of the overloads of `func` that write into `results`, by whatever name."""
    packet = func.overloadpacket
    calls: list[Call] = []
    for overload in (getattr(packet, name) for name in packet.overloads()):
        arguments = overload._schema.arguments
        places = [a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write]
        if len(places) == len(results) and len(arguments) == len(func._schema.arguments) + len(
            places
        ):
            places_by_name = dict(zip(places, results, strict=True))
            calls.append(partial(overload, *args, **kwargs, **places_by_name))
    return calls


def _works(call: Call) -> bool:
    try:
        call()
    except (TypeError, RuntimeError):
        return False
    return True


def _copy(results: Sequence[Tensor], function: Callable[[], Any]) -> None:
    for result, value in zip(results, _tensors([function()]), strict=True):
        result.copy_(value)


def _storages(tensors: Iterable[Tensor]) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors in `values` and in the sequences among them."""
    tensors: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, tuple | list):
            tensors += _tensors(cast("Sequence[Any]", value))
    return tensors
