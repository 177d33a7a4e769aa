"""An archive of arrays: a zip file of `.npy` arrays without pickles, and a card in JSON.

`unzip -p FILE card.json` shows the card. Nothing is compressed, so nothing can become larger than
the file; every array's SHA-256 stands in the card. The same content makes the same bytes.
"""

import io
import json
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from marlrun.system.errors import one_line
from marlrun.system.reading import opened

CARD = "card.json"
_LARGEST_CARD = 1 << 20
_LARGEST_HEADER = 1 << 12
_BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the earliest that a zip file can hold."""


def write(file: BinaryIO, card: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an archive; its card gets a further key `sha256`, the hash of each member by its name."""
    members = {f"{name}.npy": _npy(array) for name, array in arrays.items()}
    hashes = {name: sha256(content).hexdigest() for name, content in members.items()}
    text = json.dumps({**card, "sha256": hashes}, indent=1, allow_nan=False)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {CARD: f"{text}\n".encode(), **members}.items():
            archive.writestr(zipfile.ZipInfo(name, _BEGINNING), content)


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


class Form(NamedTuple):
    """What an array must be."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Archive:
    """An open archive, whose arrays are read one by one."""

    def __init__(self, file: zipfile.ZipFile):
        """Take a zip file; ValueError unless it has a card and no member is compressed."""
        self._file = file
        self._members = {member.filename: member for member in file.infolist()}
        if CARD not in self._members:
            raise ValueError(f"there is no {CARD} in it")
        if any(part.compress_type != zipfile.ZIP_STORED for part in file.infolist()):
            raise ValueError("it is compressed, expected a zip file that only stores")
        self.card = _card(self._read(CARD, _LARGEST_CARD))

    def array(self, name: str, form: Form) -> NDArray[Any]:
        """Return the array of a name; ValueError unless it has this form, and the card's hash."""
        member = f"{name}.npy"
        size = form.dtype.itemsize * int(np.prod(form.shape, dtype=object))
        content = self._read(member, size + _LARGEST_HEADER)
        array = _array(member, content, form)
        digest, expected = sha256(content).hexdigest(), self._hash(member)
        if digest != expected:
            raise ValueError(
                f"{member} has the hash {digest[:12]}.., the card has {expected[:12]}.."
            )
        return array

    def has(self, name: str) -> bool:
        """Say whether there is an array of this name."""
        return f"{name}.npy" in self._members

    def _hash(self, member: str) -> str:
        hashes: Any = self.card.get("sha256")
        return (
            str(cast("dict[str, Any]", hashes).get(member)) if isinstance(hashes, dict) else "none"
        )

    def _read(self, member: str, limit: int) -> bytes:
        if member not in self._members:
            raise ValueError(f"there is no {member} in it")
        size = self._members[member].file_size
        if size > limit:
            raise ValueError(f"{member} takes {size} bytes, expected at most {limit}")
        return self._file.read(member)


def _card(content: bytes) -> dict[str, Any]:
    """Return the card that a text holds; ValueError unless it is an object in JSON."""
    try:
        card: Any = json.loads(content.decode("utf-8"))
        if not isinstance(card, dict):
            raise ValueError("expected an object")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{CARD} is damaged: {one_line(error)}") from error
    return cast("dict[str, Any]", card)


def _array(member: str, content: bytes, form: Form) -> NDArray[Any]:
    """Return the array that the bytes of a member hold, without a copy of the numbers."""
    file = io.BytesIO(content)
    shape, dtype = _header(member, file)
    if dtype.hasobject:
        raise ValueError(f"{member} holds a pickle, which is never read")
    if (dtype, shape) != (form.dtype, form.shape):
        expected = f"expected {form.dtype} {list(form.shape)} by its card"
        raise ValueError(f"{member} holds {dtype} {list(shape)}, {expected}")
    numbers = np.frombuffer(content, dtype, offset=file.tell())
    if numbers.size != int(np.prod(shape)):
        raise ValueError(f"{member} holds {numbers.size} numbers, expected {list(shape)}")
    return numbers.reshape(shape)


def _header(member: str, file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an array; ValueError unless it is of the version that numbers need."""
    reader: Any = np.lib.format
    try:
        if reader.read_magic(file) != (1, 0):
            raise ValueError("expected version 1.0")
        shape, is_fortran, dtype = reader.read_array_header_1_0(file)
        if is_fortran:
            raise ValueError("expected rows first, its columns are")
    except Exception as error:
        raise ValueError(f"{member} is no array: {one_line(error)}") from error
    return shape, dtype


@contextmanager
def open_archive(source: Path | bytes) -> Generator[Archive]:
    """Open an archive, a file or its content; ValueError for whatever is wrong with it.

    OSError if the file cannot be opened.
    """
    with opened(source) if isinstance(source, Path) else io.BytesIO(source) as file:
        try:
            with zipfile.ZipFile(file) as parts:
                yield Archive(parts)
        # OSError: a place before the file's beginning is sought.
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise ValueError(f"it is damaged, or no zip file: {one_line(error)}") from error
