"""Values at and beyond the ends of what a key takes, for tests that try them all."""

import re
from collections.abc import Iterator

from marlrun.config import schema

INTS = ("0", "1", "-1", "10000", f"{2**31}", f"{2**62}", f"{2**63}", f"{10**23}", f"{10**400}")
FLOATS = ("1e300", "1e38", "1e9", "1e-9", "1e-300", "1e-400", ".inf", "nan", f"{10**400}")
_NUMBER = re.compile(r"(list of (?:(\d+) )?)?(int|float)(?: [\[(](\S+), (\S+)[\])])?")


def extremes(kind: str) -> list[str]:
    """Return numbers to type for a key of this TYPE (see marlrun.config.schema): its ends, and extremes."""
    values: list[str] = []
    for alternative in kind.split(" or "):
        if number := _NUMBER.fullmatch(alternative):
            is_list, length, of_kind, *ends = number.groups()
            typed = [end for end in ends if end and "inf" not in end]
            typed += INTS if of_kind == "int" else FLOATS
            values += [f"[{','.join([x] * int(length or 1))}]" if is_list else x for x in typed]
    return list(dict.fromkeys(values))


def cases() -> Iterator[tuple[str, str, str, str]]:
    """Yield (file below conf/, key, TYPE, value to type) for every key that takes numbers."""
    paths = [
        "config",
        "eval",
        "demonstrate",
        *(f"{kind}/{name}" for kind in ("algo", "env", "graph") for name in schema.options(kind)),
    ]
    for path in paths:
        group = path.rpartition("/")[0]
        for key, rule in schema.declared(path, group).rules.items():
            for value in extremes(rule.kind):
                yield path, key, rule.kind, value
