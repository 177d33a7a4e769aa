"""The keys of a configuration: what each takes, as YAML files say it, and whether a value fits.

The comment behind a key says what the key takes: `key: default  # TYPE: meaning`, where TYPE is a
kind of `config/kinds.py`. A key without such a comment takes what its default is.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, cast

import yaml

from marlrun.config.comments import Entry, entries
from marlrun.config.kinds import fits, inner_kind, kind_of, limit, words_of
from marlrun.config.nested import leaves
from marlrun.config.older import RENAMED
from marlrun.system.paths import expand_home

_MOST_EXACT = 2**53
"""Whole numbers up to here are exact as floats."""


@dataclass(frozen=True)
class Rule:
    """What one key takes: a kind of value; what the key means, and its default."""

    kind: str
    meaning: str
    default: Any

    @property
    def is_path(self) -> bool:
        """Whether the key takes a path, or a list of paths."""
        return not {"path", "list of path"}.isdisjoint(self.kind.split(" or "))

    def __str__(self) -> str:
        return f"{self.kind} ({self.meaning})" if self.meaning else self.kind


class Schema:
    """The keys of a composed configuration, dotted, in the order in which they were declared."""

    def __init__(
        self, groups: Iterable[str] = (), where: str = "", unchosen: Iterable[str] = ()
    ) -> None:
        """Make a schema that has no keys yet.

        The arguments serve messages: the groups that can be chosen; `where`, which says what has
        the keys; and those groups that this command could choose and does not.
        """
        self.rules: dict[str, Rule] = {}
        self._groups, self._where, self._unchosen = list(groups), where, list(unchosen)

    def read(self, package: str, values: Mapping[str, Any], text: str, may_add: bool) -> None:
        """Add the keys of one file, which lie below `package` (dotted, "" for the top).

        `values` is the file as parsed, `text` as written. A key whose comment names a kind is
        declared. Any other key changes a declared default, or is declared if the file `may_add`.
        ValueError names a key that does not exist, or a value that does not fit.
        """
        file_entries = entries(text)
        for name, value in leaves(values):
            key = f"{package}.{name}" if package else name
            self._refuse_older_name(key, value)
            entry = file_entries.get(name, Entry(None, None))
            if entry.note:
                self.rules[key] = Rule(*entry.note, value)
            elif key in self.rules:
                self.rules[key] = replace(self.rules[key], default=value)
            elif may_add:
                self.rules[key] = Rule(kind_of(value), "", value)
            self.check(key, value, unquoted=entry.unquoted)

    @property
    def paths(self) -> set[str]:
        """The keys that take a path, or a list of paths."""
        return {key for key, rule in self.rules.items() if rule.is_path}

    @property
    def dicts(self) -> list[str]:
        """The keys to which further keys may be added."""
        return [key for key, rule in self.rules.items() if rule.kind.startswith("dict")]

    @property
    def untyped(self) -> list[str]:
        """The keys that no comment declares: any value of the default's kind passes."""
        names = (key for key, rule in self.rules.items() if not rule.meaning)
        return [key for key in names if not key.endswith("_target_")]

    def check_all(self, values: Mapping[str, Any], package: str = "") -> dict[str, Any]:
        """Return `values` by dotted key; each key must be there, with a final value that fits.

        ValueError, in one line, names the first key for which that is not so.
        """
        values_by_key = dict(leaves(values, package))
        for key, value in values_by_key.items():
            self.check(key, value, is_final=True)
        for key, rule in self.rules.items():
            if not any(name == key or name.startswith(f"{key}.") for name in values_by_key):
                raise ValueError(f"{key}: missing in the configuration, expected {rule}")
        return values_by_key

    def check(
        self, key: str, value: Any, *, is_final: bool = False, unquoted: str | None = None
    ) -> None:
        """Raise ValueError, in one line, unless `key` exists and takes `value`.

        A text that stands for a later value, `???` or `${..}`, passes unless `value` `is_final`.
        `unquoted` is the text of a scalar that a file writes without quotes.
        """
        if key not in self.rules:
            self._refuse_older_name(key, value)
            return self._check_branch(key, value, is_final)
        rule = self.rules[key]
        is_later = isinstance(value, str) and (value == "???" or "${" in value)
        if (is_later and not is_final) or fits(rule.kind, value):
            for path in _texts(value) if rule.is_path else ():
                expand_home(path, key)
            return None
        guess = did_you_mean(str(value), words_of(rule.kind))
        hint = _how_to_write(key, rule.kind, value, unquoted)
        expected = f"{rule}{limit(rule.kind, value)}"
        raise ValueError(f"{key}={show(value)}: expected {expected}{guess}{hint}")

    def _refuse_older_name(self, key: str, value: Any) -> None:
        name = RENAMED.get(key)
        if name in self.rules and key not in self.rules and not isinstance(value, dict):
            raise ValueError(f"{key}={show(value)}: expected {name}={show(value)}, its new name")

    def _check_branch(self, key: str, value: Any, is_final: bool) -> None:
        """Check a key without a rule: it may have keys below it, or lie in a dict of any keys."""
        parents = [key.rsplit(".", depth)[0] for depth in range(1, key.count(".") + 1)]
        for parent in (parent for parent in parents if parent in self.rules):
            if fits(self.rules[parent].kind, {}):
                _check_inner(self.rules[parent], key.removeprefix(f"{parent}."), key, value)
                return
        inner = [name.removeprefix(f"{key}.") for name in self.rules if name.startswith(f"{key}.")]
        if not inner:
            raise ValueError(f"{key}: {self._unknown(key)}")
        if not isinstance(value, dict):
            raise ValueError(f"{key}={show(value)}: expected one of its keys, {', '.join(inner)}")
        for name, leaf in leaves(value):
            self.check(f"{key}.{name}", leaf, is_final=is_final)

    def _unknown(self, key: str) -> str:
        """Return what is wrong with a key that does not exist, and what may have been meant."""
        group, dot, _ = key.partition(".")
        if dot and group in self._unchosen:
            return f"choose a {group} with it, {group}={' | '.join(options(group))}"
        inner = [
            name.removeprefix(f"{group}.") for name in self.rules if name.startswith(f"{group}.")
        ]
        guess = did_you_mean(key, self.rules if inner and dot else [*self.rules, *self._groups])
        takes = f"; {group} takes {', '.join(inner)}" if inner and dot and not guess else ""
        return f"no such key{self._where}{guess}{takes.replace(' _target_,', '')}"


