"""Packages of the user, which `plugins=[..]` on the command line names, and the code they define."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from marlrun.system.errors import with_type


def import_plugins(packages: Iterable[str]) -> None:
    """Import packages; ValueError, in one line, names the first that cannot be imported.

    An import runs code, so the names must come from the command line, never from a stored file.
    """
    for package in packages:
        if not all(map(str.isidentifier, package.split("."))):
            raise ValueError(f"plugins=[{package}]: expected the name of a package")
        try:
            importlib.import_module(package)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and error.name == package:
                places = "expected one that is installed or lies in a directory of PYTHONPATH"
                raise ValueError(f"plugins=[{package}]: no such package, {places}") from error
            reason = f"cannot be imported: {with_type(error)}"
            raise ValueError(f"plugins=[{package}]: {reason}") from error


def lies_in(module_name: str, packages: Iterable[str]) -> bool:
    """Say whether a module is one of these packages, or lies in one."""
    return any(
        module_name == package or module_name.startswith(f"{package}.") for package in packages
    )


def resolve(target: object, kind: str, plugins: Sequence[str]) -> Callable[..., Any]:
    """Return the class or function that the `_target_` of a node of `kind` names.

    It must be defined in marlrun's package of that kind, or in one of `plugins`, which the command
    line allows. ValueError, in one line, if it is not.
    """
    if not isinstance(target, str) or not all(map(str.isidentifier, target.split("."))):
        raise ValueError(f"{kind}._target_={target!r}: expected package.module.Name")
    module_name, _, name = target.rpartition(".")
    homes = (f"marlrun.{kind}s", *plugins)
    if not lies_in(module_name, homes):
        raise ValueError(
            f"{kind}._target_={target}: expected a class in marlrun.{kind}s, "
            "or in a package named by plugins=[..] on the command line"
        )
    return code_of(module_name, name, f"{kind}._target_={target}")


def code_of(module_name: str, name: str, key: str) -> Callable[..., Any]:
    """Import a module; return the class or function `name` that is defined in it, not imported there.

    ValueError, in one line that begins with `key`, if there is none, or if the import fails.
    """
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        reason = f"{module_name} cannot be imported: {with_type(error)}"
        raise ValueError(f"{key}: {reason}") from error
    constructor: Any = vars(module).get(name)
    is_code = inspect.isclass(constructor) or inspect.isfunction(constructor)
    if not is_code or constructor.__module__ != module_name or name.startswith("_"):
        raise ValueError(f"{key}: expected a class or function defined in {module_name}")
    return constructor
