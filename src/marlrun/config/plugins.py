"""Packages of the user's own, named by `plugins=[..]` on the command line."""

import importlib
from collections.abc import Iterable


def import_plugins(packages: Iterable[str]) -> None:
    """Import these packages; ValueError, in one line, that names the first that cannot be.

    Only for what the command line names: an import runs code.
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
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"plugins=[{package}]: cannot be imported: {reason}") from error