def _texts(value: Any) -> list[str]:
    """Return a text, or the texts in a list."""
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def _check_inner(rule: Rule, name: str, key: str, value: Any) -> None:
    """Check a key `name` within a dict, whose rule may say what its keys take."""
    kind = inner_kind(rule.kind)
    if kind is not None and ("." in name or not fits(kind, value)):
        expected = "a finite number, a bool, a str or a list of these" if kind == "plain" else kind
        limits = limit("float", value)
        raise ValueError(f"{key}={show(value)}: expected {expected}{limits} ({rule.meaning})")


def _how_to_write(key: str, kind: str, value: Any, unquoted: str | None) -> str:
    """Return how to write what was probably meant: a text where a number was read, or an int."""
    name = key.rpartition(".")[2]
    if unquoted is not None and fits(kind, unquoted):
        return f'; as a text it is written {name}: "{unquoted}"'
    if isinstance(value, int | float) and fits(kind, show(value)):
        return f"""; as a text it is written {key}="'{show(value)}'\""""
    with_ints = _with_ints(value)
    if isinstance(with_ints, int) and fits(kind, with_ints):
        grouped = f" or {with_ints:_}" if abs(with_ints) >= 1000 else ""
        return f"; an int is written {with_ints}{grouped}"
    return f"; ints are written {show(with_ints)}" if fits(kind, with_ints) else ""


def _with_ints(value: Any) -> Any:
    """Return a value with ints in place of the floats that are whole numbers."""
    if isinstance(value, list):
        return [_with_ints(element) for element in cast(list[Any], value)]
    is_whole = isinstance(value, float) and abs(value) <= _MOST_EXACT and value.is_integer()
    return int(value) if is_whole else value


def options(group: str) -> list[str]:
    """Return the names of the files conf/<group>/<name>.yaml that marlrun brings."""
    names = (path.name for path in (files("marlrun.conf") / group).iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def declared(path: str, package: str = "") -> Schema:
    """Return the keys of conf/<path>.yaml, a file of marlrun, and of the files in its defaults."""
    schema = Schema()
    _read_file(schema, path, package)
    return schema


def _read_file(schema: Schema, path: str, package: str) -> None:
    text = (files("marlrun.conf") / f"{path}.yaml").read_text(encoding="utf-8")
    values = cast(dict[str, Any], yaml.load(text, Loader=yaml.CSafeLoader))
    values.pop("hydra", None)
    group, in_group, _ = path.rpartition("/")
    for base in values.pop("defaults", []):
        if in_group and isinstance(base, str) and base != "_self_":
            _read_file(schema, f"{group}/{base}", package)
    schema.read(package, values, text, may_add=True)


def show(value: Any) -> str:
    """Return a value as a user would type it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return `; did you mean ...?` for the word closest to `word`, "" if none is close.

    Whole words and the last parts of dotted keys are compared: `beta` is close to `algo.beta`.
    """

    def likeness(candidate: str) -> tuple[float, float]:
        pairs = ((word, candidate), (word.rpartition(".")[2], candidate.rpartition(".")[2]))
        whole_ratio, last_ratio = (difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)
        return whole_ratio, last_ratio

    best = max(words, key=lambda candidate: sum(likeness(candidate)), default="")
    whole_ratio, last_ratio = likeness(best)
    return f"; did you mean {best}?" if best and (whole_ratio >= 0.8 or last_ratio >= 0.6) else ""
