"""What a YAML file says about its keys, and whether a value fits.

The comment behind a key says what the key takes: `key: default  # TYPE: meaning`. TYPE is one
alternative, or several joined by " or ":

    null    bool    str    list    dict      a value of that kind; a dict takes any keys
    text    path                             a str that is not empty; a path names a file or a
                                             directory, and may begin with `~`
    int     int [1, inf)    float (0, 1]     a number, perhaps of a range; an int is a float too
    list of TYPE    list of 4 TYPE           any number of elements, or so many
    [TYPE, TYPE]                             exactly these elements, none of a range
    a | b | c                                one of these words

Whatever its range, a whole number has at most 64 bits, and any other is one that single precision
holds: of a size from 1.2e-38 to 3.4e38.

A key without such a comment takes what its default is.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

import yaml

from marlrun.config.nested import leaves
from marlrun.system.paths import expand_home

_KINDS: dict[str, type] = {"null": type(None), "bool": bool, "str": str, "list": list, "dict": dict}
_TEXTS = ("text", "path")
_NUMBER = re.compile(r"(int|float)(?: ([\[(])(\S+), (\S+)([\])]))?")
_LIST = re.compile(r"list of (?:(\d+) )?(.+)")
_WORDS = re.compile(r"[\w-]+( \| [\w-]+)*")
_MAX_INT = 2**63 - 1
_MIN_FLOAT, _MAX_FLOAT = 1.2e-38, 3.4e38
_MOST_EXACT = 2**53
"""Whole numbers up to here are exact as floats."""

_Leaf = tuple[str, yaml.Node, yaml.Node]
"""The dotted key of a value that is no mapping, the node of the key and that of the value."""


@dataclass(frozen=True)
class Rule:
    """What one key takes."""

    kind: str
    meaning: str
    default: Any

    @property
    def is_path(self) -> bool:
        """Whether a value may be a path."""
        return "path" in self.kind.split(" or ")

    def __str__(self) -> str:
        return f"{self.kind} ({self.meaning})" if self.meaning else self.kind


class Schema:
    """The keys of a composed configuration, dotted, in the order in which they were declared."""

    def __init__(
        self, groups: Iterable[str] = (), where: str = "", unchosen: Iterable[str] = ()
    ) -> None:
        """Take what errors name: all groups, of which some could have been `unchosen`, and where."""
        self.rules: dict[str, Rule] = {}
        self._groups, self._where, self._unchosen = list(groups), where, list(unchosen)

    def read(self, package: str, values: Mapping[str, Any], text: str, may_add: bool) -> None:
        """Take in one file, placed at `package` (dotted, "" for the top).

        `values` is the file as parsed, `text` as written. Annotated keys are declared. The others
        replace a declared default, or declare a key if the file `may_add` some.
        ValueError names a key that does not exist or a value that does not fit.
        """
        nodes = list(_nodes(text))
        notes = _notes(nodes, text.splitlines())
        scalars = {name: value for name, _, value in nodes if _is_plain(value)}
        for name, value in leaves(values):
            key = f"{package}.{name}" if package else name
            if name in notes:
                self.rules[key] = Rule(*notes[name], value)
            elif key in self.rules:
                self.rules[key] = Rule(self.rules[key].kind, self.rules[key].meaning, value)
            elif may_add:
                self.rules[key] = Rule(kind_of(value), "", value)
            self.check(key, value, written=scalars[name].value if name in scalars else None)

    @property
    def paths(self) -> set[str]:
        """The keys that take a path."""
        return {key for key, rule in self.rules.items() if rule.is_path}

    def check_all(self, values: Mapping[str, Any], package: str = "") -> dict[str, Any]:
        """Raise ValueError, in one line, unless `values` hold every key, final and fitting.

        Returns the values by dotted key.
        """
        given = dict(leaves(values, package))
        for key, value in given.items():
            self.check(key, value, is_final=True)
        for key, rule in self.rules.items():
            if not any(name == key or name.startswith(f"{key}.") for name in given):
                raise ValueError(f"{key}: missing in the configuration, expected {rule}")
        return given

    def check(
        self, key: str, value: Any, *, is_final: bool = False, written: str | None = None
    ) -> None:
        """Raise ValueError, in one line, unless `key` exists and takes `value`.

        What says that the value comes later, `???` or `${..}`, passes unless it `is_final`.
        `written` is how a file writes a scalar without quotes.
        """
        if key not in self.rules:
            return self._check_branch(key, value, is_final)
        rule = self.rules[key]
        is_later = isinstance(value, str) and (value == "???" or "${" in value)
        if (is_later and not is_final) or fits(rule.kind, value):
            if rule.is_path and isinstance(value, str):
                expand_home(value, key)
            return None
        guess = did_you_mean(str(value), _words(rule.kind))
        hint = _how_to_write(key, rule.kind, value, written)
        expected = f"{rule}{_limit(rule.kind, value)}"
        raise ValueError(f"{key}={show(value)}: expected {expected}{guess}{hint}")

    def _check_branch(self, key: str, value: Any, is_final: bool) -> None:
        """Check a key that is no leaf: it may hold leaves, or lie within an open dict."""
        parents = [key.rsplit(".", depth)[0] for depth in range(1, key.count(".") + 1)]
        if any(fits(self.rules[parent].kind, {}) for parent in parents if parent in self.rules):
            return
        inner = [name.removeprefix(f"{key}.") for name in self.rules if name.startswith(f"{key}.")]
        if not inner:
            raise ValueError(f"{key}: {self._unknown(key)}")
        if not isinstance(value, dict):
            raise ValueError(f"{key}={show(value)}: expected one of its keys, {', '.join(inner)}")
        for name, leaf in leaves(value):
            self.check(f"{key}.{name}", leaf, is_final=is_final)

    def _unknown(self, key: str) -> str:
        """Say what is wrong with a key that does not exist."""
        group, dot, _ = key.partition(".")
        if dot and group in self._unchosen:
            return f"choose a {group} with it, {group}={' | '.join(options(group))}"
        inner = [
            name.removeprefix(f"{group}.") for name in self.rules if name.startswith(f"{group}.")
        ]
        guess = did_you_mean(key, self.rules if inner and dot else [*self.rules, *self._groups])
        takes = f"; {group} takes {', '.join(inner)}" if inner and dot and not guess else ""
        return f"no such key{self._where}{guess}{takes.replace(' _target_,', '')}"


def _how_to_write(key: str, kind: str, value: Any, written: str | None) -> str:
    """Return how to write what was probably meant: a text that was read as a number, an int."""
    name = key.rpartition(".")[2]
    if written is not None and fits(kind, written):
        return f'; as a text it is written {name}: "{written}"'
    if isinstance(value, int | float) and fits(kind, show(value)):
        return f"""; as a text it is written {key}="'{show(value)}'\""""
    whole = _whole(value)
    if isinstance(whole, int) and fits(kind, whole):
        grouped = f" or {whole:_}" if abs(whole) >= 1000 else ""
        return f"; an int is written {whole}{grouped}"
    return f"; ints are written {show(whole)}" if fits(kind, whole) else ""


