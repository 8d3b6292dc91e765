"""TOML file with the options of a run, which each run writes and ``--config-file`` reads."""

import argparse
import platform
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bids_stroke.bids import logs
from bids_stroke.errors import UsageError
from bids_stroke.execution import resources
from bids_stroke.settings import Settings
from bids_stroke.utils import files, toml
from bids_stroke.utils.versions import package_versions

from . import options
from .command import suggest
from .given import key_of, name_of, named_actions, read_given, words_of
from .levels import OPTIONS, find_ineffective
from .option_groups import WITHOUT_EFFECT, megabytes, positive

#: Tables of the file; only the last one is read.
_TABLES = ("run", "versions", "options")
#: Options that a file does not contain.
_NOT_STORED = ("--config-file", "--dry-run", "--reports-only")
_PACKAGES = ("antspyx", "monai", "nibabel", "nilearn", "nipype", "numpy", "pybids", "scipy", "torch")
_TEXT = ((str,), "text", "texts")
#: Types of the values of an option, with their names, by the function that parses it; others are text.
_TYPES: dict[Any, tuple[tuple[type, ...], str, str]] = {
    float: ((float, int), "a number", "numbers"),
    positive: ((int,), "an integer", "integers"),
    megabytes: ((int, str), "an integer or text", "integers or texts"),
}
_LARGEST_COUNT = 9


def read(path: Path, level: str) -> dict[str, Any]:
    """Return the values of the options of a level in a file, by name, without default values.

    Raises
    ------
    UsageError
        If the file cannot be read, or contains an unknown option or an invalid value.
    """
    parser = options.build()
    actions = {
        key_of(name): action
        for action in named_actions(parser).values()
        for name in action.option_strings
        if name_of(action) not in _NOT_STORED
    }
    words, keys = list[str](), dict[str, str]()
    for key, value in _load_options(path).items():
        action = actions.get(key.replace("-", "_"))
        if action is None:
            advice = suggest(key, actions) or "; use names such as nprocs."
            raise UsageError(f"{path} has the unknown option {key!r:.60}{advice}")
        if (other := keys.setdefault(action.dest, key)) != key:
            raise UsageError(f"{path} has {other} and {key}, which are the same option; remove one.")
        _check_type(path, key, value, action)
        words += words_of(action, value)
    try:
        values = read_given(["bids_dir", "output_dir", level, *words], parser)
    except UsageError as error:
        raise UsageError(f"{path} has an invalid value: {error}") from None
    level_names = {action.dest for action in actions.values() if level in OPTIONS[name_of(action)]}
    defaults = options.build()
    return {
        name: value
        for name, value in values.items()
        if name in level_names and value != defaults.get_default(name)
    }


def _load_options(path: Path) -> dict[str, Any]:
    """Read the table of options in a file."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; check --config-file.") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read as TOML ({reason}); fix the file.") from None
    unknown = [name for name in content if name not in _TABLES]
    table = content.get("options", {})
    if unknown or not isinstance(table, dict):
        entry = repr(unknown[0] if unknown else "options")
        raise UsageError(f"{path} has the entry {entry:.60}; write the options below [options].")
    return table


def _check_type(path: Path, key: str, value: object, action: argparse.Action) -> None:
    """Check that the type of a value in a file is that of the option."""
    if isinstance(action, argparse._CountAction):
        is_valid = type(value) is int and 0 <= value <= _LARGEST_COUNT
        expected = f"an integer up to {_LARGEST_COUNT}"
    elif action.nargs == 0:
        is_valid, expected = isinstance(value, bool), "true or false"
    else:
        types, singular, plural = _TYPES.get(action.type, _TEXT)
        is_list = action.nargs is not None
        expected = f"a list of {plural}" if is_list else singular
        values = value if is_list and isinstance(value, list) else [value]
        is_valid = isinstance(value, list) == is_list and all(type(item) in types for item in values)
    if not is_valid:
        raise UsageError(f"{path} has {key} = {value!r:.60}; the value must be {expected}.")


def write(settings: Settings, values: Mapping[str, Any]) -> Path:
    """Write the options of a run to the folder of its logs; return the path.

    Parameters
    ----------
    settings : Settings
        Settings of the run.
    values : mapping of str to object
        Values of all options by name; cores and memory are None if they were not given.
    """
    path = logs.options_path(settings.output_dir, settings.level, settings.participant_label)
    run: dict[str, toml.Value] = {
        "date": datetime.now(UTC).astimezone().replace(microsecond=0),
        "command": settings.command,
        "bids_dir": settings.bids_dir,
        "output_dir": settings.output_dir,
        "analysis_level": settings.level,
        "cores": resources.cores(),
        "memory_mb": resources.memory_mb(),
    }
    versions = {"python": platform.python_version(), **package_versions(_PACKAGES)}
    given = {
        name_of(action): values[name]
        for name, action in named_actions(options.build()).items()
        if settings.level in OPTIONS[name_of(action)]
        and name_of(action) not in (*_NOT_STORED, *WITHOUT_EFFECT)
        and values[name] not in (None, False, (), [])
    }
    omitted = find_ineffective(settings.level, given)
    stored = {key_of(name): value for name, value in given.items() if name not in omitted}
    comment = "Options of a run of bids_stroke; --config-file starts a run with the table options."
    with files.atomic(path) as partial:
        text = toml.dumps(dict(zip(_TABLES, (run, versions, stored), strict=True)), comment)
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path
