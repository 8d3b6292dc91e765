"""Tab completion of all commands: a shell script that shtab writes."""

import argparse
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from bids_stroke.errors import ResourceError

from .command import CommandParser

#: Metavars of folders; other paths are files.
_FOLDERS = ("BIDS_DIR", "DEST", "DIR", "OUT", "OUTPUT_DIR", "RUN", "TRUTH", "[NAME=]PRED")
#: Metavars of values that are paths or names, and are therefore not parsed as paths.
_NAMES_OR_PATHS = ("ATLAS", "MODEL", "NAME|CARD", "RECIPE", "SOURCE", "TRACT", "[NAME=]PRED")


def completion_script(shell: str) -> str:
    """Return the script for the tab completion of all commands in a shell.

    Raises
    ------
    ResourceError
        If shtab is not installed.
    """
    try:
        import shtab
    except ModuleNotFoundError:
        raise ResourceError(
            "Tab completion needs shtab; install it with pip install bids_stroke[completion]."
        ) from None
    parsers = list(_parsers())
    for action in (action for parser in parsers for action in _actions(parser)):
        name = action.metavar or action.dest.upper()
        if action.type is Path or name in _NAMES_OR_PATHS:
            files = shtab.DIRECTORY if name in _FOLDERS else shtab.FILE
            action.complete = files  # type: ignore[attr-defined]
    return "\n".join(shtab.complete(parser, shell) for parser in parsers)


def _parsers() -> Iterator[CommandParser]:
    """Yield the parsers of the installed commands."""
    entries = entry_points(group="console_scripts")
    for module in sorted({e.module for e in entries if e.module.startswith(f"{__package__}.")}):
        yield import_module(module).parser()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the actions of a parser and of its subcommands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _actions(subparser)
