"""Checks what was typed against the files that Hydra would compose from it.

What one key takes, `config/schema.py` says; here stands which keys and groups there are.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, Sweep
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

from marlrun.cli.sources import text_of
from marlrun.config.published import check_published
from marlrun.config.schema import Schema, did_you_mean, show

_EXTRAS = {
    "joblib": "joblib",
    "ray": "ray",
    "submitit_local": "slurm",
    "submitit_slurm": "slurm",
    "optuna": "optuna",
}
"""Launchers and sweepers, and which of our extras has them."""


@dataclass(frozen=True)
class Checker:
    """Says whether overrides, for a root YAML, are what its files take."""

    root: str
    needs: tuple[str, ...]
    """Groups that must be chosen."""
    runs: bool
    """False where nothing need be complete, as for --help."""
    is_sweep: bool
    parser: OverridesParser
    repository: IConfigRepository
    paths: set[str] = field(default_factory=set[str])
    """Keys that take a path, of all combinations of groups; `check` fills it."""

    def check(self, overrides: Sequence[Override]) -> Schema:
        """Return the keys that the last combination of groups takes.

        ValueError, in one line, unless every combination takes every key and every value of a sweep.
        """
        of_hydra = [override for override in overrides if override.is_hydra_override()]
        of_marlrun = [override for override in overrides if override not in of_hydra]
        groups = [override for override in of_marlrun if self._is_group(override)]
        keys = [override for override in of_marlrun if override not in groups]
        schema = Schema()
        for chosen in itertools.product(*map(self._expand, groups)):
            schema, missing = self._read_files([*of_hydra, *chosen])
            self.paths.update(schema.paths)
            for override in keys:
                # A key of a group that was not chosen is no typo.
                if override.key_or_group.split(".")[0] not in missing:
                    self._check_key(schema, override)
            if self.runs:
                self._refuse_missing(missing)
                _check_required(schema, keys)
        return schema

    def sweeper_params(self, overrides: Sequence[Override]) -> list[Override]:
        """Return what the chosen files sweep by `hydra.sweeper.params`, without the keys typed.

        So an experiment's file holds a whole sweep. Where nothing runs, only its first job counts.
        """
        typed = {override.get_key_element().lstrip("+") for override in overrides}
        if any(key.startswith("hydra.sweeper.params") for key in typed):
            raise ValueError("hydra.sweeper.params: belongs into a file; expected KEY=VALUE,VALUE")
        params = {key: value for key, value in self._params(overrides).items() if key not in typed}
        if params and self.runs and not self.is_sweep:
            raise ValueError(f"-m missing: a chosen file sweeps {', '.join(params)}")
        swept = self.parser.parse_overrides([f"{key}={value}" for key, value in params.items()])
        return swept if self.is_sweep else self.parser.parse_overrides(list(map(_first, swept)))

    def _params(self, overrides: Sequence[Override]) -> dict[str, Any]:
        groups = [
            override
            for override in overrides
            if self._is_group(override) and not override.is_sweep_override()
        ]
        params: dict[str, Any] = {}
        for default in self._defaults(groups, groups).defaults:
            loaded = self.repository.load_config(str(default.config_path))
            swept = OmegaConf.select(loaded.config, "hydra.sweeper.params") if loaded else None
            if not isinstance(swept, Mapping | None):
                where = f"{default.config_path}.yaml: hydra.sweeper.params={swept}"
                raise ValueError(f"{where}: expected a mapping of keys to values")
            params |= swept or {}
        return params

    def _is_group(self, override: Override) -> bool:
        is_values = isinstance(override.value(), dict)
        return (
            not is_values
            and bool(override.key_or_group)
            and self.repository.group_exists(override.key_or_group)
        )

    def _expand(self, override: Override) -> list[Override]:
        """Return an override for each value of a sweep."""
        _refuse_nested_sweep(override)
        if not override.is_sweep_override():
            return [override]
        if not self.is_sweep:
            hint = "several values need -m; one value with a comma, quotes within quotes"
            raise ValueError(f"{override.input_line}: {hint}")
        value = override.value()
        if isinstance(value, IntervalSweep):
            texts = [str(value.start), str(value.end)]
        else:
            texts = list(override.sweep_string_iterator())
        if not texts:
            raise ValueError(f"{override.input_line}: matches nothing")
        key = override.get_key_element()
        return self.parser.parse_overrides([f"{key}={text}" for text in texts])

    def _check_key(self, schema: Schema, override: Override) -> None:
        key = override.key_or_group + (f"@{override.package}" if override.package else "")
        if override.is_delete():
            raise ValueError(f"~{key}: a key cannot be deleted")
        for single in self._expand(override):
            schema.check(key, single.value())
        if override.is_add() and key in schema.rules:
            raise ValueError(f"+{key}: exists already; leave out the +")

    def _refuse_missing(self, groups: list[str]) -> None:
        if groups:
            options = [f"{group}={self._options(group)}" for group in groups]
            raise ValueError(f"{' and '.join(groups)} missing: expected {', '.join(options)}")

    def _options(self, group: str) -> str:
        return " | ".join(self.repository.get_group_options(group))

    def _read_files(self, choices: list[Override]) -> tuple[Schema, list[str]]:
        """Return what the files for these choices take, and the needed groups not chosen."""
        of_marlrun = [choice for choice in choices if not choice.is_hydra_override()]
        defaults = self._defaults(choices, of_marlrun)
        groups = self.repository.get_group_options("", ObjectType.GROUP)
        chosen = defaults.overrides.known_choices
        unchosen = [group for group, choice in chosen.items() if choice is None]
        schema = Schema(groups, self._where(of_marlrun), unchosen)
        for default in defaults.defaults:
            if default.config_path and (default.package or "").partition(".")[0] != "hydra":
                _read_file(self.repository, schema, default)
        check_published(schema, chosen, self.repository.get_group_options)
        missing = [group for group in self.needs if chosen.get(group) is None]
        return schema, missing if self.runs else []

    def _where(self, choices: Iterable[Override]) -> str:
        if self.is_sweep:
            return f" with {' '.join(str(choice.input_line) for choice in choices)}"
        return "" if self.root == "config" else f" in {self.root}.yaml"

    def _defaults(self, choices: list[Override], of_marlrun: list[Override]) -> DefaultsList:
        """Return the files that choices select; ValueError if there is no such group or option.

        `of_marlrun` are those of the choices that are about no group of Hydra's.
        """
        for choice in of_marlrun:
            self._check_option(choice)
        try:
            defaults = create_defaults_list(self.repository, self.root, choices, True, False)
        except ConfigCompositionException:
            known = create_defaults_list(self.repository, self.root, [], True, False)
            for choice in of_marlrun:
                if choice.key_or_group not in known.overrides.known_choices_per_group:
                    self._refuse_group(choice)
            raise
        for choice in of_marlrun:
            if choice.is_add() and _adds_keys(defaults, choice):
                self._refuse_group(choice)
        return defaults

    def _check_option(self, choice: Override) -> None:
        if choice.is_delete() and choice.key_or_group in self.needs:
            group = choice.key_or_group
            expected = f"leave it out, or choose one by {group}={self._options(group)}"
            raise ValueError(f"~{group}: a group cannot be deleted; {expected}")
        group, value = choice.key_or_group, choice.value()
        are_options = choice.is_add() and isinstance(value, list)
        for option in cast(list[Any], value if are_options else [value]):
            if not choice.is_delete() and not self.repository.config_exists(f"{group}/{option}"):
                guess = did_you_mean(str(option), self.repository.get_group_options(group))
                if str(option) in _EXTRAS:
                    guess = f"; pip install 'marlrun[{_EXTRAS[str(option)]}]' brings it"
                raise ValueError(f"{group}={show(option)}: expected {self._options(group)}{guess}")

    def _refuse_group(self, choice: Override) -> NoReturn:
        group = choice.key_or_group
        root = self.repository.load_config(self.root)
        if root is not None and group in root.config:
            changes = f"expected {group}.KEY=VALUE, which changes a key of the run's {group}"
            raise ValueError(f"{choice.input_line}: {changes}")
        path = f"{choice.key_or_group}/{choice.value()}"
        loaded = self.repository.load_config(path)
        is_global = loaded is not None and loaded.header["package"] == "_global_"
        hint = f"; add it by +{choice.input_line}" if is_global else ""
        if choice.is_add() and loaded is not None and "_target_" not in loaded.config:
            hint = f"; expected `# @package _global_` on the first line of {path}.yaml"
        raise ValueError(f"{choice.input_line}: no {group} in {self.root}.yaml{hint}")


def _first(override: Override) -> str:
    """Return an override with the first of its values."""
    if not override.is_discrete_sweep():
        return str(override.input_line)
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


def _refuse_nested_sweep(override: Override) -> None:
    """Raise ValueError for range(..), interval(..) and glob(..) among other values: Hydra crashes."""
    value = override.value()
    items = value.list if isinstance(value, ChoiceSweep) else value
    if isinstance(items, list) and any(isinstance(item, Sweep | Glob) for item in items):
        expected = "expected range(..), interval(..) or glob(..) alone, or all values one by one"
        raise ValueError(f"{override.input_line}: {expected}")


def _check_required(schema: Schema, keys: list[Override]) -> None:
    typed = {override.key_or_group for override in keys}
    for key, rule in schema.rules.items():
        if rule.default == "???" and key not in typed:
            raise ValueError(f"{key} missing: expected {key}={rule}")


def _adds_keys(defaults: DefaultsList, choice: Override) -> bool:
    path = f"{choice.key_or_group}/{choice.value()}"
    return any(default.config_path == path and default.package for default in defaults.defaults)


def _read_file(repository: IConfigRepository, schema: Schema, default: ResultDefault) -> None:
    path, package = str(default.config_path), default.package or ""
    loaded = repository.load_config(path)
    assert loaded is not None
    values = cast(dict[str, Any], OmegaConf.to_container(loaded.config, resolve=False))
    if not package:
        values.pop("hydra", None)
    # A file merged over the whole configuration may change it, not add to it: a typo in an
    # experiment must not pass.
    may_add = default.primary or bool(package)
    try:
        schema.read(package, values, text_of(repository, path), may_add)
    except ValueError as error:
        raise ValueError(f"{path}.yaml: {error}") from error
