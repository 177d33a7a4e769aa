"""Packages of the user, which `plugins=[..]` on the command line names."""

import importlib
from collections.abc import Iterable

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