def _whole(value: Any) -> Any:
    """Return a value with ints in place of the floats that are whole numbers."""
    if isinstance(value, list):
        return [_whole(item) for item in cast(list[Any], value)]
    is_whole = isinstance(value, float) and abs(value) <= _MOST_EXACT and value.is_integer()
    return int(value) if is_whole else value


def options(group: str) -> list[str]:
    """Return the names of our own files conf/<group>/<name>.yaml."""
    names = (path.name for path in (files("marlrun.conf") / group).iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def declared(path: str, package: str = "") -> Schema:
    """Return what our own file conf/<path>.yaml takes, with the files of its group it builds on."""
    schema = Schema()
    _read_own(schema, path, package)
    return schema


def _read_own(schema: Schema, path: str, package: str) -> None:
    text = (files("marlrun.conf") / f"{path}.yaml").read_text(encoding="utf-8")
    values = cast(dict[str, Any], yaml.load(text, Loader=yaml.CSafeLoader))
    values.pop("hydra", None)
    group, in_group, _ = path.rpartition("/")
    for base in values.pop("defaults", []):
        if in_group and isinstance(base, str) and base != "_self_":
            _read_own(schema, f"{group}/{base}", package)
    schema.read(package, values, text, may_add=True)


def fits(kind: str, value: Any) -> bool:
    """Say whether a TYPE (see the module's docstring) takes `value`."""
    return any(_fits(alternative, value) for alternative in kind.split(" or "))


def _fits(kind: str, value: Any) -> bool:
    if kind in _KINDS:
        return isinstance(value, _KINDS[kind])
    if kind in _TEXTS:
        return isinstance(value, str) and value != ""
    if number := _NUMBER.fullmatch(kind):
        return _in_range(number, value)
    if kind.startswith("[") or _LIST.fullmatch(kind):
        return isinstance(value, list) and _fit_all(kind, cast(list[Any], value))
    return not isinstance(value, bool) and str(value) in kind.split(" | ")


def _fit_all(kind: str, values: list[Any]) -> bool:
    if same := _LIST.fullmatch(kind):
        kinds = [same[2]] * int(same[1] or len(values))
    else:
        kinds = kind[1:-1].split(", ")
    return len(values) == len(kinds) and all(map(_fits, kinds, values))


def _words(kind: str) -> list[str]:
    """Return the words that a TYPE names."""
    choices = [part.split(" | ") for part in kind.split(" or ") if " | " in part]
    return [word for words in choices for word in words]


def _in_range(number: re.Match[str], value: Any) -> bool:
    kind, left, low, high, right = number.groups()
    if isinstance(value, bool) or not isinstance(value, int if kind == "int" else int | float):
        return False
    if not _is_held(value):
        return False
    if left is None:
        return True
    above = float(low) <= value if left == "[" else float(low) < value
    below = value <= float(high) if right == "]" else value < float(high)
    return above and below


def _is_held(value: float) -> bool:
    """Say whether 64 bits hold an int, or single precision a float; it holds no infinity or NaN."""
    if isinstance(value, int):
        return abs(value) <= _MAX_INT
    return value == 0.0 or _MIN_FLOAT <= abs(value) <= _MAX_FLOAT


def _limit(kind: str, value: Any) -> str:
    """Return which limit of the numbers that a TYPE takes `value`, or an element, breaks, or ""."""
    values = cast(list[Any], value) if isinstance(value, list) else [value]
    beyond = [x for x in values if isinstance(x, int | float) and not _is_held(x)]
    if any(isinstance(x, int) for x in beyond):
        return f", whole numbers of at most {_MAX_INT}"
    if "float" in kind and any(abs(x) < float("inf") for x in beyond):
        return f", 0 or of a size from {_MIN_FLOAT} to {_MAX_FLOAT}"
    return ""


def kind_of(value: Any) -> str:
    """Return the TYPE that an unannotated default stands for; null may become anything."""
    if value is None:
        return " or ".join([*_KINDS, "float"])
    named = [name for name, kind in _KINDS.items() if type(value) is kind]
    return named[0] if named else type(value).__name__


def show(value: Any) -> str:
    """Write a value as a user would type it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def annotations(text: str) -> dict[str, tuple[str, str]]:
    """Read a YAML text: dotted key -> (TYPE, meaning), for the keys that have a valid comment."""
    return _notes(_nodes(text), text.splitlines())


def _notes(nodes: Iterable[_Leaf], lines: list[str]) -> dict[str, tuple[str, str]]:
    notes = ((name, _note(lines, key, value)) for name, key, value in nodes)
    return {name: note for name, note in notes if note}


def _nodes(text: str) -> Iterator[_Leaf]:
    """Yield every leaf of a YAML text."""
    root = _root(text)
    return _leaf_nodes(root, "") if isinstance(root, yaml.MappingNode) else iter(())


def _root(text: str) -> yaml.Node | None:
    return cast(yaml.Node | None, yaml.compose(text, Loader=yaml.CSafeLoader))  # pyright: ignore[reportUnknownMemberType]


def _leaf_nodes(node: yaml.MappingNode, prefix: str) -> Iterator[_Leaf]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaf_nodes(value, f"{name}.")
        else:
            yield name, key, value


def _is_plain(node: yaml.Node) -> bool:
    """Say whether this is a scalar without quotes."""
    return isinstance(node, yaml.ScalarNode) and not node.style


def _note(lines: list[str], key: yaml.Node, value: yaml.Node) -> tuple[str, str] | None:
    """Return the TYPE and the meaning behind a key; None if no comment there is one."""
    is_inline = value.start_mark.line == key.end_mark.line == value.end_mark.line
    mark = value.end_mark if is_inline else key.end_mark
    comment = lines[mark.line][mark.column :].partition(" #")[2]
    kind, colon, meaning = comment.strip().partition(": ")
    return (kind, meaning) if colon and is_kind(kind) else None


def is_kind(kind: str) -> bool:
    """Say whether this is a TYPE."""
    return all(map(_is_kind, kind.split(" or ")))


def _is_kind(kind: str) -> bool:
    if same := _LIST.fullmatch(kind):
        return _is_kind(same[2])
    if kind.startswith("[") and kind.endswith("]"):
        return all(map(_is_kind, kind[1:-1].split(", ")))
    return any(form.fullmatch(kind) for form in (_NUMBER, _WORDS))


def title(text: str) -> str:
    """Return the first comment of a YAML text, "" if there is none; `# @package` is not one."""
    comments = re.findall(r"^#\s*([^@\s].*)$", text, flags=re.MULTILINE)
    return comments[0].strip() if text.lstrip().startswith("#") and comments else ""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return `; did you mean ...?` for the word closest to `word`, "" if none is close.

    The last part of a dotted key counts twice: `beta` is close to `algo.beta`.
    """

    def likeness(other: str) -> tuple[float, float]:
        pairs = ((word, other), (word.rpartition(".")[2], other.rpartition(".")[2]))
        whole, last = (difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)
        return whole, last

    best = max(words, key=lambda other: sum(likeness(other)), default="")
    whole, last = likeness(best)
    return f"; did you mean {best}?" if best and (whole >= 0.8 or last >= 0.6) else ""
