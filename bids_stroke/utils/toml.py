"""TOML files: the standard library reads them, this module writes them."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str | datetime | Path | list["Value"] | tuple["Value", ...]


def dumps(tables: Mapping[str, Mapping[str, Value]], comment: str) -> str:
    """Return tables as TOML text that starts with a comment of one line; their keys are words.

    >>> print(dumps({"run": {"level": "group", "labels": ["01", "02"]}}, "a run"), end="")
    # a run
    <BLANKLINE>
    [run]
    level = "group"
    labels = ["01", "02"]
    """
    lines = [f"# {comment}"]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # Strings of TOML are those of JSON, except that the control character DEL is escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
