"""Options that are given on a command line, as values and as words."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bids_stroke.settings import LEVELS

from .command import CommandParser
from .levels import OPTIONS


def name_of(action: argparse.Action) -> str:
    """Return the name of an option: its first spelling with two hyphens."""
    return next(name for name in action.option_strings if name.startswith("--"))


def key_of(option: str) -> str:
    """Return the name of the value of an option.

    >>> key_of("--mem-mb")
    'mem_mb'
    """
    return option.removeprefix("--").replace("-", "_")


def named_actions(parser: CommandParser) -> dict[str, argparse.Action]:
    """Return the options that have levels, by the names of their values."""
    actions = (action for action in parser._actions if action.option_strings)
    return {action.dest: action for action in actions if name_of(action) in OPTIONS}


def read_given(words: Sequence[str], parser: CommandParser) -> dict[str, Any]:
    """Return the values that are given on a command line, without defaults, in the order of the words.

    Parameters
    ----------
    words : sequence of str
        Words of the command line.
    parser : CommandParser
        Parser of the command; its defaults are removed.
    """
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    parser._defaults.clear()
    return vars(parser.parse_args(words))


def option_names(values: Iterable[str], parser: CommandParser) -> set[str]:
    """Return the names of the options with the given values; values of arguments are omitted."""
    actions = named_actions(parser)
    return {name_of(actions[name]) for name in values if name in actions}


def to_words(
    values: Mapping[str, Any], parser: CommandParser, levels: Iterable[str] = LEVELS
) -> list[str]:
    """Return the words of a command line with the options of some levels.

    Parameters
    ----------
    values : mapping of str to object
        Values by name, as from :func:`read_given`; values that do not belong to an option are omitted.
    parser : CommandParser
        Parser with these options.
    levels : iterable of str
    """
    actions, requested = named_actions(parser), set(levels)
    words: list[str] = []
    for name, value in values.items():
        action = actions.get(name)
        if action and requested & set(OPTIONS[name_of(action)]):
            words += words_of(action, value)
    return words


def words_of(action: argparse.Action, value: Any) -> list[str]:
    """Return the words that give a value to an option."""
    option = name_of(action)
    if action.nargs == 0:
        return [option] * int(value)
    values = list(map(str, value if isinstance(value, list | tuple) else [value]))
    if len(values) == 1 and values[0].startswith("-"):
        return [f"{option}={values[0]}"]
    return [option, *values] if values else []
